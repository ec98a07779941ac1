"""Pod conditions (COND-*): five questions with a yes or no, and the reasons that go with a no.

`with_transitions` remembers in the record when an answer changed (COND-2); the wording is computed only
when somebody reads the status.
"""

from itertools import zip_longest

from minikubelet.api.meta import format_time
from minikubelet.api.pod_status import PodCondition
from minikubelet.api.values import evolve
from minikubelet.lifecycle.phase import SUCCEEDED, Phase, decided_phase
from minikubelet.lifecycle.record import PodRecord
from minikubelet.lifecycle.restarts import waits_for_restart

ALL_RESTARTING = "AllContainersRestarting"


def with_transitions(record: PodRecord, now: float) -> PodRecord:
    """The record with each condition's status and since when it holds."""
    before, answers = record.answers, _answers(record)
    if answers == before:
        return record
    changed = {kind: now for kind, status in answers.items() if before.get(kind) is not status}
    return evolve(record, answers={**before, **answers}, answered_at={**record.answered_at, **changed})


def _answers(record: PodRecord) -> dict[str, bool]:
    all_ready = containers_ready(record)
    answers = {
        "PodScheduled": True,
        "PodReadyToStartContainers": record.prepared_at is not None and record.finished_at is None,
        "Initialized": is_initialized(record),
        "ContainersReady": all_ready,
        "Ready": all_ready and not missing_gates(record),
        **record.readiness_gates,
    }
    restarting = record.ending is not None and not record.ending.is_final
    if restarting or ALL_RESTARTING in record.answers:  # RESTART-16
        answers[ALL_RESTARTING] = restarting
    return answers


def is_initialized(record: PodRecord) -> bool:
    """COND-3; sticky (INIT-7, RESTART-18)."""
    if record.initialized_at is not None or not record.spec.init_containers:
        return True
    return decided_phase(record) == SUCCEEDED


def containers_ready(record: PodRecord) -> bool:
    """COND-5, COND-6: False as soon as the pod's end is decided, even while containers still stop."""
    return record.all_ready and decided_phase(record) is None


def unready(record: PodRecord) -> list[str]:
    """COND-5, COND-10: sidecars and mains that are not ready, in spec order."""
    return [name for name in record.spec.lasting if not record.containers[name].is_ready]


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
    """COND-4: inits that have not completed; sidecars whose turn is not over (INIT-1) or that are down."""
    names = []
    for container in record.spec.init_containers:
        run = record.run_of(container)
        if container.name in record.spec.sidecars:
            is_complete = container.name in record.passed and run is not None and run.is_started
        else:
            ended_well = run is not None and run.exit_code == 0  # INIT-8
            is_complete = ended_well and not waits_for_restart(record, container)
        if not is_complete:
            names.append(container.name)
    return names


def conditions(
    record: PodRecord, epoch: float, before: tuple[PodCondition, ...] = ()
) -> tuple[PodCondition, ...]:
    """As published; `epoch` is wall seconds minus monotonic seconds, `before` was published last."""
    answers, reasons = record.answers, _reasons(record)
    published = []
    for (kind, status), since, last in zip_longest(answers.items(), record.answered_at.values(), before):
        told, time = "True" if status else "False", format_time(epoch + since)
        reason, message = reasons.get(kind, _NONE)
        if (
            last is None
            or last.status != told
            or last.last_transition_time != time
            or last.reason != reason
            or last.message != message
        ):
            last = PodCondition(kind, told, reason, message, last_transition_time=time)
        published.append(last)
    return tuple(published)


_NONE = None, None


def _reasons(record: PodRecord) -> dict[str, tuple[str, str | None]]:
    """Reason and message of the conditions that have any."""
    answers, decided = record.answers, decided_phase(record)
    reasons: dict[str, tuple[str, str | None]] = {}
    if decided == SUCCEEDED:
        reasons["Initialized"] = "PodCompleted", None
    elif answers.get("Initialized") is False:
        reasons["Initialized"] = "ContainersNotInitialized", _names("incomplete", incomplete(record))
    if unready_kinds := [kind for kind in ("ContainersReady", "Ready") if answers.get(kind) is False]:
        reasons |= dict.fromkeys(unready_kinds, _why_not_ready(record, decided))
    if answers.get(ALL_RESTARTING):
        reasons[ALL_RESTARTING] = "RestartAllContainersStarted", None
    return reasons


def _why_not_ready(record: PodRecord, decided: Phase | None) -> tuple[str, str | None]:
    if decided is not None:
        return "PodCompleted" if decided == SUCCEEDED else "PodFailed", None
    if names := unready(record):
        return "ContainersNotReady", _names("unready", names)
    return "ReadinessGatesNotReady", ", ".join(missing_gates(record))


def _names(which: str, names: list[str]) -> str:
    return f"containers with {which} status: [{' '.join(names)}]"
