"""One supervisor at work: started, looked at from outside, stopped, and gone with all that it started.

Knows processes, marks and /proc; knows no supervisor. The one idea: a supervised child writes the instants
that matter itself, so that nobody's polling is in a figure, and the measuring process is the subreaper of
whatever is left behind, so that nothing survives a measurement however it ends.
"""

import ctypes
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import attrs

from minikubelet.runtime.proc import children_of, descendants, read_stat

SECOND = 1_000_000_000
"Nanoseconds."

SETTLE_STEP, SETTLE_AT_MOST, SETTLED = 0.1, 10.0, 0.02
"Seconds, seconds, and the part of a core that is next to nothing."

_PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """A subject did not do what it was to be timed at; says what was seen instead."""

    def __init__(self, what: str, figures: Mapping[str, Sequence[float]] | None = None) -> None:
        super().__init__(what)
        self.figures = figures or {}
        "What had been measured before."


@attrs.frozen
class Service:
    """Something to be supervised. `argv` ends up as the process itself, no shell in between."""

    name: str
    argv: Sequence[str]


class Mark(NamedTuple):
    """What a child has told; `programs/child.c` has the kinds."""

    tag: str
    instant: int
    "Nanoseconds of CLOCK_MONOTONIC."
    pid: int
    number: int


class Marks:
    """All that the children of one run have told until now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_up_to = 0
        self._of_kind: dict[str, list[Mark]] = {}

    def of(self, kind: str) -> list[Mark]:
        """In the order in which they were written."""
        self._read()
        return self._of_kind.setdefault(kind, [])

    def _read(self) -> None:
        try:
            with open(self.path, "rb") as file:
                file.seek(self._read_up_to)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._read_up_to += len(whole)
        for line in whole.decode().splitlines():
            kind, tag, *numbers = line.split()
            self._of_kind.setdefault(kind, []).append(Mark(tag, *map(int, numbers)))


@attrs.frozen
class Usage:
    """What processes have used since they began."""

    cpu_seconds: float
    switches: int
    "Context switches, voluntary or not: each is a wake-up, or the end of a time slice."

    def since(self, earlier: "Usage") -> "Usage":
        return Usage(self.cpu_seconds - earlier.cpu_seconds, self.switches - earlier.switches)


class Supervised:
    """A supervisor that runs. `is_child` tells what it supervises from what belongs to itself."""

    def __init__(
        self, argv: Sequence[str], folder: Path, child: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self.marks = Marks(folder / "marks")
        self._child = b"\0".join(map(os.fsencode, child)) + b"\0"
        self.output = folder / "output"
        program = shutil.which(argv[0])
        if program is None:
            raise Failed(f"{argv[0]}: not found")
        output = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            self.began = time.monotonic_ns()
            self.pid = os.posix_spawn(
                program,
                list(argv),
                {**_clean_environment(), **environment},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                ],
                setsid=True,
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
                setsigmask=(),
            )
        finally:
            os.close(output)
        _roots.add(self.pid)
        self._pidfd = os.pidfd_open(self.pid)
        self.has_ended = False

    def signal(self, number: int) -> None:
        if not self.has_ended:
            signal.pidfd_send_signal(self._pidfd, number)

    def wait_until(self, holds: Callable[[], bool], what: str, *, seconds: float, step: float) -> None:
        """Raises `Failed` when it never does, or when the supervisor has ended with an error before."""
        deadline = time.monotonic() + seconds
        while not holds():
            ended = self._wait_for_end(step)
            if ended and self.exit_code and not holds():
                raise Failed(f"it ended with {self.exit_code} before {what}{self._last_words()}")
            if time.monotonic() > deadline:
                raise Failed(f"not within {seconds:.0f} s: {what}")
            if ended:
                time.sleep(step)

    def wait_for_marks(self, kind: str, count: int, *, seconds: float) -> list[Mark]:
        """Until so many services have left that mark, each once or more."""
        step = 0.002 if count <= 10 else 0.02  # seconds: few children shall not wait, many not be disturbed
        self.wait_until(
            lambda: len({mark.tag for mark in self.marks.of(kind)}) >= count,
            f"{count} x {kind!r}",
            seconds=seconds,
            step=step,
        )
        return self.marks.of(kind)

    def settle(self, seconds: float) -> None:
        """So long at least, and on until it has next to nothing to do, within reason."""
        time.sleep(seconds)
        deadline = time.monotonic() + SETTLE_AT_MOST
        own, _ = self.processes()
        before = usage(own)
        while time.monotonic() < deadline:
            time.sleep(SETTLE_STEP)
            now = usage(own)
            if now.since(before).cpu_seconds < SETTLED * SETTLE_STEP:
                break
            before = now

    def processes(self) -> tuple[list[int], list[int]]:
        """Pids of the supervisor, all that belongs to it included, and of what it supervises."""
        own: list[int] = []
        children: list[int] = []
        for pid in _left():
            (children if _cmdline(pid).startswith(self._child) else own).append(pid)
        return own, children

    def wait_until_gone(self, since: int, *, seconds: float) -> float:
        """Milliseconds from `since` until nothing is left of it, neither of what it started."""
        deadline = time.monotonic() + seconds
        self._wait_for_end(seconds)
        gone_at = time.monotonic_ns()  # it waits for its children, unless there turn out to be some left
        while left := self._reap_and_look():
            if time.monotonic() > deadline:
                raise Failed(f"{len(left)} processes were left {seconds:.0f} s after the stop")
            self._wait_for_end(0.004)
            if self.has_ended:
                time.sleep(0.004)
            gone_at = time.monotonic_ns()
        return (gone_at - since) / 1e6

    def close(self) -> None:
        while left := self._reap_and_look():
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.005)
            self._wait_for_end(0)
        self._wait_for_end(5)
        os.close(self._pidfd)

    def _wait_for_end(self, seconds: float) -> bool:
        if not self.has_ended and select.select([self._pidfd], [], [], seconds)[0]:
            self.exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            _roots.discard(self.pid)
            self.has_ended = True
        return self.has_ended

    def _reap_and_look(self) -> list[int]:
        for pid in children_of(os.getpid(), map(int, os.listdir("/proc/self/task"))):
            if pid not in _roots and pid not in _bystanders:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass
        return _left() or _left()  # who loses its parent between two readings may be missed by both

    def _last_words(self) -> str:
        text = self.output.read_text(errors="replace").strip()[-300:]
        return ": " + " / ".join(text.splitlines()) if text else ""


@contextmanager
def supervised(
    argv: Sequence[str], folder: Path, child: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Supervised]:
    """For the length of a block; afterwards there is nothing left of it."""
    with _signals_held_back() as let_them_come:
        run = Supervised(argv, folder, child, environment)
        try:
            let_them_come()
            yield run
        finally:
            run.close()


@contextmanager
def _signals_held_back() -> Iterator[Callable[[], object]]:
    """Or one that ends us could come when something has been started, and before it is known here."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield partial(signal.pthread_sigmask, signal.SIG_SETMASK, before)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ------------------------------------------------------------------ what there is below us

_roots: set[int] = set()
"Supervisors that are waited for."

_bystanders: set[int] = set()
"Children of ours that belong to no supervisor."


def become_subreaper() -> None:
    """Whoever loses its parent becomes our child (prctl(2)). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot become a child subreaper")


@contextmanager
def bystander(serve: Callable[[], None]) -> Iterator[int]:
    """A forked process that does what `serve` says for the length of a block; its pid."""
    with _signals_held_back() as let_them_come:
        pid = os.fork()
        if pid == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                let_them_come()
                serve()
            finally:
                os._exit(0)
        _bystanders.add(pid)
        try:
            let_them_come()
            yield pid
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            _bystanders.discard(pid)


def _left() -> list[int]:
    found = []
    for pid in descendants(os.getpid()):
        stat = read_stat(pid)
        if pid not in _bystanders and stat is not None and not stat.is_dead:
            found.append(pid)
    return found


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


# ------------------------------------------------------------------ what processes take


def memory(pids: Iterable[int]) -> tuple[float, float]:
    """KiB resident, and KiB of these that are a proportional share (`smaps_rollup` of proc(5))."""
    sums = {"Rss": 0, "Pss": 0}
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in lines:
            what, _, amount = line.partition(":")
            if what in sums:
                sums[what] += int(amount.split()[0])
    return sums["Rss"], sums["Pss"]


def usage(pids: Iterable[int]) -> Usage:
    """Of all their threads that live: nanoseconds from `schedstat`, switches from `status`."""
    nanoseconds = switches = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            try:
                nanoseconds += int((thread / "schedstat").read_text().split()[0])
                lines = (thread / "status").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            switches += sum(int(line.split()[1]) for line in lines if "voluntary_ctxt_switches" in line)
    return Usage(nanoseconds / SECOND, switches)


def _clean_environment() -> dict[str, str]:
    """Ours, without what would make Python or minikubelet do more than it does for a user."""
    drop = ("PYTHONDONTWRITEBYTECODE", "MINIKUBELET_CHECK", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in drop}
