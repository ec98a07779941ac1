"""Nothing hangs: whatever may start does so at that very instant, and whatever has ended is put away."""

from collections.abc import Iterator, Sequence
from math import inf

import attrs

from minikubelet.api.pod import Container
from minikubelet.invariants.reckoning import (
    Incarnation,
    Reckoning,
    Start,
    first_push,
    first_verdict,
    reckoning_of,
    runs_again,
    started_since,
)
from minikubelet.invariants.rules import Breach, pod_invariant
from minikubelet.invariants.story import Attempt, Moment, PodStory


@attrs.frozen
class Gate:
    """It opened with this entry; for an in-place restart, between two of them."""

    index: float
    at: float


@attrs.frozen
class Hold:
    """While a main is in its postStart, or not yet tried at all, no main after it is started first."""

    since: float
    "Seconds."
    until: Gate


# ------------------------------------------------------------------ the start


@pod_invariant("VOL-6 BACKOFF-13", "A pod is prepared at once, and again a flat delay after each failure.")
def preparation_is_retried(story: PodStory) -> Iterator[Breach]:
    reckoning = reckoning_of(story)
    due_at = reckoning.accepted_at
    for moment in story.moments:
        if moment.entry.what not in ("prepared", "prepareFailed"):
            continue
        if abs(moment.at - due_at) > reckoning.slack:
            yield Breach(moment, f"the pod was prepared at {moment.at:g} s instead of {due_at:g} s")
        if moment.entry.what == "prepared":
            return
        due_at = moment.at + story.settings.retry_delay
    if due_at + reckoning.slack < min(reckoning.ends_at, reckoning.horizon):
        yield Breach(reckoning.missing_at(due_at + reckoning.slack), "the pod was never prepared")


@pod_invariant(
    "I1 I7 INIT-1 INIT-2 SIDE-3 SIDE-4 SIDE-6 MAIN-1 RESTART-2 RESTART-14",
    "Whatever is next in the order of the start is started in the instant in which its gate opens.",
)
def open_gates_are_passed(story: PodStory) -> Iterator[Breach]:
    reckoning = reckoning_of(story)
    for n, incarnation in enumerate(reckoning.incarnations):
        for container, gate in _gates(reckoning, incarnation):
            starts = incarnation.starts_of(container.name)
            latest = max(gate.at, _retry_at(story, reckoning.incarnations[:n], container)) + reckoning.slack
            if not starts:
                if latest < min(incarnation.ends_at, reckoning.horizon):
                    yield Breach(reckoning.missing_at(latest), f"{container.name} was not started")
            elif starts[0].moment.at > latest:
                late = starts[0].moment.at - gate.at
                yield Breach(starts[0].moment, f"{container.name} was started {late:g} s after its turn came")
    last = reckoning.incarnations[-1] if reckoning.incarnations else None
    if last is not None and last.end is not None and last.end.cause == "restartAll":
        yield from _not_restarted(reckoning, last)


def _retry_at(story: PodStory, past: Sequence[Incarnation], container: Container) -> float:
    """What nothing was left of is tried again in its own time, whatever restarts around it (BACKOFF-13)."""
    for incarnation in reversed(past):
        starts = incarnation.starts_of(container.name)
        if starts:
            return 0.0 if starts[-1].attempt else starts[-1].moment.at + story.settings.retry_delay
    return 0.0


def _not_restarted(reckoning: Reckoning, last: Incarnation) -> Iterator[Breach]:
    for starts in last.starts.values():
        if any(start.attempt is not None and start.attempt.exited is None for start in starts):
            return
    latest = reckoning.reopens_at(last) + reckoning.slack
    if latest < min(reckoning.ends_at, reckoning.horizon):
        yield Breach(reckoning.missing_at(latest), "the pod was not begun again after it all went down")


def _gates(reckoning: Reckoning, incarnation: Incarnation) -> Iterator[tuple[Container, Gate]]:
    """Each container whose first start in this incarnation was due, in the order of the start."""
    story = reckoning.story
    gate = Gate(incarnation.index, incarnation.at)
    for container in story.spec.init_containers:
        yield container, gate
        passed = _passed(reckoning, incarnation, container)
        if passed is None:
            return
        gate = passed
    holds: list[Hold] = []
    for container in story.mains:
        opens = _first_free(gate, holds, reckoning.slack)
        if opens is None:
            return
        yield container, opens
        if container.lifecycle is not None and container.lifecycle.post_start is not None:
            holds.extend(_holds(incarnation.starts_of(container.name)))


def _passed(reckoning: Reckoning, incarnation: Incarnation, container: Container) -> Gate | None:
    """INIT-1, SIDE-3: when this entry was initialized and the next one's turn came."""
    story = reckoning.story
    for start in incarnation.starts_of(container.name):
        attempt = start.attempt
        if attempt is None:
            continue
        moment: Moment | None
        if container.name in story.sidecars:
            moment = _unblocks(story, attempt)
            if moment is not None and _is_gone_by(attempt, moment.at + story.tolerance):
                continue
        elif attempt.exit_code == 0 and not runs_again(story.spec, attempt):
            moment = attempt.exited
        else:
            continue
        if moment is not None and moment.index < incarnation.end_index:
            return Gate(moment.index, moment.at)
    return None


def _is_gone_by(attempt: Attempt, instant: float) -> bool:
    """In real time its end may become known together with what it did just before."""
    return attempt.exited is not None and attempt.exited.at < instant


def _unblocks(story: PodStory, sidecar: Attempt) -> Moment | None:
    """SIDE-3, and the stricter of the two start gates where no startupProbe says what is meant."""
    since, container = started_since(sidecar), sidecar.container
    readiness = container.readiness_probe
    if since is None or story.settings.start_gate == "started":
        return since
    if readiness is None or container.startup_probe is not None:
        return since
    return first_verdict(sidecar, "readiness", readiness, True)


def free_at(reckoning: Reckoning, incarnation: Incarnation, name: str, due_at: float) -> float:
    """From when on what has never run may be started, given that it is due at `due_at`; in seconds."""
    holds: list[Hold] = []
    if all(main.name != name for main in reckoning.story.mains):
        return due_at
    for container in reckoning.story.mains:
        if container.name == name:
            break
        if container.lifecycle is not None and container.lifecycle.post_start is not None:
            holds.extend(_holds(incarnation.starts_of(container.name)))
    if not holds:
        return due_at
    index = next((moment.index for moment in reckoning.story.moments if moment.at >= due_at), inf)
    free = _first_free(Gate(index - 0.5, due_at), holds, reckoning.slack)
    return inf if free is None else max(free.at, due_at)


def _holds(starts: list[Start]) -> Iterator[Hold]:
    """MAIN-1, HOOK-2: when the first starts of later mains wait for this one."""
    never = Gate(inf, inf)
    if not starts:
        yield Hold(-inf, never)
        return
    since = -inf
    for start in starts:
        attempt = start.attempt
        if attempt is None:
            if since == -inf:
                yield Hold(since, Gate(start.moment.index, start.moment.at))
            since = inf
            continue
        release = attempt.exited
        for moment in attempt.hooks:
            if moment.entry.what != "hookBegan" and _kind_of(moment) == "postStart":
                release = moment
                break
        until = never if release is None else Gate(release.index, release.at)
        yield Hold(min(since, attempt.started.at), until)
        return  # a start that failed prevents nobody's


def _kind_of(moment: Moment) -> str:
    """Of a hook that is over."""
    return str(moment.detail if moment.entry.what == "hookCancelled" else moment.detail[0])


def _first_free(gate: Gate, holds: list[Hold], slack: float) -> Gate | None:
    """The first entry at which no earlier main holds up the next, or does so again at once."""
    releases = sorted((hold.until for hold in holds if hold.until.index > gate.index), key=lambda g: g.index)
    for candidate in (gate, *releases):
        if candidate.index == inf:
            return None
        if not any(
            hold.since <= candidate.at + slack and candidate.index < hold.until.index for hold in holds
        ):
            return candidate
    return None


# ------------------------------------------------------------------ the end


@pod_invariant(
    "I3 SIDE-20 SIDE-21 SIDE-22 SIDE-29 MAIN-2 TERM-8",
    "When a pod goes down, whoever is last in the list of what still runs is told at that very instant, and "
    "so is everyone who need not wait for another.",
)
def going_down_begins_at_once(story: PodStory) -> Iterator[Breach]:
    reckoning = reckoning_of(story)
    ends = [one.end for one in reckoning.incarnations if one.end is not None]
    if reckoning.end is not None and reckoning.end not in ends:
        ends.append(reckoning.end)
    for end in ends:
        latest = end.at + reckoning.slack
        for attempt in _told_first(story, end.index):
            gone_at = reckoning.horizon if attempt.exited is None else attempt.exited.at
            push = first_push(attempt)
            if gone_at > latest and (push is None or push.at > latest):
                yield Breach(push or reckoning.missing_at(latest), f"{attempt.name} was not told to stop")


def _told_first(story: PodStory, index: float) -> list[Attempt]:
    live = {attempt.name: attempt for attempt in story.all_attempts() if attempt.is_live_at(index)}
    told = [live[name] for name in (*story.inits, *(c.name for c in story.mains)) if name in live]
    has_mains = any(main.name in live for main in story.mains)
    for name, container in reversed(list(story.sidecars.items())):
        if name not in live:
            continue
        has_hook = container.lifecycle is not None and container.lifecycle.pre_stop is not None
        if has_hook or not has_mains:
            told.append(live[name])
        has_mains = True
    return told


@pod_invariant("PHASE-1 TERM-12", "A pod that was put away is Succeeded or Failed.")
def every_pod_reaches_an_end(story: PodStory) -> Iterator[Breach]:
    if story.removed is None or not story.publications:
        return
    last = story.publications[-1]
    phase = last.detail.status.phase
    if last.index < story.removed.index:
        yield Breach(story.removed, "the pod was put away, and nothing was published of it")
    elif phase not in ("Succeeded", "Failed"):
        yield Breach(last, f"the pod was put away as {phase}")


@pod_invariant("CORE-2", "Everything counts as finished only when every pod was put away.")
def finished_means_put_away(story: PodStory) -> Iterator[Breach]:
    if story.over is not None and story.over.detail and story.removed is None:
        yield Breach(story.over, "the run counts as finished, and this pod was not put away")
