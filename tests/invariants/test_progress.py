"""Nothing hangs: each invariant holds in true journals and is broken by the fault that it is there for."""

import pytest

from invariants.journals import after, before, broken, entries, later, lived, replaced, without
from minikubelet.api.pod import ContainerRestartRule, ContainerRestartRuleOnExitCodes, Probe
from minikubelet.fuzz.case import Request
from minikubelet.invariants.journal import Entry
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.simulated import HookScript, Script
from simulation import container, pod, sidecar

EVERY_SECOND = Probe(period_seconds=1, failure_threshold=9)
NEVER = {"restart_policy": "Never"}


def rest_of(journal, first):
    """That entry and everything after it, but not the end."""
    index = next(n for n, one in enumerate(journal.entries) if one is first)
    return journal.entries[index:-1]


@pytest.fixture(scope="module")
def whole():
    """An init for 2 s, a sidecar that starts up in 3 s, and a main for 4 s; gone at 10 s."""
    return lived(
        pod(init=[container("init"), sidecar("side", startup_probe=EVERY_SECOND)], **NEVER),
        scripts={
            "init": (Script(2.0),),
            "side": (Script(starts_up_after=3.0, term_lasts=1.0),),
            "main": (Script(4.0),),
        },
    )


def test_the_true_journal_breaks_nothing(whole):
    assert [entry.at for entry in entries(whole, "started")] == [0.0, 2.0, 5.0]
    assert entries(whole, "removed")[0].at == 10.0
    assert broken(whole) == set()


@pytest.mark.parametrize("name", ["init", "side", "main"])
def test_INIT_1_whoever_starts_later_than_its_gate_opens_is_found(whole, name):
    started = entries(whole, "started", name)[0]

    assert "open-gates-are-passed" in broken(later(whole, 0.5, *rest_of(whole, started)))


def test_I7_a_main_that_never_starts_although_every_gate_is_open_is_found(whole):
    mains = [entry for entry in whole.entries if entry.container == "main"]

    assert "open-gates-are-passed" in broken(without(whole, *mains))


def test_SIDE_4_the_kubelets_start_gate_waits_for_no_readiness():
    """A start that is in time under one gate is late under the other."""
    side = sidecar("side", readiness_probe=EVERY_SECOND)
    journal = lived(pod(init=[side]), scripts={"side": (Script(ready_after=3.0),)}, ends_at=9.0)
    as_started = without(journal)
    as_started.settings = LifecycleSettings(start_gate="started")

    assert entries(journal, "started", "main")[0].at == 3.0
    assert broken(journal) == set()
    assert "open-gates-are-passed" in broken(as_started)


def test_MAIN_1_a_main_waits_for_the_postStart_before_it_and_no_longer():
    mains = [container("main", post_start=True), container("second")]
    journal = lived(pod(main=mains), scripts={"main": (Script(post_start=HookScript(2.0)),)}, ends_at=9.0)
    second = entries(journal, "started", "second")[0]

    assert second.at == 2.0
    assert broken(journal) == set()
    assert "open-gates-are-passed" in broken(later(journal, 1.0, *rest_of(journal, second)))


def test_VOL_6_a_preparation_that_is_not_tried_again_in_time_is_found():
    journal = lived(pod(), prepare_failures=1, ends_at=30.0)
    again = entries(journal, "prepared")[0]

    assert again.at == 10.0
    assert broken(journal) == set()
    assert "preparation-is-retried" in broken(later(journal, 1.0, *rest_of(journal, again)))
    since = [e for e in journal.entries if e.container or 0 < e.at < 30]
    assert "preparation-is-retried" in broken(without(journal, *since))


def test_TERM_10_a_deadline_that_nobody_takes_notice_of_is_found():
    slow = {"main": (Script(term_lasts=3.0),)}
    journal = lived(pod(active_deadline_seconds=5), scripts=slow, ends_at=20.0)
    told = next(e for e in entries(journal, "event") if e.detail.reason == "DeadlineExceeded")

    assert told.at == 5.0
    assert broken(journal) == set()
    assert "the-deadline-ends-the-pod" in broken(later(journal, 1.0, *rest_of(journal, told)))
    assert "the-deadline-ends-the-pod" in broken(without(journal, told))


def test_SIDE_21_a_sidecar_that_is_not_told_when_the_mains_are_over_is_found(whole):
    told = entries(whole, "signalled", "side")[0]

    assert told.at == entries(whole, "exited", "main")[0].at
    assert "going-down-begins-at-once" in broken(later(whole, 0.5, told))


def test_SIDE_27_a_sidecar_may_be_told_late_while_another_is_to_stop_before_it():
    journal = lived(
        pod(init=[sidecar("first"), sidecar("second")], **NEVER),
        scripts={"main": (Script(4.0),), "second": (Script(term_lasts=2.0),)},
    )

    assert [entry.at for entry in entries(journal, "signalled")] == [4.0, 6.0]
    assert broken(journal) == set()


def test_I3_a_container_that_is_not_told_of_the_deletion_is_found():
    journal = lived(pod(), requests=(Request(5.0, "delete"),), scripts={"main": (Script(term_lasts=3.0),)})
    told = entries(journal, "signalled", "main")[0]

    assert broken(journal) == set()
    assert "going-down-begins-at-once" in broken(later(journal, 1.0, told))


def test_TERM_14_a_pod_that_lingers_after_its_last_exit_is_found(whole):
    removed = entries(whole, "removed")[0]

    assert "finished-when-empty" in broken(later(whole, 1.0, *rest_of(whole, removed)))
    assert "nothing-outlives-the-pod" in broken(later(whole, -0.5, removed))


def test_TERM_14_a_pod_that_is_put_away_before_its_end_is_found():
    journal = lived(pod(), ends_at=5.0)
    started, removed = entries(journal, "started")[0], entries(journal, "removed")[0]
    early = after(without(journal, removed), started, Entry(0.0, "removed", "default/p"))

    assert broken(journal) == set()
    assert "finished-when-empty" in broken(early)


def test_PHASE_1_a_pod_that_is_put_away_as_Running_is_found(whole):
    last, running = entries(whole, "published")[-1], entries(whole, "published")[-3]

    assert (last.detail.status.phase, running.detail.status.phase) == ("Succeeded", "Running")
    assert "every-pod-reaches-an-end" in broken(replaced(whole, last, detail=running.detail))


def test_a_run_that_counts_as_finished_with_a_pod_left_is_found(whole):
    """And one that does not is no fault of a pod that was put away."""
    over = entries(whole, "over")[0]
    removed = entries(whole, "removed")[0]

    assert "finished-means-put-away" in broken(without(whole, removed))
    assert "finished-means-put-away" not in broken(replaced(without(whole, removed), over, detail=False))


def test_RESTART_14_a_pod_that_is_not_begun_again_in_place_is_found():
    rule = ContainerRestartRule("RestartAllContainers", ContainerRestartRuleOnExitCodes("In", (42,)))
    main = container("main", restart_policy="Never", restart_policy_rules=(rule,))
    journal = lived(pod(main=[main]), scripts={"main": (Script(3.0, 42), Script())}, ends_at=20.0)
    again = entries(journal, "started", "main")[1]
    lost = [e for e in rest_of(journal, again) if e.container == "main"]

    assert broken(journal) == set()
    assert "open-gates-are-passed" in broken(without(journal, *lost))


def test_SIDE_3_in_real_time_a_sidecar_may_be_gone_before_anybody_saw_its_postStart_return():
    """Both are settled together when the machine stood still. What lives for longer opens its gate."""
    side = sidecar("side", post_start=True)
    scripts = {"side": (Script(1.0, 1, post_start=HookScript(9.0)), Script(post_start=HookScript(3.0)))}
    journal = lived(pod(init=[side]), scripts=scripts, ends_at=9.0)
    exited, cancelled = entries(journal, "exited")[0], entries(journal, "hookCancelled")[0]
    returned = Entry(exited.at, "hookEnded", exited.key, "side", 0, ("postStart", None))
    together = without(before(journal, exited, returned), cancelled)

    assert broken(journal) == set()
    assert "open-gates-are-passed" in broken(together)
    together.tolerance = 0.5
    assert broken(together) == set()
    assert "open-gates-are-passed" in broken(later(together, -0.6, returned))


def test_real_time_may_be_late_by_its_tolerance_and_no_more(whole):
    started = entries(whole, "started", "side")[0]
    late = later(whole, 0.5, *rest_of(whole, started))
    patient, strict = without(late), without(late)
    patient.tolerance, strict.tolerance = 0.6, 0.4

    assert "open-gates-are-passed" not in broken(patient)
    assert "open-gates-are-passed" in broken(strict)
