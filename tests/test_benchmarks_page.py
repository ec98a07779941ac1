"""benchmarks/BENCHMARKS.md says what the last runs came to, and every miss has a reason beside it."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import benchmarks_page  # noqa: E402


def test_the_figures_in_the_repository_are_those_that_were_measured() -> None:
    """If not: `python scripts/benchmarks_page.py`."""
    assert benchmarks_page.render(benchmarks_page.TARGET.read_text()) == benchmarks_page.TARGET.read_text()


def test_every_miss_says_what_bounds_it() -> None:
    """In benchmarks/misses.yaml."""
    bench, _, misses = benchmarks_page.read()

    assert benchmarks_page.faults(bench, misses) == []


def test_a_miss_without_a_word_is_a_fault() -> None:
    bench = {"targets": [{"metric": "cold", "verdict": "missed"}, {"metric": "init", "verdict": "hit"}]}

    assert benchmarks_page.faults(bench, {}) == ["cold was missed, and misses.yaml has no word on it"]
    assert benchmarks_page.faults(bench, {"cold": "...", "warm": "..."}) == ["warm is no metric"]
