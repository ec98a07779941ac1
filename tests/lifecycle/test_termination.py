"""The way down: order, grace, hooks and deletion at any moment, in virtual time."""

from math import inf

import pytest

from minikubelet.api.pod import Lifecycle, Probe
from minikubelet.kubelet.kubelet import Kubelet
from minikubelet.lifecycle.actions import EndPod
from minikubelet.lifecycle.facts import DeletionRequested
from minikubelet.lifecycle.record import new_record, observe
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.lifecycle.termination import stop_signal
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script
from simulation import PROBE, container, delete, pod, run, sidecar

TERM, KILL = 15, 9
IGNORES_TERM = Script(term_lasts=inf)


@pytest.mark.parametrize("at", [0.0, 2.5, 4.0, 6.0, 8.5, 11.0, 20.0])
def test_CORE_1_I9_a_deletion_at_any_moment_starts_nothing_and_ends_everything(at):
    """Before the start, in postStart, between restarts, in back-off, in a probe kill's preStop."""
    probe = Probe(period_seconds=1, failure_threshold=1)
    hooked = sidecar("s", post_start=True, pre_stop=True, liveness_probe=probe)
    done = run(
        pod(init=[hooked, container("i")]),
        {
            "s": Script(post_start=HookScript(3), unhealthy_after=5, pre_stop=HookScript(2)),
            "i": Script(lasts=1, exit_code=1),
        },
        {at: delete(4)},
    )

    assert all(t.at <= at for t in done.trace if t.what == "start")
    assert done.times("removed")[0] <= at + 4 + 2
    assert done.phase == "Failed"


def test_TERM_9_deletion_while_preparing_is_retried_ends_at_once():
    done = run(pod(), {}, {3.0: delete()}, prepare_failures=9)

    assert done.times("removed") == [3.0]
    assert done.order("start") == []


def test_TERM_8_deletion_during_a_config_error_ends_at_once():
    missing = Script(start_error=StartError("CreateContainerConfigError", "no"))
    done = run(pod(), {"main": missing}, {3.0: delete()})

    assert done.times("removed") == [3.0]
    assert done.status("main").state.waiting.reason == "CreateContainerConfigError"


def test_SIDE_38_worked_example():
    """G=30: preStops at once, the sidecars' signals in reverse order, one shared countdown."""
    done = run(
        pod(init=[sidecar("a"), sidecar("b", pre_stop=True)], main=[container("m", pre_stop=True)], grace=30),
        {
            "m": Script(pre_stop=HookScript(5), term_lasts=12, term_exit_code=0),
            "b": Script(pre_stop=HookScript(3), term_lasts=4),
            "a": Script(),
        },
        {10.0: delete()},
    )

    assert done.times("preStop", "m") == done.times("preStop", "b") == [10.0]
    assert done.signals("m") == [(15.0, TERM)]
    assert done.signals("b") == [(27.0, TERM)]
    assert done.signals("a") == [(31.0, TERM)]
    assert done.phase == "Succeeded"


def test_SIDE_31_when_the_grace_is_over_all_sidecars_get_two_seconds_together():
    done = run(
        pod(init=[sidecar("a"), sidecar("b")], grace=30),
        {"main": IGNORES_TERM, "a": IGNORES_TERM, "b": IGNORES_TERM},
        {10.0: delete()},
    )

    assert done.signals("main") == [(10.0, TERM), (40.0, KILL)]
    assert done.signals("a") == done.signals("b") == [(40.0, TERM), (42.0, KILL)]


def test_SIDE_30_a_sidecar_alone_on_its_turn_has_the_rest_of_the_grace():
    done = run(
        pod(init=[sidecar("a"), sidecar("b")], grace=10, restart_policy="Never"),
        {"main": Script(lasts=5), "a": IGNORES_TERM, "b": IGNORES_TERM},
    )

    assert done.signals("b") == [(5.0, TERM), (15.0, KILL)]
    assert done.signals("a") == [(15.0, TERM), (17.0, KILL)]
    assert done.phase == "Succeeded"  # SIDE-17


@pytest.mark.parametrize(("lasts", "left"), [(1.0, 4.0), (1.25, 4.0), (1.75, 4.0), (2.0, 3.0), (3.5, 2.0)])
def test_SIDE_30_a_second_of_the_grace_is_used_up_when_it_is_over(lasts, left):
    """What waiting took is rounded down, and what is left of 5 s is for the sidecar."""
    done = run(
        pod(init=[sidecar("s")], grace=5),
        {"main": Script(term_lasts=lasts), "s": IGNORES_TERM},
        {10.0: delete()},
    )

    assert done.signals("s") == [(10.0 + lasts, TERM), (10.0 + lasts + left, KILL)]


def test_SIDE_30_what_a_prestop_took_is_rounded_down_too():
    done = run(
        pod(main=[container("main", pre_stop=True)], grace=5),
        {"main": Script(pre_stop=HookScript(0.5), term_lasts=60)},
        {10.0: delete()},
    )

    assert done.signals("main") == [(10.5, TERM), (15.5, KILL)]


def test_SIDE_21_SIDE_22_completion_stops_the_sidecars_with_the_full_grace():
    """Not a deletion; Succeeded is published only when they are gone (TERM-12)."""
    done = run(
        pod(init=[sidecar("s")], grace=20, restart_policy="Never"),
        {"main": Script(lasts=100), "s": Script(term_lasts=7, term_exit_code=9)},
    )

    assert done.signals("s") == [(100.0, TERM)]
    assert done.at(106.0).status.phase == "Running"
    assert done.phase == "Succeeded"
    assert done.pod.metadata.deletion_timestamp is None
    assert done.condition("Ready", 101.0).reason == "PodCompleted"  # COND-6


def test_SIDE_20_an_init_failure_stops_started_sidecars_first():
    done = run(
        pod(init=[sidecar("s"), container("i")], restart_policy="Never"),
        {"i": Script(lasts=2, exit_code=1), "s": Script(term_lasts=3)},
    )

    assert done.signals("s") == [(2.0, TERM)]
    assert done.phases() == ["Pending", "Failed"]


def test_SIDE_25_SIDE_33_a_sidecar_in_back_off_is_simply_dropped():
    done = run(
        pod(init=[sidecar("s")], restart_policy="Never"),
        {"main": Script(lasts=5), "s": Script(lasts=1, exit_code=1)},
    )

    assert done.times("start", "s") == [0.0, 1.0]
    assert done.times("removed") == [5.0]
    assert done.phase == "Succeeded"


def test_SIDE_26_SIDE_27_pre_stops_run_at_once_and_only_the_signal_waits():
    done = run(
        pod(init=[sidecar("a", pre_stop=True), sidecar("b")], main=[container("m", pre_stop=True)]),
        {"a": Script(pre_stop=HookScript(9)), "b": Script(term_lasts=1), "m": Script(term_lasts=2)},
        {10.0: delete()},
    )

    assert done.times("preStop", "a") == done.times("preStop", "m") == [10.0]
    assert (done.signals("m"), done.signals("b")) == ([(10.0, TERM)], [(12.0, TERM)])
    assert done.signals("a") == [(19.0, TERM)]


def test_SIDE_28_containers_that_do_not_run_count_as_stopped():
    """A main and a later sidecar in back-off hold up no earlier sidecar."""
    done = run(
        pod(init=[sidecar("a"), sidecar("b")]),
        {"b": Script(lasts=1), "main": Script(lasts=1)},
        {5.0: delete()},
    )

    assert done.signals("a") == [(5.0, TERM)]


def test_SIDE_32_an_earlier_sidecar_still_waits_for_the_mains_when_a_later_one_died():
    done = run(
        pod(init=[sidecar("a"), sidecar("b")]),
        {"b": Script(lasts=6, exit_code=1), "main": Script(term_lasts=5)},
        {4.0: delete()},
    )

    assert done.signals("a") == [(9.0, TERM)]


def test_SIDE_36_the_deadline_stops_everything_in_order():
    done = run(
        pod(init=[sidecar("a"), sidecar("b")], active_deadline_seconds=6),
        {"main": Script(term_lasts=3), "b": Script(term_lasts=2)},
    )

    assert [done.signals(n)[0][0] for n in ("main", "b", "a")] == [6.0, 9.0, 11.0]


def test_SIDE_29_deletion_during_init_signals_the_init_and_the_last_sidecar_together():
    done = run(
        pod(init=[sidecar("a"), sidecar("b"), container("i")]),
        {"i": Script(term_lasts=5), "a": Script(term_lasts=1), "b": Script(term_lasts=1)},
        {3.0: delete()},
    )

    assert done.signals("i") == done.signals("b") == [(3.0, TERM)]
    assert done.signals("a") == [(4.0, TERM)]
    assert done.phase == "Failed"
    assert done.status("main").state.waiting.reason == "PodInitializing"  # TERM-7


def test_SIDE_32_a_sidecar_that_dies_while_it_waits_for_its_turn_stays_down():
    done = run(
        pod(init=[sidecar("s")], grace=20),
        {"s": Script(lasts=6, exit_code=1), "main": Script(term_lasts=4)},
        {4.0: delete()},
    )

    assert done.times("start", "s") == [0.0]
    assert done.signals("s") == []


def test_SIDE_34_deletion_before_anything_started():
    done = run(pod(init=[sidecar("s")]), {}, {0.0: delete()}, prepare_failures=1)

    assert done.order("start") == []
    assert done.phase == "Failed"


def test_I3_containers_that_never_started_never_occupy_a_turn():
    done = run(
        pod(init=[sidecar("a", startup_probe=Probe(period_seconds=1, failure_threshold=600)), sidecar("b")]),
        {"a": Script(starts_up_after=inf, term_lasts=1)},
        {5.0: delete(60)},
    )

    assert done.signals("a") == [(5.0, TERM)]
    assert done.times("removed") == [6.0]


@pytest.mark.parametrize("grace", [0, 1, -5])
def test_TERM_2_TERM_5_even_grace_0_sends_sigterm_first(grace):
    """Zero and negative become one second; SIGKILL never comes within two seconds of the signal."""
    done = run(pod(), {"main": IGNORES_TERM}, {5.0: delete(grace)})

    assert done.signals("main") == [(5.0, TERM), (7.0, KILL)]
    assert done.status("main").state.terminated.exit_code == 137


def test_TERM_5_forced_deletion_gives_pre_stop_one_second():
    done = run(
        pod(main=[container("main", pre_stop=True)]),
        {"main": Script(pre_stop=HookScript(60), term_lasts=inf)},
        {5.0: delete(0)},
    )

    assert done.times("preStop", "main") == [5.0]
    assert done.signals("main") == [(6.0, TERM), (8.0, KILL)]
    assert "FailedPreStopHook" in done.reasons("main")


def test_TERM_4_a_second_deletion_shortens_the_grace():
    done = run(
        pod(main=[container("main", pre_stop=True)], grace=60),
        {"main": Script(pre_stop=HookScript(50), term_lasts=inf)},
        {5.0: delete(), 8.0: delete(3)},
    )

    assert done.signals("main") == [(11.0, TERM), (13.0, KILL)]


def test_TERM_4_a_second_deletion_never_lengthens_the_grace():
    done = run(pod(), {"main": IGNORES_TERM}, {5.0: delete(4), 6.0: delete(60)})

    assert done.signals("main") == [(5.0, TERM), (9.0, KILL)]
    assert done.pod.metadata.deletion_grace_period_seconds == 4
    assert done.pod.metadata.deletion_timestamp == "2023-11-14T22:13:29Z"


@pytest.mark.parametrize("graces", [(4, 60), (60, 4), (None, 4)])
def test_TERM_4_of_two_deletions_at_one_instant_the_shorter_counts(graces):
    def both(kubelet: Kubelet) -> None:
        for grace in graces:
            kubelet.delete_pod("default/p", grace)

    done = run(pod(), {"main": IGNORES_TERM}, {5.0: both})

    assert done.signals("main") == [(5.0, TERM), (9.0, KILL)]


def test_TERM_4_the_end_of_the_grace_only_comes_closer():
    record = new_record(pod(), LifecycleSettings(), 0.0)
    record = observe(record, EndPod("completed", 30.0), 10.0)

    deadlines = []
    for at, grace in [(12.0, 60), (13.0, 5), (14.0, 5)]:
        record = observe(record, DeletionRequested(grace), at)
        assert record.ending is not None
        deadlines.append(record.ending.deadline)
    assert deadlines == [40.0, 18.0, 18.0]


@pytest.mark.parametrize(
    ("grace", "gone_at"), [(2**31, "2091-12-03T01:27:33Z"), (2**63 - 1, "9999-12-31T23:59:59Z")]
)
def test_TERM_4_a_huge_grace_is_only_a_long_one(grace, gone_at):
    """And can be shortened like any other; RFC 3339 ends with the year 9999."""
    done = run(pod(), {"main": IGNORES_TERM}, {5.0: delete(grace), 6.0: delete(4)})

    assert done.at(5.5).metadata.deletion_timestamp == gone_at
    assert done.signals("main") == [(5.0, TERM), (10.0, KILL)]


def test_TERM_4_a_deletion_shortens_a_completion_under_way():
    done = run(
        pod(init=[sidecar("s")], grace=60, restart_policy="Never"),
        {"main": Script(lasts=5), "s": IGNORES_TERM},
        {10.0: delete(5)},
    )

    assert done.signals("s") == [(5.0, TERM), (15.0, KILL)]
    assert done.phase == "Succeeded"


def test_TERM_4_a_shorter_grace_frees_the_sidecars_that_wait():
    """SIDE-31 with the new deadline: order is given up when it comes."""
    done = run(
        pod(init=[sidecar("a"), sidecar("b")], grace=60),
        {"main": IGNORES_TERM, "a": IGNORES_TERM, "b": IGNORES_TERM},
        {5.0: delete(), 10.0: delete(1)},
    )

    assert done.signals("main") == [(5.0, TERM), (11.0, KILL)]
    assert done.signals("a") == done.signals("b") == [(11.0, TERM), (13.0, KILL)]


def test_TERM_3_completion_takes_the_specs_grace_and_deletion_its_own():
    done = run(
        pod(init=[sidecar("s")], grace=7, restart_policy="Never"),
        {"main": Script(lasts=1), "s": IGNORES_TERM},
    )
    deleted = run(pod(grace=7), {"main": IGNORES_TERM}, {1.0: delete(20)})

    assert done.signals("s") == [(1.0, TERM), (8.0, KILL)]
    assert deleted.signals("main") == [(1.0, TERM), (21.0, KILL)]


@pytest.mark.parametrize(
    ("script", "code"),
    [(Script(), 143), (IGNORES_TERM, 137), (Script(term_exit_code=3), 3), (Script(term_exit_code=0), 0)],
)
def test_TERM_15_exit_codes_are_reported_as_they_are(script, code):
    done = run(pod(grace=3), {"main": script}, {1.0: delete()})

    assert done.status("main").state.terminated.exit_code == code
    assert done.phase == ("Succeeded" if code == 0 else "Failed")


def test_TERM_14_everything_is_released_once_when_the_last_process_is_gone():
    done = run(
        pod(init=[sidecar("s")], restart_policy="Never"),
        {"main": Script(lasts=2), "s": Script(term_lasts=3)},
    )

    assert done.times("removed") == [5.0]
    assert done.condition("PodReadyToStartContainers").status == "False"  # COND-9


def test_a_deletion_of_a_finished_pod_changes_nothing():
    done = run(
        pod(restart_policy="Never"), {"main": Script(lasts=1)}, {1.0: delete(), 2.0: delete(0), 3.0: delete()}
    )

    assert done.phase == "Succeeded"
    assert done.times("removed") == [1.0]


def test_TERM_6_mains_stop_in_parallel():
    done = run(
        pod(main=[container("a"), container("b")]),
        {"a": Script(term_lasts=9), "b": Script(term_lasts=2)},
        {1.0: delete()},
    )

    assert done.signals("a") == done.signals("b") == [(1.0, TERM)]


def test_TERM_10_TERM_11_active_deadline_counts_from_acceptance_and_stops_in_order():
    done = run(
        pod(init=[container("i"), sidecar("s")], active_deadline_seconds=7, grace=5),
        {"i": Script(lasts=4), "main": Script(term_lasts=2, term_exit_code=0)},
    )

    assert done.signals("main") == [(7.0, TERM)]
    assert done.signals("s") == [(9.0, TERM)]
    assert (done.phase, done.pod.status.reason) == ("Failed", "DeadlineExceeded")
    assert done.at(8.0).status.reason is None  # TERM-12
    assert done.messages("DeadlineExceeded") == [done.pod.status.message]


def test_TERM_10_the_deadline_ends_back_off_and_init_alike():
    done = run(pod(init=[container("i")], active_deadline_seconds=15), {"i": Script(lasts=1, exit_code=1)})

    assert done.times("removed") == [15.0]
    assert done.pod.status.reason == "DeadlineExceeded"


def test_CORE_2_the_first_cause_wins():
    """A deletion during the deadline's shutdown leaves the verdict; a deadline after deletion too."""
    late_delete = run(
        pod(active_deadline_seconds=5), {"main": Script(term_lasts=4, term_exit_code=0)}, {6.0: delete()}
    )
    late_deadline = run(
        pod(active_deadline_seconds=5), {"main": Script(term_lasts=4, term_exit_code=0)}, {4.0: delete()}
    )

    assert (late_delete.phase, late_delete.pod.status.reason) == ("Failed", "DeadlineExceeded")
    assert (late_deadline.phase, late_deadline.pod.status.reason) == ("Succeeded", None)


def test_PHASE_6_a_deleted_always_pod_can_succeed():
    done = run(pod(), {"main": Script(term_exit_code=0)}, {3.0: delete()})

    assert done.phase == "Succeeded"
    assert done.pod.metadata.deletion_grace_period_seconds == 30


def test_RESTART_1_nothing_starts_after_deletion():
    done = run(
        pod(main=[container("quick"), container("slow")]),
        {"quick": Script(term_exit_code=1), "slow": Script(term_lasts=20)},
        {3.0: delete()},
    )

    assert done.order("start") == ["quick", "slow"]


# ------------------------------------------------------------------ hooks


def test_HOOK_3_a_failed_post_start_kills_the_container():
    """preStop runs, the start shows PostStartHookError, the exit follows policy and back-off."""
    done = run(
        pod(main=[container("main", post_start=True, pre_stop=True)]),
        {
            "main": [
                Script(post_start=HookScript(1, "boom"), pre_stop=HookScript(2), term_lasts=3),
                Script(),
            ]
        },
        {30.0: delete()},
    )

    assert done.times("preStop", "main")[0] == 1.0
    assert done.signals("main")[0] == (3.0, TERM)
    assert done.status("main", 4.0).state.waiting.reason == "PostStartHookError"
    assert done.times("start", "main") == [0.0, 6.0]
    assert done.messages("FailedPostStartHook") == ["boom"]


def test_HOOK_3_exit_0_on_that_kill_completes_a_main_under_on_failure():
    """The exit follows the policy like any other: only a failed probe condemns (RESTART-10)."""
    done = run(
        pod(main=[container("main", post_start=True)], restart_policy="OnFailure"),
        {"main": Script(post_start=HookScript(1, "boom"), term_exit_code=0)},
    )

    assert done.times("start", "main") == [0.0]
    assert done.phase == "Succeeded"


def test_HOOK_4_a_hanging_post_start_is_cancelled_by_deletion():
    done = run(
        pod(main=[container("main", post_start=True)]),
        {"main": Script(post_start=HookScript(inf))},
        {3.0: delete()},
    )

    assert done.times("removed") == [3.0]


def test_HOOK_4_a_cancelled_post_start_has_not_failed():
    """It was given up by us, so neither the status nor an event calls it an error."""
    done = run(
        pod(main=[container("main", post_start=True)]),
        {"main": Script(post_start=HookScript(inf), term_lasts=5)},
        {3.0: delete()},
    )

    assert done.status("main", 4.0).state.waiting.reason == "ContainerCreating"


def test_HOOK_4_a_post_start_that_would_have_failed_is_not_heard_of_any_more():
    done = run(
        pod(main=[container("main", post_start=True)]),
        {"main": Script(post_start=HookScript(4, "boom"), term_lasts=5)},
        {3.0: delete()},
    )

    assert done.messages("FailedPostStartHook") == []


def test_HOOK_5_pre_stop_does_not_run_after_a_self_exit():
    done = run(
        pod(main=[container("main", pre_stop=True)], restart_policy="Never"), {"main": Script(lasts=2)}
    )

    assert done.times("preStop", "main") == []


def test_HOOK_5_pre_stop_does_not_run_at_grace_0():
    done = run(
        pod(init=[sidecar("s", pre_stop=True)], grace=0, restart_policy="Never"),
        {"main": Script(lasts=2), "s": IGNORES_TERM},
    )

    assert done.times("preStop", "s") == []
    assert done.signals("s") == [(2.0, TERM), (4.0, KILL)]


def test_HOOK_7_the_signal_waits_for_pre_stop():
    done = run(
        pod(main=[container("main", pre_stop=True)]),
        {"main": Script(pre_stop=HookScript(6))},
        {10.0: delete()},
    )

    assert (done.times("preStop", "main"), done.signals("main")) == ([10.0], [(16.0, TERM)])


def test_HOOK_6_pre_stop_consumes_the_grace():
    done = run(
        pod(main=[container("main", pre_stop=True)], grace=10),
        {"main": Script(pre_stop=HookScript(6), term_lasts=inf)},
        {10.0: delete()},
    )

    assert done.signals("main") == [(16.0, TERM), (20.0, KILL)]


def test_HOOK_5_pre_stop_runs_once_when_a_deletion_comes_during_it():
    """A probe kill's preStop goes on; the deletion's grace only limits it (PROBE-31)."""
    probe = Probe(period_seconds=1, failure_threshold=1)
    done = run(
        pod(main=[container("main", liveness_probe=probe, pre_stop=True)]),
        {"main": Script(unhealthy_after=2, pre_stop=HookScript(20), term_lasts=inf)},
        {4.0: delete(5)},
    )

    assert done.times("preStop", "main") == [2.0]
    assert done.signals("main") == [(9.0, TERM), (11.0, KILL)]


def test_HOOK_6_pre_stop_is_given_up_at_the_end_of_the_grace():
    done = run(
        pod(main=[container("main", pre_stop=True)], grace=5),
        {"main": Script(pre_stop=HookScript(inf), term_lasts=1)},
        {10.0: delete()},
    )

    assert done.signals("main") == [(15.0, TERM)]


def test_HOOK_6_of_a_pre_stop_that_was_given_up_only_that_is_told():
    """It would have failed between SIGTERM and SIGKILL."""
    done = run(
        pod(main=[container("main", pre_stop=True)]),
        {"main": Script(pre_stop=HookScript(6, error="exit code 9"), term_lasts=inf)},
        {10.0: delete(5)},
    )

    assert done.signals("main") == [(15.0, TERM), (17.0, KILL)]
    assert done.messages("FailedPreStopHook") == ["the grace period ran out before the hook returned"]


def test_HOOK_6_a_failed_pre_stop_does_not_keep_the_signal_away():
    done = run(
        pod(main=[container("main", pre_stop=True)]),
        {"main": Script(pre_stop=HookScript(2, "exit code 9"))},
        {10.0: delete()},
    )

    assert done.signals("main") == [(12.0, TERM)]
    assert done.messages("FailedPreStopHook") == ["exit code 9"]


@pytest.mark.parametrize(
    ("name", "number"),
    [(None, 15), ("SIGUSR1", 10), ("SIGINT", 2), ("SIGRTMIN", 34), ("SIGRTMIN+1", 35), ("SIGRTMAX-2", 62)],
)
def test_HOOK_11_the_stop_signal(name, number):
    lifecycle = Lifecycle(stop_signal=name) if name else None

    assert number == stop_signal(container("main", lifecycle=lifecycle))


# ------------------------------------------------------------------ probe kills


@pytest.mark.parametrize("kind", ["liveness", "startup"])
def test_PROBE_31_the_probes_own_grace_may_exceed_the_pods(kind):
    probe = Probe(period_seconds=2, failure_threshold=2, termination_grace_period_seconds=50)
    done = run(
        pod(main=[container("main", **{f"{kind}_probe": probe})], grace=3, restart_policy="Never"),
        {"main": Script(unhealthy_after=0, starts_up_after=inf, term_lasts=inf)},
    )

    assert done.signals("main") == [(2.0, TERM), (52.0, KILL)]


def test_PROBE_31_HOOK_5_a_probe_kill_without_any_grace_runs_no_pre_stop():
    done = run(
        pod(main=[container("main", liveness_probe=Probe(failure_threshold=1), pre_stop=True)], grace=0),
        {"main": [Script(unhealthy_after=0, pre_stop=HookScript(1)), Script()]},
        {15.0: delete()},
    )

    assert [at for at in done.times("preStop", "main") if at < 15] == []
    assert done.signals("main")[0] == (0.0, TERM)


def test_PROBE_31_a_deletion_grace_wins_over_the_probes():
    probe = Probe(period_seconds=1, failure_threshold=1, termination_grace_period_seconds=50)
    done = run(
        pod(main=[container("main", liveness_probe=probe)]),
        {"main": Script(unhealthy_after=2, term_lasts=inf)},
        {10.0: delete(3)},
    )

    assert done.signals("main") == [(2.0, TERM), (13.0, KILL)]


def test_PROBE_32_pre_stop_runs_on_a_probe_kill():
    probe = Probe(period_seconds=1, failure_threshold=1)
    done = run(
        pod(main=[container("main", liveness_probe=probe, pre_stop=True)], restart_policy="Never"),
        {"main": Script(unhealthy_after=2, pre_stop=HookScript(4))},
    )

    assert done.times("preStop", "main") == [2.0]
    assert done.signals("main") == [(6.0, TERM)]


def test_PROBE_30_SIDE_35_liveness_stops_and_readiness_goes_on_during_deletion():
    both = {"liveness_probe": PROBE, "readiness_probe": PROBE}
    done = run(
        pod(init=[sidecar("s", **both)], main=[container("main", **both)], grace=20),
        {name: Script(term_lasts=5, unhealthy_after=3) for name in ("s", "main")},
        {3.0: delete()},
    )

    for name in ("s", "main"):
        asked_late = [
            t.detail[0] for t in done.trace if t.container == name and t.what == "probe" and t.at > 3.5
        ]
        assert set(asked_late) == {"readiness"}


def test_a_start_that_fails_while_the_pod_ends_leaves_nothing_behind():
    missing = Script(start_error=StartError("CreateContainerConfigError", "no"))
    done = run(pod(), {"main": missing}, {15.0: delete()})

    assert done.times("startError", "main") == [0.0, 10.0]
    assert done.phase == "Failed"


def test_SIDE_33_a_sidecar_that_was_not_started_yet_never_is():
    done = run(pod(init=[container("i"), sidecar("s")]), {"i": Script(term_lasts=2)}, {1.0: delete()})

    assert done.order("start") == ["i"]
    assert done.status("s").state.waiting.reason == "PodInitializing"
