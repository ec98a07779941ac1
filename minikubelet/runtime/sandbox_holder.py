"""The program that holds the namespaces of pod sandboxes and starts processes in them.

Executed by `sandbox` with `python -I -S`, never imported by it: everything that has to be done *inside*
namespaces is here, and needs the standard library's built-in modules only, so that starting it takes
10 ms. The first holder makes one holder for each pod; that one lives in the pod's namespaces. It knows
nothing of containers: a request says what to execute, where, and as whom.

The one idea: a process that is cloned here with `CLONE_PARENT` becomes a child of our parent, minikubelet,
as if that had started it, so that its exit status, its signals and its end are minikubelet's at first hand.
It is PID 1 of its own namespace when it shall be, no wrapper stands between, and errors of execve(2) are
told exactly. All that is started here dies with minikubelet (`PR_SET_PDEATHSIG`).

Requests and replies are a length and a `marshal`led tuple; descriptors come with them (`SCM_RIGHTS`).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import _struct
import ctypes
import errno
import fcntl
import marshal
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Order = dict[str, Any]

CLONE_NEWNS = 0x00020000
CLONE_PARENT = 0x00008000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_SLAVE = 2, 4, 8, 1 << 12, 1 << 14, 1 << 19
PR_SET_PDEATHSIG, PR_SET_NAME, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 15, 24, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SYS_CLONE3 = 435  # the same on every architecture
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
MSG_CMSG_CLOEXEC = 0x40000000

# The child of `clone3` goes on in this interpreter, so the call must not let go of the GIL.
libc = ctypes.PyDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def clone(flags: int) -> int:
    """fork(2) with flags, in an interpreter that has no threads."""
    arguments = ctypes.create_string_buffer(_struct.pack("11Q", flags, *([0] * 10)))
    return check(libc.syscall(SYS_CLONE3, arguments, ctypes.c_size_t(88)), "clone3")


def unshare(flags: int) -> None:
    check(libc.unshare(flags), "unshare")


def setns(fd: int, flags: int) -> None:
    check(libc.setns(fd, flags), "setns")


def mount(source: bytes, target: bytes, kind: bytes | None, flags: int, data: bytes | None = None) -> None:
    check(libc.mount(source, target, kind, ctypes.c_ulong(flags), data), f"mount {os.fsdecode(target)}")


def prctl(option: int, *arguments: int) -> None:
    values = (*arguments, 0, 0, 0, 0)[:4]
    check(libc.prctl(option, *(ctypes.c_ulong(value) for value in values)), f"prctl {option}")


def write_file(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


# ------------------------------------------------------------------ messages


class Channel:
    """Requests come in, replies go out."""

    def __init__(self, fd: int) -> None:
        self.socket = _socket.socket(fileno=fd)

    def receive(self) -> tuple[tuple[Any, ...], list[int]] | None:
        """The next request and its descriptors; None when nobody will ask any more."""
        size = _socket.CMSG_SPACE(16 * 4)
        head, ancillary, _, _ = self.socket.recvmsg(4, size, MSG_CMSG_CLOEXEC)
        if len(head) < 4:
            return None
        fds: list[int] = []
        for _, _, data in ancillary:
            fds += _struct.unpack(f"{len(data) // 4}i", data)
        (left,) = _struct.unpack("I", head)
        body = b""
        while len(body) < left:
            piece = self.socket.recv(left - len(body))
            if not piece:
                return None
            body += piece
        return marshal.loads(body), fds

    def reply(self, *values: Any, fd: int | None = None) -> None:
        body = marshal.dumps(values)
        rights = [] if fd is None else [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _struct.pack("i", fd))]
        self.socket.sendmsg([_struct.pack("I", len(body)) + body], rights)


# ------------------------------------------------------------------ a pod's namespaces


class Holder:
    """Serves requests until the other side goes away. `supervisor` is a pidfd of minikubelet."""

    def __init__(self, channel: Channel, supervisor: int) -> None:
        self.channel = channel
        self.supervisor = supervisor
        self.joins_pid = False
        "Processes start in the pod's shared PID namespace."

    def serve(self) -> None:
        while (request := self.channel.receive()) is not None:
            (what, *arguments), fds = request
            try:
                getattr(self, f"do_{what}")(*arguments, fds)
            except OSError as error:
                self.channel.reply(False, error.errno, error.strerror)
            finally:
                for fd in fds:
                    os.close(fd)

    def do_users(self, fds: list[int]) -> None:
        """Enter a user namespace; the other side says who is who in it."""
        unshare(CLONE_NEWUSER)
        die_with_parent()  # which new credentials have cleared
        self.channel.reply(True)

    # -------------------------------------------------------------- pod

    def do_pod(self, options: Order, fds: list[int]) -> None:
        """Make a holder that lives in new namespaces and serves the channel that is passed."""
        failed, told = os.pipe()
        pid = clone(CLONE_PARENT)
        if pid == 0:
            try:
                die_with_parent()
                pod = Holder(Channel(os.dup(fds[0])), self.supervisor)
                self.channel.socket.close()
                os.close(fds[0])
                os.close(failed)
                try:
                    paused = pod.enter(options)
                    tell(told, paused, "")
                except OSError as error:
                    tell(told, -(error.errno or errno.EIO), error.strerror)
                    os._exit(1)
                os.close(told)
                pod.serve()
            finally:
                os._exit(0)
        os.close(told)
        paused, text = hear(failed) or (-errno.EIO, "the holder of the sandbox died")
        if paused < 0:
            self.channel.reply(False, -paused, text, pid)
        else:
            self.channel.reply(True, pid, paused)

    def enter(self, options: Order) -> int:
        """Make the namespaces and live in them; the pid of the shared PID namespace's first process, or 0."""
        unshare(CLONE_NEWNS | options["flags"])
        mount(b"none", b"/", None, MS_REC | MS_SLAVE)
        if options["flags"] & CLONE_NEWIPC and os.path.isdir("/dev/shm"):
            mount(b"shm", b"/dev/shm", b"tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, b"mode=1777,size=64m")
        if options["hosts"]:
            mount(os.fsencode(options["hosts"]), b"/etc/hosts", None, MS_BIND)
        if options["flags"] & CLONE_NEWUTS:
            _socket.sethostname(options["hostname"])
        if options["flags"] & CLONE_NEWNET:
            with_loopback()
        for path, value in options["sysctls"]:
            write_file(path, value)
        if not options["shares_pid"]:
            return 0
        pid = clone(CLONE_PARENT | CLONE_NEWPID)
        if pid == 0:
            self.pause()
        fd = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
        setns(fd, CLONE_NEWPID)  # for those whom we start; we stay where we are
        os.close(fd)
        self.joins_pid = True
        return pid

    def pause(self) -> None:
        """PID 1 of a shared PID namespace: reaps whoever is left over."""
        try:
            os.setsid()
            die_with_parent()
            if self.supervisor_is_dead():
                return
            set_name(b"pause")
            self.channel.socket.close()
            _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGCHLD])
            while True:
                try:
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
                except ChildProcessError:
                    pass
                _signal.sigwait([_signal.SIGCHLD])
        finally:
            os._exit(0)

    def supervisor_is_dead(self) -> bool:
        """It may have died before we could ask to die with it."""
        return bool(select.select([self.supervisor], [], [], 0)[0])

    # -------------------------------------------------------------- sockets

    def do_socket(self, family: int, kind: int, fds: list[int]) -> None:
        """A socket of the pod's network, for who cannot come here: it stays in it wherever it is used."""
        made = _socket.socket(family, kind | _socket.SOCK_CLOEXEC)
        self.channel.reply(True, fd=made.fileno())
        made.close()

    # -------------------------------------------------------------- processes

    def do_start(self, order: Order, fds: list[int]) -> None:
        """Execute a program; the reply is sent when execve(2) has succeeded or failed.

        `fds`: those that the program gets, under the numbers in `order["fds"]`, and then a mount namespace
        (`order["mounts"]`) or a process whose namespaces to join (`order["joins"]`).
        """
        result, told = os.pipe()
        order["own_pid"] = not (order["joins"] or self.joins_pid or order["host_pid"])
        middle = 0
        if order["joins"] and order["own_pid_of_target"]:
            # Entering a PID namespace holds for children only, and without root there is no way back out.
            middle = clone(CLONE_PARENT)
            if middle == 0:
                try:
                    setns(fds[-1], CLONE_NEWPID)
                    pid = clone(CLONE_PARENT)
                    if pid == 0:
                        self.execute(order, fds, told)
                    tell(told, pid, "")
                except OSError as error:
                    tell(told, -(error.errno or errno.EIO), error.strerror)
                finally:
                    os._exit(0)
        else:
            pid = clone(CLONE_PARENT | (CLONE_NEWPID if order["own_pid"] else 0))
            if pid == 0:
                self.execute(order, fds, told)
            tell(told, pid, "")
        os.close(told)
        pid, failure, text = 0, 0, ""
        while (said := hear(result, close=False)) is not None:
            if said[0] > 0:
                pid = said[0]
            else:
                failure, text = -said[0], said[1]
        os.close(result)
        self.channel.reply(not failure, failure, text, pid, middle)

    def execute(self, order: Order, fds: list[int], told: int) -> None:
        """In the child: become what was ordered. Never returns."""
        what = ""
        try:
            try:
                told = self.arrange_fds(order["fds"], fds, told)
                self.prepare(order, fds)
                what = order["cwd"]
                os.chdir(what)
                what = ""
                become(order)
                if self.supervisor_is_dead():
                    os._exit(127)
                what = order["argv"][0]
                execute_program(order["argv"], order["env"])
            except OSError as error:
                tell(told, -(error.errno or errno.EIO), what or f"\0{error.strerror}")
        finally:
            os._exit(127)

    def prepare(self, order: Order, fds: list[int]) -> None:
        os.setsid()
        if order["joins"]:
            setns(fds[-1], CLONE_NEWNS)
            if order["seen_as"]:
                setns(fds[-1], CLONE_NEWUSER)
        else:
            if order["mounts"]:
                setns(fds[-1], CLONE_NEWNS)
            if not order["host_pid"]:
                unshare(CLONE_NEWNS)
                mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
            if order["seen_as"]:
                show_as(*order["seen_as"])

    def arrange_fds(self, numbers: list[int], fds: list[int], told: int) -> int:
        """Give the program its descriptors, out of the way of those that close at execve; `told` anew."""
        ours = (self.supervisor, told, *fds)
        if not set(numbers).isdisjoint(ours):
            spare = max(*numbers, *ours) + 1
            ours = tuple(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, spare) for fd in ours)
            self.supervisor, told, *fds[:] = ours
        for number, fd in zip(numbers, fds, strict=False):
            os.dup2(fd, number)
        return told


def with_loopback() -> None:
    """Bring `lo` up, and let everybody listen on every port, as container runtimes do."""
    probe = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    fcntl.ioctl(probe.fileno(), SIOCSIFFLAGS, _struct.pack("16sh22x", b"lo", IFF_UP))
    probe.close()
    try:
        write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
    except OSError:
        pass  # where /proc/sys cannot be written, it stays as it is


def show_as(uid: int, gid: int) -> None:
    """In a user namespace of its own, our ids appear as these."""
    here = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    write_file("/proc/self/setgroups", "deny")
    write_file("/proc/self/gid_map", f"{gid} {here[1]} 1")
    write_file("/proc/self/uid_map", f"{uid} {here[0]} 1")


def become(order: Order) -> None:
    os.umask(order["umask"])
    for number in order["dropped"]:
        prctl(PR_CAPBSET_DROP, number)
    if order["user"]:
        uid, gid, groups = order["user"]
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    if not order["keeps_capabilities"]:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    if order["no_new_privs"]:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)  # after the ids, for changing them clears it
    for number in NOT_DEFAULT:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])


def execute_program(argv: list[str], env: dict[str, str]) -> None:
    """Try the places where the program may be, as execvpe(3) does with the program's own PATH."""
    name = argv[0]
    candidates = [name]
    if "/" not in name:
        places = [f"{folder or '.'}/{name}" for folder in env.get("PATH", os.defpath).split(":")]
        candidates = [place for place in places if os.path.isfile(place)]
    failure = OSError(errno.ENOENT, "executable file not found in $PATH")
    for candidate in candidates:
        try:
            os.execve(candidate, argv, env)
        except ValueError as unfit:  # a NUL byte, or `=` in the name of a variable
            raise OSError(errno.EINVAL, str(unfit)) from None
        except OSError as error:
            failure = error
            if error.errno != errno.EACCES:
                break
    raise failure


def set_name(name: bytes) -> None:
    """What killall(1) and the like know us by: not by that of the containers' own interpreters."""
    check(libc.prctl(PR_SET_NAME, name, 0, 0, 0), "prctl")


def die_with_parent() -> None:
    prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)


def tell(fd: int, number: int, text: str | None) -> None:
    data = (text or "").encode("utf-8", "surrogateescape")[:2000]
    os.write(fd, _struct.pack("iI", number, len(data)) + data)  # less than PIPE_BUF, so in one piece


def hear(fd: int, close: bool = True) -> tuple[int, str] | None:
    head = os.read(fd, 8)
    said = None
    if len(head) == 8:
        number, length = _struct.unpack("iI", head)
        said = number, os.read(fd, length).decode("utf-8", "surrogateescape") if length else ""
    if close:
        os.close(fd)
    return said


NOT_DEFAULT: list[int] = []
"Signals that are ignored here."


def main() -> None:
    channel, supervisor = int(sys.argv[1]), int(sys.argv[2])
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGTSTP):
        _signal.signal(number, _signal.SIG_IGN)  # they are for minikubelet, who ends us
    NOT_DEFAULT.extend(n for n in _signal.valid_signals() if _signal.getsignal(n) != _signal.SIG_DFL)
    die_with_parent()
    set_name(b"minikubelet-pod")
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            if fd in (channel, supervisor):
                os.set_inheritable(fd, False)
            elif fd > 2:
                os.close(fd)  # what minikubelet was started with
        except OSError:
            pass  # it served to list the directory
    Holder(Channel(channel), supervisor).serve()


if __name__ == "__main__":
    main()
