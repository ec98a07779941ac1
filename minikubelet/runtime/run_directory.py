"""What a run has in the directory for temporary files, and how the next start knows whether it still lives.

Responsible for directories with a file in them that is locked for as long as minikubelet, or its guardian,
lives. The one idea: a lock is let go by the kernel, whatever its holder died of, and means nothing else;
pids come again. Refuses to know what is to be done with a dead run (`guard`).
"""

import errno
import fcntl
import os
import stat

from minikubelet.api.patterns import pattern
from minikubelet.runtime.removal import remove_tree

PREFIX = "minikubelet-"
"Of the directories, and so of the names of runs, which their cgroups begin with."

_NAME = pattern(PREFIX + "[0-9a-f]{8}")

RECORD = "run"
"The file that is locked: what the run's processes have in common, as a guardian wants to be told."


class RunDirectory:
    """A new directory below `parent`, which is ours until `remove`, and that the next start knows us by.

    `brand` is the run's, `cgroup` where it may have one of its own (the directory of another), or None.
    """

    def __init__(self, parent: str, brand: int, cgroup: str | None) -> None:
        self.path, self.lock = make_locked(parent)
        os.chmod(self.path, 0o711)  # a container that runs as somebody else has to get to its directories
        self.brand = brand
        self.name = os.path.basename(self.path)
        self.has_limits = False
        "There may be other cgroups of the run than its own."
        self.cgroup = f"{cgroup}/{self.name}" if cgroup is not None else ""
        os.write(self.lock, f"{brand}\n{self.cgroup}\n".encode())
        if self.cgroup:
            try:
                os.mkdir(self.cgroup)
            except OSError:
                self.cgroup = ""

    def enter_cgroup(self) -> None:
        """Be there now, before one is made for others: what is started from here on is.

        Takes the kernel some milliseconds.
        """
        self.has_limits = True
        if self.cgroup:
            try:
                with open(f"{self.cgroup}/cgroup.procs", "w") as members:
                    members.write("0")
            except OSError:
                pass  # then others may not move us either

    def discard(self) -> None:
        """Nothing was ever started in it, not even a guardian."""
        if self.cgroup:
            os.rmdir(self.cgroup)
        os.unlink(f"{self.path}/{RECORD}")
        os.rmdir(self.path)
        os.close(self.lock)


def temporary_directory() -> str:
    """Where `tempfile` would make its files, without loading that, which the first container would wait for.

    Raises `FileNotFoundError`.
    """
    wanted = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    for place in (*wanted, "/tmp", "/var/tmp", "/usr/tmp", os.curdir):
        if place and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            return os.path.abspath(place)
    raise FileNotFoundError(errno.ENOENT, "no directory for temporary files can be written to", "/tmp")


def make_locked(parent: str) -> tuple[str, int]:
    """A new directory that the next start removes if we die; its lock, to be closed when it is removed."""
    while True:
        path = f"{parent}/{PREFIX}{os.urandom(4).hex()}"
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            continue
        try:
            lock = os.open(f"{path}/{RECORD}", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # another start took it for what a dead one left, in the moment before it had a record
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_nlink:
                return path, lock
        except BlockingIOError:
            pass  # another start took it for a dead run's, in the moment before it was locked
        os.close(lock)


def remove_run_directory(path: str) -> None:
    """The record last: by it the next start knows what is left if we are killed half-way. Raises OSError."""
    for name in os.listdir(path):
        if name != RECORD:
            try:
                remove_tree(f"{path}/{name}")
            except OSError:
                pass  # found again below
    remove_tree(path)


def lock_of_dead(path: str) -> int | None:
    """The lock of a dead run, which is ours now; None if there is none. Raises `OSError`.

    A run that was killed before it had a record, or when it had removed that, leaves its directory empty:
    that is removed at once.
    """
    directory = os.open(path, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(directory).st_uid != os.geteuid():
            return None
        lock = os.open(RECORD, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    except FileNotFoundError:
        if _NAME.fullmatch(os.path.basename(path)):
            os.rmdir(path)
        return None
    finally:
        os.close(directory)
    try:
        found = os.fstat(lock)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(lock).st_nlink:
            raise FileNotFoundError
    except OSError:
        os.close(lock)
        raise
    return lock
