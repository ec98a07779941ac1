"""Everything known about one pod, and how facts enter it.

There is one frozen `PodRecord` per pod and one way to change it: `observe`. Decisions (`plan`) and the
published status are readings of it. Own words, used without variation: a *run* is one instance of a
container; a *latch* only ever moves forward (`passed` grows, `ending` is set once and its deadline
shrinks, `finished_at` is set once). All instants are seconds on the runtime's monotonic clock.
"""

from collections.abc import Mapping
from functools import cached_property
from math import inf
from typing import Any

import attrs

from minikubelet.api.pod import Container, Pod, PodSpec
from minikubelet.lifecycle.actions import (
    Action,
    AskProbe,
    BackOff,
    CancelHook,
    EndCause,
    EndPod,
    FinishPod,
    HoldStart,
    PassInit,
    PreparePod,
    RestartPod,
    RunHook,
    SignalContainer,
    StartContainer,
    StopCause,
    StopContainer,
)
from minikubelet.lifecycle.backoff import BackoffEntry, next_entry
from minikubelet.lifecycle.facts import (
    ContainerExited,
    ContainerStarted,
    ContainerStartFailed,
    DeletionRequested,
    Fact,
    HookFinished,
    PodPrepared,
    PodPrepareFailed,
    ProbeAnswered,
    ProbeKind,
    ReadinessGateSet,
)
from minikubelet.lifecycle.settings import LifecycleSettings

SIGKILL = 9
START_ERROR_EXIT_CODE = 128  # STATUS-4
RESTARTING_ALL = "RestartingAllContainers"  # RESTART-17


@attrs.frozen
class HookRun:
    began_at: float
    ended_at: float | None = None
    error: str | None = None

    @property
    def is_under_way(self) -> bool:
        return self.ended_at is None


@attrs.frozen
class ProbeState:
    """One probe of one run (PROBE-12, PROBE-13: nothing survives into the next run)."""

    asked_at: float
    in_flight: bool = True
    streak: int = 0
    "Consecutive equal answers: successes positive, failures negative."
    verdict: bool | None = None
    "Set once a threshold was reached; None before (PROBE-11 says what that means for each kind)."


@attrs.frozen
class Stopping:
    """A run's way down (TERM-1)."""

    cause: StopCause
    began_at: float
    deadline: float
    "When preStop and waiting for its turn have to be over (SIDE-30)."
    signalled_at: float | None = None
    killed_at: float | None = None


@attrs.frozen
class ContainerRun:
    """One instance of a container. None: it has not happened."""

    attempt: int
    started_at: float | None
    "None only for the synthesised end of RESTART-17, which has no times."
    running_at: float | None = None
    "Published as Running: the process exists and postStart has returned (HOOK-2)."
    post_start: HookRun | None = None
    pre_stop: HookRun | None = None
    probes: Mapping[ProbeKind, ProbeState] = attrs.Factory(dict)
    stopping: Stopping | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None

    @property
    def is_live(self) -> bool:
        return self.exit_code is None

    def verdict(self, kind: ProbeKind) -> bool | None:
        state = self.probes.get(kind)
        return state.verdict if state else None


@attrs.frozen
class Waiting:
    reason: str
    message: str


@attrs.frozen
class ContainerRecord:
    run: ContainerRun | None = None
    "The newest instance."
    last_run: ContainerRun | None = None
    "The instance before it (STATUS-2)."
    next_attempt: int = 0
    is_starting: bool = False
    "StartContainer was asked for and has not been answered."
    waiting: Waiting | None = None
    "Why the next start is held back."
    retry_at: float | None = None
    "BACKOFF-13: when to try again what failed without leaving an instance."
    backoff: BackoffEntry | None = None
    is_held: bool = False
    "A difference of the start gates was told for the newest instance."

    @property
    def is_live(self) -> bool:
        return self.is_starting or (self.run is not None and self.run.is_live)

    @property
    def restart_count(self) -> int:
        """STATUS-3: index of the newest instance, or of the one to come after RESTART-17."""
        return self.run.attempt if self.run else self.next_attempt

    @property
    def has_run(self) -> bool:
        """Was an instance ever published as running, or did one ever end?"""
        run = self.run
        return self.last_run is not None or (
            run is not None and (run.running_at is not None or not run.is_live)
        )


@attrs.frozen
class Deletion:
    requested_at: float
    grace: float


@attrs.frozen
class Ending:
    """The pod is terminating (CORE-2). `deadline` may only come closer (TERM-4)."""

    cause: EndCause
    began_at: float
    deadline: float
    reason: str | None = None
    message: str | None = None
    trigger: str | None = None

    @property
    def is_final(self) -> bool:
        """RestartAllContainers takes everything down too, but the pod goes on afterwards."""
        return self.cause != "restartAll"


@attrs.frozen
class PodRecord:
    pod: Pod
    settings: LifecycleSettings
    started_at: float
    "CORE-7: when the pod was accepted."
    containers: Mapping[str, ContainerRecord]
    is_preparing: bool = False
    prepared_at: float | None = None
    prepare_retry_at: float = -inf
    passed: frozenset[str] = frozenset()
    "INIT-7: initContainers entries whose turn is over."
    initialized_at: float | None = None
    "RESTART-18: kept over an in-place restart."
    restart_backoff: BackoffEntry | None = None
    "RESTART-20: between in-place restarts of the whole pod."
    readiness_gates: Mapping[str, bool] = attrs.Factory(dict)
    deletion: Deletion | None = None
    ending: Ending | None = None
    in_place_restart_at: float | None = None
    finished_at: float | None = None
    transitions: Mapping[str, tuple[bool, float]] = attrs.Factory(dict)
    "COND-2: condition type to (status, since)."

    @property
    def spec(self) -> PodSpec:
        return self.pod.spec

    @cached_property
    def any_live(self) -> bool:
        return any(c.is_live for c in self.containers.values())

    def run_of(self, container: Container) -> ContainerRun | None:
        return self.containers[container.name].run

    def is_live(self, container: Container) -> bool:
        return self.containers[container.name].is_live


def new_record(pod: Pod, settings: LifecycleSettings, now: float) -> PodRecord:
    return PodRecord(pod, settings, now, {name: ContainerRecord() for name in pod.spec.all_containers})


# ------------------------------------------------------------------------------------ observe


def observe(record: PodRecord, what: Fact | Action, now: float) -> PodRecord:
    """Take one fact, or one action about to be performed, into the record."""
    match what:
        case ProbeAnswered():
            return _probe_answered(record, what)
        case AskProbe(name, attempt, kind):
            return _with_probe(record, name, attempt, kind, asked_at=now, in_flight=True)
        case StartContainer(name):
            return _start_asked(record, name, now)
        case ContainerStarted(name, attempt):
            return _started(record, name, ContainerRun(attempt, started_at=now), now)
        case ContainerStartFailed(name, attempt, reason, message, recorded):
            return _start_failed(record, name, attempt, Waiting(reason, message), recorded, now)
        case ContainerExited(name, attempt, exit_code, reason, message):
            changes = {"finished_at": now, "exit_code": exit_code, "reason": reason, "message": message}
            return _with_run(record, name, attempt, **changes)
        case BackOff(name, delay):
            return _with_container(record, name, waiting=_crash_loop(record, name, delay))
        case RunHook(name, attempt, hook):
            return _with_run(record, name, attempt, **{_HOOK_FIELD[hook]: HookRun(now)})
        case HookFinished(name, attempt, hook, error):
            return _hook_finished(record, name, attempt, _HOOK_FIELD[hook], error, now)
        case CancelHook(name, attempt, hook):
            return _with_run(record, name, attempt, **{_HOOK_FIELD[hook]: HookRun(now, now, "cancelled")})
        case StopContainer(name, attempt, cause, grace):
            return _with_run(record, name, attempt, stopping=Stopping(cause, now, now + grace))
        case SignalContainer(name, attempt, signal):
            return _signalled(record, name, attempt, signal, now)
        case PassInit(name):
            passed = record.passed | {name}
            done = len(passed) == len(record.spec.init_containers)
            return attrs.evolve(record, passed=passed, initialized_at=now if done else record.initialized_at)
        case HoldStart(name):
            return _with_container(record, name, is_held=True)
        case PreparePod():
            return attrs.evolve(record, is_preparing=True)
        case PodPrepared():
            inits = record.spec.init_containers
            return attrs.evolve(
                record, is_preparing=False, prepared_at=now, initialized_at=None if inits else now
            )
        case PodPrepareFailed():
            retry_at = now + record.settings.retry_delay
            return attrs.evolve(record, is_preparing=False, prepare_retry_at=retry_at)
        case DeletionRequested(grace_seconds):
            return _deletion_requested(record, grace_seconds, now)
        case ReadinessGateSet(condition_type, status):
            return attrs.evolve(record, readiness_gates={**record.readiness_gates, condition_type: status})
        case EndPod(cause, grace, reason, message, trigger):
            ending = Ending(cause, now, now + grace, reason, message, trigger)
            return attrs.evolve(record, ending=ending)
        case RestartPod():
            return _restarted_in_place(record, now)
        case FinishPod():
            return attrs.evolve(record, finished_at=now)


_HOOK_FIELD = {"postStart": "post_start", "preStop": "pre_stop"}


def _with_container(record: PodRecord, name: str, **changes: Any) -> PodRecord:
    container = attrs.evolve(record.containers[name], **changes)
    return attrs.evolve(record, containers={**record.containers, name: container})


def _with_run(record: PodRecord, name: str, attempt: int, **changes: Any) -> PodRecord:
    """Change the run of that attempt; a fact about any other attempt comes too late and is dropped."""
    run = record.containers[name].run
    if run is None or run.attempt != attempt or not run.is_live:
        return record
    return _with_container(record, name, run=attrs.evolve(run, **changes))


def _start_asked(record: PodRecord, name: str, now: float) -> PodRecord:
    """BACKOFF-4: an allowed restart moves the delay on; retrying a failed start does not (STATUS-9)."""
    container = record.containers[name]
    changes: dict[str, Any] = {"is_starting": True}
    run = container.run
    if run is not None and run.finished_at is not None and container.retry_at is None:
        entry = next_entry(container.backoff, run.finished_at, now, record.settings)
        changes["backoff"] = entry
    return _with_container(record, name, **changes)


def _started(record: PodRecord, name: str, run: ContainerRun, now: float) -> PodRecord:
    container = record.containers[name]
    lifecycle = record.spec.all_containers[name].lifecycle
    if run.is_live and (lifecycle is None or lifecycle.post_start is None):
        run = attrs.evolve(run, running_at=now)
    return _with_container(
        record,
        name,
        run=run,
        last_run=container.run or container.last_run,
        next_attempt=run.attempt + 1,
        is_starting=False,
        waiting=None,
        retry_at=None,
        is_held=False,
    )


def _start_failed(
    record: PodRecord, name: str, attempt: int, waiting: Waiting, recorded: bool, now: float
) -> PodRecord:
    if recorded:  # LOCAL-3: an instance that ended as soon as it began
        run = ContainerRun(
            attempt,
            started_at=now,
            finished_at=now,
            exit_code=START_ERROR_EXIT_CODE,
            reason="StartError",
            message=waiting.message,
        )
        return _started(record, name, run, now)
    retry_at = now + record.settings.retry_delay
    return _with_container(record, name, is_starting=False, waiting=waiting, retry_at=retry_at)


def _hook_finished(
    record: PodRecord, name: str, attempt: int, field: str, error: str | None, now: float
) -> PodRecord:
    run = record.containers[name].run
    hook: HookRun | None = getattr(run, field, None)
    if run is None or run.attempt != attempt or hook is None or not hook.is_under_way:
        return record
    changes: dict[str, Any] = {field: attrs.evolve(hook, ended_at=now, error=error)}
    if field == "post_start" and error is None:
        changes["running_at"] = now
    return _with_run(record, name, attempt, **changes)


def _with_probe(record: PodRecord, name: str, attempt: int, kind: ProbeKind, **changes: Any) -> PodRecord:
    run = record.containers[name].run
    if run is None or run.attempt != attempt:
        return record
    state = run.probes.get(kind) or ProbeState(asked_at=-inf)
    probes = {**run.probes, kind: attrs.evolve(state, **changes)}
    return _with_run(record, name, attempt, probes=probes)


def _probe_answered(record: PodRecord, fact: ProbeAnswered) -> PodRecord:
    """PROBE-12: a verdict changes only after enough equal answers; PROBE-19: errors change nothing."""
    run = record.containers[fact.name].run
    probe = record.spec.all_containers[fact.name].probe_of(fact.kind)
    state = run.probes.get(fact.kind) if run and run.attempt == fact.attempt else None
    if state is None or probe is None:
        return record
    changes: dict[str, Any] = {"in_flight": False}
    if fact.result == "success":
        streak = max(state.streak, 0) + 1
        changes["streak"] = streak
        if streak >= probe.success_threshold:
            changes["verdict"] = True
    elif fact.result == "failure":
        streak = min(state.streak, 0) - 1
        changes["streak"] = streak
        if -streak >= probe.failure_threshold:
            changes["verdict"] = False
    return _with_probe(record, fact.name, fact.attempt, fact.kind, **changes)


def _signalled(record: PodRecord, name: str, attempt: int, signal: int, now: float) -> PodRecord:
    run = record.containers[name].run
    if run is None or run.stopping is None:
        return record
    stopping = run.stopping
    if stopping.signalled_at is None:
        stopping = attrs.evolve(stopping, signalled_at=now)
    if signal == SIGKILL:
        stopping = attrs.evolve(stopping, killed_at=now)
    return _with_run(record, name, attempt, stopping=stopping)


def _crash_loop(record: PodRecord, name: str, delay: float) -> Waiting:
    """BACKOFF-9's wording."""
    meta = record.pod.metadata
    whole = f"{meta.name}_{meta.namespace}({meta.uid})"
    message = f"back-off {go_duration(delay)} restarting failed container={name} pod={whole}"
    return Waiting("CrashLoopBackOff", message)


def _deletion_requested(record: PodRecord, grace_seconds: int | None, now: float) -> PodRecord:
    """TERM-4, TERM-5: negative and zero become one second; a further request can only shorten."""
    if record.finished_at is not None:
        return record
    wanted = record.spec.termination_grace_period_seconds if grace_seconds is None else grace_seconds
    grace = float(max(wanted, 1))
    deletion = record.deletion
    if deletion is None:
        deletion = Deletion(now, grace)
    elif now + grace < deletion.requested_at + deletion.grace:
        deletion = attrs.evolve(deletion, grace=now + grace - deletion.requested_at)
    ending = record.ending
    if ending is not None:
        ending = attrs.evolve(ending, deadline=min(ending.deadline, now + grace))
    return attrs.evolve(record, deletion=deletion, ending=ending)


def _restarted_in_place(record: PodRecord, now: float) -> PodRecord:
    """RESTART-13..18: forget every instance but what RESTART-17 makes up for it."""
    assert record.ending is not None
    trigger = record.containers[record.ending.trigger or ""].run
    assert trigger is not None and trigger.finished_at is not None
    return attrs.evolve(
        record,
        containers={name: _removed(c) for name, c in record.containers.items()},
        passed=frozenset(),
        restart_backoff=next_entry(record.restart_backoff, trigger.finished_at, now, record.settings),
        ending=None,
        in_place_restart_at=now,
    )


def _removed(container: ContainerRecord) -> ContainerRecord:
    if container.run is None:
        return container
    synthesised = ContainerRun(
        container.run.attempt, started_at=None, exit_code=137, reason=RESTARTING_ALL, message=None
    )
    return ContainerRecord(
        last_run=synthesised, next_attempt=container.next_attempt, backoff=container.backoff
    )


def go_duration(seconds: float) -> str:
    """A length as Go prints it: 10s, 1m20s, 5m0s, 300ms (BACKOFF-9)."""
    if seconds < 1:
        return f"{round(seconds * 1000):d}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{round(rest, 3):g}s"
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text
