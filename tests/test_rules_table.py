"""docs/RULES.md is true: it is what the code, the tests and the cases cite, and no rule is left out."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import rules_table  # noqa: E402


def test_every_rule_has_an_implementation_and_a_test_or_a_reason_to_have_none():
    assert rules_table.faults() == []


def test_the_table_in_the_repository_is_the_one_that_is_generated():
    """If not: `python scripts/rules_table.py`."""
    generated = rules_table.render(rules_table.rows())

    assert rules_table.TARGET.read_text() == generated


def test_every_rule_that_is_cited_anywhere_exists():
    assert rules_table.unknown() == set()


def test_a_rule_without_a_test_is_a_fault():
    rule = rules_table.Rule("JOB-999", "Something that nobody does.")

    faults = list(rules_table.Row(rule, ["somewhere:something"], [], "").faults())

    assert faults == ["JOB-999 is held by no test: Something that nobody does."]


def test_a_rule_with_a_reason_needs_neither():
    rule = rules_table.rules()["GATE-1"]

    assert list(rules_table.Row(rule, [], [], "").faults()) == []


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("INIT-4, SIDE-20", {"INIT-4", "SIDE-20"}),
        ("RESTART-4..6", {"RESTART-4", "RESTART-5", "RESTART-6"}),
        ("VOL-1..VOL-3", {"VOL-1", "VOL-2", "VOL-3"}),
        ("VALID-21 to VALID-23", {"VALID-21", "VALID-22", "VALID-23"}),
        ("test_SIDE_21_SIDE_22_completion", {"SIDE-21", "SIDE-22"}),
        ("TERM-* and SIGTERM-1, MYJOB-2", set()),
    ],
)
def test_how_rules_are_cited(text, ids):
    """A range is one of each rule in it; a whole group is no citation."""
    assert rules_table.cited(text) == ids
