"""Coverage: what counts as a state and as a transition, and that counting adds up."""

import json

import attrs

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, ExecAction, Pod, PodSpec, Probe
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.coverage import Coverage
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import run_on_heap
from minikubelet.fuzz.generate import case
from minikubelet.runtime.simulated import Script

PROBE = Probe(exec=ExecAction(("true",)), period_seconds=1, failure_threshold=2)
POD = Pod(
    ObjectMeta(name="p"),
    PodSpec(
        (Container("main", liveness_probe=PROBE),),
        (Container("proxy", restart_policy="Always"),),
        restart_policy="OnFailure",
    ),
)


def covered(case: Case) -> Coverage:
    coverage = Coverage()
    coverage.read(run_on_heap(case))
    return coverage


def test_a_life_that_goes_well():
    coverage = covered(Case((POD,), scripts={"main": (Script(lasts=3.0),)}))

    assert {state for state in coverage.states if state.startswith("main")} == {
        "main running+started+ready",
        "main terminated:Completed:0",
    }
    assert coverage.transitions["main running+started+ready: exited 0"] == 1
    assert coverage.lifecycles == 1


def test_a_container_that_is_killed_by_its_probe_says_so_on_its_way_down():
    coverage = covered(Case((POD,), scripts={"main": (Script(unhealthy_after=2.0), Script(lasts=1.0))}))

    assert coverage.states["main running+started+ready+stopping:liveness+signalled"] == 1
    assert "main running+started+ready: liveness probe failure" in coverage.transitions
    assert coverage.states["pod Succeeded+Initialized"] == 1


def test_a_request_is_a_transition_of_everything_it_meets():
    coverage = covered(Case((POD,), requests=(Request(5.0, "delete"),)))

    assert coverage.transitions["main running+started+ready: deletion"] == 1
    assert coverage.transitions["sidecar running+started+ready: deletion"] == 1
    assert [state for state in coverage.states if state.endswith(" deleted")]


def test_names_do_not_matter():
    other = attrs.evolve(
        POD, spec=attrs.evolve(POD.spec, containers=(Container("web", liveness_probe=PROBE),))
    )

    assert covered(Case((POD,))) == covered(Case((other,)))


def test_counts_add_up():
    worlds = [case(SeededDraw(n)) for n in range(8)]
    one, other, both = Coverage(), Coverage(), Coverage()
    for n, world in enumerate(worlds):
        journal = run_on_heap(world)
        both.read(journal)
        (one if n % 2 else other).read(journal)

    one.add(other)

    assert one == both
    assert str(both) == f"states {len(both.states)}, transitions {len(both.transitions)}"


def test_as_json_it_has_every_count():
    coverage = covered(Case((POD,)))

    assert json.loads(coverage.as_json()) == {
        "states": dict(coverage.states),
        "transitions": dict(coverage.transitions),
    }
