"""Pod sandboxes: what the containers of a pod share, apart from the rest of the machine.

Responsible for making a pod's namespaces, for starting processes in them, and for sockets of its network.
Refuses to know lifecycles: it makes processes just as `spawn` does. What has to be done *inside* is done
by `sandbox_holder`, a small program that every pod has one of; this is the side that asks it.

As root there is no user namespace unless the pod wants one (`hostUsers: false`), otherwise all sandboxes of
a run share one, in which the user keeps its ids. A container is PID 1 of a PID namespace of its own, or,
with `shareProcessNamespace`, one among those of the pod's, whose PID 1 only reaps. A network of its own
has a loopback interface and no way out.
"""

import _socket
import errno
import marshal
import os
import signal
import struct
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minikubelet.api.pod import PodSpec
from minikubelet.api.values import frozen
from minikubelet.runtime.brand import pass_on
from minikubelet.runtime.descriptors import give_limit
from minikubelet.runtime.mounts import MountError, find_tool
from minikubelet.runtime.security import CAPABILITIES, Security
from minikubelet.runtime.spawn import Spawned, User
from minikubelet.runtime.users import CAP_SYS_ADMIN, has_capability

if TYPE_CHECKING:
    import socket

REPLY_TIMEOUT = 10.0
"Seconds; what a holder does takes one or two milliseconds."

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_HOLDER = "import sys; sys.path.append(sys.argv[3]); import sandbox_holder; sandbox_holder.main()"
"Imported, it needs no compiling, which costs time and memory that every process would be cloned with."


class SandboxError(Exception):
    """A sandbox cannot be made, or is gone."""


@frozen
class SandboxSpec:
    """What a pod has of its own."""

    hostname: str
    "None of its own where it is empty: `hostNetwork`."
    own_network: bool = True
    own_ipc: bool = True
    own_pids: bool = True
    "False: `hostPID`."
    shares_pids: bool = False
    "One PID namespace for all containers: `shareProcessNamespace`."
    own_users: bool = False
    "A user namespace even for root: `hostUsers: false`."
    sysctls: tuple[tuple[str, str], ...] = ()

    @property
    def namespaces(self) -> int:
        """The flags of those that all containers share, but for PIDs and users; see clone(2)."""
        return (
            (CLONE_NEWUTS if self.hostname else 0)
            | (CLONE_NEWIPC if self.own_ipc else 0)
            | (CLONE_NEWNET if self.own_network else 0)
        )


def sandbox_spec(spec: PodSpec, hostname: str, *, own_network: bool) -> SandboxSpec:
    """What a pod's manifest asks for; `own_network` where the pod is to have its own, if it may."""
    own_network = own_network and not spec.host_network
    return SandboxSpec(
        hostname="" if spec.host_network else hostname,
        own_network=own_network,
        own_ipc=not spec.host_ipc,
        own_pids=not spec.host_pid,
        shares_pids=spec.share_process_namespace,
        own_users=spec.host_users is False,
        sysctls=tuple(
            (one["name"], one["value"])
            for one in spec.security_context.sysctls or ()
            if (own_network if one["name"].startswith("net.") else not spec.host_ipc)
        ),
    )


Run = Callable[[Callable[[], Spawned]], Spawned]
"""Calls a function in the thread that is to be the parent of what it makes."""


class Sandboxes:
    """The sandboxes of a run. The first holder of each kind is started for the first pod that wants it."""

    def __init__(self, run: Run = lambda make: make()) -> None:
        self._run = run
        self._first: dict[bool, _Process] = {}

    def make(self, spec: SandboxSpec, hosts: str = "") -> "Sandbox":
        """Takes 1 ms, and 15 ms more for the first. Raises `SandboxError`.

        `hosts` is a file to be seen as /etc/hosts by all who are in it.
        """
        in_user_namespace = spec.own_users or not has_capability(CAP_SYS_ADMIN)
        first = self._first.get(in_user_namespace)
        if first is None:
            first = self._first[in_user_namespace] = self._start_first(in_user_namespace)
        options = {
            "flags": CLONE_NEWNS | spec.namespaces,
            "hostname": spec.hostname,
            "hosts": hosts,
            "shares_pid": spec.own_pids and spec.shares_pids,
            "sysctls": [(f"/proc/sys/{name.replace('.', '/')}", value) for name, value in spec.sysctls],
        }
        try:
            holder = first.make("holder")
            try:
                holder.wait()
                (pause,) = holder.channel.ask("enter", options)
            except OSError:
                holder.close()
                raise
        except OSError as error:
            raise SandboxError(f"cannot make a pod sandbox: {first.last_words or error.strerror}") from error
        if spec.own_pids and not pause:
            first.make_spare()
        return Sandbox(spec, first, holder, pause)

    def _start_first(self, in_user_namespace: bool) -> "_Process":
        """Raises `SandboxError`."""
        ours, theirs = _socket.socketpair()
        me = os.pidfd_open(os.getpid())
        for fd in (theirs.fileno(), me):
            os.set_inheritable(fd, True)
        where = os.path.dirname(__file__)
        python = [sys.executable, "-I", "-S", "-c", _HOLDER, str(theirs.fileno()), str(me), where]
        maps_all = has_capability(CAP_SYS_ADMIN)

        words = os.memfd_create("holder")

        def start() -> Spawned:
            enter = [find_tool("unshare"), "--user", "--map-current-user", "--keep-caps", "--"]
            argv = [*enter, *python] if in_user_namespace and not maps_all else python
            to_words = [(os.POSIX_SPAWN_DUP2, words, fd) for fd in (1, 2)]
            # Whatever is looked up late would be looked up by every clone.
            env = {"LC_ALL": "C.UTF-8", "LD_BIND_NOW": "1"}
            return Spawned(os.posix_spawn(argv[0], argv, env, file_actions=to_words, setpgroup=0), -1)

        try:
            pid = self._run(start).pid
        except (OSError, MountError) as error:
            ours.close()
            os.close(words)
            raise SandboxError(str(error)) from error
        finally:
            theirs.close()
            os.close(me)
        give_limit(pid)
        holder = _Process(_Channel(ours), pid, words)
        if in_user_namespace and maps_all:
            try:
                _make_user_namespace(holder)
            except OSError as error:
                holder.close()
                raise SandboxError(f"cannot make a user namespace: {error.strerror}") from error
        return holder

    def close(self) -> None:
        """To be called when no sandbox is going to start anything any more."""
        for holder in self._first.values():
            holder.close()
        self._first.clear()


def _make_user_namespace(holder: "_Process") -> None:
    """One in which everybody is who they are outside, but capabilities end at the sandbox."""
    holder.channel.ask("users")
    for kind in ("uid", "gid"):
        known = [line.split() for line in Path(f"/proc/self/{kind}_map").read_text().splitlines()]
        same = "".join(f"{first} {first} {length}\n" for first, _, length in known)
        Path(f"/proc/{holder.pid}/{kind}_map").write_text(same)


class Sandbox:
    """The namespaces of one pod. They last until `close` and the end of all who are in them."""

    def __init__(self, spec: SandboxSpec, first: "_Process", holder: "_Process", pause: int) -> None:
        self.spec = spec
        self._first = first
        self._holder = holder
        self.pause = pause
        "Pid of the process that a shared PID namespace begins with, and that adopts its orphans; or 0."

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdout: int,
        stderr: int,
        user: User | None = None,
        umask: int = 0o022,
        security: Security | None = None,
        mounts: int | None = None,
        joins: int | None = None,
    ) -> Spawned:
        """What `spawn` does, in the sandbox. The process dies when the thread that calls this ends.

        `security` stands for `user` and more. `mounts` is a mount namespace to be in; `joins` the pidfd of
        a process started here whose mounts and PID namespace to share. Raises `OSError`.
        """
        security = security or Security(user)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fds = [null, stdout, stderr]
            order = self._order(argv, [0, 1, 2], security, env=env, cwd=cwd, umask=umask)
            pid = self._start(order, fds, mounts, joins)
        finally:
            os.close(null)
        return Spawned(pid, os.pidfd_open(pid))

    def spawn_helper(self, argv: Sequence[str], stdin: int, stdout: int, fds: Sequence[int]) -> int:
        """Start a helper with all capabilities of the sandbox, outside of PID namespaces; its pid."""
        env = {"PATH": os.defpath, "LC_ALL": "C"}
        order = self._order(argv, [0, 1, 2, *fds], Security(), env=env, cwd="/", umask=0o022)
        order |= {"own_proc": False, "keeps_capabilities": True}
        child = self._holder.make("child", False)
        return child.execute(order, [stdin, stdout, stdout, *fds])

    def _order(
        self,
        argv: Sequence[str],
        numbers: Sequence[int],
        security: Security,
        *,
        env: Mapping[str, str],
        cwd: str,
        umask: int,
    ) -> dict[str, Any]:
        user = security.user
        known = CAPABILITIES.split()
        return {
            "argv": list(argv),
            "env": dict(env),
            "cwd": cwd,
            "umask": umask,
            "fds": list(numbers),
            "own_proc": self.spec.own_pids,
            "user": None if user is None else (user.uid, user.gid, list(user.groups)),
            "seen_as": security.seen_as,
            "dropped": [known.index(name) for name in security.dropped],
            "no_new_privs": security.no_new_privs,
            "keeps_capabilities": False,
        }

    def _start(self, order: dict[str, Any], fds: list[int], mounts: int | None, joins: int | None) -> int:
        own_pids = self.spec.own_pids and not self.pause
        enters: list[tuple[int, int]] = []
        if joins is not None:
            enters.append((joins, CLONE_NEWNS))
            if order["seen_as"]:
                enters.append((joins, CLONE_NEWUSER))
            order |= {"own_proc": False, "seen_as": None}
        elif mounts is not None:
            enters.append((mounts, CLONE_NEWNS))
        if not own_pids:
            return self._holder.make("child", False).execute(order, fds, enters)
        if joins is not None:
            # To enter a PID namespace holds for children only, so it takes somebody in between.
            middle = self._holder.make("holder")
            try:
                return middle.make("child", False, fds=[joins]).execute(order, fds, enters)
            finally:
                middle.close()
        if not self._holder.is_there():
            raise _gone()
        pod = os.pidfd_open(self._holder.pid)
        try:
            enters.insert(0, (pod, CLONE_NEWNS | self.spec.namespaces))
            return self._first.take_spare().execute(order, fds, enters)
        finally:
            os.close(pod)
            self._first.make_spare()

    def open_socket(self, family: int, kind: int) -> "socket.socket":
        """A socket of the pod's network. Raises `OSError`."""
        import socket

        fd = self._holder.channel.ask_for_fd("socket", int(family), int(kind))
        return socket.socket(family, kind, fileno=fd)

    def close(self) -> None:
        """To be called when the pod's processes are gone. Harmless when it is closed already."""
        self._holder.close()
        if self.pause:
            os.kill(self.pause, signal.SIGKILL)
            os.waitpid(self.pause, 0)
            self.pause = 0


class _Process:
    """A holder, or a process that waits for its order. What is wrong with it is an `OSError`."""

    def __init__(self, channel: "_Channel", pid: int = 0, words: int = -1) -> None:
        self.channel = channel
        self.pid = pid
        "0 until it is told."
        self._words = words
        "Where a first holder, or what comes before it, says why it cannot go on."
        self._spare: _Process | None = None

    @property
    def last_words(self) -> str:
        """The last line of them."""
        said = os.pread(self._words, 10_000, 0).decode(errors="replace") if self._words >= 0 else ""
        return said.strip().rpartition("\n")[2]

    def wait(self) -> None:
        """Until it exists."""
        if not self.pid:
            (self.pid,) = self.channel.answer()

    def is_there(self) -> bool:
        """False when somebody has killed it: its channel may outlive it for a moment, in who made it."""
        try:
            self.wait()
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except OSError:
            return False

    # -------------------------------------------------------------- as a holder

    def make(self, what: str, *arguments: Any, fds: Sequence[int] = ()) -> "_Process":
        """Ask for another one, without waiting for it."""
        ours, theirs = _socket.socketpair()
        made = _Process(_Channel(ours))
        try:
            self.channel.send((what, *arguments), [theirs.fileno(), *fds])
        except OSError:
            made.channel.close()
            raise
        finally:
            theirs.close()
        return made

    def make_spare(self) -> None:
        """In the time that there is before another container starts, so that it starts faster."""
        try:
            self._spare = self._spare or self.make("child", True)
        except OSError:
            pass  # who is going to need it will be told

    def take_spare(self) -> "_Process":
        """A process with a PID namespace of its own."""
        spare, self._spare = self._spare, None
        if spare is not None:
            if spare.is_there():
                return spare
            spare.close()
        return self.make("child", True)

    # -------------------------------------------------------------- as one that waits

    def execute(self, order: dict[str, Any], fds: list[int], enters: Sequence[tuple[int, int]] = ()) -> int:
        """Let it become the program that is ordered, which has the mark of this thread; its pid.

        `enters`: what it enters before, and the flags of setns(2) for it.
        """
        order["enters"] = [flags for _, flags in enters]
        try:
            self.wait()
            pass_on(self.pid)
            self.channel.send((order,), [*fds, *(fd for fd, _ in enters)])
            answer = self.channel.receive()[0]
        except OSError:
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
            self.close()
            raise
        if answer is None:  # the channel ended with execve
            self.channel.close()
            return self.pid
        self.close()
        _, number, text = answer
        if text.startswith("\0"):  # nothing that the manifest names
            raise OSError(number, text[1:], "sandbox")
        raise OSError(number, os.strerror(number), text)

    def close(self) -> None:
        """Let it end, and what it has in reserve."""
        if self._spare is not None:
            self._spare.close()
            self._spare = None
        try:
            self.wait()
        except OSError:
            pass  # it never came to be
        self.channel.close()
        if self.pid:
            os.waitpid(self.pid, 0)
            self.pid = 0
        if self._words >= 0:
            os.close(self._words)
            self._words = -1


class _Channel:
    """Our end of the conversation with a holder, or with what it made."""

    def __init__(self, end: _socket.socket) -> None:
        self._end = end
        self.limit(REPLY_TIMEOUT)

    def limit(self, seconds: float) -> None:
        """How long to wait for an answer. The kernel does so: to poll(2) first would take twice the calls."""
        whole, rest = divmod(seconds, 1)
        for option in (_socket.SO_RCVTIMEO, _socket.SO_SNDTIMEO):
            self._end.setsockopt(_socket.SOL_SOCKET, option, struct.pack("ll", int(whole), int(rest * 1e6)))

    def ask(self, what: str, *arguments: Any) -> Sequence[Any]:
        """What was answered after `True`. Raises `OSError`."""
        self.send((what, *arguments))
        return self.answer()

    def answer(self) -> Sequence[Any]:
        return self._answer()[0]

    def ask_for_fd(self, what: str, *arguments: Any) -> int:
        self.send((what, *arguments))
        fd = self._answer()[1]
        assert fd is not None
        return fd

    def _answer(self) -> tuple[Sequence[Any], int | None]:
        answer, fd = self.receive()
        if answer is None:
            raise self._break_off(ConnectionResetError())
        ok, *values = answer
        if not ok:
            raise OSError(*values)
        return values, fd

    def send(self, request: tuple[Any, ...], fds: Sequence[int] = ()) -> None:
        body = marshal.dumps(request)
        message = struct.pack("I", len(body)) + body
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
        try:
            sent = self._end.sendmsg([message], rights)
            if sent < len(message):
                self._end.sendall(message[sent:])
        except OSError as error:
            raise self._break_off(error) from error

    def receive(self) -> tuple[Sequence[Any] | None, int | None]:
        """The next message, None at the end, and the descriptor that came with it."""
        try:
            head, ancillary, _, _ = self._end.recvmsg(4, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
            if not head:
                return None, None
            fd = next((number for _, _, data in ancillary for number in struct.unpack("i", data)), None)
            (left,) = struct.unpack("I", head)
            body = b""
            while len(body) < left:
                piece = self._end.recv(left - len(body))
                if not piece:
                    raise ConnectionResetError
                body += piece
        except OSError as error:
            raise self._break_off(error) from error
        answer: Sequence[Any] = marshal.loads(body)
        return answer, fd

    def _break_off(self, error: OSError) -> OSError:
        """An answer that comes too late would be taken for the next one."""
        self.close()
        return _gone("does not answer" if isinstance(error, BlockingIOError) else "is gone")

    def close(self) -> None:
        self._end.close()


def _gone(what: str = "is gone") -> OSError:
    return OSError(errno.ESRCH, f"the holder of the sandbox {what}", "sandbox")


# ------------------------------------------------------------------ what this machine allows


@cache
def sandbox_trouble() -> str:
    """Why this machine allows no pod sandbox; empty if it does. Found out by doing, in 30 ms, once."""
    sandboxes = Sandboxes()
    try:
        sandbox = sandboxes.make(SandboxSpec("sandbox-test"))
        try:
            return _try_out(sandbox)
        finally:
            sandbox.close()
    except SandboxError as error:
        return str(error)
    except OSError as error:
        return str(error.strerror or error)
    finally:
        sandboxes.close()


def _try_out(sandbox: Sandbox) -> str:
    with tempfile.TemporaryFile() as output:
        script = 'echo "$$ $(uname -n)"'
        argv = ["/bin/sh", "-c", script]
        env = {"PATH": os.defpath}
        process = sandbox.spawn(argv, env=env, cwd="/", stdout=output.fileno(), stderr=output.fileno())
        os.close(process.pidfd)
        os.waitpid(process.pid, 0)
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
    return "" if said == "1 sandbox-test" else f"a process in a pod sandbox said: {said}"
