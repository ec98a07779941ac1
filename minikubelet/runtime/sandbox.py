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
from minikubelet.api.values import define, frozen
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

CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000

_HOLDER = str(Path(__file__).with_name("sandbox_holder.py"))


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
        self._first: dict[bool, _Holder] = {}

    def make(self, spec: SandboxSpec, hosts: str = "") -> "Sandbox":
        """Takes 1 ms, and 15 ms more for the first. Raises `SandboxError`.

        `hosts` is a file to be seen as /etc/hosts by all who are in it.
        """
        in_user_namespace = spec.own_users or not has_capability(CAP_SYS_ADMIN)
        first = self._first.get(in_user_namespace)
        if first is None:
            first = self._first[in_user_namespace] = self._start_first(in_user_namespace)
        flags = (
            (CLONE_NEWUTS if spec.hostname else 0)
            | (CLONE_NEWIPC if spec.own_ipc else 0)
            | (CLONE_NEWNET if spec.own_network else 0)
        )
        options = {
            "flags": flags,
            "hostname": spec.hostname,
            "hosts": hosts,
            "shares_pid": spec.own_pids and spec.shares_pids,
            "sysctls": [(f"/proc/sys/{name.replace('.', '/')}", value) for name, value in spec.sysctls],
        }
        ours, theirs = _socket.socketpair()
        made: list[int] = []

        def ask() -> Spawned:
            answer = first.channel.ask("pod", options, fds=[theirs.fileno()])
            made.append(answer[1])
            return Spawned(answer[0], -1)

        try:
            pid = self._run(ask).pid
        except OSError as error:
            ours.close()
            raise SandboxError(f"cannot make a pod sandbox: {first.last_words or error.strerror}") from error
        finally:
            theirs.close()
        return Sandbox(spec, _Holder(pid, _Channel(ours)), made[0])

    def _start_first(self, in_user_namespace: bool) -> "_Holder":
        """Raises `SandboxError`."""
        ours, theirs = _socket.socketpair()
        me = os.pidfd_open(os.getpid())
        for fd in (theirs.fileno(), me):
            os.set_inheritable(fd, True)
        python = [sys.executable, "-I", "-S", _HOLDER, str(theirs.fileno()), str(me)]
        maps_all = has_capability(CAP_SYS_ADMIN)

        words = os.memfd_create("holder")

        def start() -> Spawned:
            enter = [find_tool("unshare"), "--user", "--map-current-user", "--keep-caps", "--"]
            argv = [*enter, *python] if in_user_namespace and not maps_all else python
            to_words = [(os.POSIX_SPAWN_DUP2, words, fd) for fd in (1, 2)]
            env = {"LC_ALL": "C.UTF-8"}
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
        holder = _Holder(pid, _Channel(ours), words)
        if in_user_namespace and maps_all:
            try:
                _make_user_namespace(holder)
            except OSError as error:
                holder.close()
                raise SandboxError(f"cannot make a user namespace: {error.strerror}") from error
        return holder

    def close(self) -> None:
        """To be called when all sandboxes are closed."""
        for holder in self._first.values():
            holder.close()
        self._first.clear()


def _make_user_namespace(holder: "_Holder") -> None:
    """One in which everybody is who they are outside, but capabilities end at the sandbox."""
    holder.channel.ask("users")
    for kind in ("uid", "gid"):
        known = [line.split() for line in Path(f"/proc/self/{kind}_map").read_text().splitlines()]
        same = "".join(f"{first} {first} {length}\n" for first, _, length in known)
        Path(f"/proc/{holder.pid}/{kind}_map").write_text(same)


class Sandbox:
    """The namespaces of one pod. They last until `close` and the end of all who are in them."""

    def __init__(self, spec: SandboxSpec, holder: "_Holder", pause: int) -> None:
        self.spec = spec
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
        with open(os.devnull, "rb") as null:
            fds = [null.fileno(), stdout, stderr, *(fd for fd in (mounts, joins) if fd is not None)]
            pid = self._start(
                argv, fds, [0, 1, 2], security, env=env, cwd=cwd, umask=umask, mounts=mounts, joins=joins
            )
        return Spawned(pid, os.pidfd_open(pid))

    def spawn_helper(self, argv: Sequence[str], stdin: int, stdout: int, fds: Sequence[int]) -> int:
        """Start a helper with all capabilities of the sandbox, outside of PID namespaces; its pid."""
        env = {"PATH": os.defpath, "LC_ALL": "C"}
        given, numbers = [stdin, stdout, stdout, *fds], [0, 1, 2, *fds]
        return self._start(argv, given, numbers, Security(), env=env, cwd="/", umask=0o022, is_helper=True)

    def _start(
        self,
        argv: Sequence[str],
        fds: Sequence[int],
        numbers: Sequence[int],
        security: Security,
        *,
        env: Mapping[str, str],
        cwd: str,
        umask: int,
        mounts: int | None = None,
        joins: int | None = None,
        is_helper: bool = False,
    ) -> int:
        user = security.user
        known = CAPABILITIES.split()
        order = {
            "argv": list(argv),
            "env": dict(env),
            "cwd": cwd,
            "umask": umask,
            "fds": list(numbers),
            "mounts": mounts is not None,
            "joins": joins is not None,
            "own_pid_of_target": self.spec.own_pids and not self.pause,
            "host_pid": is_helper or not self.spec.own_pids,
            "user": None if user is None else (user.uid, user.gid, list(user.groups)),
            "seen_as": security.seen_as,
            "dropped": [known.index(name) for name in security.dropped],
            "no_new_privs": security.no_new_privs,
            "keeps_capabilities": is_helper,
        }
        pass_on(self._holder.pid)
        answer = self._holder.channel.ask_all("start", order, fds=fds)
        ok, number, text = answer[:3]
        pid, middle = answer[3:] or (0, 0)  # nothing was cloned where there is nothing
        if middle:
            os.waitpid(middle, 0)
        if ok:
            return int(pid)
        if pid:
            os.waitpid(pid, 0)
        if text.startswith("\0"):  # nothing that the manifest names
            raise OSError(number, text[1:], "sandbox")
        raise OSError(number, os.strerror(number), text)

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


@define(eq=False)
class _Holder:
    pid: int
    channel: "_Channel"
    _words: int = -1
    "Where a first holder, or what comes before it, says why it cannot go on."

    @property
    def last_words(self) -> str:
        """The last line of them."""
        said = os.pread(self._words, 10_000, 0).decode(errors="replace") if self._words >= 0 else ""
        return said.strip().rpartition("\n")[2]

    def close(self) -> None:
        if self.pid:
            self.channel.close()  # which makes it end
            os.waitpid(self.pid, 0)
            self.pid = 0
            if self._words >= 0:
                os.close(self._words)


class _Channel:
    """Our end of the conversation with a holder."""

    def __init__(self, end: _socket.socket) -> None:
        self._end = end
        end.settimeout(REPLY_TIMEOUT)

    def ask(self, what: str, *arguments: Any, fds: Sequence[int] = ()) -> Sequence[Any]:
        """What was answered after `True`. Raises `OSError`."""
        ok, *answer = self.ask_all(what, *arguments, fds=fds)
        if not ok:
            for pid in answer[2:]:
                os.waitpid(pid, 0)
            raise OSError(answer[0], answer[1])
        return answer

    def ask_all(self, what: str, *arguments: Any, fds: Sequence[int] = ()) -> Sequence[Any]:
        self._send((what, *arguments), fds)
        return self._receive()[0]

    def ask_for_fd(self, what: str, *arguments: Any) -> int:
        self._send((what, *arguments), ())
        answer, fd = self._receive()
        if not answer[0]:
            raise OSError(answer[1], answer[2])
        assert fd is not None
        return fd

    def _send(self, request: tuple[Any, ...], fds: Sequence[int]) -> None:
        body = marshal.dumps(request)
        message = struct.pack("I", len(body)) + body
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
        try:
            sent = self._end.sendmsg([message], rights)
            self._end.sendall(message[sent:])
        except OSError as error:
            raise self._break_off(error) from error

    def _receive(self) -> tuple[Sequence[Any], int | None]:
        try:
            head, ancillary, _, _ = self._end.recvmsg(4, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
            if len(head) < 4:
                raise ConnectionResetError
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
        what = "does not answer" if isinstance(error, TimeoutError) else "is gone"
        return OSError(errno.ESRCH, f"the holder of the sandbox {what}", "sandbox")

    def close(self) -> None:
        self._end.close()


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
