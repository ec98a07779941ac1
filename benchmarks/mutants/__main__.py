"""Put each fault into a copy of the package and let the fuzzer look for it.

    python -m benchmarks.mutants [--seeds N] [--time S] [-j N] [--write FILE] [NAME ...]

One process searches, so `S` (60 unless told) are seconds of one core. Prints a line for each fault: when it
was found, by which invariant first, and how small its pod became; then how many were not found, which is
the exit code, too. `--write` makes the table of docs/MUTANTS.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import attrs

from benchmarks.mutants.faults import Fault, faults

HEAD = """\
# Deliberate faults, and how soon the fuzzer finds them

Each row is a small fault that `python -m benchmarks.mutants` puts into a copy of the package
(`benchmarks/mutants/faults.yaml` has the patches). *Found* is the median time from the beginning of the
search to its first violation, over {seeds} seeds, with one process; *by* the invariant (docs/INVARIANTS.md)
that was broken first; *pod* how many containers are left after shrinking, and *entries* how many things
happen in the journal of that smallest case. *After* names where such a fault has really been.

Made by `python -m benchmarks.mutants --seeds {seeds} --write docs/MUTANTS.md`; {found} of {all} were found,
the slowest after {slowest:.1f} s.

| fault | what it does | found | by | pod | entries | after |
| --- | --- | ---: | --- | ---: | ---: | --- |
"""


@attrs.frozen
class Outcome:
    """What came of one search."""

    seconds: float | None
    "None: not found."
    invariant: str = ""
    containers: int = 0
    entries: int = 0


def search(fault: Fault, seed: int, seconds: float, shrink: float) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        copy = fault.make_copy(Path(directory))
        paths = os.pathsep.join([str(copy), str(Path(__file__).parents[2])])
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.mutants.hunt", str(seed), str(seconds), str(shrink)],
            env={**os.environ, "PYTHONPATH": paths},
            cwd=directory,
            stdout=subprocess.PIPE,
            check=True,
        )
    return Outcome(**json.loads(done.stdout))


@attrs.frozen
class Row:
    """What came of all searches for one fault."""

    fault: Fault
    outcomes: tuple[Outcome, ...]

    @property
    def times(self) -> list[float]:
        return [outcome.seconds for outcome in self.outcomes if outcome.seconds is not None]

    @property
    def is_found(self) -> bool:
        return len(self.times) == len(self.outcomes)

    @property
    def when(self) -> str:
        return (
            f"{median(self.times):.1f} s" if self.is_found else f"{len(self.times)} of {len(self.outcomes)}"
        )

    def __str__(self) -> str:
        first = self.outcomes[0]
        return (
            f"| {self.fault.name} | {self.fault.what} | {self.when} | {first.invariant} "
            f"| {first.containers} | {first.entries} | {self.fault.after} |"
        )


def examine(fault: Fault, seeds: int, seconds: float, shrink: float) -> Row:
    """What the first seed finds is made small."""
    row = Row(
        fault,
        tuple(search(fault, seed, seconds, 0 if seed > 1 else shrink) for seed in range(1, seeds + 1)),
    )
    first = row.outcomes[0]
    print(
        f"{fault.name:45} {row.when:>8}  {first.invariant} ({first.containers}, {first.entries})", flush=True
    )
    return row


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a fault in faults.yaml; default: all")
    seeds = "searches for each fault, with seeds of their own; default: 1"
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help=seeds)
    parser.add_argument("--time", type=float, default=60, metavar="S", help="seconds of each; default: 60")
    small = "seconds for making it small; default: 20"
    parser.add_argument("--shrink", type=float, default=20, metavar="S", help=small)
    parser.add_argument("-j", type=int, default=1, dest="jobs", metavar="N", help="searches side by side")
    parser.add_argument("--write", metavar="FILE", help="make the table of docs/MUTANTS.md there")
    given = parser.parse_args()
    chosen = [fault for fault in faults() if not given.names or fault.name in given.names]
    with ThreadPoolExecutor(given.jobs) as pool:
        rows = list(pool.map(lambda fault: examine(fault, given.seeds, given.time, given.shrink), chosen))
    found = sum(row.is_found for row in rows)
    slowest = max((max(row.times, default=0.0) for row in rows), default=0.0)
    print(f"{found} of {len(chosen)} found, the slowest after {slowest:.1f} s")
    if given.write:
        head = HEAD.format(seeds=given.seeds, found=found, all=len(chosen), slowest=slowest)
        Path(given.write).write_text(head + "".join(f"{row}\n" for row in rows))
    return len(chosen) - found


if __name__ == "__main__":
    sys.exit(main())
