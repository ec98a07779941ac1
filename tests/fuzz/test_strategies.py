"""The strategies, used as somebody with a controller of their own would."""

import attrs
from hypothesis import HealthCheck, find, given, settings

from minikubelet import strategies
from minikubelet.api.codec import to_wire
from minikubelet.api.job import Job
from minikubelet.api.pod import Container, Pod
from minikubelet.api.validation import validate_pod
from minikubelet.api.validation_jobs import validate_job
from minikubelet.fuzz.case import Case
from minikubelet.fuzz.engines import run_on_heap
from minikubelet.runtime.simulated import Script

quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)


@quick
@given(strategies.pods(name="web"))
def test_pods_are_valid_and_named(pod: Pod) -> None:
    assert validate_pod(pod) == []
    assert to_wire(pod)["metadata"]["name"] == "web"


@quick
@given(strategies.jobs())
def test_jobs_are_valid(job: Job) -> None:
    assert validate_job(job) == []


@quick
@given(strategies.cases())
def test_any_world_comes_to_its_end(case: Case) -> None:
    over = run_on_heap(case).entries[-1]

    assert (over.what, over.detail) == ("over", True)


@quick
@given(strategies.scripts(Container("main")))
def test_the_script_of_a_container_without_probes_says_nothing_of_them(script: Script) -> None:
    plain = Script()

    for name in ("starts_up_after", "ready_after", "unhealthy_after", "answers", "probe_lasts", "post_start"):
        assert getattr(script, name) == getattr(plain, name)


def test_examples_shrink_to_what_matters() -> None:
    """A pod with a sidecar shrinks to a main container and a sidecar without anything."""
    pod = find(
        strategies.pods(),
        lambda pod: bool(pod.spec.sidecars),
        settings=settings(database=None, deadline=None, max_examples=200),
    )

    assert len(pod.spec.all_containers) == 2
    (sidecar,) = pod.spec.sidecars.values()
    assert attrs.evolve(sidecar, command=()) == Container(sidecar.name, restart_policy="Always")
