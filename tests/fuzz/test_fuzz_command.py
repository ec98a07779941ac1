"""`minikubelet fuzz` as a user starts it: what it prints, what it leaves behind, how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

LIMIT = 60  # seconds for anything that is waited for; all of it takes a few

WEB = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 2
  initContainers:
  - {name: proxy, image: proxy, restartPolicy: Always}
  containers:
  - {name: main, image: main}
  - {name: other, image: main}
"""

CANNOT_HOLD = "main exited before main started"
HOLDS = "proxy started before main started"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "minikubelet", "fuzz", *arguments]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "web.yaml").write_text(WEB)
    return tmp_path


def fuzz(folder: Path, line: str, *more: str, code: int) -> tuple[list[str], str]:
    """Lines of stdout, and stderr, of what is started by that line, which has more arguments."""
    process = subprocess.run(
        command(*line.split(), *more),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert process.returncode == code, process.stdout + process.stderr
    return process.stdout.splitlines(), process.stderr


def children_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(path.parent.name))
    return found


# ------------------------------------------------------------------ nothing found


def test_random_pods_violate_nothing(tmp_path):
    lines, stderr = fuzz(tmp_path, "--examples 64 --seed 1", code=0)

    assert lines[0].startswith("seed 1: 64 examples, ")
    assert "states" in lines[0] and "transitions" in lines[0]
    assert lines[1] == "both engines did the same in 1 example"
    assert lines[2].endswith("invariants violated")
    assert "lifecycles/s" in stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_printed_does_not_depend_on_the_number_of_processes(folder):
    outputs = [
        fuzz(folder, "web.yaml --examples 40 --seed 7", "--assert", HOLDS, "-j", jobs, code=0)[0]
        for jobs in ("1", "3")
    ]

    assert outputs[0] == outputs[1]
    assert any(line.startswith(f"{HOLDS}: held in ") for line in outputs[0])


def test_a_random_seed_is_told_so_that_it_can_be_given(folder):
    first, _ = fuzz(folder, "web.yaml --examples 10", code=0)
    seed = first[0].removeprefix("seed ").partition(":")[0]

    again, _ = fuzz(folder, "web.yaml --examples 10 --seed", seed, code=0)

    assert again == first


def test_an_assertion_that_never_applied_is_told(folder):
    lines, _ = fuzz(
        folder,
        "web.yaml --examples 5 --seed 1",
        "--assert",
        "event FailedMount of web before event Isolated of web",
        code=0,
    )
    assert "event FailedMount of web before event Isolated of web: never had anything to judge" in lines


def test_coverage_is_written_as_json(folder):
    lines, _ = fuzz(folder, "web.yaml --examples 10 --seed 1 --coverage seen.json", code=0)

    seen = json.loads((folder / "seen.json").read_text())
    assert f"states {len(seen['states'])}, transitions {len(seen['transitions'])}" in lines[0]


@pytest.mark.parametrize("engine", ["trio", "both"])
def test_engines_give_the_same_summary(folder, engine):
    heap, _ = fuzz(folder, "web.yaml --examples 6 --seed 2 --engine heap", code=0)
    other, _ = fuzz(folder, "web.yaml --examples 6 --seed 2 --engine", engine, code=0)

    assert heap[0] == other[0]


# ------------------------------------------------------------------ found, kept, replayed


def test_what_is_found_is_made_small_kept_and_replayed(folder):
    lines, stderr = fuzz(folder, "web.yaml --examples 12 --seed 3 -o found", "--assert", CANNOT_HOLD, code=1)

    (path,) = (folder / "found").iterdir()
    assert f"FOUND {CANNOT_HOLD} [--assert]" in lines
    assert lines[-1] == f"  minikubelet fuzz --replay found/{path.name}"
    assert f"found {CANNOT_HOLD}" in stderr
    assert "other" not in path.read_text() and "proxy" not in path.read_text()  # they have no part in it

    told, _ = fuzz(folder, f"--replay found/{path.name}", code=1)

    assert "metadata: {name: web}" in told
    marked = next(n for n, line in enumerate(told) if line.startswith("> "))
    assert "main" in told[marked]
    assert told[marked + 1].strip() == f"^ {CANNOT_HOLD} [--assert]"
    assert f"violated: {CANNOT_HOLD} [--assert]" in told
    assert fuzz(folder, f"--replay found/{path.name}", code=1)[0] == told


def test_what_is_not_violated_any_more_is_told(folder):
    fuzz(folder, "web.yaml --examples 4 --seed 3 -o found", "--assert", CANNOT_HOLD, code=1)
    (path,) = (folder / "found").iterdir()
    documents = list(yaml.safe_load_all(path.read_text()))
    documents[0]["violated"] |= {"invariant": "main comes up", "sentence": "main started within 1h"}
    path.write_text(yaml.safe_dump_all(documents))

    told, _ = fuzz(folder, "--replay", str(path), code=0)

    assert told[-1] == f"{path}: main comes up is not violated any more"
    assert not any(line.startswith("> ") for line in told)


def test_checks_in_python_are_found_and_replayed(folder):
    (folder / "check.py").write_text(
        'def check_it(run):\n    """It is never so."""\n    assert not run.pods\n'
    )

    lines, _ = fuzz(folder, "web.yaml --examples 2 --seed 3 --assertions check.py", code=1)

    (path,) = folder.glob("check-it-*.yaml")
    assert "FOUND check_it [check.py]: It is never so." in lines
    told, _ = fuzz(folder, "--replay", path.name, code=1)
    assert "violated: check_it [check.py]: It is never so." in told


# ------------------------------------------------------------------ Ctrl-C


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_gives_the_summary_and_leaves_nobody_behind(tmp_path, number):
    process = subprocess.Popen(
        command("--time", "100", "--seed", "5", "-j", "2"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "seed 5, 2 processes\n"
        deadline = time.monotonic() + LIMIT
        while len(workers := children_of(process.pid)) < 2:
            assert time.monotonic() < deadline
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        stdout, _ = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 128 + number
    assert stdout.startswith("seed 5: ")
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []


# ------------------------------------------------------------------ other things to ask for


def test_list_tells_every_invariant(tmp_path):
    lines, _ = fuzz(tmp_path, "--list", code=0)

    assert any(
        line.split(maxsplit=1)[0] == "one-live-attempt" and line.endswith("[I9 STATUS-3]") for line in lines
    )
    assert any(line.startswith("engines-agree") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.yaml"], "missing.yaml: no such file"),
        (["--examples", "0"], "'0' is not a number from 1 on"),
        (["--seed", "x"], "'x' is not a number from 0 to 2^64-1"),
        (["-j", "0"], "'0' is not a number of processes"),
        (["--time", "soon"], "'soon' is not a number of seconds"),
        (["--engine", "steam"], "invalid choice: 'steam'"),
        (["--assert", HOLDS], "--assert and --assertions are about the pods of a FILE, and none is given"),
        (["web.yaml", "--assert", "nobody started"], 'there is no container, pod or Job "nobody"'),
        (["web.yaml", "--assert", "main flew"], "--assert: "),
        (["web.yaml", "--assertions", "missing.py"], "missing.py: no such file"),
        (["web.yaml", "-o", "web.yaml"], "web.yaml: is not a directory"),
        (["web.yaml", "-o", "web.yaml/found"], "web.yaml/found: cannot be written"),
        (["web.yaml", "--coverage", "no/such/folder"], "no/such/folder: cannot be written"),
        (["--replay", "missing.yaml"], "missing.yaml: no such file"),
        (["--replay", "web.yaml"], "web.yaml: not a replay"),
        (["--replay", "web.yaml", "--seed", "1"], "--replay plays one file again"),
        (["web.yaml", "--replay", "web.yaml"], "--replay plays one file again"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder, arguments, said):
    lines, stderr = fuzz(folder, "", *arguments, code=2)

    assert said in stderr
    assert lines == []


def test_an_error_in_what_draws_is_told_and_leaves_no_file(tmp_path: Path) -> None:
    broken = "import minikubelet.fuzz.generate as g; g.case = lambda draw: 1 / 0"
    program = f"{broken}; from minikubelet.cli.main import main; raise SystemExit(main())"
    process = subprocess.run(
        [sys.executable, "-c", program, "fuzz", "--examples", "1"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )

    assert "drawing that example is what failed" in process.stdout
    assert "Traceback" not in process.stderr
    assert list(tmp_path.iterdir()) == []
