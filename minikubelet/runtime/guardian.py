"""The program that outlives a killed minikubelet and leaves nothing of its containers behind (LOCAL-9).

Executed with `python -I -S`: it waits until minikubelet is dead, whatever killed it, and has then heard by a
pipe whether it had ended in order. If not, all that is left of the run is killed, until nothing is, and the
run's directory is cleaned up. docs/CONTAINMENT.md says what "all"
is on which host: what is in the run's cgroup, what has its brand, what has its name in the environment, and
the sessions of those.

It waits as a shell, which takes a fifth of the memory and which it executes when there is nothing to do but
wait; and that executes it again, in the same process, with what it has heard.

The cgroup is made by minikubelet, but moving there takes the kernel ten milliseconds; so we do it for
minikubelet, and for what it may have started meanwhile. We stay outside, and remove the cgroup when
minikubelet has ended, in order or not.

Arguments: what minikubelet has said, or `NOTHING_YET`; its pid, if it is our parent, or 0 if it has long been
dead; the run's name, brand and cgroup (0 or nothing where it has none); and then the command that cleans up.
The descriptor `PIPE` is where it speaks; it ends with minikubelet at the latest.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MARKER = b"MINIKUBELET_CONTAINER="
LOCKS = 10
"RLIMIT_LOCKS, which has the brand of the run."

SHELL = "/bin/sh"

PIPE = 3

NOTHING_YET = "-"

ALL_DONE = "."
"What minikubelet says when it ends in order: nothing is left but the cgroup that it is in itself."

DONE = ":"
"The same, where it has made other cgroups besides."

WAIT = """
said= cgroup=$1 python=$2 guardian=$3; shift 3
IFS= read -r said <&3
if [ "$said" = . ] && rmdir "$cgroup" 2>/dev/null; then exit; fi
if [ ! "$said" ] && [ "$cgroup" ]; then echo 1 2>/dev/null >"$cgroup/cgroup.kill"; fi
exec "$python" -I -S "$guardian" "$said" "$@"
"""
"""Of sh(1): until the pipe ends. That is when minikubelet does, a moment before its process: should rmdir(1)
be sooner than that, we come back to wait for it. Killing does not wait for Python, which takes a while to
start on a busy machine."""


def main() -> None:
    said, parent, run = sys.argv[1], int(sys.argv[2]), os.fsencode(sys.argv[3])
    brand, cgroup, clean_up = int(sys.argv[4]), sys.argv[5], sys.argv[6:]
    if said == NOTHING_YET and parent:
        begin(parent, run, cgroup)
        said = wait_for_the_end(cgroup)
    in_order = said in (ALL_DONE, DONE)
    if not in_order:
        hurry()
    supervisor = open_parent(parent)
    if supervisor is not None:
        is_ready(supervisor)
    for directory in cgroups_of(os.fsdecode(run), cgroup):
        kill_cgroup(directory, 0.1)  # those outside of it need not wait for those in it
    if not in_order:
        kill_all_of(run, brand)
    for directory in cgroups_of(os.fsdecode(run), cgroup):
        kill_cgroup(directory, 10)
        remove_cgroup(directory)
    if not in_order:
        os.execv(clean_up[0], clean_up)


def begin(parent: int, run: bytes, cgroup: str) -> None:
    os.chdir("/")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)  # meant for the foreground, which we watch over
    if cgroup and cgroup_of(os.getpid()).endswith(b"/" + run):  # in place of one that was killed
        write(f"{os.path.dirname(cgroup)}/cgroup.procs", os.getpid())
    supervisor = open_parent(parent)
    if cgroup and supervisor is not None:
        move_to(cgroup, parent, supervisor)


def wait_for_the_end(cgroup: str) -> str:
    """What minikubelet says before its end. Returns only where there is no shell that could do it."""
    try:
        os.execv(SHELL, ["sh", "-c", WAIT, "sh", cgroup, sys.executable, __file__, *sys.argv[2:]])
    except OSError:
        return os.read(PIPE, 1).decode()


def open_parent(parent: int) -> int | None:
    """A pidfd of minikubelet; None when it is dead, and we have been adopted by somebody else."""
    if os.getppid() != parent:
        return None
    try:
        pidfd = os.pidfd_open(parent)
    except OSError:
        return None
    return pidfd if os.getppid() == parent else None


def hurry() -> None:
    """Where we may, be served before all that keeps this machine busy; it is not for long."""
    try:
        os.nice(-20)
    except OSError:
        pass


# ------------------------------------------------------------------ by cgroup


def move_to(cgroup: str, supervisor: int, supervisor_fd: int) -> None:
    """Move minikubelet, our living parent, and all that it has started by now but us, if we may.

    A move may take longer than most lives. When minikubelet is dead, killing comes first.
    """
    here = f"{os.path.dirname(cgroup)}/cgroup.procs"
    there = f"{cgroup}/cgroup.procs"
    outside, born = cgroup_of(os.getpid()), born_at(os.getpid())
    if not write(there, supervisor):
        return
    seen = {supervisor, os.getpid()}
    while left := descendants(supervisor) - seen:
        seen |= left
        for pid in left:
            if is_ready(supervisor_fd, 0):
                return
            try:
                pidfd = os.pidfd_open(pid)
            except OSError:
                continue
            # One that is elsewhere already has limits of its own; one that is older than we are cleans up
            # after another run. One that has just died may have lost its pid to somebody else: whoever that
            # is must not be killed with this run.
            is_ours = cgroup_of(pid) == outside and born_at(pid) >= born
            if is_ours and write(there, pid) and is_ready(pidfd, 0):
                write(here, pid)
            os.close(pidfd)


def cgroup_of(pid: int) -> bytes:
    lines = read(f"/proc/{pid}/cgroup").splitlines()
    return next((line for line in lines if line.startswith(b"0::")), b"")


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    parents = [pid]
    while parents:
        parent = parents.pop()
        try:
            tasks = os.listdir(f"/proc/{parent}/task")
        except OSError:
            continue
        for task in tasks:
            children = {int(child) for child in read(f"/proc/{parent}/task/{task}/children").split()}
            parents += children - found
            found |= children
    return found


def born_at(pid: int) -> int:
    """The start time of proc_pid_stat(5)."""
    fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[19]) if fields else 0


def cgroups_of(run: str, cgroup: str) -> list[str]:
    """Those that the run has made, wherever a part of the hierarchy was delegated to it; children first."""
    found = []
    above = os.path.dirname(cgroup)
    while cgroup and os.path.exists(f"{above}/cgroup.procs"):
        found += [f"{above}/{name}" for name in os.listdir(above) if name.startswith(run)]
        above = os.path.dirname(above)
    return found


def kill_cgroup(cgroup: str, seconds: float) -> None:
    """And wait until the kernel says that nobody is in it, or below. With cgroup.kill it misses nobody."""
    deadline = time.monotonic() + seconds
    while b"populated 1" in read(f"{cgroup}/cgroup.events") and time.monotonic() < deadline:
        if not write(f"{cgroup}/cgroup.kill", 1):  # before Linux 5.14
            for pid in members_of(cgroup):
                for pidfd in kill_if(pid, lambda pid: pid in members_of(cgroup)):
                    os.close(pidfd)
        time.sleep(0.002)


def members_of(cgroup: str) -> list[int]:
    """And of those below."""
    places = [directory for directory, _, _ in os.walk(cgroup)]
    return [int(pid) for place in places for pid in read(f"{place}/cgroup.procs").split()]


def remove_cgroup(cgroup: str) -> None:
    for directory, _, _ in os.walk(cgroup, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            pass  # somebody whom nobody can kill is in it


# ------------------------------------------------------------------ by what processes have of the run


def kill_all_of(run: bytes, brand: int) -> None:
    """Until a look at all processes finds nobody who lives."""
    while dying := list(kill_members(run, brand)):
        deadline = time.monotonic() + 1
        for pidfd in dying:
            is_ready(pidfd, max(deadline - time.monotonic(), 0))
            os.close(pidfd)


def kill_members(run: bytes, brand: int) -> Iterator[int]:
    """Those with the run's brand or name, and all others of their sessions; pidfds to wait for.

    First those whom one system call tells from others: on a busy machine all else comes too late.
    """
    sessions: dict[int, int] = {}
    ours = set()
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]:
        session = session_of(pid)
        if not is_branded(pid, brand):
            sessions[pid] = session
            continue
        if session == pid or is_named(pid, run):
            ours.add(session)
        yield from kill_if(pid, lambda pid: is_branded(pid, brand))
    for pid, session in sessions.items():
        if is_named(pid, run):  # then it leads a session of its own, or comes of one that does
            ours.add(session)
    ours.discard(0)  # the dead have none, nor has the kernel
    for pid, session in sessions.items():
        if session in ours:
            yield from kill_if(pid, lambda pid: session_of(pid) in ours)


def session_of(pid: int) -> int:
    """0 where there is none any more."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def is_branded(pid: int, brand: int) -> bool:
    try:
        return brand != 0 and resource.prlimit(pid, LOCKS)[0] == brand
    except PermissionError:  # a setuid program, say: whom we may not ask, we may read about
        return b"%d" % brand in read(f"/proc/{pid}/limits").split()
    except ProcessLookupError:
        return False


def is_named(pid: int, run: bytes) -> bool:
    environ = read(f"/proc/{pid}/environ")
    return run in environ and any(v.startswith(MARKER) and run in v for v in environ.split(b"\0"))


def kill_if(pid: int, is_meant: Callable[[int], bool]) -> Iterator[int]:
    """SIGKILL; the pidfd to wait for, unless it was gone or is not ours to kill.

    A pid that we have read somewhere may be another's by now. What holds of it after it was opened holds of
    the process that the pidfd stands for, or that one is dead.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if is_meant(pid) and not is_ready(pidfd, 0):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            yield pidfd
            return
    except OSError:
        pass
    os.close(pidfd)


def is_ready(fd: int, seconds: float | None = None) -> bool:
    """A pidfd: whether the process is dead; a pipe: whether something can be read. Waits for it."""
    poll = select.poll()  # select(2) ends at 1024
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def read(path: str) -> bytes:
    """Empty when the process is gone, or somebody else's."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def write(path: str, number: int) -> bool:
    try:
        with open(path, "wb", buffering=0) as file:
            file.write(b"%d" % number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
    os._exit(0)
