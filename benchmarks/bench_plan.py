"""How many decisions a second does the pure lifecycle make?

    python benchmarks/bench_plan.py [SECONDS]

A decision is what one fact costs: observe it, plan until nothing is due, bring the conditions up to date.
The facts are the answers of probes in pods that are up; every container has a liveness and a readiness
probe. A pod's share of a busy node is the product: 10,000 pods of three containers, each probed twice in
10 s, need 12,000 decisions a second (an answer is one, asking is another).
"""

import sys
import time
from itertools import cycle

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Pod, PodSpec, Probe
from minikubelet.lifecycle.actions import PreparePod, StartContainer
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.conditions import with_transitions
from minikubelet.lifecycle.facts import ContainerStarted, PodPrepared, ProbeAnswered
from minikubelet.lifecycle.plan import plan
from minikubelet.lifecycle.record import PodRecord, new_record, observe
from minikubelet.lifecycle.settings import LifecycleSettings

PROBES = {"liveness_probe": Probe(), "readiness_probe": Probe()}


def decide(record: PodRecord, now: float) -> PodRecord:
    """As the pod worker does it, in a world where everything works at once."""
    while actions := list(plan(record, Clock(now))):
        for action in actions:
            record = observe(record, action, now)
            match action:
                case PreparePod():
                    record = observe(record, PodPrepared(), now)
                case StartContainer(name, attempt):
                    record = observe(record, ContainerStarted(name, attempt), now)
    return with_transitions(record, now)


def running_pod(containers: int) -> PodRecord:
    sidecar = Container("sidecar", restart_policy="Always", startup_probe=Probe())
    mains = tuple(Container(f"main-{n}", **PROBES) for n in range(containers - 1))
    pod = Pod(ObjectMeta(name="p"), PodSpec(mains, (sidecar,)))
    record = decide(new_record(pod, LifecycleSettings(), 0.0), 0.0)
    record = decide(observe(record, ProbeAnswered("sidecar", 0, "startup", "success"), 0.0), 0.0)
    for main in mains:
        for kind in ("liveness", "readiness"):
            record = observe(record, ProbeAnswered(main.name, 0, kind, "success"), 0.0)
    return decide(record, 0.0)


def decisions_per_second(containers: int, seconds: float) -> float:
    record = running_pod(containers)
    assert record.transitions["Ready"][0]
    mains, count, began = cycle(record.spec.containers), 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        answer = ProbeAnswered(next(mains).name, 0, "readiness", "success")
        record = decide(observe(record, answer, 0.0), 0.0)
        count += 1
    return count / spent


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    for containers in (3, 30, 1000):
        rate = decisions_per_second(containers, seconds)
        print(f"{containers:5} containers: {rate:9,.0f} decisions/s, {1e6 / rate:7,.0f} µs each")


if __name__ == "__main__":
    main()
