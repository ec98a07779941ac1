"""What does isolation cost a container? Milliseconds over a plain process, by tier.

    python -m benchmarks.isolation [ROUNDS]

Each round starts /bin/true once in every tier, in turn, so that whatever else the machine does meets all
alike. "Started" is the time until execve(2) has succeeded, "ended" that until the process is gone. What a
pod costs once (its sandbox, a container's mount namespace) is in the second table.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from minikubelet.runtime.environment import ContainerEnvironment
from minikubelet.runtime.images import Resolution
from minikubelet.runtime.mounts import Mount, MountNamespace, mount_support
from minikubelet.runtime.place import Place
from minikubelet.runtime.sandbox import Sandboxes, SandboxSpec, sandbox_trouble
from minikubelet.runtime.security import Security
from minikubelet.runtime.spawn import Spawned

PROGRAM = ("/bin/true",)
ENVIRONMENT = {"PATH": os.defpath, "HOME": "/"}
RESOLUTION = Resolution(argv=PROGRAM, source="bench")
OWN = SandboxSpec("bench")
SHARED = SandboxSpec("bench", shares_pids=True)


def place(**parts: object) -> Place:
    return Place(RESOLUTION, ContainerEnvironment(ENVIRONMENT, {}), "/", Security(), **parts)  # type: ignore[arg-type]


def life(where: Place, null: int) -> tuple[float, float]:
    """Seconds until one process was started, and until it had ended."""
    begin = time.perf_counter()
    process: Spawned = where.spawn(PROGRAM, env=ENVIRONMENT, cwd="/", stdout=null, stderr=null)
    started = time.perf_counter()
    os.waitid(os.P_PIDFD, process.pidfd, os.WEXITED)
    ended = time.perf_counter()
    os.close(process.pidfd)
    return started - begin, ended - begin


def compare(places: Mapping[str, Place], rounds: int) -> None:
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in places}
    with open(os.devnull, "wb") as null:
        for number in range(rounds + 5):
            for name, where in places.items():
                times = life(where, null.fileno())
                if number >= 5:  # the first ones warm up
                    taken[name].append(times)
    medians = {
        name: [1000 * statistics.median(column) for column in zip(*times, strict=True)]
        for name, times in taken.items()
    }
    plain = medians["none"]
    head = f"{'a container':24s} {'started':>9s} {'over none':>10s} {'ended':>9s} {'over none':>10s}"
    print(f"{head}   (ms, medians)")
    for name, (started, ended) in medians.items():
        print(f"{name:24s} {started:9.2f} {started - plain[0]:+10.2f} {ended:9.2f} {ended - plain[1]:+10.2f}")


def measure(what: str, make: Callable[[], Callable[[], None]], rounds: int) -> None:
    """`make` gives what undoes it."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        undo = make()
        times.append(time.perf_counter() - begin)
        undo()
    print(f"{what:34s} {1000 * times[0]:9.2f} {1000 * statistics.median(times[1:]):9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.isolation", description=__doc__.splitlines()[0]
    )
    parser.add_argument("rounds", type=int, nargs="?", default=300, help="default: 300; 10 at least")
    rounds = parser.parse_args().rounds
    if rounds < 10:
        parser.error(f"10 rounds at least, not {rounds}")
    if trouble := sandbox_trouble():
        sys.exit(f"no pod sandboxes here: {trouble}")
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        run(Path(directory), rounds)


def run(directory: Path, rounds: int) -> None:
    volume = directory / "volume"
    volume.mkdir()
    mounts = [Mount(volume, str(volume))]
    support = mount_support(directory)
    sandboxes = Sandboxes()
    own, shared = sandboxes.make(OWN), sandboxes.make(SHARED)
    namespace = MountNamespace.make(mounts, directory, support)
    inner = MountNamespace.make(mounts, directory, support, spawn_helper=own.spawn_helper)
    compare(
        {
            "none": place(),
            "mounts": place(namespace=namespace),
            "pod": place(sandbox=own),
            "pod, shared processes": place(sandbox=shared),
            "pod, with mounts": place(sandbox=own, namespace=inner),
        },
        rounds,
    )
    print(f"\n{'once':34s} {'first':>9s} {'others':>9s}   (ms)")

    def make_mounts() -> Callable[[], None]:
        return MountNamespace.make(mounts, directory, support).close

    def make_sandbox(spec: SandboxSpec) -> Callable[[], Callable[[], None]]:
        return lambda: sandboxes.make(spec).close

    measure("a container's mount namespace", make_mounts, rounds // 5)
    measure("a pod's sandbox", make_sandbox(OWN), rounds // 5)
    measure("a pod's sandbox, shared processes", make_sandbox(SHARED), rounds // 5)
    for made in (namespace, inner, own, shared, sandboxes):
        made.close()


if __name__ == "__main__":
    main()
