"""Files to objects: what is read, what is passed over, what comes out."""

import io
import json
import random

import pytest

from minikubelet.api.errors import ManifestError
from minikubelet.api.manifest import load

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {containers: [{name: c}]}\n"


def read(text, **options):
    return load(["-"], stdin=io.StringIO(text), **options)


def pod_names(manifest):
    return [loaded.obj.metadata.name for loaded in manifest.pods]


def test_a_directory_is_its_manifests_in_the_order_of_their_names(tmp_path):
    for name in ("b.yaml", "a.yml", "c.json", "notes.txt", "images.yaml"):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name[0]},
            "spec": {"containers": [{"name": "c"}]},
        }
        (tmp_path / name).write_text(json.dumps(pod) if name.endswith("json") else POD % name[0])
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.yaml").write_text(POD % "d")

    assert pod_names(load([str(tmp_path)])) == ["a", "b", "c"]


def test_a_file_may_be_called_anything_and_come_with_a_byte_order_mark(tmp_path):
    (tmp_path / "pod.txt").write_bytes(b"\xef\xbb\xbf" + (POD % "p").encode())

    assert pod_names(load([str(tmp_path / "pod.txt")])) == ["p"]


def test_every_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin").write_bytes(b"a: 1\nname: \xe9\n")

    with pytest.raises(ManifestError) as caught:
        load([str(tmp_path / "nowhere.yaml"), str(tmp_path / "empty"), str(tmp_path / "latin")])

    assert [str(error).removeprefix(f"{tmp_path}/") for error in caught.value.errors] == [
        "nowhere.yaml: no such file or directory",
        "empty: no .yaml, .yml, .json file in this directory",
        "latin:2:1: not UTF-8 text",
    ]


def test_standard_input_is_utf_8_whatever_the_locale_says():
    data = b"\xef\xbb\xbf" + (POD % "p, annotations: {a: \u00e9}").encode()
    stdin = io.TextIOWrapper(io.BytesIO(data), encoding="latin-1")

    (pod,) = load(["-"], stdin=stdin).pods

    assert pod.obj.metadata.annotations == {"a": "\u00e9"}


def test_standard_input_that_is_no_text():
    stdin = io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8")

    with pytest.raises(ManifestError, match="<stdin>:1:1: not UTF-8 text"):
        load(["-"], stdin=stdin)


def test_lists_hold_objects_of_any_kind():
    manifest = read(
        """
apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c}]}}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: m, namespace: ns}
  data: {k: v}
---
apiVersion: v1
kind: PodList
items:
- {metadata: {name: b}, spec: {containers: [{name: c}]}}
---
apiVersion: v1
kind: SecretList
items:
"""
    )

    assert pod_names(manifest) == ["a", "b"]
    assert manifest.config_maps["ns/m"].data == {"k": "v"}


def test_secrets_are_decoded_and_string_data_wins():
    manifest = read(
        POD % "p" + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
        "data: {a: aGk=, b: aGk=}\nstringData: {b: plain}\n"
    )

    assert manifest.secrets["default/s"].data == {"a": b"hi", "b": b"plain"}
    assert manifest.secrets["default/s"].type == "Opaque"


def test_other_kinds_are_passed_over_with_a_notice():
    manifest = read(
        "apiVersion: v1\nkind: Endpoints\nmetadata: {name: web}\nspec: {anything: [goes]}\n---\n"
        "apiVersion: batch.example.com/v1\nkind: Job\nmetadata: {name: x, namespace: ns}\n---\n" + POD % "p"
    )

    assert [str(notice) for notice in manifest.notices] == [
        "Endpoints web: passed over, minikubelet does not run Endpoints",
        "Job ns/x: passed over, minikubelet does not run Job of batch.example.com/v1",
    ]
    assert pod_names(manifest) == ["p"]


def test_what_the_system_sets_is_taken_off():
    """A manifest may be what `kubectl get -o yaml` has printed."""
    manifest = read(
        """
apiVersion: v1
kind: Pod
metadata:
  name: p
  uid: 6f5c7f3e-0000-4000-8000-000000000000
  creationTimestamp: null
  resourceVersion: "17"
  managedFields: [{manager: kubectl, operation: Update, fieldsV1: {"f:spec": {}}}]
spec: {containers: [{name: c}]}
status: {phase: Running, startTime: "2026-01-02T03:04:05Z"}
"""
    )
    pod = manifest.pods[0].obj

    assert (pod.metadata.uid, pod.metadata.resource_version, pod.metadata.managed_fields) == ("", None, None)
    assert pod.status is None
    assert manifest.notices == ()


def test_nulls_count_as_absent():
    pod = read(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: null}\n"
        "spec: {restartPolicy: ~, containers: [{name: c, env: , command: [~]}]}\n"
    ).pods[0]

    assert pod.obj.spec.restart_policy == "Always"
    assert pod.obj.spec.containers[0].env == ()
    assert pod.obj.spec.containers[0].command == ("",)


def test_merge_keys_lend_what_is_not_given():
    containers = (
        read(
            """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - &base {name: a, image: x, tty: true}
  - {<<: *base, name: b}
  - name: c
    <<: [{image: z}, *base]
"""
        )
        .pods[0]
        .obj.spec.containers
    )

    assert [(c.name, c.image, c.tty) for c in containers] == [
        ("a", "x", True),
        ("b", "x", True),
        ("c", "z", True),
    ]


def test_octal_modes_and_sexagesimal_text():
    pod = (
        read(
            """
apiVersion: v1
kind: Pod
metadata: {name: p, annotations: {at: 22:22, on: 2024-01-01}}
spec:
  containers: [{name: c}]
  volumes:
  - {name: a, configMap: {name: m, defaultMode: 0400}}
  - {name: b, configMap: {name: m, defaultMode: 0o400}}
"""
        )
        .pods[0]
        .obj
    )

    assert pod.metadata.annotations == {"at": "22:22", "true": "2024-01-01"}
    assert [volume.config_map.default_mode for volume in pod.spec.volumes] == [0o400, 0o400]


def test_generated_names_are_those_of_the_seed():
    text = "apiVersion: v1\nkind: Pod\nmetadata: {generateName: web-}\nspec: {containers: [{name: c}]}\n"

    first, second = (pod_names(read(text, random=random.Random(7)))[0] for _ in range(2))

    assert first == second
    assert first.startswith("web-")
    assert len(first) == len("web-") + 5


def test_an_origin_tells_the_place_of_fields_that_are_not_there():
    """Stages after loading complain by place, too."""
    (pod,) = read(POD % "p").pods

    error = pod.origin.error("spec.containers[0].command", "Required value")

    assert str(error) == "<stdin>:4:21: Pod default/p: spec.containers[0].command: Required value"


def test_a_job_complains_about_its_pod_by_the_path_in_the_file():
    (job,) = read(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\n"
        "spec: {template: {spec: {restartPolicy: Never, containers: [{name: c}]}}}\n"
    ).jobs

    error = job.origin.error("spec.containers[0].command", "Required value")

    assert error.path == "spec.template.spec.containers[0].command"
    assert (error.line, error.column) == (4, 61)


def test_documents_keep_what_was_written_without_defaults():
    (document,) = read(POD % "p").documents

    assert document.data["spec"] == {"containers": [{"name": "c"}]}
