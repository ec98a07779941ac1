"""Restart policies, exit-code rules and crash-loop back-off, in virtual time."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.pod import ContainerRestartRule, ContainerRestartRuleOnExitCodes, Probe
from minikubelet.lifecycle.backoff import BackoffEntry, current_delay, go_duration, next_entry
from minikubelet.lifecycle.record import ContainerRun
from minikubelet.lifecycle.restarts import matching_rule, wants_restart
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.simulated import Script
from simulation import container, delete, pod, run, sidecar

SETTINGS = LifecycleSettings()


def rule(action: str, operator: str, *values: int) -> ContainerRestartRule:
    return ContainerRestartRule(action, ContainerRestartRuleOnExitCodes(operator, values))


@pytest.mark.parametrize(
    ("pod_policy", "own_policy", "code", "restarts"),
    [
        ("Always", None, 0, True),
        ("Always", None, 1, True),
        ("OnFailure", None, 0, False),
        ("OnFailure", None, 1, True),
        ("Never", None, 1, False),
        ("Always", "Never", 1, False),
        ("Always", "OnFailure", 0, False),
        ("Never", "Always", 0, True),
        ("Never", "OnFailure", 7, True),
    ],
)
def test_RESTART_4_RESTART_5_policies(pod_policy, own_policy, code, restarts):
    """The container's own policy replaces the pod's."""
    main = container("main", restart_policy=own_policy)
    spec = pod(main=[main], restart_policy=pod_policy).spec

    assert restarts is wants_restart(spec, main, ContainerRun(0, 0.0, exit_code=code))


@pytest.mark.parametrize(
    ("rules", "code", "action"),
    [
        ([rule("Restart", "In", 42)], 42, "Restart"),
        ([rule("Restart", "In", 42)], 1, None),
        ([rule("Restart", "NotIn", 0, 42)], 1, "Restart"),
        ([rule("Restart", "NotIn", 0, 42)], 42, None),
        ([rule("Restart", "In", 0)], 0, "Restart"),
        ([rule("Restart", "In")], 0, None),
        ([rule("Restart", "NotIn")], 5, "Restart"),
        ([ContainerRestartRule("Restart")], 5, None),
        ([rule("Restart", "In", 5), rule("RestartAllContainers", "In", 5)], 5, "Restart"),
    ],
)
def test_RESTART_6_RESTART_7_first_matching_rule(rules, code, action):
    main = container("main", restart_policy="Never", restart_policy_rules=tuple(rules))
    matched = matching_rule(pod(main=[main]).spec, main, code)

    assert action == (matched.action if matched else None)


def test_RESTART_6_rules_need_a_policy_of_the_containers_own():
    main = container("main", restart_policy_rules=(rule("Restart", "In", 1),))

    assert matching_rule(pod(main=[main]).spec, main, 1) is None


@pytest.mark.parametrize(("code", "restarts"), [(0, False), (1, True), (42, False)])
def test_INIT_1_INIT_4_no_rule_restarts_an_init_container_that_is_done(code, restarts):
    """Restart on any exit code but 42 means: until it succeeds. For a main container it includes 0."""
    init = container("init", restart_policy="Never", restart_policy_rules=(rule("Restart", "NotIn", 42),))
    spec = pod(init=[init], main=[container("main")]).spec

    assert restarts is wants_restart(spec, init, ContainerRun(0, 0.0, exit_code=code))


def test_RESTART_13_an_init_container_that_is_done_may_restart_everything():
    init = container(
        "init", restart_policy="Never", restart_policy_rules=(rule("RestartAllContainers", "In", 0),)
    )
    spec = pod(init=[init], main=[container("main")]).spec

    assert matching_rule(spec, init, 0) is init.restart_policy_rules[0]


def test_RESTART_8_a_rule_restarts_despite_never():
    done = run(
        pod(
            main=[
                container("main", restart_policy="Never", restart_policy_rules=(rule("Restart", "In", 42),))
            ],
            restart_policy="Never",
        ),
        {
            "main": [
                Script(lasts=1, exit_code=42),
                Script(lasts=1, exit_code=42),
                Script(lasts=1, exit_code=3),
            ]
        },
    )

    assert done.times("start", "main") == [0.0, 1.0, 12.0]
    assert done.phase == "Failed"
    assert done.status("main").restart_count == 2


@pytest.mark.parametrize("kind", ["liveness", "startup"])
def test_RESTART_10_a_probe_kill_under_on_failure_restarts_even_after_exit_0(kind):
    probe = Probe(period_seconds=1, failure_threshold=1)
    done = run(
        pod(main=[container("main", **{f"{kind}_probe": probe})], restart_policy="OnFailure"),
        {
            "main": [
                Script(unhealthy_after=0, starts_up_after=inf, term_exit_code=0),
                Script(lasts=0.5),
            ]
        },
    )

    assert len(done.times("start", "main")) == 2
    assert done.phase == "Succeeded"


def test_RESTART_11_liveness_kill_under_never_is_final():
    done = run(
        pod(
            main=[container("main", liveness_probe=Probe(period_seconds=1, failure_threshold=1))],
            restart_policy="Never",
        ),
        {"main": Script(unhealthy_after=2)},
    )

    assert done.times("start", "main") == [0.0]
    assert done.status("main").state.terminated.exit_code == 143
    assert done.phase == "Failed"
    assert done.messages("Killing") == ["Container main failed liveness probe"]


def test_RESTART_9_a_rule_may_still_restart_what_a_probe_killed():
    own = container(
        "main",
        restart_policy="Never",
        restart_policy_rules=(rule("Restart", "In", 143),),
        liveness_probe=Probe(period_seconds=1, failure_threshold=1),
    )
    done = run(pod(main=[own]), {"main": [Script(unhealthy_after=2), Script(lasts=1)]})

    assert len(done.times("start", "main")) == 2


def test_RESTART_11_a_main_killed_under_never_contributes_its_own_exit_code():
    done = run(
        pod(
            main=[container("main", liveness_probe=Probe(period_seconds=1, failure_threshold=1))],
            restart_policy="Never",
        ),
        {"main": Script(unhealthy_after=2, term_exit_code=0)},
    )

    assert done.phase == "Succeeded"


def test_RESTART_10_the_exit_0_of_a_kill_is_not_forgotten_in_back_off():
    main = container("main", liveness_probe=Probe(period_seconds=1, failure_threshold=1))
    done = run(
        pod(main=[main], restart_policy="OnFailure"),
        {"main": [Script(unhealthy_after=2, term_exit_code=0)] * 2 + [Script(lasts=1)]},
    )

    assert done.times("start", "main") == [0.0, 2.0, 14.0]
    assert done.status("main", 8.0).state.waiting.reason == "CrashLoopBackOff"


def test_MAIN_2_SIDE_18_the_pod_goes_on_while_any_main_is_to_be_restarted():
    """A main in back-off counts: the sidecar stays, the phase stays Running."""
    done = run(
        pod(init=[sidecar("s")], main=[container("a"), container("b")], restart_policy="OnFailure"),
        {"a": Script(lasts=1), "b": [Script(lasts=1, exit_code=1)] * 2 + [Script(lasts=1)]},
    )

    assert done.signals("s") == [(13.0, 15)]
    assert done.at(8.0).status.phase == "Running"


def test_MAIN_5_a_crash_looping_main_leaves_the_others_alone():
    done = run(
        pod(init=[sidecar("s")], main=[container("bad"), container("good")]),
        {"bad": Script(lasts=1, exit_code=1)},
        {50.0: delete()},
    )

    assert done.times("start", "good") == done.times("start", "s") == [0.0]
    assert done.condition("Ready", 20.0).message == "containers with unready status: [bad]"


def test_MAIN_6_BACKOFF_7_exit_0_under_always_loops_through_back_off_for_ever():
    done = run(pod(init=[sidecar("s")]), {"main": Script(lasts=1)}, {80.0: delete()})

    assert done.times("start", "main") == [0.0, 1.0, 12.0, 33.0, 74.0]
    assert done.status("main", 5.0).state.waiting.reason == "CrashLoopBackOff"
    assert done.at(79.0).status.phase == "Running"
    assert done.signals("s") == [(80.0, 15)]  # SIDE-23


def test_RESTART_5_a_mains_own_policy_shapes_the_pods_end():
    """PHASE-7: restartable or not is asked of each container."""
    done = run(
        pod(
            main=[container("a", restart_policy="OnFailure"), container("b", restart_policy="Never")],
            restart_policy="Always",
        ),
        {"a": [Script(lasts=1, exit_code=1), Script(lasts=1)], "b": Script(lasts=1, exit_code=3)},
    )

    assert done.times("start", "a") == [0.0, 1.0]
    assert done.times("start", "b") == [0.0]
    assert done.phases() == ["Running", "Failed"]


def test_RESTART_12_an_always_pod_with_mains_that_need_no_restart_completes():
    done = run(pod(main=[container("main", restart_policy="Never")]), {"main": Script(lasts=1)})

    assert done.phase == "Succeeded"


def test_MAIN_3_siblings_of_a_failed_main_go_on_under_never():
    done = run(
        pod(main=[container("bad"), container("good")], restart_policy="Never"),
        {"bad": Script(lasts=1, exit_code=4), "good": Script(lasts=5)},
    )

    assert done.signals("good") == []
    assert done.at(4.0).status.phase == "Running"
    assert done.phase == "Failed"


def test_MAIN_4_SIDE_24_a_completed_main_stays_down_while_another_restarts():
    done = run(
        pod(init=[sidecar("s")], main=[container("a"), container("b")], restart_policy="OnFailure"),
        {"a": Script(lasts=1), "b": [Script(lasts=2, exit_code=1), Script(lasts=2)]},
    )

    assert done.times("start", "a") == [0.0]
    assert done.times("start", "b") == [0.0, 2.0]
    assert done.signals("s") == [(4.0, 15)]


# ------------------------------------------------------------------ back-off


def test_BACKOFF_2_waits_before_restarts():
    """0, 10, 20, 40, 80, 160, 300, 300: measured from the end of the run before."""
    done = run(pod(), {"main": Script(lasts=1, exit_code=1)}, {1500.0: delete()})

    starts, ends = done.times("start", "main"), done.times("exit", "main")
    waits = [round(start - end, 3) for end, start in zip(ends, starts[1:], strict=False)]
    assert waits[:8] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_BACKOFF_5_a_run_of_more_than_ten_minutes_resets():
    done = run(
        pod(),
        {"main": [Script(lasts=1)] * 3 + [Script(lasts=601), Script(lasts=1), Script(lasts=1), Script()]},
        {900.0: delete()},
    )

    starts, ends = done.times("start", "main"), done.times("exit", "main")
    waits = [round(start - end, 3) for end, start in zip(ends, starts[1:], strict=False)]
    assert waits == [0, 10, 20, 0, 10, 20]


def test_BACKOFF_5_exactly_ten_minutes_does_not_reset():
    entry = BackoffEntry(40, updated_at=0)

    assert current_delay(entry, 600, SETTINGS) == 40
    assert current_delay(entry, 600.001, SETTINGS) == 0


def test_BACKOFF_6_time_spent_waiting_resets_nothing():
    """The cap of 300 s is waited for again and again although entries get older than 600 s."""
    done = run(pod(), {"main": Script(lasts=1, exit_code=1)}, {3000.0: delete()})

    starts = done.times("start", "main")
    assert [round(b - a) for a, b in zip(starts[-3:], starts[-2:], strict=False)] == [301, 301]


def test_BACKOFF_9_waiting_reason_message_and_last_state():
    done = run(pod(), {"main": Script(lasts=1, exit_code=7)}, {60.0: delete()})

    status = done.status("main", 5.0)
    uid = done.pod.metadata.uid
    assert status.state.waiting.reason == "CrashLoopBackOff"
    assert (
        status.state.waiting.message == f"back-off 10s restarting failed container=main pod=p_default({uid})"
    )
    assert status.last_state.terminated.exit_code == 7
    assert done.at(5.0).status.phase == "Running"  # PHASE-9


def test_BACKOFF_14_deletion_ends_the_wait_at_once():
    """TERM-8, TERM-9."""
    done = run(pod(), {"main": Script(lasts=1, exit_code=1)}, {5.0: delete()})

    assert done.times("removed") == [5.0]
    assert done.phase == "Failed"
    assert done.status("main").state.terminated.exit_code == 1


def test_BACKOFF_3_the_wait_is_measured_from_the_exit_and_ends_exactly_then():
    done = run(
        pod(), {"main": [Script(lasts=1), Script(lasts=2.5), Script(lasts=0.25), Script()]}, {60.0: delete()}
    )

    assert done.times("start", "main") == [0.0, 1.0, 13.5, 33.75]


def test_BACKOFF_10_BACKOFF_11_a_delayed_restart_is_told_once_and_shown_at_once():
    done = run(pod(), {"main": Script(lasts=1, exit_code=1)}, {30.0: delete()})

    told = [(e.type, e.count) for e in done.events if e.reason == "BackOff"]
    uid = done.pod.metadata.uid
    assert told == [("Warning", 1), ("Warning", 2)]
    assert done.messages("BackOff")[0] == f"Back-off restarting failed container main in pod p_default({uid})"
    assert done.status("main", 2.0).state.waiting.reason == "CrashLoopBackOff"


@given(
    st.lists(st.tuples(st.floats(0.01, 590), st.floats(0, 1000)), min_size=1, max_size=12),
    st.floats(0.1, 60),
    st.floats(0.1, 300),
)
def test_BACKOFF_4_never_decreases_without_a_reset(runs, base, cap):
    """Property: short runs only ever make the delay longer, up to the cap."""
    settings = LifecycleSettings(backoff_base=base, backoff_max=cap)
    entry, now, before = None, 0.0, 0.0
    for lasts, waits in runs:
        finished = now + lasts
        delay = current_delay(entry, finished, settings)
        now = finished + delay + waits
        entry = next_entry(entry, finished, now, settings)
        assert before <= delay <= cap
        before = delay


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1s"),
        (10, "10s"),
        (80, "1m20s"),
        (300, "5m0s"),
        (0.3, "300ms"),
        (1.2, "1.2s"),
        (59, "59s"),
        (3600, "1h0m0s"),
    ],
)
def test_BACKOFF_9_durations_are_written_as_go_does(seconds, text):
    assert text == go_duration(seconds)


# ------------------------------------------------------------------ RestartAllContainers


def all_on_42(name: str, **fields: object):
    return container(
        name,
        restart_policy="Never",
        restart_policy_rules=(rule("RestartAllContainers", "In", 42),),
        **fields,
    )


def test_RESTART_13_RESTART_14_everything_runs_again_in_order():
    done = run(
        pod(
            init=[container("i"), sidecar("s")],
            main=[all_on_42("a"), container("b", pre_stop=True)],
            restart_policy="Never",
        ),
        {"i": Script(lasts=1), "a": [Script(lasts=3, exit_code=42), Script(lasts=3)], "b": Script(lasts=9)},
    )

    assert done.order("start") == ["i", "s", "a", "b", "i", "s", "a", "b"]
    assert done.times("preStop", "b") == []  # RESTART-15
    assert done.phase == "Succeeded"
    assert done.phases() == ["Pending", "Running", "Succeeded"]  # RESTART-18
    assert done.status("b").restart_count == 1
    assert done.pod.metadata.uid == done.at(0.0).metadata.uid


def test_RESTART_15_two_seconds_between_the_signal_and_sigkill():
    done = run(
        pod(main=[all_on_42("a"), container("b")], restart_policy="Never"),
        {
            "a": [Script(lasts=3, exit_code=42), Script(lasts=3)],
            "b": [Script(term_lasts=1000), Script(lasts=1)],
        },
    )

    assert done.signals("b") == [(3.0, 15), (5.0, 9)]
    assert done.times("start", "a") == [0.0, 5.0]


def test_RESTART_16_RESTART_17_condition_and_synthesised_last_state():
    done = run(
        pod(init=[container("i")], main=[all_on_42("a"), container("b")], restart_policy="Never"),
        {
            "i": Script(lasts=5),
            "a": [Script(lasts=3, exit_code=42), Script(lasts=3)],
            "b": [Script(term_lasts=1), Script(lasts=1)],
        },
    )

    under_way = done.condition("AllContainersRestarting", 8.5)
    assert (under_way.status, under_way.reason) == ("True", "RestartAllContainersStarted")
    over = done.condition("AllContainersRestarting", 9.5)
    assert (over.status, over.reason, over.message) == ("False", None, None)
    status = done.status("b", 9.5)
    assert status.state.waiting.reason == "RestartingAllContainers"
    assert status.last_state.terminated.exit_code == 137
    assert status.last_state.terminated.reason == "RestartingAllContainers"
    assert status.last_state.terminated.finished_at is None
    assert status.restart_count == 1
    assert done.condition("Initialized", 9.5).status == "True"
    assert done.condition("Ready", 9.5).status == "False"


def test_RESTART_20_in_place_restarts_back_off():
    done = run(
        pod(main=[all_on_42("a")], restart_policy="Never"),
        {"a": [Script(lasts=1, exit_code=42)] * 3 + [Script(lasts=1)]},
    )

    assert done.times("start", "a") == [0.0, 1.0, 12.0, 33.0]


def test_RESTART_20_the_wait_for_an_in_place_restart_is_explained():
    """As for any other back-off: CrashLoopBackOff and an event, told once."""
    done = run(
        pod(main=[all_on_42("a"), container("b")], restart_policy="Never"),
        {"a": [Script(lasts=1, exit_code=42)] * 2 + [Script(lasts=1)], "b": Script(lasts=100)},
        {30.0: delete()},
    )

    assert done.status("a", 5.0).state.waiting.reason == "CrashLoopBackOff"
    assert done.status("a", 5.0).last_state.terminated.exit_code == 42
    assert done.condition("AllContainersRestarting", 5.0).status == "True"
    assert len(done.messages("BackOff")) == 1


def test_RESTART_19_deletion_overtakes_an_in_place_restart():
    done = run(
        pod(main=[all_on_42("a"), container("b")], restart_policy="Never"),
        {"a": Script(lasts=3, exit_code=42), "b": Script(term_lasts=1000)},
        {4.0: delete()},
    )

    assert done.order("start") == ["a", "b"]
    assert done.phase == "Failed"


@pytest.mark.parametrize("who", ["init", "sidecar", "main"])
def test_RESTART_13_SIDE_14_any_kind_of_container_may_restart_the_pod(who):
    """For a sidecar the rule comes before its Always."""
    rules = (rule("RestartAllContainers", "In", 42),)
    init = container("init", restart_policy="Never", restart_policy_rules=rules)
    side = sidecar("sidecar", restart_policy_rules=rules)
    main = container("main", restart_policy="Never", restart_policy_rules=rules)
    scripts = {"init": [Script(lasts=2)], "sidecar": [Script()], "main": [Script(lasts=4)]}
    scripts[who] = [Script(lasts=3, exit_code=42), *scripts[who]]
    done = run(pod(init=[side, init], main=[main], restart_policy="Never"), scripts)

    assert done.messages("RestartAllContainers") == [
        f"Container {who} exited with a code whose rule restarts all containers of the pod"
    ]
    assert done.order("start")[-3:] == ["sidecar", "init", "main"]
    assert done.phase == "Succeeded"


def test_RESTART_13_from_an_init_the_pod_stays_pending_and_mains_have_no_past():
    """RESTART-17: only what had run is counted and has a lastState."""
    init = container(
        "i", restart_policy="Never", restart_policy_rules=(rule("RestartAllContainers", "In", 42),)
    )
    done = run(
        pod(init=[init], restart_policy="Never"),
        {"i": [Script(lasts=3, exit_code=42), Script(lasts=3)], "main": Script(lasts=9)},
    )

    assert done.phases() == ["Pending", "Running", "Succeeded"]
    assert done.status("main", 5.0).state.waiting.reason == "PodInitializing"
    assert done.status("main").restart_count == 0
    assert (done.status("i").restart_count, done.status("i").last_state.terminated.exit_code) == (1, 137)


def test_RESTART_1_a_matching_exit_while_the_pod_is_terminating_restarts_nothing():
    done = run(
        pod(main=[all_on_42("a"), container("b")], restart_policy="Never"),
        {"a": Script(term_exit_code=42), "b": Script(term_lasts=4)},
        {3.0: delete()},
    )

    assert done.order("start") == ["a", "b"]
    assert "AllContainersRestarting" not in [c.type for c in done.pod.status.conditions]
    assert done.phase == "Failed"


def test_RESTART_13_a_matching_exit_during_completion_restarts_nothing():
    side = sidecar("s", restart_policy_rules=(rule("RestartAllContainers", "In", 42),))
    done = run(
        pod(init=[side], restart_policy="Never"),
        {"main": Script(lasts=3), "s": Script(term_lasts=2, term_exit_code=42)},
    )

    assert done.order("start") == ["s", "main"]
    assert done.phase == "Succeeded"


def test_RESTART_15_no_sidecar_waits_for_its_turn_in_an_in_place_restart():
    done = run(
        pod(
            init=[sidecar("s", pre_stop=True)], main=[all_on_42("a"), container("b")], restart_policy="Never"
        ),
        {
            "a": [Script(lasts=3, exit_code=42), Script(lasts=1)],
            "b": [Script(term_lasts=1.5), Script(lasts=1)],
        },
    )

    assert done.signals("s")[0] == (3.0, 15)
    assert [at for at in done.times("preStop", "s") if at < 5] == []


def test_RESTART_15_an_exit_of_its_own_making_is_no_new_trigger():
    """Both mains have the rule for 143 too; one in-place restart comes of one exit."""
    rules = (rule("RestartAllContainers", "In", 42, 143),)
    mains = [container(n, restart_policy="Never", restart_policy_rules=rules) for n in "ab"]
    done = run(
        pod(main=mains, restart_policy="Never"),
        {"a": [Script(lasts=3, exit_code=42), Script(lasts=1)], "b": [Script(), Script(lasts=1)]},
    )

    assert done.order("start") == ["a", "b", "a", "b"]


def test_RESTART_19_a_later_init_failure_fails_the_pod():
    done = run(
        pod(init=[container("i")], main=[all_on_42("a")], restart_policy="Never"),
        {"i": [Script(lasts=1), Script(lasts=1, exit_code=1)], "a": Script(lasts=1, exit_code=42)},
    )

    assert done.order("start") == ["i", "a", "i"]
    assert done.phase == "Failed"


def test_TERM_10_the_deadline_overtakes_an_in_place_restart_and_its_back_off():
    done = run(
        pod(main=[all_on_42("a")], restart_policy="Never", active_deadline_seconds=8),
        {"a": Script(lasts=1, exit_code=42)},
    )

    assert done.times("start", "a") == [0.0, 1.0]
    assert done.times("removed") == [8.0]
    assert (done.phase, done.pod.status.reason) == ("Failed", "DeadlineExceeded")


def test_CORE_2_a_deletion_gives_an_in_place_restart_under_way_no_more_time():
    done = run(
        pod(main=[all_on_42("a"), container("b")], restart_policy="Never"),
        {"a": Script(lasts=3, exit_code=42), "b": Script(term_lasts=1000)},
        {4.0: delete(60)},
    )

    assert done.signals("b") == [(3.0, 15), (5.0, 9)]


def test_RESTART_17_restart_counts_over_several_in_place_restarts():
    done = run(
        pod(main=[all_on_42("a"), container("b")], restart_policy="Never"),
        {"a": [Script(lasts=1, exit_code=42)] * 3 + [Script(lasts=1)], "b": Script(lasts=100)},
        {60.0: delete()},
    )

    assert (done.status("a").restart_count, done.status("b").restart_count) == (3, 3)
    assert done.status("b").last_state.terminated.reason == "RestartingAllContainers"


def test_RESTART_18_initialized_stays_true_while_the_inits_run_again():
    done = run(
        pod(init=[container("i"), container("j")], main=[all_on_42("a")], restart_policy="Never"),
        {"i": Script(lasts=3), "j": Script(lasts=3), "a": [Script(lasts=1, exit_code=42), Script(lasts=1)]},
    )

    times = [c.last_transition_time for c in (done.condition("Initialized", t) for t in (6.5, 11.0))]
    assert done.condition("Initialized", 11.0).status == "True"
    assert times == ["2023-11-14T22:13:26Z"] * 2


def test_PHASE_6_a_pod_deleted_while_it_starts_over_has_failed():
    """Its main was killed by the in-place restart and never ran again."""
    done = run(
        pod(init=[container("i")], main=[all_on_42("a")], restart_policy="Never"),
        {"i": Script(lasts=3), "a": Script(lasts=1, exit_code=42)},
        {5.0: delete()},
    )

    assert done.phase == "Failed"
    assert done.status("a").state.waiting.reason == "RestartingAllContainers"


def test_RESTART_20_an_in_place_restart_ends_the_wait_of_a_crash_loop_but_does_not_forget_its_delay():
    """`b` has run three times and would wait until 33; the first exit after it started over waits 20 s."""
    done = run(
        pod(main=[all_on_42("a"), container("b")]),
        {"a": [Script(lasts=30, exit_code=42), Script()], "b": Script(lasts=1, exit_code=1)},
        {60.0: delete()},
    )

    assert done.times("start", "b") == [0, 1, 12, 30, 51]
