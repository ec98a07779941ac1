"""`frozen`, `evolve` and `derived`: values as attrs makes them, only cheaper."""

import attrs
import pytest

from minikubelet.api.values import Factory, derived, evolve, field, frozen


@frozen
class Point:
    x: int
    y: int = 0
    note: str = field(default="", eq=False, repr=False)

    @derived
    def norm(self) -> int:
        return self.x**2 + self.y**2


@frozen
class Other:
    x: int
    y: int = 0


def test_values_are_compared_and_hashed_by_the_fields_that_count():
    assert Point(1, 2, "a") == Point(1, 2, "b")
    assert hash(Point(1, 2, "a")) == hash(Point(1, 2, "b"))
    assert Point(1, 2) != Point(1, 3)


def test_values_of_different_classes_are_never_equal():
    assert Point(1, 2) != Other(1, 2)


def test_what_was_derived_is_no_part_of_the_value():
    read, unread = Point(1, 2), Point(1, 2)
    assert read.norm == 5

    assert read == unread


def test_a_value_shows_the_fields_that_are_worth_it():
    assert repr(Point(1, 2, "a")) == "Point(x=1, y=2)"


def test_a_value_does_not_change():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Point(1).x = 2


def test_evolve_changes_a_copy_and_derives_anew():
    before = Point(1, 2, "a")
    assert before.norm == 5

    after = evolve(before, x=3)

    assert (after, after.note, after.norm) == (Point(3, 2), "a", 13)
    assert (before, before.norm) == (Point(1, 2), 5)


def test_defaults_are_made_for_each_value_and_what_is_missing_or_too_much_is_refused():
    @frozen
    class Bag:
        items: dict[str, int] = Factory(dict)
        note: str = field(default="")

    assert (Bag({"a": 1}, note="n"), Bag().items, Bag().note) == (Bag({"a": 1}, note="n"), {}, "")
    assert Bag().items is not Bag().items
    for wrong in (lambda: Bag({}, "n", 1), lambda: Bag(other=1), lambda: Other()):
        with pytest.raises(TypeError):
            wrong()


def test_a_value_that_was_made_elsewhere_is_one_like_any_other():
    """A class finds out about its fields with its first value, or when one comes out of a pickle."""

    @frozen
    class Fresh:
        x: int
        note: str = field(default="", eq=False, repr=False)

    class Kind(Fresh):
        pass

    one, two = (Kind.__new__(Kind) for _ in range(2))
    one.__dict__.update(x=1, note="a")
    two.__dict__.update(x=1, note="b")

    assert (one, hash(one), repr(one)) == (two, hash(two), repr(two))
    assert evolve(one, x=2) != one
    assert Kind(1) == one
    match one:
        case Fresh(x, note):
            assert (x, note) == (1, "a")
