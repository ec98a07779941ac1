"""Change the pure core in small ways, one at a time, and see whether the tests notice (mutmut does the work).

    pip install -e '.[dev,mutation]'
    python -m benchmarks.mutation [--sample N] [--seed S] [-j N] [--in DIR] [MODULE ...]

MODULE is a name like `record` from `only_mutate` in pyproject.toml, all of them unless told. Everything
happens in a copy of the tree. With `--in` the copy stays: run again, only what survived or was not reached
is tried (again). Prints the table of docs/MUTATION.md, and what each surviving mutant had changed.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns

ROOT = Path(__file__).parents[1]
NEEDED = ("minikubelet", "tests", "docs", "pyproject.toml", "README.md")
MUTMUT = [str(Path(sys.executable).with_name("mutmut"))]
MEMORY = 3 << 30
"Bytes; a mutant that plans for ever writes a journal of it."
OPEN = ("not checked", "survived")
"To be tried, or tried again with other tests."


def copy_tree(to: Path) -> None:
    for name in NEEDED:
        if (ROOT / name).is_dir():
            copytree(ROOT / name, to / name, dirs_exist_ok=True, ignore=ignore_patterns("__pycache__"))
        else:
            copy2(ROOT / name, to / name)


def run_mutants(directory: Path, names: Sequence[str], jobs: int) -> None:
    subprocess.run(
        [*MUTMUT, "run", "--max-children", str(jobs), *names], cwd=directory, check=True, stdout=sys.stderr
    )


def results(directory: Path) -> dict[str, str]:
    """From the name of each mutant to what became of it, in mutmut's words."""
    told = subprocess.run(
        [*MUTMUT, "results", "--all", "true"], cwd=directory, check=True, capture_output=True, text=True
    )
    pairs = (line.strip().rsplit(": ", 1) for line in told.stdout.splitlines() if "__mutmut_" in line)
    return dict(pairs)


def module_of(name: str) -> str:
    return name.split(".")[2]


def table(tried: dict[str, str], known: dict[str, str]) -> str:
    """Mutants in all and tried, and what became of these; whatever did not survive was detected."""
    of_all = Counter(map(module_of, known))
    rows = [
        "| module | mutants | tried | killed | timeout | survived | score |\n" + "| --- |" + " ---: |" * 6
    ]
    for module in [*of_all, "all"]:
        fates = Counter(s for name, s in tried.items() if module in (module_of(name), "all"))
        count, survived = fates.total(), fates["survived"] + fates["no tests"]
        if count:
            score = f"{(count - survived) / count:.1%}"
            killed = count - survived - fates["timeout"]
            all_of = len(known) if module == "all" else of_all[module]
            rows.append(
                f"| {module} | {all_of} | {count} | {killed} | {fates['timeout']} | {survived} | {score} |"
            )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation")
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--sample", type=int, metavar="N", help="try only so many, drawn at random")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the sample; a larger one has the smaller in it"
    )
    parser.add_argument("-j", dest="jobs", type=int, default=2)
    parser.add_argument("--in", dest="directory", type=Path, metavar="DIR")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory(prefix="mutation-") as temporary:
        directory = given.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        copy_tree(directory)
        run_mutants(directory, ["minikubelet.lifecycle.probes.*"], given.jobs)  # all get their names by it
        known = {
            n: s for n, s in results(directory).items() if module_of(n) in given.modules or not given.modules
        }
        drawn = sorted(known)
        random.Random(given.seed).shuffle(drawn)
        drawn = drawn[: given.sample]
        wanted = [name for name in drawn if known[name] in OPEN]
        if wanted:
            run_mutants(directory, wanted, given.jobs)
        now = results(directory)
        tried = {name: now[name] for name in drawn}
        print(table(tried, known))
        for name in sorted(n for n, status in tried.items() if status in ("survived", "no tests")):
            subprocess.run([*MUTMUT, "show", name], cwd=directory, check=True)


if __name__ == "__main__":
    main()
