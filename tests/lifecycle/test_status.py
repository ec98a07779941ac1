"""Phase, conditions and container status as published, in virtual time."""

import pytest

from minikubelet.api.pod import PodReadinessGate, ResourceRequirements
from minikubelet.lifecycle.status import qos_class
from minikubelet.runtime.simulated import HookScript, Script
from simulation import PROBE, container, delete, pod, run, sidecar


def test_STATUS_1_before_anything_ran():
    """ContainerCreating without inits, PodInitializing with any, for inits too."""
    plain = run(pod(), {}, {15.0: delete()}, prepare_failures=1)
    with_init = run(pod(init=[container("i")]), {}, {15.0: delete()}, prepare_failures=1)

    assert plain.status("main", 5.0).state.waiting.reason == "ContainerCreating"
    assert with_init.status("main", 5.0).state.waiting.reason == "PodInitializing"
    assert with_init.status("i", 5.0).state.waiting.reason == "PodInitializing"


def test_STATUS_2_STATUS_3_state_is_the_newest_instance_and_last_state_the_one_before():
    done = run(
        pod(restart_policy="OnFailure"),
        {"main": [Script(lasts=1, exit_code=5), Script(lasts=1, exit_code=6), Script(lasts=1)]},
    )

    status = done.status("main")
    assert status.restart_count == 2
    assert (status.state.terminated.exit_code, status.state.terminated.reason) == (0, "Completed")
    assert (status.last_state.terminated.exit_code, status.last_state.terminated.reason) == (6, "Error")


def test_STATUS_4_times_and_id_of_an_ended_instance():
    done = run(pod(restart_policy="Never"), {"main": Script(lasts=90, exit_code=3)})

    ended = done.status("main").state.terminated
    assert (ended.started_at, ended.finished_at) == ("2023-11-14T22:13:20Z", "2023-11-14T22:14:50Z")
    assert ended.container_id == f"process://{done.pod.metadata.uid}/main/0"


def test_STATUS_11_every_instance_has_an_id_of_its_own():
    done = run(pod(), {"main": Script(lasts=1)}, {3.0: delete()})

    assert done.status("main").container_id != done.status("main", 0.5).container_id


def test_HOOK_2_a_container_is_not_running_before_post_start_returned():
    done = run(
        pod(main=[container("main", post_start=True)]),
        {"main": Script(post_start=HookScript(5))},
        {9.0: delete()},
    )

    assert done.status("main", 3.0).state.waiting.reason == "ContainerCreating"
    assert done.status("main", 3.0).ready is False
    assert done.at(3.0).status.phase == "Pending"
    assert done.status("main", 6.0).state.running.started_at == "2023-11-14T22:13:20Z"


def test_INIT_8_started_while_running_ready_after_exit_0():
    done = run(
        pod(init=[container("i")], restart_policy="Never"), {"i": Script(lasts=3), "main": Script(lasts=1)}
    )

    assert (done.status("i", 1.0).started, done.status("i", 1.0).ready) == (True, False)
    assert (done.status("i").started, done.status("i").ready) == (False, True)


def test_SIDE_16_a_sidecar_counts_for_ready_as_mains_do():
    done = run(
        pod(init=[sidecar("s", startup_probe=PROBE, readiness_probe=PROBE)]),
        {"s": Script(ready_after=4.5)},
        {9.0: delete()},
    )

    assert done.condition("Ready", 3.0).message == "containers with unready status: [s]"
    assert done.condition("Ready", 5.0).status == "True"


def test_COND_2_transition_times_change_only_with_the_status():
    done = run(
        pod(main=[container("main", readiness_probe=PROBE)]),
        {"main": Script(ready_after=3.5)},
        {60.0: delete()},
    )

    assert done.condition("Ready", 3.0).last_transition_time == "2023-11-14T22:13:20Z"
    assert done.condition("Ready", 50.0).last_transition_time == "2023-11-14T22:13:24Z"


def test_COND_3_COND_4_initialized():
    done = run(
        pod(init=[container("a"), container("b")], restart_policy="Never"),
        {"a": Script(lasts=2), "b": Script(lasts=2), "main": Script(lasts=2)},
    )

    waiting = done.condition("Initialized", 1.0)
    assert (waiting.reason, waiting.message) == (
        "ContainersNotInitialized",
        "containers with incomplete status: [a b]",
    )
    assert done.condition("Initialized", 3.0).message == "containers with incomplete status: [b]"
    assert done.condition("Initialized", 5.0).status == "True"
    assert done.condition("Initialized").reason == "PodCompleted"


@pytest.mark.parametrize(("code", "reason"), [(0, "PodCompleted"), (1, "PodFailed")])
def test_COND_6_ready_of_a_finished_pod(code, reason):
    done = run(pod(restart_policy="Never"), {"main": Script(lasts=1, exit_code=code)})

    assert (done.condition("Ready").status, done.condition("Ready").reason) == ("False", reason)
    assert done.condition("ContainersReady").reason == reason


def test_COND_7_readiness_gates():
    gated = pod(readiness_gates=(PodReadinessGate("example.com/lb"),))
    done = run(
        gated,
        {},
        {
            3.0: lambda kubelet: kubelet.set_readiness_gate("default/p", "example.com/lb", True),
            9.0: delete(),
        },
    )

    before = done.condition("Ready", 2.0)
    assert (before.status, before.reason) == ("False", "ReadinessGatesNotReady")
    assert done.condition("ContainersReady", 2.0).status == "True"
    assert done.condition("Ready", 4.0).status == "True"
    assert done.condition("example.com/lb", 4.0).status == "True"


def test_COND_8_deletion_alone_does_not_make_a_pod_unready():
    done = run(pod(), {"main": Script(term_lasts=10)}, {3.0: delete()})

    assert done.condition("Ready", 8.0).status == "True"


def test_TMSG_4_messages_share_twelve_kilobytes():
    done = run(
        pod(main=[container(n) for n in "abcd"], restart_policy="Never"),
        {n: Script(lasts=1, message="x" * 4096) for n in "abcd"},
    )

    assert [len(done.status(n).state.terminated.message) for n in "abcd"] == [3072] * 4


@pytest.mark.parametrize(
    ("requests", "limits", "expected"),
    [
        ({}, {}, "BestEffort"),
        ({"cpu": "100m", "memory": "1Gi"}, {"cpu": "0.1", "memory": "1024Mi"}, "Guaranteed"),
        ({}, {"cpu": 1, "memory": "1Gi"}, "Guaranteed"),
        ({"cpu": 1}, {}, "Burstable"),
        ({"cpu": 1, "memory": "1Gi"}, {"cpu": 2, "memory": "1Gi"}, "Burstable"),
        ({"cpu": 0}, {}, "BestEffort"),
    ],
)
def test_qos_class(requests, limits, expected):
    main = container("main", resources=ResourceRequirements(limits, requests))

    assert qos_class(pod(main=[main]).spec) == expected
