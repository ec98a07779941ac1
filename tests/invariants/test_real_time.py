"""A kubelet that takes time for what it does, as every real one: nothing of that is a violation.

The worlds of the fuzzer, on a clock that runs on whenever somebody looks at it, sometimes by a lot. So what
is one instant in virtual time (a turn, the ends of two waits, an exit and the end of a limit) falls apart as
it does on a machine, and the invariants may not take that for more than it is.
"""

import random

import pytest

from minikubelet.fuzz import generate
from minikubelet.fuzz.case import Case
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import SimulatedWorld, live_on_heap
from minikubelet.fuzz.search import mix
from minikubelet.invariants.checker import check
from minikubelet.invariants.journal import Journal
from minikubelet.invariants.watch import TOLERANCE
from minikubelet.runtime.simulated import HeapScheduler

LOOK = 0.001
"Seconds that a look at the clock costs on average."

STALL = 0.4
"Seconds at most; what falls into one turn has to stay within the tolerance."


class RunningClock(HeapScheduler):
    """It costs time to look at it, once in a thousand times very much."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.random = random.Random(1)

    def now(self) -> float:
        look = self.random.expovariate(1 / LOOK)
        if self.random.random() < 0.001:
            look += self.random.uniform(0, STALL)
        self._now += look
        return self._now


def lived_in_real_time(case: Case) -> Journal:
    world = SimulatedWorld(case, RunningClock)
    world.journal.tolerance = TOLERANCE
    live_on_heap(world)
    world.journal.close()
    return world.journal


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_what_takes_time_violates_nothing(first):
    """Example 163 has runs as long as the limit of BACKOFF-5."""
    for example in range(first, first + 100):
        case = generate.case(SeededDraw(mix(1, example)))

        assert check(lived_in_real_time(case)) == [], f"example {example}"
