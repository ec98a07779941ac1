"""What a Job does, rule by rule, told as histories of its pods."""

from math import inf
from typing import Any

import pytest
from job_history import History, make_job

from minikubelet.api.job import (
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from minikubelet.lifecycle.job_facts import (
    DeletePod,
    JobDeleted,
    ParallelismChanged,
    PodGone,
    RemoveJob,
    SetCondition,
    SuspendRequested,
)
from minikubelet.lifecycle.job_record import new_job_record
from minikubelet.lifecycle.settings import LifecycleSettings

SUCCEEDED = ("True", "CompletionsReached")
OVER_LIMIT = ("True", "BackoffLimitExceeded")


def policy(action: str, *codes: int) -> PodFailurePolicy:
    requirement = PodFailurePolicyOnExitCodesRequirement("In", codes)
    return PodFailurePolicy((PodFailurePolicyRule(action, on_exit_codes=requirement),))


def indexed(completions: int, parallelism: int, **spec: Any) -> History:
    return History(completions=completions, parallelism=parallelism, completion_mode="Indexed", **spec)


# ------------------------------------------------------------------ how many pods


@pytest.mark.parametrize(
    ("parallelism", "completions", "active"),
    [(1, 1, 1), (2, 4, 2), (10, 3, 3), (3, None, 3), (0, 3, 0), (2, 0, 0)],
)
def test_job_2_starts_no_more_than_are_wanted(parallelism: int, completions: int | None, active: int) -> None:
    job = History(parallelism=parallelism, completions=completions)

    assert len(job.active) == active


def test_job_2_no_more_are_active_than_completions_are_missing() -> None:
    job = History(parallelism=3, completions=4).succeed("p1", "p2")

    assert job.active == ["p3", "p4"]


def test_job_2_parallelism_0_pauses_and_a_higher_one_goes_on() -> None:
    job = History(parallelism=2, completions=3).tell(ParallelismChanged(0))
    paused = job.active
    job.tell(ParallelismChanged(3))

    assert (paused, job.active) == ([], ["p3", "p4", "p5"])


def test_job_3_a_work_queue_starts_none_after_the_first_success() -> None:
    job = History(parallelism=3, completions=None).fail("p1").at(10).succeed("p2")
    job.fail("p3")

    assert job.active == ["p4"]
    assert job.record.verdict is None


def test_job_3_a_work_queue_completes_when_its_last_pod_has_ended() -> None:
    job = History(parallelism=2, completions=None).succeed("p1").fail("p2")

    assert job.conditions == [("SuccessCriteriaMet", *SUCCEEDED), ("Complete", *SUCCEEDED)]
    assert job.counts == (0, 1, 1)


def test_job_2_a_job_without_completions_to_reach_is_complete_at_once() -> None:
    assert History(completions=0).conditions[-1] == ("Complete", *SUCCEEDED)


# ------------------------------------------------------------------ counting


def test_job_1_a_pod_counts_once_however_often_it_is_reported() -> None:
    job = History(completions=3).succeed("p1").succeed("p1").fail("p1")

    assert job.counts == (1, 1, 0)


def test_job_4_a_pod_being_deleted_counts_as_failed_and_stays_so() -> None:
    job = History(completions=2).change("p1", deletion_requested=True)
    at_once = job.counts
    job.succeed("p1")

    assert (at_once, job.counts) == ((0, 0, 1), (0, 0, 1))


def test_job_4_a_pod_that_succeeds_while_being_deleted_succeeded() -> None:
    job = History(completions=2).change("p1", deletion_requested=True, phase="Succeeded")

    assert job.counts == (1, 1, 0)


def test_job_4_with_replacement_policy_failed_deletion_alone_is_no_failure() -> None:
    job = History(completions=2, pod_replacement_policy="Failed").change("p1", deletion_requested=True)
    before = job.counts
    job.succeed("p1")

    assert (before, job.counts) == ((0, 0, 0), (1, 1, 0))


def test_job_4_a_pod_that_vanishes_has_failed() -> None:
    job = History(completions=1).tell(PodGone("p1"))

    assert job.counts == (0, 0, 1)
    assert job.at(10).active == ["p2"]


def test_job_5_a_terminating_pod_is_replaced_after_the_delay_only() -> None:
    job = History(completions=1).change("p1", deletion_requested=True, finished_at=0.0)

    assert job.active == []
    assert job.at(10).active == ["p2"]
    assert "p1" in job.record.pods


@pytest.mark.parametrize(
    "spec", [{"pod_replacement_policy": "Failed"}, {"pod_failure_policy": policy("Count", 9)}]
)
def test_job_5_policy_failed_lets_a_terminating_pod_keep_its_slot(spec: dict[str, Any]) -> None:
    job = History(parallelism=2, completions=4, **spec).change("p1", deletion_requested=True)
    meanwhile = job.at(100).active
    job.fail("p1").at(110)

    assert (meanwhile, job.active) == (["p2"], ["p2", "p3"])


# ------------------------------------------------------------------ surplus


def test_job_6_pending_go_before_running_and_unready_before_ready() -> None:
    job = History(parallelism=4, completions=8)
    job.run("p1", ready=True).run("p3").run("p4", ready=True)
    job.tell(ParallelismChanged(1))

    assert job.deleted == [DeletePod(p, "surplus") for p in ("p2", "p3", "p4")]


def test_job_6_surplus_pods_count_for_nothing_however_they_end() -> None:
    job = History(parallelism=3, completions=8).tell(ParallelismChanged(1))
    job.succeed("p2").fail("p3")

    assert job.counts == (1, 0, 0)
    assert job.record.failures_since_success == 0


# ------------------------------------------------------------------ back-off


def test_job_8_replacements_wait_10_20_40_seconds_after_the_last_failure() -> None:
    job = History()
    alarms = []
    for name in ("p1", "p2", "p3"):
        job.at(job.now + 1).fail(name)
        alarms.append(job.alarm - job.now)
        assert job.at(job.alarm - 0.001).active == []
        job.at(job.alarm)

    assert alarms == [10, 20, 40]
    assert job.active == ["p4"]


def test_job_8_failures_at_once_all_count() -> None:
    job = History(parallelism=3, completions=3).fail("p1", "p2", "p3")

    assert job.alarm == 40


def test_job_8_and_11_a_success_resets_the_delay_but_not_the_count() -> None:
    job = History(parallelism=3, completions=9).fail("p1", "p2").succeed("p3")

    assert len(job.active) == 3
    assert job.record.failed == 2
    assert job.at(5).fail("p4").alarm == 15


def test_job_8_the_delay_is_measured_from_when_the_pod_finished() -> None:
    job = History().at(7)
    job.change("p1", phase="Failed", finished_at=4.0)

    assert job.alarm == 14


def test_job_8_the_delay_holds_back_all_pods_of_the_job() -> None:
    job = indexed(4, 2).fail("p1")

    assert job.indexes == [0, 1]
    assert job.at(10).indexes == [0, 1, 0]


def test_job_8_back_off_settings_scale_it() -> None:
    settings = LifecycleSettings(backoff_base=0.3, backoff_max=1.2)

    assert History(settings=settings).fail("p1").alarm == 0.3


# ------------------------------------------------------------------ limits


@pytest.mark.parametrize("limit", [0, 1, 6])
def test_job_10_fails_with_the_failure_after_the_limit(limit: int) -> None:
    job = History(backoff_limit=limit)
    for number in range(limit):
        job.fail(f"p{number + 1}").at(job.alarm)
    assert job.record.verdict is None
    job.fail(f"p{limit + 1}")

    assert job.conditions == [("FailureTarget", *OVER_LIMIT), ("Failed", *OVER_LIMIT)]
    assert job.counts == (0, 0, limit + 1)


@pytest.mark.parametrize(("limit", "tolerated"), [(0, 0), (1, 0), (2, 1), (3, 2)])
def test_job_12_restarts_in_place_fail_it_when_they_reach_the_limit(limit: int, tolerated: int) -> None:
    job = History(backoff_limit=limit, restart_policy="OnFailure").run("p1", restarts=tolerated)
    before = job.record.verdict
    job.run("p1", restarts=tolerated + 1)

    assert before is None
    assert job.conditions[0] == ("FailureTarget", *OVER_LIMIT)
    assert job.counts == (0, 0, 1)


def test_job_12_restarts_of_all_unfinished_pods_are_added_up() -> None:
    job = History(backoff_limit=4, restart_policy="OnFailure", parallelism=2, completions=2)
    job.run("p1", "p2", restarts=2)

    assert job.record.verdict is not None


def test_job_12_restarts_of_pods_that_have_finished_are_forgotten() -> None:
    job = History(backoff_limit=2, restart_policy="OnFailure", completions=3)
    job.run("p1", restarts=1).succeed("p1").run("p2", restarts=1)

    assert job.record.verdict is None


def test_job_12_restarts_do_not_matter_under_never() -> None:
    assert History(backoff_limit=0).run("p1", restarts=5).record.verdict is None


def test_job_13_fails_at_the_deadline_and_asks_to_be_woken_then() -> None:
    job = History(active_deadline_seconds=30).run("p1")

    assert job.alarm == 30
    assert job.at(29.9).record.verdict is None
    assert job.at(30).conditions == [("FailureTarget", "True", "DeadlineExceeded")]


def test_job_13_the_deadline_is_not_counted_while_suspended_and_begins_anew() -> None:
    job = History(active_deadline_seconds=30).at(20).tell(SuspendRequested(True)).succeed("p1")
    assert job.at(100).alarm == inf
    job.tell(SuspendRequested(False))

    assert job.alarm == 130
    assert job.at(129).record.verdict is None
    assert job.at(130).record.verdict is not None


# ------------------------------------------------------------------ how it ends


def test_job_14_the_backoff_limit_is_asked_before_the_deadline() -> None:
    job = History(backoff_limit=0, active_deadline_seconds=30)
    job.now = 30.0
    job.fail("p1")

    assert job.conditions[0] == ("FailureTarget", *OVER_LIMIT)


def test_job_14_fail_job_is_asked_before_the_backoff_limit() -> None:
    job = History(backoff_limit=0, pod_failure_policy=policy("FailJob", 3)).fail("p1", code=3)

    assert job.conditions[0] == ("FailureTarget", "True", "PodFailurePolicy")


def test_job_14_failures_no_longer_matter_once_success_is_decided() -> None:
    job = indexed(3, 3, backoff_limit=0, success_policy=SuccessPolicy((SuccessPolicyRule("0"),)))
    job.succeed("p1").fail("p2").fail("p3")

    assert [type_ for type_, _, _ in job.conditions] == ["SuccessCriteriaMet", "Complete"]
    assert job.counts == (0, 1, 0)


def test_job_15_failed_waits_for_the_last_pod_but_everything_counts_at_once() -> None:
    job = History(parallelism=3, completions=3, backoff_limit=0).run("p2", "p3").fail("p1")
    decided = job.conditions, job.counts
    job.succeed("p2")
    waiting = job.conditions
    job.succeed("p3")

    assert decided == ([("FailureTarget", *OVER_LIMIT)], (0, 0, 3))
    assert job.deleted == [DeletePod("p3", "failed"), DeletePod("p2", "failed")]
    assert waiting == decided[0]
    assert job.conditions == [("FailureTarget", *OVER_LIMIT), ("Failed", *OVER_LIMIT)]
    assert job.counts == (0, 0, 3)


def test_job_15_the_terminal_condition_repeats_reason_and_message() -> None:
    job = History(backoff_limit=0).fail("p1")
    target, failed = job.record.conditions

    assert (target.reason, target.message) == (failed.reason, failed.message)
    assert failed.message == "Job has reached the specified backoff limit"


def test_job_16_complete_waits_for_pods_that_still_terminate() -> None:
    job = History(parallelism=2, completions=2).change("p1", deletion_requested=True, finished_at=0.0)
    job.at(10).succeed("p2", "p3")
    waiting = job.conditions
    job.fail("p1")

    assert waiting == [("SuccessCriteriaMet", *SUCCEEDED)]
    assert job.conditions[-1] == ("Complete", *SUCCEEDED)


def test_job_17_with_completions_nothing_is_complete_while_a_pod_is_active() -> None:
    job = History(parallelism=2, completions=2).succeed("p1")

    assert job.active == ["p2"]
    assert job.conditions == []


def test_job_29_a_finished_job_hears_of_nothing_any_more() -> None:
    job = History().succeed("p1")
    log = list(job.log)
    job.tell(SuspendRequested(True)).tell(ParallelismChanged(5)).tell(JobDeleted()).at(1e6)

    assert job.log == log


# ------------------------------------------------------------------ podFailurePolicy


def test_job_18_ignored_failures_do_not_count_but_delay() -> None:
    job = History(backoff_limit=0, pod_failure_policy=policy("Ignore", 42)).fail("p1", code=42)

    assert job.counts == (0, 0, 0)
    assert job.alarm == 10
    assert job.at(10).succeed("p2").conditions[-1] == ("Complete", *SUCCEEDED)


def test_job_18_fail_job_ends_it_at_once_and_says_why() -> None:
    job = History(parallelism=2, completions=4, pod_failure_policy=policy("FailJob", 3)).fail("p2", code=3)
    message = "Container main for pod default/p2 failed with exit code 3 matching FailJob rule at index 0"

    assert job.log[-2:] == [
        SetCondition("FailureTarget", "True", "PodFailurePolicy", message),
        DeletePod("p1", "failed"),
    ]
    assert job.counts == (0, 0, 2)


def test_job_18_only_pods_in_phase_failed_are_judged() -> None:
    job = History(pod_failure_policy=policy("FailJob", 3))
    job.change("p1", phase="Running", deletion_requested=True, exit_codes=(("main", 3),))

    assert job.record.verdict is None


# ------------------------------------------------------------------ indexes


def test_job_21_the_lowest_missing_index_comes_first() -> None:
    job = indexed(5, 2).succeed("p2").fail("p1").at(10)

    assert job.indexes == [0, 1, 2, 0]


def test_job_21_one_success_per_index_completes_it() -> None:
    job = indexed(3, 3).succeed("p3", "p1", "p2")

    assert str(job.record.succeeded_indexes) == "0-2"
    assert job.conditions[-1] == ("Complete", *SUCCEEDED)


@pytest.mark.parametrize(
    ("replacement", "indexes"), [("TerminatingOrFailed", [0, 1, 0, 2]), ("Failed", [0, 1, 2])]
)
def test_job_21_a_terminating_pod_holds_its_index_under_failed_only(
    replacement: str, indexes: list[int]
) -> None:
    job = indexed(4, 2, pod_replacement_policy=replacement)
    job.change("p1", deletion_requested=True, finished_at=0.0).succeed("p2")

    assert job.indexes == indexes


def test_job_24_an_index_fails_on_the_failure_after_its_limit() -> None:
    job = indexed(2, 1, backoff_limit_per_index=1).fail("p1").at(10).fail("p2")

    assert str(job.record.failed_indexes) == "0"
    assert job.indexes == [0, 0, 1]


def test_job_24_each_index_has_its_own_delay() -> None:
    job = indexed(2, 2, backoff_limit_per_index=5).fail("p1").at(10).fail("p3").at(12).fail("p2")

    assert job.alarm == 22  # index 1: 10 s after its first failure
    assert job.at(22).indexes == [0, 1, 0, 1]
    assert job.alarm == 30  # index 0: 20 s after its second
    assert job.at(30).indexes == [0, 1, 0, 1, 0]


def test_job_24_the_failure_counts_are_handed_to_the_replacement() -> None:
    job = indexed(1, 1, backoff_limit_per_index=5, pod_failure_policy=policy("Ignore", 42))
    job.fail("p1").at(10).fail("p2", code=42).at(30).fail("p3").at(70)

    counts = [(a.failure_count, a.ignored_failure_count) for a in job.created]
    assert counts == [(0, 0), (1, 0), (1, 1), (2, 1)]


def test_job_24_without_the_limit_no_count_is_handed_on() -> None:
    job = indexed(1, 1).fail("p1").at(10)

    assert [a.failure_count for a in job.created] == [None, None]


def test_job_24_fail_index_gives_the_index_up_at_once() -> None:
    job = indexed(2, 2, backoff_limit_per_index=5, pod_failure_policy=policy("FailIndex", 3))
    job.fail("p1", code=3).succeed("p2")

    assert job.counts == (0, 1, 1)
    assert job.conditions[-1] == ("Failed", "True", "FailedIndexes")


def test_job_25_the_job_runs_on_until_every_index_is_decided() -> None:
    job = indexed(4, 2, backoff_limit_per_index=0).fail("p1").succeed("p2").fail("p3")
    before = job.conditions
    job.succeed("p4")

    assert before == []
    assert job.conditions == [("FailureTarget", "True", "FailedIndexes"), ("Failed", "True", "FailedIndexes")]
    assert (str(job.record.succeeded_indexes), str(job.record.failed_indexes)) == ("1,3", "0,2")


def test_job_25_too_many_failed_indexes_end_it_at_once() -> None:
    job = indexed(9, 3, backoff_limit_per_index=0, max_failed_indexes=1).fail("p1")
    assert job.record.verdict is None
    job.fail("p2")

    assert job.conditions == [("FailureTarget", "True", "MaxFailedIndexesExceeded")]
    assert len(job.deleted) == 2


def test_job_26_a_success_policy_completes_it_and_the_rest_counts_for_nothing() -> None:
    job = indexed(5, 2, success_policy=SuccessPolicy((SuccessPolicyRule("0"),))).succeed("p1")
    decided = job.conditions, job.deleted
    job.succeed("p2")

    assert decided == ([("SuccessCriteriaMet", "True", "SuccessPolicy")], [DeletePod("p2", "succeeded")])
    assert job.conditions[-1] == ("Complete", "True", "SuccessPolicy")
    assert str(job.record.succeeded_indexes) == "0"
    assert job.record.conditions[0].message == "Matched rules at index 0"


# ------------------------------------------------------------------ suspend, ttl, deletion


def test_job_27_created_suspended_it_has_neither_pods_nor_start() -> None:
    job = History(suspend=True)

    assert job.log == [SetCondition("Suspended", "True", "JobSuspended", "Job suspended")]
    assert job.record.started_at is None


def test_job_27_suspending_deletes_the_pods_without_counting_them() -> None:
    job = History(parallelism=2, completions=3).tell(SuspendRequested(True))
    job.fail("p1").succeed("p2")

    assert job.deleted == [DeletePod("p2", "suspended"), DeletePod("p1", "suspended")]
    assert job.counts == (0, 0, 0)


def test_job_27_resumed_it_starts_again_now() -> None:
    job = History(suspend=True).at(50).tell(SuspendRequested(False))

    assert job.conditions == [("Suspended", "False", "JobResumed")]
    assert job.record.started_at == 50
    assert job.active == ["p1"]


def test_job_27_resumed_before_its_first_plan_it_has_started_all_the_same() -> None:
    job = History()
    job.now = 3
    job.record = new_job_record(
        make_job(suspend=True, active_deadline_seconds=5), LifecycleSettings(), created_at=0
    )
    job.tell(SuspendRequested(False))

    assert (job.conditions, job.record.started_at, job.alarm) == ([], 3, 8)


@pytest.mark.parametrize("ttl", [0, 300])
def test_job_28_it_is_removed_so_long_after_its_end(ttl: int) -> None:
    job = History(ttl_seconds_after_finished=ttl).at(5).succeed("p1")
    if ttl:
        assert job.alarm == 5 + ttl
        assert job.at(4 + ttl).log[-1] != RemoveJob()
        job.at(5 + ttl)

    assert job.log[-1] == RemoveJob()
    assert job.alarm == inf


def test_job_28_without_a_time_to_live_it_is_kept() -> None:
    assert History().succeed("p1").alarm == inf


def test_deleted_it_deletes_its_pods_replaces_none_and_decides_nothing() -> None:
    job = History(parallelism=2, completions=3, backoff_limit=0, active_deadline_seconds=60)
    job.tell(JobDeleted()).fail("p1").succeed("p2").at(1000)

    assert job.deleted == [DeletePod("p2", "deleted"), DeletePod("p1", "deleted")]
    assert (job.conditions, job.counts, len(job.created)) == ([], (0, 0, 0), 2)


def test_deleted_after_the_decision_it_still_reaches_its_end() -> None:
    job = History(parallelism=2, completions=2, backoff_limit=0).run("p2").fail("p1")
    job.tell(JobDeleted()).fail("p2")

    assert job.conditions[-1] == ("Failed", *OVER_LIMIT)
