"""When probes are asked and what their answers do, in virtual time."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.pod import Probe
from minikubelet.lifecycle.actions import AskProbe, PreparePod, StartContainer
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.facts import ContainerStarted, PodPrepared, ProbeAnswered
from minikubelet.lifecycle.plan import plan
from minikubelet.lifecycle.record import new_record, observe
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.simulated import HookScript, Script
from simulation import PROBE, Recording, container, delete, pod, run, sidecar


def asked(done: Recording, kind: str, name: str = "main") -> list[float]:
    return [
        round(t.at, 6)
        for t in done.trace
        if t.what == "probe" and t.container == name and t.detail[0] == kind
    ]


def test_PROBE_3_PROBE_4_first_at_the_initial_delay_then_every_period():
    probe = Probe(initial_delay_seconds=4, period_seconds=3)
    done = run(pod(main=[container("main", liveness_probe=probe)]), {}, {12.0: delete()})

    assert asked(done, "liveness") == [4.0, 7.0, 10.0]


def test_PROBE_3_the_initial_delay_applies_again_after_a_restart():
    probe = Probe(initial_delay_seconds=4, period_seconds=3)
    done = run(
        pod(main=[container("main", liveness_probe=probe)]),
        {"main": [Script(lasts=5), Script()]},
        {10.0: delete()},
    )

    assert asked(done, "liveness") == [4.0, 9.0]


@pytest.mark.parametrize("kind", ["startup", "liveness", "readiness"])
def test_PROBE_5_a_slow_probe_delays_the_next_one(kind):
    probe = Probe(period_seconds=2, timeout_seconds=9, failure_threshold=9)
    done = run(
        pod(main=[container("main", **{f"{kind}_probe": probe})]),
        {"main": Script(probe_lasts=(5,), starts_up_after=inf)},
        {16.0: delete()},
    )

    assert asked(done, kind) == [0.0, 5.0, 10.0, 15.0]


@pytest.mark.parametrize("kind", ["startup", "liveness", "readiness"])
def test_PROBE_6_nothing_is_probed_before_post_start_returned(kind):
    probe = Probe(period_seconds=1, failure_threshold=9)
    done = run(
        pod(main=[container("main", post_start=True, **{f"{kind}_probe": probe})]),
        {"main": Script(post_start=HookScript(3), starts_up_after=inf)},
        {4.5: delete()},
    )

    assert asked(done, kind) == [3.0, 4.0]


def test_PROBE_7_the_others_are_suspended_until_startup_succeeded_and_again_after_a_restart():
    """PROBE-8, I5: nothing survives into the next instance."""
    main = container(
        "main",
        startup_probe=Probe(period_seconds=1, failure_threshold=30),
        liveness_probe=PROBE,
        readiness_probe=PROBE,
    )
    done = run(
        pod(main=[main]),
        {"main": [Script(lasts=5.5, starts_up_after=2.5), Script(starts_up_after=2.5)]},
        {10.0: delete()},
    )

    assert asked(done, "startup") == [0.0, 1.0, 2.0, 3.0, 5.5, 6.5, 7.5, 8.5]
    assert asked(done, "liveness") == asked(done, "readiness") == [3.0, 4.0, 5.0, 8.5, 9.5]
    assert done.status("main", 8.0).started is False
    assert done.status("main", 9.0).started is True


def test_PROBE_9_readiness_is_asked_at_once_when_startup_succeeds():
    main = container("main", startup_probe=PROBE, readiness_probe=Probe(period_seconds=30))
    done = run(pod(main=[main]), {"main": Script(starts_up_after=1.5)}, {10.0: delete()})

    assert asked(done, "readiness") == [2.0]
    assert done.status("main", 2.0).ready is True


def test_PROBE_10_probes_end_with_the_container():
    done = run(
        pod(main=[container("main", liveness_probe=PROBE), container("long")], restart_policy="Never"),
        {"main": Script(lasts=2.5), "long": Script(lasts=9)},
    )

    assert asked(done, "liveness") == [0.0, 1.0, 2.0]


def test_PROBE_11_PROBE_18_before_any_verdict():
    """Not ready, alive, not started; without probes both at once."""
    main = container(
        "main", startup_probe=Probe(failure_threshold=9), readiness_probe=PROBE, liveness_probe=PROBE
    )
    done = run(pod(main=[main, container("plain")]), {"main": Script(starts_up_after=inf)}, {3.0: delete()})

    status = done.status("main", 2.0)
    assert (status.started, status.ready) == (False, False)
    status = done.status("plain", 2.0)
    assert (status.started, status.ready) == (True, True)
    assert done.condition("ContainersReady", 2.0).message == "containers with unready status: [main]"


@pytest.mark.parametrize("kind", ["startup", "liveness"])
def test_PROBE_14_PROBE_15_failure_kills_and_restarts(kind):
    probe = Probe(period_seconds=1, failure_threshold=3)
    main = container("main", **{f"{kind}_probe": probe})
    done = run(
        pod(main=[main]),
        {"main": [Script(starts_up_after=inf, unhealthy_after=0), Script()]},
        {20.0: delete()},
    )

    assert asked(done, kind)[:3] == [0.0, 1.0, 2.0]
    assert done.signals("main")[0] == (2.0, 15)
    assert done.times("start", "main") == [0.0, 2.0]
    assert done.messages("Killing")[0] == f"Container main failed {kind} probe, will be restarted"
    assert len(done.messages("Unhealthy")) == 3  # EVENT-3


def test_SIDE_13_EVENT_2_a_sidecars_probe_kill_has_its_own_wording():
    """Without the suffix: it will always be restarted."""
    done = run(
        pod(init=[sidecar("s", liveness_probe=PROBE)], restart_policy="Never"),
        {"s": [Script(unhealthy_after=0), Script()], "main": Script(lasts=9)},
    )

    assert done.messages("Killing")[0] == "Init container s failed liveness probe"
    assert len(done.times("start", "s")) == 2


def test_BACKOFF_12_probe_kills_back_off_like_exits():
    probe = Probe(period_seconds=1, failure_threshold=1)
    done = run(
        pod(main=[container("main", liveness_probe=probe)]),
        {"main": Script(unhealthy_after=0)},
        {25.0: delete()},
    )

    assert done.times("start", "main") == [0.0, 0.0, 10.0]


@pytest.mark.parametrize("kind", ["startup", "liveness"])
def test_PROBE_14_after_a_failure_verdict_that_probe_is_not_asked_again(kind):
    """Although the container takes its time to stop, and readiness goes on (PROBE-16)."""
    probe = Probe(period_seconds=1, failure_threshold=2)
    main = container("main", readiness_probe=PROBE, **{f"{kind}_probe": probe})
    done = run(
        pod(main=[main], restart_policy="Never"),
        {"main": Script(starts_up_after=inf, unhealthy_after=0, term_lasts=5)},
    )

    assert asked(done, kind) == [0.0, 1.0]
    assert bool(asked(done, "readiness")) is (kind == "liveness")
    assert len(done.messages("Killing")) == 1


def test_PROBE_8_after_success_startup_is_not_asked_again():
    main = container("main", startup_probe=PROBE)
    done = run(pod(main=[main]), {"main": Script(starts_up_after=1.5)}, {9.0: delete()})

    assert asked(done, "startup") == [0.0, 1.0, 2.0]


def test_PROBE_13_a_streak_does_not_leak_into_the_next_instance():
    probe = Probe(period_seconds=1, failure_threshold=3)
    done = run(
        pod(main=[container("main", liveness_probe=probe)]),
        {"main": [Script(lasts=1.5, unhealthy_after=0), Script(unhealthy_after=0)]},
        {4.0: delete()},
    )

    assert done.signals("main") == [(3.5, 15)]


def test_I5_an_answer_that_is_under_way_when_its_container_dies_says_nothing_about_the_next():
    """The slow liveness probe of the first instance would have failed after the restart."""
    probe = Probe(period_seconds=20, timeout_seconds=9, failure_threshold=1)
    done = run(
        pod(main=[container("main", liveness_probe=probe)]),
        {"main": [Script(lasts=2, probe_lasts=(5,), unhealthy_after=0), Script()]},
        {15.0: delete()},
    )

    assert done.times("start", "main") == [0.0, 2.0]
    assert done.messages("Unhealthy") == []
    assert done.status("main", 12.0).ready is True


def test_PROBE_30_a_liveness_answer_that_comes_during_termination_counts_for_nothing():
    probe = Probe(period_seconds=20, timeout_seconds=9, failure_threshold=1)
    done = run(
        pod(main=[container("main", liveness_probe=probe)]),
        {"main": Script(probe_lasts=(5,), unhealthy_after=0, term_lasts=9)},
        {3.0: delete()},
    )

    assert done.signals("main") == [(3.0, 15)]
    assert done.messages("Killing") == ["Stopping container main"]
    assert done.messages("Unhealthy") == []


def test_PROBE_30_startup_is_not_asked_during_termination():
    probe = Probe(period_seconds=1, failure_threshold=99)
    done = run(
        pod(init=[sidecar("s", startup_probe=probe)]),
        {"s": Script(starts_up_after=inf, term_lasts=5)},
        {2.5: delete()},
    )

    assert asked(done, "startup", "s") == [0.0, 1.0, 2.0]


def test_PROBE_16_SIDE_35_a_readiness_answer_during_termination_still_flips_ready():
    done = run(
        pod(main=[container("main", readiness_probe=Probe(period_seconds=1, failure_threshold=1))]),
        {"main": Script(unready_after=4.5, term_lasts=9)},
        {3.0: delete()},
    )

    assert done.status("main", 4.2).ready is True
    assert done.status("main", 5.5).ready is False


def test_PROBE_12_readiness_may_need_several_successes():
    probe = Probe(period_seconds=1, success_threshold=3)
    done = run(pod(main=[container("main", readiness_probe=probe)]), {}, {9.0: delete()})

    assert done.status("main", 1.5).ready is False
    assert done.status("main", 2.5).ready is True


def test_PROBE_16_readiness_failure_only_flips_ready():
    done = run(
        pod(main=[container("main", readiness_probe=Probe(period_seconds=1, failure_threshold=2))]),
        {"main": Script(unready_after=4.5)},
        {20.0: delete()},
    )

    assert done.times("start", "main") == [0.0]
    assert done.status("main", 5.5).ready is True
    assert done.status("main", 6.5).ready is False
    assert done.condition("Ready", 6.5).reason == "ContainersNotReady"


def test_PROBE_20_a_timeout_counts_as_failure():
    done = run(
        pod(
            main=[container("main", liveness_probe=Probe(period_seconds=10, failure_threshold=1))],
            restart_policy="Never",
        ),
        {"main": Script(probe_lasts=(5,))},
    )

    assert done.signals("main") == [(1.0, 15)]


# ------------------------------------------------------------------ counting, without any driver


def answers(probe: Probe, results: list[str]) -> list[bool | None]:
    """The readiness verdict after each answer."""
    subject = pod(main=[container("main", readiness_probe=probe)])
    record = new_record(subject, LifecycleSettings(), 0.0)
    for what in (PreparePod(), PodPrepared(), StartContainer("main", 0), ContainerStarted("main", 0)):
        record = observe(record, what, 0.0)
    verdicts = []
    for result in results:
        record = observe(record, AskProbe("main", 0, "readiness"), 0.0)
        record = observe(record, ProbeAnswered("main", 0, "readiness", result), 0.0)
        run = record.containers["main"].run
        assert run is not None
        verdicts.append(run.verdict("readiness"))
    return verdicts


def test_PROBE_12_verdicts_change_only_after_enough_equal_answers():
    probe = Probe(success_threshold=2, failure_threshold=3)
    s, f = "success", "failure"

    assert answers(probe, [s, f, s, s, f, f, s, f, f, f]) == [
        None, None, None, True, True, True, True, True, True, False,
    ]  # fmt: skip


def test_PROBE_19_errors_change_nothing_at_all():
    probe = Probe(failure_threshold=2)
    f, e = "failure", "error"

    assert answers(probe, [f, e, e, e, f]) == [None, None, None, None, False]


@given(
    st.lists(st.sampled_from(["success", "failure", "error"]), max_size=40),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_PROBE_12_against_a_plain_model(results, successes, failures):
    """Property: the verdict is that of the latest streak long enough, errors removed."""
    got = answers(Probe(success_threshold=successes, failure_threshold=failures), results)
    expected: bool | None = None
    streak: list[str] = []
    for result, verdict in zip(results, got, strict=True):
        if result != "error":
            streak = [*streak, result] if streak and streak[-1] == result else [result]
            if len(streak) >= (successes if result == "success" else failures):
                expected = result == "success"
        assert verdict == expected


def test_facts_about_an_earlier_attempt_are_dropped():
    """I5: an answer that arrives after the restart says nothing about the new instance."""
    subject = pod(main=[container("main", readiness_probe=PROBE)])
    record = new_record(subject, LifecycleSettings(), 0.0)
    for what in (PreparePod(), PodPrepared(), StartContainer("main", 1), ContainerStarted("main", 1)):
        record = observe(record, what, 0.0)
    record = observe(record, AskProbe("main", 1, "readiness"), 0.0)

    assert observe(record, ProbeAnswered("main", 0, "readiness", "success"), 1.0) == record


def test_PROBE_4_the_period_counts_from_the_real_beginning():
    """A probe that had to wait (for slow libraries, say) does not shorten the time to the next one."""
    subject = pod(main=[container("main", liveness_probe=Probe(period_seconds=2))])
    record = new_record(subject, LifecycleSettings(), 0.0)
    for what in (PreparePod(), PodPrepared(), StartContainer("main", 0), ContainerStarted("main", 0)):
        record = observe(record, what, 0.0)
    record = observe(record, AskProbe("main", 0, "liveness"), 0.0)
    record = observe(record, ProbeAnswered("main", 0, "liveness", "success", delay=0.4), 0.5)

    clock = Clock(0.5)
    assert list(plan(record, clock)) == []
    assert clock.alarm == 2.4
