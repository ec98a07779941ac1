"""The search: the same examples whoever runs them, everything that goes wrong found, nobody left behind."""

import multiprocessing
import os
import signal
import time

import attrs
import pytest

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Pod, PodSpec
from minikubelet.fuzz import search as search_module
from minikubelet.fuzz.case import Case
from minikubelet.fuzz.draw import Draw, SeededDraw
from minikubelet.fuzz.search import Limits, Search, Tally, examine, in_order, mix, search_all
from minikubelet.invariants.rules import Violation
from minikubelet.runtime.simulated import Script

POD = Pod(ObjectMeta(name="p"), PodSpec((Container("main"),), restart_policy="Never"))
WORLD = Case((POD,), scripts={"main": (Script(lasts=1.0),)})
ENDLESS = Case((POD,), ends_at=1e9)


def small(draw: Draw) -> Case:
    """A pod that lives for some seconds."""
    return attrs.evolve(WORLD, scripts={"main": (Script(lasts=float(draw.integer(0, 9))),)})


def lasts(case: Case) -> float:
    return case.scripts["main"][0].lasts


def names(tally: Tally) -> list[str]:
    return [finding.name for finding in in_order(tally.findings)]


# ------------------------------------------------------------------ the same examples


def test_an_example_is_what_it_was_in_every_version():
    """splitmix64's own first two values, so that a seed that somebody wrote down keeps its meaning."""
    assert search_module._scramble(0) == 0xE220A8397B1DCDAF
    assert search_module._scramble(0x9E3779B97F4A7C15) == 0x6E789E6AA1B965F4


def test_neighbouring_seeds_and_examples_have_nothing_in_common():
    seeds = {mix(seed, example) for seed in range(100) for example in range(100)}

    assert len(seeds) == 100 * 100


def test_the_choices_of_an_example_make_it_again():
    search = Search(3, small)

    assert [lasts(search.case(n)) for n in range(20)] == [float(search.choices(n)[0]) for n in range(20)]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_what_is_found_does_not_depend_on_how_many_search(jobs, monkeypatch):
    def check(journal):
        """Whatever ended at 7 s is a violation."""
        end = next(entry for entry in journal.entries if entry.what == "exited")
        return [Violation("no-seven", "X-1", "Nothing ends at 7.", "p", 0, 7.0, "it did")] * (end.at == 7.0)

    monkeypatch.setattr(search_module, "check", check)
    search = Search(11, small)
    sevens = [n for n in range(50) if lasts(search.case(n)) == 7.0]

    tally = search_all(search, Limits(examples=50, jobs=jobs))

    (finding,) = tally.findings.values()
    assert (finding.name, finding.example, finding.count) == ("no-seven", sevens[0], len(sevens))
    alone = Tally()
    for n in range(50):
        alone.take(n, search.examine(n))
    assert tally == alone


def test_a_mixed_search_compares_the_engines_now_and_then():
    tally = search_all(Search(5, small), Limits(examples=search_module.MIXED_EVERY + 1, jobs=2))

    assert (tally.compared, names(tally)) == (2, [])


# ------------------------------------------------------------------ what goes wrong


def test_an_exception_is_a_finding_named_for_where_it_was_raised(monkeypatch):
    def settle(self):
        raise LookupError("nobody there")

    monkeypatch.setattr("minikubelet.kubelet.kubelet.Kubelet.is_finished", property(settle))

    (violation,) = examine(lambda: WORLD).violations

    assert violation.invariant == "crash-in-engines.live_on_heap"
    assert violation.message == "LookupError: nobody there"


def test_of_a_run_that_crashed_the_beginning_is_kept(monkeypatch):
    def signal_it(self, number):
        raise OSError("no such process")

    monkeypatch.setattr("minikubelet.runtime.simulated.SimulatedProcess.signal", signal_it)

    examined = examine(lambda: attrs.evolve(WORLD, scripts={}, ends_at=3.0))

    (violation,) = examined.violations
    assert violation.message == "OSError: no such process"
    assert examined.journal.entries[violation.index].what == "signalled"


def test_a_world_that_is_given_up_is_a_finding(monkeypatch):
    monkeypatch.setattr(search_module, "check", lambda journal: [])
    monkeypatch.setattr("minikubelet.fuzz.engines.PATIENCE", -1e9)

    (violation,) = examine(lambda: ENDLESS).violations

    assert violation.invariant == "given-up"


def test_an_instant_that_goes_on_for_ever_is_a_finding(monkeypatch):
    def settle(self):
        while True:
            pass

    monkeypatch.setattr(search_module, "PATIENCE", 0.05)
    monkeypatch.setattr("minikubelet.kubelet.kubelet.Kubelet.settle", settle)

    (violation,) = examine(lambda: WORLD).violations

    assert violation.invariant == "never-ends"


def test_LOCAL_10_engines_that_disagree_are_a_finding_at_the_first_difference(monkeypatch):
    def shorter(case, *_):
        return search_module.run_on_heap(attrs.evolve(case, scripts={"main": (Script(lasts=0.5),)}))

    monkeypatch.setattr(search_module, "run_under_trio", shorter)

    examined = examine(lambda: WORLD, engine="both")

    (violation,) = examined.violations
    assert violation.invariant == "engines-agree"
    assert "exited main 0 at 1 s and trio has exited main 0 at 0.5 s" in violation.message


def test_a_worker_that_dies_is_told_and_replaced():
    def deadly(draw: Draw) -> Case:
        case = small(draw)
        if lasts(case) == 4.0:
            os.kill(os.getpid(), signal.SIGKILL)
        return case

    fours = [n for n in range(30) if lasts(small(SeededDraw(mix(1, n)))) == 4.0]

    tally = search_all(Search(1, deadly), Limits(examples=30, jobs=2))

    (finding,) = tally.findings.values()
    assert (finding.name, finding.example, finding.count) == ("died-of-SIGKILL", fours[0], len(fours))
    assert tally.examples == 30
    assert finding.is_fatal


# ------------------------------------------------------------------ the end


def test_whoever_watches_can_stop_it():
    tally = search_all(Search(1, small), Limits(jobs=2), lambda so_far: so_far.examples > 0)

    assert tally.examples > 0
    assert multiprocessing.active_children() == []


def test_time_ends_it():
    assert search_all(Search(1, small), Limits(seconds=0.01, jobs=1)).examples < 1_000_000


def test_nobody_is_left_behind_by_an_exception():
    def interrupt(tally: Tally) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_all(Search(1, small), Limits(jobs=2), interrupt)

    assert multiprocessing.active_children() == []


def test_workers_do_not_outlive_a_parent_that_is_killed():
    ours, theirs = os.pipe()
    parent = os.fork()
    if parent == 0:
        search_all(Search(1, small), Limits(jobs=2), lambda tally: bool(os.write(theirs, b".") and False))
        os._exit(0)
    os.close(theirs)
    assert os.read(ours, 1) == b"."

    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)

    deadline = time.monotonic() + 30
    while os.read(ours, 4096):  # the pipe ends when nobody has it open any more
        assert time.monotonic() < deadline
    os.close(ours)
