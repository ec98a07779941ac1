"""Does minikubelet stay as it is? Its memory and descriptors while containers restart very often.

    python -m benchmarks.soak [--restarts 100000] [--containers 16]

One `minikubelet run` whose containers end at once, some well, some not, and are restarted without back-off;
some leave a daemon behind, some have a hook, one has a probe. What the process needs is read from /proc when
it has restarted the first thousand, and then ten times more. Exit code 1 if it has grown: more than 1 MiB of
memory, or a descriptor, between the first thousand restarts and the last.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import yaml

FIRST = 1000
GROWTH_KIB = 1024

LIVES = (
    "exit 0",
    "echo it failed >&2; exit 3",
    "(setsid sleep 60 </dev/null >/dev/null 2>&1 &)",
    "kill -9 $$",
)


@attrs.frozen
class Reading:
    """What a process needs: memory in KiB, open descriptors, threads, children."""

    restarts: int
    seconds: float
    rss: int
    pss: int
    fds: int
    threads: int
    children: int


def manifest(containers: int) -> str:
    specs = [
        {"name": f"c{number}", "image": "busybox", "command": ["sh", "-c", LIVES[number % len(LIVES)]]}
        for number in range(containers)
    ]
    specs[0]["lifecycle"] = {"postStart": {"exec": {"command": ["true"]}}}
    specs[1]["livenessProbe"] = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "soak"},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": specs},
        }
    )


def read(pid: int, restarts: int, seconds: float) -> Reading:
    memory = dict(
        line.split()[:2]
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if "kB" in line
    )
    tasks = os.listdir(f"/proc/{pid}/task")
    children = [Path(f"/proc/{pid}/task/{task}/children").read_text().split() for task in tasks]
    return Reading(
        restarts,
        seconds,
        int(memory["Rss:"]),
        int(memory["Pss:"]),
        len(os.listdir(f"/proc/{pid}/fd")),
        len(tasks),
        sum(map(len, children)),
    )


def readings(restarts: int, containers: int) -> Iterator[Reading]:
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        file = Path(directory) / "soak.yaml"
        file.write_text(manifest(containers))
        command = [sys.executable, "-m", "minikubelet", "run", str(file), "-o", "json"]
        command += ["--backoff-base", "0", "--backoff-max", "0", "--log-dir", f"{directory}/logs"]
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert process.stdout is not None
            wanted = [FIRST, *(FIRST + (restarts - FIRST) * tenth // 10 for tenth in range(1, 11))]
            started = 0
            for line in process.stdout:
                started += b'"reason":"Started"' in line
                if wanted and started - containers >= wanted[0]:
                    wanted.pop(0)
                    yield read(process.pid, started - containers, time.monotonic() - began)
                    if not wanted:
                        process.send_signal(signal.SIGTERM)
        finally:
            process.terminate()
            process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--restarts", type=int, default=100_000, metavar="N", help="in all; default: 100000")
    parser.add_argument("--containers", type=int, default=16, metavar="N", help="default: 16")
    given = parser.parse_args()
    if given.restarts <= FIRST or given.containers < 2:
        parser.error(f"more than {FIRST} restarts, and two containers at least")
    print("| restarts | seconds | RSS KiB | PSS KiB | descriptors | threads | children |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    seen = []
    for reading in readings(given.restarts, given.containers):
        seen.append(reading)
        cells = (f"{value:.0f}" for value in attrs.astuple(reading))
        print(f"| {' | '.join(cells)} |", flush=True)
    first, last = seen[0], seen[-1]
    # Each container that lives just then has a pidfd and two pipes: those of the moment are no growth.
    moment = 6 * given.containers
    grown = last.pss - first.pss > GROWTH_KIB or last.fds - first.fds > moment
    verdict = "GROWN" if grown else "ok"
    print(f"PSS {last.pss - first.pss:+d} KiB, descriptors {last.fds - first.fds:+d}: {verdict}")
    return int(grown)


if __name__ == "__main__":
    sys.exit(main())
