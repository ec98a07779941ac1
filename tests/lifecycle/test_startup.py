"""Init sequence, sidecar gates and mains on the way up, in virtual time."""

from math import inf

import pytest

from minikubelet.api.pod import ContainerRestartRule, ContainerRestartRuleOnExitCodes, Probe
from minikubelet.lifecycle.actions import PreparePod
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.plan import plan
from minikubelet.lifecycle.record import new_record, observe
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script
from simulation import KUBELET_GATE, PROBE, container, delete, pod, run, sidecar

ONCE = Script(lasts=1)
FAILS = Script(lasts=1, exit_code=1)


def test_INIT_1_INIT_2_inits_run_one_after_the_other_before_the_mains():
    """Each entry starts when the one before it has exited 0, the mains after the last."""
    done = run(
        pod(init=[container("i1"), container("i2")], main=[container("main")], restart_policy="Never"),
        {"i1": Script(lasts=2), "i2": Script(lasts=3), "main": ONCE},
    )

    assert done.order("start") == ["i1", "i2", "main"]
    assert done.times("start", "i2") == [2.0]
    assert done.times("start", "main") == [5.0]
    assert done.phase == "Succeeded"


def test_INIT_3_a_failed_init_under_never_fails_the_pod():
    """Nothing after it starts."""
    done = run(pod(init=[container("i1"), container("i2")], restart_policy="Never"), {"i1": FAILS})

    assert done.order("start") == ["i1"]
    assert done.phase == "Failed"
    assert done.status("main").state.waiting.reason == "PodInitializing"


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
def test_INIT_4_a_failed_init_is_retried_with_back_off(policy):
    """The first retry comes at once, the second after 10 s (BACKOFF-2)."""
    done = run(
        pod(init=[container("i")], main=[container("main")], restart_policy=policy),
        {"i": [FAILS, FAILS, ONCE], "main": Script()},
        {50.0: delete()},
    )

    assert done.times("start", "i") == [0.0, 1.0, 12.0]
    assert done.times("start", "main") == [13.0]
    assert done.status("i").restart_count == 2


def test_INIT_5_an_inits_own_never_beats_the_pods_always():
    done = run(pod(init=[container("i", restart_policy="Never")]), {"i": FAILS})

    assert done.times("start", "i") == [0.0]
    assert done.phase == "Failed"


def test_INIT_6_a_completed_init_is_not_run_again_when_a_main_restarts():
    done = run(
        pod(init=[container("i")], main=[container("main")]),
        {"i": ONCE, "main": FAILS},
        {30.0: delete()},
    )

    assert done.times("start", "i") == [0.0]
    assert len(done.times("start", "main")) >= 3


def test_INIT_9_a_config_error_is_retried_without_an_instance():
    """STATUS-9: every 10 s, restartCount stays 0, even under Never."""
    missing = Script(start_error=StartError("CreateContainerConfigError", 'configmap "x" not found'))
    done = run(
        pod(init=[container("i")], main=[container("main")], restart_policy="Never"),
        {"i": [missing, missing, ONCE], "main": ONCE},
    )

    assert done.times("startError", "i") == [0.0, 10.0]
    assert done.times("start", "i") == [20.0]
    assert done.status("i").restart_count == 0
    waiting = done.status("i", 5.0).state.waiting
    assert (waiting.reason, waiting.message) == ("CreateContainerConfigError", 'configmap "x" not found')
    assert done.phase == "Succeeded"


def test_INIT_9_a_start_error_is_an_ordinary_failure():
    """LOCAL-3: an instance with exit code 128 and reason StartError."""
    broken = Script(start_error=StartError("RunContainerError", "no such file", recorded=True))
    done = run(pod(init=[container("i")], restart_policy="Never"), {"i": broken})

    ended = done.status("i").state.terminated
    assert (ended.exit_code, ended.reason, ended.message) == (128, "StartError", "no such file")
    assert ended.started_at == ended.finished_at == "2023-11-14T22:13:20Z"
    assert done.phase == "Failed"
    assert done.reasons("i") == ["Failed"]


def test_INIT_10_an_earlier_sidecar_restarts_while_an_init_runs():
    done = run(
        pod(init=[sidecar("s"), container("i")], restart_policy="Never"),
        {"s": [Script(lasts=2), Script()], "i": Script(lasts=20), "main": ONCE},
    )

    assert done.times("start", "s") == [0.0, 2.0]
    assert done.times("start", "i") == [0.0]
    assert done.signals("i") == []


def test_INIT_11_TERM_10_the_deadline_counts_during_init():
    done = run(pod(init=[container("i")], active_deadline_seconds=6, grace=3), {"i": Script(term_lasts=inf)})

    assert done.signals("i") == [(6.0, 15), (9.0, 9)]
    assert done.pod.status.reason == "DeadlineExceeded"


def test_RESTART_2_a_container_without_an_instance_is_started_even_under_never():
    missing = Script(start_error=StartError("CreateContainerError", "not yet"))
    done = run(pod(restart_policy="Never"), {"main": [missing, missing, missing, ONCE]})

    assert done.times("start", "main") == [30.0]
    assert done.status("main").restart_count == 0
    assert done.phase == "Succeeded"


def test_BACKOFF_13_a_start_error_counts_as_an_exit():
    """The process could not be executed: same counter, and CrashLoopBackOff while it waits."""
    broken = Script(start_error=StartError("RunContainerError", "no such file", recorded=True))
    done = run(pod(), {"main": broken}, {35.0: delete()})

    assert done.times("startError", "main") == [0.0, 0.0, 10.0, 30.0]
    assert done.status("main", 5.0).state.waiting.reason == "CrashLoopBackOff"
    assert done.status("main", 5.0).last_state.terminated.reason == "StartError"
    assert done.status("main").restart_count == 3


def test_BACKOFF_13_a_config_error_between_two_runs_moves_no_delay_on():
    """It is retried every 10 s, and the next crash waits no longer than it would have."""
    missing = Script(start_error=StartError("CreateContainerConfigError", "gone"))
    done = run(
        pod(),
        {"main": [FAILS, missing, missing, FAILS, Script()]},
        {60.0: delete()},
    )

    assert done.times("startError", "main") == [1.0, 11.0]
    assert done.times("start", "main") == [0.0, 21.0, 32.0]
    assert done.status("main", 5.0).state.waiting.reason == "CreateContainerConfigError"
    assert done.status("main", 5.0).last_state.terminated.exit_code == 1


def test_VOL_6_nothing_else_is_due_while_the_pod_is_prepared():
    record = new_record(pod(), LifecycleSettings(), 0.0)
    assert list(plan(record, Clock(0.0))) == [PreparePod()]

    record = observe(record, PreparePod(), 0.0)
    assert list(plan(record, Clock(1.0))) == []


def test_VOL_6_preparing_is_retried_and_never_fails_the_pod():
    done = run(pod(restart_policy="Never"), {"main": ONCE}, prepare_failures=2)

    assert done.times("start", "main") == [20.0]
    assert done.reasons()[:2] == ["FailedMount", "FailedMount"]
    assert done.phase == "Succeeded"
    assert done.condition("PodReadyToStartContainers", 5.0).status == "False"
    assert done.condition("PodReadyToStartContainers", 20.5).status == "True"


def test_SIDE_3_a_startup_probe_gates_the_next_entry():
    done = run(
        pod(
            init=[sidecar("s", startup_probe=Probe(period_seconds=1, failure_threshold=30)), container("i")],
            restart_policy="Never",
        ),
        {"s": Script(starts_up_after=4.5), "i": ONCE, "main": ONCE},
    )

    assert done.times("start", "i") == [5.0]
    assert done.times("start", "main") == [6.0]


def test_SIDE_3_post_start_gates_the_next_entry():
    done = run(
        pod(init=[sidecar("s", post_start=True)], restart_policy="Never"),
        {"s": Script(post_start=HookScript(3)), "main": ONCE},
    )

    assert done.times("start", "main") == [3.0]


def test_SIDE_4_readiness_does_not_gate_under_the_kubelets_gate():
    done = run(
        pod(init=[sidecar("s", readiness_probe=PROBE)], restart_policy="Never"),
        {"s": Script(ready_after=inf), "main": ONCE},
        settings=KUBELET_GATE,
    )

    assert done.times("start", "main") == [0.0]
    assert "as a cluster does" in done.messages("StartGate")[0]


def test_start_gate_ready_waits_for_the_first_readiness_and_says_so():
    done = run(
        pod(init=[sidecar("s", readiness_probe=PROBE)], restart_policy="Never"),
        {"s": Script(ready_after=1.5), "main": ONCE},
    )

    assert done.times("start", "main") == [2.0]
    [message] = done.messages("StartGate")
    assert "--start-gate started" in message and "A cluster would go on now" in message


def test_start_gate_ready_warns_once_when_the_readiness_probe_has_reached_its_failure_threshold():
    """A sidecar that becomes ready only after its main is explained instead of silently stuck."""
    probe = Probe(period_seconds=2, failure_threshold=3)
    done = run(
        pod(init=[sidecar("s", readiness_probe=probe)]), {"s": Script(ready_after=inf)}, {60.0: delete()}
    )

    told = [(e.type, round(e.wall_time - 1_700_000_000, 3)) for e in done.events if e.reason == "StartGate"]
    assert told == [("Normal", 0.0), ("Warning", 4.0)]
    assert "it never will: a cluster would have gone on" in done.messages("StartGate")[1]


def test_start_gate_ready_is_told_again_for_a_new_instance():
    done = run(
        pod(init=[sidecar("s", readiness_probe=Probe(period_seconds=30))]),
        {"s": [Script(lasts=5, ready_after=inf), Script(ready_after=inf)]},
        {9.0: delete()},
    )

    assert [e.count for e in done.events if e.reason == "StartGate"] == [1, 2]


def test_start_gate_ready_holds_the_pod_uninitialized_and_names_the_sidecar():
    """COND-4: the sequence is not over, so the message says whose turn it is."""
    done = run(
        pod(init=[sidecar("s", readiness_probe=PROBE), container("i")]),
        {"s": Script(ready_after=inf)},
        {9.0: delete()},
    )

    initialized = done.condition("Initialized", 5.0)
    assert initialized.status == "False"
    assert initialized.message == "containers with incomplete status: [s i]"


def test_start_gate_ready_applies_again_after_an_in_place_restart():
    again = ContainerRestartRule("RestartAllContainers", ContainerRestartRuleOnExitCodes("In", (42,)))
    main = container("main", restart_policy="Never", restart_policy_rules=(again,))
    done = run(
        pod(init=[sidecar("s", readiness_probe=PROBE)], main=[main]),
        {"s": Script(ready_after=2.5), "main": [Script(lasts=1, exit_code=42), ONCE]},
    )

    assert done.times("start", "s") == [0.0, 4.0]
    assert done.times("start", "main") == [3.0, 7.0]


def test_start_gate_ready_leaves_a_sidecar_with_a_startup_probe_to_the_kubelets_rule():
    done = run(
        pod(init=[sidecar("s", startup_probe=PROBE, readiness_probe=PROBE)], restart_policy="Never"),
        {"s": Script(ready_after=inf), "main": ONCE},
    )

    assert done.times("start", "main") == [0.0]
    assert done.messages("StartGate") == []


def test_start_gate_ready_is_open_for_good_after_the_first_readiness():
    """SIDE-6: losing readiness again holds nothing up."""
    done = run(
        pod(init=[sidecar("s", readiness_probe=PROBE), container("i")], restart_policy="Never"),
        {"s": Script(unready_after=1.5), "i": Script(lasts=30), "main": ONCE},
    )

    assert done.times("start", "main") == [30.0]


def test_SIDE_4_liveness_does_not_gate_the_next_entry():
    done = run(
        pod(init=[sidecar("s", liveness_probe=Probe(initial_delay_seconds=20))], restart_policy="Never"),
        {"main": ONCE},
    )

    assert done.times("start", "main") == [0.0]


def test_SIDE_7_a_sidecar_that_crashes_after_it_let_the_next_entry_start_gates_nothing_any_more():
    done = run(
        pod(init=[sidecar("s", startup_probe=PROBE), container("i"), container("j")], restart_policy="Never"),
        {
            "s": [Script(lasts=2), Script(lasts=2, starts_up_after=inf)],
            "i": Script(lasts=5),
            "j": Script(lasts=5),
            "main": ONCE,
        },
    )

    assert (done.times("start", "j"), done.times("start", "main")) == ([5.0], [10.0])


def test_SIDE_3_a_failed_post_start_does_not_open_the_gate():
    done = run(
        pod(init=[sidecar("s", post_start=True)], restart_policy="Never"),
        {"s": [Script(post_start=HookScript(2, "boom")), Script(post_start=HookScript(3))], "main": ONCE},
    )

    assert done.times("start", "s") == [0.0, 2.0]
    assert done.times("start", "main") == [5.0]


def test_SIDE_15_sidecars_and_mains_back_off_on_their_own_counters():
    done = run(
        pod(init=[sidecar("s")]),
        {"s": Script(lasts=1), "main": [Script(lasts=15), Script(lasts=1), Script()]},
        {40.0: delete()},
    )

    assert done.times("start", "s") == [0.0, 1.0, 12.0, 33.0]
    assert done.times("start", "main") == [0.0, 15.0, 26.0]


def test_SIDE_8_a_sidecar_that_never_gets_up_keeps_the_pod_pending():
    """Its crashes restart it with back-off under any policy and fail nothing."""
    done = run(
        pod(init=[sidecar("s", startup_probe=PROBE)], restart_policy="Never"),
        {"s": Script(lasts=0.5, exit_code=3, starts_up_after=inf)},
        {100.0: delete()},
    )

    assert done.at(99.0).status.phase == "Pending"
    assert done.times("start", "s")[:5] == [0.0, 0.5, 11.0, 31.5, 72.0]
    assert done.times("start", "main") == []


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
@pytest.mark.parametrize("code", [0, 1])
def test_SIDE_9_SIDE_10_any_exit_restarts_a_sidecar_with_back_off(policy, code):
    done = run(
        pod(init=[sidecar("s")], restart_policy=policy),
        {"s": [Script(lasts=1, exit_code=code)] * 2 + [Script()], "main": Script(lasts=40)},
        {40.0: delete()},
    )

    assert done.times("start", "s") == [0.0, 1.0, 12.0]
    assert done.status("s", 5.0).state.waiting.reason == "CrashLoopBackOff"


def test_SIDE_11_a_restarting_sidecar_leaves_the_mains_alone_but_the_pod_unready():
    done = run(
        pod(init=[sidecar("s")], restart_policy="Never"),
        {"s": [Script(lasts=2), Script(lasts=2), Script()], "main": Script(lasts=30)},
    )

    assert done.times("start", "main") == [0.0]
    assert done.condition("Ready", 1.0).status == "True"
    assert done.condition("Ready", 5.0).status == "False"
    assert done.at(5.0).status.phase == "Running"
    assert done.condition("Ready", 20.0).status == "True"


def test_SIDE_12_mains_restart_on_their_own_while_the_last_sidecar_is_down():
    """The sticky initialized flag instead of the kubelet's accident (INIT-7)."""
    done = run(
        pod(init=[sidecar("s")], main=[container("main")]),
        {"s": Script(lasts=0.1), "main": [Script(lasts=5, exit_code=1), Script(lasts=100)]},
        {50.0: delete()},
    )

    assert done.times("start", "main") == [0.0, 5.0]


def test_MAIN_1_mains_start_in_order_and_wait_for_each_others_post_start():
    done = run(
        pod(main=[container("a"), container("b", post_start=True), container("c")], restart_policy="Never"),
        {"a": ONCE, "b": Script(lasts=9, post_start=HookScript(4)), "c": ONCE},
    )

    assert done.order("start") == ["a", "b", "c"]
    assert done.times("start", "b") == [0.0]
    assert done.times("start", "c") == [4.0]


def test_MAIN_1_a_main_that_cannot_start_holds_up_nobody():
    missing = Script(start_error=StartError("CreateContainerConfigError", "no"))
    done = run(
        pod(main=[container("a", post_start=True), container("b")], restart_policy="Never"),
        {"a": [missing, Script(lasts=20)], "b": ONCE},
    )

    assert done.times("start", "b") == [0.0]


def test_MAIN_1_HOOK_2_a_start_that_failed_holds_up_nobody_and_the_next_one_neither():
    """a dies in its postStart and is started again at once; b starts then, however long that hook is."""
    done = run(
        pod(main=[container("a", post_start=True), container("b")], restart_policy="OnFailure"),
        {
            "a": [
                Script(lasts=1, exit_code=1, post_start=HookScript(inf)),
                Script(lasts=9, post_start=HookScript(2)),
            ]
        },
        {5.0: delete()},
    )

    assert done.times("start", "a") == [0.0, 1.0]
    assert done.times("start", "b") == [1.0]


def test_MAIN_1_a_late_post_start_holds_up_no_main_that_runs_already():
    """I9: their probes are asked and their restarts happen meanwhile."""
    missing = Script(start_error=StartError("CreateContainerConfigError", "no"))
    done = run(
        pod(main=[container("a", post_start=True), container("b", liveness_probe=PROBE)]),
        {"a": [missing, Script(post_start=HookScript(inf))], "b": [Script(unhealthy_after=15), Script()]},
        {60.0: delete()},
    )

    assert done.times("start", "a") == [10.0]
    assert done.times("start", "b") == [0.0, 17.0]


def test_MAIN_1_order_and_post_start_count_again_after_an_in_place_restart():
    again = ContainerRestartRule("RestartAllContainers", ContainerRestartRuleOnExitCodes("In", (42,)))
    done = run(
        pod(
            main=[
                container("a", post_start=True),
                container("b", restart_policy="Never", restart_policy_rules=(again,)),
            ],
            restart_policy="Never",
        ),
        {"a": Script(lasts=9, post_start=HookScript(2)), "b": [Script(lasts=1, exit_code=42), ONCE]},
    )

    assert done.times("start", "a") == [0.0, 3.0]
    assert done.times("start", "b") == [2.0, 5.0]


def test_MAIN_1_a_failed_post_start_holds_up_nobody():
    done = run(
        pod(main=[container("a", post_start=True), container("b")]),
        {"a": Script(post_start=HookScript(3, "boom"), term_lasts=5), "b": Script()},
        {6.0: delete()},
    )

    assert done.times("start", "b") == [3.0]


def test_PHASE_10_a_main_that_never_started_keeps_the_pod_pending():
    missing = Script(start_error=StartError("CreateContainerConfigError", "no"))
    done = run(pod(main=[container("a"), container("b")]), {"a": missing, "b": Script()}, {50.0: delete()})

    assert done.phases() == ["Pending", "Failed"]


def test_PHASE_4_PHASE_5_pending_until_every_main_has_run_then_running():
    done = run(
        pod(
            init=[sidecar("s"), container("i")],
            main=[container("a", post_start=True), container("b")],
        ),
        {"i": Script(lasts=2), "a": Script(post_start=HookScript(3))},
        {9.0: delete()},
    )

    assert [done.at(t).status.phase for t in (1.0, 4.0, 6.0)] == ["Pending", "Pending", "Running"]


def test_PHASE_12_a_restarting_sidecar_beside_a_crash_looping_main_leaves_the_pod_running():
    done = run(
        pod(init=[sidecar("s", startup_probe=PROBE)]),
        {"s": [Script(lasts=2), Script(starts_up_after=inf)], "main": Script(lasts=1, exit_code=1)},
        {40.0: delete()},
    )

    assert done.phases() == ["Pending", "Running", "Failed"]


def test_settings_scale_the_back_off():
    """BACKOFF-8: a cap below the base wins."""
    settings = LifecycleSettings(backoff_base=5, backoff_max=2)
    done = run(pod(), {"main": FAILS}, {12.0: delete()}, settings=settings)

    assert done.times("start", "main") == [0.0, 1.0, 4.0, 7.0, 10.0]
