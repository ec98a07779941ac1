"""Search with one process until something is found, make it small, print what it is as JSON.

    python -m benchmarks.mutants.hunt SEED SECONDS SHRINK_SECONDS

Runs with the faulty copy of the package first on its path.
"""

import json
import sys
import time

from minikubelet.fuzz.case import Case
from minikubelet.fuzz.search import Limits, Search, Tally, examine, in_order, search_all
from minikubelet.fuzz.shrink import shrink


def hunt(seed: int, seconds: float, shrink_seconds: float) -> dict[str, object]:
    looking = Search(seed)
    began = time.monotonic()
    found_after = seconds

    def is_enough(tally: Tally) -> bool:
        nonlocal found_after
        if tally.findings and found_after == seconds:
            found_after = time.monotonic() - began
        return bool(tally.findings)

    findings = in_order(search_all(looking, Limits(seconds=seconds), is_enough).findings)
    if not findings:
        return {"seconds": None}
    first = findings[0]

    def fails(case: Case) -> bool:
        return any(violation.invariant == first.name for violation in examine(lambda: case).violations)

    case = shrink(looking.case_of, looking.choices(first.example), fails, shrink_seconds)
    specs = [*(pod.spec for pod in case.pods), *(job.spec.template.spec for job in case.jobs)]
    return {
        "seconds": found_after,
        "invariant": first.name,
        "containers": sum(len(spec.all_containers) for spec in specs),
        "entries": len(examine(lambda: case).journal.entries),
    }


if __name__ == "__main__":
    seed, seconds, shrink_seconds = sys.argv[1:]
    print(json.dumps(hunt(int(seed), float(seconds), float(shrink_seconds))))
