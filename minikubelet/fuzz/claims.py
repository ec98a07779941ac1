"""What a user asserts of all runs of a manifest, judged beside the invariants.

In a random world much never happens: a pod is deleted before its first container is there. An assertion that
a run says nothing about is not violated by it, nor does it hold; `minikubelet test`, where one knows what
ought to happen, is stricter. So every claim says first whether it applies.
"""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from minikubelet.api.errors import FieldError, ManifestError
from minikubelet.assertions.files import Given, given_directly, read_assertions
from minikubelet.assertions.judge import judge
from minikubelet.assertions.language import (
    WAY_DOWN,
    AnyMoment,
    Assertion,
    Count,
    Distance,
    EventMoment,
    ExpressionError,
    Happened,
    Length,
    Moment,
    NoKill,
    Order,
    State,
    Subject,
    Text,
)
from minikubelet.assertions.names import Cast
from minikubelet.assertions.parser import parse
from minikubelet.assertions.run import Occurrence, Run, Target

COMMAND_LINE = "--assert"


@attrs.frozen
class Answer:
    """What became of a claim in one run; `breach` None: it holds, if it applies."""

    applies: bool
    breach: str | None = None
    seconds: float | None = None
    "From the beginning of the run until it was decided; None: at its end."


class Claim(Protocol):
    @property
    def name(self) -> str:
        """As findings are called by."""

    @property
    def source(self) -> str:
        """What `claims_again` makes the same claim of, together with `text`."""

    @property
    def text(self) -> str: ...

    def judge(self, run: Run) -> Answer: ...


# ------------------------------------------------------------------ in the language of `minikubelet test`


@attrs.frozen
class Asserted:
    name: str
    text: str
    assertion: Assertion
    source: str = COMMAND_LINE

    def judge(self, run: Run) -> Answer:
        applies = False
        for part, cast in _parts(self.assertion, run):
            if not _applies(self.assertion, part, cast):
                continue
            applies = True
            verdict = judge(self.assertion, part, cast, self.text)
            if not verdict:
                return Answer(True, "; ".join(verdict.evidence), verdict.seconds)
        return Answer(applies)


def _parts(assertion: Assertion, run: Run) -> Iterator[tuple[Run, Cast]]:
    """Two subjects that share pods are compared in each of these by itself: it may apply in one only."""
    whole = Cast.of(run.pods, run.jobs)
    subjects = _subjects(assertion)
    keys = [{target.key for target in whole.find(subject) if target.kind == "Pod"} for subject in subjects]
    shared = set.intersection(*keys) if len(keys) > 1 else set()
    if not shared:
        yield run, whole
    for pod in run.pods:
        if pod.key in shared:
            yield attrs.evolve(run, pods=(pod,)), Cast.of((pod,), run.jobs)


def _subjects(assertion: Assertion) -> list[Subject]:
    match assertion:
        case Order(left, _, right):
            return [one.subject for one in (left, right) if one.subject is not None]
        case Distance(moment, after=after) if after is not None:
            return [one.subject for one in (moment, after) if one.subject is not None]
    return []


def _applies(assertion: Assertion, run: Run, cast: Cast) -> bool:
    """Whether the run has what the assertion is about."""
    match assertion:
        case Order(later, "after", earlier) | Order(earlier, _, later):
            return _came(later, run, cast) and _could_come(earlier, run, cast)
        case Distance(moment, "at least"):
            return _came(moment, run, cast)
        case Distance(moment, after=after):
            began = _came(after, run, cast) if after is not None else True
            return began and _could_come(moment, run, cast)
        case Happened(Moment() as moment):
            return not assertion.is_never or any(_existed(one, run) for one in cast.find(moment.subject))
        case Happened():
            return True
        case NoKill(subject):
            whole = [Target("Pod", pod.key) for pod in run.pods] if subject is None else cast.find(subject)
            return any(
                run.times(one, verb) for one in _containers(whole, run) for verb in ("signalled", "killed")
            )
        case Count("exit code", subject):
            return any(run.times(one, "exited") for one in cast.find(subject))
        case Length(_, subject):
            return any(
                run.times(one, "stopping") and (run.times(one, "exited") or run.times(one, "finished"))
                for one in _pods_of(cast.find(subject), run)
            )
        case Count(_, subject) | Text(_, subject) | State(subject):
            return any(_existed(one, run) for one in cast.find(subject))


def _times(moment: AnyMoment, run: Run, cast: Cast) -> Iterator[Sequence[Occurrence]]:
    if isinstance(moment, Moment):
        for target in cast.find(moment.subject):
            yield run.times(target, moment.what, moment.text)
    else:
        subjects = [None] if moment.subject is None else cast.find(moment.subject)
        for subject in subjects:
            yield run.event_times(subject, moment.reason, moment.containing)


def _came(moment: AnyMoment, run: Run, cast: Cast) -> bool:
    return any(_times(moment, run, cast))


def _could_come(moment: AnyMoment, run: Run, cast: Cast) -> bool:
    """What never was started cannot end."""
    if isinstance(moment, EventMoment) or moment.what not in (*WAY_DOWN, "logged"):
        return True
    return any(_existed(target, run) for target in cast.find(moment.subject))


def _existed(target: Target, run: Run) -> bool:
    return target.container is None or bool(run.times(target, "started"))


def _pods_of(targets: Sequence[Target], run: Run) -> Iterator[Target]:
    """A Job shuts down nothing, its pods do."""
    for target in targets:
        if target.kind != "Job":
            yield target
            continue
        for pod in run.pods:
            meta = pod.metadata
            if any(f"{meta.namespace}/{owner.name}" == target.key for owner in meta.owner_references):
                yield Target("Pod", pod.key)


def _containers(targets: Sequence[Target], run: Run) -> Iterator[Target]:
    for target in _pods_of(targets, run):
        if target.container is not None:
            yield target
            continue
        for pod in run.pods:
            if pod.key == target.key:
                yield from (Target("Pod", pod.key, name) for name in pod.spec.all_containers)


# ------------------------------------------------------------------ in Python


@attrs.frozen
class Checked:
    """A function `check_...` of a file, which raises AssertionError for a run that is not as it should be.

    To say that a run is none that it is about, it returns NotImplemented.
    """

    name: str
    source: str
    function: Callable[[Run], object]

    @property
    def text(self) -> str:
        """The first line of what it says about itself."""
        said = (self.function.__doc__ or "").strip()
        return said.splitlines()[0] if said else self.name

    def judge(self, run: Run) -> Answer:
        try:
            return Answer(self.function(run) is not NotImplemented)
        except AssertionError as error:
            return Answer(True, str(error).partition("\n")[0] or "its assertion failed")
        except Exception as error:
            return Answer(True, f"the check itself failed: {type(error).__name__}: {error}")


# ------------------------------------------------------------------ from options, and from findings


def read_claims(texts: Sequence[str], files: Sequence[str], cast: Cast) -> tuple[Claim, ...]:
    """Those of the command line and of files, YAML or Python; `cast` is everybody whom they can be about.

    Raises ManifestError with everything that is wrong with any of them.
    """
    errors: list[FieldError] = []
    claims: list[Claim] = []
    given: list[Given] = list(given_directly(texts, COMMAND_LINE))
    for path in files:
        try:
            if path.endswith(".py"):
                claims += _functions(path)
            else:
                given += read_assertions(path)
        except ManifestError as error:
            errors += error.errors
    for one in given:
        try:
            assertion = parse(one.text)
            cast.check(one.text, assertion)
        except ExpressionError as fault:
            errors.append(one.fault(str(fault)))
        else:
            claims.append(Asserted(one.name, one.text, assertion))
    if errors:
        raise ManifestError(errors)
    return tuple(claims)


def claim_again(name: str, source: str, text: str) -> Claim | None:
    """The claim whose violation was written down so; None if that was none of a user's.

    Raises ManifestError if its file, or its function there, is gone.
    """
    if source == COMMAND_LINE:
        return Asserted(name, text, parse(text))
    if not source.endswith(".py"):
        return None
    for claim in _functions(source):
        if claim.name == name:
            return claim
    raise ManifestError([FieldError(source, 0, 0, "", "", f"there is no {name} any more")])


def _functions(path: str) -> list[Claim]:
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None, "files called *.py have a loader"
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except OSError as error:
        raise ManifestError([FieldError(path, 0, 0, "", "", (error.strerror or "").lower())]) from None
    except Exception as error:
        fault = f"cannot be imported: {type(error).__name__}: {error}"
        raise ManifestError([FieldError(path, 0, 0, "", "", fault)]) from error
    found: list[Claim] = [
        Checked(name, path, function)
        for name, function in vars(module).items()
        if name.startswith("check_") and callable(function)
    ]
    if not found:
        raise ManifestError([FieldError(path, 0, 0, "", "", "no function in it is called check_...")])
    return found
