"""How figures are taken: from marks, from /proc, and with nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from minikubelet.bench.supervised import Failed, Marks, Service, Supervised, memory, usage
from minikubelet.bench.tools import tools

PROGRAM = """\
import sys, time
from pathlib import Path
from minikubelet.bench.supervised import Failed, become_subreaper, supervised
folder, child, argv = Path(sys.argv[1]), [sys.argv[2]], sys.argv[3:]
become_subreaper()
"""
"""Runs in a process of its own, which is the subreaper and not the tests'."""


def in_its_own_process(tmp_path: Path, program: str, child: str, *argv: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program, str(tmp_path), child, *argv],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_marks_are_read_as_they_come(tmp_path: Path) -> None:
    """A line that is not whole yet is left for later."""
    marks = Marks(tmp_path / "marks")
    assert marks.of("m") == []

    marks.path.write_text("m a 100 7 0\nm b 2")
    assert [mark.tag for mark in marks.of("m")] == ["a"]

    with open(marks.path, "a") as file:
        file.write("00 8 0\nx a 300 7 1\n")
    assert [(mark.tag, mark.instant, mark.pid) for mark in marks.of("m")] == [("a", 100, 7), ("b", 200, 8)]
    assert [mark.number for mark in marks.of("x")] == [1]


def test_usage_and_memory_are_of_what_still_lives() -> None:
    """A pid that is gone counts as nothing."""
    gone = subprocess.Popen(["true"])
    gone.wait()

    assert usage([os.getpid(), gone.pid]).cpu_seconds > 0
    assert memory([gone.pid]) == (0, 0)
    rss, pss = memory([os.getpid()])
    assert rss >= pss > 0


def test_nothing_is_left_of_a_run(tmp_path: Path) -> None:
    """Neither of those whose parent is dead already, nor of those who ignore SIGTERM."""
    program = """\
with supervised(argv, folder, child, {}) as run:
    run.wait_until(lambda: len(run.processes()[1]) == 2, "two children", seconds=30, step=0.01)
print(*(len(pids) for pids in run.processes()))
"""
    shell = "trap '' TERM; (sleep 3600 & sleep 3600) & sleep 0.1"

    assert in_its_own_process(tmp_path, program, "sleep", "sh", "-c", shell) == "0 0\n"


@pytest.mark.parametrize("start", ["posix_spawn", "fork"])
def test_a_signal_at_the_start_leaves_nothing_either(tmp_path: Path, start: str) -> None:
    """What it ends has been started, and nobody has been told yet."""
    program = f"""\
import os, signal
from minikubelet.bench.supervised import bystander
from minikubelet.runtime.proc import children_of

def {start}(*arguments, _start=os.{start}, **settings):
    pid = _start(*arguments, **settings)
    if pid:
        os.kill(os.getpid(), signal.SIGTERM)
    return pid

def end(number, frame):
    raise SystemExit

os.{start} = {start}
signal.signal(signal.SIGTERM, end)
try:
    with supervised(argv, folder, child, {{}}) if {start!r} == "posix_spawn" else bystander(signal.pause):
        time.sleep(60)
except SystemExit:
    print(*children_of(os.getpid(), [os.getpid()]))
"""
    assert in_its_own_process(tmp_path, program, "sleep", "sleep", "3600") == "\n"


def test_the_time_until_nothing_is_left_is_that_of_the_last_one(tmp_path: Path) -> None:
    """A supervisor that leaves its children to themselves has not stopped them."""
    program = """\
with supervised(argv, folder, child, {}) as run:
    since = time.monotonic_ns()
    print(run.wait_until_gone(since, seconds=30) >= 1000)
"""
    assert in_its_own_process(tmp_path, program, "sleep", "sh", "-c", "sleep 1.1 &") == "True\n"


def test_a_supervisor_that_ends_too_soon_is_told_with_its_last_words(tmp_path: Path) -> None:
    program = """\
try:
    with supervised(argv, folder, child, {}) as run:
        run.wait_for_marks("m", 1, seconds=30)
except Failed as failed:
    print(failed)
"""
    told = in_its_own_process(tmp_path, program, "sleep", "sh", "-c", "echo no such thing; exit 3")

    assert told == "it ended with 3 before 1 x 'm': no such thing\n"


def test_who_is_not_installed_is_told() -> None:
    with pytest.raises(Failed, match="no-such-supervisor: not found"):
        Supervised(["no-such-supervisor"], Path("/nowhere"), ["child"], {})


@pytest.fixture(params=["compiled", "python"])
def child(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sequence[str]]:
    """The one in C, if there is a compiler, and the one in Python."""
    if request.param == "python":
        monkeypatch.setattr("minikubelet.bench.tools.shutil.which", lambda name: None)
    with tools() as these:
        yield these.child


def test_without_a_compiler_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minikubelet.bench.tools.shutil.which", lambda name: None)
    with tools() as these:
        assert these.folder.is_dir()

    assert (these.is_child_compiled, these.floor) == (False, None)
    assert any("no C compiler" in note for note in these.notes)
    assert not these.folder.exists()


def test_a_child_tells_what_happens_to_it(child: Sequence[str], tmp_path: Path) -> None:
    """It begins, it writes what it is told to, it obeys SIGTERM: in C and in Python alike."""
    marks = Marks(tmp_path / "marks")
    service = Service("s", [*child, "spew", "s", str(marks.path), "100", "60000", "5000"])
    with open(tmp_path / "out", "wb") as out:
        process = subprocess.Popen(service.argv, stdout=out)
    wait_for(lambda: marks.of("m"))
    process.send_signal(signal.SIGUSR1)
    wait_for(lambda: marks.of("w"))
    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == 0
    assert [mark.number for mark in marks.of("w")] == [5000]
    assert [mark.number for mark in marks.of("t")] == [signal.SIGTERM]
    assert marks.of("m")[0].instant <= marks.of("s")[0].instant <= marks.of("w")[0].instant
    lines = (tmp_path / "out").read_bytes().splitlines()
    assert (len(lines), {len(line) for line in lines}) == (50, {99})


def test_a_child_that_ignores_sigterm_tells_so(child: Sequence[str], tmp_path: Path) -> None:
    marks = Marks(tmp_path / "marks")
    process = subprocess.Popen([*child, "ignore", "s", str(marks.path)])
    wait_for(lambda: marks.of("m"))
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: marks.of("i"))
    process.send_signal(signal.SIGUSR1)

    assert process.wait(60) == 1
    assert (len(marks.of("i")), len(marks.of("t")), len(marks.of("x"))) == (1, 0, 1)


def wait_for(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
