"""`minikubelet bench` as a user starts it: what it measures, what it refuses, what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minikubelet.runtime.proc import descendants

LIMIT = 120  # seconds for what takes a few


def bench(*arguments: str, code: int = 0, path: str | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "minikubelet", "bench", *arguments],
        env={**os.environ, "PATH": os.environ["PATH"] if path is None else path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


QUICKLY = ("--quick", "--rounds", "1", "--peers", "none")


def test_one_metric_is_measured_beside_its_floors(tmp_path: Path) -> None:
    """A table for people, JSON for machines, progress on stderr."""
    file = tmp_path / "out.json"
    done = bench(*QUICKLY, "--only", "sidecar", "--only", "spawn", "--json", str(file))

    lines = done.stdout.splitlines()
    assert "main's exit to the sidecar's SIGTERM, ms" in lines
    assert any(line.startswith(" > minikubelet ") for line in lines)
    assert any("floor-lean" in line for line in lines)
    assert any(line.split()[:2] in (["hit", "sidecar"], ["missed", "sidecar"]) for line in lines)
    assert "%" in done.stderr
    result = json.loads(file.read_text())
    assert result["schema"] == 1
    assert result["failures"] == []
    assert [metric["key"] for metric in result["metrics"]] == ["sidecar", "spawn"]
    ours = result["metrics"][0]["subjects"]["minikubelet"]
    assert ours["n"] == len(ours["samples"]) == 5
    assert 0 < ours["min"] <= ours["median"] <= ours["max"]
    assert set(result["machine"]) >= {"cores", "kernel", "python", "load"}


def test_it_works_without_a_compiler(tmp_path: Path) -> None:
    """The children are then Python programs, and that is said."""
    done = bench(*QUICKLY, "--only", "sidecar", path=str(tmp_path))

    assert "Note: no C compiler (cc) that works" in done.stdout
    assert "minikubelet" in done.stdout
    assert "floor-c" not in done.stdout


def test_peers_that_are_not_installed_are_named(tmp_path: Path) -> None:
    done = bench("--quick", "--rounds", "1", "--peers", "s6,honcho", "--only", "core", path=str(tmp_path))

    assert "Not measured: s6: no s6-svscan, s6-log on PATH (apt install s6)" in done.stdout
    assert "Not measured: honcho: no honcho on PATH (pip install honcho)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--peers", "s6,monit"], "--peers monit: there is no such peer, but auto, none, s6, "),
        (["--peers", ""], "--peers : there is no such peer"),
        (["--only", "speed"], "--only speed: no metric begins so; there are cold, start-10, "),
        (["--plot", "a.gif"], "--plot a.gif: the name does not end in .svg or .png"),
        (["--json", "/nowhere/a.json"], "/nowhere/a.json: cannot be written: No such file or directory"),
        (["--rounds", "0"], "argument --rounds: '0' is not a number from 1 on"),
        (["pod.yaml"], "unrecognized arguments: pod.yaml"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(arguments: list[str], complaint: str) -> None:
    done = bench(*arguments, code=2)

    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plot_needs_matplotlib_and_says_how_to_get_it(tmp_path: Path) -> None:
    """Before anything is measured."""
    program = (
        "import sys; from minikubelet.cli import bench, main; bench.find_spec = lambda name: None; "
        "sys.exit(main.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "bench", "--plot", str(tmp_path / "a.svg")],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )

    assert done.returncode == 2
    assert "--plot needs matplotlib: pip install 'minikubelet[plot]'" in done.stderr
    assert not (tmp_path / "a.svg").exists()


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_plot_is_a_picture(ending: str, tmp_path: Path, require: Callable[[bool, str], None]) -> None:
    from importlib.util import find_spec

    require(find_spec("matplotlib") is not None, "matplotlib")
    file = tmp_path / f"a.{ending}"
    bench(*QUICKLY, "--only", "spawn", "--plot", str(file))

    assert file.read_bytes()[1:4] == (b"PNG" if ending == "png" else b"?xm")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_it_is_stopped(number: int) -> None:
    """No process, no directory, and the exit code of who was ended by a signal."""
    process = subprocess.Popen(
        [sys.executable, "-m", "minikubelet", "bench", *QUICKLY, "--only", "stop-100"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + LIMIT
    while not (running := _children_of_its_own(process.pid)):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    folder = running[0].partition("/child ")[0]
    process.send_signal(number)

    assert process.wait(LIMIT) == 128 + number
    assert not [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if folder in _command(pid)]
    assert not Path(folder).exists()


def test_what_was_measured_before_a_signal_is_told(tmp_path: Path) -> None:
    """As a table and as JSON, with a note that it is not all; the exit code is the signal's."""
    file = tmp_path / "out.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "minikubelet", "bench", *QUICKLY),
            *("--only", "cold", "--only", "stop-100", "--json", str(file)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + LIMIT
    while len(_children_of_its_own(process.pid)) < 2:  # for a cold start there is one, for a stop a hundred
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=LIMIT)

    assert process.returncode == 128 + signal.SIGINT
    assert "cold start: exec to the first instruction of the first container, ms" in stdout.splitlines()
    assert "Note: interrupted: what was to be measured after that is missing" in stdout.splitlines()
    result = json.loads(file.read_text())
    assert result["metrics"][0]["key"] == "cold"
    assert result["metrics"][0]["subjects"]["minikubelet"]["n"] == 1
    assert result["notes"][-1].startswith("interrupted")


def _children_of_its_own(pid: int) -> list[str]:
    """The command lines of what is supervised below that process."""
    lines = map(_command, descendants(pid))
    return [line for line in lines if line.startswith("/") and "/child idle " in line]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
