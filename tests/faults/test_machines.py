"""Programs and directories that go away, full disks, clocks that are set, processes that somebody holds."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from foreground import LIMIT, RETRY_SOON, container, pod, run, run_to_end

from minikubelet.runtime.mounts import mount_support

# ------------------------------------------------------------------ programs


def program(path: Path, text: bytes) -> str:
    path.write_bytes(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("isolation", ["none", "auto"])
def test_LOCAL_3_a_program_that_is_deleted_between_two_attempts(tmp_path: Path, isolation: str) -> None:
    """Its first run exits by itself; the next one is a start error, in the words of execve(2)."""
    path = program(tmp_path / "suicidal", b'#!/bin/sh\necho first\nrm "$0"\nexit 3\n')
    main = {"name": "main", "image": "busybox", "command": [path]}
    with run(tmp_path, pod(main, policy="OnFailure"), "--isolation", isolation) as under_way:
        under_way.wait_for("web/main ! Exited: code 3")
        under_way.wait_for(f'web/main ! Failed: Error: exec: "{path}": No such file or directory')
        under_way.process.send_signal(signal.SIGTERM)
        code, _, _ = under_way.end()

    assert code == 128 + signal.SIGTERM


def test_LOCAL_3_a_program_for_another_machine(tmp_path: Path) -> None:
    """ENOEXEC: an ELF header of an architecture that there is none of; never a shell's 126."""
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 0x7FFF, 1) + bytes(40)
    path = program(tmp_path / "foreign", header)
    main = {"name": "main", "image": "busybox", "command": [path]}
    code, out, _ = run_to_end(tmp_path, pod(main), "--status-file", "status.json")
    (item,) = json.loads((tmp_path / "status.json").read_text())["items"]
    ended = item["status"]["containerStatuses"][0]["state"]["terminated"]

    assert code == 1
    assert f'Failed: Error: exec: "{path}": Exec format error' in out
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")


def test_a_working_directory_that_is_removed_between_two_attempts(tmp_path: Path) -> None:
    """LOCAL-3: told by its name."""
    place = tmp_path / "place"
    place.mkdir()
    main = container(f"rmdir {place}; exit 3", workingDir=str(place))
    with run(tmp_path, pod(main, policy="OnFailure")) as under_way:
        under_way.wait_for(f'Failed: Error: chdir to workingDir "{place}": No such file or directory')
        under_way.process.send_signal(signal.SIGTERM)
        code, _, _ = under_way.end()

    assert code == 128 + signal.SIGTERM


def test_a_process_that_is_dead_before_anybody_looks(tmp_path: Path) -> None:
    """It exits while it is being started: ten times, each with its exit code."""
    containers = [container(f"exit {i + 1}", f"c{i}") for i in range(10)]
    _, out, _ = run_to_end(tmp_path, pod(*containers))

    assert [f"web/c{i} ! Exited: code {i + 1}" in out for i in range(10)] == [True] * 10


CROWD = """
import os, resource
from minikubelet.runtime.logs import ContainerLog
from minikubelet.runtime.process import LocalProcess
from minikubelet.runtime.reactor import Reactor
from minikubelet.runtime.reaper import Reaper

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
os.mkfifo("go")
go = os.open("go", os.O_RDWR)
reactor = Reactor()
reaper = Reaper(reactor)
before = len(os.listdir("/proc/self/fd"))
exits = []
for number in range(300):
    LocalProcess.start(
        reaper, ["sh", "-c", "read line < go; exit 7"], container_id=f"x/{number}", env=os.environ, cwd=".",
        log=ContainerLog(f"logs/{number}", 0), exited=exits.append,
    )
os.write(go, b"go\\n" * 300)
while len(exits) < 300:
    assert reactor.run_once(60)
print(set(exits), len(exits), len(os.listdir("/proc/self/fd")) - before)
reaper.close()
"""


def test_hundreds_of_containers_that_crash_at_once(tmp_path: Path) -> None:
    """With so few descriptors that the limit has to be raised; each exit is told once, nothing is left."""
    done = subprocess.run(
        [sys.executable, "-c", CROWD],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        capture_output=True,
        text=True,
        timeout=2 * LIMIT,
        check=False,
    )

    kept = 3  # what the raised limit takes: descriptors.py
    assert (done.stdout, done.stderr) == (f"{{7}} 300 {kept}\n", "")


# ------------------------------------------------------------------ disks


SMALL_FILES = """
import resource, sys
sys.dont_write_bytecode = True  # CPython would leave half of a module's, which nobody can load any more
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))
"""


def test_a_full_disk_under_the_logs_ends_no_pod(tmp_path: Path) -> None:
    """What is lost is told at first, in an Event, and in all; with --log-dir the exit code is 1."""
    main = container("i=0; while [ $i -lt 1000 ]; do echo $i a few words more; i=$((i+1)); done")
    code, out, err = run_to_end(tmp_path, pod(main), "--log-dir", "logs", prelude=SMALL_FILES)
    (log,) = (tmp_path / "logs").glob("*/main/0.log")
    prefix = len("2024-05-06T07:08:09.000000001Z stdout F ")
    lost = sum(prefix + len(f"{i} a few words more\n") for i in range(1000)) - 20000

    assert code == 1
    assert log.stat().st_size == 20000
    assert out.count("web/main | ") == 1000
    assert f"web/main ! LogIncomplete: {lost} bytes of the log could not be written: File too large" in out
    assert "0.log: File too large: output is being lost\n" in err
    assert err.endswith(f"minikubelet: logs: {lost} bytes of default/web/main could not be written\n")


NO_SPACE = """
import builtins, errno, os, pathlib
refusals = {number}

def refuse(really):
    def function(path, *args, **options):
        global refusals
        if str(path).endswith({name!r}) and refusals > 0:
            refusals -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return really(path, *args, **options)
    return function

os.open, os.mkdir = refuse(os.open), refuse(os.mkdir)
"""


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("main.work", "web/main ! Failed: Error: "),
        ("volumes", "web ! FailedMount: "),
    ],
)
def test_a_full_disk_under_the_run_directory_is_waited_out(tmp_path: Path, name: str, told: str) -> None:
    """STATUS-9, VOL-6: tried again until there is room, even with restartPolicy Never."""
    prelude = RETRY_SOON + NO_SPACE.format(number=2, name=f"/{name}")
    volume = {"name": "data", "emptyDir": {}}
    code, out, _ = run_to_end(tmp_path, pod(container("echo up"), volumes=[volume]), prelude=prelude)
    lines = [line for line in out.splitlines() if line.endswith(f"/{name}: No space left on device")]

    assert code == 0
    assert lines
    assert all(line.startswith(told) for line in lines)
    assert "web/main | up" in out


MOUNTS_OF_ITS_OWN = """
import ctypes, os
user, group = os.geteuid(), os.getegid()
assert ctypes.CDLL(None, use_errno=True).unshare(0x10000000 | 0x20000) == 0  # CLONE_NEWUSER, CLONE_NEWNS
for name, text in ("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1"):
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)
"""
COVER = """
import ctypes, sys
assert ctypes.CDLL(None).mount(b"none", sys.argv[1].encode(), b"tmpfs", 1, None) == 0  # MS_RDONLY
"""


def test_a_file_system_that_becomes_read_only_under_the_logs_ends_no_pod(
    tmp_path: Path, require: Callable[[bool, str], None]
) -> None:
    """EROFS for real, between two containers."""
    require(mount_support(tmp_path).kind != "none", "namespaces")
    cover = {
        "name": "cover",
        "image": "busybox",
        "command": [sys.executable, "-c", COVER, f"{tmp_path}/logs"],
    }
    manifest = pod(container("echo said"), initContainers=[cover])
    code, out, err = run_to_end(
        tmp_path, manifest, "--log-dir", "logs", "--isolation", "none", prelude=MOUNTS_OF_ITS_OWN
    )

    assert code == 1
    assert "web/main | said" in out
    assert "web * Succeeded" in out
    assert "web/main ! LogIncomplete: " in out
    assert "Read-only file system" in out
    assert ": Read-only file system: output is being lost\n" in err
    assert err.endswith(" bytes of default/web/main could not be written\n")


def test_a_full_disk_under_status_and_events_is_told_at_the_end(tmp_path: Path) -> None:
    """The pod succeeds; the exit code is 1."""
    code, out, err = run_to_end(
        tmp_path, pod(container("true")), "--status-file", "/dev/full", "--events-file", "/dev/full"
    )

    assert code == 1
    assert "web * Succeeded" in out
    assert "minikubelet: /dev/full: No space left on device\n" in err
    assert "minikubelet: cannot write to /dev/full: No space left on device\n" in err


# ------------------------------------------------------------------ clocks

SET_CLOCK = """
import os, time
really, really_ns = time.time, time.time_ns
shift = lambda: {hours} * 3600 if os.path.exists({flag!r}) else 0
time.time = lambda: really() + shift()
time.time_ns = lambda: really_ns() + shift() * 10**9
"""


@pytest.mark.parametrize("hours", [-5, 5])
def test_LOCAL_8_a_clock_that_is_set_changes_no_length_of_time(tmp_path: Path, hours: int) -> None:
    """Probes, deadlines, back-off and ages go on as if nothing had happened."""
    flag = tmp_path / "set"
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    main = container(
        f"touch {flag}; sleep 2; [ -e {tmp_path}/again ] || {{ touch {tmp_path}/again; exit 1; }}",
        livenessProbe=probe,
        readinessProbe=probe,
    )
    manifest = pod(main, policy="OnFailure", activeDeadlineSeconds=3600)
    prelude = RETRY_SOON + SET_CLOCK.format(hours=hours, flag=str(flag))
    began = time.time()
    code, out, _ = run_to_end(tmp_path, manifest, "--status-file", "status.json", prelude=prelude)
    (item,) = json.loads((tmp_path / "status.json").read_text())["items"]
    ended = item["status"]["containerStatuses"][0]["state"]["terminated"]
    finished = time.strptime(ended["finishedAt"], "%Y-%m-%dT%H:%M:%SZ")

    assert code == 0
    assert out.splitlines()[-1].split()[-1].endswith("s")  # AGE: seconds, not hours
    assert ended["startedAt"] < ended["finishedAt"]
    assert abs(time.mktime(finished) - time.timezone - began) < LIMIT + 60


# ------------------------------------------------------------------ held processes


def test_TERM_15_a_stopped_container_is_killed_when_its_grace_is_over(tmp_path: Path) -> None:
    """SIGSTOP: SIGTERM waits with it, SIGKILL does not."""
    main = container("echo up; kill -STOP $$$$; echo never")  # ENV-4: $$$$ is a $$
    with run(tmp_path, pod(main), "--grace-period", "1", "--isolation", "none") as under_way:
        under_way.wait_for("| up")
        under_way.process.send_signal(signal.SIGTERM)
        code, out, _ = under_way.end()

    assert code == 128 + signal.SIGTERM
    assert "Exited: code 137: killed by SIGKILL" in out
    assert "never" not in out


TRACER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_CONT, PTRACE_SEIZE = 7, 0x4206
pid = int(sys.argv[1])
if libc.ptrace(PTRACE_SEIZE, pid, None, None):
    sys.exit(os.strerror(ctypes.get_errno()))
print("seized", flush=True)
while True:
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) or os.WIFSIGNALED(status):
        break
    libc.ptrace(PTRACE_CONT, pid, None, ctypes.c_void_p(os.WSTOPSIG(status)))
"""


def test_a_traced_container_ends_as_any_other(tmp_path: Path) -> None:
    """Its tracer, a descendant of the other container, sees the exit first."""
    (tmp_path / "tracer.py").write_text(TRACER)
    traced = container(
        f"echo $$$$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; "
        f"while ! [ -e {tmp_path}/go ]; do sleep 0.05; done; exit 5",
        "traced",
    )
    tracer = container(
        f"while ! [ -e {tmp_path}/pid ]; do sleep 0.05; done; "
        f"exec python3 {tmp_path}/tracer.py $(cat {tmp_path}/pid)",
        "tracer",
    )
    with run(tmp_path, pod(traced, tracer), "--isolation", "none") as under_way:
        under_way.wait_for("| seized")
        (tmp_path / "go").touch()
        _, out, _ = under_way.end()

    assert "web/traced ! Exited: code 5" in out
    assert "web/tracer * Exited: code 0" in out
