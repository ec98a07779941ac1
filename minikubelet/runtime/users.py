"""Who a container runs as: ids that the manifest asks for, and names of the host's users and groups."""

import os
from functools import cache

from minikubelet.api.pod import Container, PodSpec
from minikubelet.api.values import evolve, frozen
from minikubelet.runtime.base import StartError

CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN = 6, 7, 21


@frozen
class Identity:
    """Who a container's processes are meant to be."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    "Supplementary groups."
    home: str = "/"


def wanted_ids(spec: PodSpec, container: Container) -> tuple[int | None, int | None]:
    """`runAsUser` and `runAsGroup`, the container's own before the pod's."""
    contexts = [context for context in (container.security_context, spec.security_context) if context]
    uids = (context.run_as_user for context in contexts if context.run_as_user is not None)
    gids = (context.run_as_group for context in contexts if context.run_as_group is not None)
    return next(uids, None), next(gids, None)


def wanted_groups(spec: PodSpec) -> tuple[int, ...]:
    """`fsGroup` and `supplementalGroups`."""
    context = spec.security_context
    own = () if context.fs_group is None else (context.fs_group,)
    return tuple(dict.fromkeys((*own, *context.supplemental_groups)))


def find_identity(spec: PodSpec, container: Container, image_user: str | None) -> Identity | None:
    """Who the manifest, or else the image, wants the container to run as; None if neither says anything.

    Raises `StartError` for names that this host does not know.
    """
    uid, gid = wanted_ids(spec, container)
    groups = wanted_groups(spec)
    if uid is None and gid is None and not groups and image_user is None:
        return None
    of_image = image_user is not None and uid is None
    found = _look_up(image_user if of_image and image_user is not None else str(_or(uid, os.geteuid())))
    if spec.security_context.supplemental_groups_policy == "Strict":
        found = evolve(found, groups=())
    return evolve(
        found,
        gid=_or(gid, found.gid if uid is not None or of_image else os.getegid()),
        groups=tuple(dict.fromkeys((*found.groups, *groups))),
    )


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _id(text: str) -> int | None:
    """None for a name, and for what no id can be; the last one stands for none (setresuid(2))."""
    is_short = len(text) <= 10 and text.isascii() and text.isdigit()
    return int(text) if is_short and int(text) < 2**32 - 1 else None


def _look_up(text: str) -> Identity:
    """`name`, `uid`, `name:group` or `uid:gid`. A uid that nobody has gets group 0, as in a container."""
    import grp
    import pwd

    name, _, group = text.partition(":")
    number = _id(name)
    try:
        entry = pwd.getpwnam(name) if number is None else pwd.getpwuid(number)
        uid, gid, home, login = entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_name
    except KeyError:
        if number is None:
            raise StartError("CreateContainerConfigError", f'no user "{name}" on this host') from None
        uid, gid, home, login = number, 0, "/", None
    if group:
        try:
            gid = grp.getgrnam(group).gr_gid if (found := _id(group)) is None else found
        except KeyError:
            raise StartError("CreateContainerConfigError", f'no group "{group}" on this host') from None
    groups = tuple(os.getgrouplist(login, gid)) if login is not None else ()
    return Identity(uid, gid, tuple(other for other in groups if other != gid), home)


# ------------------------------------------------------------------ what we may do about it


def may_become(identity: Identity) -> bool:
    """Whether a process of ours can be given these ids: we are root, and have ids to give away."""
    if os.geteuid() != 0 or not (has_capability(CAP_SETGID) and has_capability(CAP_SETUID)):
        return False
    return is_mapped("uid", identity.uid) and all(
        is_mapped("gid", gid) for gid in (identity.gid, *identity.groups)
    )


@cache
def has_capability(number: int) -> bool:
    """Whether we have one of capabilities(7)."""
    with open("/proc/self/status") as lines:
        effective = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return bool(effective >> number & 1)


@cache
def is_mapped(kind: str, number: int) -> bool:
    """user_namespaces(7): a container's root may have few ids besides its own."""
    with open(f"/proc/self/{kind}_map") as lines:
        ranges = [tuple(map(int, line.split())) for line in lines]
    return any(first <= number < first + length for first, _, length in ranges)
