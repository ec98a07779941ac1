"""What no other process has a part in: decisions, simulated lives, and what a spawn of ours costs.

    python -m minikubelet.bench.pure core CONTAINERS [SECONDS]   decisions a second
    python -m minikubelet.bench.pure heap [WORLDS]               lifecycles a second, on the event heap
    python -m minikubelet.bench.pure trio [WORLDS]               the same under trio's MockClock
    python -m minikubelet.bench.pure simulation [WORLDS]         the same in a search
    python -m minikubelet.bench.pure spawn PROGRAM [TIMES]       microseconds for a process, made and reaped

A decision is what one fact costs: observe it, plan until nothing is due, bring the conditions up to date.
The facts are the answers of probes in pods that are up. A pod's share of a busy node is the product: 10,000
pods of three containers, each probed twice in 10 s, need 12,000 decisions a second (an answer is one,
asking is another). A lifecycle is that of one pod of a drawn world, from its acceptance to its removal. On
the heap it is lived and no more; under trio it is written down besides; `minikubelet fuzz` has it drawn,
lived, written down and checked. All these are rates of processor time, so that a busy machine matters less.
"""

import gc
import os
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from typing import TYPE_CHECKING

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Pod, PodSpec, Probe
from minikubelet.lifecycle.actions import PreparePod, StartContainer
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.conditions import with_transitions
from minikubelet.lifecycle.facts import ContainerStarted, PodPrepared, ProbeAnswered
from minikubelet.lifecycle.plan import plan
from minikubelet.lifecycle.record import PodRecord, new_record, take_in
from minikubelet.lifecycle.settings import LifecycleSettings

if TYPE_CHECKING:
    from minikubelet.fuzz.case import Case
    from minikubelet.invariants.journal import Journal

SEED = 1

BATCH = 100
"Decisions between two looks at the clock, each of which is a system call."


def decide(record: PodRecord, now: float) -> PodRecord:
    """As the pod worker does it, in a world where everything works at once."""
    while actions := list(plan(record, Clock(now))):
        for action in actions:
            record = take_in(record, action, now)
            match action:
                case PreparePod():
                    record = take_in(record, PodPrepared(), now)
                case StartContainer(name, attempt):
                    record = take_in(record, ContainerStarted(name, attempt), now)
    return with_transitions(record, now)


def running_pod(containers: int) -> PodRecord:
    """A sidecar with a startup probe, and main containers with a liveness and a readiness probe, all up."""
    sidecar = Container("sidecar", restart_policy="Always", startup_probe=Probe())
    mains = tuple(
        Container(f"main-{n}", liveness_probe=Probe(), readiness_probe=Probe()) for n in range(containers - 1)
    )
    pod = Pod(ObjectMeta(name="p"), PodSpec(mains, (sidecar,)))
    record = decide(new_record(pod, LifecycleSettings(), 0.0), 0.0)
    record = decide(take_in(record, ProbeAnswered("sidecar", 0, "startup", "success"), 0.0), 0.0)
    for main in mains:
        for kind in ("liveness", "readiness"):
            record = take_in(record, ProbeAnswered(main.name, 0, kind, "success"), 0.0)
    return decide(record, 0.0)


def core(containers: str, seconds: str = "1") -> float:
    record = running_pod(int(containers))
    assert record.answers["Ready"]
    mains, count, patience = cycle(record.spec.containers), 0, float(seconds)
    began = time.process_time()
    while (spent := time.process_time() - began) < patience:
        for main in islice(mains, BATCH):
            answer = ProbeAnswered(main.name, 0, "readiness", "success")
            record = decide(take_in(record, answer, 0.0), 0.0)
        count += BATCH
    return count / spent


def heap(worlds: str = "300") -> float:
    from minikubelet.fuzz.engines import SimulatedWorld, live_on_heap
    from minikubelet.runtime.simulated import HeapScheduler

    return _lives_a_second(
        lambda case: live_on_heap(SimulatedWorld(case, HeapScheduler, is_journaled=False)), int(worlds)
    )


def trio(worlds: str = "300") -> float:
    from minikubelet.fuzz.engines import run_under_trio

    return _lives_a_second(run_under_trio, int(worlds))


def _lives_a_second(live: "Callable[[Case], object]", worlds: int) -> float:
    """In worlds that are drawn beforehand; each is lived once before, which says how many lives it has."""
    from minikubelet.fuzz.engines import run_on_heap
    from minikubelet.fuzz.search import Search

    search = Search(SEED)
    cases = [search.case(example) for example in range(worlds)]
    lives = sum(_lives(run_on_heap(case)) for case in cases)
    live(cases[0])
    _collect_as_a_search_does()
    began = time.process_time()
    for case in cases:
        live(case)
    return lives / (time.process_time() - began)


def simulation(worlds: str = "300") -> float:
    from minikubelet.fuzz.search import Search

    search = Search(SEED)
    search.examine(0)  # loads what is loaded late
    _collect_as_a_search_does()
    began = time.process_time()
    lives = sum(_lives(search.examine(example).journal) for example in range(int(worlds)))
    return lives / (time.process_time() - began)


def _lives(journal: "Journal") -> int:
    return sum(entry.what == "begun" for entry in journal.entries)


def _collect_as_a_search_does() -> None:
    from minikubelet.fuzz.search import GC_THRESHOLD

    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def spawn(program: str, times: str = "300") -> float:
    from minikubelet.runtime.spawn import spawn as make

    with open(os.devnull, "wb") as null:
        out = null.fileno()
        began = time.perf_counter()
        for _ in range(int(times)):
            process = make([program], env=os.environ, cwd="/", stdout=out, stderr=out)
            os.waitid(os.P_PIDFD, process.pidfd, os.WEXITED)
            os.close(process.pidfd)
        return (time.perf_counter() - began) / int(times) * 1e6


MEASURES: dict[str, Callable[..., float]] = {
    "core": core,
    "heap": heap,
    "trio": trio,
    "simulation": simulation,
    "spawn": spawn,
}

if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    print(MEASURES[what](*arguments))
