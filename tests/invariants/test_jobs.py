"""How many pods, what they count as, how it ends: each invariant, and the fault that it is there for."""

from math import inf

import attrs
import pytest

from invariants.journals import after, before, broken, entries, later, lived, replaced, without
from minikubelet.api.job import (
    Job,
    JobSpec,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import PodTemplateSpec
from minikubelet.fuzz.case import Request
from minikubelet.invariants.job_story import index_list
from minikubelet.runtime.simulated import Script
from simulation import pod


def job(restart_policy="Never", *, init=(), **fields):
    template = PodTemplateSpec(pod(init=init, restart_policy=restart_policy, grace=5).spec)
    spec = {
        "parallelism": 1,
        "completions": 1,
        "backoff_limit": 6,
        "pod_replacement_policy": "TerminatingOrFailed",
    }
    return Job(ObjectMeta(name="j"), JobSpec(template, **{**spec, **fields}))


def indexed(**fields):
    return job(completion_mode="Indexed", **fields)


def plays(*codes, lasts=1.0):
    return {"main": tuple(Script(lasts, code) for code in codes)}


def status_of(published):
    return published.detail.status


def publishing(journal, published, **fields):
    """As if that publication of the Job had said something else."""
    status = attrs.evolve(status_of(published), **fields)
    return replaced(journal, published, detail=attrs.evolve(published.detail, status=status))


def with_spec(journal, **fields):
    """As if the Job had always been another one."""
    for published in entries(journal, "jobPublished"):
        spec = attrs.evolve(published.detail.spec, **fields)
        journal = replaced(journal, published, detail=attrs.evolve(published.detail, spec=spec))
    return journal


def ends(journal):
    return [c.type for c in status_of(entries(journal, "jobPublished")[-1]).conditions if c.status == "True"]


def rest_of(journal, first):
    index = next(n for n, one in enumerate(journal.entries) if one is first)
    return journal.entries[index:-1]


@pytest.fixture(scope="module")
def retried():
    """One of two pods succeeds after 0.5 s, the other one fails after 1 s and is replaced at 11 s."""
    scripts = {"main": (Script(1.0, 1), Script(0.5), Script(1.0))}
    return lived(job(parallelism=2, completions=2), scripts=scripts)


@pytest.fixture(scope="module")
def given_up():
    """backoffLimit 1: fails at 1 s and, the second time, at 12 s."""
    return lived(job(backoff_limit=1), scripts=plays(1))


def test_true_journals_break_nothing(retried, given_up):
    assert ends(retried) == ["SuccessCriteriaMet", "Complete"]
    assert ends(given_up) == ["FailureTarget", "Failed"]
    assert broken(retried) == broken(given_up) == set()


@pytest.mark.parametrize("field", ["active", "ready", "terminating", "succeeded", "failed"])
def test_JOB_1_a_count_that_is_not_what_the_pods_say_is_found(retried, field):
    published = entries(retried, "jobPublished")[3]
    wrong = {field: getattr(status_of(published), field) + 1}

    assert "job-counts-are-exact" in broken(publishing(retried, published, **wrong))


def test_JOB_18_an_ignored_failure_that_is_counted_is_found():
    """The same counts are right without the rule."""
    rule = PodFailurePolicyRule("Ignore", PodFailurePolicyOnExitCodesRequirement("In", (42,)))
    policy = PodFailurePolicy((rule,))
    replaces = {"pod_replacement_policy": "Failed"}
    journal = lived(job(pod_failure_policy=policy, **replaces), scripts=plays(42, 0))

    assert broken(journal) == set()
    assert "job-counts-are-exact" in broken(with_spec(journal, pod_failure_policy=None))


def test_JOB_23_indexes_are_listed_in_runs_of_three_and_more():
    assert index_list({1, 3, 4, 5, 7, 8}) == "1,3-5,7,8"
    assert index_list(set()) == ""


def test_JOB_21_a_wrong_list_of_indexes_is_found():
    journal = lived(indexed(completions=3, parallelism=3), scripts=plays(0))
    last = entries(journal, "jobPublished")[-1]

    assert status_of(last).completed_indexes == "0-2"
    assert broken(journal) == set()
    assert broken(publishing(journal, last, completed_indexes="0,1,2")) == {"job-indexes-are-exact"}


def test_JOB_2_more_pods_than_parallelism_are_found():
    journal = lived(job(parallelism=2, completions=2), scripts=plays(0))
    fewer = with_spec(journal, parallelism=1)

    assert broken(journal) == set()
    assert {"job-parallelism-is-kept", "job-pods-are-made-when-due"} <= broken(fewer)


def test_JOB_21_two_pods_at_work_on_one_index_are_found():
    journal = lived(indexed(completions=2, parallelism=2), scripts=plays(0))
    made = [e for e in entries(journal, "event") if e.detail.reason == "SuccessfulCreate"]
    name = made[1].detail.message.rpartition(" ")[2]
    event = attrs.evolve(made[1].detail, message=f"Created pod: {name.replace('-1-', '-0-')}")

    assert broken(journal) == set()
    assert "job-indexes-are-worked-on-once" in broken(replaced(journal, made[1], detail=event))


@pytest.mark.parametrize("seconds", [-1.0, 1.0])
def test_JOB_8_a_replacement_that_is_not_made_on_time_is_found(retried, seconds):
    made = entries(retried, "begun")[2]

    assert made.at == 11.0
    assert broken(later(retried, seconds, *rest_of(retried, made))) & {
        "job-pods-are-made-when-due",
        "jobs-take-notice-at-once",
    }


def test_JOB_8_each_failure_in_a_row_doubles_the_wait():
    journal = lived(job(backoff_limit=2), scripts=plays(1))
    made = [e for e in entries(journal, "event") if e.detail.reason == "SuccessfulCreate"]

    assert [entry.at for entry in made] == [0.0, 11.0, 32.0]
    assert broken(journal) == set()
    assert "job-pods-are-made-when-due" in broken(later(journal, -10.0, *rest_of(journal, made[2])))


def test_JOB_24_a_pod_that_is_told_another_number_of_failures_is_found():
    journal = lived(indexed(backoff_limit_per_index=1), scripts=plays(1, 0))
    second = entries(journal, "begun")[1]
    key = "batch.kubernetes.io/job-index-failure-count"
    metadata = second.detail.metadata
    wrong = attrs.evolve(metadata, annotations={**metadata.annotations, key: "0"})

    assert metadata.annotations[key] == "1"
    assert broken(journal) == set()
    told = replaced(journal, second, detail=attrs.evolve(second.detail, metadata=wrong))
    assert broken(told) == {"job-pods-know-their-failures"}


@pytest.mark.parametrize("limit", [0, 2])
def test_JOB_10_a_Job_that_is_given_up_too_late_or_too_early_is_found(given_up, limit):
    assert "job-verdicts-are-exact" in broken(with_spec(given_up, backoff_limit=limit))


def test_JOB_10_with_backoffLimit_0_the_pod_runs_once():
    journal = lived(job(backoff_limit=0), scripts=plays(1))

    assert len(entries(journal, "started")) == 1
    assert broken(journal) == set()


@pytest.mark.parametrize("limit", [1, 3])
def test_JOB_12_restarts_in_place_count_towards_the_limit(limit):
    """It fails with the second restart, neither with the first nor with a third."""
    journal = lived(job("OnFailure", backoff_limit=2), scripts=plays(1))

    assert len(entries(journal, "started")) == 3
    assert broken(journal) == set()
    assert "job-verdicts-are-exact" in broken(with_spec(journal, backoff_limit=limit))


def test_JOB_13_a_deadline_that_a_Job_takes_no_notice_of_is_found():
    journal = lived(job(active_deadline_seconds=5), ends_at=50.0)
    told = next(e for e in entries(journal, "event") if e.detail.reason == "DeadlineExceeded")

    assert told.at == 5.0
    assert broken(journal) == set()
    assert "jobs-take-notice-at-once" in broken(later(journal, 1.0, *rest_of(journal, told)))
    assert "job-verdicts-are-exact" in broken(with_spec(journal, active_deadline_seconds=None))


def test_JOB_13_in_real_time_a_deadline_is_no_matter_of_milliseconds():
    """A journal begins a moment after its Job."""
    journal = lived(job(active_deadline_seconds=5), ends_at=50.0)
    soon = later(journal, -0.001, *(entry for entry in journal.entries if entry.at >= 5.0))

    assert "job-verdicts-are-exact" in broken(soon)
    soon.tolerance = 1.0
    assert broken(soon) == set()


def test_JOB_13_in_real_time_the_deadline_may_come_in_the_turn_in_which_a_pod_was_made():
    """The back-off ended in the millisecond before."""
    scripts = {"main": (Script(0.999, 1), Script(inf))}
    journal = lived(job(active_deadline_seconds=11), scripts=scripts, ends_at=50.0)
    made, told = (
        [e for e in entries(journal, "event") if e.detail.reason == reason][-1]
        for reason in ("SuccessfulCreate", "DeadlineExceeded")
    )
    between = [e for e in entries(journal, "jobPublished") if made.at <= e.at < told.at]
    in_one_turn = without(journal, *between)

    assert (made.at, told.at) == (10.999, 11.0)
    assert broken(journal) == set()
    assert "job-pods-are-made-when-due" in broken(in_one_turn)
    in_one_turn.tolerance = 1.0
    assert broken(in_one_turn) == set()
    assert "job-pods-are-made-when-due" in broken(later(in_one_turn, 5.0, *rest_of(in_one_turn, made)))


def test_JOB_24_in_real_time_back_offs_may_end_one_after_another_in_one_turn():
    """Index 1 failed a millisecond before index 0, so its pod is due first. What was due long ago comes in
    the order of the indexes nevertheless."""
    scripts = {"main": (Script(1.001, 1), Script(1.0, 1), Script(1.0), Script(1.0))}
    fields = {"parallelism": 2, "completions": 2, "backoff_limit_per_index": 1}
    journal = lived(indexed(**fields), scripts=scripts)
    made = [e for e in entries(journal, "event") if e.detail.reason == "SuccessfulCreate"]
    between = [e for e in entries(journal, "jobPublished") if made[2].at <= e.at < made[3].at]
    in_one_turn = without(journal, *between)

    assert [e.detail.message.split("-")[1] for e in made] == ["0", "1", "1", "0"]
    assert broken(journal) == set()
    assert "job-pods-are-made-when-due" in broken(in_one_turn)
    in_one_turn.tolerance = 1.0
    assert broken(in_one_turn) == set()
    late = later(in_one_turn, 5.0, *rest_of(in_one_turn, made[2]))
    assert "job-pods-are-made-when-due" in broken(late)


def test_JOB_26_a_success_policy_that_nobody_follows_is_found():
    policy = SuccessPolicy((SuccessPolicyRule("1"),))
    both = {"main": (Script(inf), Script(1.0))}
    journal = lived(indexed(parallelism=2, completions=2, success_policy=policy), scripts=both, ends_at=50.0)
    other = SuccessPolicy((SuccessPolicyRule("0"),))

    assert ends(journal) == ["SuccessCriteriaMet", "Complete"]
    assert broken(journal) == set()
    assert "job-verdicts-are-exact" in broken(with_spec(journal, success_policy=other))


def test_JOB_25_a_Job_with_failed_indexes_runs_on_up_to_maxFailedIndexes():
    fields = {"parallelism": 1, "completions": 2, "backoff_limit_per_index": 0}
    journal = lived(indexed(max_failed_indexes=1, **fields), scripts=plays(1, 0))

    assert ends(journal) == ["FailureTarget", "Failed"]
    assert broken(journal) == set()
    assert "job-verdicts-are-exact" in broken(with_spec(journal, max_failed_indexes=0))


def test_JOB_15_an_end_before_the_last_pods_is_found():
    slow = {"main": (Script(1.0, 1), Script(term_lasts=3.0))}
    journal = lived(job(parallelism=2, completions=2, backoff_limit=0), scripts=slow)
    first = next(e for e in entries(journal, "jobPublished") if status_of(e).conditions)
    last = entries(journal, "jobPublished")[-1]

    assert (first.at, last.at) == (1.0, 4.0)
    assert broken(journal) == set()
    all_of_them = status_of(last).conditions
    assert "job-ends-with-its-last-pod" in broken(publishing(journal, first, conditions=all_of_them))
    assert "job-ends-with-its-last-pod" in broken(
        publishing(journal, last, conditions=status_of(first).conditions)
    )


def test_JOB_16_a_Job_that_is_Complete_with_another_number_is_found(retried):
    assert "job-completions-are-exact" in broken(with_spec(retried, completions=1))


def test_JOB_29_a_condition_that_is_taken_back_is_found(given_up):
    last = entries(given_up, "jobPublished")[-1]
    again = last._replace(detail=attrs.evolve(last.detail, status=status_of(last)))
    journal = after(given_up, last, again)

    assert "job-conditions-last" not in broken(journal)
    assert "job-conditions-last" in broken(publishing(journal, again, conditions=()))


def test_JOB_15_a_pod_that_is_left_at_work_after_the_verdict_is_found():
    endless = {"main": (Script(1.0, 1), Script())}
    journal = lived(job(parallelism=2, completions=2, backoff_limit=0), scripts=endless)
    told = [e for e in entries(journal, "event") if e.detail.reason == "SuccessfulDelete"]
    asked = entries(journal, "deletion")

    assert broken(journal) == set()
    shown = [e for e in entries(journal, "published") if e.detail.metadata.deletion_timestamp]
    assert "job-leaves-no-pod-at-work" in broken(without(journal, *told, *asked, *shown))


def test_JOB_27_a_suspended_Job_that_makes_pods_or_does_not_say_so_is_found():
    journal = lived(job(suspend=True), ends_at=5.0)
    runs = lived(job(), scripts=plays(0))

    assert entries(journal, "begun") == []
    assert broken(journal) == set()
    assert "job-suspension-is-shown" in broken(
        publishing(journal, entries(journal, "jobPublished")[0], conditions=())
    )
    assert "job-pods-are-made-when-due" in broken(with_spec(runs, suspend=True))


def test_a_deleted_Job_that_replaces_its_pod_is_found():
    journal = lived(
        job(backoff_limit=6), scripts={"main": (Script(term_lasts=2.0),)}, requests=(Request(3.0, "delete"),)
    )
    first = next(e for e in entries(journal, "event") if e.detail.reason == "SuccessfulCreate")
    event = attrs.evolve(first.detail, message="Created pod: j-another")
    last = entries(journal, "jobPublished")[-1]

    assert broken(journal) == set()
    assert "job-pods-are-made-when-due" in broken(
        before(journal, last, first._replace(at=last.at, detail=event))
    )


def test_JOB_1_what_a_pod_published_and_the_Job_did_not_notice_is_found(retried):
    """A later turn that does is too late."""
    failed = next(e for e in entries(retried, "jobPublished") if status_of(e).failed)

    assert "jobs-take-notice-at-once" in broken(without(retried, failed))


def test_JOB_28_a_Job_that_outlives_its_time_to_live_is_found():
    journal = lived(
        pod(), job(ttl_seconds_after_finished=2), scripts={"main": (Script(), Script(1.0))}, ends_at=9.0
    )
    last = entries(journal, "jobPublished")[-1]
    late = last._replace(at=3.5)
    asked = next(e for e in journal.entries if e.at >= 3.5)

    assert last.at == 1.0
    assert broken(journal) == set()
    assert "job-time-to-live-is-kept" in broken(before(journal, asked, late))
    assert "job-time-to-live-is-kept" not in broken(before(journal, asked, last._replace(at=3.0)))


def test_a_run_that_counts_as_finished_with_a_Job_left_is_found(retried):
    over = entries(retried, "over")[0]
    verdict = next(e for e in entries(retried, "jobPublished") if status_of(e).succeeded == 2)
    unfinished = publishing(retried, verdict, conditions=(), completion_time=None)

    assert "finished-means-jobs-ended" in broken(unfinished)
    assert "finished-means-jobs-ended" not in broken(replaced(unfinished, over, detail=False))


def test_JOB_3_a_work_queue_that_is_Complete_while_a_pod_is_at_work_is_found():
    """With one completion wanted the same would be in order, but for the pod that is too many."""
    scripts = {"main": (Script(1.0), Script(3.0))}
    journal = lived(job(parallelism=2, completions=None), scripts=scripts)
    first = next(e for e in entries(journal, "jobPublished") if status_of(e).succeeded)
    last = entries(journal, "jobPublished")[-1]
    verdict = status_of(last).conditions[:1]

    assert (first.at, last.at) == (1.0, 3.0)
    assert broken(journal) == set()
    assert "job-verdicts-are-exact" in broken(publishing(journal, first, conditions=verdict))
