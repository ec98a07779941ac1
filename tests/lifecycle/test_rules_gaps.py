"""Rules about a pod as a whole that no other test names, in virtual time."""

from math import inf

import pytest

from minikubelet.api.pod import Probe
from minikubelet.lifecycle.actions import StartContainer
from minikubelet.lifecycle.conditions import with_transitions
from minikubelet.lifecycle.facts import ContainerExited, ContainerStarted, DeletionRequested, PodPrepared
from minikubelet.lifecycle.job_view import job_pod
from minikubelet.lifecycle.record import new_record, observe
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script
from simulation import PROBE, container, delete, pod, run, sidecar

TERM, KILL = 15, 9


def test_CORE_1_nothing_is_started_once_the_pod_is_terminating():
    """Neither a restart that is due, nor the next main, nor what a postStart held up."""
    done = run(
        pod(init=[sidecar("s")], main=[container("a", post_start=True), container("b")], grace=60),
        {"s": Script(lasts=3, exit_code=1), "a": Script(post_start=HookScript(10), term_lasts=30)},
        {2.0: delete()},
    )

    assert done.order("start") == ["s", "a"]


def test_CORE_4_what_takes_long_in_one_container_delays_no_other():
    """A preStop of 20 seconds before a restart, and a probe that hangs, are those of one container."""
    done = run(
        pod(
            main=[
                container("slow", pre_stop=True, liveness_probe=Probe(period_seconds=1, failure_threshold=1)),
                container("crashing"),
            ],
        ),
        {
            "slow": Script(unhealthy_after=0, pre_stop=HookScript(20), term_exit_code=0),
            "crashing": [Script(lasts=5, exit_code=1), Script()],
        },
        until=30,
    )

    assert done.times("start", "crashing") == [0.0, 5.0]
    assert done.signals("slow")[0] == (20.0, TERM)


def test_CORE_6_exits_and_timers_are_answered_at_once():
    """Upstream's polling is an artefact: every instant here is exact, none is rounded up to a period."""
    done = run(
        pod(init=[container("i"), sidecar("s", startup_probe=PROBE)], restart_policy="OnFailure"),
        {
            "i": Script(lasts=0.25),
            "s": Script(starts_up_after=0),
            "main": [Script(lasts=1.37, exit_code=1), Script(lasts=0.5, exit_code=1), Script(lasts=0.11)],
        },
    )

    assert done.times("start", "s") == [0.25]
    assert done.times("start", "main") == [0.25, 1.62, 12.12]
    assert done.signals("s") == [(12.23, TERM)]


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_PROBE_1_mains_and_sidecars_have_one_worker_for_each_kind(policy):
    """Three probes, three answers in each period, for as long as the container runs."""
    three = {"startup_probe": PROBE, "liveness_probe": PROBE, "readiness_probe": PROBE}
    done = run(
        pod(init=[sidecar("s", **three)], main=[container("m", **three)], restart_policy=policy), until=3.5
    )

    for name in ("s", "m"):
        assert len(done.times("probe", name, ("startup", True))) == 1
        assert len(done.times("probe", name, ("liveness", True))) == 4
        assert len(done.times("probe", name, ("readiness", True))) == 4


def test_PHASE_2_PHASE_3_an_init_that_will_be_retried_is_pending_and_one_that_will_not_has_failed():
    retried = run(
        pod(init=[container("i")], restart_policy="OnFailure"), {"i": Script(lasts=1, exit_code=1)}, until=300
    )
    final = run(pod(init=[container("i")], restart_policy="Never"), {"i": Script(lasts=1, exit_code=1)})

    assert retried.phases() == ["Pending"]
    assert final.phases() == ["Pending", "Failed"]


def test_PHASE_2_PHASE_8_a_sidecar_that_waits_to_run_again_does_not_count_for_the_phase():
    """The one in back-off would be running in the list of containers, but none of the mains has begun."""
    done = run(
        pod(init=[sidecar("s"), container("i")]),
        {"s": Script(lasts=1, exit_code=1), "i": Script(lasts=400)},
        until=300,
    )

    assert done.phases() == ["Pending"]


def test_PHASE_1_a_terminal_phase_is_final():
    done = run(pod(restart_policy="Never"), {"main": Script(lasts=1)}, {0.5: delete(), 0.9: delete(1)})

    assert done.phases()[-1] == done.phase
    assert done.phases().count(done.phase) == 1


@pytest.mark.parametrize("term_exit_code", [0, 1, None])
def test_PHASE_11_a_deadline_is_Failed_whatever_the_containers_say(term_exit_code):
    done = run(
        pod(active_deadline_seconds=10, restart_policy="OnFailure"),
        {"main": Script(term_lasts=3, term_exit_code=term_exit_code)},
    )

    assert done.phases() == ["Running", "Failed"]
    assert done.pod.status.reason == "DeadlineExceeded"


def test_PHASE_13_the_reason_of_a_deadline_comes_with_the_phase():
    done = run(pod(active_deadline_seconds=10), {"main": Script(term_lasts=3, term_exit_code=0)})

    assert done.at(11.0).status.reason is None
    assert done.at(13.0).status.reason == "DeadlineExceeded"


def test_TERM_3_a_deletion_wins_over_the_longer_grace_of_a_probe_kill():
    probe = Probe(period_seconds=1, failure_threshold=1, termination_grace_period_seconds=100)
    done = run(
        pod(main=[container("main", liveness_probe=probe)], grace=20),
        {"main": Script(unhealthy_after=5, term_lasts=inf)},
        {10.0: delete()},
    )

    assert done.signals("main") == [(5.0, TERM), (30.0, KILL)]


def test_TERM_3_without_one_a_probe_kill_has_its_own():
    probe = Probe(period_seconds=1, failure_threshold=1, termination_grace_period_seconds=100)
    done = run(
        pod(main=[container("main", liveness_probe=probe)], grace=20, restart_policy="Never"),
        {"main": Script(unhealthy_after=5, term_lasts=inf)},
    )

    assert done.signals("main") == [(5.0, TERM), (105.0, KILL)]


def test_TERM_13_mains_that_never_came_to_run_stay_waiting():
    """The exit of the others is always known: the supervisor is their parent."""
    done = run(
        pod(main=[container("a"), container("b")], grace=5),
        {"b": Script(start_error=StartError("CreateContainerConfigError", "no such key"))},
        {3.0: delete()},
    )

    assert done.status("a").state.terminated is not None
    assert done.status("b").state.waiting is not None
    assert done.status("b").restart_count == 0


def test_RESTART_3_a_running_container_is_left_alone():
    """Readiness that fails for ever, and another container that crashes, are no reasons to touch it."""
    done = run(
        pod(main=[container("main", readiness_probe=PROBE), container("other")]),
        {"main": Script(ready_after=inf), "other": Script(lasts=1, exit_code=1)},
        until=200,
    )

    assert done.times("start", "main") == [0.0]
    assert done.signals("main") == []


def observed(subject, *history):
    """The record after each (instant, fact or action), conditions included."""
    record = new_record(subject, LifecycleSettings(), 0.0)
    for instant, what in history:
        record = with_transitions(observe(record, what, instant), instant)
    return record


def life(name, exited_at=None):
    history = [(1.0, StartContainer(name, 0)), (1.0, ContainerStarted(name, 0))]
    if exited_at is not None:
        history.append((exited_at, ContainerExited(name, 0, 1)))
    return history


def test_JOB_9_a_pod_finished_when_the_last_of_its_containers_did():
    subject = pod(main=[container("a"), container("b")], restart_policy="Never")

    record = observed(subject, (0.0, PodPrepared()), *life("a", 7.0), *life("b", 5.0))

    assert job_pod(record).finished_at == 7.0


def test_JOB_9_while_one_runs_it_is_when_the_pod_became_unready():
    subject = pod(main=[container("a"), container("b")], restart_policy="Never")

    record = observed(
        subject, (0.0, PodPrepared()), *life("a"), *life("b"), (5.0, ContainerExited("b", 0, 1))
    )

    assert job_pod(record).finished_at == 5.0


def test_JOB_9_without_any_container_it_is_when_the_pod_was_deleted():
    record = observed(pod(restart_policy="Never"), (0.0, PodPrepared()), (3.0, DeletionRequested(20)))

    assert job_pod(record).finished_at == 3.0
