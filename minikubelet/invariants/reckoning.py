"""What is to happen in a pod's life and when, reckoned by an observer: restarts, thresholds, ends.

The rules of restart policies (RESTART), of back-off (BACKOFF), of thresholds (PROBE) and of what ends a pod
(CORE-2) in instants, from the journal and the spec alone: what is missing shows only against such a
reckoning. The themes about time (`probing`, `restarting`, `progress`) ask `reckoning_of`.
"""

from collections.abc import Collection, Iterator
from math import inf
from typing import Literal

import attrs

from minikubelet.api.pod import Container, PodSpec, Probe
from minikubelet.invariants.course import matching_action
from minikubelet.invariants.story import Attempt, Moment, PodStory
from minikubelet.lifecycle.settings import LifecycleSettings

EndCause = Literal["deleted", "deadline", "initFailed", "completed", "restartAll"]
Doom = Literal["startup", "liveness", "postStart"]

ROUNDING = 1e-6
"Seconds that sums of lengths may be off for no other reason than being floats."


@attrs.frozen
class End:
    """From here on nothing is to start: for good, or until everything is restarted in place."""

    cause: EndCause
    index: float
    "Of the entry that decides it; nothing before that entry knows of it."
    at: float
    by: Attempt | None = None
    "Whose exit decided it, if one did."


@attrs.frozen
class Start:
    """Something was done to start a container; `attempt` None if it failed and left nothing (STATUS-9)."""

    moment: Moment
    attempt: Attempt | None


@attrs.define(eq=False)
class Incarnation:
    """From the first init container on; RestartAllContainers begins another one (RESTART-14)."""

    index: float
    at: float
    "When its first container may start: seconds on the runtime's clock."
    starts: dict[str, list[Start]] = attrs.Factory(dict)
    end: End | None = None

    def starts_of(self, name: str) -> list[Start]:
        return self.starts.get(name, [])

    @property
    def ends_at(self) -> float:
        return inf if self.end is None else self.end.at

    @property
    def end_index(self) -> float:
        return inf if self.end is None else self.end.index


@attrs.frozen
class Backoff:
    """BACKOFF: how long the next restart waits, of one container or of the whole pod (RESTART-20)."""

    settings: LifecycleSettings
    tolerance: float
    "As the journal has it, in seconds."
    delays: frozenset[float] = frozenset((0.0,))
    "Seconds: more than one where real time leaves open whether a run was longer than the limit."
    since: float = -inf

    def wait(self, ended_at: float, restarted_at: float) -> float:
        """Seconds from an end to the restart, inf if there is none: the most that it can have waited."""
        return max(self._waits(ended_at, restarted_at))

    def after(self, ended_at: float, restarted_at: float) -> "Backoff":
        """BACKOFF-1, BACKOFF-4, BACKOFF-8."""
        base, cap = self.settings.backoff_base, self.settings.backoff_max
        delays = frozenset(min(2 * wait or base, cap) for wait in self._waits(ended_at, restarted_at))
        return attrs.evolve(self, delays=delays, since=restarted_at)

    def _waits(self, ended_at: float, restarted_at: float) -> Collection[float]:
        """BACKOFF-2, BACKOFF-5: those that the restart is not too early for, or the shortest."""
        over = ended_at - self.since - self.settings.backoff_reset
        waits = set(self.delays) if over <= self.tolerance else set()
        if over > -self.tolerance:
            waits.add(0.0)
        latest = restarted_at - ended_at + self.tolerance + ROUNDING
        return {wait for wait in waits if wait <= latest} or {min(waits)}


# ------------------------------------------------------------------ policies


def policy_of(spec: PodSpec, container: Container) -> str:
    """SIDE-1, INIT-4, INIT-5, RESTART-5."""
    own = container.restart_policy
    if any(one.name == container.name for one in spec.init_containers):
        if own is not None:
            return own
        return "Never" if spec.restart_policy == "Never" else "OnFailure"
    return own or spec.restart_policy


def runs_again(spec: PodSpec, attempt: Attempt) -> bool:
    """RESTART-4...RESTART-11, SIDE-9: of an attempt that has ended in a pod that goes on."""
    code = attempt.exit_code
    assert code is not None
    if attempt.container.restart_policy_rules and matching_action(spec, attempt.container, code) is not None:
        return True
    policy = policy_of(spec, attempt.container)
    if policy == "OnFailure":
        return code != 0 or was_killed_by_probe(attempt)
    return policy == "Always"


def was_killed_by_probe(attempt: Attempt) -> bool:
    """RESTART-10. What was gone before anybody could act on the probe was not killed by it."""
    doom = doom_of(attempt)
    if doom is None or doom[0] == "postStart" or attempt.exited is None:
        return False
    return doom[1].index < attempt.exited.index and first_push(attempt) is not None


# ------------------------------------------------------------------ one attempt


def verdicts(attempt: Attempt, kind: str, probe: Probe) -> Iterator[tuple[Moment, bool]]:
    """PROBE-12, PROBE-13, PROBE-19: each answer that completes a row of equal ones, and which one."""
    row, last = 0, None
    for moment in attempt.probes:
        if moment.entry.what != "probeEnded" or moment.detail[0] != kind:
            continue
        result = moment.detail[1]
        if result == "error":
            continue
        row = row + 1 if result == last else 1
        last = result
        if row >= (probe.success_threshold if result == "success" else probe.failure_threshold):
            yield moment, result == "success"


def first_verdict(attempt: Attempt, kind: str, probe: Probe, verdict: bool) -> Moment | None:
    return next((moment for moment, is_good in verdicts(attempt, kind, probe) if is_good is verdict), None)


def running_since(attempt: Attempt) -> Moment | None:
    """HOOK-2, PROBE-6: it counts as running once postStart has returned."""
    lifecycle = attempt.container.lifecycle
    if lifecycle is None or lifecycle.post_start is None:
        return attempt.started if attempt.is_real else None
    for moment in attempt.hooks:
        if moment.entry.what == "hookEnded" and moment.detail[0] == "postStart":
            return moment if moment.detail[1] is None else None
    return None


def started_since(attempt: Attempt) -> Moment | None:
    """SIDE-3, SIDE-5, PROBE-18: running, and past the startupProbe if there is one."""
    probe = attempt.container.startup_probe
    if probe is None:
        return running_since(attempt)
    return first_verdict(attempt, "startup", probe, True)


def doom_of(attempt: Attempt) -> tuple[Doom, Moment] | None:
    """HOOK-3, PROBE-14, PROBE-15: what first condemns it, if nothing else stops it before."""
    container = attempt.container
    for moment in attempt.hooks:
        if moment.entry.what == "hookEnded" and moment.detail[0] == "postStart" and moment.detail[1]:
            return "postStart", moment
    found: tuple[Doom, Moment] | None = None
    if container.startup_probe is not None:
        verdict = next(verdicts(attempt, "startup", container.startup_probe), None)
        if verdict is not None and not verdict[1]:
            found = "startup", verdict[0]
    if container.liveness_probe is not None:
        failed = first_verdict(attempt, "liveness", container.liveness_probe, False)
        if failed is not None and (found is None or failed.index < found[1].index):
            found = "liveness", failed
    return found


def first_push(attempt: Attempt) -> Moment | None:
    """The first that it notices of being stopped: its preStop hook or a signal."""
    for moment in attempt.hooks:
        if moment.entry.what == "hookBegan" and moment.detail == "preStop":
            return moment
    return attempt.signals[0] if attempt.signals else None


# ------------------------------------------------------------------ the pod


_TELLING = frozenset(("prepared", "started", "startFailed", "exited"))
"Entries that change what is to be expected."


class Reckoning:
    """The incarnations of a pod, one after the other, and how the last one ended."""

    def __init__(self, story: PodStory) -> None:
        self.story = story
        self.slack = story.tolerance + ROUNDING
        self.accepted_at = story.began_at
        self.prepared: Moment | None = None
        self.incarnations: list[Incarnation] = []
        self.end: End | None = None
        "Of the pod, for good."
        self.horizon = story.over.at if story.over else story.moments[-1].at if story.moments else 0.0
        "Nothing is known of what comes later."
        self._begun: dict[int, Attempt] = {}
        self._ended: dict[int, Attempt] = {}
        for attempt in story.all_attempts():
            self._begun[attempt.began] = attempt
            if attempt.exited is not None:
                self._ended[attempt.exited.index] = attempt
        self._live: set[int] = set()
        self._over: dict[str, bool] = {}
        self._is_down = False
        self._backoff = Backoff(story.settings, story.tolerance)
        self._read()
        if self.incarnations and self.incarnations[-1].end is None:
            self.incarnations[-1].end = self.end

    @property
    def ends_at(self) -> float:
        """Of the pod: seconds, inf if it goes on."""
        return inf if self.end is None else self.end.at

    def end_for(self, attempt: Attempt) -> End | None:
        """What takes it down with all the others, if it lives that long."""
        for incarnation in self.incarnations:
            if incarnation.end is not None and incarnation.end.index > attempt.began:
                return incarnation.end
        return self.end

    def stop_of(self, attempt: Attempt) -> tuple[float, float]:
        """Index and time from which it is being stopped; infinite if it is not."""
        end = self.end_for(attempt)
        stop = (inf, inf) if end is None else (end.index, end.at)
        doom = doom_of(attempt) if attempt.hooks or attempt.probes else None
        return stop if doom is None else min(stop, (doom[1].index, doom[1].at))

    def missing_at(self, instant: float) -> Moment | None:
        """The first entry by which something would have been there."""
        return next((moment for moment in self.story.moments if moment.at > instant), None)

    # -------------------------------------------------------------- one pass over the journal

    def _read(self) -> None:
        limit = self.story.spec.active_deadline_seconds
        deadline = inf if limit is None else self.accepted_at + limit
        for moment in self.story.moments:
            what = moment.entry.what
            if what == "deletion":
                self.end = End("deleted", moment.index, moment.at)
            elif deadline < inf and self._is_deadline(moment, deadline):
                self.end = End("deadline", moment.index, deadline)
            if self.end is None and (what in _TELLING or self._is_down):
                self._take(moment)
            if self.end is not None:
                return

    def _take(self, moment: Moment) -> None:
        match moment.entry.what:
            case "prepared":
                self.prepared = moment
                self.incarnations.append(Incarnation(moment.index, moment.at))
            case "started" | "startFailed":
                self._started(moment)
            case "exited":
                attempt = self._ended[moment.index]
                self._live.discard(attempt.began)
                self._exited(attempt, moment)
        self._maybe_reopen(moment)

    def _is_deadline(self, moment: Moment, deadline: float) -> bool:
        """TERM-10: real clocks strike late, so there it is told by what is said, or by its being too late."""
        if self.story.tolerance == 0:
            return moment.at >= deadline
        if moment.at < deadline - self.story.tolerance:
            return False
        is_told = moment.entry.what == "event" and moment.detail.reason == "DeadlineExceeded"
        return is_told or moment.at >= deadline + self.story.tolerance

    def _started(self, moment: Moment) -> None:
        attempt = self._begun.get(moment.index)
        if not self.incarnations:
            self.incarnations.append(Incarnation(moment.index, moment.at))  # not prepared: others will say
        if not self._is_of_the_same_batch(moment):
            self._maybe_reopen(moment, starting=True)
        start = Start(moment, attempt)
        self.incarnations[-1].starts.setdefault(moment.entry.container, []).append(start)
        if attempt is None:
            return
        self._over[attempt.name] = False
        if attempt.is_real:
            self._live.add(attempt.began)
        else:
            self._exited(attempt, moment)

    def _is_of_the_same_batch(self, moment: Moment) -> bool:
        """A start that failed asks for RestartAllContainers, and this one was decided together with it."""
        end = self.incarnations[-1].end
        if end is None or end.by is None or end.by.is_real or moment.at > end.at + self.slack:
            return False
        order = list(self.story.attempts)
        return order.index(moment.entry.container) > order.index(end.by.name)

    def _exited(self, attempt: Attempt, moment: Moment) -> None:
        """RESTART-13, INIT-3, SIDE-21, MAIN-2."""
        spec, incarnation = self.story.spec, self.incarnations[-1]
        if incarnation.end is not None:
            return
        code, container = attempt.exit_code, attempt.container
        assert code is not None
        rule = matching_action(spec, container, code) if container.restart_policy_rules else None
        if rule == "RestartAllContainers":
            incarnation.end = End("restartAll", moment.index, moment.at, attempt)
            self._is_down = True
            return
        again = runs_again(spec, attempt)
        if attempt.name in self.story.inits:
            if code != 0 and not again:
                self.end = End("initFailed", moment.index, moment.at, attempt)
        elif attempt.name not in self.story.sidecars:
            self._over[attempt.name] = not again
            if all(self._over.get(main.name) for main in self.story.mains):
                self.end = End("completed", moment.index, moment.at, attempt)

    def _maybe_reopen(self, moment: Moment, *, starting: bool = False) -> None:
        """RESTART-14, RESTART-20: everything is gone and the wait is over; what starts has to know."""
        if not self.incarnations:
            return
        last = self.incarnations[-1]
        if last.end is None or last.end.by is None or last.end.by.exited is None:
            return
        opens_at = inf if self._live else self.reopens_at(last, moment.at if starting else inf)
        if starting or moment.at > opens_at + self.slack:
            ended_at = last.end.by.exited.at
            self._backoff = self._backoff.after(ended_at, min(opens_at, moment.at))
            self._over.clear()
            self._is_down = False
            self.incarnations.append(Incarnation(moment.index - 0.5, opens_at))

    def reopens_at(self, incarnation: Incarnation, started_at: float = inf) -> float:
        """When the pod begins again after its in-place restart, given that nothing lives any more."""
        assert incarnation.end is not None and incarnation.end.by is not None
        trigger = incarnation.end.by.exited
        assert trigger is not None
        ends = [
            start.attempt.exited.at
            for starts in incarnation.starts.values()
            for start in starts
            if start.attempt is not None and start.attempt.exited is not None
        ]
        return max(max(ends), trigger.at + self._backoff.wait(trigger.at, started_at))


def reckoning_of(story: PodStory) -> Reckoning:
    """Made once, however many invariants ask."""
    return story.read(Reckoning)
