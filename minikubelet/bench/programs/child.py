"""What `child.c` does, for machines without a C compiler: every figure then includes Python's own start."""

import time

BEGAN = time.monotonic_ns()

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

LINE = b"0123456789abcdefghijklmnopqrstuvwxyz" * 2 + b"0123456789abcdefghijklmnopq" + b"\n"
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}


def mark(kind: str, instant: int, number: int) -> None:
    fd = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    os.write(fd, f"{kind} {tag} {instant} {os.getpid()} {number}\n".encode())
    os.close(fd)


def obey(ignores: bool) -> None:
    while True:
        number = signal.sigwait(SIGNALS)
        instant = time.monotonic_ns()
        if number == signal.SIGUSR1:
            mark("x", instant, 1)
            os._exit(1)
        if number in (signal.SIGTERM, signal.SIGINT):
            mark("i" if ignores else "t", instant, number)
            if not ignores:
                os._exit(0)


def spew(chunk: int, milliseconds: int, size: int) -> None:
    data = LINE * (chunk // len(LINE))
    while (number := signal.sigwait(SIGNALS)) != signal.SIGUSR1:
        if number != signal.SIGHUP:
            os._exit(0)
    began = time.monotonic_ns()
    mark("s", began, 0)
    total = 0
    while total < size and time.monotonic_ns() < began + milliseconds * 1_000_000:
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]
        total += len(data)
    mark("w", time.monotonic_ns(), total)


if __name__ == "__main__":
    mode, tag, marks = sys.argv[1:4]
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    mark("m", BEGAN, 0)
    if mode == "once":
        os._exit(0)
    if mode == "spew":
        spew(*map(int, sys.argv[4:7]))
    obey(mode == "ignore")
