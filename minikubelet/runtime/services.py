"""How pods of one run find each other: Services as environment variables and as names (see `hosts`).

There is no proxy and no DNS server. Every pod is at 127.0.0.1, so a Service is only told: its host is that
address, and its port is the one that its pods really listen on (`targetPort`), which is what differs from a
cluster. Variables whose name holds the port keep the Service's. There are no KUBERNETES_SERVICE_HOST and
_PORT: client libraries take them to mean that there is an API server to talk to.

Everything here is a pure function of the manifest; nobody's readiness is asked.
"""

from collections.abc import Iterable, Iterator, Mapping

from minikubelet.api.errors import Notice
from minikubelet.api.manifest import Loaded, Manifest
from minikubelet.api.pod import Pod, PodSpec
from minikubelet.api.service import Service, ServicePort
from minikubelet.api.values import evolve, frozen
from minikubelet.runtime.hosts import ADDRESS, CLUSTER_DOMAIN, uses_cluster_names

_MOST_PEERS = 1000  # names of an Indexed Job's pods; a hosts file is read from the top for each look-up


@frozen
class Target:
    """A port of a Service and where it leads."""

    port: ServicePort
    number: int
    "On which the pods listen."


@frozen
class Discovered:
    """A Service that has pods, or could have."""

    namespace: str
    name: str
    selector: Mapping[str, str]
    is_headless: bool
    targets: tuple[Target, ...]

    def selects(self, namespace: str, labels: Mapping[str, str]) -> bool:
        return bool(self.selector) and self.namespace == namespace and _matches(self.selector, labels)


@frozen
class Peer:
    """A pod with a name of its own behind a headless Service: `hostname.subdomain`."""

    namespace: str
    subdomain: str
    hostname: str


@frozen
class Discovery:
    """What the pods of a run are told about each other."""

    services: tuple[Discovered, ...] = ()
    peers: tuple[Peer, ...] = ()

    wants_names: bool = False
    "There are several pods, so that one may look for another by the name of a Service."

    def variables(self, pod: Pod) -> dict[str, str]:
        """Those of the Services in the pod's namespace (`envvars.FromServices`); none if it wants no links.

        They come before everything that the container declares, which wins (ENV-1). A headless Service has
        no address to tell.
        """
        if not pod.spec.enable_service_links:
            return {}
        found: dict[str, str] = {}
        for service in self.services:
            if service.namespace == pod.metadata.namespace and not service.is_headless:
                found |= service_variables(service)
        return found

    def names(self, pod: Pod) -> Iterator[tuple[str, ...]]:
        """What the cluster's DNS would have told the pod, all of it at 127.0.0.1: one entry for each Service
        and for each pod behind a headless one, with all forms of its name."""
        if not uses_cluster_names(pod.spec):
            return
        near = pod.metadata.namespace
        for service in self.services:
            yield _forms(service.name, service.namespace, near)
        for peer in self.peers:
            yield _forms(f"{peer.hostname}.{peer.subdomain}", peer.namespace, near)


def _forms(name: str, namespace: str, near: str) -> tuple[str, ...]:
    """A name as a pod in namespace `near` can write it, given the search domains of its resolv.conf."""
    full = f"{name}.{namespace}.{CLUSTER_DOMAIN}"
    forms = (full, f"{name}.{namespace}.svc", f"{name}.{namespace}")
    return (*forms, name) if namespace == near else forms


# ------------------------------------------------------------------ from the manifest


@frozen
class _Pods:
    """Pods that are alike, as far as Services can tell."""

    namespace: str
    labels: Mapping[str, str]
    spec: PodSpec


def discover(manifest: Manifest) -> Discovery:
    """Work out what the Services of a manifest stand for."""
    if not manifest.services:
        return Discovery()
    pods = list(_pods(manifest))
    services = tuple(
        _discovered(loaded.obj, pods) for loaded in manifest.services if not loaded.obj.spec.is_external
    )
    pods_at_once = (
        len(manifest.pods)
        + sum(loaded.obj.spec.parallelism or 1 for loaded in manifest.jobs)
        + len(manifest.cron_jobs)
    )
    headless = {(s.namespace, s.name) for s in services if s.is_headless}
    peers = (peer for peer in _peers(manifest) if (peer.namespace, peer.subdomain) in headless)
    return Discovery(services, tuple(dict.fromkeys(peers)), wants_names=bool(services) and pods_at_once > 1)


def service_notices(manifest: Manifest) -> list[Notice]:
    """What of the Services is not as in a cluster."""
    pods = list(_pods(manifest))
    return [notice for loaded in manifest.services for notice in _notices(loaded, pods)]


def _notices(loaded: Loaded[Service], pods: Iterable[_Pods]) -> Iterator[Notice]:
    service = loaded.obj
    if service.spec.is_external:
        return
    found = _discovered(service, pods)
    if found.selector and not any(found.selects(one.namespace, one.labels) for one in pods):
        yield Notice("selects no pod of this run", (loaded.origin.object,))
    moved = [target for target in found.targets if target.number != target.port.port]
    if moved and not found.is_headless:
        ports = ", ".join(f"{target.number} instead of {target.port.port}" for target in moved)
        why = f"there is no proxy: pods are told the port that is listened on, {ports}"
        yield Notice(why, (loaded.origin.object,))


def _discovered(service: Service, pods: Iterable[_Pods]) -> Discovered:
    meta, spec = service.metadata, service.spec
    found = Discovered(meta.namespace, meta.name, spec.selector, spec.is_headless, ())
    chosen = [one.spec for one in pods if found.selects(one.namespace, one.labels)]
    targets = tuple(Target(port, _number(port, chosen)) for port in spec.ports)
    return evolve(found, targets=targets)


def _number(port: ServicePort, chosen: Iterable[PodSpec]) -> int:
    """The targetPort as a number; a name is that of a container's port, the first of the pods decides.

    A name that no pod has falls back on the Service's own port, as somebody outside of the run may serve it.
    """
    target = port.target_port or port.port
    if isinstance(target, int):
        return target
    for spec in chosen:
        for container in spec.all_containers.values():
            for known in container.ports:
                if known.name == target and known.protocol == port.protocol:
                    return known.container_port
    return port.port


def _pods(manifest: Manifest) -> Iterator[_Pods]:
    for pod in manifest.pods:
        yield _Pods(pod.obj.metadata.namespace, pod.obj.metadata.labels, pod.obj.spec)
    for job in manifest.jobs:
        meta, template = job.obj.metadata, job.obj.spec.template
        own = {"job-name": meta.name, "batch.kubernetes.io/job-name": meta.name}
        yield _Pods(meta.namespace, {**template.metadata.labels, **own}, template.spec)
    for cron_job in manifest.cron_jobs:
        template = cron_job.obj.spec.job_template.spec.template
        yield _Pods(cron_job.obj.metadata.namespace, template.metadata.labels, template.spec)


def _peers(manifest: Manifest) -> Iterator[Peer]:
    """Every pod that has a hostname and a subdomain; those of Indexed Jobs have the hostname JOB-INDEX."""
    for pod in manifest.pods:
        spec = pod.obj.spec
        if spec.subdomain and spec.hostname:
            yield Peer(pod.obj.metadata.namespace, spec.subdomain, spec.hostname)
    for job in manifest.jobs:
        meta, spec = job.obj.metadata, job.obj.spec.template.spec
        if not spec.subdomain:
            continue
        if job.obj.spec.completion_mode == "Indexed":
            for index in range(min(job.obj.spec.completions or 0, _MOST_PEERS)):
                yield Peer(meta.namespace, spec.subdomain, f"{meta.name}-{index}")
        elif spec.hostname:
            yield Peer(meta.namespace, spec.subdomain, spec.hostname)


def _matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


# ------------------------------------------------------------------ variables


def service_variables(service: Discovered) -> dict[str, str]:
    """`envvars.FromServices` for one Service that has ports: its own variables and Docker's links."""
    prefix = _variable_name(service.name)
    if not service.targets:
        return {}
    found = {f"{prefix}_SERVICE_HOST": ADDRESS, f"{prefix}_SERVICE_PORT": str(service.targets[0].number)}
    for target in service.targets:
        if target.port.name:
            found[f"{prefix}_SERVICE_PORT_{_variable_name(target.port.name)}"] = str(target.number)
    for target in service.targets:
        protocol = target.port.protocol
        url = f"{protocol.lower()}://{ADDRESS}:{target.number}"
        found.setdefault(f"{prefix}_PORT", url)
        link = f"{prefix}_PORT_{target.port.port}_{protocol.upper()}"
        found[link] = url
        found[f"{link}_PROTO"] = protocol.lower()
        found[f"{link}_PORT"] = str(target.number)
        found[f"{link}_ADDR"] = ADDRESS
    return found


def _variable_name(name: str) -> str:
    return name.replace("-", "_").upper()
