"""How fast is container output captured, with CRI timestamps, beside a loop that only reads and writes?

    python benchmarks/bench_log_capture.py [MEGABYTES]

A child (dd) writes lines of 100 bytes in writes of 100 bytes or of 64 KiB, as fast as the reader lets it.
MB/s are of the child's bytes; the CPU seconds per GB are those of the reading process alone. The log is
kept in memory (/dev/shm) where there is such a place, and every byte of it is checked afterwards.
"""

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import trio

from minikubelet.runtime.logs import ContainerLog
from minikubelet.runtime.process import LocalProcess
from minikubelet.runtime.reactor import Reactor
from minikubelet.runtime.reaper import Reaper

LINE = (b"0123456789abcdefghijklmnopqrstuvwxyz" * 3)[:99] + b"\n"
ROUNDS = 3

Run = Callable[[list[str], Path], Path]
"""Capture the output of a command below a directory; the file it is in."""


def bare_loop(argv: list[str], directory: Path) -> Path:
    """The floor: read(2) 64 KiB, write(2) them, no timestamps, no framework."""
    path = directory / "bare"
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1)])
    os.close(write_end)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    while chunk := os.read(read_end, 65536):
        os.write(log, chunk)
    os.close(log)
    os.close(read_end)
    os.waitpid(pid, 0)
    return path


def captured(argv: list[str], directory: Path) -> Path:
    """A container of minikubelet, with the reactor under trio."""
    return trio.run(_capture, argv, directory)


async def _capture(argv: list[str], directory: Path) -> Path:
    reactor = Reactor()
    reaper = Reaper(reactor)
    log = ContainerLog(str(directory), 0, max_bytes=-1)
    with trio.CancelScope() as scope:
        LocalProcess.start(
            reaper,
            argv,
            container_id="bench",
            env={},
            cwd="/",
            log=log,
            exited=lambda exit_code: scope.cancel(),
        )
        await reactor.run(lambda: None)
    reaper.close()
    reactor.close()
    return Path(log.path)


def verify(path: Path, size: int, has_prefix: bool) -> None:
    """Every line is there, whole, once."""
    prefix = rb"[0-9-]{10}T[0-9:]{8}\.[0-9]{9}Z stdout F " if has_prefix else b""
    whole = re.compile(prefix + re.escape(LINE))
    lines = 0
    with open(path, "rb") as log:
        while block := log.readlines(1 << 20):
            lines += sum(1 for line in block if whole.fullmatch(line))
    expected, stray = divmod(size, len(LINE))
    assert (lines, stray) == (expected, 0), f"{path}: {lines} whole lines of {expected}"


def main() -> None:
    size = int(sys.argv[1] if len(sys.argv) > 1 else 64) * 10**6
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    directory = Path(tempfile.mkdtemp(prefix="bench-log-", dir=place))
    dd = shutil.which("dd")
    assert dd is not None, "needs dd"
    try:
        sample = directory / "sample"
        sample.write_bytes(LINE * (size // len(LINE)))
        print(f"{size / 1e6:.0f} MB of 100-byte lines, median of {ROUNDS}, log in {place or 'TMPDIR'}")
        print(f"{'writes of':>10}  {'reader':<22} {'MB/s':>6} {'CPU s/GB':>9}")
        for write_size in (100, 65536):
            argv = [dd, f"if={sample}", "ibs=64K", f"obs={write_size}", "status=none"]
            figures: dict[str, list[tuple[float, float]]] = {}
            for _ in range(ROUNDS):
                for name, run in (("bare loop", bare_loop), ("minikubelet, CRI", captured)):
                    wall, cpu = time.perf_counter(), time.process_time()
                    path = run(argv, directory)
                    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                    verify(path, size, run is captured)
                    path.unlink()
                    figures.setdefault(name, []).append((size / 1e6 / wall, cpu / size * 1e9))
            for name, rounds in figures.items():
                speed, cost = (median(column) for column in zip(*rounds, strict=True))
                print(f"{write_size:>10}  {name:<22} {speed:>6.0f} {cost:>9.2f}")
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
