"""Controllers' templates become what the controllers would make of them."""

import io
import random
import re

import pytest

from minikubelet.api.manifest import load

TEMPLATE = """
  template:
    metadata: {labels: {app: web}, annotations: {note: x}}
    spec:
      containers: [{name: c, image: nginx}]
      volumes: [{name: data, hostPath: {path: /}}]
"""


SELECTOR = "  selector: {matchLabels: {app: web}}\n"


def controller(kind, fields="", api_version="apps/v1", selector=SELECTOR, template=TEMPLATE):
    text = f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: web, namespace: ns}}\nspec:\n"
    manifest = load(["-"], stdin=io.StringIO(text + fields + selector + template), random=random.Random(1))
    return [loaded.obj for loaded in manifest.pods], manifest


SUFFIX = "[bcdfghjklmnpqrstvwxz2456789]{5}"


def test_a_deployment_names_its_pods_by_the_hash_of_their_template():
    pods, _ = controller("Deployment", "  replicas: 3\n")
    names = {pod.metadata.name for pod in pods}
    hashes = {pod.metadata.labels["pod-template-hash"] for pod in pods}

    assert len(names) == 3
    assert len(hashes) == 1
    assert all(re.fullmatch(f"web-{hashes.copy().pop()}-{SUFFIX}", name) for name in names)
    assert {owner.name for pod in pods for owner in pod.metadata.owner_references} == {f"web-{hashes.pop()}"}
    assert {owner.kind for pod in pods for owner in pod.metadata.owner_references} == {"ReplicaSet"}


def test_equal_templates_have_equal_hashes_and_others_differ():
    one, _ = controller("Deployment")
    same, _ = controller("Deployment", "  replicas: 2\n")
    other, _ = controller("Deployment", template=TEMPLATE.replace("nginx", "httpd"))

    first, second, third = (pods[0].metadata.labels["pod-template-hash"] for pods in (one, same, other))
    assert first == second
    assert first != third


@pytest.mark.parametrize("kind", ["ReplicaSet", "DaemonSet"])
def test_pods_carry_labels_annotations_namespace_and_owner(kind):
    ((pod,), _) = controller(kind)
    (owner,) = pod.metadata.owner_references

    assert re.fullmatch(f"web-{SUFFIX}", pod.metadata.name)
    assert pod.metadata.generate_name == "web-"
    assert pod.metadata.labels["app"] == "web"
    assert pod.metadata.annotations == {"note": "x"}
    assert pod.metadata.namespace == "ns"
    assert (owner.api_version, owner.kind, owner.name, owner.controller) == ("apps/v1", kind, "web", True)
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", owner.uid)


def test_a_replication_controller_needs_no_selector():
    ((pod,), _) = controller("ReplicationController", api_version="v1", selector="")

    assert pod.metadata.owner_references[0].api_version == "v1"


def test_a_stateful_set_counts_its_pods():
    fields = "  replicas: 2\n  serviceName: peers\n  ordinals: {start: 5}\n"
    pods, _ = controller("StatefulSet", fields)

    assert [pod.metadata.name for pod in pods] == ["web-5", "web-6"]
    assert [pod.spec.hostname for pod in pods] == ["web-5", "web-6"]
    assert {pod.spec.subdomain for pod in pods} == {"peers"}
    assert pods[1].metadata.labels["statefulset.kubernetes.io/pod-name"] == "web-6"
    assert pods[1].metadata.labels["apps.kubernetes.io/pod-index"] == "6"


def test_each_pod_has_a_claim_of_its_own_for_each_claim_template():
    fields = "  replicas: 2\n  volumeClaimTemplates: [{metadata: {name: data}, spec: {}}]\n"
    pods, manifest = controller("StatefulSet", fields)

    volumes = [volume for pod in pods for volume in pod.spec.volumes]
    assert [volume.name for volume in volumes] == ["data", "data"]
    assert [v.persistent_volume_claim.claim_name for v in volumes] == ["data-web-0", "data-web-1"]
    assert "volumeClaimTemplates emulated" in str(manifest.notices[0])


def test_a_mount_of_a_claim_template_is_found():
    text = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {}}]
"""
    (pod,) = load(["-"], stdin=io.StringIO(text)).pods

    assert pod.obj.spec.volumes[0].name == "data"


def test_no_replicas_are_no_pods_and_no_error():
    pods, _ = controller("Deployment", "  replicas: 0\n")

    assert pods == []


CRON_JOB = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: ns}
spec:
  schedule: "@daily"
  jobTemplate:
    metadata: {labels: {team: a}}
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: c}]}}}
"""


def test_run_now_makes_of_a_cron_job_one_job_named_by_the_minute():
    stdin = io.StringIO(CRON_JOB)
    manifest = load(["-"], stdin=stdin, run_now=True, random=random.Random(1), now=1_700_000_059.0)
    (loaded,) = manifest.jobs
    meta = loaded.obj.metadata

    assert meta.name == f"nightly-{1_700_000_059 // 60}"
    assert (meta.namespace, meta.labels) == ("ns", {"team": "a"})
    assert meta.annotations == {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2023-11-14T22:14:00Z"}
    assert meta.owner_references[0].kind == "CronJob"
    assert loaded.obj.spec.completions == 1
    assert meta.owner_references[0].uid
    assert manifest.cron_jobs == ()


@pytest.mark.parametrize("run_now", [False, True])
def test_a_cron_job_complains_by_the_path_in_the_file(run_now):
    manifest = load(["-"], stdin=io.StringIO(CRON_JOB), run_now=run_now)
    (loaded,) = (*manifest.jobs, *manifest.cron_jobs)

    error = loaded.origin.error("spec.containers[0].command", "x")

    assert error.path == "spec.jobTemplate.spec.template.spec.containers[0].command"
    assert error.line == 9


def test_long_names_leave_room_for_the_suffix():
    text = CRON_JOB.replace("kind: CronJob", "kind: Pod").split("spec:")[0].replace("batch/v1", "v1")
    text = text.replace("name: nightly", f"generateName: {'x' * 80}") + "spec: {containers: [{name: c}]}\n"
    (pod,) = load(["-"], stdin=io.StringIO(text)).pods

    assert len(pod.obj.metadata.name) == 63
