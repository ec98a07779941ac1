"""A kubelet on a machine that takes time for everything and at times stands still: that violates nothing.

The worlds of the fuzzer, on a clock that runs on whenever somebody looks at it, sometimes by a lot. Alarms
ring late, and what has happened meanwhile is reported all at once. So what is one instant in virtual time (a
turn, the ends of two waits, an exit and the end of a limit) falls apart, and what is not becomes one, as it
does on a machine; the invariants may not take that for more than it is.
"""

import heapq
import random
from collections.abc import Callable
from functools import partial

import pytest

from minikubelet.fuzz import generate
from minikubelet.fuzz.case import Case
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import EPOCH, World
from minikubelet.fuzz.real import shortened
from minikubelet.fuzz.search import mix
from minikubelet.invariants.checker import check
from minikubelet.invariants.journal import HEARTBEAT, Journal
from minikubelet.invariants.watch import watched
from minikubelet.kubelet.kubelet import Kubelet
from minikubelet.runtime.base import Cancel
from minikubelet.runtime.simulated import HeapScheduler, SimulatedRuntime

SEED = 3
"Example 238 has a run that is as long as the limit of BACKOFF-5."

STALL = 1.0
"Seconds that the machine stands still, at most."

BETWEEN_STALLS = 3.0
"Seconds at least, so that nothing is delayed by two of them."


class RunningClock(HeapScheduler):
    """It costs time to look at it, once in a thousand times very much, and more often while nobody does."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self._stood_still_at = 0.0

    def now(self) -> float:
        self._pass(0.001, stalls=0.001)
        return self._now

    def call_at(self, instant: float, callback: Callable[[], None]) -> Cancel:
        return super().call_at(instant + self.random.choice((0.0, 0.0001, 0.001, 0.02)), callback)

    def wait_until(self, instant: float) -> None:
        self._now = max(self._now, instant)
        self._pass(0.005, stalls=0.1)

    def call_next(self) -> bool:
        """Of those that are due; whether there was one."""
        if self.due_at() > self._now:
            return False
        heapq.heappop(self._heap)[3]()
        return True

    def _pass(self, mean: float, stalls: float) -> None:
        self._now += self.random.expovariate(1 / mean)
        if self.random.random() < stalls and self._now > self._stood_still_at + BETWEEN_STALLS:
            self._now += self.random.uniform(0, STALL)
            self._stood_still_at = self._now


def lived_in_real_time(case: Case, seed: int) -> Journal:
    """Its journal measures how late everything is, as that of a real run does."""
    clock = RunningClock(seed)
    journal, runtime = watched(
        SimulatedRuntime(
            case.scripts,
            scheduler=clock,
            prepare_failures=case.prepare_failures,
            heals_at=case.heals_at,
        )
    )
    kubelet = Kubelet(runtime, case.settings, epoch=EPOCH + 0.37, random=random.Random(case.names))
    journal.follow(kubelet)
    world = World(case, kubelet, journal)

    def beat() -> None:
        journal.beat()
        clock.call_at(clock.now() + HEARTBEAT, beat)

    world.begin()
    for request in case.requests:
        clock.call_at(request.at, partial(world.do, request))
    clock.call_at(case.ends_at, kubelet.delete_all)
    kubelet.settle()
    beat()
    while not kubelet.is_finished:
        clock.wait_until(min(clock.due_at(), kubelet.next_alarm()))
        if clock.random.random() < 0.1:  # an alarm rings before it is known what has happened until then
            kubelet.settle()
        one_by_one = clock.random.random() < 0.5
        while clock.call_next():
            if one_by_one:
                kubelet.settle()
        kubelet.settle()
    journal.close()
    return journal


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_what_takes_time_violates_nothing(first):
    """Every other one in the few seconds that real processes are given, where more comes together."""
    for example in range(first, first + 100):
        case = generate.case(SeededDraw(mix(SEED, example)))
        journal = lived_in_real_time(shortened(case) if example % 2 else case, mix(SEED, example))

        assert check(journal) == [], f"example {example}"
