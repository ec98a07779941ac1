"""Pod conditions (COND-*): five questions with a yes or no, and the reasons that go with a no.

`with_transitions` remembers in the record when an answer changed (COND-2); the wording is computed only
when somebody reads the status.
"""

from collections.abc import Iterator

import attrs

from minikubelet.api.meta import format_time
from minikubelet.api.pod_status import PodCondition
from minikubelet.lifecycle.phase import FAILED, SUCCEEDED, decided_phase
from minikubelet.lifecycle.record import PodRecord

ALL_RESTARTING = "AllContainersRestarting"


def with_transitions(record: PodRecord, now: float) -> PodRecord:
    """The record with each condition's status and since when it holds."""
    changed = {
        kind: (status, now)
        for kind, status in _answers(record)
        if record.transitions.get(kind, (None, 0.0))[0] is not status
    }
    if not changed:
        return record
    return attrs.evolve(record, transitions={**record.transitions, **changed})


def _answers(record: PodRecord) -> Iterator[tuple[str, bool]]:
    all_ready = containers_ready(record)
    yield "PodScheduled", True
    yield "PodReadyToStartContainers", record.prepared_at is not None and record.finished_at is None
    yield "Initialized", is_initialized(record)
    yield "ContainersReady", all_ready
    yield "Ready", all_ready and not missing_gates(record)
    yield from record.readiness_gates.items()
    restarting = record.ending is not None and not record.ending.is_final
    if restarting or ALL_RESTARTING in record.transitions:  # RESTART-16
        yield ALL_RESTARTING, restarting


def is_initialized(record: PodRecord) -> bool:
    """COND-3; sticky (INIT-7, RESTART-18)."""
    if not record.spec.init_containers or record.initialized_at is not None:
        return True
    return decided_phase(record) == SUCCEEDED


def containers_ready(record: PodRecord) -> bool:
    """COND-5, COND-6: False as soon as the pod's end is decided, even while containers still stop."""
    return decided_phase(record) is None and not unready(record)


def unready(record: PodRecord) -> list[str]:
    """COND-5, COND-10: sidecars and mains that are not ready, in spec order."""
    names = []
    for container in (*record.spec.sidecars.values(), *record.spec.containers):
        run = record.run_of(container)
        if run is None or not run.is_ready:
            names.append(container.name)
    return names


def missing_gates(record: PodRecord) -> list[str]:
    """COND-7: what is wrong with each readinessGate that does not hold."""
    faults = []
    for gate in record.spec.readiness_gates:
        kind = gate.condition_type
        if kind not in record.readiness_gates:
            faults.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif not record.readiness_gates[kind]:
            faults.append(f'the status of pod readiness gate "{kind}" is not "True", but False')
    return faults


def incomplete(record: PodRecord) -> list[str]:
    """COND-4: entries whose turn is not over (INIT-1), and sidecars that are down again meanwhile."""
    names = []
    for container in record.spec.init_containers:
        run = record.run_of(container)
        is_down = container.name in record.spec.sidecars and (run is None or not run.is_started)
        if container.name not in record.passed or is_down:
            names.append(container.name)
    return names


def conditions(record: PodRecord, epoch: float) -> tuple[PodCondition, ...]:
    """As published; `epoch` is wall seconds minus monotonic seconds."""
    published = []
    for kind, (status, since) in record.transitions.items():
        reason, message = _explain(record, kind, status)
        published.append(
            PodCondition(
                kind,
                "True" if status else "False",
                reason,
                message,
                last_transition_time=format_time(epoch + since),
            )
        )
    return tuple(published)


def _explain(record: PodRecord, kind: str, status: bool) -> tuple[str | None, str | None]:
    decided = decided_phase(record)
    if kind == ALL_RESTARTING:
        return ("RestartAllContainersStarted", None) if status else (None, None)
    if kind == "Initialized" and (not status or decided == SUCCEEDED):
        if decided == SUCCEEDED:
            return "PodCompleted", None
        return "ContainersNotInitialized", _names("incomplete", incomplete(record))
    if status or kind not in ("ContainersReady", "Ready"):
        return None, None
    if decided is not None:
        return {SUCCEEDED: "PodCompleted", FAILED: "PodFailed"}[decided], None
    if names := unready(record):
        return "ContainersNotReady", _names("unready", names)
    return "ReadinessGatesNotReady", ", ".join(missing_gates(record))


def _names(which: str, names: list[str]) -> str:
    return f"containers with {which} status: [{' '.join(names)}]"
