"""Whether an assertion holds for a run, and the moments that decide it.

Pure. A name that means several containers (the pods of a Job) makes a claim about each of them. Claims
about two subjects are judged pod by pod where both are in the same pods, else each against each.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import attrs

from minikubelet.api.job import Job
from minikubelet.api.pod import Pod
from minikubelet.api.pod_status import ContainerState, ContainerStateTerminated, ContainerStatus
from minikubelet.assertions.language import (
    WAY_DOWN,
    AnyMoment,
    Assertion,
    Comparison,
    Count,
    Distance,
    EventMoment,
    Happened,
    Length,
    Moment,
    NoKill,
    Order,
    State,
    Subject,
    Text,
    TextTest,
    ordinal,
)
from minikubelet.assertions.names import Cast
from minikubelet.assertions.parser import parse
from minikubelet.assertions.run import BEGUN, ContainerLog, Occurrence, Run, Target

_COMPARE: Mapping[Comparison, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_TEST: Mapping[TextTest, Callable[[str, str], bool]] = {
    "contains": lambda text, value: value in text,
    "does not contain": lambda text, value: value not in text,
    "matches": lambda text, value: re.search(value, text) is not None,
    "does not match": lambda text, value: re.search(value, text) is None,
    "==": lambda text, value: text.rstrip("\n") == value.rstrip("\n"),
    "!=": lambda text, value: text.rstrip("\n") != value.rstrip("\n"),
}

SHOWN_LOG_LINES = 5


@attrs.frozen
class Finding:
    """One claim about one target, or one pair of them."""

    holds: bool
    text: str
    "What was observed."
    at: float | None = None
    "The instant that decided it, on the runtime's clock; None for what only the end decides."


@attrs.frozen
class Verdict:
    """What became of an assertion. True if it holds."""

    text: str
    "The assertion as it was written."
    holds: bool
    evidence: tuple[str, ...]
    "What speaks against it if it does not hold, else what it rests on."
    seconds: float
    "From the beginning of the run until it was decided."

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        head = f"{'ok' if self.holds else 'FAILED'}: {self.text}"
        return "\n  ".join([head, *self.evidence])


def check(assertion: str, run: Run) -> Verdict:
    """Judge one assertion. Raises `ExpressionError` if it cannot be understood."""
    parsed = parse(assertion)
    cast = Cast.of(run.pods, run.jobs)
    cast.check(assertion, parsed)
    return judge(parsed, run, cast, assertion)


def judge(assertion: Assertion, run: Run, cast: Cast | None = None, text: str | None = None) -> Verdict:
    """Judge an assertion whose names are known to mean somebody."""
    findings = list(_Judge(run, cast or Cast.of(run.pods, run.jobs)).findings(assertion))
    holds = all(finding.holds for finding in findings)
    decisive = [finding for finding in findings if finding.holds == holds]
    instants = [finding.at for finding in decisive]
    latest = run.seconds
    if instants and None not in instants:
        latest = max(at for at in instants if at is not None) - run.began_at
    evidence = tuple(dict.fromkeys(finding.text for finding in decisive))
    return Verdict(text if text is not None else str(assertion), holds, evidence, latest)


def has_happened(moment: AnyMoment, run: Run, cast: Cast) -> bool:
    """Did it happen to anybody yet?"""
    return any(_Judge(run, cast).pick(moment).values())


_Picked = Mapping[Target | None, Occurrence | None]
"""The occurrence that a moment means, for each target; None as a target stands for an Event of anybody."""


class _Judge:
    def __init__(self, run: Run, cast: Cast) -> None:
        self._run = run
        self._cast = cast
        self._pods = {pod.key: pod for pod in run.pods}
        self._jobs = {job.key: job for job in run.jobs}

    def findings(self, assertion: Assertion) -> Iterator[Finding]:
        match assertion:
            case Happened():
                return self._happened(assertion)
            case Order(left, "after", right):
                return self._before(right, left)
            case Order(left, _, right):
                return self._before(left, right)
            case Distance():
                return self._distance(assertion)
            case State():
                return self._state(assertion)
            case NoKill():
                return self._no_kill(assertion)
            case Count() | Length():
                return self._number(assertion)
            case Text():
                return self._text(assertion)

    # -------------------------------------------------------------- moments

    def occurrences(self, moment: AnyMoment) -> Mapping[Target | None, Sequence[Occurrence]]:
        run = self._run
        if isinstance(moment, Moment):
            targets = self._cast.find(moment.subject)
            return {target: run.times(target, moment.what, moment.text) for target in targets}
        subjects = [None] if moment.subject is None else self._cast.find(moment.subject)
        return {target: run.event_times(target, moment.reason, moment.containing) for target in subjects}

    def pick(self, moment: AnyMoment) -> _Picked:
        """The first, the last, or whichever time is meant."""
        which = moment.which
        if which is None:
            which = -1 if isinstance(moment, Moment) and moment.what in WAY_DOWN else 1
        index = which - 1 if which > 0 else which
        return {
            target: times[index] if len(times) >= abs(which) else None
            for target, times in self.occurrences(moment).items()
        }

    def _happened(self, said: Happened) -> Iterator[Finding]:
        moment = said.moment
        if said.comparison is None and moment.which is not None:
            picked = self.pick(moment)
            for target, found in picked.items():
                at = found.at if found is not None else None
                yield Finding(found is not None, self._tell(moment, target, found), at)
            if not picked:
                yield Finding(False, self._never(moment))
            return
        comparison, wanted = (said.comparison, said.times) if said.comparison else (">=", 1)
        occurrences = self.occurrences(moment)
        for target, times in occurrences.items():
            holds = _COMPARE[comparison](len(times), wanted)
            if not times:
                yield Finding(holds, self._never(moment, target))
            elif len(times) == 1:
                yield Finding(holds, self._tell(moment, target, times[0]), times[0].at)
            else:
                instants = ", ".join(self._clock(one) for one in times[:10]) + ", ..." * (len(times) > 10)
                text = f"{self._what(moment, target)} {len(times)} times, at {instants}"
                yield Finding(holds, text, times[-1].at)
        if not occurrences:
            yield Finding(_COMPARE[comparison](0, wanted), self._never(moment))

    def _pairs(
        self, first: _Picked, second: _Picked
    ) -> Iterator[tuple[tuple[Target | None, Occurrence | None], tuple[Target | None, Occurrence | None]]]:
        """What is to be compared: pod by pod where they share pods, else everything with everything."""
        shared = {_key(target) for target in first} & {_key(target) for target in second} - {None}
        for one, other in product(first.items(), second.items()):
            if not shared or (_key(one[0]) == _key(other[0]) and _key(one[0]) in shared):
                yield one, other

    def _before(self, earlier: AnyMoment, later: AnyMoment) -> Iterator[Finding]:
        """Where the later one happened, the earlier one must have; and it must have happened at all."""
        judged = False
        for (target, a), (other, b) in self._pairs(self.pick(earlier), self.pick(later)):
            if b is None:
                continue
            judged = True
            told = self._tell(later, other, b)
            if a is None:
                yield Finding(False, f"{told}, but {self._never(earlier, target)}")
            elif a < b:
                yield Finding(True, f"{self._tell(earlier, target, a)}, {told}", b.at)
            else:
                yield Finding(False, f"{told}, {self._tell(earlier, target, a)}", a.at)
        if not judged:
            yield Finding(False, self._never(later))

    def _distance(self, said: Distance) -> Iterator[Finding]:
        moment, wanted = said.moment, said.seconds
        picked = self.pick(moment)
        if said.after is None:
            pairs: Iterable[Any] = [(item, (item[0], self._begun(item[0]))) for item in picked.items()]
        else:
            pairs = self._pairs(picked, self.pick(said.after))
        judged = False
        for (target, end), (other, start) in pairs:
            if start is None or (end is None and said.relation == "at least"):
                continue
            judged = True
            since = "" if said.after is None else f", {self._tell(said.after, other, start)}"
            if end is None:
                yield Finding(False, f"{self._never(moment, target)}{since}")
                continue
            length = end.at - start.at
            told = f"{self._tell(moment, target, end)}{since}"
            if end < start:
                yield Finding(False, f"{told}: {_length(-length)} before that, not after", end.at)
                continue
            told += f": {_length(length)} later" if since else f", {_length(length)} after it was begun"
            holds = length <= wanted if said.relation == "within" else length >= wanted
            yield Finding(holds, told, end.at)
        if not judged:
            missing = [moment] if not any(picked.values()) or said.after is None else [said.after]
            yield from (Finding(False, self._never(one)) for one in missing)

    def _begun(self, target: Target | None) -> Occurrence:
        run = self._run
        if target is None:
            return Occurrence(run.began_at, -1)
        begun = run.times(Target(target.kind, target.key), BEGUN)
        return begun[0] if begun else Occurrence(run.began_at, -1)

    # -------------------------------------------------------------- the end

    def _state(self, said: State) -> Iterator[Finding]:
        targets = self._cast.find(said.subject)
        for target in targets:
            stands = self._states(target)
            holds = (said.state in stands) != said.negated
            shown = ", ".join(stands) or "in none of its conditions"
            yield Finding(holds, f"{self._name(target)} is {shown}")
        if not targets:
            yield Finding(said.negated, f"{said.subject} never came to be")

    def _states(self, target: Target) -> list[str]:
        """Its phase, and the conditions that are True."""
        item: Pod | Job = self._pods[target.key] if target.kind == "Pod" else self._jobs[target.key]
        if item.status is None:
            return []
        phase = [item.status.phase] if isinstance(item, Pod) and item.status else []
        return phase + [c.type for c in item.status.conditions if c.status == "True"]

    def _no_kill(self, said: NoKill) -> Iterator[Finding]:
        killed = False
        for target in self._containers(said.subject):
            for occurrence in self._run.times(target, "killed"):
                killed = True
                signals = [s for s in self._run.times(target, "signalled") if s < occurrence]
                text = f"{self._name(target)} was sent SIGKILL at {self._clock(occurrence)}"
                if signals:
                    text += f", {_length(occurrence.at - signals[-1].at)} after {signals[-1].detail}"
                yield Finding(False, text, occurrence.at)
        if not killed:
            yield Finding(True, "nobody was sent SIGKILL")

    def _containers(self, subject: Subject | None) -> Iterator[Target]:
        """Those of a pod, of a Job's pods, or all there are."""
        if subject is None:
            whole = [Target("Pod", pod.key) for pod in self._run.pods]
        else:
            whole = [part for target in self._cast.find(subject) for part in self._pods_of(target)]
        for target in whole:
            if target.container is not None:
                yield target
            else:
                names = self._pods[target.key].spec.all_containers
                yield from (Target("Pod", target.key, name) for name in names)

    def _pods_of(self, target: Target) -> list[Target]:
        """A Job's pods; otherwise the target itself."""
        if target.kind != "Job":
            return [target]
        return [Target("Pod", pod.key) for pod in self._run.pods if _is_made_by(pod, target.key)]

    # -------------------------------------------------------------- readings

    def _number(self, said: Count | Length) -> Iterator[Finding]:
        targets = self._cast.find(said.subject)
        if said.reading == "shutdown":  # a Job shuts down nothing, its pods do
            targets = [part for target in targets for part in self._pods_of(target)]
        wanted: float = said.value if isinstance(said, Count) else said.seconds
        for target in targets:
            value = self._value(said.reading, target)
            name = f"{said.reading} of {self._name(target)}"
            if value is None:
                yield Finding(False, f"{name}: none, {self._why_none(said.reading)}")
            else:
                shown = _length(value) if isinstance(said, Length) else f"{value:g}"
                yield Finding(_COMPARE[said.comparison](value, wanted), f"{name}: {shown}")
        if not targets:
            yield Finding(False, f"{said.subject} never came to be")

    def _value(self, reading: str, target: Target) -> float | None:
        match reading:
            case "restarts":
                return self._status(target).restart_count
            case "exit code":
                ended = self._ended(target)
                return ended.exit_code if ended else None
            case "shutdown":
                return self._shutdown(target)
        status = self._jobs[target.key].status
        if status is None:
            return None
        return status.succeeded if reading == "succeeded pods" else status.failed

    @staticmethod
    def _why_none(reading: str) -> str:
        return {
            "exit code": "it never exited",
            "shutdown": "it was never asked to stop, or has not ended",
        }.get(reading, "it has no status")

    def _shutdown(self, target: Target) -> float | None:
        """From being asked to stop until it was gone."""
        last = "exited" if target.container is not None else "finished"
        began, ended = self._run.times(target, "stopping"), self._run.times(target, last)
        if not began or not ended or ended[-1] < began[-1]:
            return None
        return ended[-1].at - began[-1].at

    def _status(self, target: Target) -> ContainerStatus:
        status = self._pods[target.key].status
        statuses = (*status.init_container_statuses, *status.container_statuses) if status else ()
        none = ContainerStatus(target.container or "", ContainerState())
        return next((s for s in statuses if s.name == target.container), none)

    def _ended(self, target: Target) -> ContainerStateTerminated | None:
        """The newest instance that has ended."""
        status = self._status(target)
        return status.state.terminated or status.last_state.terminated

    def _text(self, said: Text) -> Iterator[Finding]:
        targets = self._cast.find(said.subject)
        for target in targets:
            text = self._string(said.reading, target)
            name = f"{said.reading} of {self._name(target)}"
            lines = text.rstrip("\n").split("\n")
            if not text:
                shown = f"the {name} is empty"
            elif said.reading == "log":
                kept = [f"  | {line}" for line in lines[-SHOWN_LOG_LINES:]]
                cut = f" has {len(lines)} lines and ends with" if len(lines) > len(kept) else ""
                shown = "\n".join([f"the {name}{cut}:", *kept])
                if lost := self._log(target).lost:
                    shown += f"\n  (the first {lost} bytes of it were not kept)"
            else:
                shown = f"the {name} is {text!r}"
            yield Finding(_TEST[said.test](text, said.value), shown)
        if not targets:
            yield Finding(False, f"{said.subject} never came to be")

    def _log(self, target: Target) -> ContainerLog:
        return self._run.logs.get((target.key, target.container or ""), ContainerLog())

    def _string(self, reading: str, target: Target) -> str:
        if reading == "log":
            return self._log(target).text
        source: Any
        if target.container is not None:
            source = self._ended(target) or self._status(target).state.waiting
        elif target.kind == "Pod":
            source = self._pods[target.key].status
        else:
            status = self._jobs[target.key].status
            conditions = status.conditions if status else ()
            source = next((c for c in reversed(conditions) if c.status == "True"), None)
        return (getattr(source, reading) if source else None) or ""

    # -------------------------------------------------------------- words

    def _clock(self, occurrence: Occurrence) -> str:
        return f"{occurrence.at - self._run.began_at:.3f} s"

    def _tell(self, moment: AnyMoment, target: Target | None, occurrence: Occurrence | None) -> str:
        if occurrence is None:
            return self._never(moment, target)
        which = moment.which
        text = self._what(moment, target)
        if which is not None and which > 1:
            text += f" for the {ordinal(which)} time"
        elif which is not None:
            text += " first" if which == 1 else " last"
        if isinstance(moment, Moment) and occurrence.detail:
            text += f" ({occurrence.detail})"
        return f"{text} at {self._clock(occurrence)}"

    def _never(self, moment: AnyMoment, target: Target | None = None) -> str:
        which = moment.which
        so_often = f" a {ordinal(which)} time" if which is not None and which > 1 else ""
        if isinstance(moment, EventMoment):
            return f"{self._what(moment, target)}: never{so_often}"
        who = self._name(target) if target is not None else str(moment.subject)
        return f"{who} never {_past(moment)}{so_often}"

    def _what(self, moment: AnyMoment, target: Target | None) -> str:
        if isinstance(moment, Moment):
            assert target is not None
            return f"{self._name(target)} {_past(moment)}"
        text = f"event {moment.reason}"
        if target is not None:
            text += f" of {self._name(target)}"
        return f"{text} with {moment.containing!r}" if moment.containing is not None else text

    def _name(self, target: Target) -> str:
        """As short as it may be without being mistaken."""
        namespaces = {key.partition("/")[0] for key in (*self._pods, *self._jobs)}
        name = target.key if len(namespaces) > 1 else target.key.partition("/")[2]
        if target.kind == "Job":
            return f"job {name}"
        if target.container is None:
            return f"pod {name}"
        return f"{name}/{target.container}" if len(self._pods) > 1 else target.container


def _is_made_by(pod: Pod, job_key: str) -> bool:
    meta = pod.metadata
    return any(o.kind == "Job" and f"{meta.namespace}/{o.name}" == job_key for o in meta.owner_references)


def _past(moment: Moment) -> str:
    match moment.what:
        case "started" | "exited":
            return moment.what
        case "finished":
            return "was finished"
        case "stopping":
            return "began to stop"
        case "logged":
            return f"logged {moment.text!r}"
        case "signalled" | "killed":
            return f"was {moment.what}"
        case _:
            return f"became {moment.what}"


def _key(target: Target | None) -> tuple[str, str] | None:
    """The pod, or Job, that it is or is in."""
    return None if target is None else (target.kind, target.key)


def _length(seconds: float) -> str:
    return f"{seconds:.3f} s"
