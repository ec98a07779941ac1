"""Checks docs/FAULTS.md: every test that it names exists, and every row names one.

    python scripts/faults_table.py

The table is written by hand; a test is named as FILE:FUNCTION below tests/, without `.py`.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "FAULTS.md"

NAMED = re.compile(r"`([\w/]+):(test_\w+)`")


def rows() -> list[list[str]]:
    """The cells of every row of every table, without heads."""
    lines = [line for line in TARGET.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [
        row
        for row, below in zip(cells, [*cells[1:], [""]], strict=True)
        if not is_rule(row) and not is_rule(below)
    ]


def is_rule(row: list[str]) -> bool:
    return set("".join(row)) == {"-"}


def faults() -> list[str]:
    """What is wrong with the document, a sentence each."""
    found = []
    for row in rows():
        if len(row) != 3 or not NAMED.search(row[-1]):
            found.append(f"{row[0]}: no test shows it")
        for file, function in NAMED.findall(row[-1]):
            path = ROOT / "tests" / f"{file}.py"
            if not path.exists() or f"def {function}(" not in path.read_text():
                found.append(f"{row[0]}: there is no test {file}:{function}")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(faults()) or None)
