"""Everything known about one pod, and how facts enter it.

There is one frozen `PodRecord` per pod and one way to change it: `observe`. Decisions (`plan`) and the
published status are readings of it. Own words, used without variation: a *run* is one instance of a
container; a *latch* only ever moves forward (`passed` grows, `ending` is set once and its deadline
shrinks, `finished_at` is set once). All instants are seconds on the runtime's monotonic clock.
"""

from collections.abc import Callable, Mapping, Set
from heapq import heapify, heappop, heappush
from math import inf
from operator import attrgetter
from typing import Protocol, TypeVar

from minikubelet.api.pod import Container, Pod, PodSpec, Probe
from minikubelet.api.values import Factory, derived, evolve, field, frozen
from minikubelet.lifecycle.actions import (
    Action,
    AskProbe,
    BackOff,
    CancelHook,
    EndCause,
    EndPod,
    ExplainGate,
    FinishPod,
    GateNews,
    PassInit,
    PreparePod,
    RestartPod,
    RunHook,
    SignalContainer,
    StartContainer,
    StopCause,
    StopContainer,
)
from minikubelet.lifecycle.backoff import BackoffEntry, back_off_message, next_entry
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.facts import (
    ContainerExited,
    ContainerStarted,
    ContainerStartFailed,
    DeletionRequested,
    Fact,
    HookFinished,
    HookKind,
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


@frozen
class HookRun:
    ended_at: float | None = None
    error: str | None = None

    @property
    def is_under_way(self) -> bool:
        return self.ended_at is None


@frozen
class ProbeState:
    """One probe of one run (PROBE-12, PROBE-13: nothing survives into the next run)."""

    probe: Probe
    due_at: float
    "When to ask next (PROBE-3..5); inf for a startupProbe that has spoken (PROBE-8)."
    in_flight: bool = False
    streak: int = 0
    "Consecutive equal answers: successes positive, failures negative."
    verdict: bool | None = None
    "Set once a threshold was reached; None before (PROBE-11 says what that means for each kind)."


@frozen
class Stopping:
    """A run's way down (TERM-1)."""

    cause: StopCause
    deadline: float
    "When preStop and waiting for its turn have to be over (SIDE-30)."
    signalled_at: float | None = None
    killed_at: float | None = None


@frozen
class ContainerRun:
    """One instance of a container. None: it has not happened."""

    attempt: int
    started_at: float | None
    "None only for the synthesised end of RESTART-17, which has no times."
    running_at: float | None = None
    "Published as Running: the process exists and postStart has returned (HOOK-2)."
    post_start: HookRun | None = None
    pre_stop: HookRun | None = None
    probes: Mapping[ProbeKind, ProbeState] = Factory(dict)
    stopping: Stopping | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    message: str | None = None

    @property
    def is_live(self) -> bool:
        return self.exit_code is None

    def hook(self, kind: HookKind) -> HookRun | None:
        return self.post_start if kind == "postStart" else self.pre_stop

    def verdict(self, kind: ProbeKind) -> bool | None:
        state = self.probes.get(kind)
        return state.verdict if state else None

    def passes(self, kind: ProbeKind) -> bool:
        """PROBE-18: has that probe succeeded? A container without it needs no success."""
        state = self.probes.get(kind)
        return state is None or state.verdict is True

    @property
    def is_started(self) -> bool:
        """SIDE-5, PROBE-17: running, postStart returned, and past the startupProbe if there is one."""
        return self.exit_code is None and self.running_at is not None and self.passes("startup")

    @property
    def is_ready(self) -> bool:
        """PROBE-16..18, for mains and sidecars."""
        return self.is_started and self.passes("readiness")

    def wants_probe(self, kind: ProbeKind) -> bool:
        """Is this kind of probe to be asked at all now?"""
        match kind:
            case "startup":  # PROBE-6, PROBE-30
                return self.running_at is not None and self.stopping is None
            case "liveness":  # PROBE-7, PROBE-30
                return self.is_started and self.stopping is None
            case "readiness":  # PROBE-7, PROBE-16, SIDE-35
                return self.is_started

    @property
    def quiet_until(self) -> float:
        """Before this instant nothing is due for a run that nothing happens to; -inf: look after it."""
        stopping = self.stopping
        if self.exit_code is not None or self.running_at is None:
            return -inf
        if stopping is None:
            until = inf
        elif stopping.signalled_at is None:
            return -inf
        else:
            until = inf if stopping.killed_at is not None else stopping.deadline
        for kind, state in self.probes.items():
            if state.verdict is False and stopping is None and kind != "readiness":
                return -inf
            if state.due_at < until and not state.in_flight and self.wants_probe(kind):
                until = state.due_at
        return until


@frozen
class Waiting:
    reason: str
    message: str


@frozen
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
    gate_news: GateNews | None = None
    "What was told last about a difference of the start gates for the newest instance."

    @derived
    def is_live(self) -> bool:
        return self.is_starting or (self.run is not None and self.run.exit_code is None)

    @derived
    def is_ready(self) -> bool:
        return self.run is not None and self.run.is_ready

    @derived
    def quiet_until(self) -> float:
        return -inf if self.run is None else self.run.quiet_until

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


@frozen
class Deletion:
    requested_at: float
    grace: float


@frozen
class Ending:
    """The pod is terminating (CORE-2). `deadline` may only come closer (TERM-4)."""

    cause: EndCause
    deadline: float
    reason: str | None = None
    message: str | None = None
    trigger: str | None = None

    @property
    def is_final(self) -> bool:
        """RestartAllContainers takes everything down too, but the pod goes on afterwards."""
        return self.cause != "restartAll"


class Containers(dict[str, ContainerRecord]):
    """What is known of each container of a pod, by name, in spec order.

    After every fact it is asked whether all the `lasting` ones (of the spec) are ready, and who of them is
    due. What is so of those that nothing happened to is remembered, so that an answer costs the same however
    many there are.
    """

    __slots__ = ("_agenda", "_changed", "_lasting", "_unready", "is_draft")

    def __init__(self, records: Mapping[str, ContainerRecord], lasting: Mapping[str, Container]) -> None:
        super().__init__(records)
        self.is_draft = False
        "Nobody but its owner knows it, who has no more use for it as it was: it is changed in place."
        self._lasting = lasting
        self._changed = set(lasting)
        "Since it was last asked."
        self._unready: set[str] = set()
        self._agenda: list[tuple[float, str]] = []
        "A heap of who is quiet until when, for ever not counted; what is not so any more is passed over."

    def with_one(self, name: str, container: ContainerRecord) -> "Containers":
        """The same but for one; a copy, unless it is a draft."""
        containers = self if self.is_draft else self._copy()
        containers[name] = container
        if name in self._lasting:
            containers._changed.add(name)
        return containers

    @property
    def all_ready(self) -> bool:
        if self._changed:
            self._look()
        return not self._unready

    def due(self, clock: Clock) -> Set[str]:
        """Who is to be looked after now; the clock is asked for the first of the others, too.

        In a heap nobody comes before who is above, so below one that is not due nobody needs to be asked.
        """
        if self._changed:
            self._look()
        agenda = self._agenda
        if not agenda or not clock.reached(agenda[0][0]):
            return _NOBODY  # most of the time
        names, places = set(), [0]
        for place in places:
            if place < len(agenda):
                until, name = agenda[place]
                counts = self[name].quiet_until == until
                if not counts or clock.reached(until):
                    places += (2 * place + 1, 2 * place + 2)
                    if counts:
                        names.add(name)
        return names

    def _copy(self) -> "Containers":
        copy = Containers.__new__(Containers)
        copy.update(self)
        copy.is_draft = False
        copy._lasting = self._lasting
        copy._changed, copy._unready = self._changed.copy(), self._unready.copy()
        copy._agenda = self._agenda.copy()
        return copy

    def _look(self) -> None:
        """At those that changed."""
        agenda, unready = self._agenda, self._unready
        for name in self._changed:
            container = self[name]
            if container.is_ready:
                unready.discard(name)
            else:
                unready.add(name)
            if container.quiet_until < inf:
                heappush(agenda, (container.quiet_until, name))
        self._changed.clear()
        while agenda and self[agenda[0][1]].quiet_until != agenda[0][0]:
            heappop(agenda)
        if len(agenda) > 2 * len(self) + 64:
            agenda[:] = [entry for entry in set(agenda) if self[entry[1]].quiet_until == entry[0]]
            heapify(agenda)


_NOBODY: frozenset[str] = frozenset()
_IS_LIVE = attrgetter("is_live")


@frozen
class PodRecord:
    pod: Pod
    spec: PodSpec = field(eq=False, repr=False)
    "The pod's, at hand because nothing is read as often."
    settings: LifecycleSettings
    started_at: float
    "CORE-7: when the pod was accepted."
    containers: Containers
    is_preparing: bool = False
    prepared_at: float | None = None
    prepare_retry_at: float = -inf
    passed: frozenset[str] = frozenset()
    "INIT-7: initContainers entries whose turn is over."
    initialized_at: float | None = None
    "RESTART-18: kept over an in-place restart."
    restart_backoff: BackoffEntry | None = None
    "RESTART-20: between in-place restarts of the whole pod."
    readiness_gates: Mapping[str, bool] = Factory(dict)
    deletion: Deletion | None = None
    ending: Ending | None = None
    finished_at: float | None = None
    answers: Mapping[str, bool] = Factory(dict)
    "COND-1: condition type to status."
    answered_at: Mapping[str, float] = Factory(dict)
    "COND-2: condition type to when its status last changed."

    @property
    def any_live(self) -> bool:
        return any(map(_IS_LIVE, self.containers.values()))

    @property
    def live_runs(self) -> dict[str, ContainerRun]:
        return {
            name: state.run
            for name, state in self.containers.items()
            if state.run is not None and state.run.exit_code is None
        }

    @property
    def all_ready(self) -> bool:
        """COND-5: every sidecar and main."""
        return self.containers.all_ready

    def run_of(self, container: Container) -> ContainerRun | None:
        return self.containers[container.name].run

    def is_live(self, container: Container) -> bool:
        return self.containers[container.name].is_live


def new_record(pod: Pod, settings: LifecycleSettings, now: float) -> PodRecord:
    spec = pod.spec
    containers = Containers({name: ContainerRecord() for name in spec.all_containers}, spec.lasting)
    return PodRecord(pod, spec, settings, now, containers)


# ------------------------------------------------------------------------------------ observe


def observe(record: PodRecord, what: Fact | Action, now: float) -> PodRecord:
    """Take one fact, or one action about to be performed, into the record."""
    match what:
        case ProbeAnswered():
            return _with_run(record, _probe_answered, what, now)
        case AskProbe():
            return _with_run(record, _probe_asked, what, now)
        case StartContainer(name):
            return _with(record, name, _start_asked(record, record.containers[name], now))
        case ContainerStarted(name):
            return _with(record, name, _started(record, what, now))
        case ContainerStartFailed(name):
            return _with(record, name, _start_failed(record, what, now))
        case ContainerExited():
            return _with_run(record, _exited, what, now)
        case BackOff(name, delay):
            waiting = Waiting("CrashLoopBackOff", back_off_message(record.pod.metadata, name, delay))
            return _with(record, name, evolve(record.containers[name], waiting=waiting))
        case RunHook():
            return _with_run(record, _hook_asked, what, now)
        case HookFinished():
            return _with_run(record, _hook_finished, what, now)
        case CancelHook():
            return _with_run(record, _hook_cancelled, what, now)
        case StopContainer():
            return _with_run(record, _stop_asked, what, now)
        case SignalContainer():
            return _with_run(record, _signalled, what, now)
        case PassInit(name):
            passed = record.passed | {name}
            done = len(passed) == len(record.spec.init_containers)
            return evolve(record, passed=passed, initialized_at=now if done else record.initialized_at)
        case ExplainGate(name, news=news):
            return _with(record, name, evolve(record.containers[name], gate_news=news))
        case PreparePod():
            return evolve(record, is_preparing=True)
        case PodPrepared():
            inits = record.spec.init_containers
            return evolve(record, is_preparing=False, prepared_at=now, initialized_at=None if inits else now)
        case PodPrepareFailed():
            retry_at = now + record.settings.retry_delay
            return evolve(record, is_preparing=False, prepare_retry_at=retry_at)
        case DeletionRequested(grace_seconds):
            return _deletion_requested(record, grace_seconds, now)
        case ReadinessGateSet(condition_type, status):
            return evolve(record, readiness_gates={**record.readiness_gates, condition_type: status})
        case EndPod(cause, grace, reason, message, trigger):
            ending = Ending(cause, now + grace, reason, message, trigger)
            return evolve(record, ending=ending)
        case RestartPod():
            return _restarted_in_place(record, now)
        case FinishPod():
            return evolve(record, finished_at=now)


def take_in(record: PodRecord, what: Fact | Action, now: float) -> PodRecord:
    """`observe` for the owner of a record, who has no more use for it as it was."""
    after = observe(record, what, now)
    if after.containers is not record.containers:
        after.containers.is_draft = True  # a copy that nobody else has seen
    return after


class _AboutRun(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def attempt(self) -> int: ...


_What = TypeVar("_What", bound=_AboutRun)


def _with(record: PodRecord, name: str, container: ContainerRecord) -> PodRecord:
    return evolve(record, containers=record.containers.with_one(name, container))


def _with_run(
    record: PodRecord, change: Callable[[ContainerRun, _What, float], ContainerRun], what: _What, now: float
) -> PodRecord:
    """Change the run of that attempt; a fact about any other attempt comes too late and is dropped."""
    container = record.containers[what.name]
    run = container.run
    if run is None or run.attempt != what.attempt or run.exit_code is not None:
        return record
    return _with(record, what.name, evolve(container, run=change(run, what, now)))


# Starting: from one state of a container to the next.


def _start_asked(record: PodRecord, container: ContainerRecord, now: float) -> ContainerRecord:
    """BACKOFF-4: an allowed restart moves the delay on; retrying a failed start does not (STATUS-9)."""
    run, backoff = container.run, container.backoff
    if run is not None and run.finished_at is not None and container.retry_at is None:
        backoff = next_entry(backoff, run.finished_at, now, record.settings)
    return evolve(container, is_starting=True, backoff=backoff)


def _started(record: PodRecord, fact: ContainerStarted, now: float) -> ContainerRecord:
    spec = record.spec.all_containers[fact.name]
    has_hook = spec.lifecycle is not None and spec.lifecycle.post_start is not None
    declared: dict[ProbeKind, Probe | None] = {
        "startup": spec.startup_probe,
        "liveness": spec.liveness_probe,
        "readiness": spec.readiness_probe,
    }
    probes = {
        kind: ProbeState(probe, due_at=now + probe.initial_delay_seconds)
        for kind, probe in declared.items()
        if probe is not None
    }
    run = ContainerRun(fact.attempt, now, running_at=None if has_hook else now, probes=probes)
    return _with_new_run(record.containers[fact.name], run)


def _start_failed(record: PodRecord, fact: ContainerStartFailed, now: float) -> ContainerRecord:
    container = record.containers[fact.name]
    if fact.recorded:  # LOCAL-3: an instance that ended as soon as it began
        run = ContainerRun(
            fact.attempt,
            started_at=now,
            finished_at=now,
            exit_code=START_ERROR_EXIT_CODE,
            reason="StartError",
            message=fact.message,
        )
        return _with_new_run(container, run)
    return evolve(
        container,
        is_starting=False,
        waiting=Waiting(fact.reason, fact.message),
        retry_at=now + record.settings.retry_delay,
    )


def _with_new_run(container: ContainerRecord, run: ContainerRun) -> ContainerRecord:
    return ContainerRecord(
        run,
        last_run=container.run or container.last_run,
        next_attempt=run.attempt + 1,
        backoff=container.backoff,
    )


# What happens to a run: from one state of it to the next.


def _exited(run: ContainerRun, fact: ContainerExited, now: float) -> ContainerRun:
    return evolve(run, finished_at=now, exit_code=fact.exit_code, reason=fact.reason, message=fact.message)


def _with_hook(run: ContainerRun, kind: HookKind, hook: HookRun) -> ContainerRun:
    return evolve(run, post_start=hook) if kind == "postStart" else evolve(run, pre_stop=hook)


def _hook_asked(run: ContainerRun, action: RunHook, now: float) -> ContainerRun:
    return _with_hook(run, action.hook, HookRun())


def _hook_finished(run: ContainerRun, fact: HookFinished, now: float) -> ContainerRun:
    hook = run.hook(fact.hook)
    if hook is None or not hook.is_under_way:
        return run
    run = _with_hook(run, fact.hook, evolve(hook, ended_at=now, error=fact.error))
    if fact.hook == "postStart" and fact.error is None:
        run = evolve(run, running_at=now)
    return run


def _hook_cancelled(run: ContainerRun, action: CancelHook, now: float) -> ContainerRun:
    """HOOK-4, HOOK-6: given up is not failed."""
    hook = run.hook(action.hook)
    return run if hook is None else _with_hook(run, action.hook, evolve(hook, ended_at=now))


def _probe_asked(run: ContainerRun, action: AskProbe, now: float) -> ContainerRun:
    state = run.probes[action.kind]
    state = evolve(state, due_at=now + state.probe.period_seconds, in_flight=True)
    return evolve(run, probes={**run.probes, action.kind: state})


def _probe_answered(run: ContainerRun, fact: ProbeAnswered, now: float) -> ContainerRun:
    """PROBE-12: a verdict changes only after enough equal answers; PROBE-19: errors change nothing."""
    state = run.probes[fact.kind]
    streak, verdict, due_at = state.streak, state.verdict, state.due_at + fact.delay
    if fact.result == "success":
        streak = max(streak, 0) + 1
        if streak >= state.probe.success_threshold:
            verdict = True
    elif fact.result == "failure":
        streak = min(streak, 0) - 1
        if -streak >= state.probe.failure_threshold:
            verdict = False
    if fact.kind == "startup" and verdict is not None:  # PROBE-8, PROBE-14
        due_at = inf
    state = ProbeState(state.probe, due_at, False, streak, verdict)
    return evolve(run, probes={**run.probes, fact.kind: state})


def _stop_asked(run: ContainerRun, action: StopContainer, now: float) -> ContainerRun:
    return evolve(run, stopping=Stopping(action.cause, now + action.grace))


def _signalled(run: ContainerRun, action: SignalContainer, now: float) -> ContainerRun:
    assert run.stopping is not None
    stopping = run.stopping
    if stopping.signalled_at is None:
        stopping = evolve(stopping, signalled_at=now)
    if action.signal == SIGKILL:
        stopping = evolve(stopping, killed_at=now)
    return evolve(run, stopping=stopping)


# The pod as a whole.


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
        deletion = evolve(deletion, grace=now + grace - deletion.requested_at)
    ending = record.ending
    if ending is not None:
        ending = evolve(ending, deadline=min(ending.deadline, now + grace))
    return evolve(record, deletion=deletion, ending=ending)


def _restarted_in_place(record: PodRecord, now: float) -> PodRecord:
    """RESTART-13..18: forget every instance but what RESTART-17 makes up for it."""
    assert record.ending is not None
    trigger = record.containers[record.ending.trigger or ""].run
    assert trigger is not None and trigger.finished_at is not None
    return evolve(
        record,
        containers=Containers(
            {name: _removed(c) for name, c in record.containers.items()}, record.spec.lasting
        ),
        passed=frozenset(),
        restart_backoff=next_entry(record.restart_backoff, trigger.finished_at, now, record.settings),
        ending=None,
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
