"""Two ways to let a case's time pass: a heap of callbacks, and trio under its MockClock.

Both drive the shipped kubelet over the same simulated processes and give the same journal. The heap is the
fast one; the other one also shows that the shell around the workers (its alarms, wake-ups and
cancellation) does what the heap does by construction.
"""

import random
from collections.abc import Callable
from functools import partial
from itertools import cycle
from math import inf

from minikubelet.api.pod import Pod
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

LookOn = Callable[["World"], None]
"""Shown the world before it begins: somebody who wants to observe it, or to have it whatever happens."""


class World:
    """A case and the kubelet that lives it."""

    def __init__(self, case: Case, kubelet: Kubelet, journal: Journal) -> None:
        self.case = case
        self.kubelet = kubelet
        self.journal = journal

    def begin(self) -> None:
        for pod in self.case.pods:
            self.kubelet.add_pod(pod)
        for job in self.case.jobs:
            self.kubelet.add_job(job)

    def do(self, request: Request) -> None:
        """Ask the kubelet for something; nothing comes of it when there is no such thing (any more)."""
        kubelet = self.kubelet
        match request.what:
            case "delete" if not request.key:
                kubelet.delete_all(request.grace_seconds)
            case "delete" if any(job.key == request.key for job in self.case.jobs):
                try:
                    if request.number is None:
                        kubelet.delete_job(request.key, request.grace_seconds)
                    else:
                        pods = [pod for pod in kubelet.pods() if _is_of(pod, request.key)]
                        kubelet.delete_pod(pods[request.number].key, request.grace_seconds)
                except LookupError:
                    pass
            case "delete":
                kubelet.delete_pod(request.key, request.grace_seconds)
            case "create":
                pod = next(pod for pod in self.case.pods if pod.key == request.key)
                try:
                    kubelet.add_pod(pod)
                except ValueError:
                    pass
            case "gate":
                kubelet.set_readiness_gate(request.key, request.condition_type, request.status)


def _is_of(pod: Pod, job_key: str) -> bool:
    metadata = pod.metadata
    return any(f"{metadata.namespace}/{owner.name}" == job_key for owner in metadata.owner_references)


class SimulatedWorld(World):
    """One in virtual time, which `scheduler` passes. Without `is_journaled` nothing of it is written down."""

    def __init__(
        self,
        case: Case,
        make_scheduler: type[HeapScheduler],
        output: Output | None = None,
        *,
        is_journaled: bool = True,
    ) -> None:
        priorities = cycle(case.priorities or (0,))
        self.scheduler = make_scheduler(lambda: next(priorities))
        self.runtime = SimulatedRuntime(
            case.scripts,
            scheduler=self.scheduler,
            prepare_failures=case.prepare_failures,
            heals_at=case.heals_at,
            output=output,
        )
        journal = Journal()
        kubelet = Kubelet(
            journaled(self.runtime, journal) if is_journaled else self.runtime,
            case.settings,
            epoch=EPOCH,
            random=random.Random(case.names),
        )
        if is_journaled:
            journal.follow(kubelet)
        super().__init__(case, kubelet, journal)

    def begin(self) -> None:
        super().begin()
        for request in self.case.requests:
            self.scheduler.call_at(request.at, partial(self.do, request))
        self.scheduler.call_at(self.case.ends_at, self.kubelet.delete_all)

    @property
    def given_up_at(self) -> float:
        return self.case.ends_at + PATIENCE


def run_on_heap(case: Case, output: Output | None = None, look_on: LookOn | None = None) -> Journal:
    world = SimulatedWorld(case, HeapScheduler, output)
    if look_on is not None:
        look_on(world)
    live_on_heap(world)
    world.journal.close()
    return world.journal


def live_on_heap(world: SimulatedWorld) -> None:
    """From the beginning of the world until everything in it has ended, or it is given up."""
    kubelet, scheduler = world.kubelet, world.scheduler
    world.begin()
    kubelet.settle()
    while not kubelet.is_finished:
        alarm = kubelet.next_alarm()
        instant = min(scheduler.due_at(), alarm)
        if instant == inf or instant > world.given_up_at:
            break
        scheduler.run_until(instant, kubelet.settle)
        if instant == alarm:
            kubelet.settle()
    scheduler.clear()


def run_under_trio(case: Case, output: Output | None = None, look_on: LookOn | None = None) -> Journal:
    import trio
    from trio.testing import MockClock

    async def main() -> Journal:
        world = SimulatedWorld(case, TrioScheduler, output)
        if look_on is not None:
            look_on(world)
        world.begin()
        with trio.move_on_at(world.given_up_at):
            await world.kubelet.run()
        world.journal.close()
        return world.journal

    return trio.run(main, clock=MockClock(autojump_threshold=0))
