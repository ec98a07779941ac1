"""What fuzzing has found in the lifecycle stays mended: each replay that was kept, run again."""

from pathlib import Path

import pytest

from minikubelet.fuzz.replay import load
from minikubelet.fuzz.search import examine

REPLAYS = sorted((Path(__file__).parent / "replays").glob("*.yaml"))


def test_there_are_replays():
    assert REPLAYS


@pytest.mark.parametrize("path", REPLAYS, ids=lambda path: path.stem)
def test_what_was_violated_holds(path):
    replay = load(str(path))
    assert replay.violated is not None

    examined = examine(lambda: replay.case, engine="real" if replay.real else "both")

    assert examined.journal.entries
    assert list(examined.violations) == []
