"""The program that holds the namespaces of pod sandboxes and starts processes in them.

Executed by `sandbox` with `python -I -S`, and not to be imported by anything else: all that has to be done
*inside* namespaces is here, and needs the standard library's built-in modules only, so that starting it
takes 10 ms. The first holder makes one holder for each pod; that one lives in the pod's namespaces. It knows
nothing of containers: an order says what to execute, where, and as whom.

The one idea: a process that is cloned here with `CLONE_PARENT` becomes a child of our parent, minikubelet,
as if that had started it, so that its exit status, its signals and its end are minikubelet's at first hand.
It is PID 1 of its own namespace when it shall be, no wrapper stands between, and errors of execve(2) are
told exactly. All that is started here dies with minikubelet (`PR_SET_PDEATHSIG`).

Requests and replies are a length and a `marshal`led tuple; descriptors come with them (`SCM_RIGHTS`). Who
wants a process passes a channel for it: there its pid is told, there it takes its order, and that the channel
ends is how it tells that execve(2) has succeeded. So a process can be had before its order is known, which
is most of what it costs.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import _struct
import ctypes
import errno
import fcntl
import gc
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

    def do_holder(self, fds: list[int]) -> None:
        """Make another holder, which serves the channel that is passed."""
        if self.clone_for(fds):
            try:
                self.serve()
            finally:
                os._exit(0)

    def clone_for(self, fds: list[int], flags: int = 0) -> bool:
        """Clone for whoever is at the other end of `fds[0]`, which is told the pid; True in the clone.

        Where a process is passed as well (`fds[1]`), the clone is in its PID namespace, and so is whatever is
        cloned here afterwards: without root there is no way back out.
        """
        channel = Channel(fds.pop(0))
        try:
            for target in fds:
                setns(target, CLONE_NEWPID)
            pid = clone(CLONE_PARENT | flags)
            if pid == 0:
                die_with_parent()
                self.channel.socket.close()
                self.channel = channel
                return True
            channel.reply(True, pid)
        except OSError as error:
            channel.reply(False, error.errno, error.strerror)
        channel.socket.close()
        return False

    def do_enter(self, options: Order, fds: list[int]) -> None:
        """Make a pod's namespaces and live in them; the reply is the pid of the first process of the shared
        PID namespace, or 0."""
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
        pid = 0
        if options["shares_pid"]:
            pid = clone(CLONE_PARENT | CLONE_NEWPID)
            if pid == 0:
                self.pause()
            fd = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
            setns(fd, CLONE_NEWPID)  # for those whom we start; we stay where we are
            os.close(fd)
        self.channel.reply(True, pid)

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

    def do_child(self, own_pids: bool, fds: list[int]) -> None:
        """Make a process that takes one order from the channel that is passed, by the rules of `clone_for`.

        With `own_pids` it is PID 1 of a new PID namespace.
        """
        if self.clone_for(fds, CLONE_NEWPID if own_pids else 0):
            try:
                self.take_order()
            finally:
                os._exit(0)

    def take_order(self) -> None:
        """Become what is ordered, if anything is, and if that is possible.

        `fds`: those that the program gets, under the numbers in `order["fds"]`, and then those that are
        entered, as `order["enters"]` says: namespaces, or processes whose namespaces they are.
        """
        os.setsid()
        for number in NOT_DEFAULT:
            _signal.signal(number, _signal.SIG_DFL)
        if (ordered := self.channel.receive()) is not None:
            (order,), fds = ordered
            self.execute(order, fds)

    def execute(self, order: Order, fds: list[int]) -> None:
        """Returns when that has failed, and what has failed is told."""
        what = ""
        try:
            self.arrange_fds(order["fds"], fds)
            prepare(order, fds[len(order["fds"]) :])
            what = order["cwd"]
            os.chdir(what)
            what = ""
            become(order)
            if self.supervisor_is_dead():
                return
            what = order["argv"][0]
            execute_program(order["argv"], order["env"])
        except OSError as error:
            self.channel.reply(False, error.errno or errno.EIO, what or f"\0{error.strerror}")

    def arrange_fds(self, numbers: list[int], fds: list[int]) -> None:
        """Give the program its descriptors, out of the way of those that close at execve."""
        ours = (self.supervisor, self.channel.socket.fileno(), *fds)
        if not set(numbers).isdisjoint(ours):
            spare = max(*numbers, *ours) + 1
            self.supervisor, told, *fds[:] = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, spare) for fd in ours)
            self.channel.socket.detach()
            self.channel = Channel(told)
        for number, fd in zip(numbers, fds, strict=False):
            os.dup2(fd, number)


def prepare(order: Order, entered: list[int]) -> None:
    for fd, kinds in zip(entered, order["enters"], strict=True):
        setns(fd, kinds)
    if order["own_proc"]:
        unshare(CLONE_NEWNS)
        mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if order["seen_as"]:
        show_as(*order["seen_as"])


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


NOT_DEFAULT: list[int] = []
"Signals that are ignored here."


def main() -> None:
    gc.disable()  # there are no cycles, and to look for some would copy the memory that a clone shares
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
    rehearse(supervisor)
    Holder(Channel(channel), supervisor).serve()


def rehearse(supervisor: int) -> None:
    """Do what every clone does, up to an execve(2) that fails, so that none does it for the first time.

    They find code that is adapted to what it is for, names that have been looked up, and both in memory that
    they need not copy: a sixth of what the start of a container costs.
    """
    order: Order = {"argv": ["/"], "env": {"A": "B"}, "cwd": "/", "umask": 0o022, "fds": [], "enters": []}
    order |= {"own_proc": False, "user": None, "seen_as": None, "dropped": [], "no_new_privs": False}
    order["keeps_capabilities"] = True
    ours, theirs = (Channel(end.detach()) for end in _socket.socketpair())
    actor = Holder(theirs, supervisor)
    for _ in range(10):  # code is adapted when it runs for the eighth time
        ours.reply(order)
        (said,), fds = theirs.receive() or ((), [])
        actor.execute(said, fds)
    ours.socket.close()
    theirs.socket.close()
