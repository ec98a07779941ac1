"""Objects to what the API publishes, and back, without loss."""

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.api import schema
from minikubelet.api.codec import from_wire, to_wire, wire_name
from minikubelet.api.config import ConfigMap, Secret
from minikubelet.api.defaults import default_job, default_pod, with_defaults
from minikubelet.api.job import Job, JobStatus
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, EmptyDirVolumeSource, Pod, PodSpec, Volume
from minikubelet.api.pod_status import ContainerState, ContainerStateRunning, ContainerStatus, PodStatus


@pytest.mark.parametrize(
    ("attribute", "wire"),
    [
        ("host_ip", "hostIP"),
        ("pod_ips", "podIPs"),
        ("image_id", "imageID"),
        ("host_pid", "hostPID"),
        ("host_ipc", "hostIPC"),
        ("downward_api", "downwardAPI"),
        ("api_version", "apiVersion"),
        ("set_hostname_as_fqdn", "setHostnameAsFQDN"),
        ("http_get", "httpGet"),
        ("run_as_non_root", "runAsNonRoot"),
        ("uid", "uid"),
    ],
)
def test_names_are_spelled_as_in_the_api(attribute, wire):
    assert wire_name(attribute) == wire


_TEXT = st.text(alphabet="abcXYZ-/. 0", max_size=6)
_SCALARS = {
    "s": _TEXT,
    "i": st.integers(-5, 2**31 - 1),
    "l": st.integers(-5, 2**40),
    "b": st.booleans(),
    "t": st.just("2026-01-02T03:04:05Z"),
    "y": st.just("aGVsbG8="),
    "q": st.sampled_from(["100m", "1Gi", 2, 0.5]),
    "p": st.one_of(st.integers(0, 9), _TEXT),
    "j": st.dictionaries(_TEXT, st.integers(), max_size=1),
}
_SKIPPED = {"status", "managedFields", "template"}


def values(kind, depth):
    if kind.kind in _SCALARS:
        return _SCALARS[kind.kind]
    if kind.kind == "list":
        return st.lists(values(kind.of, depth - 1), max_size=2)
    if kind.kind == "map":
        return st.dictionaries(_TEXT, values(kind.of, depth - 1), max_size=2)
    return objects(kind.name, depth - 1)


def objects(type_name, depth):
    known = schema._verdicts().get(type_name)
    required, optional = {}, {}
    for field in schema.fields(type_name).values():
        if field.name in _SKIPPED or (known and known[field.name].ruling == "refused"):
            continue
        if field.required:
            required[field.name] = st.deferred(lambda field=field: values(field.type, depth))
        elif depth > 0 or (field.type.of or field.type).kind != "object":
            optional[field.name] = st.deferred(lambda field=field: values(field.type, depth))
    return st.fixed_dictionaries(required, optional=optional)


PODS = st.fixed_dictionaries(
    {"apiVersion": st.just("v1"), "kind": st.just("Pod"), "metadata": objects("ObjectMeta", 2)}
    | {"spec": objects("PodSpec", 6)}
)


def lost(given, published, path=""):
    """Paths of what was given and is not published. Empty things and zeros may be left out."""
    if isinstance(given, dict):
        for name, value in given.items():
            here = f"{path}.{name}"
            if isinstance(published, dict) and name in published:
                yield from lost(value, published[name], here)
            elif value:
                yield here
    elif isinstance(given, list):
        if len(given) != len(published):
            yield path
        for index, (value, other) in enumerate(zip(given, published, strict=False)):
            yield from lost(value, other, f"{path}[{index}]")
    elif given != published:
        yield path


@settings(max_examples=60, deadline=None)
@given(PODS)
def test_nothing_that_a_pod_says_is_lost(data):
    assert list(lost(data, to_wire(from_wire(data, Pod)))) == []


@settings(max_examples=60, deadline=None)
@given(PODS)
def test_a_published_pod_reads_back_as_the_same_pod(data):
    pod = from_wire(data, Pod)

    assert from_wire(to_wire(pod), Pod) == _with_empty_texts_absent(pod)


def _with_empty_texts_absent(obj):
    """`""` and absent are the same on the wire, as are `None` and an empty collection of JSON."""
    return from_wire(to_wire(obj), type(obj))


@settings(max_examples=40, deadline=None)
@given(PODS)
def test_defaulting_twice_changes_nothing(data):
    """DEF-1 to DEF-4."""
    default_pod(data)
    once = from_wire(data, Pod)

    assert with_defaults(once) == with_defaults(with_defaults(once))


def test_a_minimal_pod_is_published_with_the_defaults():
    """DEF-1, DEF-2."""
    data = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    default_pod(data)

    assert to_wire(from_wire(data, Pod)) == {
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "containers": [
                {
                    "name": "c",
                    "image": "nginx",
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "imagePullPolicy": "Always",
                }
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "securityContext": {},
            "enableServiceLinks": True,
            "serviceAccountName": "default",
            "schedulerName": "default-scheduler",
            "dnsPolicy": "ClusterFirst",
        },
        "apiVersion": "v1",
        "kind": "Pod",
    }


def test_status_shows_its_zeros_and_its_empty_last_state():
    """STATUS-1."""
    status = ContainerStatus("c", ContainerState(running=ContainerStateRunning("2026-01-02T03:04:05Z")))

    assert to_wire(status) == {
        "name": "c",
        "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}},
        "lastState": {},
        "ready": False,
        "restartCount": 0,
        "image": "",
        "imageID": "",
    }
    assert to_wire(PodStatus()) == {"phase": "Pending"}
    assert to_wire(JobStatus(failed=2)) == {"failed": 2}


def test_zeros_that_differ_from_the_default_are_published():
    spec = PodSpec((Container("c"),), termination_grace_period_seconds=0, enable_service_links=False)
    wire = to_wire(spec)

    assert wire["terminationGracePeriodSeconds"] == 0
    assert wire["enableServiceLinks"] is False
    assert "hostNetwork" not in wire


def test_empty_objects_are_published():
    assert to_wire(Volume("v", empty_dir=EmptyDirVolumeSource())) == {"name": "v", "emptyDir": {}}


def test_bytes_are_base64_on_the_wire():
    secret = Secret(ObjectMeta("s"), {"k": b"\x00\xff"})
    config_map = from_wire({"metadata": {"name": "c"}, "binaryData": {"k": "AP8="}}, ConfigMap)

    assert to_wire(secret)["data"] == {"k": "AP8="}
    assert config_map.binary_data == {"k": b"\x00\xff"}


def test_objects_are_values():
    data = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "command": ["a"], "env": []}]}}
    container = from_wire(data, Pod).spec.containers[0]

    assert container.command == ("a",)
    assert container.env == ()
    assert attrs.evolve(container, name="d") != container


def test_job_defaults():
    """DEF-6."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"restartPolicy": "Never", "containers": []}}
    data = {"metadata": {"name": "j"}, "spec": {"template": template}}
    default_job(data)
    job = from_wire(data, Job)

    assert (job.spec.completions, job.spec.parallelism, job.spec.backoff_limit) == (1, 1, 6)
    assert job.spec.pod_replacement_policy == "TerminatingOrFailed"
    assert job.metadata.labels == {"a": "b"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"parallelism": 3}, (None, 3, 6, "TerminatingOrFailed")),
        ({"completions": 3}, (3, 1, 6, "TerminatingOrFailed")),
        ({"completions": 2, "backoffLimitPerIndex": 1}, (2, 1, 2**31 - 1, "TerminatingOrFailed")),
        ({"podFailurePolicy": {"rules": []}}, (1, 1, 6, "Failed")),
    ],
)
def test_job_defaults_that_depend_on_other_fields(spec, expected):
    """DEF-6, JOB-3, JOB-5."""
    data = {"spec": {**spec, "template": {"spec": {"containers": []}}}}
    default_job(data)
    made = from_wire(data, Job).spec

    assert (made.completions, made.parallelism, made.backoff_limit, made.pod_replacement_policy) == expected


def test_container_defaults():
    """DEF-2, PROBE-2, DEF-4, TERM-4."""
    data = {
        "spec": {
            "terminationGracePeriodSeconds": -5,
            "restartPolicy": "",
            "volumes": [{"name": "v"}],
            "containers": [
                {
                    "name": "c",
                    "image": "registry:5000/x:1",
                    "resources": {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "500m"}},
                    "livenessProbe": {
                        "httpGet": {"port": 80, "path": "", "scheme": ""},
                        "periodSeconds": 0,
                        "timeoutSeconds": 0,
                        "failureThreshold": 0,
                        "successThreshold": 0,
                    },
                }
            ],
        }
    }
    default_pod(data)
    pod = from_wire(data, Pod)
    (container,) = pod.spec.containers
    probe = container.liveness_probe

    assert pod.spec.termination_grace_period_seconds == 1
    assert pod.spec.restart_policy == "Always"
    assert pod.spec.volumes == (Volume("v", empty_dir=EmptyDirVolumeSource()),)
    assert container.image_pull_policy == "IfNotPresent"
    assert container.resources.requests == {"cpu": "500m", "memory": "1Gi"}
    assert (probe.period_seconds, probe.timeout_seconds) == (10, 1)
    assert (probe.failure_threshold, probe.success_threshold) == (3, 1)
    assert (probe.http_get.path, probe.http_get.scheme) == ("/", "HTTP")
