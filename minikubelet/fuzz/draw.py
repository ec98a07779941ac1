"""Where a case's choices come from: a seed, or hypothesis.

There is one kind of choice, an integer between two others, of which the lower is the simplest. So whatever
is generated can be repeated from the list of its choices, on every machine and in every version of Python,
and made smaller by making them smaller or fewer.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Draw(Protocol):
    def integer(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included; `low` is the simplest."""


class SeededDraw:
    """Draws from a seed, and remembers what."""

    def __init__(self, seed: int) -> None:
        self.choices: list[int] = []
        self._bits = Random(seed).getrandbits

    def integer(self, low: int, high: int) -> int:
        choice = low + (self._bits(32) * (high - low + 1) >> 32)
        self.choices.append(choice)
        return choice


class HypothesisDraw:
    """Draws within a `hypothesis.strategies.composite`, given the function that draws there."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        from hypothesis import strategies

        self._draw = draw
        self._integers = strategies.integers

    def integer(self, low: int, high: int) -> int:
        choice: int = self._draw(self._integers(low, high))
        return choice


def pick(draw: Draw, options: Sequence[T]) -> T:
    """One of them; the first is the simplest."""
    return options[draw.integer(0, len(options) - 1)]


def one_in(draw: Draw, n: int) -> bool:
    """True in one of `n` cases; False is simpler."""
    return draw.integer(0, n - 1) == n - 1


def but_one_in(draw: Draw, n: int) -> bool:
    """False in one of `n` cases, and simpler."""
    return draw.integer(0, n - 1) > 0


def some(draw: Draw, at_least: int, at_most: int, n: int = 2) -> Iterator[int]:
    """0, 1, 2...: each beyond the first ones comes unless it is the one case in `n` that ends it.

    Whoever shrinks can take any of them out together with the choice in front of it.
    """
    for number in range(at_most):
        if number < at_least or but_one_in(draw, n):
            yield number
        else:
            return
