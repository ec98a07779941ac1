"""When a probe is asked, what its answers add up to, and what follows from that (PROBE)."""

from collections.abc import Iterator
from math import inf

import attrs

from minikubelet.api.pod import Probe
from minikubelet.invariants.reckoning import (
    Reckoning,
    doom_of,
    first_push,
    reckoning_of,
    running_since,
    started_since,
    verdicts,
)
from minikubelet.invariants.rules import Breach, pod_invariant
from minikubelet.invariants.story import Attempt, Moment, PodStory

KINDS = ("startup", "liveness", "readiness")


@attrs.define
class Question:
    """A probe that was asked."""

    began: Moment
    ended: Moment | None = None
    "Its answer, or its being given up; None while it is in flight."
    delay: float = 0.0
    "Seconds that it was begun later than asked for."


@attrs.frozen
class Asking:
    """One probe of one attempt, with all that decides when it is asked."""

    attempt: Attempt
    kind: str
    probe: Probe
    questions: list[Question]
    since: Moment | None
    "From when on it may be asked; None for never."
    until: tuple[float, float]
    "Index and seconds from which it is not asked any more; infinite if that never came."

    def __str__(self) -> str:
        return f"the {self.kind} probe of {self.attempt.name}"

    def due_at(self, before: Question | None) -> float:
        """When it is asked next, in seconds; inf while it is in flight or suspended (PROBE-3...PROBE-5)."""
        if self.since is None:
            return inf
        if before is None:
            return max(self.attempt.started.at + self.probe.initial_delay_seconds, self.since.at)
        if before.ended is None:
            return inf
        return max(before.began.at + self.probe.period_seconds + before.delay, before.ended.at)


def askings(story: PodStory) -> list[Asking]:
    """Of every attempt and each of its probes."""
    reckoning = reckoning_of(story)
    probed = [
        (container.name, kind, probe)
        for container in story.spec.all_containers.values()
        for kind in KINDS
        if (probe := container.probe_of(kind)) is not None
    ]
    return [
        _asking(reckoning, attempt, kind, probe)
        for name, kind, probe in probed
        for attempt in story.attempts[name]
        if attempt.is_real
    ]


def _asking(reckoning: Reckoning, attempt: Attempt, kind: str, probe: Probe) -> Asking:
    questions: list[Question] = []
    for moment in attempt.probes:
        what, detail = moment.entry.what, moment.detail
        if what == "probeBegan":
            if detail == kind:
                questions.append(Question(moment))
        elif questions and (detail if what == "probeCancelled" else detail[0]) == kind:
            questions[-1].ended = moment
            questions[-1].delay = 0.0 if what == "probeCancelled" else detail[2]
    exited = attempt.exited
    until = (inf, inf) if exited is None else (exited.index, exited.at)
    if kind != "readiness":
        until = min(until, reckoning.stop_of(attempt))
    if kind == "startup":
        verdict = next(verdicts(attempt, kind, probe), None)
        if verdict is not None:
            until = min(until, (verdict[0].index, verdict[0].at))
    since = running_since(attempt) if kind == "startup" else started_since(attempt)
    return Asking(attempt, kind, probe, questions, since, until)


# ------------------------------------------------------------------ asking


@pod_invariant(
    "I5 PROBE-6 PROBE-7 PROBE-13 HOOK-2",
    "Nothing is probed before its postStart has returned, nor for liveness or readiness before the startup "
    "probe of this same attempt has succeeded.",
)
def probes_wait_for_startup(story: PodStory) -> Iterator[Breach]:
    for asking in story.read(askings):
        since = inf if asking.since is None else asking.since.index
        for question in asking.questions:
            if question.began.index < since:
                yield Breach(question.began, f"{asking} was asked before it was started")


@pod_invariant(
    "I6 PROBE-8 PROBE-14 PROBE-16 PROBE-30 SIDE-35",
    "No liveness or startup probe is begun once the container is being stopped, no startup probe after its "
    "verdict, and none of any kind after the exit.",
)
def no_probe_is_asked_in_vain(story: PodStory) -> Iterator[Breach]:
    for asking in story.read(askings):
        for question in asking.questions:
            if question.began.index > asking.until[0]:
                yield Breach(question.began, f"{asking} was asked although its time was over")


@pod_invariant("PROBE-5", "At most one question of each probe is in flight.")
def one_probe_in_flight(story: PodStory) -> Iterator[Breach]:
    for asking in story.read(askings):
        open_until = -1.0
        for question in asking.questions:
            if question.began.index < open_until:
                yield Breach(question.began, f"{asking} was asked while an answer to it was awaited")
            open_until = inf if question.ended is None else question.ended.index


@pod_invariant(
    "PROBE-3 PROBE-4 PROBE-5 PROBE-9",
    "A probe is asked first at its container's start plus initialDelaySeconds and then every periodSeconds, "
    "or as soon as it may be if that is later.",
)
def probes_keep_their_time(story: PodStory) -> Iterator[Breach]:
    reckoning = reckoning_of(story)
    for asking in story.read(askings):
        before: Question | None = None
        for question in asking.questions:
            off = question.began.at - asking.due_at(before)
            if off > reckoning.slack:
                yield Breach(question.began, f"{asking} was asked {off:g} s too late")
            elif -inf < off < -reckoning.slack:
                yield Breach(question.began, f"{asking} was asked {-off:g} s too early")
            before = question


@pod_invariant(
    "I6 PROBE-5 PROBE-16 SIDE-35",
    "Probes go on: liveness until the container is told to stop, readiness until it has exited.",
)
def probes_go_on(story: PodStory) -> Iterator[Breach]:
    reckoning = reckoning_of(story)
    for asking in story.read(askings):
        last = asking.questions[-1] if asking.questions else None
        latest = asking.due_at(last) + reckoning.slack
        if latest < min(asking.until[1], reckoning.horizon):
            yield Breach(reckoning.missing_at(latest), f"{asking} was not asked any more")


@pod_invariant("INIT-8 PROBE-1", "Only mains and sidecars are probed, and only as their manifest says.")
def nothing_else_is_probed(story: PodStory) -> Iterator[Breach]:
    for attempt in story.all_attempts():
        for moment in attempt.probes:
            if moment.entry.what != "probeBegan":
                continue
            if attempt.name in story.inits or attempt.container.probe_of(moment.detail) is None:
                yield Breach(
                    moment, f"{attempt.name} was asked a {moment.detail} probe that it does not have"
                )
                return


# ------------------------------------------------------------------ what follows


@pod_invariant(
    "PROBE-12 PROBE-14 PROBE-15 HOOK-3",
    "Whoever fails its liveness or startup probe failureThreshold times in a row, or its postStart, is "
    "stopped at once.",
)
def failures_stop_at_once(story: PodStory) -> Iterator[Breach]:
    reckoning = reckoning_of(story)
    for attempt in story.all_attempts():
        doom = doom_of(attempt) if attempt.probes or attempt.hooks else None
        if doom is None:
            continue
        why, moment = doom
        latest = moment.at + reckoning.slack
        end = reckoning.end_for(attempt)
        gone_at = reckoning.horizon if attempt.exited is None else attempt.exited.at
        if gone_at <= latest or (end is not None and end.index < moment.index):
            continue
        push = first_push(attempt)
        if push is None or push.at > latest:
            yield Breach(push or reckoning.missing_at(latest), f"{attempt.name} failed {why}, but went on")
