"""A pod's own /etc/hosts, for pods whose containers have a mount namespace to see it in.

A kubelet's file knows the pod and its hostAliases, and leaves the rest to DNS. There is no DNS server here,
so what it would answer stands in the file too, and so does what the host's file says: the host's network is
the pod's. Pure functions of text, but for `write_hosts`.
"""

import os
from collections.abc import Iterable, Iterator, Sequence

from minikubelet.api.pod import Pod, PodSpec
from minikubelet.runtime.planted import open_regular
from minikubelet.runtime.removal import remove_tree

ADDRESS = "127.0.0.1"
"Of every pod and every Service."

HOSTS_PATH = "/etc/hosts"
CLUSTER_DOMAIN = "svc.cluster.local"


def write_hosts(file: str, pod: Pod, hostname: str, names: Iterable[tuple[str, ...]]) -> None:
    """Bring the pod's hosts file up to date, in place, so that containers that have it mounted see it.

    Raises `OSError`.
    """
    try:
        with open(HOSTS_PATH, encoding="utf-8", errors="replace") as of_host:
            host_file = of_host.read()
    except FileNotFoundError:
        host_file = ""
    text = hosts_text(pod, hostname, host_file, names)
    with open(_opened(file), "r+b", buffering=0) as stream:
        if stream.read() != text.encode():
            stream.seek(0)
            stream.truncate()
            stream.write(text.encode())
            os.fchmod(stream.fileno(), 0o644)


def _opened(file: str) -> int:
    """A container that has replaced its file by something else gets a new one."""
    try:
        return open_regular(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        remove_tree(file)
        return open_regular(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)


def has_own_hosts(targets: Iterable[str]) -> bool:
    """Whether what is mounted there hides the place of the hosts file; such a container brings its own."""
    return any(target in (HOSTS_PATH, "/etc", "/") for target in targets)


def uses_cluster_names(spec: PodSpec) -> bool:
    """Whether the pod would ask the cluster's DNS (`getPodDNSType`)."""
    if spec.dns_policy == "ClusterFirstWithHostNet":
        return True
    return spec.dns_policy == "ClusterFirst" and not spec.host_network


def hosts_text(pod: Pod, hostname: str, host_file: str, names: Iterable[tuple[str, ...]]) -> str:
    """The text of a pod's /etc/hosts: the host's lines, then the pod itself, its hostAliases, and `names`,
    which are all at 127.0.0.1.

    `host_file` is the text of the host's own file. A name is taken from it, or from `names`, only if nothing
    that is nearer to the pod knows it: in a cluster, too, hostAliases win over DNS.
    """
    meta, spec = pod.metadata, pod.spec
    aliases = [(alias.ip, alias.hostnames) for alias in spec.host_aliases]
    own: list[tuple[str, ...]] = []
    if not spec.host_network:
        full = f"{hostname}.{spec.subdomain}.{meta.namespace}.{CLUSTER_DOMAIN}" if spec.subdomain else ""
        own = [tuple(dict.fromkeys(filter(None, (full, hostname))))]
    known = {name for _, listed in aliases for name in listed} | {name for listed in own for name in listed}
    cluster = []
    for listed in names:
        fresh = tuple(name for name in listed if name not in known)
        known.update(fresh)
        if fresh:
            cluster.append(fresh)
    lines = [f"# Hosts file of pod {meta.namespace}/{meta.name}."]
    lines += _without(host_file, known - {"localhost"})
    lines += [_line(ADDRESS, listed) for listed in own]
    if aliases:
        lines += ["# Entries added by HostAliases.", *(_line(ip, listed) for ip, listed in aliases)]
    if cluster:
        lines += [
            "# Services, and pods that have a name in one.",
            *(_line(ADDRESS, listed) for listed in cluster),
        ]
    return "\n".join(lines) + "\n"


def _line(address: str, names: Sequence[str]) -> str:
    return "\t".join((address, *names))


def _without(hosts: str, known: set[str]) -> Iterator[str]:
    """The lines of a hosts file, less the names that are known better."""
    for line in hosts.splitlines():
        entry, mark, comment = line.partition("#")
        address, *names = entry.split() or [""]
        if known.isdisjoint(names):
            yield line
        elif kept := [name for name in names if name not in known]:
            yield _line(address, kept) + (f" {mark}{comment}" if mark else "")
