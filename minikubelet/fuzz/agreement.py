"""Whether real processes lived the same story as simulated ones.

Reality takes its time, a little more or less each time, so only what does not hang on that is compared. The
case is simulated several times, each time with some delay here or there. If the same things happen every
time the case is calm: then they also have to happen in reality, with the same exit codes, and what always
comes at least `MARGIN` apart has to come in the same order.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import combinations
from random import Random

import attrs

from minikubelet.api.job import Job
from minikubelet.api.pod import Pod
from minikubelet.fuzz.case import Case
from minikubelet.fuzz.engines import run_on_heap
from minikubelet.invariants.journal import Entry, Journal
from minikubelet.invariants.rules import Violation
from minikubelet.runtime.simulated import HookScript, Script

VARIANTS = 6
"Simulations that are compared to find out whether a case is calm."

DELAYS = (0.0, 0.1, 0.2)
"Seconds by which a process may be late with anything."

MARGIN = 0.3
"Seconds between two things whose order counts."

WARM_UP = 0.4
"Seconds after its start within which a process may not have its signal handlers yet."

SENTENCE = "Real processes live the story of simulated ones."

Mark = tuple[Hashable, ...]
"Something that happened, and how many of the same kind happened before it."


def disagreements(case: Case, real: Journal) -> list[Violation] | None:
    """What happened otherwise, or in another order; None if the case is not calm."""
    variants = [_marks(run_on_heap(_delayed(case, number))) for number in range(VARIANTS)]
    first = variants[0]
    if any(other.keys() != first.keys() for other in variants) or any(map(_is_hasty, variants)):
        return None
    return list(_differences(real, variants))


def _differences(real: Journal, variants: Sequence[Mapping[Mark, float]]) -> Iterator[Violation]:
    first = variants[0]
    indexes = {mark: index for index, mark in _numbered(real)}
    for mark in first.keys() - indexes.keys():
        yield _violation(real, mark, len(real.entries) - 1, f"never: {_text(mark)}")
    for mark in indexes.keys() - first.keys():
        yield _violation(real, mark, indexes[mark], f"only in reality: {_text(mark)}")
    for one, other in combinations([mark for mark in first if mark in indexes], 2):
        gaps = [variant[other] - variant[one] for variant in variants]
        if min(gaps) >= MARGIN and indexes[other] < indexes[one]:
            yield _violation(real, one, indexes[one], f"{_text(one)} came after: {_text(other)}")
        elif max(gaps) <= -MARGIN and indexes[one] < indexes[other]:
            yield _violation(real, other, indexes[other], f"{_text(other)} came after: {_text(one)}")


def _violation(journal: Journal, mark: Mark, index: int, message: str) -> Violation:
    return Violation("as-simulated", "", SENTENCE, str(mark[0]), index, journal.entries[index].at, message)


def _text(mark: Mark) -> str:
    key, container, what, *details, count = mark
    number = f" for the {count}. time" if isinstance(count, int) and count > 1 else ""
    return f"{container or key} {what} {' '.join(map(str, details))}{number}".replace("  ", " ")


# ------------------------------------------------------------------ what counts


def _marks(journal: Journal) -> dict[Mark, float]:
    """When each thing happened that is to happen in reality too."""
    return {mark: journal.entries[index].at for index, mark in _numbered(journal)}


def _numbered(journal: Journal) -> Iterator[tuple[int, Mark]]:
    seen: Counter[Mark] = Counter()
    last: dict[str, tuple[int, Mark]] = {}
    for index, entry in enumerate(journal.entries):
        if isinstance(entry.detail, Pod) and entry.what == "published" and entry.detail.status is not None:
            status = entry.detail.status
            last[entry.key] = index, (entry.key, "", "ended as", status.phase, status.reason, 1)
        elif isinstance(entry.detail, Job) and entry.detail.status is not None:
            ways = [c.reason or c.type for c in entry.detail.status.conditions if c.status == "True"]
            last[entry.key] = index, (entry.key, "", "ended as", *ways, 1)
        elif (detail := _detail(entry)) is not None:
            mark = entry.key, entry.container, entry.what, *detail
            seen[mark] += 1
            yield index, (*mark, seen[mark])
    yield from last.values()


def _detail(entry: Entry) -> tuple[Hashable, ...] | None:
    """What about an entry has to be the same; None if it is not compared."""
    match entry.what:
        case "started" | "removed":
            return ()
        case "exited" | "signalled" | "hookBegan" | "hookCancelled":
            return (entry.detail,)
        case "startFailed":
            return (entry.detail[0],)
        case "hookEnded":
            kind, error = entry.detail
            return kind, "well" if error is None else "badly"
    return None


def _is_hasty(marks: Mapping[Mark, float]) -> bool:
    """A process is signalled before it can be expected to have come to itself."""
    started: dict[tuple[Hashable, Hashable], list[float]] = {}
    for (key, container, what, *_), at in marks.items():
        if what == "started":
            started.setdefault((key, container), []).append(at)
    return any(
        what == "signalled" and any(0 <= at - since < WARM_UP for since in started.get((key, container), ()))
        for (key, container, what, *_), at in marks.items()
    )


# ------------------------------------------------------------------ delays


def _delayed(case: Case, number: int) -> Case:
    """The first one is as it was drawn."""
    if number == 0:
        return case
    random = Random(number)

    def late() -> float:
        return DELAYS[random.getrandbits(32) % len(DELAYS)]

    def hook(old: HookScript) -> HookScript:
        return attrs.evolve(old, lasts=old.lasts + late())

    def script(old: Script) -> Script:
        return attrs.evolve(
            old,
            lasts=old.lasts + late(),
            term_lasts=old.term_lasts + late(),
            kill_lasts=old.kill_lasts + late(),
            starts_up_after=old.starts_up_after + late(),
            ready_after=old.ready_after + late(),
            unready_after=old.unready_after + late(),
            unhealthy_after=old.unhealthy_after + late(),
            answers={
                kind: tuple((since + late() * (since > 0), good) for since, good in told)
                for kind, told in old.answers.items()
            },
            probe_lasts=tuple(length + late() for length in old.probe_lasts),
            post_start=hook(old.post_start),
            pre_stop=hook(old.pre_stop),
        )

    names = dict.fromkeys((*case.scripts, *_containers(case)))
    scripts = {name: tuple(map(script, case.scripts.get(name, (Script(),)))) for name in names}
    late_by = late()  # everybody, so that what is asked for from outside comes too early
    requests = tuple(attrs.evolve(one, at=max(one.at - late_by, 0)) for one in case.requests)
    return attrs.evolve(case, scripts=scripts, requests=requests, ends_at=case.ends_at - late_by)


def _containers(case: Case) -> Iterator[str]:
    for spec in (*(pod.spec for pod in case.pods), *(job.spec.template.spec for job in case.jobs)):
        yield from spec.all_containers
