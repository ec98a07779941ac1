"""docs/FAULTS.md is true: what it says of each fault is shown by a test that exists."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import faults_table  # noqa: E402


def test_every_row_names_tests_that_exist():
    assert faults_table.faults() == []


def test_every_test_of_faults_has_its_row():
    """Else a behaviour would be tested that nobody can look up."""
    text = faults_table.TARGET.read_text()
    tests = [
        f"faults/{path.stem}:{line.removeprefix('async ').removeprefix('def ').partition('(')[0]}"
        for path in sorted((ROOT / "tests" / "faults").glob("test_*.py"))
        for line in path.read_text().splitlines()
        if line.startswith("def test_")
    ]

    assert tests
    assert [test for test in tests if f"`{test}`" not in text] == []
