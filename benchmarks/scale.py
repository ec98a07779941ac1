"""How large can it get? Ten thousand idle containers, and ten thousand pods in virtual time.

    python -m benchmarks.scale [--containers N] [--pods N,N,...] [--json FILE]

Containers are real processes of `minikubelet run`, a pod for every hundred. Each takes descriptors and a
process, so `ulimit -n` and `ulimit -u` have to allow for them; if one supervisor may not have as many
descriptors as all of them need, several share them, and that is said. Pods in virtual time have a sidecar
and a main container, both probed every second; told is what one event costs, which is to be the same
however many pods there are.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from math import inf
from pathlib import Path
from typing import TypeVar

import attrs

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Pod, PodSpec, Probe
from minikubelet.bench.campaign import machine_facts
from minikubelet.bench.scenarios import services_of
from minikubelet.bench.subjects import Minikubelet, pod
from minikubelet.bench.supervised import Service, Supervised, become_subreaper, memory, supervised, usage
from minikubelet.bench.tools import Tools, tools
from minikubelet.fuzz.search import GC_THRESHOLD
from minikubelet.kubelet.kubelet import Kubelet
from minikubelet.runtime.simulated import HeapScheduler, SimulatedRuntime

DESCRIPTORS_EACH = 4
"Of one container: two pipes, a pidfd and a log."

SPARE_DESCRIPTORS = 200
PER_POD = 100


@attrs.frozen
class Containers:
    """What so many idle containers took."""

    containers: int
    supervisors: int
    "More than one where none may have all the descriptors."
    start_seconds: float
    rss_mib: float
    "Of all supervisors together."
    idle_cpu_ms: float
    "In a minute."
    idle_switches: float
    stop_seconds: float


def many_containers(number: int, these: Tools, idle: float) -> Containers:
    subject = Minikubelet(these)
    at_most = (these.descriptors - SPARE_DESCRIPTORS) // DESCRIPTORS_EACH
    supervisors = -(-number // at_most)
    folder = these.folder / "scale"
    folder.mkdir()
    services = services_of(subject, folder, "idle", number)
    with ExitStack() as until:
        began = time.monotonic()
        runs = [_start(subject, folder / f"{n}", services[n::supervisors], until) for n in range(supervisors)]
        for run in runs:
            run.marks.path = folder / "marks"
        runs[0].wait_for_marks("m", number, seconds=600)
        start_seconds = time.monotonic() - began
        print(f"{number:,} containers run after {start_seconds:.1f} s", file=sys.stderr)
        time.sleep(5)
        own, children = runs[0].processes()
        assert len(children) == number, len(children)
        rss, _ = memory(own)
        before = usage(own)
        time.sleep(idle)
        used = usage(own).since(before)
        since = time.monotonic_ns()
        for run in runs:
            subject.stop(run)
        stop = max(run.wait_until_gone(since, seconds=300) for run in runs)
    return Containers(
        containers=number,
        supervisors=supervisors,
        start_seconds=start_seconds,
        rss_mib=rss / 1024,
        idle_cpu_ms=used.cpu_seconds * 1000 * 60 / idle,
        idle_switches=used.switches * 60 / idle,
        stop_seconds=stop / 1000,
    )


def _start(subject: Minikubelet, folder: Path, services: Sequence[Service], until: ExitStack) -> Supervised:
    folder.mkdir()
    groups = [services[start : start + PER_POD] for start in range(0, len(services), PER_POD)]
    manifest = "---\n".join(pod(f"bench-{n}", group) for n, group in enumerate(groups))
    return until.enter_context(supervised(subject.command(folder, manifest), folder, subject.child(), {}))


@attrs.frozen
class Pods:
    """What so many pods took in virtual time."""

    pods: int
    events: int
    "Callbacks of the simulated processes: starts, answers of probes, exits."
    accept_us: float
    "Microseconds of processor time to accept a pod and start it."
    event_us: float
    "Microseconds of processor time for each event while all are up."
    end_us: float
    "Microseconds of processor time to delete a pod and see its end."


class CountingScheduler(HeapScheduler):
    events = 0

    def run_until(self, instant: float, settle: Callable[[], None]) -> None:
        def counted() -> None:
            self.events += 1
            settle()

        super().run_until(instant, counted)


def many_pods(number: int, seconds: float) -> Pods:
    scheduler = CountingScheduler()
    kubelet = Kubelet(SimulatedRuntime({}, scheduler=scheduler))
    spec = PodSpec(
        containers=(Container("main", image="main", readiness_probe=Probe(period_seconds=1)),),
        init_containers=(
            Container("sidecar", image="s", restart_policy="Always", liveness_probe=Probe(period_seconds=1)),
        ),
    )
    pods = [Pod(ObjectMeta(name=f"p{n}"), spec) for n in range(number)]
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)  # as wherever time is virtual

    def live(until: float) -> float:
        began = time.process_time()
        while not kubelet.is_finished:
            instant = min(scheduler.due_at(), kubelet.next_alarm())
            if instant > until or instant == inf:
                break
            scheduler.run_until(instant, kubelet.settle)
            kubelet.settle()
        return time.process_time() - began

    began = time.process_time()
    for one in pods:
        kubelet.add_pod(one)
        kubelet.settle()
    accepted = time.process_time() - began
    live(2.0)
    scheduler.events = 0
    lived = live(2.0 + seconds)
    events = scheduler.events
    began = time.process_time()
    kubelet.delete_all()
    kubelet.settle()
    live(inf)
    ended = time.process_time() - began
    assert kubelet.is_finished
    return Pods(number, events, accepted / number * 1e6, lived / events * 1e6, ended / number * 1e6)


T = TypeVar("T", Containers, Pods)


def tell(what: T) -> T:
    print(", ".join(f"{name} {value:,.6g}" for name, value in attrs.asdict(what).items()), flush=True)
    return what


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.splitlines()[0])
    how_many = "in one run; 0: leave that out; default: 10000"
    parser.add_argument("--containers", type=int, default=10_000, metavar="N", help=how_many)
    window = "seconds that they are watched doing nothing; default: 60"
    parser.add_argument("--idle", type=float, default=60, metavar="S", help=window)
    counts = "how many pods there are in one run after another; default: 100,1000,10000"
    parser.add_argument("--pods", default="100,1000,10000", metavar="N,...", help=counts)
    length = "virtual seconds that these live; default: 10"
    parser.add_argument("--seconds", type=float, default=10, metavar="S", help=length)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured there, too")
    given = parser.parse_args()
    containers: list[Containers] = []
    if given.containers:
        become_subreaper()
        with tools() as these:
            containers = [tell(many_containers(given.containers, these, given.idle))]
    pods = [tell(many_pods(int(number), given.seconds)) for number in given.pods.split(",") if number]
    told = {
        "machine": machine_facts(),
        "containers": [attrs.asdict(one) for one in containers],
        "pods": [attrs.asdict(one) for one in pods],
    }
    if given.json:
        given.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
