"""Make a failing case small: the case itself, piece by piece, and the choices that it is made of.

Taking pieces away is quick, but stops where two things have to become simpler at once. Hypothesis makes the
list of choices shorter and simpler, and through it everything in the case, which takes longer and leaves over
what no smaller list of choices happens to say; so that is taken away piece by piece again.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

import attrs

from minikubelet.fuzz.case import Case
from minikubelet.fuzz.draw import Draw, HypothesisDraw
from minikubelet.fuzz.replay import Replay, dumps

CaseOf = Callable[[Draw], Case]
StillFails = Callable[[Case], bool]


def shrink(case_of: CaseOf, choices: Sequence[int], still_fails: StillFails, seconds: float) -> Case:
    """The smallest case found in `seconds` (the last try may take a little longer) that still fails.

    `choices` are those that `case_of` made when it gave a case that fails; if that is not so any more, the
    case is given back as it is. Nothing is printed, and nothing written to a file.
    """
    began = time.monotonic()
    whole = case_of(ReplayDraw(choices))
    if not still_fails(whole):
        return whole
    by_pieces = simplify(whole, still_fails, began + seconds * 0.4)
    by_choices = _by_choices(case_of, choices, whole, still_fails, began + seconds * 0.8)
    return min(by_pieces, simplify(by_choices, still_fails, began + seconds), key=_size)


def _size(case: Case) -> int:
    """In characters that one has to read."""
    return len(dumps(Replay(case)))


class ReplayDraw:
    """The same choices again; the simplest where there are none left, or where one is out of range."""

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = iter(choices)

    def integer(self, low: int, high: int) -> int:
        choice = next(self._choices, low)
        return choice if low <= choice <= high else low


# ------------------------------------------------------------------ choices


class _TimeIsUp(BaseException):
    """Not an Exception, which hypothesis would take for one more way to fail."""


def _by_choices(
    case_of: CaseOf, choices: Sequence[int], whole: Case, still_fails: StillFails, deadline: float
) -> Case:
    smallest = whole
    try:
        from hypothesis import Phase, Verbosity, find, settings
        from hypothesis import strategies as st
        from hypothesis.database import InMemoryExampleDatabase, choices_to_bytes
        from hypothesis.errors import HypothesisException
    except ImportError:  # it is an extra
        return whole

    @st.composite
    def cases(draw: Any) -> Case:
        return case_of(HypothesisDraw(draw))

    def fails(case: Case) -> bool:
        nonlocal smallest
        if time.monotonic() > deadline:
            raise _TimeIsUp
        if not still_fails(case):
            return False
        smallest = case  # each that is tried and fails is smaller than those before it
        return True

    database = InMemoryExampleDatabase()
    # What is found under the key itself is taken for small already; hence its second shelf.
    database.save(_KEY + b".secondary", choices_to_bytes(tuple(choices)))
    quiet = settings(
        database=database,
        phases=(Phase.reuse, Phase.shrink),
        verbosity=Verbosity.quiet,
        deadline=None,
        max_examples=1,
    )
    try:
        with _writing_nothing():
            return find(cases(), fails, settings=quiet, database_key=_KEY)
    except (_TimeIsUp, HypothesisException):
        return smallest


_KEY = b"case"


@contextmanager
def _writing_nothing() -> Iterator[None]:
    """Hypothesis keeps what it learns of the program in a directory, and does without if need be."""
    from hypothesis import configuration

    before = configuration.storage_directory(intent_to_write=False).home_directory
    configuration.set_hypothesis_home_dir(os.devnull)
    try:
        yield
    finally:
        configuration.set_hypothesis_home_dir(before)


# ------------------------------------------------------------------ pieces


def simplify(case: Case, still_fails: StillFails, deadline: float) -> Case:
    """Take away what can be missing, one piece after the other, until nothing can or the time is up.

    `deadline` is an instant of `time.monotonic`.
    """
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for candidate in map(_consistent, _simpler(case)):
            if time.monotonic() > deadline:
                return case
            if candidate != case and _is_valid(candidate) and still_fails(candidate):
                case, is_smaller = candidate, True
                break
    return case


_KEPT = frozenset(("api_version", "kind", "metadata", "command", "exec", "ends_at"))
"Without these there is no manifest, or none that can be started; no world is simpler for ending at 0."
_NEVER_DEFAULT = frozenset(("parallelism", "completions", "backoff_limit", "pod_replacement_policy"))
"Fields whose default is not what is simplest, or not what the API server makes of a missing one (DEF-6)."
_AT_LEAST_ONE = frozenset(("period_seconds", "timeout_seconds", "success_threshold", "failure_threshold"))
"PROBE-2: zero stands for the default."


def _simpler(value: Any) -> Iterator[Any]:
    """What the value may be replaced with, boldest first. Nothing leads back: each has less in it."""
    if isinstance(value, Case):
        yield from _fewer_objects(value)
    if attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            given = getattr(value, field.name)
            default = field.default.factory() if hasattr(field.default, "factory") else field.default
            if field.name in _KEPT or given == default:
                continue
            if default is not attrs.NOTHING and field.name not in _NEVER_DEFAULT:
                yield attrs.evolve(value, **{field.name: default})
            for simpler in _simpler(given):
                if simpler != 0 or field.name not in _AT_LEAST_ONE:
                    yield attrs.evolve(value, **{field.name: simpler})
    elif isinstance(value, Mapping):
        for name in value:
            yield {other: one for other, one in value.items() if other != name}
        for name, one in value.items():
            yield from ({**value, name: simpler} for simpler in _simpler(one))
    elif isinstance(value, tuple):
        for index in range(len(value)):
            yield value[:index] + value[index + 1 :]
        for index, one in enumerate(value):
            yield from ((*value[:index], simpler, *value[index + 1 :]) for simpler in _simpler(one))
    elif isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        less = dict.fromkeys((type(value)(0), type(value)(1), type(value)(value // 2), value // 1, value - 1))
        yield from (one for one in less if 0 <= one < value)


def _fewer_objects(case: Case) -> Iterator[Case]:
    for index in range(len(case.pods)):
        yield attrs.evolve(case, pods=case.pods[:index] + case.pods[index + 1 :])
    for index in range(len(case.jobs)):
        yield attrs.evolve(case, jobs=case.jobs[:index] + case.jobs[index + 1 :])


def _consistent(case: Case) -> Case:
    """Without what is said about pods and containers that are not there."""
    specs = [*(pod.spec for pod in case.pods), *(job.spec.template.spec for job in case.jobs)]
    names = {name for spec in specs for name in spec.all_containers}
    keys = {"", *(pod.key for pod in case.pods), *(job.key for job in case.jobs)}
    scripts = {name: scripts for name, scripts in case.scripts.items() if name in names and scripts}
    requests = tuple(request for request in case.requests if request.key in keys)
    return attrs.evolve(case, scripts=scripts, requests=requests)


def _is_valid(case: Case) -> bool:
    from minikubelet.api.validation import validate_pod
    from minikubelet.api.validation_jobs import validate_job

    if not case.pods and not case.jobs:
        return False
    return not any(map(validate_pod, case.pods)) and not any(map(validate_job, case.jobs))
