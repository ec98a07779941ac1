"""Real processes: spawn them, signal them, and see to it that nothing of them stays behind.

A container instance is one session of processes (LOCAL-1). `spawn` makes a process, `LocalProcess` is
one instance with its output, `run_command` runs a probe's or hook's command beside it, and `Reaper` is
what the supervisor owes to all of them: as their subreaper it adopts every process whose parent died,
finds out whose it is, kills it when its container ends, and reaps it.

The one idea: whatever escapes (double forks, sessions of its own) becomes a child of ours at the latest
when those before it are dead. A child of ours keeps its pid until we reap it, so it can be looked at
and killed without ever hitting another process.
"""

import errno
import fcntl
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache, partial
from itertools import count
from math import inf
from time import monotonic
from types import FrameType
from typing import NamedTuple

import attrs

from minikubelet.runtime.logs import ContainerLog
from minikubelet.runtime.reactor import Reactor

MARKER = "MINIKUBELET_CONTAINER"
"""Environment variable that every process of a container inherits. Its value is a path of keys joined by
colons: a command of a container, or a container of a supervisor that itself runs in a container, belongs
to all that stand before it."""

READ_SIZE = 65536
"Bytes a pipe may give in one turn: what a pipe holds unless somebody enlarges it."

OUTPUT_LIMIT = 10 * 1024
"Bytes kept of what a probe's or hook's command says (PROBE-21)."

KILL_TIMEOUT = 5.0
"Seconds that the end of the supervisor waits for those it killed; only the kernel can hold them longer."

EXECVE_TIMEOUT = 0.2
"Seconds that an orphan may take in execve before it is taken for a stranger; microseconds, but for load."

CATCHABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
"What a child gets back to the defaults, for Python ignores SIGPIPE, and nohup SIGHUP."

_SpawnAction = tuple[int, int] | tuple[int, int, int] | tuple[int, int, str, int, int]


@attrs.frozen
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
    Raises `OSError` with the error of execve(2) or chdir(2), `filename` being `argv[0]` or `cwd`.

    What posix_spawn(3) has no word for (directory, umask, credentials) is set in ourselves around the
    call, for some microseconds. So our memory is never forked, none of our code runs in the child, and
    the error of execve is exact. Threads must not count on those three meanwhile.
    """
    actions: list[_SpawnAction] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
    ]
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _foreign_fds()]
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(cwd)
        old_umask = os.umask(umask)
        try:
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
    return tuple(fd for fd in map(int, os.listdir("/proc/self/fd")) if fd > 2 and _is_inheritable(fd))


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # it served to list the directory
        return False


class _Pipe:
    """The reading end of somebody's output."""

    __slots__ = ("_fd", "_reactor", "_write")

    def __init__(self, reactor: Reactor, fd: int, write: Callable[[bytes], None]) -> None:
        self._fd = fd
        self._reactor = reactor
        self._write = write
        reactor.watch(fd, self._read)

    def _read(self) -> None:
        try:
            chunk = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        if chunk:
            self._write(chunk)
        else:
            self.close()

    def drain(self) -> None:
        """Read what is in it now, which is bounded: a process that we cannot kill may go on writing."""
        left = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ) if self._fd >= 0 else 0
        while left > 0:
            try:
                chunk = os.read(self._fd, READ_SIZE)
            except BlockingIOError:
                break
            if not chunk:
                self.close()
                break
            self._write(chunk)
            left -= len(chunk)

    def discard(self) -> None:
        """From now on nobody is interested, but those who still write shall neither block nor break."""
        self._write = _ignore

    def inode(self) -> int | None:
        return os.fstat(self._fd).st_ino if self._fd >= 0 else None

    def close(self) -> None:
        if self._fd >= 0:
            self._reactor.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1


def _ignore(value: object) -> None:
    pass


class ProcessTree:
    """A main process, the session it leads, and all that comes of it.

    When the main process has ended the others are killed (TERM-17). Until they are gone it stays unreaped,
    so that its pid, which names the session and the group, cannot become somebody else's.
    """

    __slots__ = ("_heirs", "_others", "_pidfd", "_pipes", "exit_code", "key", "pid", "reaper")

    def __init__(self, reaper: "Reaper", key: str, process: Spawned, pipes: Sequence[_Pipe]) -> None:
        self.pid = process.pid
        self.key = key
        "Where it stands in `MARKER`, below our own."
        self.exit_code: int | None = None
        "Of the main process, 128+n for death by signal n (STATUS-5); None while it runs."
        self._pidfd = process.pidfd
        self._pipes = pipes
        self.reaper = reaper
        self._others: set[_Orphan | ProcessTree] = set()
        "Adopted processes, and the commands that run in the container."
        self._heirs: dict[int, str] = {}
        "Descendants seen just before their parents were killed: pid to start time."
        reaper.register(self)
        reaper.reactor.watch(self._pidfd, self._notice_end)

    def signal(self, number: int) -> None:
        """Signal the main process; SIGKILL reaches every process (TERM-16). No effect once it is dead."""
        if number == signal.SIGKILL:
            self.kill()
        elif self.exit_code is None:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except (ProcessLookupError, PermissionError):
                pass  # it is dying; or it became somebody we may not signal (sudo), which nobody can mend

    def kill(self) -> None:
        """SIGKILL to all of it. Who left the session and has a living parent follows when that is dead."""
        if self.exit_code is None:
            self._heirs.update(_descendants(self.pid))
            _kill_group(self.pid)
        self.clear()

    def _notice_end(self) -> None:
        status = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if status is None:
            return
        self.reaper.reactor.unwatch(self._pidfd)
        self.exit_code = status.si_status + (0 if status.si_code == os.CLD_EXITED else 128)
        self._main_ended()

    def _main_ended(self) -> None:
        _kill_group(self.pid)
        self.reaper.bury(self)

    def _reap(self) -> None:
        os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        os.close(self._pidfd)
        self.reaper.unregister(self)

    def admit(self, other: "_Orphan | ProcessTree") -> None:
        """It ends with this tree."""
        self._others.add(other)

    def dismiss(self, other: "_Orphan | ProcessTree") -> None:
        """It is gone, or no longer ours."""
        self._others.discard(other)
        if self.exit_code is not None:
            self.reaper.look_again()

    def expect(self, heirs: Mapping[int, str]) -> None:
        """Those will be orphans in a moment: pid to start time."""
        self._heirs.update(heirs)

    def accepts(self, pid: int, started: str, outputs: Collection[int]) -> bool:
        """Recognise an orphan that does not say whose it is, by its parent or by what it writes to."""
        return self._heirs.get(pid) == started or any(pipe.inode() in outputs for pipe in self._pipes)

    def clear(self) -> bool:
        """Kill the others; whether there are none left."""
        for other in tuple(self._others):
            other.kill()
        return not self._others

    def silence(self) -> None:
        """Do not tell any more how it ends."""
        raise NotImplementedError

    def finish(self) -> None:
        """All the others are gone; called by the reaper."""
        raise NotImplementedError


class LocalProcess(ProcessTree):
    """A running container instance, whose output goes to its log."""

    __slots__ = ("_died", "_exited", "_log")

    def __init__(
        self,
        reaper: "Reaper",
        key: str,
        process: Spawned,
        outputs: Sequence[int],
        log: ContainerLog,
        exited: Callable[[int], None],
        died: Callable[[int], None],
    ) -> None:
        stdout, stderr = outputs
        pipes = (
            _Pipe(reaper.reactor, stdout, partial(log.write, "stdout")),
            _Pipe(reaper.reactor, stderr, partial(log.write, "stderr")),
        )
        super().__init__(reaper, key, process, pipes)
        self._log = log
        self._exited = exited
        self._died = died

    @classmethod
    def start(
        cls,
        reaper: "Reaper",
        argv: Sequence[str],
        *,
        container_id: str,
        env: Mapping[str, str],
        cwd: str,
        log: ContainerLog,
        exited: Callable[[int], None],
        died: Callable[[int], None] = _ignore,
        user: User | None = None,
        umask: int = 0o022,
    ) -> "LocalProcess":
        """Start an instance. Raises `OSError` as `spawn` does; then the log is still the caller's to close.

        `exited` gets the exit code when the whole tree is gone and its output is in the log, closed by then.
        Before that `died` gets the pid of the main process, dead and not reaped yet.
        `container_id` is one that no other living instance has, without a colon.
        """
        process, outputs = reaper.spawn(2, argv, key=container_id, env=env, cwd=cwd, user=user, umask=umask)
        return cls(reaper, container_id, process, outputs, log, exited, died)

    def _main_ended(self) -> None:
        self._died(self.pid)
        super()._main_ended()

    def silence(self) -> None:
        self._exited = _ignore

    def finish(self) -> None:
        self._reap()
        for pipe in self._pipes:
            pipe.drain()
            pipe.close()
        self._log.close()
        assert self.exit_code is not None
        self._exited(self.exit_code)


@attrs.frozen
class CommandResult:
    """How a command ended."""

    exit_code: int | None
    "128+n for death by signal n; None when time ran out or it could not be started."
    output: bytes = b""
    "The beginning of stdout and stderr together."
    start_error: str | None = None
    "Why it could not be started."


class Command(ProcessTree):
    """A probe's or hook's command, in a session of its own beside its container's main process.

    It is over when its main process is. Then its process group is killed, unless `keep_leftovers`; who
    left the group lives on as part of the container and ends with that.
    """

    __slots__ = ("_container", "_done", "_keep_leftovers", "_killed", "_limit", "_output")

    def __init__(
        self,
        container: LocalProcess,
        key: str,
        process: Spawned,
        output: int,
        done: Callable[[CommandResult], None],
        limit: int,
        keep_leftovers: bool,
    ) -> None:
        pipe = _Pipe(container.reaper.reactor, output, self._collect)
        super().__init__(container.reaper, key, process, (pipe,))
        self._container = container
        self._done = done
        self._output = bytearray()
        self._limit = limit
        self._keep_leftovers = keep_leftovers
        self._killed = False
        container.admit(self)

    @classmethod
    def start(
        cls,
        container: LocalProcess,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        done: Callable[[CommandResult], None],
        output_limit: int = OUTPUT_LIMIT,
        user: User | None = None,
        umask: int = 0o022,
        keep_leftovers: bool = False,
    ) -> "Command":
        """Start a command. Raises `OSError`: as `spawn` does, or ESRCH when the container is dead already."""
        if container.exit_code is not None:
            raise ProcessLookupError(errno.ESRCH, "the container is not running", argv[0])
        key = f"{container.key}:exec-{next(container.reaper.command_numbers)}"
        process, (output,) = container.reaper.spawn(
            1, argv, key=key, env=env, cwd=cwd, user=user, umask=umask
        )
        return cls(container, key, process, output, done, output_limit, keep_leftovers)

    def output(self) -> bytes:
        """What it said until now, up to its limit."""
        return bytes(self._output)

    def abandon(self) -> None:
        """Kill it with all its descendants; `done` will not be called. Harmless when it is over."""
        self.silence()
        self.kill()

    def silence(self) -> None:
        self._done = _ignore

    def kill(self) -> None:
        self._killed = True
        super().kill()

    def _collect(self, chunk: bytes) -> None:
        self._output += chunk[: self._limit - len(self._output)]

    def _main_ended(self) -> None:
        if self._killed:
            super()._main_ended()
            return
        if not self._keep_leftovers:
            _kill_group(self.pid)
        self.finish()

    def finish(self) -> None:
        self._reap()
        (pipe,) = self._pipes
        pipe.drain()
        if self._keep_leftovers and not self._killed:
            pipe.discard()
        else:
            pipe.close()
        for other in tuple(self._others):
            assert isinstance(other, _Orphan)  # a command has no commands
            other.move_to(self._container)
        self._container.dismiss(self)
        self._done(CommandResult(self.exit_code, self.output()))


async def run_command(
    container: LocalProcess,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    timeout_seconds: float | None,
    output_limit: int = OUTPUT_LIMIT,
    user: User | None = None,
    umask: int = 0o022,
    keep_leftovers: bool = False,
) -> CommandResult:
    """Run a command in the context of a container, up to `timeout_seconds` (None: no limit).

    It returns at the end of the command itself, even if a process that it left behind holds its output.
    When time runs out, or the caller is cancelled, the command is killed with all its descendants.
    """
    import trio  # not before the first spawn: importing trio takes 0.14 s

    over = trio.Event()
    results: list[CommandResult] = []

    def done(result: CommandResult) -> None:
        results.append(result)
        over.set()

    try:
        command = Command.start(
            container,
            argv,
            env=env,
            cwd=cwd,
            done=done,
            output_limit=output_limit,
            user=user,
            umask=umask,
            keep_leftovers=keep_leftovers,
        )
    except OSError as error:
        await trio.lowlevel.checkpoint()
        return CommandResult(None, start_error=f'exec: "{error.filename}": {error.strerror}')
    try:
        with trio.move_on_after(inf if timeout_seconds is None else timeout_seconds):
            await over.wait()
    finally:
        if not results:
            command.abandon()
    return results[0] if results else CommandResult(None, command.output())


class _SpawnThread:
    """A thread that is the parent of all we spawn, and does nothing else.

    The kernel lists children by thread, and gives orphans to the first thread of their subreaper. So with
    our own children hanging on another one, the first thread's list has the orphans alone, and looking for
    them costs the same however many containers run. The two hops take 10 microseconds.
    """

    def __init__(self) -> None:
        self._request = threading.Lock()
        self._request.acquire()
        self._call: _SpawnCall | None = None
        # A signal that this thread took would not wake the main thread.
        old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self._thread = threading.Thread(target=self._serve, name="spawn", daemon=True)
        self._thread.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)

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


class _SpawnCall:
    __slots__ = ("answered", "error", "function", "result")

    def __init__(self, function: Callable[[], Spawned]) -> None:
        self.function = function
        self.result: Spawned | None = None
        self.error: BaseException | None = None
        self.answered = threading.Lock()
        self.answered.acquire()


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)


class _Orphan:
    """An adopted process: its parent died, and we are its parent now."""

    __slots__ = ("_condemned", "_mortal", "_pidfd", "_reaper", "pid", "tree")

    def __init__(self, reaper: "Reaper", pid: int) -> None:
        self.pid = pid
        self.tree: ProcessTree | None = None
        "Whose it is; None for a stranger."
        self._reaper = reaper
        self._condemned = False
        self._mortal = True
        self._pidfd = os.pidfd_open(pid)
        reaper.reactor.watch(self._pidfd, self._notice_end)

    def move_to(self, tree: ProcessTree | None) -> None:
        if self.tree is not None:
            self.tree.dismiss(self)
        self.tree = tree
        if tree is not None:
            tree.admit(self)

    def kill(self) -> bool:
        """SIGKILL to it and its group; its children come to us when it is dead. False where we may not."""
        if self._condemned:
            return self._mortal
        self._condemned = True
        if self.tree is not None:
            self.tree.expect(_descendants(self.pid))
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        except PermissionError:  # a setuid program: nobody must wait for it
            self._mortal = False
            self.move_to(None)
        _kill_group(os.getpgid(self.pid))
        return self._mortal

    def _notice_end(self) -> None:
        if os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG) is None:
            return
        self._reaper.reactor.unwatch(self._pidfd)
        os.close(self._pidfd)
        self.move_to(None)
        self._reaper.lay_down(self)


class Reaper:
    """What the supervisor does as parent and child subreaper; one in a process, made before the first spawn.

    It takes over SIGCHLD (where it is made in the main thread), which tells of adopted processes that died.
    A child that this process started by other means is left alone as long as it stays in our own session.

    Its work after an exit is one reading of a list of orphans, once for all exits of a batch.
    """

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        above = os.environ.get(MARKER, "")
        self._marker_prefix = above and above + ":"
        self._pid = os.getpid()
        self._session = os.getsid(0)
        self._trees: dict[str, ProcessTree] = {}
        self._sessions: dict[int, ProcessTree] = {}
        self._orphans: dict[int, _Orphan] = {}
        self._dying: dict[ProcessTree, None] = {}
        "Their main processes are dead; in the order of death."
        self._looking = False
        self.command_numbers = count(1)
        _open_standard_fds()
        self._was_subreaper = _set_subreaper(True)
        self._spawn_thread = _SpawnThread()
        self._child_died = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        reactor.watch(self._child_died, self._notice_signal)
        self._old_handler: _Handler = None
        try:
            self._old_handler = signal.signal(signal.SIGCHLD, self._handle_signal)
        except ValueError:
            pass  # not the main thread: adopted processes that died are then reaped at the next exit

    def kill_strangers(self) -> None:
        """Kill and reap adopted processes that belong to no container, waiting for their end."""
        self._exterminate(trees=False)

    def close(self) -> None:
        """The supervisor ends: kill and reap all that is left, containers included; nobody is told."""
        for tree in tuple(self._trees.values()):
            tree.silence()
            tree.kill()
        self._exterminate(trees=True)
        if self._old_handler is not None:
            signal.signal(signal.SIGCHLD, self._old_handler)
        _set_subreaper(self._was_subreaper)
        self._spawn_thread.close()
        self.reactor.unwatch(self._child_died)
        os.close(self._child_died)

    def _exterminate(self, *, trees: bool) -> None:
        deadline = monotonic() + KILL_TIMEOUT
        while monotonic() < deadline:
            self._adopt()
            strangers = [orphan for orphan in self._orphans.values() if orphan.tree is None and orphan.kill()]
            if not strangers and not (trees and self._trees):
                break
            self.reactor.run_once(deadline - monotonic())

    def spawn(
        self,
        outputs: int,
        argv: Sequence[str],
        *,
        key: str,
        env: Mapping[str, str],
        cwd: str,
        user: User | None,
        umask: int,
    ) -> tuple[Spawned, list[int]]:
        """Spawn for the tree `key`, with stdout and stderr into two pipes or one; also the reading ends."""
        env = {**env, MARKER: self._marker_prefix + key}
        read_ends: list[int] = []
        write_ends: list[int] = []

        def call() -> Spawned:
            stdout, stderr = write_ends[0], write_ends[-1]
            return spawn(argv, env=env, cwd=cwd, stdout=stdout, stderr=stderr, user=user, umask=umask)

        try:
            for _ in range(outputs):
                read_end, write_end = os.pipe2(os.O_CLOEXEC)
                read_ends.append(read_end)
                write_ends.append(write_end)
                os.set_blocking(read_end, False)
            return self._spawn_thread.run(call), read_ends
        except BaseException:
            _close(read_ends)
            raise
        finally:
            _close(write_ends)

    def register(self, tree: ProcessTree) -> None:
        assert tree.key not in self._trees, tree.key
        self._trees[tree.key] = self._sessions[tree.pid] = tree

    def unregister(self, tree: ProcessTree) -> None:
        del self._trees[tree.key]
        del self._sessions[tree.pid]

    def lay_down(self, orphan: _Orphan) -> None:
        """It has been reaped; its children are ours now."""
        del self._orphans[orphan.pid]
        self.look_again()

    def bury(self, tree: ProcessTree) -> None:
        """Its main process is dead: see that the others die, too, then `finish` it."""
        self._dying[tree] = None
        self.look_again()

    def look_again(self) -> None:
        """At the end of this batch look for new orphans, and finish the trees that are gone."""
        if not self._looking:
            self._looking = True
            self.reactor.defer(self._look)

    def _look(self) -> None:
        self._looking = False
        self._adopt()
        for tree in tuple(self._dying):
            if tree.clear():
                del self._dying[tree]
                tree.finish()

    def _adopt(self) -> None:
        """Find our new children. Where one was dead already, its children may have come since."""
        while True:
            fresh = [pid for pid in _children(self._pid, [self._pid]) if pid not in self._orphans]
            reaped = [pid for pid in fresh if self._examine(pid)]
            if not reaped:
                break
        if self._dying:
            for orphan in self._orphans.values():
                if orphan.tree is None:
                    orphan.move_to(self._owner(orphan.pid))

    def _examine(self, pid: int) -> bool:
        """Adopt a child of ours; whether it was dead and has been reaped."""
        stat = _read_stat(pid)
        if stat is None or stat.session == self._session:
            return False  # started by other parts of this program
        if stat.state in "ZX":
            return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None
        orphan = _Orphan(self, pid)
        self._orphans[pid] = orphan
        orphan.move_to(self._owner(pid))
        return False

    def _owner(self, pid: int) -> ProcessTree | None:
        """Whose a child of ours is: by its session, its environment, its late parent, its output."""
        stat = _read_stat(pid)
        if stat is None:
            return None
        if stat.session in self._sessions:
            return self._sessions[stat.session]
        path = _read_marker(pid)
        if path.startswith(self._marker_prefix):
            path = path.removeprefix(self._marker_prefix)
            while path:
                if path in self._trees:
                    return self._trees[path]
                path = path.rpartition(":")[0]
        outputs = _output_inodes(pid)
        return next((tree for tree in self._trees.values() if tree.accepts(pid, stat.started, outputs)), None)

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        os.eventfd_write(self._child_died, 1)
        if callable(self._old_handler):
            self._old_handler(number, frame)

    def _notice_signal(self) -> None:
        os.eventfd_read(self._child_died)
        self.look_again()


_Handler = Callable[[int, FrameType | None], object] | int | None

_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37


def _set_subreaper(on: bool) -> bool:
    """prctl(2); what it was before. Of a program's start loading ctypes takes 1.4 ms."""
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    before = ctypes.c_int()
    if prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0) or prctl(
        _PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(on), 0, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "cannot become a child subreaper")
    return bool(before.value)


def _open_standard_fds() -> None:
    """If we were started without stdin, stdout or stderr, no pipe of a container may get their numbers."""
    while (fd := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= 2:
        pass
    os.close(fd)


def _kill_group(group: int) -> None:
    """SIGKILL to a process group that a child of ours, not reaped yet, is a member of."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nobody in it that we may signal


def _children(pid: int, threads: Iterable[int]) -> list[int]:
    """Pids of the children of some threads of a process; none for a process that is gone."""
    return [int(child) for thread in threads for child in _read(pid, f"task/{thread}/children").split()]


def _descendants(pid: int) -> dict[int, str]:
    """Pids and start times of all descendants, as far as they hold still."""
    found: dict[int, str] = {}
    parents = [pid]
    while parents:
        parent = parents.pop()
        try:
            threads = [int(thread) for thread in os.listdir(f"/proc/{parent}/task")]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in _children(parent, threads):
            stat = _read_stat(child)
            if stat is not None and child not in found:
                found[child] = stat.started
                parents.append(child)
    return found


class _Stat(NamedTuple):
    """Some of proc_pid_stat(5)."""

    state: str
    session: int
    started: str


def _read_stat(pid: int) -> _Stat | None:
    fields = _read(pid, "stat").rpartition(b")")[2].decode().split()  # the name before it may hold anything
    return _Stat(fields[0], int(fields[3]), fields[19]) if fields else None


def _read_marker(pid: int) -> str:
    """The value of `MARKER` in the environment a process was started with; empty if it cannot be known."""
    deadline = monotonic() + EXECVE_TIMEOUT
    while True:
        is_set_up = _read(pid, "cmdline") != b""
        environ = _read(pid, "environ")
        if environ or is_set_up or monotonic() > deadline:
            break
        stat = _read_stat(pid)
        if stat is None or stat.state in "ZX":
            break
        os.sched_yield()  # within execve neither is there yet, and nothing tells when they are
    start = b"\0%b=" % MARKER.encode()
    return (b"\0" + environ).partition(start)[2].partition(b"\0")[0].decode(errors="replace")


def _read(pid: int, name: str) -> bytes:
    """A file of /proc; empty when the process is gone or we may not look."""
    try:
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
            return file.readall()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _output_inodes(pid: int) -> set[int]:
    """What a process has as its stdout and stderr."""
    inodes = set()
    for fd in (1, 2):
        try:
            inodes.add(os.stat(f"/proc/{pid}/fd/{fd}").st_ino)
        except OSError:  # closed, or not for us to see
            pass
    return inodes
