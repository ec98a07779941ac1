"""Writes the last table of docs/WAYS.md: which black-box cases need what.

    python scripts/ways_table.py [--check]

The rest of the document is written by hand; the table is what the cases themselves say (`needs:`).
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "WAYS.md"
HEAD = "| needs | cases |\n| --- | --- |\n"
CONFORMANCE = ROOT / "tests" / "conformance"

sys.path.insert(0, str(CONFORMANCE))

import harness  # noqa: E402


def rows() -> str:
    """A row for each set of needs, with the names of its cases."""
    groups: dict[str, list[str]] = {}
    for case in harness.load(sorted((CONFORMANCE / "cases").glob("*.yaml"))):
        if case.get("needs"):
            needs = " and ".join(harness.NEEDS[need] for need in harness.listed(case["needs"]))
            groups.setdefault(needs, []).append(case["name"])
    return "".join(f"| {needs} | {', '.join(sorted(names))} |\n" for needs, names in sorted(groups.items()))


def render() -> str:
    """The whole document with the table as it has to be."""
    before, head, _ = TARGET.read_text().partition(HEAD)
    if not head:
        raise SystemExit(f"{TARGET.relative_to(ROOT)} has lost the head of the table")
    return before + head + rows()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    given = parser.parse_args()
    text = render()
    if not given.check:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() == text:
        return 0
    print(f"{TARGET.relative_to(ROOT)} is out of date: run scripts/ways_table.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
