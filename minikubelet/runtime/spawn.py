"""Make a process: exactly what execve(2) is given, and exactly what it answers.

Knows nothing of containers. `spawn` makes a session leader with two pipes or files as its output; it may
be called from a `SpawnThread`, which is then the parent of what it makes.
"""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple, Protocol

from minikubelet.api.values import frozen
from minikubelet.runtime.descriptors import given_limit

SHORTAGES = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""What says that this machine, or a limit of ours, has no room for one more process: no fault of the program,
and perhaps gone the next time."""


class ShortageError(Exception):
    """The machine, or a limit of ours, has no room for what is wanted; the text says of what."""


CATCHABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
"What a child gets back to the defaults, for Python ignores SIGPIPE, and nohup SIGHUP."

_SpawnAction = tuple[int, int] | tuple[int, int, int] | tuple[int, int, str, int, int]


@frozen
class User:
    """Who a process runs as; only root can ask for it (LOCAL-6)."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    "Supplementary groups, in place of ours."


class Spawned(NamedTuple):
    pid: int
    pidfd: int
    "To be closed by whoever asked for the process."
    mark: int = 0
    "See `brand`."


class Spawn(Protocol):
    """`spawn`, or what stands in for it."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdout: int,
        stderr: int,
        user: User | None = None,
        umask: int = 0o022,
    ) -> Spawned: ...


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    stdout: int,
    stderr: int,
    user: User | None = None,
    umask: int = 0o022,
) -> Spawned:
    """Start a process in a session of its own, with stdin from /dev/null and default signal handling.

    `argv[0]` without a slash is looked for in the PATH of `env`; with one it is relative to `cwd`.
    Raises `OSError` with the error of execve(2) or chdir(2), `filename` being `argv[0]` or `cwd`; one of
    `SHORTAGES` where no process could be made.

    What posix_spawn(3) has no word for (directory, umask, credentials, limits) is set in ourselves around
    the call, for some microseconds. So our memory is never forked, none of our code runs in the child, and
    the error of execve is exact. Threads must not count on those meanwhile.
    """
    foreign = _foreign_fds()
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(cwd)
        old_umask = os.umask(umask)
        try:
            with given_limit(stdout, stderr) as outputs:
                actions: list[_SpawnAction] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
                actions += [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(outputs, 1)]
                actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in foreign]
                pid = _spawn_as(user, argv, env, actions) if user else _spawn_program(argv, env, actions)
        finally:
            os.umask(old_umask)
            os.fchdir(here)
    finally:
        os.close(here)
    try:
        return Spawned(pid, os.pidfd_open(pid))
    except OSError:  # no descriptor left
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _spawn_program(argv: Sequence[str], env: Mapping[str, str], actions: Sequence[_SpawnAction]) -> int:
    """Try the places where the program may be, as execvpe(3) does with the child's own PATH."""
    name = argv[0]
    candidates = [name]
    if "/" not in name:
        places = (os.path.join(folder, name) for folder in env.get("PATH", os.defpath).split(":"))
        candidates = [place for place in places if os.path.isfile(place)]
    error = OSError(errno.ENOENT, "executable file not found in $PATH")
    for candidate in candidates:
        try:
            return os.posix_spawn(
                candidate,
                list(argv),
                env,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=CATCHABLE,
            )
        except ValueError as unfit:  # a NUL byte, or `=` in the name of a variable
            error = OSError(errno.EINVAL, str(unfit))
            break
        except OSError as failed:
            error = failed
            if failed.errno != errno.EACCES:
                break
    error.filename = name
    raise error


def _spawn_as(
    user: User, argv: Sequence[str], env: Mapping[str, str], actions: Sequence[_SpawnAction]
) -> int:
    """Spawn under borrowed credentials.

    The child is born with them, and its execve drops the saved root id that lets us return. Meanwhile the
    user cannot trace us: the kernel makes a process that changes its ids undumpable.
    """
    uids, gids, groups = os.getresuid(), os.getresgid(), os.getgroups()
    try:
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, gids[1])
        os.setresuid(user.uid, user.uid, uids[1])
        return _spawn_program(argv, env, actions)
    finally:
        os.setresuid(*uids)
        os.setresgid(*gids)
        os.setgroups(groups)


@cache
def _foreign_fds() -> tuple[int, ...]:
    """Descriptors that we were started with and would hand on; Python's own are never inherited (PEP 446)."""
    inherited = [fd for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and _is_inheritable(fd)]
    limit = os.sysconf("SC_OPEN_MAX")
    for fd in inherited:
        if fd >= limit:  # it was lowered since; posix_spawn(3) refuses to close those
            os.set_inheritable(fd, False)
    return tuple(fd for fd in inherited if fd < limit)


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # it served to list the directory
        return False


class SpawnThread:
    """A thread that is the parent of all containers, and does nothing else.

    The kernel lists children by thread, and gives orphans to the first thread of their subreaper. So with
    the containers hanging on another one, the first thread's list has the orphans, the commands that are
    under way and nobody else, and looking for orphans costs the same however many containers run. The two
    hops take 10 microseconds.
    """

    def __init__(self) -> None:
        self._request = threading.Lock()
        self._request.acquire()
        self._call: _SpawnCall | None = None
        self._thread = threading.Thread(target=self._serve, name="spawn", daemon=True)
        start_deaf(self._thread)

    def run(self, function: Callable[[], Spawned]) -> Spawned:
        call = self._call = _SpawnCall(function)
        self._request.release()
        call.answered.acquire()
        if call.error is not None:
            raise call.error
        assert call.result is not None
        return call.result

    def close(self) -> None:
        self._call = None
        self._request.release()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            self._request.acquire()
            call = self._call
            if call is None:
                break
            try:
                call.result = call.function()
            except BaseException as error:
                call.error = error
            call.answered.release()


def start_deaf(thread: threading.Thread) -> None:
    """Start a thread that takes no signals. Raises RuntimeError where there is no room for it.

    One that it took would wake it, for nothing, and make it fight with the main thread over the interpreter
    just when that has to act on the signal.
    """
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)


class _SpawnCall:
    __slots__ = ("answered", "error", "function", "result")

    def __init__(self, function: Callable[[], Spawned]) -> None:
        self.function = function
        self.result: Spawned | None = None
        self.error: BaseException | None = None
        self.answered = threading.Lock()
        self.answered.acquire()


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
