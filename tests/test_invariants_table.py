"""docs/INVARIANTS.md is true: it is what the invariants say of themselves, and they cite rules that exist."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import invariants_table  # noqa: E402
import rules_table  # noqa: E402

from minikubelet.invariants.table import all_invariants  # noqa: E402


def test_the_table_in_the_repository_is_the_one_that_is_generated():
    """If not: `python scripts/invariants_table.py`."""
    assert invariants_table.TARGET.read_text() == "\n".join(invariants_table.lines())


def test_every_rule_that_an_invariant_cites_exists():
    taught = {f"I{number}" for number in range(1, 11)}
    cited = {rule for one in all_invariants() for rule in one.rules.split()}

    assert cited - taught - rules_table.rules().keys() == set()


def test_everything_that_bugs_of_others_have_taught_is_an_invariant():
    """I1 to I10."""
    cited = {rule for one in all_invariants() for rule in one.rules.split()}

    assert {f"I{number}" for number in range(1, 11)} - cited == set()


def test_names_are_unique_and_sentences_are_sentences():
    invariants = all_invariants()

    assert len({one.name for one in invariants}) == len(invariants)
    assert [one.name for one in invariants if not one.sentence.endswith(".")] == []
