"""Failing cases get small: as small as what makes them fail, in bounded time, without a trace."""

import itertools
import os
import sys
import time
from types import SimpleNamespace

import pytest

from minikubelet.api.validation import validate_pod
from minikubelet.fuzz import generate
from minikubelet.fuzz import shrink as shrinking
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import run_on_heap
from minikubelet.fuzz.shrink import ReplayDraw, shrink, simplify
from minikubelet.runtime.simulated import Script
from simulation import container, pod, sidecar


def a_sidecar_is_killed_and_a_main_fails(case):
    """Needs two containers: a failing main, and a sidecar that does not stop in time."""
    entries = run_on_heap(case).entries
    killed = {e.key for e in entries if e.what == "signalled" and e.detail == 9 and "side" in e.container}
    failed = {e.key for e in entries if e.what == "exited" and e.detail == 42 and "main" in e.container}
    return bool(killed & failed)


@pytest.fixture(scope="module")
def choices():
    for seed in range(1000):
        draw = SeededDraw(seed)
        if a_sidecar_is_killed_and_a_main_fails(generate.case(draw)):
            return draw.choices
    raise AssertionError("no such case")


def test_a_fault_of_two_containers_shrinks_to_a_pod_of_two_containers(choices, tmp_path, monkeypatch, capfd):
    """And nothing is printed, and no file is written."""
    monkeypatch.chdir(tmp_path)
    small = shrink(generate.case, choices, a_sidecar_is_killed_and_a_main_fails, 30)

    assert a_sidecar_is_killed_and_a_main_fails(small)
    assert [len(one.spec.all_containers) for one in small.pods] == [2]
    assert not small.requests
    assert sum(map(len, small.scripts.values())) <= 2
    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path) == []


def test_it_gets_small_without_hypothesis_too(choices, monkeypatch):
    """Which is an extra."""
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    small = shrink(generate.case, choices, a_sidecar_is_killed_and_a_main_fails, 30)

    assert a_sidecar_is_killed_and_a_main_fails(small)
    assert [len(one.spec.all_containers) for one in small.pods] == [2]


def test_time_is_bounded_and_what_was_found_by_then_is_given_back(choices, monkeypatch):
    now, tries = itertools.count(), itertools.count()

    def fails(case):
        next(tries)
        return a_sidecar_is_killed_and_a_main_fails(case)

    # Each look at the clock is a second later than the one before.
    monkeypatch.setattr(shrinking, "time", SimpleNamespace(monotonic=lambda: float(next(now))))
    small = shrink(generate.case, choices, fails, 40)

    assert a_sidecar_is_killed_and_a_main_fails(small)
    assert next(tries) <= 45


def test_a_case_that_fails_no_more_is_given_back_as_it_is(choices):
    assert shrink(generate.case, choices, lambda case: False, 10) == generate.case(ReplayDraw(choices))


def test_pieces_that_do_not_matter_are_taken_away():
    """Without any choices: a case that somebody wrote by hand."""
    case = Case(
        (
            pod(
                init=(sidecar("side", pre_stop=True), sidecar("other")),
                main=(container("main", post_start=True), container("helper")),
                grace=7,
            ),
        ),
        scripts={"main": (Script(lasts=3.5, exit_code=1), Script()), "side": (Script(term_lasts=2.25),)},
        requests=(Request(3.0, "delete"), Request(5.5, "delete", grace_seconds=0)),
        priorities=(2, 1),
        ends_at=30.0,
    )

    def fails(case):
        return any(e.what == "exited" and e.detail == 1 for e in run_on_heap(case).entries)

    small = simplify(case, fails, time.monotonic() + 60)

    assert list(small.pods[0].spec.all_containers) == ["main"]
    assert small.pods[0].spec.all_containers["main"].lifecycle is None
    assert small.scripts == {"main": (Script(lasts=0.0, exit_code=1),)}
    assert (small.requests, small.priorities) == ((), ())


def test_what_is_taken_away_leaves_a_valid_case():
    """A stopSignal needs an os, so of the two only the signal can go first."""
    cases = (generate.case(SeededDraw(seed)) for seed in range(400))
    case = next(one for one in cases if not one.jobs and any(pod.spec.os for pod in one.pods))
    tried = []

    def always(candidate):
        tried.extend(candidate.pods)
        return True

    small = simplify(case, always, time.monotonic() + 60)

    assert not any(map(validate_pod, tried))
    assert [len(one.spec.all_containers) for one in small.pods] == [1]
    assert small.pods[0].spec.os is None
