"""Where a case's choices come from: a seed, or hypothesis.

There is one kind of choice, an integer between two others, of which the lower is the simplest. So whatever
is generated can be repeated from the list of its choices, on every machine and in every version of Python,
and made smaller by making them smaller or fewer.
"""

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

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


def pick(draw: Draw, options: Sequence[T]) -> T:
    """One of them; the first is the simplest."""
    return options[draw.integer(0, len(options) - 1)]


def one_in(draw: Draw, n: int) -> bool:
    """True in one of `n` cases; False is simpler."""
    return draw.integer(0, n - 1) == n - 1
