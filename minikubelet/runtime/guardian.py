"""The program that outlives a killed minikubelet and leaves nothing of its containers behind (LOCAL-9).

Executed with `python -I -S`, never imported: it holds the reading end of a pipe whose other end only
minikubelet has, and waits. When the pipe ends, minikubelet is dead, whatever killed it; then every process
that carries the run's name in its environment is killed, with all of its session, until none is left, and
the run's directory is cleaned up. A minikubelet that ends in order kills its guardian last.

Arguments: the descriptor, the run's name, and then the command that cleans up.
"""

import os
import select
import signal
import sys

MARKER = b"MINIKUBELET_CONTAINER="


def wait_for_the_end(pipe: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # meant for the foreground, which we watch over
    while os.read(pipe, 1):
        pass


def kill_all_of(run: bytes) -> None:
    """Until a look at all processes finds none that is not a zombie."""
    while dying := [pidfd for pid in members_of(run) if (pidfd := kill(pid)) is not None]:
        for pidfd in dying:
            select.select([pidfd], [], [], 1.0)
            os.close(pidfd)


def members_of(run: bytes) -> list[int]:
    """Processes of the run by their environment, and all others of their sessions, which may have cleaned
    theirs."""
    sessions: dict[int, int] = {}
    marked = set()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                state, session = read_stat(name)
                if state in "ZX":
                    continue
                sessions[int(name)] = session
                if is_marked(name, run):
                    marked.add(session)
            except OSError:
                continue  # it is gone, or somebody else's
    return [pid for pid, session in sessions.items() if session in marked]


def read_stat(pid: str) -> tuple[str, int]:
    """State and session of proc_pid_stat(5)."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return fields[0].decode(), int(fields[3])


def is_marked(pid: str, run: bytes) -> bool:
    with open(f"/proc/{pid}/environ", "rb") as file:
        variables = file.read().split(b"\0")
    return any(v.startswith(MARKER) and run in v for v in variables)


def kill(pid: int) -> int | None:
    """SIGKILL; the pidfd to wait for, None if it was gone or is not ours to kill."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except OSError:
        os.close(pidfd)
        return None
    return pidfd


if __name__ == "__main__":
    os.chdir("/")
    wait_for_the_end(int(sys.argv[1]))
    kill_all_of(os.fsencode(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])
