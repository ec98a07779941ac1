"""How far a pod's processes are kept apart from the rest of the machine, and why.

Responsible for the choice among the tiers; refuses to know how a tier is made (`mounts`, `sandbox`).
The one idea: a pod gets the least tier that its manifest needs, because every tier has its price (a pod
sandbox has no way out of the machine), and whatever it gets is told, with the field that asked for it.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Literal

from minikubelet.api.pod import Container, PodSpec
from minikubelet.api.values import frozen
from minikubelet.runtime.hosts import uses_cluster_names
from minikubelet.runtime.ports import declared_ports
from minikubelet.runtime.security import wants_id_map
from minikubelet.runtime.termination_message import TerminationMessage

TierName = Literal["none", "mounts", "pod"]
"""`none`: plain processes. `mounts`: each container that needs it sees mounts at their true paths, and its
root file system read-only where it asks for that. `pod`: a pod sandbox."""


Wish = Literal["auto", "none", "mounts", "pod"]


@frozen
class Tier:
    name: TierName
    why: str
    "The fields that asked for it; empty for plain processes that nothing asked more for."
    lacks: str = ""
    "Why there are no mount namespaces, where the manifest needs one."
    lacks_sandbox: str = ""
    "What asked for a pod sandbox, and why there is none."
    own_network: bool = False

    def keeps_processes_in(self, spec: PodSpec) -> bool:
        """Whether signals to all processes, or by name, end at the sandbox."""
        return self.name == "pod" and not spec.host_pid


@frozen
class Isolation:
    """What `--isolation` asked for, and what the pods of the run are to each other."""

    wish: Wish = "auto"
    with_names: bool = False
    "Pods of the run may look for each other by the names of Services, which are told in a hosts file."
    clashing_ports: frozenset[str] = frozenset()
    "Those that several pods of the run declare: `8080/TCP`."

    def tier_of(self, spec: PodSpec) -> Tier:
        """The tier of a pod; for `auto` the least that the manifest needs and the machine allows."""
        mounts = tuple(dict.fromkeys((*_wants_mounts(spec), *self.wants_hosts(spec))))
        network = () if spec.host_network else tuple(self._wants_network(spec))
        sandbox = (*(("shareProcessNamespace",) if spec.share_process_namespace else ()), *network)
        if self.wish == "none":
            lacks = "--isolation none forbids it"
            return Tier("none", "as asked for", lacks, f"{', '.join(sandbox)}: {lacks}" if sandbox else "")
        lacks_sandbox = ""
        if self.wish == "pod" or (self.wish == "auto" and sandbox):
            from minikubelet.runtime.sandbox import sandbox_trouble

            trouble = sandbox_trouble()
            if not trouble and self.wish == "pod":
                return Tier("pod", "as asked for", own_network=not spec.host_network)
            if not trouble:
                return Tier("pod", ", ".join(sandbox), own_network=bool(network))
            lacks_sandbox = f"{', '.join(sandbox)}: this machine allows no pod sandbox ({trouble})"
        if self.wish != "mounts" and not mounts:
            return Tier("none", "", lacks_sandbox=lacks_sandbox)
        from pathlib import Path

        from minikubelet.runtime.mounts import mount_support
        from minikubelet.runtime.run_directory import temporary_directory

        support = mount_support(Path(temporary_directory()))
        if support.kind == "none":
            lacks = f"this machine allows no mount namespace ({support.reason})"
            return Tier("none", "", lacks, lacks_sandbox)
        why = "as asked for" if self.wish == "mounts" else ", ".join(mounts)
        return Tier("mounts", why, lacks_sandbox=lacks_sandbox)

    def wants_hosts(self, spec: PodSpec) -> Sequence[str]:
        """Why a container of the pod needs a mount namespace for nothing but its hosts file, if it does."""
        aliases = ("hostAliases",) if spec.host_aliases else ()
        return (*aliases, "names of Services") if self.with_names and uses_cluster_names(spec) else aliases

    def _wants_network(self, spec: PodSpec) -> Iterator[str]:
        """Ports that the pod can only have in a network of its own.

        Pods that find each other by Services have to stay in one network, whatever their ports.
        """
        ports = declared_ports(spec)
        privileged = sorted(port for port in ports if is_privileged_port(int(port.partition("/")[0])))
        if privileged:
            yield f"port {', '.join(privileged)} without privilege"
        clashing = sorted(ports & self.clashing_ports)
        if clashing and not self.with_names:
            yield f"port {', '.join(clashing)} in several pods"


def is_privileged_port(number: int) -> bool:
    """Whether the host would not let us listen on it."""
    if os.geteuid() == 0:
        return False
    try:
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as first:
            return number < int(first.read())
    except (OSError, ValueError):
        return number < 1024


def _wants_mounts(spec: PodSpec) -> Iterator[str]:
    for container in spec.all_containers.values():
        if container.volume_mounts:
            yield "volumeMounts"
        if has_read_only_root(container):
            yield "readOnlyRootFilesystem"
        if TerminationMessage("", container).wants_mount:
            yield "terminationMessagePath"
        if wants_id_map(spec, container):
            yield "runAsUser"


def has_read_only_root(container: Container) -> bool:
    context = container.security_context
    return context is not None and bool(context.read_only_root_filesystem)
