"""Ports that two containers of a run both declare are reported before anything starts."""

import io

import pytest

from minikubelet.api.manifest import load
from minikubelet.runtime.ports import port_faults, port_notices

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  replicas: %d
  selector: {matchLabels: {app: d}}
  template:
    metadata: {labels: {app: d}}
    spec: {containers: [{name: c, ports: [{containerPort: 80}]}]}
"""
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  parallelism: %d
  completions: %d
  template: {spec: {restartPolicy: Never, containers: [{name: c, ports: [{containerPort: 80}]}]}}
"""


def pod(name, *mains, inits=()):
    """`inits` and `mains` are flow mappings."""
    spec = f"{{initContainers: [{', '.join(inits)}], containers: [{', '.join(mains)}]}}"
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def container(name, *ports, policy=""):
    listed = ", ".join(f"{{containerPort: {port}}}" for port in ports)
    return f"{{name: {name}, ports: [{listed}]{policy and f', restartPolicy: {policy}'}}}"


def read(*documents):
    return load(["-"], stdin=io.StringIO("---\n".join(documents)))


def faults(*documents):
    return [(fault.path, fault.line) for fault in port_faults(read(*documents))]


def notices(*documents):
    return [str(notice) for notice in port_notices(read(*documents))]


# ------------------------------------------------------------------ in one pod


def test_two_mains_of_a_pod_clash_at_the_second():
    manifest = read(pod("p", container("a", 80, 81), container("b", 82, 80)))
    (fault,) = port_faults(manifest)

    assert fault.path == "spec.containers[1].ports[1].containerPort"
    assert fault.object == "Pod default/p"
    assert "port 80/TCP is declared by container a too (spec.containers[0].ports[0])" in fault.message
    assert fault.message.endswith("give them different ports")


def test_a_sidecar_clashes_with_a_main():
    text = pod("p", container("a", 80), inits=[container("s", 80, policy="Always")])

    assert faults(text) == [("spec.containers[0].ports[0].containerPort", 4)]


def test_a_plain_init_container_is_over_before_the_mains_begin():
    inits = [container("i", 80), container("i2", 80)]

    assert faults(pod("p", container("a", 80), inits=inits)) == []


def test_a_plain_init_container_runs_beside_the_sidecars_before_it():
    inits = [container("early", 80), container("s", 80, policy="Always"), container("late", 80)]

    assert faults(pod("p", container("a", 81), inits=inits)) == [
        ("spec.initContainers[2].ports[0].containerPort", 4)
    ]


def test_one_number_in_two_protocols_is_two_ports():
    udp = "{name: b, ports: [{containerPort: 80, protocol: UDP}]}"

    assert faults(pod("p", container("a", 80), udp)) == []


def test_a_container_does_not_clash_with_itself():
    assert faults(pod("p", container("a", 80, 80))) == []


def test_replicas_are_one_place_in_the_file():
    text = DEPLOYMENT.replace("{name: c,", "{name: b, ports: [{containerPort: 80}]}, {name: c,") % 3

    assert faults(text) == [("spec.template.spec.containers[1].ports[0].containerPort", 10)]


# ------------------------------------------------------------------ in different pods


def test_VALID_18_two_pods_are_warned_about_with_both_places():
    (notice,) = notices(pod("p", container("a", 80)), pod("q", container("b", 80)))

    assert notice == (
        "Pod default/p, Pod default/q: port 80/TCP is declared by container a (<stdin>:4) and container b "
        "(<stdin>:9): pods share the ports of this host, so the first to listen on it keeps the others out; "
        "give them different ports"
    )


def test_different_ports_are_fine():
    assert notices(pod("p", container("a", 80)), pod("q", container("b", 81))) == []


def test_plain_init_containers_of_different_pods_are_not_compared():
    init = [container("i", 80)]

    assert notices(pod("p", container("a", 81), inits=init), pod("q", container("b", 80))) == []


@pytest.mark.parametrize(("replicas", "is_told"), [(0, False), (1, False), (2, True)])
def test_replicas_clash_with_each_other(replicas, is_told):
    found = notices(DEPLOYMENT % replicas, pod("p", container("a", 81)))

    assert bool(found) is is_told
    assert all("2 pods" in notice and "run one of these pods at a time" in notice for notice in found)


@pytest.mark.parametrize(
    ("parallelism", "completions", "is_told"), [(1, 5, False), (2, 1, False), (2, 2, True), (0, 2, False)]
)
def test_pods_of_a_job_clash_if_there_are_two_at_a_time(parallelism, completions, is_told):
    assert bool(notices(JOB % (parallelism, completions))) is is_told


def test_the_pods_of_a_cron_job_count_as_well():
    cron_job = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec:
  schedule: "@daily"
  jobTemplate:
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, ports: [{containerPort: 80}]}]}}}
"""
    (notice,) = notices(cron_job, pod("p", container("a", 80)))

    assert notice.startswith("Pod default/p, CronJob default/c: port 80/TCP")
