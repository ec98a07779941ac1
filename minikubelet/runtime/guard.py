"""The supervisor's side of `guardian`: start it first, end it last, and clean up where it had to step in.

Where somebody killed the guardian too, the next start does that: it gives the dead run a guardian again, and
that one does what the first one was there for.
"""

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from minikubelet.runtime.guardian import ALL_DONE, DONE, NOTHING_YET, PIPE, is_ready
from minikubelet.runtime.reactor import Reactor
from minikubelet.runtime.run_directory import PREFIX, RunDirectory, lock_of_dead, remove_run_directory
from minikubelet.runtime.spawn import CATCHABLE

PATIENCE = 5.0
"Seconds that a start waits for the end of what a dead run left; only the kernel can hold that longer."

SHORT_LIFE = 0.1
"Seconds; a guardian that is gone sooner than that may be unable to live here at all."

MOST_SHORT_LIVES = 5
"In a row; after that nobody is put in its place any more."

_HERE = os.path.dirname(__file__)
_CLEAN_UP = "import sys; from minikubelet.runtime.guard import clean_up; clean_up(sys.argv[1])"


class Guard:
    """A guardian for a run; another one, if somebody kills it.

    It stays in our session (one of its own would make it an orphan in the eyes of the reaper) but in a
    group of its own, so that Ctrl-C does not reach it.
    """

    def __init__(self, run: RunDirectory, reactor: Reactor, notice: Callable[[str], None]) -> None:
        self._run = run
        self._reactor = reactor
        self._notice = notice
        self._short_lives = 0
        self._start()

    def _start(self) -> None:
        read_end, self._write_end = os.pipe2(os.O_CLOEXEC)
        _write_ends.add(self._write_end)
        try:
            run = self._run
            pid = _spawn_guardian(run.path, os.getpid(), read_end, run.lock, run.brand, run.cgroup)
        except OSError:
            self._let_go()
            raise
        finally:
            os.close(read_end)
        self._started_at = time.monotonic()
        self._pidfd = os.pidfd_open(pid)  # our child, not reaped, so the pid is its own
        self._reactor.watch(self._pidfd, self._notice_end)

    def _notice_end(self) -> None:
        self._lay_down()
        is_short = time.monotonic() - self._started_at < SHORT_LIFE
        self._short_lives = self._short_lives + 1 if is_short else 0
        if self._short_lives == MOST_SHORT_LIVES:
            self._notice("nobody watches over this run any more: every guardian dies at once")
            return
        try:
            self._start()
        except OSError as error:
            self._notice(f"nobody watches over this run any more: {error.strerror}")

    def _lay_down(self) -> None:
        self._reactor.unwatch(self._pidfd)
        os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        os.close(self._pidfd)
        self._let_go()
        self._pidfd = -1

    def _let_go(self) -> None:
        _write_ends.discard(self._write_end)
        os.close(self._write_end)

    def close(self) -> None:
        """Nothing is left to be guarded; a cgroup, which we are in ourselves, goes when we are gone."""
        if self._pidfd < 0:
            pass
        elif self._run.cgroup:
            self._reactor.unwatch(self._pidfd)
            os.close(self._pidfd)
            try:
                os.write(self._write_end, (DONE if self._run.has_limits else ALL_DONE).encode())
            except BrokenPipeError:
                pass  # it has just been killed
            # The pipe stays open, and ends when we do.
        else:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            self._lay_down()
        os.close(self._run.lock)


_write_ends: set[int] = set()
"Of this process. A guardian waits for their ends, so nobody that is forked from us may keep one."


def _let_go_in_child() -> None:
    while _write_ends:
        os.close(_write_ends.pop())


os.register_at_fork(after_in_child=_let_go_in_child)


def _spawn_guardian(run: str, parent: int, pipe: int, lock: int, brand: int, cgroup: str) -> int:
    """With the lock, so that it is held until the guardian has done what it is there for."""
    python = [sys.executable, "-I", "-S", f"{_HERE}/guardian.py"]
    clean_up = [sys.executable, "-c", _CLEAN_UP, run]
    streams = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    # Their numbers may be `PIPE` and the next already, or the other way round.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (pipe, lock)]
    try:
        return os.posix_spawn(
            sys.executable,
            [*python, NOTHING_YET, str(parent), os.path.basename(run), str(brand), cgroup, *clean_up],
            {"PYTHONPATH": os.path.dirname(os.path.dirname(_HERE))},
            file_actions=[*streams, *((os.POSIX_SPAWN_DUP2, fd, PIPE + n) for n, fd in enumerate(high))],
            setpgroup=0,
            setsigmask=(),
            setsigdef=CATCHABLE,
        )
    finally:
        for fd in high:
            os.close(fd)


# ------------------------------------------------------------------ after the dead


def clean_up(run_dir: str) -> None:
    """Remove what a dead run made: its mount points as far as they are empty, and its directory."""
    from pathlib import Path

    from minikubelet.runtime.mounts import MountPoints

    points = MountPoints(Path(run_dir) / "mount-points.json")
    for owner in points.owners:
        points.release(owner)
    try:
        remove_run_directory(run_dir)
    except OSError:
        pass  # nobody is left to tell


def bury_dead_runs(parent: str) -> None:
    """What runs of ours left in `parent` that were killed together with their guardian, and nothing else.

    Their processes are killed, and what they made is removed, before this returns. Whose lock is held lives,
    or is being buried by another start. Costs nothing where there are none: a list of a directory.
    """
    with os.scandir(parent) as entries:
        runs = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
    for path in runs:
        try:
            lock = lock_of_dead(path)
        except OSError:  # not a run directory, not ours, or gone
            continue
        if lock is not None:
            try:
                _bury(path, lock)
            finally:
                os.close(lock)


def _bury(path: str, lock: int) -> None:
    brand, cgroup, *_ = [*os.pread(lock, 10_000, 0).decode(errors="replace").splitlines(), "0", ""]
    pipe, write_end = os.pipe2(os.O_CLOEXEC)
    os.close(write_end)
    try:
        pid = _spawn_guardian(path, 0, pipe, lock, int(brand) if brand.isdigit() else 0, cgroup)
    finally:
        os.close(pipe)
    pidfd = os.pidfd_open(pid)
    if is_ready(pidfd, PATIENCE):
        os.waitpid(pid, 0)
    else:
        threading.Thread(target=os.waitpid, args=(pid, 0), name="wait for a burial", daemon=True).start()
    os.close(pidfd)
