"""Cases lived by real processes: they keep the invariants, do what simulated ones do, and leave nothing."""

import os
import signal
import tempfile
import time
from pathlib import Path

import attrs
import pytest

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, ExecAction, Lifecycle, LifecycleHandler, Pod, PodSpec, Probe
from minikubelet.fuzz import agreement, generate
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import World, run_on_heap
from minikubelet.fuzz.real import LEAVES_CHILDREN, disagreements, run_real, shortened, stretched
from minikubelet.fuzz.search import Limits, Search, Tally, examine, mix, search_all
from minikubelet.invariants.checker import check
from minikubelet.invariants.journal import Journal
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script

LIMIT = 60  # seconds for anything that is waited for; all of it takes a few

HOOK = LifecycleHandler(exec=ExecAction(("true",)))
SIDE = Container("side", restart_policy="Always")


def pod(*mains: Container, init: tuple[Container, ...] = (), **spec: object) -> Pod:
    fields = {"restart_policy": "Never", "termination_grace_period_seconds": 2, **spec}
    return Pod(ObjectMeta(name="p"), PodSpec(containers=mains, init_containers=init, **fields))


def case(subject: Pod, ends_at: float = 10.0, **scripts: Script) -> Case:
    return Case((subject,), scripts={name: (one,) for name, one in scripts.items()}, ends_at=ends_at)


MAIN = Container("main")
CASES = {
    "a sidecar goes when the main has ended": case(
        pod(MAIN, init=(SIDE,)), main=Script(lasts=0.75), side=Script(term_lasts=0.5, term_exit_code=3)
    ),
    "a main that ignores SIGTERM is killed": case(
        pod(MAIN, termination_grace_period_seconds=1), 0.75, main=Script(term_lasts=float("inf"))
    ),
    "children that outlive their parent do not outlive the container": case(
        pod(MAIN), main=Script(lasts=0.75, exit_code=7, lingers=LEAVES_CHILDREN)
    ),
    "a preStop hook makes its container die": case(
        pod(Container("main", lifecycle=Lifecycle(pre_stop=HOOK))),
        0.75,
        main=Script(pre_stop=HookScript(0.5, dies_with=42)),
    ),
    "a container that cannot be started": case(
        pod(Container("other"), MAIN),
        main=Script(start_error=StartError("RunContainerError", "not found", recorded=True)),
        other=Script(lasts=0.75),
    ),
    "a liveness probe fails": case(
        pod(Container("main", liveness_probe=Probe(exec=ExecAction(("true",)), period_seconds=1))),
        main=Script(unhealthy_after=0.5, term_lasts=0.5, term_exit_code=0),
    ),
}


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where run directories are made."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # who has asked before has been remembered
    return tmp_path


def processes_in(folder: Path) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd").startswith(f"{folder}/"):
                found.append(int(entry))
        except OSError:  # it is gone, or not ours to look at
            continue
    return found


def lived(one: Case) -> list[tuple[str, str, object]]:
    """Starts, signals and exits of the simulation."""
    wanted = ("started", "startFailed", "signalled", "exited")
    return [(e.what, e.container, e.detail) for e in run_on_heap(one).entries if e.what in wanted]


# ------------------------------------------------------------------ real processes


@pytest.mark.parametrize("name", CASES)
def test_real_processes_live_the_story_of_simulated_ones(name: str, scratch: Path) -> None:
    """And keep every invariant; of them and their directories nothing is left."""
    one = CASES[name]
    journal = run_real(one)

    assert journal.entries[-1].detail is True
    assert check(journal) == []
    assert disagreements(one, journal) == []
    assert (list(scratch.iterdir()), processes_in(scratch)) == ([], [])


def test_drawn_cases_are_lived(scratch: Path) -> None:
    """The first ones of a seed, several side by side."""
    search = Search(1, lambda draw: shortened(generate.case(draw)), engine="real")
    tally = search_all(search, Limits(examples=6, jobs=3))

    assert {name: finding.violation.message for name, finding in tally.findings.items()} == {}
    assert tally.examples == 6
    assert tally.compared > 0
    assert list(scratch.iterdir()) == []


def test_a_world_that_breaks_off_leaves_nothing(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised in the middle of it."""

    class BrokenOff(Exception):
        pass

    def break_off(world: World, request: Request) -> None:
        assert processes_in(scratch)
        raise BrokenOff

    monkeypatch.setattr(World, "do", break_off)
    one = attrs.evolve(CASES["a sidecar goes when the main has ended"], requests=(Request(0.5, "delete"),))
    with pytest.raises(ExceptionGroup) as caught:
        run_real(one)

    assert caught.value.split(BrokenOff)[1] is None
    assert (list(scratch.iterdir()), processes_in(scratch)) == ([], [])


def test_a_search_that_is_given_up_leaves_nothing(scratch: Path) -> None:
    """Its workers are killed in the middle of their worlds; their guardians see to the rest."""
    endless = case(pod(MAIN), LIMIT, main=Script())

    def give_up(tally: Tally) -> bool:
        if processes_in(scratch):
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        search_all(Search(1, lambda draw: endless, engine="real"), Limits(jobs=2), give_up)

    deadline = time.monotonic() + LIMIT
    while processes_in(scratch) or list(scratch.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_real_processes_do_otherwise_is_a_finding(scratch: Path) -> None:
    """`examine` compares; here the script said something else to the simulation."""
    told = case(pod(MAIN), main=Script(lasts=0.75, exit_code=4))
    journal = run_real(case(pod(MAIN), main=Script(lasts=0.75, exit_code=5)))
    found = agreement.disagreements(told, journal)

    assert found is not None
    assert {violation.invariant for violation in found} == {"as-simulated"}
    assert "never: main exited 4" in [violation.message for violation in found]
    assert "only in reality: main exited 5" in [violation.message for violation in found]


def test_examine_runs_real_processes(scratch: Path) -> None:
    examined = examine(lambda: CASES["a sidecar goes when the main has ended"], engine="real")

    assert (list(examined.violations), examined.was_compared) == ([], True)
    assert examined.journal.tolerance >= 1


# ------------------------------------------------------------------ what is compared


TWO = pod(Container("one"), Container("two"))


def journal_of(one: float, two: float) -> Journal:
    return run_on_heap(case(TWO, one=Script(lasts=one), two=Script(lasts=two)))


def told(one: float, two: float, journal: Journal) -> list[str] | None:
    found = agreement.disagreements(case(TWO, one=Script(lasts=one), two=Script(lasts=two)), journal)
    return None if found is None else [violation.message for violation in found]


def test_what_is_far_apart_has_to_come_in_its_order() -> None:
    assert told(1.0, 2.0, journal_of(1.0, 2.0)) == []
    assert told(1.0, 2.0, journal_of(2.0, 1.0)) == ["one exited 0 came after: two exited 0"]


def test_what_is_close_together_may_come_in_any_order() -> None:
    assert told(1.0, 1.125, journal_of(1.125, 1.0)) == []


def test_a_case_that_hangs_on_a_moment_is_not_compared() -> None:
    """The main ends by itself at about the instant in which it is told to."""
    close = case(pod(MAIN), 1.0, main=Script(lasts=1.0, term_exit_code=1))

    assert agreement.disagreements(close, run_on_heap(close)) is None


def test_a_signal_on_the_heels_of_the_start_is_not_compared() -> None:
    """The process may have no handler yet."""
    hasty = case(pod(MAIN), 0.25, main=Script(term_lasts=1.0, term_exit_code=1))

    assert agreement.disagreements(hasty, run_on_heap(hasty)) is None


# ------------------------------------------------------------------ short and slow worlds


def drawn(seed: int) -> Case:
    return shortened(generate.case(SeededDraw(mix(seed, 0))))


def test_shortened_worlds_take_seconds() -> None:
    """4.125 s until everything is deleted, and never more than the longest grace after that."""
    ends = [run_on_heap(drawn(seed)).entries[-1] for seed in range(150)]

    assert all(entry.detail is True for entry in ends)
    assert max(entry.at for entry in ends) < 8


def test_a_stretched_world_lives_the_same_story_more_slowly() -> None:
    """Which is how a difference is told from a busy machine's delay."""
    for one in CASES.values():
        slow, slower = run_on_heap(one), run_on_heap(stretched(one, 3))

        assert lived(one) == lived(stretched(one, 3))
        assert slower.entries[-1].at == pytest.approx(3 * slow.entries[-1].at, abs=0.01)


def test_a_process_that_ignores_its_stop_signal_is_simulated_as_such() -> None:
    """The comparison above is between things that happen."""
    killed = lived(CASES["a main that ignores SIGTERM is killed"])

    assert ("signalled", "main", signal.SIGKILL) in killed
    assert ("exited", "main", 137) in killed
