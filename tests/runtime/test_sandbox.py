"""Pod sandboxes, as root and as an ordinary user: what is the pod's own, and how processes fare in it."""

import os
import select
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from every_user import Unsupported, as_every_user, as_root, as_user

from minikubelet.api.codec import from_wire
from minikubelet.api.pod import Pod
from minikubelet.runtime import sandbox as sandbox_module
from minikubelet.runtime.sandbox import (
    Sandbox,
    SandboxError,
    Sandboxes,
    SandboxSpec,
    sandbox_spec,
    sandbox_trouble,
)
from minikubelet.runtime.security import Security
from minikubelet.runtime.spawn import Spawned, User

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
OURS = SandboxSpec("web")
SHARED = SandboxSpec("web", shares_pids=True)


@contextmanager
def sandbox(*specs: SandboxSpec) -> Iterator[Sequence[Sandbox]]:
    if trouble := sandbox_trouble():
        raise Unsupported(f"namespaces ({trouble})")
    run = Sandboxes()
    made = [run.make(spec) for spec in specs]
    try:
        yield made
    finally:
        for one in made:
            one.close()
        run.close()


def test_what_forbids_a_first_holder_is_told(monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    """In the words of the program that failed, and nowhere else."""
    monkeypatch.setattr(sandbox_module, "has_capability", lambda number: False)
    monkeypatch.setattr(sandbox_module, "find_tool", lambda name: "/bin/ls")  # knows no option --user
    run = Sandboxes()

    with pytest.raises(SandboxError, match=r"^cannot make a pod sandbox: .*ls"):
        run.make(OURS)
    run.close()
    assert capfd.readouterr() == ("", "")


class Started:
    """A process in a sandbox and what it says."""

    def __init__(self, box: Sandbox, *argv: str, **options: object) -> None:
        reader, writer = os.pipe()
        arguments = {"env": ENVIRONMENT, "cwd": "/", "stdout": writer, "stderr": writer, **options}
        try:
            self.process: Spawned = box.spawn(argv, **arguments)
        finally:
            os.close(writer)
        self.output = os.fdopen(reader, errors="surrogateescape")

    def line(self) -> str:
        return self.output.readline().strip()

    def signal(self, number: int) -> None:
        signal.pidfd_send_signal(self.process.pidfd, number)

    def is_over(self, within: float) -> bool:
        poll = select.poll()
        poll.register(self.process.pidfd, select.POLLIN)
        return bool(poll.poll(within * 1000))

    def end(self) -> tuple[int, str]:
        """Exit code, negative for a signal, and the rest of what it says."""
        with self.output:
            said = self.output.read()
        os.close(self.process.pidfd)
        return os.waitstatus_to_exitcode(os.waitpid(self.process.pid, 0)[1]), said.strip()


def shell(box: Sandbox, script: str, **options: object) -> str:
    code, said = Started(box, "sh", "-c", script, **options).end()
    assert code == 0, said
    return said


def serve(box: Sandbox, port: int) -> Started:
    """Something that listens in the pod and greets."""
    server = Started(
        box,
        *("/usr/bin/python3", "-I", "-c"),
        "import socket; s = socket.create_server(('127.0.0.1', PORT)); print('up', flush=True)\n"
        "while True: s.accept()[0].sendall(b'hello')".replace("PORT", str(port)),
    )
    assert server.line() == "up"
    return server


def stop(*started: Started) -> None:
    for one in started:
        one.signal(signal.SIGKILL)
        one.end()


# ------------------------------------------------------------------ what is the pod's own


@as_every_user
def test_a_container_is_pid_1_among_its_own(directory: Path) -> None:
    """It sees nobody else, in /proc either."""
    with sandbox(OURS) as (box,):
        assert shell(box, "echo $$; ls -d /proc/[0-9]* | grep -vc '^/proc/[1-9]$'; :") == "1\n0"


@as_every_user
def test_the_pod_has_its_hostname_and_its_network(directory: Path) -> None:
    """One interface, loopback, which is up."""
    with sandbox(OURS) as (box,):
        assert shell(box, "uname -n; tail -n +3 /proc/net/dev | wc -l") == "web\n1"
        assert "127.0.0.1" in shell(box, "cat /proc/net/fib_trie")


@as_every_user
def test_two_pods_listen_on_one_port(directory: Path) -> None:
    """LOCAL-4 does not hold in sandboxes; ports below 1024 are nothing special there."""
    with sandbox(OURS, OURS) as boxes:
        stop(*(serve(box, 80) for box in boxes))


@as_every_user
def test_shared_memory_is_the_pods(directory: Path) -> None:
    """Its containers meet in /dev/shm, and nobody else does."""
    with sandbox(OURS) as (box,):
        shell(box, "echo here > /dev/shm/minikubelet-test")

        assert shell(box, "cat /dev/shm/minikubelet-test") == "here"
        assert not os.path.exists("/dev/shm/minikubelet-test")


@as_every_user
def test_what_the_pod_shares_with_the_host_stays_shared(directory: Path) -> None:
    """hostNetwork, hostPID, hostIPC."""
    names = ("net", "pid", "ipc", "uts")
    ours = [os.readlink(f"/proc/self/ns/{name}") for name in names]
    with sandbox(SandboxSpec("", own_network=False, own_ipc=False, own_pids=False)) as (box,):
        assert shell(box, f"cd /proc/self/ns; readlink {' '.join(names)}").split() == ours


def test_the_spec_says_what_is_shared() -> None:
    """A manifest's host* fields, in sandbox words; sysctls only where they are the pod's own."""
    spec = {
        "containers": [{"name": "c", "image": "x"}],
        "hostPID": True,
        "hostIPC": True,
        "hostUsers": False,
        "securityContext": {
            "sysctls": [
                {"name": "net.core.somaxconn", "value": "9"},
                {"name": "kernel.shm_rmid_forced", "value": "1"},
            ]
        },
    }
    pod = from_wire({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}, Pod)

    assert sandbox_spec(pod.spec, "p", own_network=True) == SandboxSpec(
        "p", own_ipc=False, own_pids=False, own_users=True, sysctls=(("net.core.somaxconn", "9"),)
    )


@as_every_user
def test_sysctls_are_the_pods(directory: Path) -> None:
    """Those of its network."""
    with sandbox(SandboxSpec("web", sysctls=(("net.core.somaxconn", "77"),))) as (box,):
        assert shell(box, "cat /proc/sys/net/core/somaxconn") == "77"
        assert Path("/proc/sys/net/core/somaxconn").read_text() != "77\n"


@as_root
def test_a_pod_without_the_hosts_users_has_no_power_over_the_host(directory: Path) -> None:
    """hostUsers: false: root is root, all are who they are, and capabilities end at the sandbox."""
    with sandbox(OURS, SandboxSpec("web", own_network=False, own_users=True)) as (plain, apart):
        ids = Security(User(1000, 1000))
        assert shell(apart, "id -u", security=ids) == "1000"
        assert shell(apart, "readlink /proc/self/ns/user") != shell(plain, "readlink /proc/self/ns/user")
        assert Started(apart, "sh", "-c", "ip link set lo mtu 60000 2>&1").end()[0] != 0


# ------------------------------------------------------------------ what a process is like


@as_every_user
def test_exit_codes_and_signals_are_the_programs_own(directory: Path) -> None:
    """STATUS-5: no wrapper stands between."""
    with sandbox(OURS) as (box,):
        assert Started(box, "sh", "-c", "exit 7").end() == (7, "")
        assert Started(box, "sh", "-c", "exit 126").end() == (126, "")
        killed = Started(box, "sleep", "100")
        killed.signal(signal.SIGKILL)
        assert killed.end() == (-signal.SIGKILL, "")


@as_every_user
def test_pid_1_gets_no_signal_that_it_does_not_handle(directory: Path) -> None:
    """As in a cluster, where a shell ignores SIGTERM and the grace is waited for; with a trap it does not."""
    with sandbox(OURS) as (box,):
        deaf = Started(box, "sh", "-c", "trap 'echo alive' USR1; echo up; while :; do sleep 0.01; done")
        deaf.line()
        deaf.signal(signal.SIGTERM)
        deaf.signal(signal.SIGUSR1)
        assert deaf.line() == "alive"
        stop(deaf)

        heedful = Started(box, "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done")
        heedful.line()
        heedful.signal(signal.SIGTERM)
        assert heedful.end()[0] == 5


@as_every_user
def test_with_pid_1_all_of_the_container_dies(directory: Path) -> None:
    """TERM-17: who left the session, and who ignores signals, too; nobody holds its output."""
    with sandbox(OURS) as (box,):
        started = Started(box, "sh", "-c", "(trap '' TERM HUP; setsid sleep 1000) & echo up; exit 3")

        assert started.end() == (3, "up")


@as_every_user
def test_killall_stays_inside(directory: Path) -> None:
    """Signals by name, or to everybody."""
    with sandbox(OURS, OURS) as (first, second):
        bystander = Started(second, "sleep", "1000")
        shell(first, "sleep 1000 & kill -9 -1; pkill sleep; :")

        assert not bystander.is_over(within=0)
        stop(bystander)


@as_every_user
def test_what_execve_says_is_told(directory: Path) -> None:
    """LOCAL-3: the error, and the name as the manifest has it."""
    with sandbox(OURS) as (box,):
        for name, kind in (
            ("no-such-program", FileNotFoundError),
            ("/no/such/program", FileNotFoundError),
            ("/etc/passwd", PermissionError),
        ):
            with pytest.raises(kind) as caught:
                Started(box, name)
            assert caught.value.filename == name
        with pytest.raises(FileNotFoundError) as caught:
            Started(box, "true", cwd="/no/such/directory")
        assert caught.value.filename == "/no/such/directory"


@as_every_user
def test_environment_and_arguments_pass_unchanged(directory: Path) -> None:
    """Whatever their names, sizes and bytes."""
    large = {f"LARGE_{n}": str(n) * 100_000 for n in range(8)}
    odd = {"spring.profile": "test", "BYTES": "a\udcffb", "PATH": ENVIRONMENT["PATH"]}
    with sandbox(OURS) as (box,):
        code, said = Started(box, "env", "-0", env={**large, **odd}).end()

    variables = dict(line.split("=", 1) for line in said.rstrip("\0").split("\0"))
    assert code == 0
    assert variables["LARGE_7"] == large["LARGE_7"]
    assert variables["spring.profile"] == "test"
    assert len(variables) == len(large) + len(odd)


@as_every_user
def test_a_process_starts_with_default_signals_and_no_descriptors(directory: Path) -> None:
    """As `spawn` leaves it."""
    with sandbox(OURS) as (box,):
        status = shell(box, "ls /proc/self/fd | wc -l; grep -E 'SigBlk|SigIgn' /proc/self/status")

    assert status.splitlines()[0] == "4"  # and the directory itself
    ignored = int(status.splitlines()[2].split()[1], 16)
    assert ignored & ~(0b11 << 31) == 0  # glibc has two signals of its own
    assert int(status.splitlines()[1].split()[1], 16) == 0


@as_every_user
def test_a_process_leads_a_session_of_its_own(directory: Path) -> None:
    """LOCAL-1."""
    with sandbox(OURS) as (box,):
        started = Started(box, "sleep", "1000")
        assert os.getsid(started.process.pid) == os.getpgid(started.process.pid) == started.process.pid
        stop(started)


@as_root
def test_root_gives_ids_and_takes_capabilities(directory: Path) -> None:
    """runAsUser, capabilities.drop, allowPrivilegeEscalation."""
    security = Security(User(1234, 2345, (3456,)), no_new_privs=True, dropped=frozenset(("CHOWN", "NET_RAW")))
    with sandbox(OURS) as (box,):
        said = shell(box, "id -u; id -G; grep -E 'CapBnd|CapEff|NoNew' /proc/self/status", security=security)

    uid, groups, effective, bounding, no_new_privs = said.splitlines()
    assert (uid, groups) == ("1234", "2345 3456")
    assert int(effective.split()[1], 16) == 0
    assert int(bounding.split()[1], 16) & (1 << 0 | 1 << 13) == 0
    assert no_new_privs.split()[1] == "1"


@as_user
def test_a_user_has_no_capabilities_and_is_seen_as_another(directory: Path) -> None:
    """Those of the user namespace are the holder's; runAsUser is shown by one more."""
    with sandbox(OURS) as (box,):
        said = shell(box, "id -u; grep -E 'CapEff|CapAmb' /proc/self/status")
        assert said.split() == [str(os.geteuid()), "CapEff:", "0" * 16, "CapAmb:", "0" * 16]
        assert shell(box, "id -u; id -g", security=Security(seen_as=(1234, 2345))) == "1234\n2345"


# ------------------------------------------------------------------ several processes


@as_every_user
def test_commands_join_the_container(directory: Path) -> None:
    """HOOK-8, PROBE-22: its processes, its mounts, its ids."""
    another = Security(User(7, 7)) if os.geteuid() == 0 else Security(seen_as=(7, 7))
    with sandbox(OURS) as (box,):
        for security, uid in ((Security(), os.geteuid()), (another, 7)):
            main = Started(box, "sleep", "1000", security=security)
            join = partial(Started, box, joins=main.process.pidfd, security=security)
            assert join("cat", "/proc/1/comm").end() == (0, "sleep")
            assert join("sh", "-c", "test /proc/self/ns/mnt -ef /proc/1/ns/mnt").end()[0] == 0
            assert join("id", "-u").end()[1] == str(uid)
            assert join("sh", "-c", "exit 9").end()[0] == 9
            stop(main)


@as_every_user
def test_a_command_dies_with_its_container(directory: Path) -> None:
    """PID 1 takes all with it."""
    with sandbox(OURS) as (box,):
        main = Started(box, "sleep", "1000")
        command = Started(box, "sleep", "1000", joins=main.process.pidfd)
        main.signal(signal.SIGKILL)

        assert command.end()[0] == -signal.SIGKILL
        assert main.end()[0] == -signal.SIGKILL


@as_every_user
def test_containers_that_share_processes_see_each_other(directory: Path) -> None:
    """shareProcessNamespace: none of them is PID 1, so a signal that is not handled ends it."""
    with sandbox(SHARED) as (box,):
        first = Started(box, "sleep", "1000")
        assert shell(box, "cat /proc/1/comm; pgrep -x sleep | wc -l") == "pause\n1"
        shell(box, "killall sleep")

        assert first.end()[0] == -signal.SIGTERM


@as_every_user
def test_pause_reaps_orphans(directory: Path) -> None:
    """In a shared PID namespace they become children of its PID 1."""
    with sandbox(SHARED) as (box,):
        shell(box, "(setsid sh -c 'sleep 0.05' &)")
        deadline = time.monotonic() + 5
        while (left := shell(box, "ps -eo ppid,comm | grep -c '^ *1 ' || :")) != "0":
            assert time.monotonic() < deadline, left


@as_every_user
def test_sockets_reach_into_the_pod_and_plain_ones_do_not(directory: Path) -> None:
    """What http, tcp and grpc probes need."""
    with sandbox(OURS) as (box,):
        server = serve(box, 8080)
        with box.open_socket(socket.AF_INET, socket.SOCK_STREAM) as inside:
            inside.connect(("127.0.0.1", 8080))
            assert inside.recv(5) == b"hello"
        with box.open_socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as inside:
            assert inside.getblocking() is False
        stop(server)


# ------------------------------------------------------------------ the end


@as_every_user
def test_nothing_is_left(directory: Path) -> None:
    """Neither holders, nor what a shared PID namespace still has, nor descriptors."""
    with sandbox(OURS):
        pass  # what is cached is cached
    before = os.listdir("/proc/self/fd")
    with sandbox(OURS, SHARED) as (_, shared):
        Started(shared, "sh", "-c", "(setsid sleep 1000 > /dev/null 2>&1 &)").end()

    with pytest.raises(ChildProcessError):
        os.waitpid(-1, 0)
    assert os.listdir("/proc/self/fd") == before


@as_every_user
def test_all_dies_with_the_supervisor(directory: Path) -> None:
    """LOCAL-9: even if it is killed, there is nobody left who could clean up, and nothing to clean up."""
    for spec in (OURS, SHARED):
        reader, writer = os.pipe()
        supervisor = os.fork()
        if supervisor == 0:
            with sandbox(spec) as (box,):
                started = Started(box, "sh", "-c", "trap '' TERM; (setsid sleep 1000) & sleep 1000")
                os.write(writer, f"{started.process.pid}\n".encode())
                time.sleep(1000)
        os.close(writer)
        with open(reader) as told:
            line = told.readline()
            if not line:
                os.waitpid(supervisor, 0)
                raise Unsupported("namespaces")
            main = os.pidfd_open(int(line))
        os.kill(supervisor, signal.SIGKILL)
        os.waitpid(supervisor, 0)
        poll = select.poll()
        poll.register(main, select.POLLIN)

        assert poll.poll(5000)
        os.close(main)


@as_every_user
def test_a_holder_that_is_gone_is_an_error(directory: Path) -> None:
    """Not a hang."""
    with sandbox(OURS) as (box,):
        os.kill(box._holder.pid, signal.SIGKILL)
        os.waitid(os.P_PID, box._holder.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(OSError, match="holder of the sandbox is gone"):
            Started(box, "true")


@as_every_user
def test_what_was_made_in_advance_may_be_gone(directory: Path) -> None:
    """Whoever killed it, a container starts all the same."""
    with sandbox(OURS) as (box,):
        spare = box._first._spare
        assert spare is not None and spare.is_there()
        os.kill(spare.pid, signal.SIGKILL)
        os.waitid(os.P_PID, spare.pid, os.WEXITED | os.WNOWAIT)

        assert shell(box, "echo $$") == "1"


@as_every_user
def test_what_was_made_in_advance_may_be_gone_while_its_channel_is_not(directory: Path) -> None:
    """Whoever made it has a copy of that for a moment."""
    with sandbox(OURS) as (box,):
        spare = box._first._spare
        assert spare is not None and spare.is_there()
        spare.channel.close()
        ours, theirs = socket.socketpair()
        spare.channel = sandbox_module._Channel(ours)
        os.kill(spare.pid, signal.SIGKILL)
        os.waitid(os.P_PID, spare.pid, os.WEXITED | os.WNOWAIT)

        assert not spare.is_there()
        assert shell(box, "echo $$") == "1"
        theirs.close()


@as_every_user
def test_what_was_made_in_advance_takes_one_order(directory: Path) -> None:
    """Whichever pod it comes from; what one container was told is nothing to the next."""
    with sandbox(OURS, SandboxSpec("db", own_ipc=False)) as boxes:
        said = [
            shell(box, "uname -n; umask; echo $A; pwd", env={**ENVIRONMENT, "A": f"{n}"}, umask=n, cwd=cwd)
            for n, (box, cwd) in enumerate([(box, cwd) for cwd in ("/", "/usr") for box in boxes])
        ]

    assert [one.split() for one in said] == [
        ["web", "0000", "0", "/"],
        ["db", "0001", "1", "/"],
        ["web", "0002", "2", "/usr"],
        ["db", "0003", "3", "/usr"],
    ]


@as_every_user
def test_what_does_not_take_its_order_is_an_error(directory: Path) -> None:
    """Not a hang, and nothing is left of it; the next one starts."""
    with sandbox(OURS) as (box,):
        spare = box._first._spare
        assert spare is not None and spare.is_there()
        spare.channel.limit(0.05)
        os.kill(spare.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, spare.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(OSError, match="does not answer"):
            Started(box, "true")

        assert shell(box, "echo $$") == "1"


def test_a_machine_without_namespaces_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the tool's or the kernel's."""

    def refuse(self: Sandboxes, spec: SandboxSpec) -> Sandbox:
        raise SandboxError("cannot make a pod sandbox: unshare: Operation not permitted")

    monkeypatch.setattr(sandbox_module.Sandboxes, "make", refuse)

    assert "Operation not permitted" in sandbox_trouble.__wrapped__()
