"""What the supervisor owes to all processes that come of its containers: to find, kill and reap them.

As their subreaper it adopts every process whose parent died, finds out whose it is, kills it when its
container ends, and reaps it (TERM-16, TERM-17). The one idea: whatever escapes (double forks, sessions of
its own) becomes a child of ours at the latest when those before it are dead. A child of ours keeps its pid
until we reap it, so it can be looked at and killed without ever hitting another process.
"""

import errno
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from time import monotonic, sleep
from types import FrameType

from minikubelet.runtime.brand import Brand
from minikubelet.runtime.descriptors import make_room
from minikubelet.runtime.proc import (
    MARKER,
    children_of,
    descendants,
    kill_group,
    output_inodes,
    parent_of,
    read_marker,
    read_stat,
)
from minikubelet.runtime.process import ProcessTree
from minikubelet.runtime.reactor import Reactor
from minikubelet.runtime.spawn import SHORTAGES, Spawn, Spawned, SpawnThread, User, close_all, spawn

KILL_TIMEOUT = 5.0
"Seconds that the end of the supervisor waits for those it killed; only the kernel can hold them longer."

SHORTAGE_PAUSE = 0.01
"Seconds until orphans are looked for again when descriptors ran out: nobody tells when there are some."

_Handler = Callable[[int, FrameType | None], object] | int | None

_COMMANDS = 1 << 16
"""A mark is a multiple of it for a container. What it leaves over is for the container's commands: should one
still be around when their numbers come again, what is left of it is taken for the later one's."""

_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37


class Reaper:
    """What the supervisor does as parent and child subreaper; one in a process, made before the first spawn.

    It takes over SIGCHLD (where it is made in the main thread), which tells of adopted processes that died.
    A child that this process started by other means is left alone as long as it stays in our own session.

    Its work after an exit is one reading of a list of orphans, once for all exits of a batch.
    """

    def __init__(self, reactor: Reactor, brand: Brand | None = None) -> None:
        self.reactor = reactor
        self.brand = brand or Brand()
        above = os.environ.get(MARKER, "")
        self._marker_prefix = above and above + ":"
        self._pid = os.getpid()
        self._session = os.getsid(0)
        self._trees: dict[str, ProcessTree] = {}
        self._sessions: dict[int, ProcessTree] = {}
        self._marks: dict[int, ProcessTree] = {}
        self._orphans: dict[int, Orphan] = {}
        self._dying: dict[ProcessTree, None] = {}
        "Their main processes are dead; in the order of death."
        self._looking = False
        self.foster_parents: set[int] = set()
        "First processes of PID namespaces that containers share: they adopt orphans, and reap them."
        self.command_numbers = count(1)
        self._container_numbers = count(1)
        _open_standard_fds()
        self._was_subreaper = _set_subreaper(True)
        self._spawn_thread = SpawnThread()
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
        mark: int,
        spawn: Spawn = spawn,
        lasts: bool = True,
    ) -> tuple[Spawned, list[int]]:
        """Spawn for the tree `key`, with stdout and stderr into two pipes or one; also the reading ends.

        What does not last may stand among the orphans meanwhile, and is spared the way to the other thread.
        """
        env = {**env, MARKER: self._marker_prefix + key}
        read_ends: list[int] = []
        write_ends: list[int] = []

        def call() -> Spawned:
            stdout, stderr = write_ends[0], write_ends[-1]
            with self.brand.on(mark):
                spawned = spawn(argv, env=env, cwd=cwd, stdout=stdout, stderr=stderr, user=user, umask=umask)
            return spawned._replace(mark=mark)

        try:
            for _ in range(outputs):
                read_end, write_end = os.pipe2(os.O_CLOEXEC)
                read_ends.append(read_end)
                write_ends.append(write_end)
                os.set_blocking(read_end, False)
            make_room(write_ends[-1])
            return self._spawn_thread.run(call) if lasts else call(), read_ends
        except BaseException as error:
            close_all(read_ends)
            if isinstance(error, OSError) and error.errno in SHORTAGES:  # whatever was to be opened
                error.filename = argv[0]
            raise
        finally:
            close_all(write_ends)

    def new_mark(self) -> int:
        """For a container."""
        return next(self._container_numbers) * _COMMANDS

    @staticmethod
    def mark_of_command(container: int, number: int) -> int:
        """For a command in the container with that mark."""
        return container + 1 + number % (_COMMANDS - 1)

    def run_as_parent(self, function: Callable[[], Spawned]) -> Spawned:
        """Call a function in the thread that is the parent of all that lasts."""
        return self._spawn_thread.run(function)

    def register(self, tree: ProcessTree) -> None:
        assert tree.key not in self._trees, tree.key
        self._trees[tree.key] = self._sessions[tree.pid] = self._marks[tree.mark] = tree

    def unregister(self, tree: ProcessTree) -> None:
        del self._trees[tree.key]
        del self._sessions[tree.pid]
        if self._marks[tree.mark] is tree:
            del self._marks[tree.mark]

    def lay_down(self, orphan: "Orphan") -> None:
        """It has been reaped; its children are ours now."""
        del self._orphans[orphan.pid]
        self.look_again()

    def bury(self, tree: ProcessTree) -> None:
        """Its main process is dead: see that the others die, too, then `finish` it."""
        self._dying[tree] = None
        self.look_again()

    def kill_marked(self, mark: int, container: int) -> None:
        """Kill what has a command's mark below the main process of its container.

        Where that is PID 1 of a namespace, the orphans of the command are adopted by it, and never by us.
        """
        killed: dict[int, str] = {}
        while fresh := {
            pid: started
            for pid, started in descendants(container).items()
            if killed.get(pid) != started and self.brand.read(pid) == mark
        }:
            for pid in fresh:
                try:
                    pidfd = os.pidfd_open(pid)
                except ProcessLookupError:
                    continue
                try:
                    if self.brand.read(pid) == mark:  # for it may have died, and the pid be another's
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass
                finally:
                    os.close(pidfd)
            killed |= fresh

    def look_again(self) -> None:
        """At the end of this batch look for new orphans, and finish the trees that are gone."""
        if not self._looking:
            self._looking = True
            self.reactor.defer(self._look)

    def _look(self) -> None:
        self._looking = False
        has_seen_all = True
        try:
            self._adopt()
        except OSError as error:  # for want of descriptors; those whom we kill give theirs back
            if error.errno not in SHORTAGES:
                raise
            has_seen_all = False
        for tree in tuple(self._dying):
            if tree.clear() and has_seen_all:
                del self._dying[tree]
                tree.finish()
        if self._dying and not has_seen_all:
            sleep(SHORTAGE_PAUSE)
            os.eventfd_write(self._child_died, 1)

    def _adopt(self) -> None:
        """Find our new children. Where one was dead already, its children may have come since."""
        while True:
            parents = (self._pid, *self.foster_parents)
            found = (pid for parent in parents for pid in children_of(parent, [parent]))
            fresh = [pid for pid in found if pid not in self._orphans and pid not in self._sessions]
            reaped = [pid for pid in fresh if self._examine(pid)]
            if not reaped:
                break
        if self._dying:
            for orphan in self._orphans.values():
                if orphan.tree is None:
                    orphan.move_to(self._owner(orphan.pid))

    def _examine(self, pid: int) -> bool:
        """Adopt a child of ours, or of a foster parent; whether it is gone, and its children have come."""
        try:
            if os.getsid(pid) == self._session:
                return False  # started by other parts of this program
            stat = read_stat(pid)
            if stat is not None and stat.is_dead:
                return self.reap(os.P_PID, pid)
            orphan = Orphan(self, pid)
        except ProcessLookupError:  # its foster parent was faster
            return True
        self._orphans[pid] = orphan
        orphan.move_to(self._owner(pid))
        return False

    @staticmethod
    def reap(kind: int, number: int) -> bool:
        """Whether a process, if it is dead, is gone for good now."""
        try:
            return os.waitid(kind, number, os.WEXITED | os.WNOHANG) is not None
        except ChildProcessError:  # its foster parent's task
            return kind == os.P_PIDFD

    def _owner(self, pid: int) -> ProcessTree | None:
        """Whose a child of ours is: by its session, brand, environment, late parent, or output."""
        stat = read_stat(pid)
        if stat is None:
            return None
        if stat.session in self._sessions:
            return self._sessions[stat.session]
        mark = self.brand.read(pid)
        branded = self._marks.get(mark) or self._marks.get(mark - mark % _COMMANDS)
        if branded is not None:
            return branded
        path = read_marker(pid)
        if path.startswith(self._marker_prefix):
            path = path.removeprefix(self._marker_prefix)
            while path:
                if path in self._trees:
                    return self._trees[path]
                path = path.rpartition(":")[0]
        outputs = output_inodes(pid)
        return next((tree for tree in self._trees.values() if tree.accepts(pid, stat.started, outputs)), None)

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        os.eventfd_write(self._child_died, 1)
        if callable(self._old_handler):
            self._old_handler(number, frame)

    def _notice_signal(self) -> None:
        os.eventfd_read(self._child_died)
        self.look_again()


class Orphan:
    """An adopted process: its parent died, and we are its parent now."""

    __slots__ = ("_condemned", "_fostered", "_mortal", "_pidfd", "_reaper", "pid", "tree")

    def __init__(self, reaper: "Reaper", pid: int) -> None:
        """Raises `ProcessLookupError` when the child of a foster parent is gone."""
        self.pid = pid
        self.tree: ProcessTree | None = None
        "Whose it is; None for a stranger."
        self._reaper = reaper
        self._condemned = False
        self._mortal = True
        self._pidfd = os.pidfd_open(pid)
        try:
            parent = parent_of(pid)
        except OSError:  # that was the last descriptor
            os.close(self._pidfd)
            raise
        self._fostered = parent != os.getpid()
        "Somebody else reaps it, so its pid may become another's at any time; only the pidfd is sure."
        if self._fostered and parent not in reaper.foster_parents:
            os.close(self._pidfd)
            raise ProcessLookupError(errno.ESRCH, "no child of ours any more")
        reaper.reactor.watch(self._pidfd, self._notice_end)

    def move_to(self, tree: ProcessTree | None) -> None:
        if self.tree is not None:
            self.tree.dismiss(self)
        self.tree = tree
        if tree is not None:
            tree.admit(self)

    def kill(self) -> bool:
        """SIGKILL to it, and its group; its children come to us when it is dead. False where we may not."""
        if self._condemned:
            return self._mortal
        self._condemned = True
        if self.tree is not None:
            self.tree.expect(descendants(self.pid))
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        except PermissionError:  # a setuid program: nobody must wait for it
            self._mortal = False
            self.move_to(None)
        if not self._fostered:
            kill_group(os.getpgid(self.pid))
        return self._mortal

    def _notice_end(self) -> None:
        if not self._reaper.reap(os.P_PIDFD, self._pidfd):
            return
        self._reaper.reactor.unwatch(self._pidfd)
        os.close(self._pidfd)
        self.move_to(None)
        self._reaper.lay_down(self)


def _set_subreaper(on: bool) -> bool:
    """prctl(2); what it was before. The whole of ctypes would take a 25th of a program's start."""
    from _ctypes import _SimpleCData, byref, call_function, dlopen, dlsym

    class Word(_SimpleCData):  # type: ignore[type-arg]
        _type_ = "L"  # unsigned long, as the kernel takes it; the int that it gives fits in

    prctl = partial(call_function, dlsym(dlopen(None, 0), "prctl"))  # type: ignore[arg-type]
    before = Word()
    if prctl((_PR_GET_CHILD_SUBREAPER, byref(before), Word(), Word(), Word())) or prctl(
        (_PR_SET_CHILD_SUBREAPER, Word(on), Word(), Word(), Word())
    ):
        raise OSError(errno.EINVAL, "cannot become a child subreaper")
    return bool(before.value)


def _open_standard_fds() -> None:
    """If we were started without stdin, stdout or stderr, no pipe of a container may get their numbers."""
    while (fd := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= 2:
        pass
    os.close(fd)
