"""What is drawn: valid, varied, exact, simplest first."""

from collections import Counter
from math import inf

import attrs
import pytest

from minikubelet.api.job import Job, JobSpec
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Lifecycle, LifecycleHandler, PodTemplateSpec, SleepAction
from minikubelet.api.validation import validate_pod
from minikubelet.api.validation_jobs import validate_job
from minikubelet.fuzz import generate
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import run_on_heap
from minikubelet.fuzz.shrink import ReplayDraw
from minikubelet.runtime.simulated import HookScript, Script
from simulation import pod

SEEDS = range(400)


@pytest.fixture(scope="module")
def cases():
    return [generate.case(SeededDraw(seed)) for seed in SEEDS]


def test_every_drawn_object_is_valid(cases):
    complaints = {
        *(one for case in cases for pod in case.pods for one in validate_pod(pod)),
        *(one for case in cases for job in case.jobs for one in validate_job(job)),
    }

    assert not complaints


def test_the_simplest_choices_are_the_simplest_world():
    case = generate.case(ReplayDraw([]))

    assert [list(pod.spec.all_containers) for pod in case.pods] == [["main0"]]
    assert not case.jobs
    assert not case.requests
    assert not case.priorities


def test_recorded_choices_give_the_same_case_again(cases):
    for seed in SEEDS[:50]:
        draw = SeededDraw(seed)
        case = generate.case(draw)

        assert generate.case(ReplayDraw(draw.choices)) == case == cases[seed]


def lengths(value):
    """Every length in a case."""
    if isinstance(value, float):
        yield value
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from lengths(getattr(value, field.name))
    elif isinstance(value, dict):
        for one in value.values():
            yield from lengths(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from lengths(one)


def test_all_lengths_are_multiples_of_a_tick_so_sums_are_exact(cases):
    for case in cases:
        for length in lengths(case):
            assert length == inf or (length >= 0 and (length / generate.TICK).is_integer())


def test_everything_there_is_gets_drawn(cases):
    pods = [*(pod.spec for case in cases for pod in case.pods)]
    specs = [*pods, *(job.spec.template.spec for case in cases for job in case.jobs)]
    containers = [one for spec in specs for one in spec.all_containers.values()]
    probes = [probe for one in containers for kind in generate._PROBE_KINDS if (probe := one.probe_of(kind))]
    scripts = [script for case in cases for several in case.scripts.values() for script in several]
    jobs = [job.spec for case in cases for job in case.jobs]
    requests = [request for case in cases for request in case.requests]

    def varied(objects, *constant):
        names = [field.name for field in attrs.fields(type(objects[0]))]
        same = {name for name in names if len({repr(getattr(one, name)) for one in objects}) == 1}
        return same - set(constant)

    assert not varied(scripts)
    assert not varied(requests)
    assert not varied(jobs, "managed_by", "manual_selector", "selector", "scheduling")
    assert not varied(probes, "exec", "http_get", "tcp_socket", "grpc")
    assert not varied([case.settings for case in cases], "minimum_kill_grace")
    assert not varied(cases)
    assert {spec.restart_policy for spec in pods} == {"Never", "OnFailure", "Always"}
    assert {len(spec.init_containers) for spec in pods} == {0, 1, 2, 3, 4}
    assert {len(spec.containers) for spec in pods} == {1, 2, 3}
    actions = Counter(rule.action for one in containers for rule in one.restart_policy_rules)
    assert actions.keys() == {"Restart", "RestartAllContainers"}
    assert any(spec.readiness_gates for spec in pods)
    assert any(spec.active_deadline_seconds for spec in pods)


def test_worlds_are_short(cases):
    """A search lives on the number of its worlds."""
    entries = [len(run_on_heap(case).entries) for case in cases[:100]]

    assert sum(entries) / len(entries) < 120


def test_given_pods_and_jobs_stay_as_they_are():
    given = generate.case(SeededDraw(3))
    for seed in SEEDS[:30]:
        case = generate.case_for(SeededDraw(seed), given.pods, given.jobs)

        assert (case.pods, case.jobs) == (given.pods, given.jobs)
        assert case.scripts.keys() == set(given.pods[0].spec.all_containers)


def test_a_hook_that_sleeps_takes_as_long_as_its_manifest_says():
    """Unless the world is one of bad hooks."""
    lasting = Lifecycle(LifecycleHandler(sleep=SleepAction(2)), LifecycleHandler(sleep=SleepAction(3)))
    main = Container("main", lifecycle=lasting)
    scripts = [
        script
        for seed in SEEDS[:40]
        for script in generate.case_for(SeededDraw(seed), [pod(main=[main])]).scripts["main"]
    ]
    usual = [one for one in scripts if (one.post_start, one.pre_stop) == (HookScript(2.0), HookScript(3.0))]

    assert len(scripts) > len(usual) > len(scripts) / 2


def test_a_single_pod_of_a_job_is_deleted_sometimes():
    """JOB-4: the others go on, and one is made in its place."""
    requests = [request for seed in range(3000) for request in generate.case(SeededDraw(seed)).requests]

    assert {0, 1} <= {request.number for request in requests if request.number is not None}


def test_the_pod_of_a_job_that_was_asked_for_is_deleted_and_replaced():
    template = PodTemplateSpec(pod(restart_policy="Never").spec, ObjectMeta(namespace=""))
    job = Job(ObjectMeta(name="j"), JobSpec(template, 1, 1, backoff_limit=3))
    scripts = {"main": (Script(), Script(lasts=1.0))}
    request = Request(2.0, "delete", "default/j", number=0)
    entries = run_on_heap(Case((), (job,), scripts, (request,))).entries
    pods = list(dict.fromkeys(one.key for one in entries if one.what == "begun"))
    deletions = [(one.at, one.key) for one in entries if one.what == "deletion"]

    assert len(pods) == 2
    assert deletions[0] == (2.0, pods[0])


def test_no_pod_is_made_after_the_end_of_its_world() -> None:
    """Everything has been deleted then, and nobody would delete it: it lived, and restarted, for ever."""
    late = [
        request
        for seed in range(3000)
        for world in [generate.case(SeededDraw(seed))]
        for request in world.requests
        if request.what == "create" and request.at >= world.ends_at
    ]
    assert late == []
