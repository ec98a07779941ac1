"""What the hot paths cost, one by one: a decision, a line of log, a process, a simulated life.

    python -m benchmarks.hot_paths [--fast] [-o FILE.json] [--only NAME] ...

pyperf measures them, in processes of their own; its options and its way to compare two runs apply
(`python -m pyperf compare_to A.json B.json`). The tests run each once and assert no times. What whole runs
cost, beside other supervisors, is `minikubelet bench`'s to tell.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from pathlib import Path

from minikubelet.api.codec import to_wire
from minikubelet.api.manifest import load
from minikubelet.bench.pure import decide, running_pod
from minikubelet.bench.subjects import pod
from minikubelet.bench.supervised import Service
from minikubelet.fuzz import generate
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import SimulatedWorld, live_on_heap, run_on_heap, run_under_trio
from minikubelet.invariants.checker import check
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.facts import ProbeAnswered
from minikubelet.lifecycle.plan import plan
from minikubelet.lifecycle.record import PodRecord, observe
from minikubelet.lifecycle.status import publish
from minikubelet.runtime.logs import CriEncoder
from minikubelet.runtime.simulated import HeapScheduler
from minikubelet.runtime.spawn import Spawned, SpawnThread, spawn

EPOCH = 1_700_000_000.0
LINES = (b"x" * 99 + b"\n") * 655
"Of a hundred bytes each: what a pipe holds."
NOW = b"2026-01-01T00:00:00.000000000Z"
SEED = 7

Act = Callable[[], object]
"""Does the thing once."""


def _answers(record: PodRecord) -> Iterator[ProbeAnswered]:
    for container in cycle(record.spec.containers):
        yield ProbeAnswered(container.name, 0, "readiness", "success")


def _pods(containers: int) -> Mapping[str, Act]:
    record = running_pod(containers)
    answers = _answers(record)
    published = publish(record, EPOCH)
    changed = cycle([observe(record, next(answers), float(n)) for n in range(1, 3)])
    clock = Clock(0.0)
    return {
        "observe an answer": lambda: observe(record, next(answers), 0.0),
        "plan when nothing is due": lambda: list(plan(record, clock)),
        "decide": lambda: decide(observe(record, next(answers), 0.0), 0.0),
        "publish": lambda: publish(next(changed), EPOCH, published),
        "status as JSON objects": lambda: to_wire(published.pod),
    }


def _manifest(place: Path, containers: int) -> Act:
    services = [Service(f"c{n}", ["/bin/true", str(n)]) for n in range(containers)]
    path = place / f"{containers}.yaml"
    path.write_text(pod("bench", services))
    return lambda: load([str(path)])


def _spawned(run: Callable[[Callable[[], Spawned]], Spawned]) -> None:
    with open(os.devnull, "wb") as null:
        out = null.fileno()
        process = run(lambda: spawn(["/bin/true"], env={}, cwd="/", stdout=out, stderr=out))
    os.waitid(os.P_PIDFD, process.pidfd, os.WEXITED)
    os.close(process.pidfd)


def hot_paths(until: ExitStack) -> Mapping[str, Act]:
    """By name; what they need is there until that stack is unwound."""
    place = Path(until.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    thread = SpawnThread()
    until.callback(thread.close)
    encoder = CriEncoder("stdout")
    case = generate.case(SeededDraw(SEED))
    journal = run_on_heap(case)
    return {
        **{f"{what}, pod of {n}": act for n in (3, 100) for what, act in _pods(n).items()},
        **{f"load a manifest of {n}": _manifest(place, n) for n in (1, 100)},
        "prefix 64 KiB of lines": lambda: b"".join(encoder.encode(LINES, NOW)),
        "spawn and reap": partial(_spawned, lambda function: function()),
        "spawn and reap, by the spawning thread": partial(_spawned, thread.run),
        "draw a world": lambda: generate.case(SeededDraw(SEED)),
        "live a world on the heap": lambda: live_on_heap(
            SimulatedWorld(case, HeapScheduler, is_journaled=False)
        ),
        "live a world on the heap, written down": lambda: run_on_heap(case),
        "live a world under trio, written down": lambda: run_under_trio(case),
        "check a world's journal": lambda: check(journal),
    }


def main() -> None:
    try:
        import pyperf
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: pip install -e '.[dev]' has it")
    runner = pyperf.Runner(add_cmdline_args=_pass_on)
    runner.argparser.description = (__doc__ or "").splitlines()[0]
    runner.argparser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="of a hot path, or how it begins"
    )
    only = tuple(runner.parse_args().only)
    with ExitStack() as until:
        for name, act in hot_paths(until).items():
            if not only or name.startswith(only):
                runner.bench_func(name, act)


def _pass_on(command: list[str], given: object) -> None:
    """To the processes that measure."""
    for name in getattr(given, "only", ()):
        command += ["--only", name]


if __name__ == "__main__":
    sys.exit(main())
