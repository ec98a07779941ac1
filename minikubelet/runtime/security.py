"""What a `securityContext` means for processes of this machine.

Responsible for who a container's processes are and what they may become, and for saying what of that
cannot be had here. Refuses to know how processes are started: it gives a value and the words that make
it true. The one idea: nothing is refused for its securityContext alone (`runAsNonRoot` is the one check
that Kubernetes makes, too). What root can do is done as in a cluster; without root, a user namespace
makes a process *appear* as the user that was asked for, and what is left is told in a notice (LOCAL-6).
"""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property

from minikubelet.api.pod import Container, Pod, PodSpec, SecurityContext
from minikubelet.api.values import frozen
from minikubelet.runtime.base import StartError
from minikubelet.runtime.spawn import User
from minikubelet.runtime.users import Identity, find_identity, may_become, wanted_groups, wanted_ids

CAPABILITIES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
    SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
    AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
    PERFMON BPF CHECKPOINT_RESTORE
"""
"""In the order of their numbers, capabilities(7)."""


@frozen
class Security:
    """Who a container's processes are, and what they may become."""

    user: User | None = None
    "Whom to become; only root can."
    seen_as: tuple[int, int] | None = None
    "The uid and gid that a user namespace shows instead of ours."
    home: str | None = None
    "Home directory of whoever it runs as, where somebody was asked for."
    no_new_privs: bool = False
    "execve(2) grants nothing that the process lacks, as with setuid programs (`PR_SET_NO_NEW_PRIVS`)."
    dropped: frozenset[str] = frozenset()
    "Capabilities that it shall never have."

    @property
    def needs_setpriv(self) -> bool:
        """Whether more is wanted than ids, which cost no program."""
        return self.no_new_privs or bool(self.dropped)

    @cached_property
    def setpriv(self) -> tuple[str, ...]:
        """The words before a command that make it all true, but for `seen_as`; none if nothing is wanted."""
        from minikubelet.runtime.mounts import find_tool

        words: list[str] = []
        if (user := self.user) is not None:
            groups = f"--groups={','.join(map(str, user.groups))}" if user.groups else "--clear-groups"
            words += [f"--reuid={user.uid}", f"--regid={user.gid}", groups]
        if self.dropped:
            words.append(f"--bounding-set={','.join(f'-{name.lower()}' for name in sorted(self.dropped))}")
        if self.no_new_privs:
            words.append("--no-new-privs")
        return (find_tool("setpriv"), *words, "--") if words else ()


def container_security(
    pod: Pod, container: Container, image_user: str | None, *, has_namespace: bool
) -> Security:
    """What a container's securityContext, its pod's, and its image's user come to.

    `has_namespace`: the container gets a mount namespace of its own. Raises `StartError` for a user that
    the host does not know, and STATUS-8: for `runAsNonRoot` where it would be root.
    """
    spec = pod.spec
    if container.security_context is None and spec.secures_nothing and image_user is None:
        return Security()  # as most have it
    identity = find_identity(spec, container, image_user)
    user, seen_as = None, None
    if identity is not None and may_become(identity):
        user = User(identity.uid, identity.gid, identity.groups)
    elif has_namespace and wants_id_map(spec, container) and identity is not None:
        seen_as = identity.uid, identity.gid
    becomes = identity if user is not None or seen_as is not None else None
    _check_non_root(pod, container, os.geteuid() if becomes is None else becomes.uid)
    context = container.security_context or SecurityContext()
    return Security(
        user,
        seen_as,
        None if becomes is None or becomes.uid == os.geteuid() else becomes.home,
        no_new_privs=context.allow_privilege_escalation is False or context.privileged is False,
        dropped=frozenset(_dropped(context)) if os.geteuid() == 0 else frozenset(),
    )


def wants_id_map(spec: PodSpec, container: Container) -> bool:
    """Whether the manifest asks for ids that only a user namespace can show, since we cannot become them."""
    uid, gid = wanted_ids(spec, container)
    if uid in (None, os.geteuid()) and gid in (None, os.getegid()):
        return False
    identity = find_identity(spec, container, None)
    return identity is not None and not may_become(identity)


def _check_non_root(pod: Pod, container: Container, uid: int) -> None:
    """`verifyRunAsNonRoot`, security_context.go; it looks at the ids wherever they come from."""
    contexts = (container.security_context, pod.spec.security_context)
    asked = next((c.run_as_non_root for c in contexts if c and c.run_as_non_root is not None), False)
    if not asked:
        return
    wanted, _ = wanted_ids(pod.spec, container)
    meta = pod.metadata
    where = f'(pod: "{meta.name}_{meta.namespace}({meta.uid})", container: {container.name})'
    if wanted == 0:
        problem = "container's runAsUser breaks non-root policy"
    elif uid == 0:
        problem = "container has runAsNonRoot and image will run as root"
    else:
        return
    raise StartError("CreateContainerConfigError", f"{problem} {where}")


def _dropped(context: SecurityContext) -> set[str]:
    """What `capabilities.drop` takes and `add` does not give back."""
    listed = context.capabilities or {}
    drop = {_plain(name) for name in listed.get("drop", ())}
    if not drop:
        return drop
    add = {_plain(name) for name in listed.get("add", ())}
    every = _known_capabilities()
    if "ALL" in drop:
        drop = set(every)
    if "ALL" in add:
        return set()
    return (drop & set(every)) - add


def _plain(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _known_capabilities() -> Sequence[str]:
    """Those of this kernel; setpriv(1) refuses to drop others."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return CAPABILITIES.split()[: int(file.read()) + 1]


# ------------------------------------------------------------------ what cannot be had


def shortfalls(spec: PodSpec, container: Container, *, has_namespace: bool) -> Iterator[tuple[str, str]]:
    """Fields of the securityContext that do not come true here, each with the reason, for a notice."""
    context = container.security_context or SecurityContext()
    if not has_namespace and wants_id_map(spec, container):
        wanted = zip(("runAsUser", "runAsGroup"), wanted_ids(spec, container), strict=True)
        for field, number in wanted:
            if number is not None:
                yield field, "only root, or a user namespace, can show processes other ids than ours"
    if not may_become(Identity(os.geteuid(), os.getegid(), wanted_groups(spec))):
        if set(spec.security_context.supplemental_groups) - {os.getegid(), *os.getgroups()}:
            yield "supplementalGroups", "only root can give processes other groups"
        if context.privileged:
            yield "privileged", _NOT_OURS
        if (context.capabilities or {}).get("add"):
            yield "capabilities.add", _NOT_OURS


_NOT_OURS = "processes get no capabilities that we do not have"
