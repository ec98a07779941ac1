"""What a script means: the parts of a simulated life that are not as simple as they look."""

import gc
from math import inf

import attrs

from minikubelet.api.pod import Container, Pod
from minikubelet.fuzz import generate
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import run_on_heap
from minikubelet.invariants.checker import check
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script
from simulation import PROBE, container, pod, sidecar


def entries(case, what, name="main"):
    """(instant, detail) of each entry of that kind."""
    return [(e.at, e.detail) for e in run_on_heap(case).entries if e.what == what and e.container == name]


def alone(script, *requests, one: Pod | None = None, **fields):
    scripts = script if isinstance(script, tuple) else (script,)
    one = one or pod(grace=5, restart_policy="Never")
    return Case((one,), scripts={"main": scripts}, requests=requests, ends_at=100.0, **fields)


def test_the_process_says_how_it_ended_and_its_children_when_it_is_over():
    """TERM-17: a signal that comes after the process itself has ended changes its exit code no more."""
    case = alone(Script(lasts=2.0, exit_code=3, lingers=inf), Request(4.0, "delete", grace_seconds=2))

    assert entries(case, "signalled") == [(4.0, 15), (6.0, 9)]
    assert entries(case, "exited") == [(6.0, 3)]


def test_what_is_killed_ends_by_the_kill_and_takes_its_time():
    case = alone(Script(term_lasts=inf, kill_lasts=0.5), Request(1.0, "delete", grace_seconds=3))

    assert entries(case, "exited") == [(4.5, 137)]


def test_the_earlier_of_two_ends_counts():
    case = alone(Script(lasts=3.0, exit_code=7, term_lasts=4.0), Request(1.0, "delete"))

    assert entries(case, "exited") == [(3.0, 7)]


def test_scripts_are_dealt_out_over_all_pods():
    """As those of a Job share the names of their containers."""
    pods = (pod(restart_policy="Never"), named(pod(restart_policy="Never"), "q"))
    case = Case(pods, scripts={"main": (Script(lasts=1.0), Script(lasts=2.0))}, ends_at=10.0)
    exits = [(e.key, e.at) for e in run_on_heap(case).entries if e.what == "exited"]

    assert exits == [("default/p", 1.0), ("default/q", 2.0)]


def named(one, name):
    return attrs.evolve(one, metadata=attrs.evolve(one.metadata, name=name))


def test_a_start_error_is_a_new_one_each_time():
    """An exception that is raised again keeps the frames of every time before."""
    error = StartError("CreateContainerError", "Resource temporarily unavailable")
    run_on_heap(alone(Script(start_error=error)))

    assert error.__traceback__ is None
    assert Script(start_error=error) == Script(start_error=StartError(error.reason, error.message))
    assert Script(start_error=error) != Script(start_error=StartError(error.reason, "other"))


def test_once_the_world_is_healed_what_failed_to_start_starts():
    error = StartError("CreateContainerError", "Resource temporarily unavailable")
    case = alone(Script(lasts=5.0, start_error=error), heals_at=15.0)

    assert entries(case, "started") == [(20.0, None)]
    assert entries(case, "exited") == [(21.0, 0)]


def test_once_the_world_is_healed_every_probe_succeeds_at_once():
    main = Container("main", readiness_probe=PROBE)
    one = pod(main=[main], restart_policy="Never")
    case = alone(Script(lasts=6.5, ready_after=inf, probe_lasts=(0.5,)), one=one, heals_at=3.0)

    results = [(at, result) for at, (_, result, _) in entries(case, "probeEnded")]
    assert {result for at, result in results if at < 3.0} == {"failure"}
    assert {(at, result) for at, result in results if at >= 4.0} == {
        (float(at), "success") for at in range(4, 7)
    }


def test_a_hook_that_hangs_ends_when_the_world_is_healed():
    one = pod(main=[container("main", post_start=True)], restart_policy="Never")
    case = alone(Script(lasts=20.0, post_start=HookScript(inf)), one=one, heals_at=8.0)

    assert entries(case, "hookEnded") == [(8.0, ("postStart", None))]


def test_a_hook_may_take_its_container_with_it():
    one = pod(
        init=[sidecar("side")], main=[container("main", pre_stop=True)], grace=5, restart_policy="Never"
    )
    script = Script(pre_stop=HookScript(1.0, dies_with=42))
    case = alone(script, Request(2.0, "delete"), one=one)

    assert entries(case, "exited") == [(3.0, 42)]
    assert entries(case, "signalled") == []


def test_a_world_and_what_is_read_of_it_leave_nothing_to_the_garbage_collector():
    """A search lives in many: collecting cycles took a tenth of its time."""
    case = generate.case(SeededDraw(5))
    assert check(run_on_heap(case)) == []

    gc.collect()
    gc.disable()
    try:
        journal = run_on_heap(case)
        check(journal)
        del journal
        assert gc.collect() == 0
    finally:
        gc.enable()
