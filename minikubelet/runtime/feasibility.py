"""What of a manifest this machine cannot run, or not quite as it says, found before anything is started.

Every fault carries file, line, object and field path, and all of them are reported at once; remarks are
for what runs all the same.
"""

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from minikubelet.api.errors import FieldError, Notice, Origin
from minikubelet.api.manifest import Manifest
from minikubelet.api.patterns import pattern
from minikubelet.api.pod import Container, Lifecycle, LifecycleHandler, PodSpec, Probe
from minikubelet.api.values import evolve
from minikubelet.runtime.images import ImageResolver, UnresolvedImage, ways_out
from minikubelet.runtime.isolation import Isolation, Tier, Wish, has_read_only_root
from minikubelet.runtime.ports import clashing_ports, port_faults, port_notices
from minikubelet.runtime.security import shortfalls
from minikubelet.runtime.termination_message import TerminationMessage

if TYPE_CHECKING:
    from minikubelet.runtime.services import Discovery


def faults(manifest: Manifest, images: ImageResolver, isolation: Isolation | None = None) -> list[FieldError]:
    """Images that nobody can resolve, and mounts and sandboxes that cannot be honoured here."""
    isolation = isolation or isolation_for(manifest, "auto")
    found: list[FieldError] = []
    for spec, origin in pod_specs(manifest):
        found += _mount_faults(spec, origin, isolation)
        found += _tier_faults(spec, origin, isolation)
    return [*found, *_image_faults(manifest, images)]


def remarks(manifest: Manifest, isolation: Isolation | None = None) -> list[Notice]:
    """What a user should know about how this manifest runs here: isolation, what it lacks, and dangers."""
    isolation = isolation or isolation_for(manifest, "auto")
    tiers = [(spec, origin, isolation.tier_of(spec)) for spec, origin in pod_specs(manifest)]
    found: list[Notice] = []
    chosen = _grouped((f"{tier.name} ({tier.why})", origin.object) for _, origin, tier in tiers if tier.why)
    if chosen:
        texts = (f"{text} for {Notice('', tuple(objects)).subjects}" for text, objects in chosen.items())
        found.append(Notice(f"isolation: {'; '.join(texts)}"))
    short = [(text, origin.object) for spec, origin, tier in tiers for text in _shortfalls(spec, tier)]
    for spec, origin, tier in tiers:
        if tier.name == "none" and (names := isolation.wants_hosts(spec)):
            short.append((f"{', '.join(names)} not honoured: {tier.lacks}", origin.object))
    short += [(text, origin.object) for spec, origin, _ in tiers for text in _limits_not_kept(spec)]
    found += [Notice(text, tuple(objects)) for text, objects in _grouped(short).items()]
    alone = tuple(dict.fromkeys(origin.object for _, origin, tier in tiers if tier.own_network))
    if alone:
        found.append(Notice(_OWN_NETWORK, alone))
    for spec, origin, tier in tiers:
        if not tier.keeps_processes_in(spec):
            found += [Notice(str(danger)) for danger in _dangers(spec, origin)]
    # VALID-18: told, not refused, for what a containerPort declares need not be listened on.
    found += [Notice(str(fault)) for fault in port_faults(manifest)]
    found += [notice for notice in port_notices(manifest) if not set(alone).issuperset(notice.objects)]
    if manifest.services:
        from minikubelet.runtime.services import service_notices

        found += service_notices(manifest)
    return found


_OWN_NETWORK = (
    "a network of its own for each pod: probes get in, and nothing else does or gets out; "
    "--isolation mounts shares the host's"
)


def isolation_for(manifest: Manifest, wish: Wish) -> Isolation:
    """What has to be known of all pods of a run to choose the tier of each."""
    discovery = discovery_of(manifest)
    has_names = discovery is not None and discovery.wants_names
    return Isolation(wish, has_names, clashing_ports(manifest))


def discovery_of(manifest: Manifest) -> "Discovery | None":
    """What the pods of a run are told about its Services; None where there are none."""
    if not manifest.services:
        return None
    from minikubelet.runtime.services import discover

    return discover(manifest)


def pod_specs(manifest: Manifest) -> Iterator[tuple[PodSpec, Origin]]:
    """The spec of every pod, Job template and CronJob template."""
    for pod in manifest.pods:
        yield pod.obj.spec, pod.origin
    for job in manifest.jobs:
        yield job.obj.spec.template.spec, job.origin
    for cron_job in manifest.cron_jobs:
        yield cron_job.obj.spec.job_template.spec.template.spec, cron_job.origin


def containers(spec: PodSpec) -> Iterator[tuple[str, Container]]:
    """Every container with its field path."""
    for field, listed in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(listed):
            yield f"spec.{field}[{index}]", container


# ------------------------------------------------------------------ faults


def _image_faults(manifest: Manifest, images: ImageResolver) -> list[FieldError]:
    """One for each container in the order of the lines; what to write for all of them is told once, last."""
    unresolved: dict[FieldError, UnresolvedImage] = {}
    for spec, origin in pod_specs(manifest):
        for path, container in containers(spec):
            try:
                images.resolve(container, completes=container.name in spec.plain_inits)
            except UnresolvedImage as error:
                unresolved[origin.error(f"{path}.command", str(error))] = error
    if not unresolved:
        return []
    *others, last = sorted(unresolved, key=lambda fault: (fault.file, fault.line, fault.column))
    advice = ways_out(unresolved[fault] for fault in (*others, last))
    return [*others, evolve(last, message=f"{last.message}\n{advice}")]


def _mount_faults(spec: PodSpec, origin: Origin, isolation: Isolation) -> Iterator[FieldError]:
    """VOL-5: without a mount namespace only a hostPath at its own path can be honoured."""
    tier = isolation.tier_of(spec)
    if tier.name != "none" or isolation.wish == "mounts":  # which is told without mounts, too
        return
    if not any(container.volume_mounts for container in spec.all_containers.values()):
        return
    from minikubelet.runtime.mounts import ADVICE

    own_places = {v.name: v.host_path.path for v in spec.volumes if v.host_path is not None}
    for path, container in containers(spec):
        for index, mount in enumerate(container.volume_mounts):
            source = own_places.get(mount.name)
            plain = not (mount.read_only or mount.sub_path or mount.sub_path_expr)
            if source is None or not plain or os.path.realpath(source) != os.path.realpath(mount.mount_path):
                way_out = "Leave it out" if isolation.wish == "none" else ADVICE
                yield origin.error(f"{path}.volumeMounts[{index}].mountPath", f"{tier.lacks}. {way_out}")


def _tier_faults(spec: PodSpec, origin: Origin, isolation: Isolation) -> Iterator[FieldError]:
    """Who asked for a tier by name is refused without it."""
    if isolation.wish not in ("pod", "mounts"):
        return
    from minikubelet.runtime.mounts import ADVICE

    tier = isolation.tier_of(spec)
    if isolation.wish == "pod" and tier.name != "pod":
        from minikubelet.runtime.sandbox import sandbox_trouble

        yield origin.error("", f"--isolation pod: {sandbox_trouble()}. {ADVICE}")
    if isolation.wish == "mounts" and tier.name == "none":
        yield origin.error("", f"--isolation mounts: {tier.lacks}. {ADVICE}")


# ------------------------------------------------------------------ remarks


def _shortfalls(spec: PodSpec, tier: Tier) -> Iterator[str]:
    """What of a pod's manifest does not come true, in one sentence for each reason."""
    if tier.lacks_sandbox:
        yield f"no pod sandbox, plain processes instead: {tier.lacks_sandbox}"
    if spec.host_users is False and tier.name != "pod":
        yield "hostUsers: false not honoured: only a pod sandbox (--isolation pod) has users of its own"
    found: list[tuple[str, str]] = []
    if spec.security_context.sysctls and tier.name != "pod":
        found.append(("sysctls", "only a pod sandbox (--isolation pod) has its own"))
    for container in spec.all_containers.values():
        found += shortfalls(spec, container, has_namespace=tier.name != "none")
        if tier.name == "none" and TerminationMessage("", container).wants_mount:
            yield f"terminationMessagePath not honoured: {tier.lacks}"
        if tier.name == "none" and has_read_only_root(container):
            found.append(("readOnlyRootFilesystem", tier.lacks))
    for reason, fields in _grouped((reason, f"securityContext.{field}") for field, reason in found).items():
        yield f"{', '.join(fields)} not honoured: {reason}"


def _limits_not_kept(spec: PodSpec) -> Iterator[str]:
    """LOCAL-5."""
    for container in spec.all_containers.values():
        if container.resources.limits:
            from minikubelet.runtime import cgroups

            limits = cgroups.Limits.of(container.resources.limits)
            if limits.controllers and (trouble := cgroups.find_delegation().lacks(limits)):
                yield f"resources.limits not enforced: {trouble}; {cgroups.ADVICE}"


def pids_limit_notices(pids: int | None) -> list[Notice]:
    """LOCAL-5, for a limit that no manifest has."""
    if pids is None:
        return []
    from minikubelet.runtime import cgroups

    trouble = cgroups.find_delegation().lacks(cgroups.Limits(pids=pids))
    return [Notice(f"--pod-pids-limit not enforced: {trouble}; {cgroups.ADVICE}")] if trouble else []


_EVERYBODY = pattern(
    r"(?<![\w./-])(?:/\S*/)?(killall5?|pkill|skill)(?![\w-])"
    # `kill -1 PID` is a hang-up for one process; as the process `-1` means everybody.
    r"|(?<![\w./-])kill(?:\s+(?:-s\s*\w+|-n\s*\d+|-\w+|--))+\s+-1(?!\d)"
)


def _dangers(spec: PodSpec, origin: Origin) -> Iterator[FieldError]:
    """Commands that signal processes by name, or all: those of this machine, as there is no other."""
    for path, container in containers(spec):
        for place, words in commands(path, container):
            line = " ".join(words)
            if "kill" in line and (found := _EVERYBODY.search(line)):
                yield origin.error(
                    place,
                    f"danger: `{found[0].strip()}` reaches every such process that this user has on this "
                    "machine, not only the pod's own; --isolation pod keeps it in",
                )


def commands(path: str, container: Container) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Everything that a container executes, with its field path."""
    yield f"{path}.command", container.command
    yield f"{path}.args", container.args
    lifecycle = container.lifecycle or Lifecycle()
    handlers: dict[str, LifecycleHandler | Probe | None] = {
        "lifecycle.postStart": lifecycle.post_start,
        "lifecycle.preStop": lifecycle.pre_stop,
        "startupProbe": container.startup_probe,
        "livenessProbe": container.liveness_probe,
        "readinessProbe": container.readiness_probe,
    }
    for name, handler in handlers.items():
        if handler is not None and handler.exec is not None:
            yield f"{path}.{name}.exec.command", tuple(handler.exec.command)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The second of each pair by the first, each once."""
    groups: dict[str, dict[str, None]] = {}
    for key, value in pairs:
        groups.setdefault(key, {})[value] = None
    return {key: list(values) for key, values in groups.items()}
