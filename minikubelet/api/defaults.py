"""Fills in what the API server would (DEF-*), where it depends on more than one field.

Defaults that stand alone are those of the attrs classes. These work on plain data, in place, before it
becomes an object: a zero or an empty string in a field that has a default counts as absent, as in Go.
"""

from typing import Any, TypeVar

Data = dict[str, Any]
T = TypeVar("T")

_DEFAULTED_TEXT = {
    "restartPolicy",
    "dnsPolicy",
    "schedulerName",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_NUMBERS = ("timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def default_pod(pod: Data) -> None:
    pod.setdefault("metadata", {})
    default_pod_spec(pod.setdefault("spec", {}))


def default_pod_template(template: Data) -> None:
    metadata = template.setdefault("metadata", {})
    metadata["namespace"] = ""  # the owner's is what counts
    default_pod_spec(template.setdefault("spec", {}))


def default_pod_spec(spec: Data) -> None:
    """DEF-1, DEF-4; TERM-4: a negative grace period counts as one second."""
    _drop_empty(spec)
    spec.setdefault("containers", [])
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    else:
        spec.pop("serviceAccountName", None)
    for container in spec["containers"]:
        default_container(container)
    for container in spec.get("initContainers", ()):
        default_container(container)
    for volume in spec.get("volumes", ()):
        if volume.keys() <= {"name"}:
            volume["emptyDir"] = {}
        for source in ("secret", "configMap", "downwardAPI", "projected"):
            for item in _references(volume.get(source)):
                item["fieldRef"].setdefault("apiVersion", "v1")
                item["fieldRef"]["apiVersion"] = item["fieldRef"]["apiVersion"] or "v1"


def _references(source: Data | None) -> list[Data]:
    """The entries of a volume source that hold a fieldRef."""
    if source is None:
        return []
    items = list(source.get("items", ()))
    for projection in source.get("sources", ()):
        items += projection.get("downwardAPI", {}).get("items", ())
    return [item for item in items if "fieldRef" in item]


def default_container(container: Data) -> None:
    """DEF-2, DEF-3, DEF-5."""
    _drop_empty(container)
    if not container.get("restartPolicy"):
        container.pop("restartPolicy", None)
    if "imagePullPolicy" not in container and container.get("image"):
        container["imagePullPolicy"] = default_pull_policy(container["image"])
    for port in container.get("ports", ()):
        if not port.get("protocol", "TCP"):
            del port["protocol"]
    resources = container.get("resources")
    if resources and resources.get("limits"):
        resources["requests"] = {**resources["limits"], **resources.get("requests", {})}
    for variable in container.get("env", ()):
        source = variable.get("valueFrom")
        if source and not source.get("fieldRef", {"apiVersion": "v1"}).get("apiVersion", "v1"):
            del source["fieldRef"]["apiVersion"]
    for name in _PROBES:
        if name in container:
            probe = container[name]
            for number in _PROBE_NUMBERS:  # PROBE-2
                if probe.get(number) == 0:
                    del probe[number]
            _default_http(probe)
    if "lifecycle" in container:
        for handler in container["lifecycle"].values():
            if isinstance(handler, dict):
                _default_http(handler)


def _default_http(handler: Data) -> None:
    action = handler.get("httpGet", {})
    for name in ("path", "scheme"):
        if action.get(name) == "":
            del action[name]


def _drop_empty(data: Data) -> None:
    for name in _DEFAULTED_TEXT & data.keys():
        if not data[name]:
            del data[name]


def default_pull_policy(image: str) -> str:
    """`Always` for the tag `latest` and for no tag at all; a digest is a tag enough."""
    reference, _, digest = image.partition("@")
    tag = reference.rpartition("/")[2].partition(":")[2]
    return "IfNotPresent" if digest or tag not in ("", "latest") else "Always"


def default_job(job: Data) -> None:
    """DEF-6."""
    metadata = job.setdefault("metadata", {})
    spec = job.setdefault("spec", {})
    template = spec.setdefault("template", {})
    default_pod_template(template)
    if not metadata.get("labels") and template["metadata"].get("labels"):
        metadata["labels"] = dict(template["metadata"]["labels"])
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6 if "backoffLimitPerIndex" not in spec else 2**31 - 1)
    for name in ("completionMode", "podReplacementPolicy"):
        if spec.get(name) == "":
            del spec[name]
    policy = spec.get("podFailurePolicy")
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed" if policy is None else "Failed")
    for rule in (policy or {}).get("rules", ()):
        for pattern in rule.get("onPodConditions", ()):
            if pattern.get("status") == "":
                del pattern["status"]


def default_cron_job(spec: Data) -> None:
    """Of a CronJob's spec."""
    template = spec.setdefault("jobTemplate", {})
    default_job(template)
    template["metadata"]["namespace"] = ""  # the owner's is what counts
    if not spec.get("concurrencyPolicy"):
        spec.pop("concurrencyPolicy", None)


def default_service(service: Data) -> None:
    spec = service.setdefault("spec", {})
    for name in ("type", "sessionAffinity"):
        if not spec.get(name):
            spec.pop(name, None)
    for port in spec.get("ports", ()):
        if not port.get("protocol"):
            port.pop("protocol", None)


def with_defaults(obj: T) -> T:
    """A Pod or a Job made in Python, as the API server would hand it back."""
    from minikubelet.api.codec import from_wire, to_wire

    data = to_wire(obj)
    (default_job if data["kind"] == "Job" else default_pod)(data)
    return from_wire(data, type(obj))
