"""Refuses what the API server would refuse in security contexts, enforced here or not."""

from typing import Any

from minikubelet.api.patterns import pattern
from minikubelet.api.pod import PodSecurityContext, SecurityContext
from minikubelet.api.rules import Complaints, duplicate, forbidden, invalid, one_of, required

_HIGHEST_ID = 2**31 - 1


def validate_pod_security(context: PodSecurityContext, path: str) -> Complaints:
    yield from _validate_common(context, path)
    for field, value in (
        ("fsGroup", context.fs_group),
        *((f"supplementalGroups[{index}]", value) for index, value in enumerate(context.supplemental_groups)),
    ):
        yield from _validate_id(f"{path}.{field}", value)
    for field, choice, supported in (
        ("fsGroupChangePolicy", context.fs_group_change_policy, ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", context.supplemental_groups_policy, ("Merge", "Strict")),
        ("seLinuxChangePolicy", context.se_linux_change_policy, ("MountOption", "Recursive")),
    ):
        if choice:
            yield from one_of(f"{path}.{field}", choice, supported)
    names: set[str] = set()
    sysctls: Any = context.sysctls or ()
    for index, sysctl in enumerate(sysctls):
        name, where = sysctl["name"], f"{path}.sysctls[{index}].name"
        if not name:
            yield where, required()
        elif len(name) > 253 or not _SYSCTL.fullmatch(name):
            yield (
                where,
                invalid(name, "must be the name of a kernel parameter, such as kernel.shm_rmid_forced"),
            )
        elif name in names:
            yield where, duplicate(name)
        names.add(name)


_SYSCTL = pattern(r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*")


def validate_container_security(context: SecurityContext, path: str) -> Complaints:
    yield from _validate_common(context, path)
    if context.proc_mount:
        yield from one_of(f"{path}.procMount", context.proc_mount, ("Default", "Unmasked"))
    if context.allow_privilege_escalation is False:
        capabilities: Any = context.capabilities or {}
        if context.privileged:
            why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            yield f"{path}.allowPrivilegeEscalation", invalid("false", why)
        if "CAP_SYS_ADMIN" in (capabilities.get("add") or ()):
            why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            yield f"{path}.allowPrivilegeEscalation", invalid("false", why)


def _validate_common(context: PodSecurityContext | SecurityContext, path: str) -> Complaints:
    yield from _validate_id(f"{path}.runAsUser", context.run_as_user)
    yield from _validate_id(f"{path}.runAsGroup", context.run_as_group)
    for field, profile in (
        ("seccompProfile", context.seccomp_profile),
        ("appArmorProfile", context.app_armor_profile),
    ):
        if profile is not None:
            yield from _validate_profile(profile, f"{path}.{field}")


def _validate_id(path: str, value: int | None) -> Complaints:
    if value is not None and not 0 <= value <= _HIGHEST_ID:
        yield path, invalid(value, f"must be between 0 and {_HIGHEST_ID}, inclusive")


def _validate_profile(profile: Any, path: str) -> Complaints:
    kind, local = profile["type"], profile.get("localhostProfile")
    yield from one_of(f"{path}.type", kind, ("Localhost", "RuntimeDefault", "Unconfined"))
    if kind == "Localhost" and not local:
        yield f"{path}.localhostProfile", required("must be set when type is Localhost")
    elif kind != "Localhost" and local is not None:
        yield f"{path}.localhostProfile", forbidden("can only be set when type is Localhost")
