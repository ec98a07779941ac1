"""The micro-benchmarks work; how long they take is nobody's business here."""

import sys
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.hot_paths import hot_paths  # noqa: E402


def test_each_hot_path_can_be_gone_more_than_once() -> None:
    """As often as a benchmark wants."""
    with ExitStack() as until:
        acts = hot_paths(until)
        for act in (*acts.values(), *acts.values()):
            act()

    assert len(acts) >= 15
