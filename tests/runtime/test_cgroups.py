"""Limits in cgroups: what is written for them, and how a delegation is found, on made-up and real ones."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from minikubelet.runtime import cgroups
from minikubelet.runtime.cgroups import Cgroup, Delegation, Limits, find_delegation


@pytest.mark.parametrize(
    ("limits", "settings"),
    [
        ({}, {}),
        ({"ephemeral-storage": "1Gi"}, {}),
        ({"memory": "64Mi"}, {"memory.max": "67108864", "memory.swap.max": "0", "memory.oom.group": "1"}),
        ({"cpu": "500m"}, {"cpu.max": "50000 100000"}),
        ({"cpu": 2}, {"cpu.max": "200000 100000"}),
        ({"cpu": "1m"}, {"cpu.max": "1000 100000"}),  # the least that the kernel takes
    ],
)
def test_what_is_written_for_limits(limits: dict[str, str | int], settings: dict[str, str]) -> None:
    """As the kubelet and its runtime do it."""
    assert {file: value for _, file, value in Limits.of(limits).settings()} == settings


def test_a_cgroup_has_what_can_be_limited(tmp_path: Path) -> None:
    """A controller that has not been delegated is left out."""
    made = Cgroup.make(Delegation(tmp_path, frozenset(("memory",))), "pod-c-0", Limits(memory=1000, cpu=100))

    assert made is not None
    assert made.directory.parent == tmp_path
    assert (made.directory / "memory.max").read_text() == "1000"
    assert not (made.directory / "cpu.max").exists()


def test_no_cgroup_is_made_for_nothing(tmp_path: Path) -> None:
    """Neither without limits nor without a delegation."""
    assert Cgroup.make(Delegation(tmp_path, frozenset(("memory",))), "c", Limits()) is None
    assert Cgroup.make(Delegation(reason="none"), "c", Limits(memory=1)) is None
    assert os.listdir(tmp_path) == []


def test_who_is_killed_for_memory_is_told(tmp_path: Path) -> None:
    """`memory.events`; without a memory limit nobody is."""
    cgroup = Cgroup(tmp_path)
    assert not cgroup.ran_out_of_memory
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\n")
    assert not cgroup.ran_out_of_memory
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n")
    assert cgroup.ran_out_of_memory


def test_what_is_lacking_is_named() -> None:
    """For the notice (LOCAL-5)."""
    delegation = Delegation(Path("/"), frozenset(("memory",)))

    assert delegation.lacks(Limits(memory=1)) == ""
    assert delegation.lacks(Limits(memory=1, cpu=1)) == "no cpu controller has been delegated to us"
    assert Delegation(reason="why").lacks(Limits(cpu=1)) == "why"
    assert Delegation(reason="why").lacks(Limits()) == ""


# ------------------------------------------------------------------ finding a delegation


class Hierarchy:
    """A made-up cgroup v2 hierarchy; plain files take what is written, and processes stay where they are."""

    def __init__(self, root: Path, path: str) -> None:
        self.root = root / "cgroup"
        self.own = self.root / path
        self.proc = root / "proc"
        self.proc.mkdir()
        (self.proc / "cgroup").write_text(f"3:cpu:/elsewhere\n0::/{path}\n")
        ours = f"35 30 0:30 / {self.root} rw shared:9 - cgroup2 cgroup2 rw\n"
        (self.proc / "mountinfo").write_text(f"30 1 0:26 / /sys rw - sysfs sysfs rw\n{ours}")
        for directory in (self.own, *self.own.parents):
            directory.mkdir(parents=True, exist_ok=True)
            for file in ("cgroup.procs", "cgroup.controllers", "cgroup.subtree_control"):
                (directory / file).write_text("")
            if directory == self.root:
                break

    def find(self) -> Delegation:
        return cgroups._find(self.proc)


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hierarchy:
    def remove(directory: Path) -> None:
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()

    monkeypatch.setattr(cgroups, "_remove", remove)
    return Hierarchy(tmp_path, "user.slice/run.scope")


def test_a_delegated_cgroup_of_our_own_is_used(hierarchy: Hierarchy) -> None:
    """Only leaves may have processes, so we move out of the way; then controllers can be passed on."""
    (hierarchy.own / "cgroup.controllers").write_text("cpuset cpu memory pids")
    (hierarchy.own / "cgroup.procs").write_text(f"{os.getpid()}\n")
    found = hierarchy.find()

    assert found.directory == hierarchy.own
    assert (hierarchy.own / "minikubelet" / "cgroup.procs").read_text() == str(os.getpid())
    assert found.controllers in ({"cpu"}, {"memory"})  # a plain file keeps the last that was written


def test_with_others_in_our_cgroup_the_one_above_may_do(hierarchy: Hierarchy) -> None:
    """Where controllers are passed on already, as in a user's app.slice."""
    (hierarchy.own / "cgroup.procs").write_text(f"1\n{os.getpid()}\n")
    (hierarchy.own.parent / "cgroup.subtree_control").write_text("memory pids")

    assert hierarchy.find() == Delegation(hierarchy.own.parent, frozenset(("memory", "pids")))
    assert not (hierarchy.own / "minikubelet").exists()


def test_nothing_delegated_is_nothing_found(hierarchy: Hierarchy) -> None:
    """And nothing stays behind."""
    before = sorted(hierarchy.root.rglob("*"))
    found = hierarchy.find()

    assert found.directory is None
    assert str(hierarchy.own) in found.reason
    assert sorted(hierarchy.root.rglob("*")) == before


def test_without_cgroup_v2_there_is_a_reason(hierarchy: Hierarchy) -> None:
    """Old hosts."""
    (hierarchy.proc / "mountinfo").write_text("30 1 0:26 / /sys rw - sysfs sysfs rw\n")

    assert hierarchy.find() == Delegation(reason="there is no cgroup v2 hierarchy")


def test_finding_out_on_this_machine_leaves_nothing() -> None:
    """Whatever it allows."""
    here = cgroups.own_cgroup("/proc/self")
    found = find_delegation.__wrapped__()

    assert (found.directory is None) == (found.reason != "")
    assert here is None or not Path(here, f"minikubelet-{os.getpid()}-trial").exists()


def test_a_process_moves_with_its_children(tmp_path: Path) -> None:
    """What it has started before it was moved, too; in a real cgroup, where we may make one."""
    here = cgroups.own_cgroup("/proc/self")
    if here is None or cgroups._try_out(Path(here)):
        pytest.skip("needs a cgroup to write to")
    made = Cgroup(Path(here) / f"minikubelet-test-{os.getpid()}")
    made.directory.mkdir()
    words = ["sh", "-c", "sleep 100 & echo up; wait"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        made.adopt(process.pid)
        members = (made.directory / "cgroup.procs").read_text().split()
        os.killpg(process.pid, signal.SIGKILL)
    while "populated 1" in (made.directory / "cgroup.events").read_text():
        pass
    made.remove()

    assert str(process.pid) in members
    assert len(members) == 2
    assert not made.directory.exists()
