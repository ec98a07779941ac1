"""Each invariant about probes holds in a true journal and is broken by the fault that it is there for."""

import attrs
import pytest

from invariants.journals import after, before, broken, entries, later, lived, replaced, without
from minikubelet.api.pod import Probe
from minikubelet.invariants.journal import Entry
from minikubelet.runtime.simulated import HookScript, Script
from simulation import container, pod, sidecar

EVERY_2_S = Probe(period_seconds=2, failure_threshold=2)


def probe_entry(what, name, kind, at, detail=None, attempt=0):
    return Entry(at, what, "default/p", name, attempt, kind if detail is None else detail)


@pytest.fixture(scope="module")
def healthy():
    """Started up after 3 s, asked all three probes from then on, deleted at 20 s, gone at 25 s."""
    main = container(
        "main", startup_probe=EVERY_2_S, liveness_probe=EVERY_2_S, readiness_probe=EVERY_2_S, post_start=True
    )
    script = Script(
        starts_up_after=3.0, term_lasts=5.0, post_start=HookScript(1.0), probe_lasts=(0.25,), exit_code=0
    )
    return lived(pod(main=[main]), scripts={"main": (script,)}, ends_at=20.0)


@pytest.fixture(scope="module")
def sick():
    """A sidecar that fails its liveness from 5 s on, twice by 8 s, and runs again."""
    side = sidecar("side", liveness_probe=EVERY_2_S, pre_stop=True)
    return lived(
        pod(init=[side]),
        scripts={"side": (Script(unhealthy_after=5.0, pre_stop=HookScript(1.0)), Script())},
        ends_at=12.0,
    )


def test_true_journals_break_nothing(healthy, sick):
    assert entries(sick, "started", "side")[1].at == 9.0
    assert broken(healthy) == broken(sick) == set()


def test_I5_a_liveness_probe_before_startup_success_is_found(healthy):
    first = entries(healthy, "probeEnded", "main", ("startup", "failure", 0.0))[0]
    early = probe_entry("probeBegan", "main", "liveness", first.at)

    assert "probes-wait-for-startup" in broken(after(healthy, first, early))


def test_PROBE_6_a_startup_probe_before_postStart_has_returned_is_found(healthy):
    returned = entries(healthy, "hookEnded", "main")[0]
    early = probe_entry("probeBegan", "main", "startup", returned.at)

    assert "probes-wait-for-startup" in broken(before(healthy, returned, early))
    assert "probes-wait-for-startup" not in broken(after(healthy, returned, early))


@pytest.mark.parametrize("kind", ["startup", "liveness"])
def test_I6_a_probe_that_is_begun_while_stopping_is_found(healthy, kind):
    asked = entries(healthy, "deletion")[0]
    late = probe_entry("probeBegan", "main", kind, asked.at)

    assert "no-probe-is-asked-in-vain" in broken(after(healthy, asked, late))


def test_I6_readiness_may_be_asked_while_stopping_but_not_after_the_exit(healthy):
    stopping = [e for e in entries(healthy, "probeBegan", "main", "readiness") if e.at > 20.0]
    exited = entries(healthy, "exited", "main")[0]
    late = probe_entry("probeBegan", "main", "readiness", exited.at)

    assert [entry.at for entry in stopping] == [21.25, 23.25]
    assert "no-probe-is-asked-in-vain" in broken(after(healthy, exited, late))


def test_I6_readiness_that_stops_with_the_deletion_is_found(healthy):
    stopping = [e for e in healthy.entries if e.what.startswith("probe") and e.at > 20.0]

    assert broken(without(healthy, *stopping)) == {"probes-go-on"}


def test_PROBE_8_a_startup_probe_after_its_verdict_is_found(healthy):
    verdict = entries(healthy, "probeEnded", "main", ("startup", "success", 0.0))[0]
    again = probe_entry("probeBegan", "main", "startup", verdict.at + 2.0)
    later_one = next(e for e in healthy.entries if e.at >= again.at)

    assert "no-probe-is-asked-in-vain" in broken(before(healthy, later_one, again))


def test_PROBE_5_a_second_question_before_the_answer_is_found(healthy):
    asked, answered = (entries(healthy, what, "main")[0] for what in ("probeBegan", "probeEnded"))

    assert "one-probe-in-flight" in broken(before(healthy, answered, asked._replace(at=answered.at)))


@pytest.mark.parametrize("seconds", [0.5, -0.5])
def test_PROBE_3_a_probe_that_is_not_on_time_is_found(healthy, seconds):
    """With its answer, so that the ones after it count from another moment."""
    asked = entries(healthy, "probeBegan", "main", "liveness")[3]
    answered = entries(healthy, "probeEnded", "main", ("liveness", "success", 0.0))[3]

    assert "probes-keep-their-time" in broken(later(healthy, seconds, asked, answered))


def test_PROBE_4_the_delay_that_an_answer_tells_of_counts_for_the_period(healthy):
    """A probe that began later than asked for moves those after it, and only then."""
    asked = entries(healthy, "probeBegan", "main", "liveness")
    first = entries(healthy, "probeEnded", "main", ("liveness", "success", 0.0))[0]
    moved = [e for e in healthy.entries if e.at > asked[0].at + 1.5]
    shifted = later(healthy, 0.5, *moved)
    told = replaced(shifted, first, detail=("liveness", "success", 0.5))

    assert "the liveness" in "".join(v.message for v in _violations(shifted, "probes-keep-their-time"))
    assert "the liveness" not in "".join(v.message for v in _violations(told, "probes-keep-their-time"))


def _violations(journal, name):
    from minikubelet.invariants.checker import check

    return [violation for violation in check(journal) if violation.invariant == name]


def test_INIT_8_a_probe_of_an_init_container_is_found():
    journal = lived(pod(init=[container("init")]), scripts={"init": (Script(5.0),)}, ends_at=20.0)
    started = entries(journal, "started", "init")[0]

    assert broken(journal) == set()
    asked = probe_entry("probeBegan", "init", "readiness", started.at)
    assert broken(after(journal, started, asked)) == {"nothing-else-is-probed"}


def test_PROBE_14_a_failed_threshold_that_stops_nothing_is_found(sick):
    hook = entries(sick, "hookBegan", "side")[0]
    signal = entries(sick, "signalled", "side")[0]

    assert hook.at == 8.0
    assert "failures-stop-at-once" in broken(later(sick, 0.5, hook))
    assert "failures-stop-at-once" in broken(without(sick, hook, signal))


def test_PROBE_12_a_stop_after_fewer_failures_than_the_threshold_is_found(sick):
    last = entries(sick, "probeEnded", "side", ("liveness", "failure", 0.0))[1]
    flapping = replaced(sick, last, detail=("liveness", "success", 0.0))

    assert "nothing-is-stopped-without-cause" in broken(flapping)


def test_PROBE_19_an_error_is_no_failure(sick):
    last = entries(sick, "probeEnded", "side", ("liveness", "failure", 0.0))[1]

    assert "nothing-is-stopped-without-cause" in broken(
        replaced(sick, last, detail=("liveness", "error", 0.0))
    )


def test_PROBE_16_a_signal_for_failed_readiness_is_found():
    main = container("main", readiness_probe=EVERY_2_S)
    journal = lived(pod(main=[main]), scripts={"main": (Script(unready_after=3.0),)}, ends_at=20.0)
    failed = entries(journal, "probeEnded", "main", ("readiness", "failure", 0.0))[1]
    signal = Entry(failed.at, "signalled", "default/p", "main", 0, 15)

    assert broken(journal) == set()
    assert "nothing-is-stopped-without-cause" in broken(after(journal, failed, signal))


def test_I5_a_new_attempt_that_inherits_started_and_ready_is_found(healthy, sick):
    """As k/k#141155 had it."""
    side = sidecar("side", startup_probe=EVERY_2_S)
    journal = lived(
        pod(init=[side]),
        scripts={"side": (Script(10.0, starts_up_after=3.0), Script(starts_up_after=3.0))},
        ends_at=20.0,
    )
    again = entries(journal, "started", "side")[1]
    published = next(e for e in entries(journal, "published") if e.at == again.at and _shows_running(e))
    status = published.detail.status
    inherited = attrs.evolve(status.init_container_statuses[0], started=True, ready=True)
    shown = attrs.evolve(published.detail, status=attrs.evolve(status, init_container_statuses=(inherited,)))

    assert "started-and-ready-are-of-this-attempt" not in broken(journal)
    assert "started-and-ready-are-of-this-attempt" in broken(replaced(journal, published, detail=shown))


def _shows_running(published):
    (side,) = published.detail.status.init_container_statuses
    return side.restart_count == 1 and side.state.running is not None
