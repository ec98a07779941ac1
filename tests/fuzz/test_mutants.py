"""The faults that the fuzzer has to find are faults of the lifecycle as it is, and it finds them."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.mutants.__main__ import search  # noqa: E402
from benchmarks.mutants.faults import PACKAGE, Fault, faults  # noqa: E402

FAULTS = faults()


def test_there_are_enough_of_them():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 40
    assert sum(bool(fault.after) for fault in FAULTS) >= 20, "re-creations of what has really been"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_a_change_of_the_lifecycle_as_it_is(fault: Fault) -> None:
    """If not: the text that it replaces has changed, so has the fault to."""
    texts: dict[str, str] = {}
    for patch in fault.patches:
        text = texts.get(patch.file) or (PACKAGE / patch.file).read_text()
        assert text.count(patch.old) == 1, patch.old
        texts[patch.file] = text.replace(patch.old, patch.new)
        assert texts[patch.file] != text
    for text in texts.values():
        ast.parse(text)


@pytest.mark.parametrize(
    ("name", "by"),
    [("killed-without-being-asked", "stop-signal-then-sigkill"), ("two-of-them-alive", "")],
)
def test_a_fault_is_found_in_a_copy(name: str, by: str) -> None:
    """All of them: `python -m benchmarks.mutants`."""
    (fault,) = (fault for fault in FAULTS if fault.name == name)

    outcome = search(fault, seed=1, seconds=60, shrink=0)

    assert outcome.seconds is not None
    assert by in outcome.invariant
