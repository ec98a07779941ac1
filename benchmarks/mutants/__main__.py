"""Put each fault into a copy of the package and let the fuzzer look for it.

    python -m benchmarks.mutants [--seeds N] [--time S] [--write FILE] [NAME ...]

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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--time", type=float, default=60)
    parser.add_argument("--shrink", type=float, default=20, metavar="S", help="seconds for making it small")
    parser.add_argument("--write")
    given = parser.parse_args()
    chosen = [fault for fault in faults() if not given.names or fault.name in given.names]
    rows, times, missed = [], [], 0
    for fault in chosen:
        outcomes = [search(fault, seed, given.time, given.shrink) for seed in range(1, given.seeds + 1)]
        found = [outcome for outcome in outcomes if outcome.seconds is not None]
        missed += len(found) < len(outcomes)
        last = min(found, key=lambda outcome: outcome.containers, default=Outcome(None))
        times += [outcome.seconds for outcome in found if outcome.seconds is not None]
        took = median(outcome.seconds or given.time for outcome in outcomes)
        when = f"{took:.1f} s" if len(found) == len(outcomes) else f"{len(found)} of {len(outcomes)}"
        print(f"{fault.name:45} {when:>8}  {last.invariant} ({last.containers}, {last.entries})", flush=True)
        rows.append(
            f"| {fault.name} | {fault.what} | {when} | {last.invariant} | {last.containers} "
            f"| {last.entries} | {fault.after} |\n"
        )
    found_all = len(chosen) - missed
    print(f"{found_all} of {len(chosen)} found, the slowest after {max(times, default=0):.1f} s")
    if given.write:
        head = HEAD.format(
            seeds=given.seeds, found=found_all, all=len(chosen), slowest=max(times, default=0.0)
        )
        Path(given.write).write_text(head + "".join(rows))
    return missed


if __name__ == "__main__":
    sys.exit(main())
