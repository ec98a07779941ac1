"""The four ways to run the tests, and what docs/WAYS.md says of them."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ways

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "conformance"), str(HERE.parent / "scripts")]

import harness  # noqa: E402
import ways_table  # noqa: E402

DOCUMENT = ways_table.TARGET


def table(head: str) -> list[list[str]]:
    """The cells of the table that begins with this head."""
    lines = DOCUMENT.read_text().partition(f"\n{head}\n| --- |")[2].splitlines()[1:]
    rows = lines[: lines.index("")] if "" in lines else lines
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_what_cases_need_is_documented() -> None:
    """If not: `python scripts/ways_table.py`."""
    assert DOCUMENT.read_text() == ways_table.render()


def test_why_tests_are_skipped_is_documented() -> None:
    documented = [row[0] for row in table("| it needs | which is missing |")]

    assert sorted(documented) == sorted(ways.MAY_BE_MISSING)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("needs root", False),
        ("needs namespaces (unshare: Operation not permitted)", False),
        ("needs an unprivileged user and namespaces", False),
        ("needs luck", True),
        ("needs namespaces and luck", True),
        ("root", True),
        ("", True),
    ],
)
def test_a_skip_without_a_documented_reason_is_seen(reason: str, expected: bool) -> None:
    assert ways.undocumented(reason) is expected


def test_nothing_is_missing_that_the_way_has() -> None:
    """Otherwise tests that are meant for this way would be left out without a word."""
    assert ways.accounted_for("root") is (os.geteuid() != 0)
    assert ways.accounted_for("an unprivileged user") is (os.geteuid() == 0)
    assert ways.accounted_for("namespaces") is not ways.accounted_for("a machine without namespaces")


def test_without_namespaces_there_are_none() -> None:
    """Every kind, by every call; and with namespaces there are some."""
    if ways.WITHOUT_NAMESPACES:
        assert harness.given() >= {"no-namespaces"}
        assert re.search(r"^Seccomp:\s+2$", Path("/proc/self/status").read_text(), re.MULTILINE)
    elif os.environ.get("CI"):
        assert harness.given() >= {"namespaces"}


@pytest.mark.parametrize("kind", ["--mount", "--net", "--pid", "--uts", "--ipc", "--user", "--cgroup"])
def test_the_filter_refuses_every_kind_of_namespace(kind: str) -> None:
    """unshare(2) says EPERM, whoever asks."""
    launcher = [sys.executable, str(HERE / "without_namespaces.py")]
    done = subprocess.run(
        [*launcher, "unshare", kind, "--fork", "true"],
        env={**os.environ, "LC_ALL": "C"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert os.strerror(errno.EPERM) in done.stderr


def test_the_filter_lets_everything_else_pass() -> None:
    """Processes and threads are made, and what is started knows where it is."""
    script = (
        "import os, subprocess, threading\n"
        "t = threading.Thread(target=subprocess.check_call, args=(['true'],)); t.start(); t.join()\n"
        "print(os.environ['WITHOUT_NAMESPACES'], os.geteuid())"
    )
    launcher = [sys.executable, str(HERE / "without_namespaces.py")]
    said = subprocess.check_output([*launcher, sys.executable, "-c", script], text=True)

    assert said.split() == ["1", str(os.geteuid())]
