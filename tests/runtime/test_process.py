"""Real processes: how they start, what they say, how they end, and that nothing of them is left."""

import errno
import fcntl
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from minikubelet.runtime import brand
from minikubelet.runtime import spawn as spawn_module
from minikubelet.runtime.logs import ContainerLog
from minikubelet.runtime.proc import MARKER, children_of
from minikubelet.runtime.process import Command, CommandResult, LocalProcess, run_command
from minikubelet.runtime.reactor import Reactor
from minikubelet.runtime.reaper import Reaper
from minikubelet.runtime.spawn import User, spawn

ENV = {"PATH": os.environ["PATH"]}
PATIENCE = 20.0

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@attrs.define
class Instance:
    """A container of a test, and what was reported of it."""

    process: LocalProcess
    log: str
    exits: list[int]
    chunks: list[tuple[str, bytes]]

    def said(self, stream: str) -> bytes:
        """All output of a stream, as the log has it."""
        entries = [line.split(b" ", 3) for line in Path(self.log).read_bytes().split(b"\n")[:-1]]
        return b"".join(
            content + (b"\n" if tag == b"F" else b"")
            for _, name, tag, content in entries
            if name == stream.encode()
        )


class Fifo:
    """A word between a test and a process, neither of which can go on before the other is ready."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.heard = b""

    def __str__(self) -> str:
        return str(self.path)

    def hear(self) -> str:
        """The next line that a process writes to it."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while b"\n" not in self.heard:
            assert poll.poll(PATIENCE * 1000), f"nothing was written to {self.path.name}"
            self.heard += os.read(self.fd, 1000)
        line, _, self.heard = self.heard.partition(b"\n")
        return line.decode()

    def say(self) -> None:
        """Let a process go on that reads a line."""
        os.write(self.fd, b"\n")


class Supervisor:
    """A reactor and a reaper, and a way to wait for what they do."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.reactor = Reactor()
        self.reaper = Reaper(self.reactor)
        self.number = 0
        self.fifos: list[Fifo] = []

    def start(self, *argv: str, env: dict[str, str] | None = None, user: User | None = None) -> Instance:
        self.number += 1
        exits: list[int] = []
        chunks: list[tuple[str, bytes]] = []
        log = ContainerLog(str(self.root / str(self.number)), 0, sink=lambda *chunk: chunks.append(chunk))
        try:
            instance = LocalProcess.start(
                self.reaper,
                argv,
                container_id=f"test/{self.number}",
                env=ENV if env is None else env,
                cwd=str(self.root),
                log=log,
                exited=exits.append,
                user=user,
            )
        except OSError:
            log.close()
            raise
        return Instance(instance, log.path, exits, chunks)

    def shell(self, script: str) -> Instance:
        return self.start("sh", "-c", script)

    def wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            self.reactor.run_once(0.1)  # a SIGCHLD that comes just before it waits does not wake it

    def run(self, *argv: str) -> Instance:
        instance = self.start(*argv)
        self.wait(lambda: instance.exits)
        return instance

    def run_shell(self, script: str) -> Instance:
        return self.run("sh", "-c", script)

    def trio(self, main: Callable[[], Awaitable[None]], clock: MockClock | None = None) -> None:
        """Run `main` while the reactor is served by trio."""

        async def all_of_it() -> None:
            with trio.fail_after(PATIENCE):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.reactor.run, lambda: None)
                    await main()
                    nursery.cancel_scope.cancel()

        trio.run(all_of_it, clock=clock)

    def fifo(self, name: str) -> Fifo:
        self.fifos.append(Fifo(self.root / name))
        return self.fifos[-1]

    def close(self) -> None:
        self.reaper.close()
        self.reactor.close()
        for fifo in self.fifos:
            os.close(fifo.fd)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path)
    yield supervisor
    supervisor.close()


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def children() -> set[int]:
    threads = map(int, os.listdir("/proc/self/task"))
    return set(children_of(os.getpid(), threads))


# ------------------------------------------------------------------ exit codes


def test_every_exit_code_is_reported(supervisor: Supervisor) -> None:
    """STATUS-5."""
    instances = [supervisor.shell(f"exit {code}") for code in range(256)]
    supervisor.wait(lambda: all(instance.exits for instance in instances))

    assert [instance.exits for instance in instances] == [[code] for code in range(256)]


@pytest.mark.parametrize("number", [1, 2, 3, 6, 9, 10, 11, 13, 14, 15, 31])
def test_death_by_a_signal_is_128_and_its_number(supervisor: Supervisor, number: int) -> None:
    """STATUS-5; also of signals that Python itself ignores."""
    assert supervisor.run_shell(f"kill -{number} $$").exits == [128 + number]


def test_nothing_is_reported_from_within_start(supervisor: Supervisor) -> None:
    instance = supervisor.start("true")

    assert instance.exits == []
    supervisor.wait(lambda: instance.exits)


def test_signals_to_the_supervisor_do_not_disturb(supervisor: Supervisor) -> None:
    """Interrupted system calls are taken up again."""
    got: list[int] = []
    old = signal.signal(signal.SIGALRM, lambda number, frame: got.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        instances = [supervisor.run_shell(f"exit {code}") for code in range(20)]
        supervisor.wait(lambda: got)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)

    assert [instance.exits for instance in instances] == [[code] for code in range(20)]


# ------------------------------------------------------------------ where and as what a process starts


def test_it_leads_a_session_of_its_own(supervisor: Supervisor) -> None:
    """LOCAL-1: session, group and process have one id."""
    instance = supervisor.run_shell("set -- $(cat /proc/$$/stat); echo $1 $5 $6")

    assert instance.said("stdout").split() == [str(instance.process.pid).encode()] * 3


def test_stdin_is_empty(supervisor: Supervisor) -> None:
    assert supervisor.run_shell("readlink /proc/self/fd/0; cat").said("stdout") == b"/dev/null\n"


def test_it_starts_in_its_directory_with_the_usual_umask(supervisor: Supervisor) -> None:
    """And the supervisor stays in its own, with its own."""
    before = os.getcwd(), os.umask(0o077)
    try:
        instance = supervisor.run_shell("pwd; umask")
        after = os.getcwd(), os.umask(0o077)
    finally:
        os.umask(before[1])

    assert instance.said("stdout") == f"{supervisor.root}\n0022\n".encode()
    assert after == (before[0], 0o077)


def test_its_environment_is_what_was_given_and_the_marker(supervisor: Supervisor) -> None:
    instance = supervisor.start("env", env={"PATH": ENV["PATH"], "A": "1"})
    supervisor.wait(lambda: instance.exits)

    assert sorted(instance.said("stdout").decode().splitlines()) == [
        "A=1",
        f"{MARKER}=test/1",
        f"PATH={ENV['PATH']}",
    ]


def test_signals_are_at_their_defaults(supervisor: Supervisor) -> None:
    """Whatever the supervisor ignores or blocks (32 and 33 are the C library's own; it ignores them)."""
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        said = supervisor.run("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status").said("stdout")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        signal.signal(signal.SIGHUP, old)

    blocked, ignored = (int(line.split()[1], 16) for line in said.splitlines())

    assert (blocked, ignored & ~(0b11 << 31)) == (0, 0)


def test_descriptors_of_the_supervisor_are_not_inherited(supervisor: Supervisor) -> None:
    """Not even those that it was itself started with."""
    foreign = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(foreign, True)
    spawn_module._foreign_fds.cache_clear()
    try:
        said = supervisor.run_shell("ls -l /proc/$$/fd").said("stdout")
    finally:
        os.close(foreign)
        spawn_module._foreign_fds.cache_clear()

    assert b"/dev/zero" not in said
    assert len(said.splitlines()) == 1 + 3


def test_programs_are_found_by_its_own_path(supervisor: Supervisor) -> None:
    """As execvpe(3): what may not be executed is passed over, and relative folders are relative to cwd."""
    for folder, mode in (("first", 0o644), ("second", 0o755)):
        (supervisor.root / folder).mkdir()
        program = supervisor.root / folder / "program"
        program.write_text(f"#!/bin/sh\necho {folder}\n")
        program.chmod(mode)
    instance = supervisor.start("program", env={"PATH": "missing:first:second"})
    supervisor.wait(lambda: instance.exits)

    assert instance.said("stdout") == b"second\n"


def test_a_path_with_a_slash_is_relative_to_the_directory(supervisor: Supervisor) -> None:
    (supervisor.root / "program").write_text("#!/bin/sh\nexit 7\n")
    (supervisor.root / "program").chmod(0o755)

    assert supervisor.run("./program").exits == [7]


@needs_root
def test_another_user_is_complete_and_final(supervisor: Supervisor) -> None:
    """LOCAL-6: real, effective and saved ids, groups, no capability; we stay who we are."""
    before = os.getresuid(), os.getresgid(), os.getgroups()
    supervisor.root.chmod(0o755)
    instance = supervisor.start(
        "grep", "-E", "^(Uid|Gid|Groups|CapPrm|CapEff):", "/proc/self/status", user=User(65533, 65532, (7, 8))
    )
    supervisor.wait(lambda: instance.exits)

    assert [line.split()[1:] for line in instance.said("stdout").decode().splitlines()] == [
        ["65533"] * 4,
        ["65532"] * 4,
        ["7", "8"],
        ["0" * 16],
        ["0" * 16],
    ]
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before


# ------------------------------------------------------------------ what cannot start


def broken_programs(root: Path) -> None:
    for name, text, mode in (
        ("not-executable", "#!/bin/sh\n", 0o644),
        ("not-a-program", "no header", 0o755),
        ("no-interpreter", "#!/no/such/interpreter\n", 0o755),
    ):
        (root / name).write_text(text)
        (root / name).chmod(mode)
    (root / "directory").mkdir()


@pytest.mark.parametrize(
    ("argv0", "error"),
    [
        ("no-such-program", errno.ENOENT),
        ("./no-such-program", errno.ENOENT),
        ("", errno.ENOENT),
        ("./not-executable", errno.EACCES),
        ("./directory", errno.EACCES),
        ("./not-a-program", errno.ENOEXEC),
        ("./no-interpreter", errno.ENOENT),
        ("./not-executable/below", errno.ENOTDIR),
        ("./nul\0byte", errno.EINVAL),
    ],
)
def test_the_error_of_execve_is_exact(supervisor: Supervisor, argv0: str, error: int) -> None:
    """LOCAL-3: never a shell's 126 or 127; no descriptor and no process is left."""
    broken_programs(supervisor.root)
    supervisor.run("true")
    fds, before = os.listdir("/proc/self/fd"), children()
    with pytest.raises(OSError) as raised:
        supervisor.start(argv0)

    assert (raised.value.errno, raised.value.filename) == (error, argv0)
    assert os.listdir("/proc/self/fd") == fds
    assert children() == before


@pytest.mark.parametrize(("cwd", "error"), [("missing", errno.ENOENT), ("not-executable", errno.ENOTDIR)])
def test_a_directory_that_cannot_be_entered_is_named(tmp_path: Path, cwd: str, error: int) -> None:
    broken_programs(tmp_path)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        with pytest.raises(OSError) as raised:
            spawn(["true"], env=ENV, cwd=str(tmp_path / cwd), stdout=null, stderr=null)
    finally:
        os.close(null)

    assert (raised.value.errno, raised.value.filename) == (error, str(tmp_path / cwd))


# ------------------------------------------------------------------ output


def test_the_streams_are_logged_apart(supervisor: Supervisor) -> None:
    """LOG-4."""
    instance = supervisor.run_shell("echo out; echo err >&2; printf end")

    assert (instance.said("stdout"), instance.said("stderr")) == (b"out\nend", b"err\n")


def test_all_output_before_death_is_logged(supervisor: Supervisor) -> None:
    """A megabyte that is not waited for, in one line, and nothing of it is lost."""
    instance = supervisor.run_shell("head -c 1000000 /dev/zero | tr '\\0' x; kill -9 $$")

    assert instance.exits == [137]
    assert instance.said("stdout") == b"x" * 1_000_000


def test_a_full_pipe_is_read_when_its_writer_is_dead(supervisor: Supervisor) -> None:
    """Both streams hold 60,000 bytes before anybody looks."""
    done = supervisor.fifo("done")
    instance = supervisor.shell(
        f"yes 123456789 | head -c 60000; yes abcdefghi | head -c 60000 >&2; (echo >{done} &); exit 3"
    )
    done.hear()
    supervisor.wait(lambda: instance.exits)

    assert instance.said("stdout") == b"123456789\n" * 6000
    assert instance.said("stderr") == b"abcdefghi\n" * 6000


def test_more_than_one_read_is_left_in_a_pipe(supervisor: Supervisor) -> None:
    """LOCAL-2: the end of the main process is seen while a pipe still holds 300,000 bytes."""
    go = supervisor.fifo("go")
    instance = supervisor.shell(f"read line <{go}; yes 123456789 | head -c 300000")
    fcntl.fcntl(instance.process._pipes[0]._fd, fcntl.F_SETPIPE_SZ, 1 << 20)
    go.say()
    os.waitid(os.P_PID, instance.process.pid, os.WEXITED | os.WNOWAIT)
    supervisor.wait(lambda: instance.exits)

    assert instance.said("stdout") == b"123456789\n" * 30000


def test_binary_output_is_kept(supervisor: Supervisor) -> None:
    data = bytes(range(256)) * 64 + b"\n"
    (supervisor.root / "data").write_bytes(data)

    assert supervisor.run("cat", "data").said("stdout") == data


def test_the_sink_sees_the_output_as_it_comes(supervisor: Supervisor) -> None:
    """Also a prompt, long before its line ends."""
    instance = supervisor.shell("printf prompt; exec sleep 1000")
    supervisor.wait(lambda: instance.chunks)

    assert instance.chunks == [("stdout", b"prompt")]


def test_a_process_that_closes_its_output_lives_on(supervisor: Supervisor) -> None:
    gone = supervisor.fifo("gone")
    instance = supervisor.shell(f"echo last words; exec >&- 2>&-; read line <{gone}; exit 9")
    supervisor.wait(lambda: all(pipe._fd < 0 for pipe in instance.process._pipes))
    gone.say()
    supervisor.wait(lambda: instance.exits)

    assert (instance.exits, instance.said("stdout")) == ([9], b"last words\n")


def test_a_stranger_that_holds_the_output_delays_nothing(supervisor: Supervisor) -> None:
    """What is in the pipe by then is still read."""
    instance = supervisor.shell("echo before; exec sleep 1000")
    supervisor.wait(lambda: instance.chunks)
    held = os.open(f"/proc/{instance.process.pid}/fd/1", os.O_WRONLY)
    instance.process.signal(signal.SIGTERM)
    os.write(held, b"from outside\n")
    supervisor.wait(lambda: instance.exits)
    os.close(held)

    assert (instance.exits, instance.said("stdout")) == ([143], b"before\nfrom outside\n")


def test_two_hundred_processes_leave_nothing_open(supervisor: Supervisor) -> None:
    supervisor.run("true")
    fds, before = os.listdir("/proc/self/fd"), children()
    instances = [supervisor.shell("echo out; exit 1") for _ in range(200)]
    supervisor.wait(lambda: all(instance.exits for instance in instances))

    assert os.listdir("/proc/self/fd") == fds
    assert children() == before


# ------------------------------------------------------------------ signals


def test_polite_signals_go_to_the_main_process_alone(supervisor: Supervisor) -> None:
    """TERM-16: its child lives until the main process has ended."""
    ready, alive = supervisor.fifo("ready"), supervisor.fifo("alive")
    instance = supervisor.shell(
        f"sleep 1000 & child=$!; trap 'kill -0 $child && echo yes >{alive}; exit 5' TERM; echo >{ready}; wait"
    )
    ready.hear()
    instance.process.signal(signal.SIGTERM)
    answer = alive.hear()
    supervisor.wait(lambda: instance.exits)

    assert (answer, instance.exits) == ("yes", [5])


def test_a_stopped_process_can_be_killed(supervisor: Supervisor) -> None:
    """TERM-15, TERM-16: with all of its likewise stopped children."""
    pid = supervisor.fifo("pid")
    instance = supervisor.shell(f"sh -c 'echo $$ >{pid}; kill -STOP $$' & kill -STOP $$")
    child = int(pid.hear())
    instance.process.signal(signal.SIGTERM)
    instance.process.signal(signal.SIGKILL)
    supervisor.wait(lambda: instance.exits)

    assert instance.exits == [137]
    assert not exists(child)


def test_signals_to_the_dead_do_nothing(supervisor: Supervisor) -> None:
    instance = supervisor.run("true")
    for number in (signal.SIGTERM, signal.SIGKILL):
        instance.process.signal(number)

    assert instance.exits == [0]


# ------------------------------------------------------------------ nothing is left


LEFT_BEHIND = {
    "in the group": "./left &",
    "in a session of its own": "setsid ./left &",
    "a daemon": "(setsid ./left </dev/null >/dev/null 2>&1 &)",
    "without our environment": "env -i PATH=$PATH setsid ./left &",
    "ignores signals": "(trap '' TERM HUP INT; setsid ./left &)",
    "stopped": "(setsid ./left stop &)",
    "below another daemon": "(setsid sh -c 'setsid ./left & exec sleep 1000' &)",
    "all of it": "(env -i PATH=$PATH setsid sh -c '(setsid ./left stop &) </dev/null >/dev/null 2>&1' &)",
}


@pytest.mark.parametrize("script", LEFT_BEHIND.values(), ids=LEFT_BEHIND.keys())
def test_what_the_main_process_leaves_behind_is_dead_when_its_end_is_told(
    supervisor: Supervisor, script: str
) -> None:
    """TERM-17."""
    pid, go = supervisor.fifo("pid"), supervisor.fifo("go")
    left = supervisor.root / "left"
    left.write_text(f"#!/bin/sh\necho $$ >{pid}\n[ $# = 0 ] || kill -STOP $$\nexec sleep 1000\n")
    left.chmod(0o755)
    instance = supervisor.shell(f"{script}\nread line <{go}; exit 6")
    leftover = int(pid.hear())
    go.say()
    supervisor.wait(lambda: instance.exits)

    assert instance.exits == [6]
    assert not exists(leftover)
    assert children() == set()


def test_kill_reaches_a_session_that_hides_below_a_living_process(supervisor: Supervisor) -> None:
    """TERM-16: no marker, no output of ours; known by the parent that was killed with it."""
    pid = supervisor.fifo("pid")
    instance = supervisor.shell(
        f"env -i PATH=$PATH setsid sh -c 'echo $$ >{pid}; exec sleep 1000 >/dev/null 2>&1' & wait"
    )
    hidden = int(pid.hear())
    instance.process.signal(signal.SIGKILL)
    supervisor.wait(lambda: instance.exits)

    assert instance.exits == [137]
    assert not exists(hidden)


def test_a_daemon_ends_with_its_own_container_only(supervisor: Supervisor) -> None:
    """Two containers, each with a daemon; the second one's stays."""
    pids, instances = [], []
    for name in ("one", "two"):
        pid = supervisor.fifo(name)
        instances.append(
            supervisor.shell(f"(setsid sh -c 'echo $$ >{pid}; exec sleep 1000' &); exec sleep 1000")
        )
        pids.append(int(pid.hear()))
    instances[0].process.signal(signal.SIGTERM)
    supervisor.wait(lambda: instances[0].exits)

    assert [exists(pid) for pid in pids] == [False, True]
    assert instances[1].exits == []


def test_adopted_zombies_do_not_pile_up(supervisor: Supervisor) -> None:
    """LOCAL-1: a main process whose grandchildren die while it lives; no other container ever ends."""
    ready = supervisor.fifo("ready")
    instance = supervisor.shell(
        f"for i in 1 2 3 4 5 6 7 8; do (setsid true &); done; echo >{ready}; exec sleep 1000"
    )
    ready.hear()
    supervisor.wait(lambda: children() == {instance.process.pid})

    assert instance.exits == []


def test_an_adopted_daemon_is_reaped_when_it_ends_by_itself(supervisor: Supervisor) -> None:
    pid, go = supervisor.fifo("pid"), supervisor.fifo("go")
    supervisor.shell(f"(setsid sh -c 'echo $$ >{pid}; read line <{go}' &); exec sleep 1000")
    daemon = int(pid.hear())
    go.say()
    supervisor.wait(lambda: not exists(daemon))


def make_orphan(supervisor: Supervisor, how: str, env: dict[str, str]) -> int:
    """A process of another session that is no child of a container of ours, and has lost its parent."""
    pid = supervisor.fifo("orphan")
    hello = f"echo $$ >{pid}; exec sleep 1000 </dev/null >/dev/null 2>&1"
    subprocess.run(["sh", "-c", f"{how} sh -c '{hello}' &"], env=env, check=True)
    return int(pid.hear())


def test_strangers_are_killed_at_the_end(supervisor: Supervisor) -> None:
    """An orphan of no container lives until then."""
    stranger = make_orphan(supervisor, "setsid", ENV)
    supervisor.run("true")
    before = exists(stranger)
    supervisor.reaper.kill_strangers()

    assert (before, exists(stranger)) == (True, False)


def test_children_of_other_parts_of_the_program_are_left_alone(supervisor: Supervisor) -> None:
    """One that ends while we look for orphans, one that is still there when we kill strangers."""
    dead = subprocess.Popen(["sh", "-c", "exit 7"])
    living = subprocess.Popen(["sleep", "1000"])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    supervisor.run("true")
    supervisor.reaper.kill_strangers()
    state = living.poll()
    living.kill()

    assert (dead.wait(), state, living.wait()) == (7, None, -9)


def test_a_supervisor_in_a_container_carries_its_marker_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARKER, "outer")
    supervisor = Supervisor(tmp_path)
    try:
        said = supervisor.run_shell(f"echo ${MARKER}").said("stdout")
    finally:
        supervisor.close()

    assert said == b"outer:test/1\n"


def test_containers_of_a_supervisor_in_a_container_belong_to_that(supervisor: Supervisor) -> None:
    """When the inner supervisor dies its containers become orphans of the outer one."""
    outer = supervisor.start("sleep", "1000")
    orphan = make_orphan(supervisor, "setsid", {**ENV, MARKER: f"{outer.process.key}:inner"})
    outer.process.signal(signal.SIGTERM)
    supervisor.wait(lambda: outer.exits)

    assert not exists(orphan)


def test_close_kills_everything_and_tells_nobody(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    instance = supervisor.shell("trap '' TERM; (setsid sleep 1000 &); sleep 1000; sleep 1000")
    supervisor.close()

    assert instance.exits == []
    assert children() == set()
    assert not exists(instance.process.pid)


def test_close_gives_sigchld_back(tmp_path: Path) -> None:
    def mine(number: int, frame: object) -> None:
        got.append(number)

    got: list[int] = []
    old = signal.signal(signal.SIGCHLD, mine)
    try:
        supervisor = Supervisor(tmp_path)
        supervisor.run("true")
        supervisor.wait(lambda: got)  # it may be sent to the thread that starts processes, at its next turn
        supervisor.close()
        handler = signal.getsignal(signal.SIGCHLD)
    finally:
        signal.signal(signal.SIGCHLD, old)

    assert handler is mine
    assert set(got) == {signal.SIGCHLD}


# ------------------------------------------------------------------ commands in containers


def command(
    supervisor: Supervisor, *argv: str, timeout: float | None = None, **options: object
) -> CommandResult:
    """Run a command under trio in a container that does nothing else."""
    container = supervisor.start("sleep", "1000")
    results: list[CommandResult] = []

    async def main() -> None:
        results.append(
            await run_command(
                container.process,
                argv,
                env=ENV,
                cwd=str(supervisor.root),
                timeout_seconds=timeout,
                **options,  # type: ignore[arg-type]
            )
        )

    supervisor.trio(main)
    return results[0]


def test_a_command_gives_its_code_and_output(supervisor: Supervisor) -> None:
    """PROBE-21: both streams together; LOG-9: the log of the container does not get them."""
    container = supervisor.start("sleep", "1000")
    results: list[CommandResult] = []
    Command.start(
        container.process,
        ["sh", "-c", "echo out; echo err >&2; exit 3"],
        env=ENV,
        cwd="/",
        done=results.append,
    )
    supervisor.wait(lambda: results)

    assert results == [CommandResult(3, b"out\nerr\n")]
    assert container.chunks == []


def test_a_command_may_say_more_than_is_kept(supervisor: Supervisor) -> None:
    """PROBE-21: 10 KiB are kept; it can write all the rest."""
    result = command(supervisor, "sh", "-c", "yes 123456789 | head -c 1000000")

    assert result == CommandResult(0, b"123456789\n" * 1024)


def test_a_command_that_cannot_start_says_why(supervisor: Supervisor) -> None:
    result = command(supervisor, "no-such-program")

    assert result == CommandResult(
        None, start_error='exec: "no-such-program": executable file not found in $PATH'
    )


def test_a_command_is_over_when_its_main_process_is(supervisor: Supervisor) -> None:
    """PROBE-21: a child in the background that holds the output neither delays it nor outlives it."""
    result = command(supervisor, "sh", "-c", "sleep 1000 & echo $!; exit 1", timeout=PATIENCE)
    supervisor.wait(lambda: not exists(int(result.output)))

    assert result.exit_code == 1


def test_a_hooks_leftovers_may_stay_until_the_container_ends(supervisor: Supervisor) -> None:
    """What a hook starts in the background can write on, and ends with the container (TERM-17)."""
    container = supervisor.start("sleep", "1000")
    results: list[CommandResult] = []
    go, wrote = supervisor.fifo("go"), supervisor.fifo("wrote")
    Command.start(
        container.process,
        ["sh", "-c", f"(read line <{go}; echo noise; echo $? >{wrote}; exec sleep 1000) & echo $!"],
        env=ENV,
        cwd="/",
        done=results.append,
        keep_leftovers=True,
    )
    supervisor.wait(lambda: results)
    left = int(results[0].output)
    go.say()
    written = wrote.hear()
    alive = exists(left)
    container.process.signal(signal.SIGTERM)
    supervisor.wait(lambda: container.exits)

    assert (written, alive, exists(left)) == ("0", True, False)


def test_a_hooks_daemon_found_before_the_hook_ends_goes_to_the_container(supervisor: Supervisor) -> None:
    """TERM-17."""
    container = supervisor.start("sleep", "1000")
    results: list[CommandResult] = []
    pid, go = supervisor.fifo("pid"), supervisor.fifo("go")
    daemon = f"(setsid sh -c 'echo $$ >{pid}; exec sleep 1000' &)"
    Command.start(
        container.process,
        ["sh", "-c", f"{daemon}; read line <{go}"],
        env=ENV,
        cwd="/",
        done=results.append,
        keep_leftovers=True,
    )
    left = int(pid.hear())
    supervisor.run("true")  # so that orphans are looked for
    go.say()
    supervisor.wait(lambda: results)
    alive = exists(left)
    container.process.signal(signal.SIGTERM)
    supervisor.wait(lambda: container.exits)

    assert (alive, exists(left)) == (True, False)


def out_of_time(supervisor: Supervisor, container: Instance, script: str, begun: Fifo) -> CommandResult:
    """What comes of a command whose time is over when, and not before, it has written to `begun`."""
    clock = MockClock()  # stands still, however long the command takes to begin
    results: list[CommandResult] = []

    async def run() -> None:
        results.append(
            await run_command(
                container.process,
                ["sh", "-c", script],
                env=ENV,
                cwd="/",
                timeout_seconds=0.5,
                keep_leftovers=True,
            )
        )

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await trio.lowlevel.wait_readable(begun.fd)
            clock.jump(0.5)

    supervisor.trio(main, clock)
    return results[0]


def test_time_that_runs_out_kills_all_of_a_command(supervisor: Supervisor) -> None:
    """PROBE-21: with what it said, and with those that hide in a session of their own."""
    said = supervisor.fifo("said")
    container = supervisor.start("sleep", "1000")
    script = f"echo $$; setsid sh -c 'echo $$; echo >{said}; exec sleep 1000' & wait"
    result = out_of_time(supervisor, container, script, said)
    pids = [int(pid) for pid in result.output.split()]
    supervisor.wait(lambda: not any(map(exists, pids)))

    assert (result.exit_code, len(pids)) == (None, 2)


HIDDEN = (
    "(env -i PATH=$PATH setsid sh -c "
    "'(setsid sh -c \"echo \\$\\$ >{pid}; exec sleep 1000\" &) >/dev/null 2>&1' &)"
)
"A daemon with no parent, session, environment or output of ours: only its brand tells it from a stranger."


def test_time_that_runs_out_finds_who_hides_behind_a_double_fork(supervisor: Supervisor) -> None:
    """PROBE-21, TERM-17: and only what that command started; a daemon of the container lives on."""
    pid, of_container = supervisor.fifo("pid"), supervisor.fifo("of_container")
    container = supervisor.shell(f"{HIDDEN.format(pid=of_container)}; exec sleep 1000")
    others = int(of_container.hear())
    result = out_of_time(supervisor, container, f"{HIDDEN.format(pid=pid)}; exec sleep 1000", pid)
    hidden = int(pid.hear())
    supervisor.wait(lambda: not exists(hidden))

    assert result.exit_code is None
    assert exists(others)
    container.process.signal(signal.SIGTERM)
    supervisor.wait(lambda: container.exits)
    assert not exists(others)


def test_what_a_finished_command_hides_ends_with_its_container(supervisor: Supervisor) -> None:
    """TERM-17: as much as what it leaves behind openly."""
    container = supervisor.start("sleep", "1000")
    pid = supervisor.fifo("pid")
    results: list[CommandResult] = []
    Command.start(
        container.process,
        ["sh", "-c", HIDDEN.format(pid=pid)],
        env=ENV,
        cwd="/",
        done=results.append,
        keep_leftovers=True,
    )
    hidden = int(pid.hear())
    supervisor.wait(lambda: results)
    alive = exists(hidden)
    container.process.signal(signal.SIGTERM)
    supervisor.wait(lambda: container.exits)

    assert (alive, exists(hidden)) == (True, False)


def test_a_hidden_daemon_ends_with_its_own_container_only(supervisor: Supervisor) -> None:
    """TERM-17: two containers, each with one that hides."""
    fifos = [supervisor.fifo(name) for name in ("one", "two")]
    instances = [supervisor.shell(f"{HIDDEN.format(pid=fifo)}; exec sleep 1000") for fifo in fifos]
    pids = [int(fifo.hear()) for fifo in fifos]
    instances[0].process.signal(signal.SIGTERM)
    supervisor.wait(lambda: instances[0].exits)

    assert [exists(pid) for pid in pids] == [False, True]


def test_limits_that_nobody_heeds_are_ours_again_after_a_start(supervisor: Supervisor) -> None:
    """The brand is on what was started, not on the program that we are a part of."""
    limits = (brand.RUN, brand.CONTAINER)
    instance = supervisor.start("sleep", "1000")
    theirs = [resource.prlimit(instance.process.pid, limit) for limit in limits]

    assert [resource.getrlimit(limit) for limit in limits] == [(-1, -1)] * 2
    assert all(soft > 1 << 61 and hard == -1 for soft, hard in theirs)


def test_who_is_branded_already_keeps_that() -> None:
    """A supervisor in a container of another one, which could not tell its own otherwise."""
    outer = brand.Brand()
    with outer.on(7), subprocess.Popen(["sleep", "1000"]) as ours:
        inner = brand.Brand()
        with inner.on(8), subprocess.Popen(["sleep", "1000"]) as theirs:
            marks = [reader.read(pid) for reader in (outer, inner) for pid in (ours.pid, theirs.pid)]
            theirs.kill()
        ours.kill()

    assert marks == [7, 7, 0, 0]


def test_a_cancelled_command_is_killed(supervisor: Supervisor) -> None:
    container = supervisor.start("sleep", "1000")
    pid = supervisor.root / "pid"

    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await run_command(
                    container.process,
                    ["sh", "-c", f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 1000"],
                    env=ENV,
                    cwd="/",
                    timeout_seconds=None,
                )

            nursery.start_soon(run)
            while not pid.exists():
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    supervisor.trio(main)
    supervisor.wait(lambda: not exists(int(pid.read_text())))

    assert container.exits == []


def test_a_container_takes_its_commands_with_it(supervisor: Supervisor) -> None:
    """TERM-17: its end is told when they are gone, too."""
    container = supervisor.start("sleep", "1000")
    results: list[CommandResult] = []
    running = Command.start(container.process, ["sleep", "1000"], env=ENV, cwd="/", done=results.append)
    container.process.signal(signal.SIGTERM)
    supervisor.wait(lambda: container.exits)

    assert (results, exists(running.pid)) == ([CommandResult(137)], False)


def test_no_command_starts_in_a_dead_container(supervisor: Supervisor) -> None:
    container = supervisor.run("true")
    with pytest.raises(ProcessLookupError):
        Command.start(container.process, ["true"], env=ENV, cwd="/", done=lambda result: None)

    assert children() == set()


def test_an_abandoned_command_is_silent(supervisor: Supervisor) -> None:
    container = supervisor.start("sleep", "1000")
    results: list[CommandResult] = []
    running = Command.start(container.process, ["sleep", "1000"], env=ENV, cwd="/", done=results.append)
    running.abandon()
    supervisor.wait(lambda: not exists(running.pid))
    running.abandon()

    assert results == []
