"""Phase, conditions and container status as published, in virtual time."""

from math import inf

import pytest

from minikubelet.api.pod import (
    ContainerRestartRule,
    ContainerRestartRuleOnExitCodes,
    PodReadinessGate,
    ResourceRequirements,
)
from minikubelet.api.values import evolve
from minikubelet.lifecycle.conditions import conditions, with_transitions
from minikubelet.lifecycle.facts import ContainerExited, ContainerStarted
from minikubelet.lifecycle.record import new_record, observe
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.lifecycle.status import publish, qos_class
from minikubelet.runtime.simulated import HookScript, Script
from simulation import KUBELET_GATE, PROBE, container, delete, pod, run, sidecar


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


@pytest.mark.parametrize(("code", "reason"), [(0, "Completed"), (1, "Error"), (137, "Error"), (143, "Error")])
def test_STATUS_4_STATUS_5_reason_follows_the_exit_code_and_signals_are_only_codes(code, reason):
    done = run(pod(restart_policy="Never"), {"main": Script(lasts=1, exit_code=code)})

    ended = done.status("main").state.terminated
    assert (ended.exit_code, ended.reason, ended.signal) == (code, reason, None)


def test_STATUS_6_a_delayed_restart_moves_the_termination_to_last_state():
    """Older ones are forgotten (STATUS-2)."""
    done = run(pod(), {"main": [Script(lasts=1, exit_code=5), Script(lasts=1, exit_code=6)]}, {9.0: delete()})

    assert done.status("main", 0.5).last_state.terminated is None
    assert done.status("main", 1.5).last_state.terminated.exit_code == 5
    waiting = done.status("main", 3.0)
    assert (waiting.state.waiting.reason, waiting.last_state.terminated.exit_code) == ("CrashLoopBackOff", 6)
    ended = done.status("main")
    assert (ended.state.terminated.exit_code, ended.last_state.terminated.exit_code) == (6, 5)


def test_STATUS_7_started_and_ready_are_those_of_the_attempt():
    main = container("main", startup_probe=PROBE, readiness_probe=PROBE)
    done = run(
        pod(main=[main]),
        {"main": [Script(lasts=5, starts_up_after=0.5), Script(lasts=5, starts_up_after=1.5), Script()]},
        {30.0: delete()},
    )

    flags = {t: (done.status("main", t).started, done.status("main", t).ready) for t in (0.5, 4, 5.5, 8, 12)}
    assert flags == {
        0.5: (False, False),
        4: (True, True),
        5.5: (False, False),
        8: (True, True),
        12: (False, False),
    }


@pytest.mark.parametrize("code", [0, 1])
def test_INIT_8_an_init_that_is_to_run_again_is_not_ready(code):
    """Although it has exited with 0, which only RestartAllContainers takes for no end (INIT-4)."""
    action = "RestartAllContainers" if code == 0 else "Restart"
    again = ContainerRestartRule(action, ContainerRestartRuleOnExitCodes("In", (code,)))
    init = container("i", restart_policy="Never", restart_policy_rules=(again,))
    done = run(pod(init=[init]), {"i": Script(lasts=1, exit_code=code)}, {9.0: delete()})

    assert done.status("i", 5.0).state.waiting.reason == "CrashLoopBackOff"
    assert done.status("i", 5.0).ready is False


def test_INIT_8_an_init_that_is_done_is_ready_whatever_a_rule_says():
    again = ContainerRestartRule("Restart", ContainerRestartRuleOnExitCodes("In", (0,)))
    init = container("i", restart_policy="Never", restart_policy_rules=(again,))
    done = run(pod(init=[init]), {"i": Script(lasts=1), "main": Script(lasts=9)}, {9.0: delete()})

    assert done.status("i", 5.0).state.terminated.exit_code == 0
    assert done.status("i", 5.0).ready is True


def test_CORE_7_start_time_is_that_of_acceptance_for_good():
    done = run(pod(), {"main": Script(lasts=1)}, {40.0: delete()}, prepare_failures=1)

    assert {p.status.start_time for _, p in done.statuses} == {"2023-11-14T22:13:20Z"}


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


def test_COND_1_only_what_waits_for_containers_has_a_reason_to_be_false():
    done = run(pod(), {}, {15.0: delete()}, prepare_failures=1)

    network = done.condition("PodReadyToStartContainers", 5.0)
    assert (network.status, network.reason, network.message) == ("False", None, None)
    scheduled = done.condition("PodScheduled", 5.0)
    assert (scheduled.status, scheduled.reason, scheduled.message) == ("True", None, None)
    assert done.condition("Ready", 5.0).reason == "ContainersNotReady"


def test_STATUS_5_a_reason_that_comes_with_the_exit_is_kept():
    record = observe(new_record(pod(), LifecycleSettings(), 0.0), ContainerStarted("main", 0), 1.0)
    record = observe(record, ContainerExited("main", 0, 137, reason="OOMKilled", message="too much"), 2.0)

    run_ = record.containers["main"].run
    assert run_ is not None
    assert (run_.exit_code, run_.reason, run_.message) == (137, "OOMKilled", "too much")


def test_COND_2_a_condition_that_changed_and_changed_back_between_two_readings_has_its_new_time():
    """And one that did not is the very value that was published before."""
    record = with_transitions(new_record(pod(), LifecycleSettings(), 0.0), 0.0)
    published = conditions(record, 0.0)
    moved = evolve(record, answered_at={**record.answered_at, "Ready": 60.0})

    again = conditions(moved, 0.0, published)
    assert [new.type for new, old in zip(again, published, strict=True) if new is not old] == ["Ready"]
    assert [c.last_transition_time for c in again if c.type == "Ready"] == ["1970-01-01T00:01:00Z"]


def test_COND_4_INIT_8_an_init_that_completed_at_the_end_of_its_pod_is_not_called_incomplete():
    """It exits 0 at the instant of the deadline, so the sequence never moves on; ready and message agree."""
    done = run(
        pod(init=[container("i1"), container("i2")], active_deadline_seconds=2), {"i1": Script(lasts=2)}
    )

    assert done.status("i1").ready
    assert done.condition("Initialized").message == "containers with incomplete status: [i2]"


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
    """Inits and sidecars have their shares too."""
    done = run(
        pod(
            init=[sidecar("a"), container("b")], main=[container("c"), container("d")], restart_policy="Never"
        ),
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


def test_COND_1_conditions_of_a_running_pod():
    done = run(pod(), {}, {3.0: delete()})

    assert {c.type: c.status for c in done.at(1.0).status.conditions} == {
        "PodScheduled": "True",
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "ContainersReady": "True",
        "Ready": "True",
    }


def test_COND_3_COND_6_conditions_of_a_pod_whose_init_failed():
    done = run(pod(init=[container("i")], restart_policy="Never"), {"i": Script(lasts=1, exit_code=1)})

    initialized = done.condition("Initialized")
    assert (initialized.status, initialized.reason) == ("False", "ContainersNotInitialized")
    assert done.condition("Ready").reason == "PodFailed"


def test_COND_3_a_sidecar_that_is_down_again_before_the_sequence_is_over_is_incomplete():
    done = run(
        pod(init=[sidecar("s"), container("i")]),
        {"s": [Script(lasts=1)] * 2 + [Script()], "i": Script(lasts=20)},
        {30.0: delete()},
    )

    assert done.condition("Initialized", 0.5).message == "containers with incomplete status: [i]"
    assert done.condition("Initialized", 5.0).message == "containers with incomplete status: [s i]"
    assert done.condition("Initialized", 25.0).status == "True"


def test_COND_3_initialized_is_sticky():
    """A sidecar that restarts afterwards takes nothing back (RESTART-18, INIT-7)."""
    done = run(
        pod(init=[sidecar("s", startup_probe=PROBE)]),
        {"s": [Script(lasts=3), Script(starts_up_after=inf)]},
        {30.0: delete()},
    )

    assert done.condition("Initialized", 20.0).status == "True"
    assert done.condition("ContainersReady", 20.0).message == "containers with unready status: [s]"


def test_COND_5_COND_10_unready_containers_are_named_in_spec_order_without_inits():
    done = run(
        pod(
            init=[container("i"), sidecar("s", readiness_probe=PROBE)],
            main=[container(n, readiness_probe=PROBE) for n in "ba"],
        ),
        {n: Script(ready_after=inf) for n in "sba"} | {"i": Script(lasts=1)},
        {9.0: delete()},
        settings=KUBELET_GATE,
    )

    assert done.condition("ContainersReady", 5.0).message == "containers with unready status: [s b a]"


def test_COND_7_each_readiness_gate_that_does_not_hold_is_named():
    gates = (PodReadinessGate("a.example/x"), PodReadinessGate("b.example/y"))
    done = run(
        pod(readiness_gates=gates),
        {},
        {
            3.0: lambda kubelet: kubelet.set_readiness_gate("default/p", "b.example/y", False),
            9.0: delete(),
        },
    )

    assert done.condition("Ready", 5.0).message == (
        'corresponding condition of pod readiness gate "a.example/x" does not exist., '
        'the status of pod readiness gate "b.example/y" is not "True", but False'
    )
    assert done.condition("b.example/y", 5.0).last_transition_time == "2023-11-14T22:13:23Z"


def test_COND_8_ready_follows_the_containers_while_they_stop():
    done = run(
        pod(main=[container("a"), container("b")]),
        {"a": Script(term_lasts=2), "b": Script(term_lasts=6)},
        {3.0: delete()},
    )

    assert done.condition("Ready", 4.0).status == "True"
    assert done.condition("Ready", 6.0).message == "containers with unready status: [a]"


def test_PHASE_13_TERM_12_reason_and_message_come_with_the_phase_they_belong_to():
    done = run(pod(active_deadline_seconds=3), {"main": Script(term_lasts=4)})

    assert {(p.status.phase, p.status.reason) for _, p in done.statuses} == {
        ("Running", None),
        ("Failed", "DeadlineExceeded"),
    }
    assert done.condition("Ready", 4.0).reason == "PodFailed"  # COND-6


def test_TMSG_4_a_message_is_cut_between_characters():
    """A tenth of 12288 bytes is 1228, which is 409 whole characters of three bytes."""
    names = [f"c{n}" for n in range(10)]
    done = run(
        pod(main=[container(n) for n in names], restart_policy="Never"),
        {n: Script(lasts=1, message="€" * 999) for n in names},
    )

    assert done.status("c7").state.terminated.message == "€" * 409


def test_STATUS_1_what_changes_nothing_that_is_shown_is_published_as_the_very_same_object():
    """And what does is not, but what it has in common with the one before is."""
    record = observe(new_record(pod(), LifecycleSettings(), 0.0), ContainerStarted("main", 0), 1.0)
    first = publish(with_transitions(record, 1.0), 0.0)
    again = publish(evolve(first.record, prepare_retry_at=2.0), 0.0, first)
    ended = publish(observe(first.record, ContainerExited("main", 0, 0), 2.0), 0.0, again)

    assert again.pod is first.pod
    assert ended.pod.status != first.pod.status
    assert ended.pod.metadata is first.pod.metadata
    assert ended.pod == publish(ended.record, 0.0).pod
