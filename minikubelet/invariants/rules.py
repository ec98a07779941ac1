"""What an invariant is: a sentence that is always true, the rules it comes from, and how to see it broken."""

from collections.abc import Callable, Iterator, Sequence

import attrs

from minikubelet.invariants.story import Moment, PodStory


@attrs.frozen
class Breach:
    """Where an invariant does not hold, in words."""

    moment: Moment | None
    "The entry that breaks it; None if what is missing is at fault."
    message: str


@attrs.frozen
class Invariant:
    name: str
    "Short and stable: `one-live-attempt`."
    rules: str
    "Rule ids, I1...I10 included, separated by a blank."
    sentence: str
    breaches: Callable[[PodStory], Iterator[Breach]]


POD_INVARIANTS: list[Invariant] = []
"Those of one pod. Modules of this package add theirs."


def pod_invariant(
    rules: str, sentence: str
) -> Callable[[Callable[[PodStory], Iterator[Breach]]], Callable[[PodStory], Iterator[Breach]]]:
    """Make an invariant of a function that yields every breach of it. Its name becomes the invariant's."""

    def register(function: Callable[[PodStory], Iterator[Breach]]) -> Callable[[PodStory], Iterator[Breach]]:
        name = function.__name__.replace("_", "-")
        POD_INVARIANTS.append(Invariant(name, rules, sentence, function))
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

    def __str__(self) -> str:
        return f"{self.key}: {self.message} [{self.invariant}: {self.sentence} {self.rules}]"


def first(violations: Sequence[Violation]) -> Violation | None:
    return min(violations, key=lambda violation: violation.index, default=None)
