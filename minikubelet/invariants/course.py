"""The course that a pod's life takes, as its log tells it: who is up, what is over, what ends it, by when.

A walk through the story that keeps what an onlooker would keep in mind, restated from the rules and from
nothing else. It judges nothing: `order`, `stopping` and `status` do, from what it writes down here about
each start, each way down and each publication.

Rules are applied where the kubelet gets to apply them, before the next thing that it does: what is due after
an exit is due from the entry after it on, not in the middle of starts that were decided together.
"""

from math import inf
from typing import Any, Literal

import attrs

from minikubelet.api.pod import Container, Lifecycle, PodSpec, Probe
from minikubelet.invariants.story import Attempt, Moment, PodStory

Role = Literal["init", "sidecar", "main"]
EndCause = Literal["deleted", "deadline", "initFailed", "completed", "restartAll"]
StopCause = Literal["pod", "startup", "liveness", "postStart"]

EXACT = 1e-6
"Seconds that sums of floats may be off."


@attrs.define(eq=False)
class End:
    """The pod is going down (CORE-2), or all its containers are, to be started over (RESTART-13)."""

    cause: EndCause
    moment: Moment
    "What it follows from."
    deadline: float
    "When the grace is over. Deletions bring it closer (TERM-4)."

    @property
    def is_final(self) -> bool:
        return self.cause != "restartAll"


@attrs.define(eq=False)
class Hook:
    kind: str
    began: Moment
    ended: Moment | None = None
    "None while it is under way, and for ever if its container ended first."
    error: str | None = None
    is_cancelled: bool = False
    deadline: float = inf
    "The container's when it ended."


@attrs.define(eq=False)
class Signal:
    moment: Moment
    number: int
    deadline: float
    "The container's at that moment; inf if nothing was to stop it."
    waits_for: str | None
    "Who should have been gone before (SIDE-27)."


@attrs.define(eq=False)
class Stop:
    """A container has to go (TERM-1)."""

    cause: StopCause
    moment: Moment
    deadline: float
    "When preStop and waiting for its turn have to be over; whatever is sooner, its own or the pod's."
    grace: float
    "Seconds until then when it began."


@attrs.define(eq=False)
class Life:
    """What an onlooker knows of one attempt."""

    attempt: Attempt
    role: Role
    incarnation: int
    hooks: list[Hook] = attrs.Factory(list)
    running: Moment | None = None
    "From when on it is shown as running: started, and postStart has returned (HOOK-2)."
    verdicts: dict[str, bool] = attrs.Factory(dict)
    streaks: dict[str, int] = attrs.Factory(dict)
    stop: Stop | None = None
    signals: list[Signal] = attrs.Factory(list)
    killings: list[Moment] = attrs.Factory(list)
    "Events that say that it is being stopped (EVENT-2)."
    is_over: bool = False
    "As of the entry that the walk has come to."

    @property
    def container(self) -> Container:
        return self.attempt.container

    @property
    def lifecycle(self) -> Lifecycle:
        return self.attempt.container.lifecycle or _NO_LIFECYCLE

    def hook(self, kind: str) -> Hook | None:
        return next((hook for hook in self.hooks if hook.kind == kind), None)

    @property
    def is_started(self) -> bool:
        """SIDE-5, PROBE-17, PROBE-18."""
        if self.running is None or self.is_over:
            return False
        return self.container.startup_probe is None or self.verdicts.get("startup", False)

    @property
    def is_ready(self) -> bool:
        """PROBE-16..18."""
        return self.is_started and (
            self.container.readiness_probe is None or self.verdicts.get("readiness", False)
        )

    def __str__(self) -> str:
        number = self.attempt.number
        return f"{self.attempt.name} (restart {number})" if number else self.attempt.name


_NO_LIFECYCLE = Lifecycle()


@attrs.frozen
class Start:
    """A container was started, or tried to be, and how things stood just before."""

    moment: Moment
    container: Container
    role: Role
    attempt: int
    next_attempt: int
    "How many instances there were before."
    incarnation: int
    is_first: bool
    "There was no instance of it in this incarnation."
    passed: int
    "How many of the initContainers were initialized (INIT-1)."
    end: End | None
    held_up_by: str | None
    "An earlier main whose postStart has not returned, or that was not tried (MAIN-1)."
    alive: tuple[str, ...]
    "Containers that had a process, itself included."


@attrs.frozen
class Shown:
    """A container as it is to be published."""

    state: Literal["waiting", "running", "terminated"]
    reason: str | None
    "Of waiting."
    life: Life | None
    "The newest instance, unless it was forgotten (RESTART-17)."
    last: Life | None
    "The one that lastState shows."
    forgotten: int | None
    "Number of the instance that lastState shows in place of the forgotten one."
    restart_count: int
    started: bool
    ready: bool


@attrs.define(eq=False)
class View:
    """What is to be published, the same object as long as nothing happens that would change it.

    Containers are in the order of the manifest.
    """

    shown: tuple[Shown, ...]
    phase: str
    decided: str | None
    "The terminal phase as soon as it is certain (COND-6)."
    end: End | None
    passed: int
    is_prepared: bool
    is_initialized: bool
    is_finished: bool
    gates: dict[str, bool]
    alive: tuple[str, ...]
    "Containers that had a process."
    deletion: tuple[float, float] | None
    "When it was asked for first, and by when everything is to be gone."


@attrs.define(eq=False)
class _Track:
    """One container, as the walk goes on."""

    container: Container
    role: Role
    life: Life | None = None
    last: Life | None = None
    forgotten: int | None = None
    count: int = 0
    was_tried: bool = False
    failure: str | None = None
    "Why the latest start left no instance."
    is_held_back: bool = False
    "Back-off was told since it ended."
    has_run: bool = False
    shown: Shown | None = None

    @property
    def is_live(self) -> bool:
        return self.life is not None and not self.life.is_over


class Course:
    """Made by `story.read(Course)`."""

    def __init__(self, story: PodStory) -> None:
        self.story = story
        self.spec = spec = story.spec
        self.lives: list[Life] = []
        self.starts: list[Start] = []
        self.ends: list[End] = []
        "In their order; only the last one can be final."
        self.publications: list[tuple[Moment, View]] = []
        "What was published when, and what is to be read in it."
        self.too_late: list[tuple[Moment, str]] = []
        "Signals, hooks and probes for a container that has no process."
        self.rebirths: list[tuple[Moment, tuple[str, ...]]] = []
        "Each in-place restart (RESTART-13), and who was alive then."
        self.told: dict[tuple[str | None, str], int] = {}
        "How many Events there were, by fieldPath (None for the pod itself) and reason."
        self.false_back_offs: list[Moment] = []
        "Events BackOff of what is not down, or that was told of before."
        self.prepared: Moment | None = None
        self.alive_at_removal: tuple[str, ...] = ()

        self._tracks = {
            name: _Track(container, _role(story, container))
            for name, container in spec.all_containers.items()
        }
        self._mains = [self._tracks[c.name] for c in spec.containers]
        self._inits = [self._tracks[c.name] for c in spec.init_containers]
        self._by_number: dict[tuple[str, int], Life] = {}
        self._fresh: list[Attempt] = []
        self._passed = 0
        self._is_initialized = not spec.init_containers
        self._end: End | None = None
        self._view: View | None = None
        self._finished = False
        self._gates: dict[str, bool] = {}
        self._deletion: tuple[float, float] | None = None
        self._asks_to_end = False
        self._news = self._start_news = False
        limit = spec.active_deadline_seconds
        self.active_until = inf if limit is None else story.began_at + limit
        "TERM-10."
        self._grace = float(max(spec.termination_grace_period_seconds, 0))
        self._attempts = {name: iter(attempts) for name, attempts in story.attempts.items()}
        for moment in story.moments:
            take = _TAKES.get(moment.entry.what)
            if take is not None:
                take(self, moment)
        self._settle(story.moments[-1] if story.moments else None)

    @property
    def end(self) -> End | None:
        """The final one, if there is one."""
        return self.ends[-1] if self.ends and self.ends[-1].is_final else None

    # ------------------------------------------------------------------ what happens to the pod

    def _take_prepared(self, moment: Moment) -> None:
        self.prepared = self.prepared or moment
        self._view = None

    def _take_removed(self, moment: Moment) -> None:
        self._settle(moment)
        self._finished = True
        self.alive_at_removal = self._alive()
        self._view = None

    @property
    def deleted_at(self) -> float:
        """When deletion was asked for first; inf for never."""
        return inf if self._deletion is None else self._deletion[0]

    def _take_deletion(self, moment: Moment) -> None:
        if self._finished:
            return
        self._view = None
        asked = self.spec.termination_grace_period_seconds if moment.detail is None else moment.detail
        gone_by = moment.at + max(asked, 1)  # TERM-4, TERM-5
        self._deletion = (
            (moment.at, gone_by)
            if self._deletion is None
            else (self._deletion[0], min(self._deletion[1], gone_by))
        )
        if self._end is None or not self._end.is_final:
            self._begin_end("deleted", moment, gone_by)
        else:
            self._shorten(gone_by)

    def _take_gate(self, moment: Moment) -> None:
        kind, status = moment.detail
        self._gates = {**self._gates, kind: status}
        self._view = None

    def _take_event(self, moment: Moment) -> None:
        event = moment.entry.detail
        reason, path = event.reason, event.involved_object.field_path
        self.told[path, reason] = self.told.get((path, reason), 0) + 1
        if reason not in _CONSEQUENTIAL:
            return
        container = "" if path is None else path[path.index("{") + 1 : -1]  # EVENT-6
        match reason:
            case "BackOff":
                self._settle(moment)
                track = self._tracks[container]
                if track.is_held_back or track.life is None or not track.life.is_over:
                    self.false_back_offs.append(moment)
                track.is_held_back = True
                self._touch(track)
            case "Killing":
                self._settle(moment)
                life = self._tracks[container].life
                if life is None or life.is_over:
                    self.too_late.append((moment, f"{container} was said to be stopped"))
                else:
                    life.killings.append(moment)
                    if event.message == f"Stopping container {container}":
                        self._go_with_the_pod(life)
            case "DeadlineExceeded" if self._end is None or not self._end.is_final:
                self._news = self._start_news = False  # TERM-10: it goes before exits of the same instant
                self._begin_end("deadline", moment, moment.at + self._grace)
            case "RestartingAllContainers":
                self._settle(moment)
                self._start_over(moment)
            case _:
                pass

    def _start_over(self, moment: Moment) -> None:
        """RESTART-13, RESTART-17."""
        self.rebirths.append((moment, self._alive()))
        self._passed, self._view = 0, None
        if self._end is not None and not self._end.is_final:
            self._end = None
        for track in self._tracks.values():
            if track.life is not None:
                track.forgotten, track.last, track.life = track.life.attempt.number, None, None
                track.failure, track.is_held_back, track.was_tried = None, False, False
            track.shown = None

    # ------------------------------------------------------------------ what happens to a container

    def _take_start(self, moment: Moment) -> None:
        entry = moment.entry
        self._settle(moment, in_batch=True)
        track = self._tracks[entry.container]
        self.starts.append(
            Start(
                moment,
                track.container,
                track.role,
                entry.attempt,
                track.count,
                len(self.rebirths),
                track.life is None,
                self._passed,
                self._end,
                self._held_up_by(track),
                self._alive(),
            )
        )
        track.was_tried = True
        if entry.what == "startFailed" and not entry.detail[1]:
            track.failure = entry.detail[0]
            self._touch(track)
            return
        attempt = next(self._attempts[entry.container])
        life = Life(attempt, track.role, len(self.rebirths))
        self._start_news = True
        if not attempt.is_real:
            life.is_over = track.has_run = True
        elif life.lifecycle.post_start is None:
            life.running, track.has_run = moment, True
        self.lives.append(life)
        self._by_number[attempt.name, attempt.number] = life
        if track.life is not None:
            track.last, track.forgotten = track.life, None
        track.life, track.failure, track.is_held_back = life, None, False
        self._touch(track)
        track.count += 1

    def _held_up_by(self, track: _Track) -> str | None:
        """MAIN-1, HOOK-2: of the first start of a main only."""
        if track.role != "main" or track.life is not None:
            return None
        for earlier in self._mains:
            if earlier is track:
                return None
            life = earlier.life
            if not earlier.was_tried:
                return earlier.container.name
            if life is not None and not life.is_over and life.lifecycle.post_start is not None:
                if earlier.last is not None and earlier.last.incarnation == life.incarnation:
                    continue  # its first start failed, and that prevents nobody's
                hook = life.hook("postStart")
                if (hook is None or hook.ended is None) and life.stop is None:
                    return earlier.container.name
        return None

    def _take_exit(self, moment: Moment) -> None:
        life = self._life(moment)
        track = self._tracks[moment.entry.container]
        life.is_over = self._news = track.has_run = True
        self._touch(track)

    def _take_signal(self, moment: Moment) -> None:
        self._settle(moment)
        life = self._life(moment)
        if life.is_over:
            self.too_late.append((moment, f"{life} was sent signal {moment.detail}"))
        deadline = life.stop.deadline if life.stop is not None else inf
        life.signals.append(Signal(moment, moment.detail, deadline, self._waits_for(life)))

    def _waits_for(self, life: Life) -> str | None:
        """SIDE-27, SIDE-29: mains, and sidecars further down the list; only when the whole pod goes."""
        if life.role != "sidecar" or self._end is None or not self._end.is_final:
            return None
        for track in self._mains:
            if track.is_live:
                return track.container.name
        for track in reversed(self._inits):
            if track.life is life:
                return None
            if track.role == "sidecar" and track.is_live:
                return track.container.name
        return None

    def _take_hook_begin(self, moment: Moment) -> None:
        self._settle(moment)
        life = self._life(moment)
        if life.is_over:
            self.too_late.append((moment, f"{moment.detail} of {life} was begun"))
        life.hooks.append(Hook(moment.detail, moment))

    def _take_hook_end(self, moment: Moment) -> None:
        is_cancelled = moment.entry.what == "hookCancelled"
        kind, error = (moment.detail, None) if is_cancelled else moment.detail
        life = self._life(moment)
        hook = next((h for h in life.hooks if h.kind == kind and h.ended is None), None)
        if life.is_over or hook is None:
            return
        if is_cancelled:
            self._settle(moment)
        hook.ended, hook.error, hook.is_cancelled = moment, error, is_cancelled
        hook.deadline = life.stop.deadline if life.stop is not None else inf
        if kind != "postStart" or is_cancelled:
            return
        track = self._tracks[moment.entry.container]
        self._news = True
        self._touch(track)
        if error is None:
            life.running, track.has_run = moment, True
        else:
            self._condemn(life, "postStart", moment, None)

    def _take_probe_begin(self, moment: Moment) -> None:
        life = self._life(moment)
        if life.is_over:
            self.too_late.append((moment, f"{life} was asked its {moment.detail} probe"))

    def _take_probe_end(self, moment: Moment) -> None:
        """PROBE-12, PROBE-19: enough equal answers in a row make a verdict; errors are no answers."""
        kind, result, _ = moment.detail
        life = self._life(moment)
        probe = life.container.probe_of(kind)
        if result == "error" or life.is_over or probe is None:
            return
        before = life.verdicts.get(kind)
        streak = life.streaks.get(kind, 0)
        streak = max(streak, 0) + 1 if result == "success" else min(streak, 0) - 1
        life.streaks[kind] = streak
        if streak >= probe.success_threshold:
            life.verdicts[kind] = True
        elif -streak >= probe.failure_threshold:
            life.verdicts[kind] = False
        if life.verdicts.get(kind) is not before:
            self._news = True
            self._touch(self._tracks[moment.entry.container])
            if kind != "readiness" and life.verdicts[kind] is False:
                self._condemn(life, kind, moment, probe)

    def _condemn(self, life: Life, cause: StopCause, moment: Moment, probe: Probe | None) -> None:
        """HOOK-3, PROBE-14, PROBE-15, PROBE-31; PROBE-30: who goes already goes for another reason."""
        self._settle(moment)
        if life.stop is None:
            own = probe.termination_grace_period_seconds if probe is not None else None
            grace = self._grace if own is None else float(max(own, 0))
            life.stop = Stop(cause, moment, moment.at + grace, grace)

    def _touch(self, track: _Track) -> None:
        track.shown = self._view = None

    def _life(self, moment: Moment) -> Life:
        return self._by_number[moment.entry.container, moment.entry.attempt]

    # ------------------------------------------------------------------ what follows

    def _settle(self, moment: Moment | None, *, in_batch: bool = False) -> None:
        """Draw the conclusions from what is news. `in_batch`: starts may have been decided together."""
        is_late = moment is not None and moment.at > self.active_until + self.story.tolerance + EXACT
        if moment is not None and is_late and (self._end is None or not self._end.is_final):
            self._begin_end("deadline", moment, self.active_until + self._grace)  # TERM-10
        if in_batch and not self._news:
            if self._start_news and self._end is None:
                self._pass_inits()
            return
        if not self._news and not self._start_news:
            return
        self._news = self._start_news = False
        if self._end is None:
            self._end_by_exit()
        if self._end is None:
            self._pass_inits()

    def _end_by_exit(self) -> None:
        """RESTART-13, INIT-3, SIDE-21, MAIN-2."""
        for track in self._tracks.values():
            if track.container.restart_policy_rules and track.life is not None and track.life.is_over:
                rule = matching_action(self.spec, track.container, _code(track.life))
                if rule == "RestartAllContainers":
                    ended = _ended(track.life)
                    self._begin_end("restartAll", ended, ended.at)  # RESTART-15
                    return
        for track in self._inits[self._passed :]:
            life = track.life
            has_failed = life is not None and life.is_over and _code(life) != 0
            if life is not None and has_failed and track.role == "init" and not self.runs_again(life):
                self._begin_end("initFailed", _ended(life), _ended(life).at + self._grace)
                return
        latest: Moment | None = None
        for track in self._mains:
            life = track.life
            if life is None or not life.is_over or self.runs_again(life):
                return
            if latest is None or _ended(life).index > latest.index:
                latest = _ended(life)
        assert latest is not None
        self._begin_end("completed", latest, latest.at + self._grace)  # SIDE-22

    def runs_again(self, life: Life) -> bool:
        """RESTART-4..11, INIT-4, SIDE-9, of one that has ended while its pod goes on."""
        if matching_action(self.spec, life.container, _code(life)) is not None:
            return True
        policy = life.container.restart_policy or self.spec.restart_policy
        if policy == "Always" and life.role != "init":
            return True
        if policy == "Never":
            return False
        was_pushed = bool(life.signals) or life.hook("preStop") is not None  # or it was gone before that
        is_doomed = life.stop is not None and life.stop.cause in ("liveness", "startup")
        return _code(life) != 0 or (is_doomed and was_pushed)

    def _pass_inits(self) -> None:
        """INIT-1, SIDE-3, SIDE-6: an entry that was passed stays so."""
        while self._passed < len(self._inits):
            track = self._inits[self._passed]
            life = track.life
            if life is None:
                return
            if track.role == "init":
                if not life.is_over or _code(life) != 0 or self.runs_again(life):
                    return
            elif not (life.is_ready if self.waits_for_readiness(track.container) else life.is_started):
                return
            self._passed += 1
            self._view = None
        self._is_initialized = True

    def waits_for_readiness(self, sidecar: Container) -> bool:
        """The stricter of the two start gates; a startupProbe makes them the same."""
        return (
            self.story.settings.start_gate == "ready"
            and sidecar.readiness_probe is not None
            and sidecar.startup_probe is None
        )

    def _go_with_the_pod(self, life: Life) -> None:
        """PROBE-30: in real time the end of the pod may be known together with what came just before it."""
        end, stop = self._end, life.stop
        if end is None or stop is None or stop.cause == "pod":
            return
        if end.moment.at <= stop.moment.at + self.story.tolerance + EXACT:
            life.stop = Stop("pod", end.moment, end.deadline, end.deadline - end.moment.at)

    def _begin_end(self, cause: EndCause, moment: Moment, deadline: float) -> None:
        self._end = End(cause, moment, deadline)
        self.ends.append(self._end)
        self._view = None
        for track in self._tracks.values():
            track.shown = None
            if track.life is not None and track.life.is_over is False and track.life.stop is None:
                track.life.stop = Stop("pod", moment, deadline, deadline - moment.at)
        self._shorten(deadline)

    def _shorten(self, deadline: float) -> None:
        """TERM-4, PROBE-31."""
        assert self._end is not None
        self._end.deadline = min(self._end.deadline, deadline)
        for track in self._tracks.values():
            if track.is_live and track.life is not None and track.life.stop is not None:
                track.life.stop.deadline = min(track.life.stop.deadline, deadline)

    # ------------------------------------------------------------------ what is to be published

    def _take_publication(self, moment: Moment) -> None:
        if self._news or self._start_news or moment.at > self.active_until:
            self._settle(moment)
        if self._view is None:
            self._view = self._look()
        self.publications.append((moment, self._view))

    def _look(self) -> View:
        decided = self._decided()
        if self._finished and decided is not None:
            phase = decided
        else:
            phase = (
                "Running" if all(track.has_run for track in self._mains) else "Pending"
            )  # PHASE-4, PHASE-10
        return View(
            tuple([track.shown or self._show(track) for track in self._tracks.values()]),
            phase,
            decided,
            self._end,
            self._passed,
            self.prepared is not None,
            self._is_initialized,
            self._finished,
            self._gates,
            self._alive(),
            self._deletion,
        )

    def _decided(self) -> str | None:
        """PHASE-3, PHASE-6, PHASE-7, PHASE-11, SIDE-17, COND-6."""
        end = self._end
        if end is None or not end.is_final or (end.cause == "deleted" and not self._finished):
            return None
        if end.cause in ("deadline", "initFailed"):
            return "Failed"
        lives = [track.life for track in self._mains]
        return (
            "Succeeded"
            if all(life is not None and life.attempt.exit_code == 0 for life in lives)
            else "Failed"
        )

    def _show(self, track: _Track) -> Shown:
        """STATUS-1..8, INIT-8, BACKOFF-9, BACKOFF-11, HOOK-3, RESTART-17."""
        life, last = track.life, track.last
        state: Literal["waiting", "running", "terminated"] = "waiting"
        reason: str | None = None
        is_ending = self._end is not None and self._end.is_final
        if life is not None and life.running is not None and not life.is_over:
            state = "running"
        elif life is not None and not life.is_over:
            hook = life.hook("postStart")
            failed = hook is not None and hook.error is not None
            reason = "PostStartHookError" if failed else self._first_reason
        elif life is not None and (is_ending or not (track.is_held_back or track.failure)):
            state = "terminated"
        else:
            if track.failure:
                reason = track.failure
            elif track.is_held_back:
                reason = "CrashLoopBackOff"
            else:
                reason = "RestartingAllContainers" if track.forgotten is not None else self._first_reason
            last = life or last
        if track.role == "init":
            started = state == "running"
            ready = state == "terminated" and life is not None and _code(life) == 0
        else:
            started = life is not None and life.is_started
            ready = life is not None and life.is_ready
        forgotten = track.forgotten if last is None else None
        count = track.count if life is None else life.attempt.number
        track.shown = Shown(state, reason, life, last, forgotten, count, started, ready)
        return track.shown

    @property
    def _first_reason(self) -> str:
        return "PodInitializing" if self.spec.init_containers else "ContainerCreating"

    def _alive(self) -> tuple[str, ...]:
        return tuple([name for name, track in self._tracks.items() if track.life and not track.life.is_over])


_CONSEQUENTIAL = frozenset(("BackOff", "Killing", "DeadlineExceeded", "RestartingAllContainers"))
"Events that tell of a decision for which the journal has no entry of its own."

_TAKES: dict[str, Any] = {
    "prepared": Course._take_prepared,
    "removed": Course._take_removed,
    "deletion": Course._take_deletion,
    "gate": Course._take_gate,
    "event": Course._take_event,
    "started": Course._take_start,
    "startFailed": Course._take_start,
    "exited": Course._take_exit,
    "signalled": Course._take_signal,
    "hookBegan": Course._take_hook_begin,
    "hookEnded": Course._take_hook_end,
    "hookCancelled": Course._take_hook_end,
    "probeBegan": Course._take_probe_begin,
    "probeEnded": Course._take_probe_end,
    "published": Course._take_publication,
}


def _role(story: PodStory, container: Container) -> Role:
    if container.name in story.sidecars:
        return "sidecar"
    return "init" if container.name in story.inits else "main"


def matching_action(spec: PodSpec, container: Container, code: int) -> str | None:
    """RESTART-6, RESTART-7: what the first of its rules that matches says; INIT-1: an init container that has
    exited with 0 has nothing more to do, whatever rule says Restart."""
    if container.restart_policy is None:
        return None
    for rule in container.restart_policy_rules:
        if rule.exit_codes is None:
            continue
        if (rule.exit_codes.operator == "In") is (code in rule.exit_codes.values):
            is_done = code == 0 and container.name in spec.plain_inits
            return None if is_done and rule.action == "Restart" else rule.action
    return None


def _code(life: Life) -> int:
    code = life.attempt.exit_code
    assert code is not None
    return code


def _ended(life: Life) -> Moment:
    assert life.attempt.exited is not None
    return life.attempt.exited
