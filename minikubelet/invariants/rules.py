"""What an invariant is: a sentence that is always true, the rules it comes from, and how to see it broken."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import attrs

from minikubelet.invariants.job_story import JobStory
from minikubelet.invariants.story import Moment, PodStory

Story = TypeVar("Story", PodStory, JobStory)


@attrs.frozen
class Breach:
    """Where an invariant does not hold, in words."""

    moment: Moment | None
    "The entry that breaks it; None if what is missing is at fault."
    message: str


@attrs.frozen
class Invariant(Generic[Story]):
    name: str
    "Short and stable: `one-live-attempt`."
    rules: str
    "Rule ids, I1...I10 included, separated by a blank."
    sentence: str
    breaches: Callable[[Story], Iterator[Breach]]


POD_INVARIANTS: list[Invariant[PodStory]] = []
"Those of one pod. Modules of this package add theirs."

JOB_INVARIANTS: list[Invariant[JobStory]] = []
"Those of one Job."


def pod_invariant(
    rules: str, sentence: str
) -> Callable[[Callable[[PodStory], Iterator[Breach]]], Callable[[PodStory], Iterator[Breach]]]:
    """Make an invariant of a function that yields every breach of it. Its name becomes the invariant's."""
    return _registered(POD_INVARIANTS, rules, sentence)


def job_invariant(
    rules: str, sentence: str
) -> Callable[[Callable[[JobStory], Iterator[Breach]]], Callable[[JobStory], Iterator[Breach]]]:
    """The same for a Job."""
    return _registered(JOB_INVARIANTS, rules, sentence)


def _registered(
    invariants: list[Invariant[Story]], rules: str, sentence: str
) -> Callable[[Callable[[Story], Iterator[Breach]]], Callable[[Story], Iterator[Breach]]]:
    def register(function: Callable[[Story], Iterator[Breach]]) -> Callable[[Story], Iterator[Breach]]:
        name = function.__name__.replace("_", "-")
        invariants.append(Invariant(name, rules, sentence, function))
        return function

    return register


@attrs.frozen
class Violation:
    """An invariant that did not hold in a run."""

    invariant: str
    rules: str
    sentence: str
    key: str
    "Of the pod or Job."
    index: int
    "Of the entry in the journal that breaks it; that of the last entry if something is missing."
    at: float
    message: str

    @property
    def title(self) -> str:
        """What did not hold, in one line: `name [rules]: sentence`."""
        rules = f" [{self.rules}]" if self.rules else ""
        sentence = f": {self.sentence}" if self.sentence != self.invariant else ""
        return f"{self.invariant}{rules}{sentence}"

    def __str__(self) -> str:
        return f"{self.key}: {self.message} [{self.invariant}: {self.sentence} {self.rules}]"


def first(violations: Sequence[Violation]) -> Violation | None:
    return min(violations, key=lambda violation: violation.index, default=None)
