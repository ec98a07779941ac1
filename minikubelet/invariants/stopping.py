"""The way down: who is stopped, in which order, with which signals, and by when (TERM, HOOK, SIDE-26..38).

A container that is to be stopped has a deadline: the grace of what stops it, or the pod's if that is sooner.
Until then its preStop may run and, if it is a sidecar of a pod that ends, it waits for its turn; then it gets
its stop signal, and no sooner than the minimum window later SIGKILL.
"""

from collections.abc import Iterator
from math import ceil, inf
from signal import SIGKILL, SIGTERM, Signals

from minikubelet.api.pod import Container
from minikubelet.invariants.course import EXACT, Course, Life, Signal, Stop
from minikubelet.invariants.rules import Breach, pod_invariant
from minikubelet.invariants.story import Moment, PodStory

Stopped = tuple[Life, Stop]


@pod_invariant(
    "RESTART-3 PROBE-16 MAIN-3 SIDE-11 HOOK-5",
    "Only a container that has to go is sent a signal or runs its preStop.",
)
def nothing_is_stopped_without_cause(story: PodStory) -> Iterator[Breach]:
    """Causes are: the pod ends, RestartAllContainers, a failed startup or liveness probe, a failed
    postStart; never a failed readiness probe, and never what happens to another container."""
    for life in story.read(Course).lives:
        for moment in _ways_to_stop(life):
            if life.stop is None or moment.index < life.stop.moment.index:
                yield Breach(moment, f"{life} was stopped and nothing asked for it")
                break


@pod_invariant("EVENT-2", "Event Killing is told once of each container that has to go, and says why.")
def killing_is_told_once(story: PodStory) -> Iterator[Breach]:
    course = story.read(Course)
    for life in course.lives:
        stop, told = life.stop, life.killings
        if stop is None:
            if told:
                yield Breach(told[0], f"{life} was said to be stopped and nothing asked for it")
        elif len(told) > 1:
            yield Breach(told[1], f"{life} was said to be stopped twice")
        elif not told:
            if _left_by(story, life) > stop.moment.at + story.tolerance:
                yield Breach(stop.moment, f"{life} had to go and no event Killing said so")
        elif not told[0].detail.message.startswith(_killings(life, stop, course)):
            yield Breach(told[0], f"{life} had to go, cause: {stop.cause}, and Killing says otherwise")


@pod_invariant(
    "I3 SIDE-26 SIDE-27 TERM-1 HOOK-3 PROBE-32", "Every preStop begins the moment its container has to go."
)
def prestops_begin_at_once(story: PodStory) -> Iterator[Breach]:
    """All in parallel, a sidecar's too: only its signal waits. With no grace none runs (HOOK-5)."""
    for life, stop in _stopped(story):
        hook, at = life.hook("preStop"), stop.moment.at
        if hook is None:
            if (
                life.lifecycle.pre_stop
                and stop.deadline > at + story.tolerance + EXACT
                and _left_by(story, life) > at + story.tolerance
            ):
                yield Breach(stop.moment, f"preStop of {life} did not run")
        elif hook.began.at > at + story.tolerance + EXACT:
            yield Breach(hook.began, f"preStop of {life} began {hook.began.at - at:g} s late")
        elif stop.grace <= 0:
            yield Breach(hook.began, f"preStop of {life} ran, and there was no grace for it")


@pod_invariant("HOOK-5 HOOK-2 HOOK-12", "Each hook runs at most once in an attempt.")
def hooks_run_once(story: PodStory) -> Iterator[Breach]:
    for life in story.read(Course).lives:
        if len(life.hooks) > 1:
            kinds = set()
            for hook in life.hooks:
                if hook.kind in kinds:
                    yield Breach(hook.began, f"{hook.kind} of {life} ran again")
                kinds.add(hook.kind)


@pod_invariant("HOOK-2", "postStart runs the moment its container is started.")
def poststart_runs_at_once(story: PodStory) -> Iterator[Breach]:
    for life in story.read(Course).lives:
        if life.lifecycle.post_start is None or not life.attempt.is_real:
            continue
        hook, started = life.hook("postStart"), life.attempt.started
        if hook is None:
            left_by = min(_left_by(story, life), life.stop.moment.at if life.stop else inf)
            if left_by > started.at + story.tolerance:
                yield Breach(started, f"postStart of {life} did not run")
        elif hook.began.at > started.at + story.tolerance + EXACT:
            yield Breach(hook.began, f"postStart of {life} began {hook.began.at - started.at:g} s late")


@pod_invariant(
    "I4 HOOK-4 HOOK-10", "No hook goes on when its container is gone, and no postStart when it has to go."
)
def hooks_end_with_their_container(story: PodStory) -> Iterator[Breach]:
    for life in story.read(Course).lives:
        if not life.hooks:
            continue
        exited = life.attempt.exited
        if exited is not None:
            open_hooks: dict[str, Moment] = {}
            for moment in life.attempt.hooks:
                if moment.entry.what == "hookBegan":
                    open_hooks[moment.detail] = moment
                else:
                    kind = moment.detail if moment.entry.what == "hookCancelled" else moment.detail[0]
                    open_hooks.pop(kind, None)
                    if moment.at > exited.at + story.tolerance + EXACT:
                        yield Breach(moment, f"{kind} of {life} went on after its end")
            for kind in open_hooks:
                yield Breach(exited, f"{kind} of {life} was not given up when it ended")
        hook = life.hook("postStart")
        if hook is not None and life.stop is not None:
            until = hook.ended.at if hook.ended is not None else _left_by(story, life)
            if until > life.stop.moment.at + story.tolerance + EXACT:
                yield Breach(hook.ended or life.stop.moment, f"postStart of {life} went on when it had to go")


@pod_invariant(
    "I4 HOOK-6 HOOK-7 SIDE-30", "A preStop has until the deadline of its container, no longer and no less."
)
def prestops_have_the_grace(story: PodStory) -> Iterator[Breach]:
    """Unless its container ends or the grace is shortened."""
    for life, stop in _stopped(story):
        hook = life.hook("preStop")
        if hook is None:
            continue
        tolerance = story.tolerance + EXACT
        if hook.ended is None:
            if _left_by(story, life) > stop.deadline + tolerance:
                yield Breach(hook.began, f"preStop of {life} was let run after {stop.deadline:g} s")
        elif hook.ended.at > hook.deadline + tolerance:
            yield Breach(
                hook.ended, f"preStop of {life} ran {hook.ended.at - hook.deadline:g} s over its time"
            )
        elif hook.is_cancelled and hook.ended.at < hook.deadline - tolerance:
            yield Breach(
                hook.ended, f"preStop of {life} was given up {hook.deadline - hook.ended.at:g} s early"
            )


@pod_invariant("I10 HOOK-7 TERM-1", "The stop signal is sent only when preStop is over.")
def prestop_before_signal(story: PodStory) -> Iterator[Breach]:
    for life in story.read(Course).lives:
        if life.signals and life.lifecycle.pre_stop is not None:
            first, hook = life.signals[0], life.hook("preStop")
            if hook is not None and (hook.ended is None or hook.ended.index > first.moment.index):
                yield Breach(first.moment, f"{life} was signalled before its preStop was over")


@pod_invariant(
    "I10 TERM-1 TERM-2 TERM-16 HOOK-11",
    "A container gets its stop signal once, and after that nothing but one SIGKILL.",
)
def stop_signal_then_sigkill(story: PodStory) -> Iterator[Breach]:
    for life in story.read(Course).lives:
        polite = stop_signal(life.container)
        for signal, expected in zip(life.signals, (polite, SIGKILL, None), strict=False):
            if signal.number != expected:
                wanted = "nothing" if expected is None else f"signal {expected}"
                yield Breach(signal.moment, f"{life} was sent signal {signal.number} where {wanted} was due")
                break


@pod_invariant(
    "I3 TERM-1 TERM-6 SIDE-26 SIDE-27 SIDE-28 SIDE-29 SIDE-31 RESTART-15",
    "Every process that has to go gets its stop signal as soon as its preStop is over and its turn has come, "
    "and at its deadline whatever happens.",
)
def stop_signal_in_time(story: PodStory) -> Iterator[Breach]:
    """A turn is waited for by sidecars of a pod that ends, for mains and later sidecars that were alive."""
    for life, stop in _stopped(story):
        due, why = _signal_due(story, life, stop)
        sent_at = life.signals[0].moment.at if life.signals else _left_by(story, life)
        if sent_at > due + story.tolerance + EXACT:
            moment = life.signals[0].moment if life.signals else life.attempt.exited
            yield Breach(moment or story.over, f"{life} was due for its stop signal at {due:g} s ({why})")


@pod_invariant(
    "I10 SIDE-27 SIDE-30 SIDE-31 SIDE-32",
    "While the grace lasts no sidecar is signalled before the mains and the sidecars after it are gone.",
)
def sidecars_stop_in_reverse(story: PodStory) -> Iterator[Breach]:
    for life in story.read(Course).lives:
        if life.role == "sidecar" and life.signals:
            first: Signal = life.signals[0]
            if first.waits_for is not None and first.moment.at < first.deadline - story.tolerance - EXACT:
                yield Breach(first.moment, f"{life} was signalled while {first.waits_for} was alive")


@pod_invariant(
    "TERM-2 TERM-3 PROBE-31 SIDE-30",
    "SIGKILL is sent only when the grace is over, and the minimum window since the stop signal.",
)
def sigkill_only_after_the_grace(story: PodStory) -> Iterator[Breach]:
    """The grace of the pod, of its deletion, or of the probe that failed."""
    for life in story.read(Course).lives:
        if len(life.signals) > 1:
            kill = life.signals[1]
            due = _kill_due(story, life, kill.deadline, -1)
            if kill.moment.at < due - story.tolerance - EXACT:
                yield Breach(kill.moment, f"{life} was killed {due - kill.moment.at:g} s before its time")


@pod_invariant(
    "TERM-2 TERM-15 SIDE-31", "What lives on after its stop signal is sent SIGKILL when its time is over."
)
def sigkill_in_time(story: PodStory) -> Iterator[Breach]:
    for life, stop in _stopped(story):
        if not life.signals or life.signals[0].number == SIGKILL:
            continue
        due = _kill_due(story, life, stop.deadline, 1)
        kill = life.signals[1].moment if len(life.signals) > 1 else None
        if (kill.at if kill is not None else _left_by(story, life)) > due + story.tolerance + EXACT:
            yield Breach(kill or life.attempt.exited or story.over, f"{life} was to be killed at {due:g} s")


@pod_invariant(
    "I4 I9 TERM-2 TERM-4 SIDE-30 SIDE-31",
    "When a pod ends, what still lives is sent SIGKILL no later than its grace and the minimum window after.",
)
def shutdown_within_the_grace(story: PodStory) -> Iterator[Breach]:
    """The grace is that of what ends the pod, shortened by every later deletion that asks for less; nothing
    prolongs it but the second that had begun, no hook, no probe and no container that does not want to go."""
    end = story.read(Course).end
    if end is None:
        return
    limit = end.deadline + max(story.settings.minimum_kill_grace, 1.0) + story.tolerance + EXACT
    for life in story.read(Course).lives:
        if life.attempt.ended > end.moment.index and life.attempt.is_real:
            kill = next((signal for signal in life.signals if signal.number == SIGKILL), None)
            if (kill.moment.at if kill is not None else _left_by(story, life)) > limit:
                moment = kill.moment if kill is not None else life.attempt.exited
                yield Breach(moment or story.over, f"{life} was left alive beyond {limit:g} s")


@pod_invariant(
    "TERM-10 TERM-11 SIDE-36 INIT-11",
    "activeDeadlineSeconds after it was accepted a pod ends, and no sooner.",
)
def the_deadline_ends_the_pod(story: PodStory) -> Iterator[Breach]:
    """By event DeadlineExceeded, unless it is ending already."""
    course = story.read(Course)
    limit, tolerance = course.active_until, story.tolerance + EXACT
    for moment in story.events:
        if moment.detail.reason == "DeadlineExceeded" and abs(moment.at - limit) > tolerance:
            yield Breach(moment, f"the deadline was {limit:g} s")
    if limit == inf:
        return
    ended_at = course.end.moment.at if course.end is not None else _horizon(story)
    if ended_at > limit + tolerance:
        over = course.end.moment if course.end is not None else story.over
        yield Breach(over, f"the pod was active beyond its deadline at {limit:g} s")


@pod_invariant(
    "TERM-9 TERM-12 SIDE-21 SIDE-34 CORE-2",
    "A pod is finished at the moment when it is ending and nothing of it is alive.",
)
def finished_when_empty(story: PodStory) -> Iterator[Breach]:
    course = story.read(Course)
    end = course.end
    if end is None:
        if story.removed is not None:
            yield Breach(story.removed, "the pod was finished and nothing had ended it")
        return
    due = end.moment.at
    for life in course.lives:
        due = max(due, _left_by(story, life))
    if (story.removed.at if story.removed is not None else _horizon(story)) > due + story.tolerance + EXACT:
        yield Breach(story.removed or story.over, f"the pod was to be finished at {due:g} s")


# ------------------------------------------------------------------ reckonings


def _ways_to_stop(life: Life) -> Iterator[Moment]:
    for signal in life.signals:
        yield signal.moment
    for hook in life.hooks:
        if hook.kind == "preStop":
            yield hook.began


def _stopped(story: PodStory) -> Iterator[Stopped]:
    for life in story.read(Course).lives:
        if life.stop is not None:
            yield life, life.stop


def _horizon(story: PodStory) -> float:
    """Until when it is known what happened: for ever if it is known that nothing more will."""
    if story.over is None:
        return story.moments[-1].at if story.moments else story.began_at
    return story.over.at if story.over.detail else inf


def _left_by(story: PodStory, life: Life) -> float:
    """When it ended, or when it was last known to live."""
    exited = life.attempt.exited
    return exited.at if exited is not None else _horizon(story)


def _signal_due(story: PodStory, life: Life, stop: Stop) -> tuple[float, str]:
    due, why = stop.moment.at, "at once"
    hook = life.hook("preStop")
    if hook is not None:
        due, why = (inf if hook.ended is None else hook.ended.at), "when preStop is over"
    end = story.read(Course).end
    if life.role == "sidecar" and end is not None and due >= end.moment.at:
        order = list(story.sidecars)
        for other in story.read(Course).lives:
            is_before = other.role == "main" or (
                other.role == "sidecar" and order.index(other.attempt.name) > order.index(life.attempt.name)
            )
            if is_before and other.attempt.is_real and _left_by(story, other) > due:
                due, why = _left_by(story, other), f"when {other} is gone"
    return (due, why) if due <= stop.deadline else (max(stop.deadline, stop.moment.at), "at its deadline")


def _kill_due(story: PodStory, life: Life, deadline: float, late: int) -> float:
    """A second of the grace that had begun when the signal came is not used up yet (SIDE-30); whether it had
    is a matter of tolerance, in favour of what is `late` (1) or early (-1)."""
    signalled_at = life.signals[0].moment.at
    rest = ceil(round(deadline - signalled_at + late * story.tolerance, 6))
    return max(signalled_at + max(rest, story.settings.minimum_kill_grace), deadline)


def _killings(life: Life, stop: Stop, course: Course) -> tuple[str, ...]:
    """How the event may begin. Who fails as the pod's deadline or deletion comes goes for either reason."""
    of_pod = f"Stopping container {life.attempt.name}"
    if stop.cause == "pod":
        return (of_pod,)
    kind = "Init container" if life.role == "sidecar" else "Container"
    what = "its postStart hook" if stop.cause == "postStart" else f"{stop.cause} probe"
    own = f"{kind} {life.attempt.name} failed {what}"
    is_tie = stop.moment.at >= min(course.active_until, course.deleted_at) - course.story.tolerance - EXACT
    return (own, of_pod) if is_tie else (own,)


def stop_signal(container: Container) -> int:
    """HOOK-11: the number."""
    name = container.lifecycle.stop_signal if container.lifecycle is not None else None
    if name is None:
        return SIGTERM
    base, plus, offset = name.partition("+")
    if not plus:
        base, minus, offset = name.partition("-")
        return Signals[base] - int(offset) if minus else Signals[base]
    return Signals[base] + int(offset)
