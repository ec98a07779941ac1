"""A pod's record, read as its Job sees it: the bridge between the two halves of the lifecycle."""

from collections.abc import Iterator

from minikubelet.api.pod import Container
from minikubelet.lifecycle.job_facts import JobPod
from minikubelet.lifecycle.phase import phase
from minikubelet.lifecycle.record import PodRecord
from minikubelet.lifecycle.restarts import waits_for_restart


def job_pod(record: PodRecord) -> JobPod:
    return JobPod(
        name=record.pod.metadata.name,
        phase=phase(record),
        ready=record.answers.get("Ready", False),
        deletion_requested=record.deletion is not None,
        restarts=sum(state.restart_count for state in record.containers.values()),
        finished_at=_finished_at(record),
        exit_codes=tuple(_exit_codes(record)),
        conditions=tuple((kind, "True" if status else "False") for kind, status in record.answers.items()),
    )


def _finished_at(record: PodRecord) -> float | None:
    """JOB-9."""
    spec = record.spec
    runs = [record.run_of(c) for c in (*spec.containers, *spec.sidecars.values())]
    ends = [run.finished_at for run in runs if run is not None and run.finished_at is not None]
    if len(ends) == len(runs):
        return max(ends)
    if record.answers.get("Ready") is False and any(run is not None for run in runs):
        return record.answered_at["Ready"]
    return record.deletion.requested_at if record.deletion is not None else None


def _exit_codes(record: PodRecord) -> Iterator[tuple[str, int]]:
    """JOB-19: current states only, mains before initContainers."""
    containers: tuple[Container, ...] = (*record.spec.containers, *record.spec.init_containers)
    for container in containers:
        run = record.run_of(container)
        if run is not None and run.exit_code is not None and not waits_for_restart(record, container):
            yield container.name, run.exit_code
