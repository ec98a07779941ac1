"""Watching a real run: what `--check` adds to it, and what it has to say at the end.

Real time is not virtual time. An action is taken down a moment after it was decided, an alarm rings late on
a busy machine, a fork takes a while; so lengths are judged with a tolerance, one second and whatever the
machine was seen to be late. Which of two things came first is judged as strictly as in virtual time: the
journal has them in the order in which the kubelet learned of them.
"""

import os
from collections.abc import Iterator, Sequence

from minikubelet.invariants.journal import Journal, journaled
from minikubelet.invariants.rules import JOB_INVARIANTS, POD_INVARIANTS, Violation
from minikubelet.runtime.base import Runtime

TOLERANCE = 1.0
"Seconds; the journal adds the delays that it measures."

MOST_ENTRIES = 200_000
"About 50 MB; a day and more of one container with a probe every second."


class InvariantViolated(Exception):
    """What must hold of every run did not hold in this one, which is a fault of minikubelet's.

    `violations` has all of them; the text has each with what happened around it.
    """

    def __init__(self, violations: Sequence[Violation], text: str) -> None:
        super().__init__(text)
        self.violations = tuple(violations)

    def __reduce__(self) -> tuple[object, ...]:
        return InvariantViolated, (self.violations, str(self))


def watched(runtime: Runtime) -> tuple[Journal, Runtime]:
    """A journal for a run on a real machine, and the runtime to be used so that it is written.

    The journal is to `follow` the kubelet.
    """
    journal = Journal(tolerance=TOLERANCE, limit=MOST_ENTRIES)
    return journal, journaled(runtime, journal)


def judge(journal: Journal) -> list[Violation]:
    """Every violation of a run that has come to its end, or to the journal's.

    They are appended to the file that `MINIKUBELET_CHECK` names, if it does.
    """
    from minikubelet.invariants.checker import check

    if journal.is_finished and not journal.is_cut:
        journal.close()
    violations = check(journal)
    file = os.environ.get("MINIKUBELET_CHECK", "")
    if violations and "/" in file:
        with open(file, "a", encoding="utf-8") as report:
            report.writelines(f"{line}\n" for line in verdict(journal, violations))
    return violations


def verdict(journal: Journal, violations: Sequence[Violation]) -> Iterator[str]:
    """Lines that tell what was violated, each with its part of the timeline; or that nothing was."""
    from minikubelet.invariants.timeline import timeline

    for violation in violations:
        yield f"violated: {violation}"
        yield from (f"  {line}" for line in timeline(journal, violation))
    count, entries = len(POD_INVARIANTS) + len(JOB_INVARIANTS), len(journal.entries)
    what = f"the first {entries} entries, no more were kept" if journal.is_cut else f"{entries} entries"
    outcome = f"{len(violations)} violated" if violations else "none violated"
    yield f"checked: {count} invariants over {what}, {outcome}"


def demand(journal: Journal) -> None:
    """Raises `InvariantViolated` if anything was."""
    if violations := judge(journal):
        raise InvariantViolated(violations, "\n".join(verdict(journal, violations)))
