"""What is published, held against the log: statuses, phase, conditions, columns, Events (STATUS, COND).

Every publication is compared with what an onlooker would have to say at that moment, which `course` keeps.
Each fault is told where it first shows.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from minikubelet.api.pod import Pod
from minikubelet.api.pod_status import (
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    PodCondition,
    PodStatus,
)
from minikubelet.invariants.course import EXACT, Course, Life, Shown, View
from minikubelet.invariants.rules import Breach, pod_invariant
from minikubelet.invariants.story import Moment, PodStory
from minikubelet.lifecycle.printing import pod_row

TERMINAL = ("Succeeded", "Failed")
Essence = tuple[Any, ...]
_RANKS = {"Pending": 0, "Running": 1, "Succeeded": 2, "Failed": 2}

# ------------------------------------------------------------------ phase


@pod_invariant("I8 PHASE-1", "A phase only moves forward, and Succeeded and Failed are left for nothing.")
def phases_move_forward(story: PodStory) -> Iterator[Breach]:
    before = "Pending"
    for moment, phase, _ in story.read(_Faults).phases:
        if before in TERMINAL or _RANKS.get(phase, -1) < _RANKS[before]:
            yield Breach(moment, f"phase {phase} after {before}")
            return
        before = phase


@pod_invariant(
    "TERM-12 SIDE-18 SIDE-20 SIDE-21 CORE-1",
    "A terminal phase is published only when no process is alive.",
)
def terminal_phase_when_all_are_gone(story: PodStory) -> Iterator[Breach]:
    for moment, phase, view in story.read(_Faults).phases:
        if view.alive and phase in TERMINAL:
            yield Breach(moment, f"phase {phase} while {', '.join(view.alive)} was alive")
            return


@pod_invariant(
    "PHASE-2 PHASE-4 PHASE-5 PHASE-8 PHASE-9 PHASE-10 PHASE-12 MAIN-6 SIDE-8 SIDE-11",
    "Until it is finished a pod is Running once every main container has run or ended, and Pending before.",
)
def phase_follows_the_mains(story: PodStory) -> Iterator[Breach]:
    yield from story.read(_Faults).of("phase")


@pod_invariant(
    "I10 PHASE-3 PHASE-6 PHASE-7 PHASE-11 SIDE-17 JOB-30",
    "A pod Succeeded if every main's last exit code is 0; it Failed if not, by its deadline or by an init.",
)
def verdict_is_of_the_mains(story: PodStory) -> Iterator[Breach]:
    """Exit codes of sidecars never matter, nor does who sent the signal that an exit code tells of."""
    yield from story.read(_Faults).of("verdict")


@pod_invariant(
    "TERM-10 TERM-12 PHASE-13",
    "Reason DeadlineExceeded stands beside phase Failed iff the deadline ended the pod.",
)
def reason_belongs_to_the_phase(story: PodStory) -> Iterator[Breach]:
    yield from story.read(_Faults).of("reason")


# ------------------------------------------------------------------ containers


@pod_invariant(
    "STATUS-1", "Every container has a status, with exactly one of waiting, running and terminated."
)
def one_state_each(story: PodStory) -> Iterator[Breach]:
    yield from story.read(_Faults).of("one state")


@pod_invariant(
    "STATUS-1 STATUS-2 STATUS-4 STATUS-5 STATUS-6 STATUS-8 BACKOFF-9 BACKOFF-11 SIDE-10 HOOK-2 HOOK-3 INIT-9 "
    "LOCAL-3",
    "A container's state is what the log says of its newest attempt: running, ended with that code, or "
    "waiting for that reason.",
)
def state_follows_the_log(story: PodStory) -> Iterator[Breach]:
    """Waiting with CrashLoopBackOff from event BackOff until the next start, unless the pod ends; with the
    error of a start that left no instance; with PostStartHookError; else as before the first start."""
    yield from story.read(_Faults).of("state")


@pod_invariant(
    "STATUS-2 STATUS-6 RESTART-17",
    "lastState is the end of the attempt before the one that state shows, and says what the log says.",
)
def last_state_follows_the_log(story: PodStory) -> Iterator[Breach]:
    """After an in-place restart of all containers it is 137 RestartingAllContainers, without times."""
    yield from story.read(_Faults).of("last state")


@pod_invariant("STATUS-3 STATUS-9 RESTART-17 SIDE-15", "restartCount is the number of the newest attempt.")
def restart_count_is_the_attempt(story: PodStory) -> Iterator[Breach]:
    yield from story.read(_Faults).of("restart count")


@pod_invariant(
    "I5 STATUS-7 PROBE-11 PROBE-12 PROBE-17 PROBE-18 SIDE-5 SIDE-16 INIT-8 HOOK-2",
    "started and ready are what the probes of the living attempt have answered, and false when it has ended.",
)
def started_and_ready_are_of_this_attempt(story: PodStory) -> Iterator[Breach]:
    """Without a startupProbe a container is started as soon as it runs and postStart has returned, without
    a readinessProbe ready as soon as started; an init is ready when it has exited 0."""
    yield from story.read(_Faults).of("started and ready")


@pod_invariant(
    "CORE-7 STATUS-4 LOCAL-8", "startTime, startedAt and finishedAt are when it happened, in whole seconds."
)
def times_are_those_of_the_log(story: PodStory) -> Iterator[Breach]:
    yield from story.read(_Faults).of("time")


@pod_invariant("STATUS-11", "containerID is different for every attempt.")
def container_ids_are_unique(story: PodStory) -> Iterator[Breach]:
    yield from story.read(_Faults).of("container id")


# ------------------------------------------------------------------ conditions


@pod_invariant(
    "COND-1 COND-3 COND-5 COND-6 COND-7 COND-8 COND-9 COND-10 RESTART-16 RESTART-18 SIDE-16 INIT-7",
    "Each condition of the pod is True exactly when the log says so.",
)
def conditions_follow_the_log(story: PodStory) -> Iterator[Breach]:
    """Initialized: for good once all initContainers are. ContainersReady: every main and sidecar is, and the
    end of the pod is not decided. Ready: that and every readinessGate. PodReadyToStartContainers: from when
    the pod is prepared until it is finished. AllContainersRestarting: while a rule takes all down."""
    yield from story.read(_Faults).of("condition")


@pod_invariant(
    "COND-4 COND-5 COND-6 COND-7 RESTART-16", "A condition's reason and message name what is missing."
)
def conditions_say_why(story: PodStory) -> Iterator[Breach]:
    yield from story.read(_Faults).of("why")


@pod_invariant("COND-2", "lastTransitionTime is when a condition's status last changed.")
def transition_times_are_exact(story: PodStory) -> Iterator[Breach]:
    yield from story.read(_Faults).of("transition time")


# ------------------------------------------------------------------ the object, columns and Events


@pod_invariant(
    "I9 TERM-4 TERM-5", "A deletion is published at once, with the time it leaves, which only gets shorter."
)
def deletion_is_published(story: PodStory) -> Iterator[Breach]:
    yield from story.read(_Faults).of("deletion")


@pod_invariant(
    "PRINT-1 PRINT-2 PRINT-3 PRINT-4 PRINT-5 PRINT-6 PRINT-7 SIDE-19",
    "READY, STATUS and RESTARTS are what kubectl would print of that moment.",
)
def columns_are_kubectls(story: PodStory) -> Iterator[Breach]:
    """Looked at in every third publication that says something new, and in the last: they are computed of
    what is published and of nothing else, and no other part of the check takes longer."""
    yield from story.read(_Faults).of("column")


@pod_invariant(
    "EVENT-1 EVENT-6 BACKOFF-10 HOOK-3 HOOK-6",
    "Every start, failed start, signal and exit is told in one Event, and nothing else is told.",
)
def events_agree_with_the_log(story: PodStory) -> Iterator[Breach]:
    """Created and Started, Failed, Signalled, Exited, FailedPostStartHook, FailedPreStopHook by container;
    BackOff once for each wait."""
    course = story.read(Course)
    for moment in course.false_back_offs:
        yield Breach(moment, "event BackOff where no restart was held back, or a second time")
    if story.over is None or not story.over.detail:
        return
    happened: dict[tuple[str, str], int] = {}

    def add(name: str, *reasons: str) -> None:
        for reason in reasons:
            happened[name, reason] = happened.get((name, reason), 0) + 1

    for life in course.lives:
        name = life.attempt.name
        if life.attempt.is_real:
            add(name, "Created", "Started", *(["Signalled"] * len(life.signals)))
            if life.attempt.exited is not None:
                add(name, "Exited")
        for hook in life.hooks:
            if hook.kind == "postStart" and hook.error is not None:
                add(name, "FailedPostStartHook")
            elif hook.kind == "preStop" and (hook.error is not None or hook.is_cancelled):
                add(name, "FailedPreStopHook")
    for start in course.starts:
        if start.moment.entry.what == "startFailed":
            add(start.container.name, "Failed")
    for name in story.spec.all_containers:
        path = _path(story, name)
        for reason in _COUNTED:
            told, wanted = course.told.get((path, reason), 0), happened.get((name, reason), 0)
            if told != wanted:
                yield Breach(story.over, f"{told} events {reason} of {name}, and it happened {wanted} times")


_COUNTED = ("Created", "Started", "Failed", "Signalled", "Exited", "FailedPostStartHook", "FailedPreStopHook")


@pod_invariant("EVENT-6 EVENT-7", "Events name their container by its path, and count repetitions.")
def events_are_counted(story: PodStory) -> Iterator[Breach]:
    paths = {_path(story, name) for name in story.spec.all_containers}
    counts: dict[tuple[str | None, str, str], int] = {}
    for moment in story.events:
        event = moment.entry.detail
        path = event.involved_object.field_path
        if path is not None and path not in paths:
            yield Breach(moment, f"event {event.reason} is about {path}")
        key = path, event.reason, event.message
        counts[key] = expected = counts.get(key, 0) + 1
        if event.count != expected:
            yield Breach(
                moment, f"event {event.reason} has count {event.count}, it is the {expected}. of its kind"
            )


def _path(story: PodStory, name: str) -> str:
    """EVENT-6."""
    is_main = name not in story.inits and name not in story.sidecars
    return f"spec.{'containers' if is_main else 'initContainers'}{{{name}}}"


# ------------------------------------------------------------------ comparing publications


class _Faults:
    """All publications of a pod, compared with the log. Made by `story.read(_Faults)`."""

    def __init__(self, story: PodStory) -> None:
        self._story = story
        self._spec = story.spec
        self._found: dict[str, dict[str, Breach]] = {}
        self._moment: Moment
        self._tolerance = story.tolerance + EXACT
        self._names = list(story.spec.all_containers)
        self._inits = len(story.spec.init_containers)
        self._ids: dict[str, Life] = {}
        self._since: dict[str, str | None] = {}
        self._was_restarting = False
        self._changes = 0
        self._conditions: Essence | None = None
        names = [name for name in self._names if name not in story.inits]
        self._lasting = [self._names.index(name) for name in names]
        self._shown: tuple[Shown | None, ...] = (None,) * len(self._names)
        self._told: list[Any] = [None] * len(self._names)
        self.phases: list[tuple[Moment, str, View]] = []
        "Each change of the published phase, which begins as Pending."
        phase, old_pod, old_view, old_essence = "Pending", None, None, None
        essence: Essence = ()
        for self._moment, view in story.read(Course).publications:
            pod: Pod = self._moment.entry.detail
            if pod is not old_pod:
                essence, old_pod = _essence(pod), pod
            if essence[0] != phase:
                phase = essence[0]
                self.phases.append((self._moment, phase, view))
            if view is not old_view or essence != old_essence:
                self._compare(view, pod, essence)
                old_view, old_essence = view, essence

    def of(self, topic: str) -> Iterator[Breach]:
        yield from self._found.get(topic, {}).values()

    def _fault(self, topic: str, subject: str, message: str) -> None:
        """Told once of each subject, for what is wrong usually stays so."""
        self._found.setdefault(topic, {}).setdefault(subject, Breach(self._moment, message))

    def _is_at(self, text: str | None, instant: float) -> bool:
        if text is None:
            return False
        wall, tolerance = self._story.epoch + instant, self._story.tolerance
        return int(wall - tolerance) <= _seconds(text) <= int(wall + tolerance)

    def _compare(self, now: View, pod: Pod, essence: Essence) -> None:
        status = _status(pod)
        if not self._is_at(status.start_time, self._story.began_at):
            self._fault("time", "pod", f"startTime {status.start_time}")
        self._compare_phase(now, status)
        self._compare_deletion(now, pod)
        statuses = (*status.init_container_statuses, *status.container_statuses)
        if [one.name for one in statuses] != self._names:
            self._fault("one state", "", f"statuses of {[one.name for one in statuses]}")
            return
        told = essence[-1]
        for index, shown in enumerate(now.shown):
            if shown is not self._shown[index] or told[index] != self._told[index]:
                self._compare_container(shown, statuses[index])
        self._shown, self._told = now.shown, told
        unready = [self._names[index] for index in self._lasting if not now.shown[index].ready]
        complete = (
            () if now.is_initialized else [(one.started, one.ready) for one in now.shown[: self._inits]]
        )
        about = unready, complete, now.decided, now.passed, now.is_prepared, now.is_finished
        conditions = about, now.is_initialized, now.gates, now.end, essence[-2]
        if conditions != self._conditions:
            self._compare_conditions(now, status.conditions, unready)
            self._conditions = conditions
        self._changes += 1
        if self._changes % 3 == 1 or now.is_finished:
            self._compare_columns(now, pod, status)

    # ------------------------------------------------------------------ the pod

    def _compare_phase(self, now: View, status: PodStatus) -> None:
        phase, reason = status.phase, status.reason
        if phase != now.phase:
            topic = "verdict" if phase in TERMINAL and now.phase in TERMINAL else "phase"
            why = f", ended: {now.end.cause}" if now.end is not None else ""
            self._fault(topic, "pod", f"phase {phase} where the log says {now.phase}{why}")
        is_late = now.is_finished and now.end is not None and now.end.cause == "deadline"
        if reason != ("DeadlineExceeded" if is_late else None) or (status.message is None) is is_late:
            self._fault("reason", "pod", f"reason {reason} beside phase {phase}")

    def _compare_deletion(self, now: View, pod: Pod) -> None:
        text, grace = pod.metadata.deletion_timestamp, pod.metadata.deletion_grace_period_seconds
        if now.deletion is None:
            if text is not None:
                self._fault("deletion", "pod", f"deletionTimestamp {text} of a pod that nobody deleted")
            return
        asked_at, gone_by = now.deletion
        if text is None or grace is None:
            self._fault("deletion", "pod", f"no deletionTimestamp, deleted at {asked_at:g} s")
        elif gone_by < 1e10:
            if not self._is_at(text, gone_by):
                self._fault("deletion", "pod", f"deletionTimestamp {text}, to be gone by {gone_by:g} s")
            if abs(grace - (gone_by - asked_at)) > 0.5 + self._tolerance:
                self._fault(
                    "deletion", "pod", f"deletionGracePeriodSeconds {grace} for {gone_by - asked_at:g} s"
                )

    # ------------------------------------------------------------------ containers

    def _compare_container(self, shown: Shown, published: ContainerStatus) -> None:
        name, state = published.name, published.state
        kinds = [kind for kind in ("waiting", "running", "terminated") if getattr(state, kind) is not None]
        if len(kinds) != 1:
            self._fault("one state", name, f"{name} is {' and '.join(kinds) or 'in no state'}")
            return
        told = _in_words(state)
        if kinds[0] != shown.state or (state.waiting is not None and state.waiting.reason != shown.reason):
            self._fault("state", name, f"{name} is {told} where the log says {_expected(shown)}")
        elif state.terminated is not None and shown.life is not None:
            self._compare_end("state", name, state.terminated, shown.life)
        elif state.running is not None and shown.life is not None:
            since = state.running.started_at
            if not self._is_at(since, shown.life.attempt.started.at):
                self._fault("time", name, f"{name} is running since {since}")
        if shown.life is not None:
            self._compare_id(name, published.container_id, shown.life)
        last = published.last_state
        if last.waiting is not None or last.running is not None:
            self._fault("last state", name, f"lastState of {name} is {_in_words(last)}")
        elif shown.last is not None:
            if last.terminated is None:
                self._fault("last state", name, f"no lastState of {name}")
            else:
                self._compare_end("last state", name, last.terminated, shown.last)
        elif shown.forgotten is not None:
            end = last.terminated
            if end is None or (end.exit_code, end.reason, end.finished_at) != _MADE_UP:
                self._fault("last state", name, f"after an in-place restart lastState is {_in_words(last)}")
        elif last.terminated is not None:
            self._fault("last state", name, f"{name} has never ended and its lastState is {_in_words(last)}")
        if published.restart_count != shown.restart_count:
            count = published.restart_count
            self._fault(
                "restart count", name, f"{name} has restartCount {count} in attempt {shown.restart_count}"
            )
        if bool(published.started) is not shown.started or published.ready is not shown.ready:
            told = f"started {published.started}, ready {published.ready}"
            expected = f"started {shown.started}, ready {shown.ready}"
            self._fault("started and ready", name, f"{name} is {told} where the log says {expected}")

    def _compare_end(self, topic: str, name: str, end: ContainerStateTerminated, life: Life) -> None:
        attempt = life.attempt
        if end.exit_code != attempt.exit_code or end.reason not in _end_reasons(life):
            told = f"{end.exit_code} {end.reason}"
            self._fault(topic, name, f"{name} ended with {told} where the log says {attempt.exit_code}")
        assert attempt.exited is not None
        if not self._is_at(end.started_at, attempt.started.at):
            self._fault("time", name, f"{name} startedAt {end.started_at}, it was {attempt.started.at:g} s")
        if not self._is_at(end.finished_at, attempt.exited.at):
            self._fault("time", name, f"{name} finishedAt {end.finished_at}, it was {attempt.exited.at:g} s")
        self._compare_id(name, end.container_id, life)

    def _compare_id(self, name: str, text: str | None, life: Life) -> None:
        if text is None or self._ids.setdefault(text, life) is not life:
            self._fault("container id", name, f"{life} has containerID {text}, as another")

    # ------------------------------------------------------------------ conditions

    def _compare_conditions(self, now: View, published: tuple[PodCondition, ...], unready: list[str]) -> None:
        missing = [
            gate.condition_type
            for gate in self._spec.readiness_gates
            if not now.gates.get(gate.condition_type)
        ]
        all_ready = now.decided is None and not unready
        is_initialized = now.is_initialized or now.decided == "Succeeded"
        is_restarting = now.end is not None and not now.end.is_final
        self._was_restarting = self._was_restarting or is_restarting
        expected = {
            "PodScheduled": True,
            "PodReadyToStartContainers": now.is_prepared and not now.is_finished,
            "Initialized": is_initialized,
            "ContainersReady": all_ready,
            "Ready": all_ready and not missing,
            **now.gates,
        }
        if self._was_restarting:
            expected["AllContainersRestarting"] = is_restarting
        if len(published) != len(expected):
            told = {condition.type for condition in published}
            for kind in told.symmetric_difference(expected):
                self._fault(
                    "condition", kind, f"condition {kind} is {'there' if kind in told else 'missing'}"
                )
        since: dict[str, str | None] = {}
        for condition in published:
            kind, status, time = condition.type, condition.status, condition.last_transition_time
            if status != ("True" if expected.get(kind) else "False"):
                self._fault("condition", kind, f"condition {kind} is {status}, not so in the log")
            key = f"{kind} {status}"
            since[key] = time
            if key in self._since:
                if time != self._since[key]:
                    self._fault("transition time", kind, f"{kind} stayed {status} and its time became {time}")
            elif not self._is_at(time, self._moment.at):
                self._fault(
                    "transition time", kind, f"{kind} became {status} at {self._moment.at:g} s, not {time}"
                )
            if kind in _EXPLAINED:
                reason, message = self._why(now, kind, status == "True", unready)
                if (condition.reason, condition.message) != (reason, message) and not (
                    reason == "ReadinessGatesNotReady" == condition.reason
                ):
                    told_why = f"{condition.reason} {condition.message}"
                    self._fault(
                        "why", kind, f"{kind} {status} has {told_why} where it should be {reason} {message}"
                    )
        self._since = since

    def _why(self, now: View, kind: str, status: bool, unready: list[str]) -> tuple[str | None, str | None]:
        if kind == "AllContainersRestarting":
            return ("RestartAllContainersStarted" if status else None), None
        if kind == "Initialized":
            if now.decided == "Succeeded":
                return "PodCompleted", None
            if status:
                return None, None
            names = [
                name
                for index, name in enumerate(self._names[: self._inits])
                if not self._is_complete(now, index, name)
            ]
            return "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(names)}]"
        if status:
            return None, None
        if now.decided is not None:
            return ("PodCompleted" if now.decided == "Succeeded" else "PodFailed"), None
        if unready:
            return "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
        return "ReadinessGatesNotReady", None

    def _is_complete(self, now: View, index: int, name: str) -> bool:
        """COND-3, COND-4: of an entry of initContainers."""
        shown = now.shown[index]
        return index < now.passed and shown.started if name in self._story.sidecars else shown.ready

    # ------------------------------------------------------------------ columns

    def _compare_columns(self, now: View, pod: Pod, status: PodStatus) -> None:
        instant = self._story.epoch + self._moment.at
        row = pod_row(pod, instant)
        initializing = self._initializing(status)
        is_initialized = any(c.type == "Initialized" and c.status == "True" for c in status.conditions)
        is_up = initializing is None or is_initialized

        ready = sum(now.shown[index].ready for index in self._lasting)
        if row.ready != f"{ready}/{len(self._lasting)}":
            self._fault("column", "READY", f"READY {row.ready} where {ready} of {len(self._lasting)} are")

        word = self._word(pod, status, initializing, is_up)
        if row.status != word:
            self._fault("column", "STATUS", f"STATUS {row.status} where kubectl says {word}")

        every = (*status.init_container_statuses, *status.container_statuses)
        counted = [every[index] for index in self._lasting] if is_up else status.init_container_statuses
        restarts = sum(one.restart_count for one in counted)
        last_ends = [one.last_state.terminated for one in counted]
        ends = [_seconds(end.finished_at) for end in last_ends if end is not None and end.finished_at]
        text = str(restarts)
        if restarts and ends:
            age = int(instant - max(ends))
            text = f"{restarts} ({age}s ago)" if age < 120 else f"{restarts} ("
        if not (row.restarts == text or (text.endswith("(") and row.restarts.startswith(text))):
            self._fault("column", "RESTARTS", f"RESTARTS {row.restarts} where kubectl says {text}")

    def _initializing(self, status: PodStatus) -> str | None:
        """PRINT-3."""
        for index, one in enumerate(status.init_container_statuses):
            end, waiting = one.state.terminated, one.state.waiting
            is_done = end is not None and end.exit_code == 0
            if is_done or (one.name in self._story.sidecars and one.started):
                continue
            if end is not None:
                return f"Init:{end.reason}"
            if waiting is not None and waiting.reason not in (None, "PodInitializing"):
                return f"Init:{waiting.reason}"
            return f"Init:{index}/{self._inits}"
        return None

    def _word(self, pod: Pod, status: PodStatus, initializing: str | None, is_up: bool) -> str:
        """PRINT-2, PRINT-4..6."""
        if pod.metadata.deletion_timestamp and status.phase not in TERMINAL:
            return "Terminating"
        if not is_up:
            return initializing or ""
        mains = status.container_statuses
        states = [one.state.waiting or one.state.terminated for one in mains]
        words = [state.reason for state in states if state is not None]
        word = words[0] if words else (initializing or status.reason or status.phase)
        if word == "Completed" and any(one.ready and one.state.running for one in mains):
            is_ready = any(c.type == "Ready" and c.status == "True" for c in status.conditions)
            return "Running" if is_ready else "NotReady"
        return word or ""


_MADE_UP = 137, "RestartingAllContainers", None  # RESTART-17
_EXPLAINED = ("Initialized", "ContainersReady", "Ready", "AllContainersRestarting")


def _essence(pod: Pod) -> Essence:
    """All that is looked at in a publication, easy to compare with the one before; containers come last."""
    status, metadata = _status(pod), pod.metadata
    return (
        status.phase,
        status.reason,
        status.message,
        status.start_time,
        metadata.deletion_timestamp,
        metadata.deletion_grace_period_seconds,
        [(c.type, c.status, c.reason, c.message, c.last_transition_time) for c in status.conditions],
        [_of_container(one) for one in status.init_container_statuses]
        + [_of_container(one) for one in status.container_statuses],
    )


def _of_container(one: ContainerStatus) -> Essence:
    state, last = one.state, one.last_state
    waiting, running = state.waiting, state.running
    return (
        one.name,
        one.ready,
        one.started,
        one.restart_count,
        one.container_id,
        waiting and waiting.reason,
        running and running.started_at,
        _of_end(state.terminated),
        _of_end(last.terminated),
        last.waiting is None and last.running is None,
    )


def _of_end(end: ContainerStateTerminated | None) -> Essence | None:
    if end is None:
        return None
    return end.exit_code, end.reason, end.started_at, end.finished_at, end.container_id


def _status(pod: Pod) -> PodStatus:
    assert pod.status is not None
    return pod.status


def _end_reasons(life: Life) -> tuple[str, ...]:
    """STATUS-4; the log has exit codes only, and a runtime may know more of one that is not 0."""
    if not life.attempt.is_real:
        return ("StartError",)
    return ("Completed",) if life.attempt.exit_code == 0 else ("Error", "OOMKilled", "ContainerStatusUnknown")


def _in_words(state: ContainerState) -> str:
    if state.waiting is not None:
        return f"waiting, {state.waiting.reason}"
    if state.running is not None:
        return "running"
    if state.terminated is not None:
        return f"terminated, {state.terminated.exit_code} {state.terminated.reason}"
    return "nothing"


def _expected(shown: Shown) -> str:
    if shown.state == "waiting":
        return f"waiting, {shown.reason}"
    if shown.state == "terminated" and shown.life is not None:
        return f"terminated, {shown.life.attempt.exit_code}"
    return shown.state


@lru_cache(maxsize=4096)
def _seconds(text: str) -> int:
    """Since the Unix epoch, of RFC 3339 text."""
    from datetime import datetime

    return int(datetime.fromisoformat(text).timestamp())
