"""Container instances and their commands: processes with output, an end, and nothing left behind.

A container instance is one session of processes (LOCAL-1). `LocalProcess` is one instance with its log,
`run_command` runs a probe's or hook's command beside it. What they leave behind is the `reaper`'s to find.
"""

import errno
import fcntl
import os
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from minikubelet.api.values import frozen
from minikubelet.runtime.logs import ContainerLog
from minikubelet.runtime.proc import descendants, kill_group
from minikubelet.runtime.reactor import Reactor
from minikubelet.runtime.spawn import Spawn, Spawned, User, spawn

if TYPE_CHECKING:
    from minikubelet.runtime.reaper import Orphan, Reaper

READ_SIZE = 65536
"Bytes a pipe may give in one turn: what a pipe holds unless somebody enlarges it."

OUTPUT_LIMIT = 10 * 1024
"Bytes kept of what a probe's or hook's command says (PROBE-21)."


class OutputPipe:
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

    __slots__ = ("_heirs", "_others", "_pidfd", "_pipes", "exit_code", "key", "mark", "pid", "reaper")

    def __init__(self, reaper: "Reaper", key: str, process: Spawned, pipes: Sequence[OutputPipe]) -> None:
        self.pid = process.pid
        self.mark = process.mark
        self.key = key
        "Where it stands in `MARKER`, below our own."
        self.exit_code: int | None = None
        "Of the main process, 128+n for death by signal n (STATUS-5); None while it runs."
        self._pidfd = process.pidfd
        self._pipes = pipes
        self.reaper = reaper
        self._others: set[Orphan | ProcessTree] = set()
        "Adopted processes, and the commands that run in the container."
        self._heirs: dict[int, str] = {}
        "Descendants seen just before their parents were killed: pid to start time."
        reaper.register(self)
        reaper.reactor.watch(self._pidfd, self._notice_end)

    @property
    def pidfd(self) -> int:
        """Of the main process; it is closed when the tree is gone."""
        return self._pidfd

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
            self._heirs.update(descendants(self.pid))
            kill_group(self.pid)
        self.clear()

    def _notice_end(self) -> None:
        status = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if status is None:
            return
        self.reaper.reactor.unwatch(self._pidfd)
        self.exit_code = status.si_status + (0 if status.si_code == os.CLD_EXITED else 128)
        self._main_ended()

    def _main_ended(self) -> None:
        kill_group(self.pid)
        self.reaper.bury(self)

    def _reap(self) -> None:
        os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        os.close(self._pidfd)
        self.reaper.unregister(self)

    def admit(self, other: "Orphan | ProcessTree") -> None:
        """It ends with this tree."""
        self._others.add(other)

    def dismiss(self, other: "Orphan | ProcessTree") -> None:
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
            OutputPipe(reaper.reactor, stdout, partial(log.write, "stdout")),
            OutputPipe(reaper.reactor, stderr, partial(log.write, "stderr")),
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
        spawn: Spawn = spawn,
    ) -> "LocalProcess":
        """Start an instance. Raises `OSError` as `spawn` does; then the log is still the caller's to close.

        `exited` gets the exit code when the whole tree is gone and its output is in the log, closed by then.
        Before that `died` gets the pid of the main process, dead and not reaped yet.
        `container_id` is one that no other living instance has, without a colon.
        """
        process, outputs = reaper.spawn(
            2,
            argv,
            key=container_id,
            env=env,
            cwd=cwd,
            user=user,
            umask=umask,
            mark=reaper.new_mark(),
            spawn=spawn,
        )
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


@frozen
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
        pipe = OutputPipe(container.reaper.reactor, output, self._collect)
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
        spawn: Spawn = spawn,
        keep_leftovers: bool = False,
    ) -> "Command":
        """Start a command. Raises `OSError`: as `spawn` does, or ESRCH when the container is dead already."""
        if container.exit_code is not None:
            raise ProcessLookupError(errno.ESRCH, "the container is not running", argv[0])
        number = next(container.reaper.command_numbers)
        key = f"{container.key}:exec-{number}"
        process, (output,) = container.reaper.spawn(
            1,
            argv,
            key=key,
            env=env,
            cwd=cwd,
            user=user,
            umask=umask,
            mark=container.reaper.mark_of_command(container.mark, number),
            spawn=spawn,
            lasts=False,
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
        self.reaper.kill_marked(self.mark, self._container.pid)

    def _collect(self, chunk: bytes) -> None:
        self._output += chunk[: self._limit - len(self._output)]

    def _main_ended(self) -> None:
        if self._killed:
            super()._main_ended()
            return
        if not self._keep_leftovers:
            kill_group(self.pid)
        self.finish()

    def finish(self) -> None:
        if self._killed:
            self.reaper.kill_marked(self.mark, self._container.pid)
        self._reap()
        (pipe,) = self._pipes
        pipe.drain()
        if self._keep_leftovers and not self._killed:
            pipe.discard()
        else:
            pipe.close()
        for other in tuple(self._others):
            assert not isinstance(other, ProcessTree)  # a command has no commands
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
    spawn: Spawn = spawn,
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
            spawn=spawn,
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
