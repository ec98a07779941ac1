"""`minikubelet validate`: one line per fault, one per object, or the verdict for each field."""

import io

import pytest

from minikubelet.cli.validate import validate

GOOD = """\
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  dnsConfig: {nameservers: [10.0.0.1]}
  containers: [{name: c, image: nginx, imagePullPolicy: Always}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: s}
"""


@pytest.fixture
def run(tmp_path):
    def run(text, *, fields=False, color=False):
        file = tmp_path / "m.yaml"
        file.write_text(text)
        out, err = io.StringIO(), io.StringIO()
        code = validate([str(file)], fields=fields, color=color, stdout=out, stderr=err)
        return code, out.getvalue().replace(str(tmp_path), "."), err.getvalue().replace(str(tmp_path), ".")

    return run


def test_a_good_manifest_has_a_line_per_object_and_notices_on_stderr(run):
    assert run(GOOD) == (
        0,
        "./m.yaml: Pod default/p is valid\n",
        "Endpoints s: passed over, minikubelet does not run Endpoints\n"
        "Pod default/p: dnsConfig ignored: names resolve as they do on this host\n",
    )


def test_a_bad_manifest_has_a_line_per_fault_and_exit_code_2(run):
    code, out, err = run(GOOD.replace("name: c,", "name: C, comand: [x],"))

    assert (code, out) == (2, "")
    assert [line.split(": ")[:3] for line in err.splitlines()] == [
        ["./m.yaml:6:23", "Pod default/p", "spec.containers[0].name"],
        ["./m.yaml:6:26", "Pod default/p", "spec.containers[0].comand"],
    ]


def test_fields_shows_the_verdict_for_each_field_that_occurs(run):
    code, out, _ = run(GOOD, fields=True)

    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0
    assert lines == [
        "Pod default/p (./m.yaml)",
        "apiVersion honoured",
        "kind honoured",
        "metadata honoured",
        "metadata.name honoured",
        "spec honoured",
        "spec.dnsConfig ignored names resolve as they do on this host",
        "spec.containers honoured",
        "spec.containers[0].name honoured",
        "spec.containers[0].image emulated a program of this host stands for it",
        "spec.containers[0].imagePullPolicy ignored nothing is pulled",
    ]


def test_colours_only_where_they_are_wanted(run):
    assert "\x1b[" in run(GOOD, fields=True, color=True)[1]
    assert "\x1b[" not in run(GOOD, fields=True)[1]


def test_fields_shows_what_a_scheduler_would_count(run):
    """KEP-753: once for each object that makes pods, sidecars included."""
    sidecar = "{name: s, image: busybox, restartPolicy: Always, resources: {requests: {memory: 64Mi}}}"
    init = "{name: i, image: busybox, resources: {requests: {memory: 100Mi}}}"
    pod = (
        f"initContainers: [{sidecar}, {init}], containers: [{{name: c, image: nginx, "
        "resources: {requests: {memory: 64Mi, cpu: 100m}}}]"
    )
    text = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n"
        "spec: {replicas: 2, selector: {matchLabels: {a: b}}, template: "
        f"{{metadata: {{labels: {{a: b}}}}, spec: {{{pod}}}}}}}\n---\n{GOOD}"
    )

    code, out, _ = run(text, fields=True)

    assert code == 0
    assert [line.strip() for line in out.splitlines() if "scheduler counts" in line] == [
        "a scheduler counts cpu 100m: the mains and sidecars together",
        "a scheduler counts memory 164Mi: while i runs, with the sidecars before it",
    ]
