"""What follows an exit: another attempt or none, and exactly when (RESTART, BACKOFF, SIDE, INIT)."""

from collections.abc import Iterator
from math import inf

import attrs

from minikubelet.invariants.progress import free_at
from minikubelet.invariants.reckoning import (
    Backoff,
    Incarnation,
    Reckoning,
    Start,
    reckoning_of,
    runs_again,
)
from minikubelet.invariants.rules import Breach, pod_invariant
from minikubelet.invariants.story import Attempt, Moment, PodStory


@attrs.frozen
class Expectation:
    """What is to follow an end or a failed start of a container, in an incarnation of the pod."""

    name: str
    after: Moment
    "The exit, or the start that failed."
    ended: Attempt | None
    "None after a start that failed and left nothing."
    due_at: float | None
    "Seconds; None for never."
    delay: float
    start: Start | None
    "What did follow."
    incarnation: Incarnation

    @property
    def is_first(self) -> bool:
        """It is a main of which there was no instance yet."""
        starts = self.incarnation.starts_of(self.name)
        ran = any(one.attempt is not None and one.moment.index < self.after.index for one in starts)
        return self.ended is None and not ran


def expectations(story: PodStory) -> list[Expectation]:
    """Of every container, in the order of its incarnations and starts."""
    reckoning = reckoning_of(story)
    found: list[Expectation] = []
    for name in story.attempts:
        backoff = Backoff(story.settings, story.tolerance)
        for incarnation in reckoning.incarnations:
            starts = incarnation.starts_of(name)
            for n, start in enumerate(starts):
                following = starts[n + 1] if n + 1 < len(starts) else None
                expected = _after(reckoning, incarnation, name, start, backoff, following)
                if expected is None:
                    continue
                found.append(expected)
                if following is not None and expected.ended is not None:
                    backoff = backoff.after(expected.after.at, following.moment.at)
    return found


def _after(
    reckoning: Reckoning,
    incarnation: Incarnation,
    name: str,
    start: Start,
    backoff: Backoff,
    following: Start | None,
) -> Expectation | None:
    settings, attempt = reckoning.story.settings, start.attempt
    if attempt is None:  # BACKOFF-13
        due_at = start.moment.at + settings.retry_delay
        return Expectation(name, start.moment, None, due_at, settings.retry_delay, following, incarnation)
    if attempt.exited is None:
        return None
    ended, delay = attempt.exited, 0.0
    due: float | None = None
    if runs_again(reckoning.story.spec, attempt):
        delay = backoff.wait(ended.at, inf if following is None else following.moment.at)
        due = ended.at + delay
    return Expectation(name, ended, attempt, due, delay, following, incarnation)


@pod_invariant(
    "I2 I7 RESTART-2 RESTART-4 RESTART-5 RESTART-8 RESTART-10 SIDE-9 INIT-4 BACKOFF-13",
    "Whatever its policy says is to run again does so, when its back-off is over at the latest.",
)
def every_restart_happens(story: PodStory) -> Iterator[Breach]:
    reckoning = reckoning_of(story)
    for expected in story.read(expectations):
        if expected.due_at is None or expected.after.index > expected.incarnation.end_index:
            continue
        latest = expected.due_at + reckoning.slack
        if expected.is_first:  # MAIN-1
            latest = (
                free_at(reckoning, expected.incarnation, expected.name, expected.due_at) + reckoning.slack
            )
        if expected.start is None:
            if latest < min(expected.incarnation.ends_at, reckoning.horizon):
                yield Breach(
                    reckoning.missing_at(latest),
                    f"{expected.name} was not started again at {expected.due_at:g} s",
                )
        elif expected.start.moment.at > latest:
            late = expected.start.moment.at - expected.due_at
            yield Breach(expected.start.moment, f"{expected.name} was started {late:g} s too late")


@pod_invariant(
    "BACKOFF-2 BACKOFF-3 BACKOFF-4 BACKOFF-5 BACKOFF-6 BACKOFF-7 BACKOFF-8 BACKOFF-12 BACKOFF-13",
    "Nothing runs again before its back-off is over, which is 0, base, twice that and so on up to the cap, "
    "and forgotten only after a long run.",
)
def no_restart_is_early(story: PodStory) -> Iterator[Breach]:
    reckoning = reckoning_of(story)
    for expected in story.read(expectations):
        start = expected.start
        if start is None or expected.due_at is None:
            continue
        if start.moment.at < expected.due_at - reckoning.slack:
            early = expected.due_at - start.moment.at
            yield Breach(start.moment, f"{expected.name} was started {early:g} s too early")


@pod_invariant(
    "RESTART-4 RESTART-5 RESTART-6 RESTART-7 RESTART-11 INIT-4 INIT-5 INIT-6 MAIN-4",
    "What its policy says is over does not run again.",
)
def what_is_over_stays_over(story: PodStory) -> Iterator[Breach]:
    for expected in story.read(expectations):
        if expected.due_at is None and expected.start is not None:
            assert expected.ended is not None
            code = expected.ended.exit_code
            yield Breach(expected.start.moment, f"{expected.name} was started again after exit code {code}")


@pod_invariant(
    "RESTART-13 RESTART-14 RESTART-20",
    "An exit whose rule says RestartAllContainers takes everything down, and nothing starts before all of "
    "it is gone and the pod's own back-off is over.",
)
def in_place_restarts_begin_empty(story: PodStory) -> Iterator[Breach]:
    reckoning = reckoning_of(story)
    for incarnation in reckoning.incarnations[1:]:
        first = min((starts[0].moment for starts in incarnation.starts.values()), key=_index, default=None)
        if first is not None and first.at < incarnation.at - reckoning.slack:
            yield Breach(first, f"{first.entry.container} was started amid the restart of all containers")


@pod_invariant(
    "I2 BACKOFF-9 BACKOFF-11 STATUS-6 STATUS-8",
    "Whoever waits for a restart or for another try says why: its status is Waiting, with the reason.",
)
def waits_have_reasons(story: PodStory) -> Iterator[Breach]:
    for expected in story.read(expectations):
        after, due_at = expected.after, expected.due_at
        if due_at is None or not expected.delay or after.index > expected.incarnation.end_index:
            continue
        publication = next((one for one in story.publications if one.index > after.index), None)
        if publication is None or publication.index > expected.incarnation.end_index:
            continue
        if expected.start is not None and publication.index > expected.start.moment.index:
            continue
        wanted = "CrashLoopBackOff" if expected.ended is not None else after.detail[0]
        reason = _waiting_reason(publication, expected.name)
        if reason != wanted:
            yield Breach(publication, f"{expected.name} waits for {wanted}, its status says {reason}")


def _waiting_reason(publication: Moment, name: str) -> str | None:
    status = publication.detail.status
    for one in (*status.init_container_statuses, *status.container_statuses):
        if one.name == name:
            return one.state.waiting.reason if one.state.waiting is not None else None
    return None


def _index(moment: Moment) -> int:
    return moment.index
