"""Read a journal and say what did not hold in it."""

from collections.abc import Iterator, Sequence

from minikubelet.invariants import jobs, order, probing, progress, restarting, status, stopping
from minikubelet.invariants.job_story import job_stories
from minikubelet.invariants.journal import Journal
from minikubelet.invariants.rules import JOB_INVARIANTS, POD_INVARIANTS, Invariant, Story, Violation
from minikubelet.invariants.story import stories

__all__ = ["check"]

THEMES = (order, stopping, status, probing, restarting, progress, jobs)
"Modules that state invariants."


def check(journal: Journal) -> list[Violation]:
    """Every violation, in the order in which they happened; an empty list for a run without any."""
    pods = stories(journal)
    found = [
        *_violations(journal, pods, POD_INVARIANTS),
        *_violations(journal, job_stories(journal), JOB_INVARIANTS),
    ]
    for story in pods:
        story.forget_readings()
    return sorted(found, key=lambda violation: violation.index)


def _violations(
    journal: Journal, told: Sequence[Story], invariants: Sequence[Invariant[Story]]
) -> Iterator[Violation]:
    last = len(journal.entries) - 1
    for story in told:
        for invariant in invariants:
            for breach in invariant.breaches(story):
                index = breach.moment.index if breach.moment is not None else last
                yield Violation(
                    invariant.name,
                    invariant.rules,
                    invariant.sentence,
                    story.key,
                    index,
                    journal.entries[index].at,
                    breach.message,
                )
