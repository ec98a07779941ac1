"""Ports that containers of one run cannot all have, found before anything is started (LOCAL-4, VALID-18).

All containers share the host's ports. Containers of one pod share them in a cluster too, so a port that two
of them declare is a fault; pods that would be kept apart in a cluster are only warned about, since a port
that is declared need not be listened on. Plain init containers are over before the main containers begin.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from minikubelet.api.errors import FieldError, Notice, Origin
from minikubelet.api.manifest import Manifest
from minikubelet.api.pod import PodSpec
from minikubelet.api.values import frozen

if TYPE_CHECKING:
    from minikubelet.api.job import JobSpec


@frozen
class _Declared:
    """A port in a pod spec, and where it is written."""

    number: str
    "`8080/TCP`."
    container: str
    path: str
    "From the pod on: `spec.containers[0].ports[1]`."
    is_kept: bool
    "Declared by a container that runs as long as the pod does."


@frozen(eq=False)
class _Template:
    spec: PodSpec
    origin: Origin
    pods: int
    "How many of it run at the same time."

    @property
    def name(self) -> str:
        return self.origin.object


def port_faults(manifest: Manifest) -> list[FieldError]:
    """Ports that two containers declare which run together in one pod."""
    faults = []
    for template in _templates(manifest):
        first: dict[str, _Declared] = {}
        for port in _ports(template.spec):
            other = first.get(port.number)
            if other is not None and other.container != port.container:
                message = (
                    f"port {port.number} is declared by container {other.container} too ({other.path}): "
                    "containers of a pod share its ports, in a cluster as well as here, so only one of them "
                    "can listen on it; give them different ports"
                )
                faults.append(template.origin.error(f"{port.path}.containerPort", message))
            elif port.is_kept:
                first.setdefault(port.number, port)
    return faults


def port_notices(manifest: Manifest) -> list[Notice]:
    """Ports that containers of different pods declare, one notice for each port."""
    return [
        Notice(_clash(number, places), tuple(template.name for template in places))
        for number, places in _clashes(manifest).items()
    ]


def clashing_ports(manifest: Manifest) -> frozenset[str]:
    """Ports that containers of different pods declare: `8080/TCP`."""
    return frozenset(_clashes(manifest))


def declared_ports(spec: PodSpec) -> frozenset[str]:
    """Ports that the containers of a pod keep: `8080/TCP`."""
    return frozenset(port.number for port in _ports(spec) if port.is_kept)


def _clashes(manifest: Manifest) -> dict[str, dict[_Template, _Declared]]:
    """The ports, with who declares them, that more than one pod would have at a time."""
    declared: dict[str, dict[_Template, _Declared]] = {}
    for template in _templates(manifest):
        for port in _ports(template.spec):
            if port.is_kept:
                declared.setdefault(port.number, {}).setdefault(template, port)
    return {
        number: places for number, places in declared.items() if sum(template.pods for template in places) > 1
    }


def _clash(number: str, places: dict[_Template, _Declared]) -> str:
    shown = []
    for template, port in places.items():
        place = template.origin.error(f"{port.path}.containerPort", "")
        pods = f", {template.pods} pods" if template.pods > 1 else ""
        shown.append(f"container {port.container} ({place.file}:{place.line}{pods})")
    way_out = "give them different ports" if len(places) > 1 else "run one of these pods at a time"
    return (
        f"port {number} is declared by {' and '.join(shown)}: pods share the ports of this host, so the "
        f"first to listen on it keeps the others out; {way_out}"
    )


def _ports(spec: PodSpec) -> Iterator[_Declared]:
    """In the order of start. A sidecar keeps its ports, what starts after it has to do without them."""
    for field, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(containers):
            is_kept = container.name not in spec.plain_inits
            for number, port in enumerate(container.ports):
                path = f"spec.{field}[{index}].ports[{number}]"
                yield _Declared(f"{port.container_port}/{port.protocol}", container.name, path, is_kept)


def _templates(manifest: Manifest) -> Iterable[_Template]:
    """Each place in a file that pods are made from, once."""
    found: dict[str, _Template] = {}
    for pod in manifest.pods:
        known = found.get(pod.origin.object)
        pods = 1 if known is None else known.pods + 1
        found[pod.origin.object] = _Template(pod.obj.spec, pod.origin, pods)
    templates = list(found.values())
    templates += [
        _Template(job.obj.spec.template.spec, job.origin, _at_once(job.obj.spec)) for job in manifest.jobs
    ]
    templates += [
        _Template(
            one.obj.spec.job_template.spec.template.spec, one.origin, _at_once(one.obj.spec.job_template.spec)
        )
        for one in manifest.cron_jobs
    ]
    return [template for template in templates if template.pods]


def _at_once(spec: "JobSpec") -> int:
    parallelism = 1 if spec.parallelism is None else spec.parallelism
    return parallelism if spec.completions is None else min(parallelism, spec.completions)
