"""Whoever reads us goes away, is slow, or stops us: what people expect of a foreground tool."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from foreground import LIMIT, Run, container, logged, pod, run, run_to_end

from minikubelet.api.pod import Container, ExecAction, Probe
from minikubelet.cli.screen import Block
from minikubelet.runtime.handlers import LATE_SECONDS, perform_probe
from minikubelet.runtime.process import CommandResult

COMMANDS = (
    ["validate", "manifest.yaml"],
    ["explain", "manifest.yaml"],
    ["run", "--dry-run", "manifest.yaml"],
)


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


# ------------------------------------------------------------------ standard output


def test_a_full_disk_under_standard_output_ends_no_run(tmp_path: Path) -> None:
    """The pod goes on to its end; it is told once, and the exit code is 1."""
    with open("/dev/full", "wb") as full:
        code, _, err = run_to_end(
            tmp_path, pod(container(f"echo up; sleep 0.3; echo more; touch {tmp_path}/done")), stdout=full
        )

    assert (code, err) == (1, "minikubelet: cannot write to standard output: No space left on device\n")
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], *COMMANDS], ids=" ".join)
def test_a_full_disk_is_told_by_every_command(tmp_path: Path, arguments: list[str]) -> None:
    """Exit code 1, not a traceback."""
    (tmp_path / "manifest.yaml").write_text(pod(container("true")))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "minikubelet", *arguments],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == "minikubelet: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], *COMMANDS], ids=" ".join)
def test_a_reader_who_is_gone_is_no_error(tmp_path: Path, arguments: list[str]) -> None:
    """`| true`: nothing on standard error; 141, as SIGPIPE would, if the text mattered."""
    (tmp_path / "manifest.yaml").write_text(pod(container("true")))
    source, closed = os.pipe()
    os.close(source)
    done = subprocess.run(
        [sys.executable, "-m", "minikubelet", *arguments],
        cwd=tmp_path,
        stdout=closed,
        stderr=subprocess.PIPE,
        timeout=LIMIT,
        check=False,
    )
    os.close(closed)

    assert done.returncode in (0, 141)
    assert done.stderr == b""


@pytest.mark.parametrize("command", ["run", "validate", "explain"])
def test_there_may_be_no_standard_input(tmp_path: Path, command: str) -> None:
    """`<&-`: for what was to be read from there it is as if it were empty."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m minikubelet {command} - <&-', sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("<stdin>: nothing to ")
    assert done.stdout == ""


def test_a_manifest_may_come_from_a_named_pipe(tmp_path: Path) -> None:
    """Like cat(1) and kubectl we wait for who writes it, and read to the end."""
    pipe = fifo(tmp_path / "pipe")
    (tmp_path / "manifest.yaml").write_text(pod(container("true")))
    writer = subprocess.Popen(["sh", "-c", 'cat "$0" >"$1"', tmp_path / "manifest.yaml", pipe])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "minikubelet", "validate", str(pipe)],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    finally:
        writer.kill()
        writer.wait()

    assert (done.returncode, done.stderr) == (0, "")
    assert "default/web is valid" in done.stdout


def test_a_reader_who_stands_still_holds_up_nothing(tmp_path: Path) -> None:
    """Nothing of stdout is read: restarts and probes go on, and the log files hold every byte."""
    noisy = container(
        "i=0; while [ $i -lt 20000 ]; do echo $i and a few words more; i=$((i+1)); done", "noisy"
    )
    probed = container(
        "while ! [ -e ready ]; do sleep 0.05; done; sleep 0.1; exit $((3 - 3))",
        "probed",
        readinessProbe={"exec": {"command": ["touch", "ready"]}, "periodSeconds": 1},
    )
    with run(tmp_path, pod(noisy, probed), "--log-dir", "logs", "--status-file", "status") as stuck:
        deadline = time.monotonic() + LIMIT
        while not (tmp_path / "status").exists():  # all is over, but for what nobody reads
            assert stuck.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        code, out, _ = stuck.end()

    expected = "".join(f"{i} and a few words more\n" for i in range(20000))
    assert code == 0
    assert logged(tmp_path, "noisy")["stdout"] == expected.encode()
    assert out.count("web/noisy | ") == 20000


# ------------------------------------------------------------------ terminals


def on_a_terminal_that_closes(
    folder: Path, script: str, seen: bytes, act: Callable[[], object], hup: signal.Handlers
) -> int:
    """The exit code of a run whose terminal is closed when `seen` was shown; `act` comes after that."""
    (folder / "manifest.yaml").write_text(pod(container(script)))
    pid, master = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, hup)
        os.chdir(folder)
        os.environ["NO_COLOR"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "minikubelet", "run", "manifest.yaml"])
    try:
        shown = b""
        while seen not in shown:
            shown += os.read(master, 65536)
        os.close(master)
        act()
        poll = select.poll()
        pidfd = os.pidfd_open(pid)
        poll.register(pidfd, select.POLLIN)
        assert poll.poll(LIMIT * 1000), "it goes on and on"
        os.close(pidfd)
    finally:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def test_a_closed_terminal_deletes_the_pods_gracefully(tmp_path: Path) -> None:
    """SIGHUP from the kernel, and EIO for what we write: exit code 129, whichever comes first."""
    script = f"trap 'touch {tmp_path}/bye; exit 0' TERM; while :; do echo tick; sleep 0.02; done"
    code = on_a_terminal_that_closes(tmp_path, script, b"| tick", lambda: None, signal.SIG_DFL)

    assert code == 128 + signal.SIGHUP
    assert (tmp_path / "bye").exists()


def test_a_closed_terminal_means_nothing_to_whom_nohup_has_started(tmp_path: Path) -> None:
    """SIGHUP was ignored when we were started: the run goes on, for nobody to see."""
    go = fifo(tmp_path / "go")
    script = f"echo up; read line < {go}; for i in 1 2 3 4 5; do echo $i; done; touch {tmp_path}/done"
    code = on_a_terminal_that_closes(tmp_path, script, b"| up", lambda: go.write_text("go\n"), signal.SIG_IGN)

    assert code == 0
    assert (tmp_path / "done").exists()


# ------------------------------------------------------------------ stopped


def stopped_for(seconds: float, under_way: Run) -> None:
    """The time that has to pass is the fault itself."""
    under_way.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, under_way.process.pid, os.WSTOPPED)
    time.sleep(seconds)


def test_probes_that_ran_while_we_were_stopped_have_not_failed(tmp_path: Path) -> None:
    """PROBE-21: Ctrl-Z in the middle of an attempt, far beyond its timeout, with a failureThreshold of 1."""
    asked, answer = fifo(tmp_path / "asked"), fifo(tmp_path / "answer")
    stop = f"touch {tmp_path}/first; kill -STOP $PPID; echo > {asked}; read line < {answer}"
    script = f"[ -e {tmp_path}/first ] || {{ {stop}; }}"
    again = f"[ -e {tmp_path}/first ] && touch {tmp_path}/ready"
    probe = {"periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 1}
    main = container(
        f"while ! [ -e {tmp_path}/ready ]; do sleep 0.05; done",
        livenessProbe={**probe, "exec": {"command": ["sh", "-c", f"{script}; {again}"]}},
    )
    with run(tmp_path, pod(main)) as under_way:
        asked.read_text()
        stopped_for(2 + LATE_SECONDS + 0.5, under_way)
        under_way.process.send_signal(signal.SIGCONT)
        code, out, _ = under_way.end()

    assert code == 0
    assert "Unhealthy" not in out


def test_an_attempt_that_we_slept_through_is_made_again() -> None:
    """Three times at most; a failure in time is one at once."""
    clock = trio.testing.MockClock()
    probe = Probe(exec=ExecAction(("x",)), timeout_seconds=1)

    def ask(late: list[float]) -> tuple[str, int]:
        attempts = 0

        async def run_exec(words: object, timeout: object) -> CommandResult:
            nonlocal attempts
            clock.jump(1 + late[attempts])
            attempts += 1
            return CommandResult(None if late[attempts - 1] else 0)

        async def main() -> str:
            answer = await perform_probe("liveness", probe, Container("c", "i"), run_exec=run_exec)
            return answer.result

        return trio.run(main, clock=clock), attempts

    assert ask([60.0, 0.0]) == ("success", 2)
    assert ask([60.0, 60.0, 60.0]) == ("failure", 3)
    assert ask([0.1]) == ("failure", 1)


def test_what_containers_do_while_we_are_stopped_is_seen_afterwards(tmp_path: Path) -> None:
    """They run on, as those of other foreground tools do: output and exit are read on SIGCONT."""
    go = fifo(tmp_path / "go")
    script = f"echo up; read line < {go}; echo while stopped; exit 3"
    with run(tmp_path, pod(container(script))) as under_way:
        under_way.wait_for("| up")
        under_way.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, under_way.process.pid, os.WSTOPPED)
        go.write_text("go\n")
        under_way.process.send_signal(signal.SIGCONT)
        code, out, _ = under_way.end()

    assert code == 1
    assert "web/main | while stopped" in out
    assert "web/main ! Exited: code 3" in out


def test_a_terminal_that_is_resized_is_drawn_on_as_it_is() -> None:
    """Its size is asked for with each drawing; lines that have become too long for it are wiped whole."""
    master, terminal = pty.openpty()
    try:
        block = Block(terminal, color=False)
        sizes, frames = [], []
        for rows, columns in ((24, 100), (60, 40)):
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            sizes.append(block.size)
            block.lines = ("x" * block.size[0],)
            frames.append(block.frame(b""))
    finally:
        os.close(master)
        os.close(terminal)

    assert sizes == [(99, 8), (39, 20)]
    assert b"x" * 99 in frames[0]
    assert b"\r\x1b[2A\x1b[J" in frames[1]  # the 99 take three lines by now
    assert b"x" * 39 in frames[1]
