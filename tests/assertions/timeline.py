"""Runs made by hand, from lines such as `1.5 web/main exited 1`."""

from collections.abc import Sequence

import attrs

from minikubelet.api.event import Event, ObjectReference
from minikubelet.api.job import Job, JobCondition, JobSpec, JobStatus
from minikubelet.api.meta import ObjectMeta, OwnerReference
from minikubelet.api.pod import Container, Pod, PodReadinessGate, PodSpec, PodTemplateSpec
from minikubelet.api.pod_status import (
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    PodCondition,
    PodStatus,
)
from minikubelet.assertions.run import Change, ContainerLog, Run, Target

START = 100.0  # seconds on the clock when such a run begins


def pod(
    name: str = "web",
    *containers: str,
    phase: str = "Succeeded",
    conditions: Sequence[str] = (),
    job: str = "",
    exit_codes: Sequence[int] = (),
    restarts: int = 0,
    namespace: str = "default",
    gates: Sequence[str] = (),
    reason: str | None = None,
    message: str | None = None,
) -> Pod:
    names = containers or ("proxy", "main")
    owners = (OwnerReference("batch/v1", "Job", job, "u"),) if job else ()
    codes = [*exit_codes, *[0] * len(names)]
    ends = [ContainerStateTerminated(code, "Completed" if code == 0 else "Error", message) for code in codes]
    statuses = [
        ContainerStatus(one, ContainerState(terminated=end), restart_count=restarts)
        for one, end in zip(names, ends, strict=False)
    ]
    return Pod(
        ObjectMeta(name, namespace=namespace, owner_references=owners),
        PodSpec(
            tuple(Container(one) for one in names),
            readiness_gates=tuple(PodReadinessGate(gate) for gate in gates),
        ),
        PodStatus(
            phase,
            tuple(PodCondition(kind, "True") for kind in conditions),
            reason=reason,
            container_statuses=tuple(statuses),
        ),
    )


def job(name: str = "work", *conditions: str, succeeded: int = 0, failed: int = 0, reason: str = "") -> Job:
    """A Job of pods with the containers `proxy` and `main`."""
    spec = PodSpec((Container("proxy"), Container("main")))
    status = JobStatus(
        succeeded=succeeded,
        failed=failed,
        conditions=tuple(JobCondition(kind, "True", reason or None) for kind in conditions),
    )
    return Job(ObjectMeta(name), JobSpec(PodTemplateSpec(spec=spec)), status)


def run(
    *lines: str, pods: Sequence[Pod] = (), jobs: Sequence[Job] = (), logs: dict[str, str] | None = None
) -> Run:
    """`AT NAME[/CONTAINER] WHAT [DETAIL]` each; `AT NAME event REASON MESSAGE`; jobs are `job:NAME`.

    `logs` has text by `pod/container`, each line of which begins with the time when it was read.
    """
    history = tuple(_item(line) for line in lines)
    kept = {}
    for name, text in (logs or {}).items():
        owner, _, container = name.partition("/")
        chunks = [line.split(" ", 1) for line in text.splitlines()]
        log = ContainerLog([(START + float(at), f"{said}\n".encode()) for at, said in chunks])
        kept[f"default/{owner}", container] = log
    begun = (Change(START, Target("Pod", "default/nobody"), "begun"),)
    return Run(tuple(pods) or (pod(),), tuple(jobs), begun + history, kept)


def _item(line: str) -> Event | Change:
    at_text, who, what, *rest = line.split(" ", 4 if " event " in line else 3)
    at = START + float(at_text)
    kind = "Job" if who.startswith("job:") else "Pod"
    name, _, container = who.removeprefix("job:").partition("/")
    told = {
        "started": ("Started", f"Started container {container}"),
        "exited": ("Exited", f"Container {container} exited with code {rest[0] if rest else 0}"),
        "stopping": ("Killing", f"Stopping container {container}"),
        "signalled": ("Signalled", f"Sent {rest[0] if rest else 'SIGTERM'} to container {container}"),
        "killed": ("Signalled", f"Sent SIGKILL to container {container}"),
    }
    if what == "event":
        reason, message = rest[0], " ".join(rest[1:])
    elif container and what in told:
        reason, message = told[what]
    else:
        return Change(at, Target(kind, f"default/{name}", container or None), what)
    path = f"spec.containers{{{container}}}" if container else None
    reference = ObjectReference(kind, "default", name, "u", field_path=path)
    return Event("Normal", reason, message, reference, 1_700_000_000 + at, at)


def with_ending(subject: Run, ending: str) -> Run:
    return attrs.evolve(subject, ending=ending)
