"""What is left when minikubelet itself is killed: nothing (LOCAL-9)."""

import fcntl
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minikubelet.runtime import cgroups, guard, guardian, run_directory
from minikubelet.runtime.guard import bury_dead_runs
from minikubelet.runtime.removal import remove_tree
from minikubelet.runtime.run_directory import RunDirectory

PATIENCE = 20

# The container, a child that cleans its environment, and a daemon in a session of its own.
SCRIPT = """
env -i sleep 600 &
setsid sh -c 'echo $$ >{dir}/daemon; exec sleep 600' &
echo $! >{dir}/child; echo $$ >{dir}/main; mkfifo {dir}/never
until [ -s {dir}/daemon ]; do sleep 0.02; done
echo up; read x <{dir}/never
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  containers:
  - name: main
    image: busybox
    command: [sh, {dir}/script]
{mounts}
"""
MOUNTS = """
    volumeMounts: [{{name: v, mountPath: {dir}/made/for/it}}]
  volumes: [{{name: v, emptyDir: {{}}}}]
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    readable, _, _ = select.select([pidfd], [], [], PATIENCE)
    os.close(pidfd)
    assert readable, f"process {pid} lives on"


def guardian_of(pid: int) -> int:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"guardian.py" in _command_line(Path("/proc", child)):
            return int(child)
    raise AssertionError("no guardian")


HEADLESS = """
import ctypes, os, threading, time

def live_on():
    while open(f"/proc/{os.getpid()}/stat").read().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    os.write(1, b"headless\\n")
    while True:
        time.sleep(1)

threading.Thread(target=live_on).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)  # exit, of a thread
"""


@pytest.mark.parametrize("mounts", [False, True], ids=["plain", "mounts"])
def test_LOCAL_9_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path, mounts: bool, require) -> None:
    """No process of a pod, no mount point and no directory of the run."""
    if mounts:
        from minikubelet.runtime.mounts import mount_support

        require(mount_support(tmp_path).kind != "none", "namespaces")
    runs = tmp_path / "runs"
    runs.mkdir()
    (tmp_path / "script").write_text(SCRIPT.format(dir=tmp_path))
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(POD.format(dir=tmp_path, mounts=(MOUNTS if mounts else "").format(dir=tmp_path)))
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "minikubelet", "run", str(manifest)],
        env={**os.environ, "TMPDIR": str(runs)},
        stdout=subprocess.PIPE,
    )
    assert supervisor.stdout is not None
    while b"| up" not in (line := supervisor.stdout.readline()):
        assert line, "it never came up"
    pids = [int((tmp_path / name).read_text()) for name in ("main", "child", "daemon")]
    guardian = guardian_of(supervisor.pid)
    assert all(map(is_alive, pids))

    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait(PATIENCE)
    supervisor.stdout.close()

    for pid in (*pids, guardian):
        wait_until_gone(pid)
    assert list(runs.iterdir()) == []
    assert not (tmp_path / "made").exists()


@pytest.fixture(autouse=True)
def patient_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they find, they find it done, on a slow machine too."""
    monkeypatch.setattr(guard, "PATIENCE", 60.0)


# ------------------------------------------------------------------ each level on its own

HIDER = """
(env -i setsid sh -c '({dir}/hidden 600 &) </dev/null >/dev/null 2>&1' &)
(setsid {dir}/daemon 600 &)
env -i {dir}/child 600 &
echo up; exec {dir}/main 600
"""
LEVELS: dict[str, tuple[str, ...]] = {
    "cgroup": ("main", "child", "daemon", "hidden"),
    "brand": ("main", "child", "daemon", "hidden"),
    "names": ("main", "child", "daemon"),
    "pod": ("main", "child", "daemon", "hidden"),
}
"What a run can be known by after its death, if by nothing else, and what of it is found then."

RUN = """
import resource, sys
from minikubelet.cli.main import main
from minikubelet.runtime import brand, local

level = sys.argv.pop(1)
if level != "cgroup":
    local._cgroup_above = lambda: None
if level != "brand":  # as with `ulimit -m`
    resource.setrlimit(brand.CONTAINER, (1 << 50, resource.RLIM_INFINITY))
sys.exit(main())
"""


class Doomed:
    """A minikubelet that is to be killed; its processes are copies of sleep(1), found by their names."""

    def __init__(self, directory: Path, level: str) -> None:
        self.directory = directory
        self.level = level
        self.runs = directory / "runs"
        self.runs.mkdir()
        sleep = shutil.which("sleep")
        assert sleep is not None
        for name in LEVELS["pod"]:
            shutil.copy(sleep, directory / name)
        (directory / "script").write_text(HIDER.format(dir=directory))
        manifest = directory / "pod.yaml"
        manifest.write_text(POD.format(dir=directory, mounts=""))
        options = ["--isolation", "pod"] if level == "pod" else []
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, level, "run", str(manifest), *options],
            env={**os.environ, "TMPDIR": str(self.runs)},
            stdout=subprocess.PIPE,
            process_group=0,
        )
        assert self.process.stdout is not None
        while b"| up" not in (line := self.process.stdout.readline()):
            assert line, "it never came up"
        self.wait(lambda: all(map(self.alive, LEVELS["pod"])), "all are up")
        (self.run,) = self.runs.iterdir()
        if level == "cgroup":
            self.wait(self.has_moved, "it is in its cgroup")

    def has_moved(self) -> bool:
        """It, and all that it has started."""
        pids = [self.process.pid, *(pid for name in LEVELS["pod"] for pid in self.alive(name))]
        return all(self.run.name in Path(f"/proc/{pid}/cgroup").read_text() for pid in pids)

    def alive(self, name: str) -> list[int]:
        program = str(self.directory / name).encode()
        return [int(entry.name) for entry in _pids() if _command_line(entry).split(b"\0")[0] == program]

    def wait(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not in time: {what}"
            time.sleep(0.01)

    def kill_guardian(self) -> None:
        pidfd = os.pidfd_open(guardian_of(self.process.pid))
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert select.select([pidfd], [], [], PATIENCE)[0]
        os.close(pidfd)

    def is_guarded(self) -> bool:
        try:
            return is_alive(guardian_of(self.process.pid))
        except (AssertionError, OSError):
            return False

    def expect_nothing_left(self) -> None:
        for name in LEVELS[self.level]:
            self.wait(lambda name=name: not self.alive(name), f"{name} is gone")
        self.wait(lambda: not list(self.runs.iterdir()), "the run directory is gone")
        directories = (place for place, _, _ in os.walk("/sys/fs/cgroup"))
        assert not [place for place in directories if self.run.name in place]

    def close(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.kill()
        self.process.wait(PATIENCE)
        for name in LEVELS["pod"]:
            for pid in self.alive(name):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(params=LEVELS)
def doomed(request: pytest.FixtureRequest, tmp_path: Path, require) -> Iterator[Doomed]:
    if request.param == "pod":
        from minikubelet.runtime.sandbox import sandbox_trouble

        trouble = sandbox_trouble()
        require(not trouble, f"namespaces ({trouble})")
    if request.param == "cgroup":
        require(may_move_to_cgroups(), "a cgroup to write to")
    doomed = Doomed(tmp_path, request.param)
    yield doomed
    doomed.close()


def may_move_to_cgroups() -> bool:
    """Found out by doing; `find_delegation` would ask for controllers, too."""
    here = cgroups.own_cgroup("/proc/self")
    return here is not None and not cgroups._try_out(Path(here))


def test_LOCAL_9_a_killed_supervisor_takes_all_with_it_that_a_level_knows(doomed: Doomed) -> None:
    """A daemon with no parent, session, environment or output of ours included, but by names alone."""
    doomed.process.kill()

    doomed.expect_nothing_left()


@pytest.mark.parametrize("doomed", ["brand"], indirect=True)
def test_LOCAL_9_its_whole_process_group_may_be_killed(doomed: Doomed) -> None:
    """As a shell's `kill -9 %1` does."""
    os.killpg(doomed.process.pid, signal.SIGKILL)

    doomed.expect_nothing_left()


@pytest.mark.parametrize("doomed", ["cgroup", "brand"], indirect=True)
def test_LOCAL_9_a_guardian_that_is_killed_is_replaced(doomed: Doomed) -> None:
    """So that it does not matter which of the two dies first; and so is the one that took its place."""
    for _ in range(2):
        doomed.kill_guardian()
        doomed.wait(doomed.is_guarded, "another guardian")
    doomed.process.kill()

    doomed.expect_nothing_left()


def test_LOCAL_9_the_next_start_cleans_up_where_the_guardian_was_killed_too(doomed: Doomed) -> None:
    """What the dead run left, and nothing of a living one or of somebody else."""
    others = doomed.directory / "minikubelet-others"
    others.mkdir()
    (doomed.runs / others.name).symlink_to(others)
    (others / "run").write_text("0\n\n")
    doomed.process.send_signal(signal.SIGSTOP)  # or it would replace its guardian
    os.waitid(os.P_PID, doomed.process.pid, os.WSTOPPED | os.WNOWAIT)
    doomed.kill_guardian()
    doomed.process.kill()
    doomed.process.wait(PATIENCE)
    plain = doomed.level != "pod"
    assert not plain or all(map(doomed.alive, LEVELS[doomed.level]))

    bury_dead_runs(str(doomed.runs))
    (doomed.runs / others.name).unlink()

    assert [name for name in LEVELS[doomed.level] if doomed.alive(name)] == []
    assert (others / "run").exists()
    doomed.expect_nothing_left()


def test_LOCAL_9_who_is_killed_while_removing_leaves_what_the_next_start_knows_it_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory without its record is nobody's, and stayed for good."""
    made, lock = run_directory.make_locked(str(tmp_path))
    path = Path(made)
    os.write(lock, b"0\n\n")
    os.close(lock)
    for name in ("a", "z"):
        (path / name).mkdir()

    class Killed(BaseException):
        pass

    def removal(root: Path) -> None:
        remove_tree(root)
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(run_directory, "remove_tree", removal)
        run_directory.remove_run_directory(made)
    assert len(os.listdir(path)) == 2

    bury_dead_runs(str(tmp_path))

    assert not path.exists()


def test_who_cleans_up_after_another_run_does_not_end_with_this_one(
    tmp_path: Path, require: Callable[[bool, str], None]
) -> None:
    """It is a child of this start, but not moved into its cgroup: it may take longer than all of the run."""
    require(may_move_to_cgroups(), "a cgroup to write to")
    program = f"""
import os, subprocess, sys, time
from minikubelet.cli.main import main
from minikubelet.runtime import local

def bury(parent):
    subprocess.Popen(["sh", "-c", "echo $$ >{tmp_path}/pid; exec sleep 600"])
    while not os.path.exists("{tmp_path}/pid") or time.sleep(0.1):
        pass

local.bury_dead_runs = bury
sys.exit(main())
"""
    (tmp_path / "script").write_text("echo up; exec sleep 600")
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(POD.format(dir=tmp_path, mounts=""))
    run = subprocess.Popen(
        [sys.executable, "-c", program, "run", str(manifest)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    assert run.stdout is not None
    while b"| up" not in run.stdout.readline():
        assert run.poll() is None
    guardian_pid = guardian_of(run.pid)
    deadline = time.monotonic() + PATIENCE
    while "minikubelet-" not in Path(f"/proc/{run.pid}/cgroup").read_text():
        assert time.monotonic() < deadline, "it is not moved"
        time.sleep(0.01)
    run.kill()
    run.wait()
    run.stdout.close()
    wait_until_gone(guardian_pid)
    cleaner = int((tmp_path / "pid").read_text())
    alive = is_alive(cleaner)
    if alive:
        os.kill(cleaner, signal.SIGKILL)

    assert alive


@pytest.mark.parametrize("shell", ["/bin/sh", "/nowhere/sh"])
def test_LOCAL_9_a_killed_program_leaves_nothing_whoever_was_forked_from_it(
    tmp_path: Path, shell: str
) -> None:
    """A child of a library user's program has all descriptors of it: the guardian must not wait for their
    ends, whether it waits as a shell or, where there is none, itself."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "guardian.py").write_text(
        f"import sys; sys.path.insert(0, {str(Path(guardian.__file__).parent)!r})\n"
        f"import guardian; guardian.SHELL = {shell!r}; guardian.main()\n"
    )
    program = f"""
import os, time
from pathlib import Path
from minikubelet.runtime import guard
from minikubelet.runtime.local import LocalRuntime

guard._HERE = Path({str(tmp_path)!r})
runtime = LocalRuntime()
if os.fork() == 0:
    print(os.getpid(), flush=True)
    time.sleep(600)
time.sleep(600)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(tmp_path / "runs")},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    forked = int(process.stdout.readline())
    guardian_pid = guardian_of(process.pid)
    process.kill()
    process.wait(PATIENCE)
    process.stdout.close()
    wait_until_gone(guardian_pid)
    lives_on = is_alive(forked)
    os.kill(forked, signal.SIGKILL)

    assert lives_on
    assert list((tmp_path / "runs").iterdir()) == []


# ------------------------------------------------------------------ whose run is dead


def run_in(parent: Path) -> RunDirectory:
    return RunDirectory(str(parent), 0, None)


def test_a_living_run_is_not_touched(tmp_path: Path) -> None:
    """It has its lock, whatever its pid."""
    living, dead = run_in(tmp_path), run_in(tmp_path)
    os.close(dead.lock)
    bury_dead_runs(str(tmp_path))

    assert list(tmp_path.iterdir()) == [Path(living.path)]
    os.close(living.lock)


def test_a_guardian_keeps_the_lock(tmp_path: Path) -> None:
    """As long as it is there the run is in good hands, and nobody else's business."""
    run = run_in(tmp_path)
    held = os.dup(run.lock)
    os.close(run.lock)
    bury_dead_runs(str(tmp_path))
    before = os.path.exists(run.path)
    os.close(held)
    bury_dead_runs(str(tmp_path))

    assert (before, os.path.exists(run.path)) == (True, False)


@pytest.mark.parametrize(
    "what",
    [
        *("a directory without a lock", "an empty directory of another name"),
        *("a file", "a symlink", "a lock that is a symlink"),
    ],
)
def test_what_is_no_run_of_ours_is_not_touched(tmp_path: Path, what: str) -> None:
    elsewhere, runs = tmp_path / "elsewhere", tmp_path / "runs"
    runs.mkdir()
    run = run_in(tmp_path)
    os.close(run.lock)
    os.rename(run.path, elsewhere)
    name = runs / "minikubelet-12345678"
    if what == "a directory without a lock":
        name.mkdir()
        (name / "somebody's").touch()
    elif what == "an empty directory of another name":
        name = runs / "minikubelet-backup"
        name.mkdir()
    elif what == "a file":
        name.touch()
    elif what == "a symlink":
        name.symlink_to(elsewhere)
    else:
        name.mkdir()
        (name / "run").symlink_to(elsewhere / "run")
    bury_dead_runs(str(runs))

    assert os.path.lexists(name)
    assert (elsewhere / "run").exists()


def test_a_run_that_was_killed_before_it_had_a_lock_is_removed(tmp_path: Path) -> None:
    """Or after it had none any more: its directory is empty then."""
    (tmp_path / "minikubelet-1a2b3c4d").mkdir()
    bury_dead_runs(str(tmp_path))

    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_another_start_removes_before_it_has_a_lock_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one is made."""
    mkdir, made = os.mkdir, []

    def removed_at_first(path: str, mode: int) -> None:
        mkdir(path, mode)
        made.append(path)
        if len(made) == 1:
            bury_dead_runs(str(tmp_path))

    monkeypatch.setattr(run_directory.os, "mkdir", removed_at_first)
    path, lock = run_directory.make_locked(str(tmp_path))
    os.close(lock)

    assert [str(place) for place in tmp_path.iterdir()] == [path] == made[1:]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_run_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    os.close(run.lock)
    os.chown(run.path, 65533, 65533)
    bury_dead_runs(str(tmp_path))

    assert os.path.exists(run.path)


def test_two_starts_do_not_bury_the_same_run(tmp_path: Path) -> None:
    """Who comes second finds the lock taken; a directory that is gone meanwhile is no trouble."""
    dead = [run_in(tmp_path) for _ in range(3)]
    for run in dead:
        os.close(run.lock)
    program = f"from minikubelet.runtime.guard import bury_dead_runs; bury_dead_runs({str(tmp_path)!r})"
    starts = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(4)]

    assert [(start.communicate()[1], start.returncode) for start in starts] == [(b"", 0)] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_another_start_takes_for_dead_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found between its making and its locking: a new one is made."""
    lock_it, taken = fcntl.flock, []

    def bury_first(fd: int, operation: int) -> None:
        if not taken:
            taken.append(fd)
            monkeypatch.setattr(fcntl, "flock", lock_it)
            bury_dead_runs(str(tmp_path))
        lock_it(fd, operation)

    monkeypatch.setattr(fcntl, "flock", bury_first)
    run = run_in(tmp_path)

    assert taken
    assert list(tmp_path.iterdir()) == [Path(run.path)]
    os.close(run.lock)


def test_a_pid_that_became_another_s_is_not_killed() -> None:
    """It is looked at again when its pidfd is open."""
    with subprocess.Popen(["sleep", "600"]) as process:
        killed = list(guardian.kill_if(process.pid, lambda pid: False))
        alive = is_alive(process.pid)
        process.kill()

    assert (killed, alive) == ([], True)


def test_a_process_that_lives_on_without_its_first_thread_is_killed() -> None:
    """/proc shows it as a zombie, with no environment."""
    brand = 1 << 62 | 12345
    with subprocess.Popen([sys.executable, "-c", HEADLESS], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"headless\n"
        resource.prlimit(process.pid, guardian.LOCKS, (brand, resource.RLIM_INFINITY))
        try:
            (pidfd,) = guardian.kill_members(b"minikubelet-none", brand)
            is_dead = guardian.is_ready(pidfd, PATIENCE)
            os.close(pidfd)
        finally:
            process.kill()

    assert is_dead


def test_so_many_processes_are_waited_for_as_there_are() -> None:
    """Their pidfds may have numbers that select(2) does not take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with subprocess.Popen(["sleep", "600"]) as process:
            low = os.pidfd_open(process.pid)
            high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 1500)
            before = guardian.is_ready(high, 0)
            process.kill()
            after = guardian.is_ready(high, PATIENCE)
        os.close(low)
        os.close(high)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert (before, after) == (False, True)


def test_a_run_that_ends_in_order_leaves_no_guardian(tmp_path: Path) -> None:
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(POD.format(dir=tmp_path, mounts="  restartPolicy: Never"))
    (tmp_path / "script").write_text("exit 0")

    ended = subprocess.run(
        [sys.executable, "-m", "minikubelet", "run", str(manifest)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith("minikubelet-")]
    deadline = time.monotonic() + PATIENCE  # it removes the cgroup that minikubelet was in, if there was one
    while guardians := [pid for pid in _pids() if str(tmp_path).encode() in _command_line(pid)]:
        assert time.monotonic() < deadline, f"still there: {guardians}"
        time.sleep(0.01)


def _pids() -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
