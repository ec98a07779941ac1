"""What a pod would look for in vain is told before it starts, with its place; what may be absent is not."""

import io
from textwrap import dedent

import pytest

from minikubelet.api.manifest import load
from minikubelet.runtime.images import ImageResolver
from minikubelet.runtime.missing import missing_notices

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: ns}
spec:
"""
OBJECTS = """\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cm, namespace: ns}
data: {text: a}
binaryData: {bytes: aa==}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: ns}
stringData: {key: a}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: elsewhere}
"""


def notices(spec: str) -> list[str]:
    """The notices for a pod with this spec, each without its place and its pod."""
    text = POD + "".join(f"  {line}\n" for line in dedent(spec).strip().splitlines()) + OBJECTS
    manifest = load(["-"], stdin=io.StringIO(text))
    found = missing_notices(manifest, ImageResolver(path="/bin:/usr/bin"))
    return [str(notice).split("Pod ns/p: ")[1] for notice in found]


def test_local_3_programs_and_directories_that_are_nowhere_are_told_with_their_place() -> None:
    found = notices(
        """
        initContainers:
        - {name: i, image: busybox, command: [no-such-init]}
        containers:
        - name: c
          image: busybox
          command: [/no/such/main]
          lifecycle: {preStop: {exec: {command: [no-such-hook]}}}
          readinessProbe: {exec: {command: [no-such-probe]}}
        - {name: d, image: busybox, command: [sh], args: [no-such-arg], workingDir: /no/such/dir}
        """
    )

    assert found == [
        'spec.initContainers[0].command: "no-such-init" is not on this machine, the container will not start',
        'spec.containers[0].command: "/no/such/main" is not on this machine, the container will not start',
        "spec.containers[0].lifecycle.preStop.exec.command: "
        '"no-such-hook" is not on this machine, this will never succeed',
        "spec.containers[0].readinessProbe.exec.command: "
        '"no-such-probe" is not on this machine, this will never succeed',
        'spec.containers[1].workingDir: "/no/such/dir" is not on this machine, the container will not start',
    ]


@pytest.mark.parametrize(
    ("volume", "path", "what"),
    [
        ("configMap: {name: gone}", "configMap.name", "ConfigMap ns/gone is not among the input"),
        ("configMap: {name: elsewhere}", "configMap.name", "ConfigMap ns/elsewhere is not among the input"),
        ("secret: {secretName: gone}", "secret.secretName", "Secret ns/gone is not among the input"),
        (
            "configMap: {name: cm, items: [{key: gone, path: a}]}",
            "configMap.name",
            "ConfigMap ns/cm has no key gone",
        ),
        (
            "projected: {sources: [{configMap: {name: gone}}]}",
            "projected.sources[0].configMap.name",
            "ConfigMap ns/gone is not among the input",
        ),
        (
            "projected: {sources: [{secret: {name: s, items: [{key: gone, path: a}]}}]}",
            "projected.sources[0].secret.name",
            "Secret ns/s has no key gone",
        ),
    ],
)
def test_vol_3_volumes_of_objects_that_nobody_brings_are_told(volume: str, path: str, what: str) -> None:
    found = notices(f"containers: [{{name: c, image: busybox}}]\nvolumes: [{{name: v, {volume}}}]")

    assert found == [f"spec.volumes[0].{path}: {what}, the pod will wait for it"]


@pytest.mark.parametrize(
    ("field", "path", "what"),
    [
        ("envFrom: [{configMapRef: {name: gone}}]", "envFrom[0].configMapRef.name", "ConfigMap ns/gone"),
        ("envFrom: [{secretRef: {name: gone}}]", "envFrom[0].secretRef.name", "Secret ns/gone"),
        (
            "env: [{name: A, valueFrom: {configMapKeyRef: {name: cm, key: gone}}}]",
            "env[0].valueFrom.configMapKeyRef",
            "ConfigMap ns/cm has no key gone",
        ),
        (
            "env: [{name: A, valueFrom: {secretKeyRef: {name: gone, key: key}}}]",
            "env[0].valueFrom.secretKeyRef",
            "Secret ns/gone",
        ),
    ],
)
def test_env_7_variables_of_objects_that_nobody_brings_are_told(field: str, path: str, what: str) -> None:
    (found,) = notices(f"containers: [{{name: c, image: busybox, {field}}}]")

    assert found.startswith(f"spec.containers[0].{path}: {what}")


def test_nothing_is_told_of_what_is_there_or_may_be_absent() -> None:
    found = notices(
        """
        containers:
        - name: c
          image: busybox
          command: [sh]
          workingDir: /work
          volumeMounts: [{name: e, mountPath: /work}]
          livenessProbe: {exec: {command: [./healthy]}}
          envFrom: [{configMapRef: {name: cm}}, {secretRef: {name: gone, optional: true}}]
          env:
          - {name: A, valueFrom: {configMapKeyRef: {name: cm, key: bytes}}}
          - {name: B, valueFrom: {secretKeyRef: {name: s, key: gone, optional: true}}}
        volumes:
        - {name: e, emptyDir: {}}
        - {name: a, configMap: {name: cm, items: [{key: bytes, path: a}]}}
        - {name: b, secret: {secretName: gone, optional: true}}
        - {name: d, projected: {sources: [{configMap: {name: kube-root-ca.crt}}, {secret: {name: s}}]}}
        """
    )

    assert found == []


def test_replicas_are_told_once() -> None:
    text = """\
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: d}
        spec:
          replicas: 3
          selector: {matchLabels: {a: b}}
          template:
            metadata: {labels: {a: b}}
            spec: {containers: [{name: c, image: busybox, command: [no-such-program]}]}
        """
    manifest = load(["-"], stdin=io.StringIO(dedent(text)))

    (notice,) = missing_notices(manifest, ImageResolver(path="/bin"))

    assert "Deployment default/d: spec.template.spec.containers[0].command" in str(notice)


def test_a_stub_has_all_it_needs() -> None:
    text = POD + "  containers: [{name: c, image: acme, readinessProbe: {exec: {command: [no-such]}}}]\n"
    manifest = load(["-"], stdin=io.StringIO(text))

    assert missing_notices(manifest, ImageResolver(stub_missing=True)) == []
