"""`--check`: what was violated is told and gives the exit code 3; what was not costs nothing."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

import minikubelet
from minikubelet.cli.apart import Answer
from minikubelet.fuzz.case import Case
from minikubelet.fuzz.engines import HeapScheduler, SimulatedWorld, run_on_heap
from minikubelet.invariants import rules
from minikubelet.invariants.journal import HEARTBEAT, Journal, journaled
from minikubelet.invariants.rules import Breach, Invariant, Violation
from minikubelet.invariants.story import PodStory
from minikubelet.invariants.watch import MOST_ENTRIES, TOLERANCE, InvariantViolated, demand, judge, verdict
from minikubelet.kubelet.kubelet import Kubelet
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.simulated import Script, SimulatedRuntime

ROOT = Path(__file__).parents[2]
LIMIT = 60  # seconds for anything that is waited for; all of it takes a few

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: busybox, command: [sh, -c, "%s"]}
"""
ENDS = POD % "exit 1"
STAYS = POD % "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done"

PLANT = """\
import sys
from minikubelet.cli.main import main
from minikubelet.invariants.rules import Breach, pod_invariant

@pod_invariant("LOCAL-1", "Nothing ever starts.")
def stillness(story):
    for attempt in story.all_attempts():
        yield Breach(attempt.started, f"{attempt.name} did")

sys.exit(main(sys.argv[1:]))
"""
"The command line with an invariant that every run violates."


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the manifests are; the environment asks for no checks."""
    monkeypatch.delenv("MINIKUBELET_CHECK")
    (tmp_path / "ends.yaml").write_text(ENDS)
    (tmp_path / "stays.yaml").write_text(STAYS)
    return tmp_path


def cli(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


# ------------------------------------------------------------------ the command line


def test_a_run_in_which_all_held_says_so_and_ends_as_it_would(folder):
    ended = cli(folder, "-m", "minikubelet", "run", "--check", "ends.yaml")

    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("minikubelet: checked: ")
    assert line.endswith(" entries, none violated")


def test_the_environment_asks_silently(folder):
    """MINIKUBELET_CHECK=1 is for suites that look at what is written."""
    ended = cli(folder, "-m", "minikubelet", "run", "ends.yaml", MINIKUBELET_CHECK="1")

    assert (ended.returncode, ended.stderr) == (1, "")


def test_a_violation_is_told_with_its_timeline(folder):
    """Name, sentence, rules and what happened; exit code 3 wins over 1."""
    ended = cli(folder, "-c", PLANT, "run", "--check", "ends.yaml")

    assert ended.returncode == 3
    assert "violated: default/web: main did [stillness: Nothing ever starts. LOCAL-1]" in ended.stderr
    assert "started (attempt 0)" in ended.stderr
    assert "1 violated" in ended.stderr.splitlines()[-1]


def test_the_environment_is_not_silent_about_violations(folder):
    """Given a file it has them appended there, too."""
    file = folder / "violations"
    ended = cli(folder, "-c", PLANT, "run", "ends.yaml", MINIKUBELET_CHECK=str(file))

    assert ended.returncode == 3
    assert "violated: default/web" in ended.stderr
    assert "violated: default/web" in file.read_text()


def test_zero_in_the_environment_is_no(folder):
    ended = cli(folder, "-c", PLANT, "run", "ends.yaml", MINIKUBELET_CHECK="0")

    assert (ended.returncode, ended.stderr) == (1, "")


def test_the_exit_code_of_a_signal_stays(folder):
    """128+n says who ended it; what was violated is told all the same."""
    process = subprocess.Popen(
        [sys.executable, "-c", PLANT, "run", "--check", "stays.yaml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while "| up" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT)

    assert process.returncode == 143
    assert "violated: default/web" in err


def test_assertions_that_hold_do_not_hide_a_violation(folder):
    """`test --check`."""
    ended = cli(folder, "-c", PLANT, "test", "--check", "--assert", "pod web Failed", "ends.yaml")

    assert ended.returncode == 3
    assert "violated: default/web" in ended.stderr
    assert "none failed" in ended.stdout


def test_who_does_not_check_does_not_load_what_it_needs(folder):
    program = (
        "import sys; from minikubelet.cli.main import main; main(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr)"
    )
    ended = cli(folder, "-c", program, "run", "ends.yaml")

    loaded = {name for name in ended.stderr.split() if name.startswith("minikubelet.invariants.")}
    assert "minikubelet.cli.run" in ended.stderr
    assert loaded == set()


# ------------------------------------------------------------------ from Python


@pytest.fixture
def planted() -> Iterator[None]:
    """An invariant that every run violates."""

    def stillness(story: PodStory) -> Iterator[Breach]:
        for attempt in story.all_attempts():
            yield Breach(attempt.started, f"{attempt.name} did")

    sentence = "Nothing ever starts."
    invariant = Invariant("stillness", "LOCAL-1", sentence, stillness)
    rules.POD_INVARIANTS.append(invariant)
    yield
    rules.POD_INVARIANTS.remove(invariant)


def open_and_close(folder: Path, **options: bool) -> None:
    async def main() -> None:
        manifest = minikubelet.load([str(folder / "ends.yaml")])
        async with minikubelet.open_kubelet(manifest, **options) as kubelet:
            await kubelet.wait_until(lambda: kubelet.is_finished)

    trio.run(main)


def test_a_block_ends_with_what_was_violated(folder, planted):
    with pytest.raises(minikubelet.InvariantViolated, match="Nothing ever starts") as caught:
        open_and_close(folder, check=True)

    assert [violation.invariant for violation in caught.value.violations] == ["stillness"]


def test_the_environment_holds_for_blocks_too(folder, planted, monkeypatch):
    open_and_close(folder)  # nobody asked
    monkeypatch.setenv("MINIKUBELET_CHECK", "1")
    with pytest.raises(minikubelet.InvariantViolated):
        open_and_close(folder)


def test_a_block_in_which_all_held_ends_quietly(folder):
    open_and_close(folder, check=True)


def test_a_violation_comes_back_from_another_process():
    """The pytest fixture's runs are in processes of their own."""
    violation = Violation("stillness", "LOCAL-1", "Nothing ever starts.", "default/web", 3, 1.5, "it did")
    answer = pickle.loads(pickle.dumps(Answer(violated=((violation,), "all of it"))))

    with pytest.raises(InvariantViolated, match="all of it") as caught:
        answer.unwrap()
    assert pickle.loads(pickle.dumps(caught.value)).violations == (violation,)


# ------------------------------------------------------------------ journals of real runs


def world(**options: float | int) -> SimulatedWorld:
    from minikubelet.api.meta import ObjectMeta
    from minikubelet.api.pod import Container, Pod, PodSpec, Probe

    probe = Probe(period_seconds=1)
    pod = Pod(ObjectMeta(name="p"), PodSpec((Container("main", readiness_probe=probe),)))
    case = Case((pod,), scripts={"main": (Script(),)}, ends_at=50.0)
    made = SimulatedWorld(case, HeapScheduler, None)
    for name, value in options.items():
        setattr(made.journal, name, value)
    return made


def lived(made: SimulatedWorld) -> Journal:
    kubelet, scheduler = made.kubelet, made.scheduler
    made.begin()
    kubelet.settle()
    while not kubelet.is_finished:
        scheduler.run_until(min(scheduler.due_at(), kubelet.next_alarm()), kubelet.settle)
        kubelet.settle()
    return made.journal


def test_a_journal_keeps_no_more_entries_than_its_limit():
    """The beginning of the run is judged; that there was more is said."""
    journal = lived(world(limit=20))

    assert (len(journal.entries), journal.is_cut) == (20, True)
    assert judge(journal) == []
    [line] = verdict(journal, ())
    assert "over the first 20 entries, no more were kept, none violated" in line


def test_with_a_limit_only_new_publications_are_kept():
    """A probe that goes on as before changes a record, but nothing that is published."""
    every = [entry.detail for entry in lived(world()).entries if entry.what == "published"]
    kept = [entry.detail for entry in lived(world(limit=MOST_ENTRIES)).entries if entry.what == "published"]

    assert len(kept) < len(every) / 5
    assert kept == [now for before, now in zip([None, *every], every, strict=False) if now != before]


def test_virtual_time_is_judged_without_tolerance():
    assert run_on_heap(world().case).tolerance == 0


def test_a_machine_that_stands_still_is_tolerated():
    """The tolerance grows by the longest delay that was seen."""
    stall = 5 * HEARTBEAT

    class Stalling(SimulatedRuntime):
        def now(self) -> float:
            return trio.current_time()

        async def run(self, settle) -> None:
            await trio.sleep(HEARTBEAT / 2)
            time.sleep(stall)  # nobody gets a turn
            await trio.sleep(HEARTBEAT / 2)

    async def main() -> float:
        journal = Journal(LifecycleSettings(), tolerance=TOLERANCE)
        runtime = journaled(Stalling({}), journal)
        journal.follow(Kubelet(runtime))
        with trio.move_on_after(2 * stall):
            await runtime.run(lambda: None)
            await trio.sleep_forever()
        return journal.tolerance

    assert trio.run(main) > TOLERANCE + stall / 2


def test_what_takes_long_before_trio_runs_is_tolerated():
    """Hundreds of pods that are all settled at once, and a run that is over before trio is needed."""
    times = iter([100.0, 103.0, 103.0])
    journal = Journal(tolerance=TOLERANCE)
    runtime = SimulatedRuntime({})
    runtime.now = lambda: next(times)
    kubelet = Kubelet(runtime, epoch=0.0)
    journal.follow(kubelet)
    journal.close()

    assert journal.tolerance == pytest.approx(TOLERANCE + 3.0 - HEARTBEAT)


def test_CORE_7_a_pod_is_there_from_when_it_was_accepted():
    """Not from when it is served first, which in a run of hundreds may be another second."""
    made = world()
    made.begin()
    made.scheduler._now = 5.0  # the kubelet comes to it late
    made.kubelet.settle()

    assert [entry.at for entry in made.journal.entries if entry.what == "begun"] == [0.0]


def test_a_run_that_was_given_up_is_not_blamed_for_what_is_missing():
    """A third Ctrl-C kills everything: its journal has no end, and nothing is expected of it."""
    made = world(limit=MOST_ENTRIES, tolerance=TOLERANCE)
    made.begin()
    made.kubelet.settle()

    assert judge(made.journal) == []
    assert made.journal.entries[-1].what != "over"
    demand(made.journal)
