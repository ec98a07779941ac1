"""The supervisor's side of `guardian`: start it first, end it last, and clean up where it had to step in."""

import os
import signal
import sys
from pathlib import Path

from minikubelet.runtime.mounts import MountPoints
from minikubelet.runtime.removal import remove_tree
from minikubelet.runtime.spawn import CATCHABLE

_HERE = Path(__file__).parent
_CLEAN_UP = "import sys; from minikubelet.runtime.guard import clean_up; clean_up(sys.argv[1])"


class Guard:
    """A guardian for the processes whose marker holds the name of `run_dir`.

    It stays in our session (one of its own would make it an orphan in the eyes of the reaper) but in a
    group of its own, so that Ctrl-C does not reach it.
    """

    def __init__(self, run_dir: Path) -> None:
        read_end, self._write_end = os.pipe2(os.O_CLOEXEC)
        clean_up = [sys.executable, "-c", _CLEAN_UP, str(run_dir)]
        program = [sys.executable, "-I", "-S", str(_HERE / "guardian.py"), "3", run_dir.name, *clean_up]
        streams = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        try:
            self._pid = os.posix_spawn(
                program[0],
                program,
                {"PYTHONPATH": str(_HERE.parent.parent)},
                file_actions=[*streams, (os.POSIX_SPAWN_DUP2, read_end, 3)],
                setpgroup=0,
                setsigmask=(),
                setsigdef=CATCHABLE,
            )
        finally:
            os.close(read_end)

    def close(self) -> None:
        """Nothing is left that would have to be guarded."""
        os.kill(self._pid, signal.SIGKILL)  # our child, not reaped, so the pid is its own
        os.waitpid(self._pid, 0)
        os.close(self._write_end)


def clean_up(run_dir: str) -> None:
    """Remove what a dead run made: its mount points as far as they are empty, and its directory."""
    points = MountPoints(Path(run_dir) / "mount-points.json")
    for owner in points.owners:
        points.release(owner)
    try:
        remove_tree(Path(run_dir))
    except OSError:
        pass  # nobody is left to tell
