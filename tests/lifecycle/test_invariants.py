"""Random pods, random lives, random deletions: what must hold whatever happens.

Each run is the shipped kubelet, on the heap and now and then under trio; what must hold is stated in
`minikubelet.invariants`, apart from the planner. Hypothesis looks for cases here, `minikubelet fuzz` by seed.
"""

from hypothesis import HealthCheck, given, settings

from minikubelet.fuzz.case import Case
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import Engine, run_on_heap, run_under_trio
from minikubelet.fuzz.generate import case as drawn_case
from minikubelet.invariants.checker import check
from minikubelet.invariants.journal import Journal
from minikubelet.strategies import cases

SEARCH = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def nothing_is_violated(case: Case, engine: Engine) -> Journal:
    journal = engine(case)
    assert not [str(violation) for violation in check(journal)]
    return journal


@settings(SEARCH, max_examples=150)
@given(cases())
def test_invariants_hold_whatever_hypothesis_thinks_of(case):
    nothing_is_violated(case, run_on_heap)


@settings(SEARCH, max_examples=15)
@given(cases())
def test_invariants_hold_under_trio(case):
    nothing_is_violated(case, run_under_trio)


def test_invariants_hold_for_the_first_seeds():
    """And those runs are about something: most have processes, stops and publications."""
    seen = {"started": 0, "signalled": 0, "published": 0, "deletion": 0, "probeEnded": 0, "hookEnded": 0}
    for seed in range(150):
        for entry in nothing_is_violated(drawn_case(SeededDraw(seed)), run_on_heap).entries:
            if entry.what in seen:
                seen[entry.what] += 1

    assert min(seen.values()) > 50
