"""Processes as /proc shows them (proc(5)), for those who have to find out whose a process is.

Every reading may come too late: a process that is gone, or not for us to see, reads as nothing.
"""

import os
import signal
from collections.abc import Iterable
from time import monotonic
from typing import NamedTuple

from minikubelet.runtime.spawn import SHORTAGES

MARKER = "MINIKUBELET_CONTAINER"
"""Environment variable that every process of a container inherits. Its value is a path of keys joined by
colons: a command of a container, or a container of a supervisor that itself runs in a container, belongs
to all that stand before it."""

EXECVE_TIMEOUT = 0.2
"Seconds that an orphan may take in execve before it is taken for a stranger; microseconds, but for load."


def kill_group(group: int) -> None:
    """SIGKILL to a process group that a child of ours, not reaped yet, is a member of."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nobody in it that we may signal


def children_of(pid: int, threads: Iterable[int]) -> list[int]:
    """Pids of the children of some threads of a process; none for a process that is gone."""
    return [int(child) for thread in threads for child in _read(pid, f"task/{thread}/children").split()]


def descendants(pid: int) -> dict[int, str]:
    """Pids and start times of all descendants, as far as they hold still and descriptors last."""
    found: dict[int, str] = {}
    parents = [pid]
    while parents:
        parent = parents.pop()
        try:
            threads = [int(thread) for thread in os.listdir(f"/proc/{parent}/task")]
            children = [(child, read_stat(child)) for child in children_of(parent, threads)]
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError as error:
            if error.errno in SHORTAGES:
                break
            raise
        for child, stat in children:
            if stat is not None and child not in found:
                found[child] = stat.started
                parents.append(child)
    return found


class ProcessStat(NamedTuple):
    """Some of proc_pid_stat(5)."""

    is_dead: bool
    "A zombie; one whose threads live on without the first of them is none."
    session: int
    started: str


def read_stat(pid: int) -> ProcessStat | None:
    fields = _read(pid, "stat").rpartition(b")")[2].decode().split()  # the name before it may hold anything
    if not fields:
        return None
    return ProcessStat(fields[0] in "ZX" and int(fields[17]) <= 1, int(fields[3]), fields[19])


def parent_of(pid: int) -> int:
    """Its parent; 0 for a process that is gone."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def read_marker(pid: int) -> str:
    """The value of `MARKER` in the environment a process was started with; empty if it cannot be known."""
    deadline = monotonic() + EXECVE_TIMEOUT
    while True:
        is_set_up = _read(pid, "cmdline") != b""
        environ = _read(pid, "environ")
        if environ or is_set_up or monotonic() > deadline:
            break
        stat = read_stat(pid)
        if stat is None or stat.is_dead:
            break
        os.sched_yield()  # within execve neither is there yet, and nothing tells when they are
    start = b"\0%b=" % MARKER.encode()
    return (b"\0" + environ).partition(start)[2].partition(b"\0")[0].decode(errors="replace")


def _read(pid: int, name: str) -> bytes:
    """A file of /proc; empty when the process is gone or we may not look."""
    try:
        file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
    pieces = []
    try:
        while piece := os.read(file, 1 << 16):
            pieces.append(piece)
    except (ProcessLookupError, PermissionError):
        return b""
    finally:
        os.close(file)
    return b"".join(pieces)


def output_inodes(pid: int) -> set[int]:
    """What a process has as its stdout and stderr."""
    inodes = set()
    for fd in (1, 2):
        try:
            inodes.add(os.stat(f"/proc/{pid}/fd/{fd}").st_ino)
        except OSError:  # closed, or not for us to see
            pass
    return inodes


def own_cgroup(proc: str) -> str | None:
    """The directory of the cgroup in the v2 hierarchy that the process of a directory in /proc is in.

    Raises `OSError`.
    """
    with open(f"{proc}/cgroup") as cgroups, open(f"{proc}/mountinfo") as mounts:
        paths = [line[3:-1] for line in cgroups if line.startswith("0::")]
        for line in mounts:
            fields, _, rest = line.partition(" - ")
            if rest.startswith("cgroup2 ") and paths:
                root, mount_point = fields.split()[3:5]
                below = os.path.relpath(paths[0], root)
                if not below.startswith(".."):
                    return os.path.normpath(f"{mount_point}/{below}")
    return None
