"""Two ways to let a case's time pass: a heap of callbacks, and trio under its MockClock.

Both drive the shipped kubelet over the same simulated processes and give the same journal. The heap is the
fast one; the other one also shows that the shell around the workers (its alarms, wake-ups and
cancellation) does what the heap does by construction.
"""

import random
from collections.abc import Callable
from itertools import cycle
from math import inf

from minikubelet.fuzz.case import Case, Request
from minikubelet.invariants.journal import Journal, journaled
from minikubelet.kubelet.kubelet import Kubelet
from minikubelet.runtime.base import Output
from minikubelet.runtime.simulated import HeapScheduler, SimulatedRuntime, TrioScheduler

EPOCH = 1_700_000_000.0
"Wall seconds at the beginning of every world."

PATIENCE = 100_000.0
"Seconds after `ends_at` until a world that has not ended is given up."

Engine = Callable[[Case], Journal]


class World:
    """A case, set up and ready to begin. `scheduler` passes its time."""

    def __init__(self, case: Case, make_scheduler: type[HeapScheduler], output: Output | None) -> None:
        self.case = case
        priorities = cycle(case.priorities or (0,))
        self.scheduler = make_scheduler(lambda: next(priorities))
        self.runtime = SimulatedRuntime(
            case.scripts,
            scheduler=self.scheduler,
            prepare_failures=case.prepare_failures,
            heals_at=case.heals_at,
            output=output,
        )
        self.journal = Journal()
        self.kubelet = Kubelet(
            journaled(self.runtime, self.journal),
            case.settings,
            epoch=EPOCH,
            random=random.Random(case.names),
        )
        self.journal.follow(self.kubelet)

    def begin(self) -> None:
        for pod in self.case.pods:
            self.kubelet.add_pod(pod)
        for job in self.case.jobs:
            self.kubelet.add_job(job)
        for request in self.case.requests:
            self.scheduler.call_at(request.at, lambda request=request: self.do(request))  # type: ignore[misc]
        self.scheduler.call_at(self.case.ends_at, self.kubelet.delete_all)

    def do(self, request: Request) -> None:
        """Ask the kubelet for something; nothing comes of it when there is no such thing (any more)."""
        kubelet = self.kubelet
        match request.what:
            case "delete" if not request.key:
                kubelet.delete_all(request.grace_seconds)
            case "delete" if any(job.key == request.key for job in self.case.jobs):
                try:
                    kubelet.delete_job(request.key, request.grace_seconds)
                except KeyError:
                    pass
            case "delete":
                kubelet.delete_pod(request.key, request.grace_seconds)
            case "gate":
                kubelet.set_readiness_gate(request.key, request.condition_type, request.status)

    @property
    def given_up_at(self) -> float:
        return self.case.ends_at + PATIENCE


def run_on_heap(case: Case, output: Output | None = None) -> Journal:
    world = World(case, HeapScheduler, output)
    kubelet, scheduler = world.kubelet, world.scheduler
    world.begin()
    kubelet.settle()
    while not kubelet.is_finished:
        instant = min(scheduler.due_at(), kubelet.next_alarm())
        if instant == inf or instant > world.given_up_at:
            break
        scheduler.run_until(instant, kubelet.settle)
        kubelet.settle()
    world.journal.close()
    return world.journal


def run_under_trio(case: Case, output: Output | None = None) -> Journal:
    import trio
    from trio.testing import MockClock

    async def main() -> Journal:
        world = World(case, TrioScheduler, output)
        world.begin()
        with trio.move_on_at(world.given_up_at):
            await world.kubelet.run()
        world.journal.close()
        return world.journal

    return trio.run(main, clock=MockClock(autojump_threshold=0))
