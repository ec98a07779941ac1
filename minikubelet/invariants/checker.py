"""Read a journal and say what did not hold in it."""

from minikubelet.invariants import order
from minikubelet.invariants.journal import Journal
from minikubelet.invariants.rules import POD_INVARIANTS, Violation
from minikubelet.invariants.story import stories

__all__ = ["check"]

THEMES = (order,)
"Modules that state invariants."


def check(journal: Journal) -> list[Violation]:
    """Every violation, in the order in which they happened; an empty list for a run without any."""
    found: list[Violation] = []
    last = len(journal.entries) - 1
    for story in stories(journal):
        for invariant in POD_INVARIANTS:
            for breach in invariant.breaches(story):
                index = breach.moment.index if breach.moment is not None else last
                found.append(
                    Violation(
                        invariant.name,
                        invariant.rules,
                        invariant.sentence,
                        story.key,
                        index,
                        journal.entries[index].at,
                        breach.message,
                    )
                )
    return sorted(found, key=lambda violation: violation.index)
