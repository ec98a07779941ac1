"""Choices: in range, recorded, repeatable, the lowest simplest."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.fuzz.draw import HypothesisDraw, SeededDraw, but_one_in, one_in, pick, some
from minikubelet.fuzz.shrink import ReplayDraw


@given(st.integers(0, 2**64), st.integers(-5, 5), st.integers(0, 2**40))
def test_a_choice_is_in_its_range_and_recorded(seed, low, width):
    draw = SeededDraw(seed)
    choice = draw.integer(low, low + width)

    assert low <= choice <= low + width
    assert draw.choices == [choice]


def test_a_seed_gives_these_choices_on_every_machine():
    draw = SeededDraw(12345)

    assert [draw.integer(0, 99) for _ in range(8)] == EXPECTED


EXPECTED = [41, 73, 1, 82, 82, 80, 29, 85]


def test_all_of_a_range_is_drawn_equally_often():
    draw = SeededDraw(1)
    counts = Counter(draw.integer(3, 7) for _ in range(10_000))

    assert counts.keys() == {3, 4, 5, 6, 7}
    assert max(counts.values()) < 1.15 * min(counts.values())


def test_the_simplest_choices_are_no_and_the_first_and_as_few_as_may_be():
    simplest = ReplayDraw([])

    assert not one_in(simplest, 2)
    assert not but_one_in(simplest, 2)
    assert pick(simplest, "abc") == "a"
    assert list(some(simplest, 1, 3)) == [0]


@pytest.mark.parametrize(("at_least", "at_most"), [(0, 0), (0, 3), (1, 1), (2, 5)])
def test_some_are_as_many_as_wanted(at_least, at_most):
    draw = SeededDraw(2)
    counts = {len(list(some(draw, at_least, at_most))) for _ in range(500)}

    assert counts == set(range(at_least, at_most + 1))


def test_one_in_four_is_that_and_but_one_in_four_the_rest():
    draw = SeededDraw(3)
    once, mostly = (sum(what(draw, 4) for _ in range(4000)) for what in (one_in, but_one_in))

    assert 900 < once < 1100
    assert 2900 < mostly < 3100


def test_choices_out_of_range_become_the_simplest():
    draw = ReplayDraw([7, 1])

    assert [draw.integer(0, 5), draw.integer(0, 5), draw.integer(2, 3)] == [0, 1, 2]


@given(st.data())
def test_hypothesis_makes_each_choice_with_one_draw(data):
    """So recorded choices are what its database holds."""
    drawn = []

    def draw(strategy):
        drawn.append(data.draw(strategy))
        return drawn[-1]

    choice = HypothesisDraw(draw).integer(2, 9)

    assert [choice] == drawn
    assert 2 <= choice <= 9
