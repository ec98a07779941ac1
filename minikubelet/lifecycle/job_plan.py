"""Which pods a Job needs now, and whether it has ended.

One pass over the record; `return` means "observe this first, then ask again" or "wait": for a pod to change
or for an instant that was asked of the clock. A verdict, once latched, is carried out and never reconsidered.
"""

from collections.abc import Iterator
from itertools import islice

from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.job_facts import (
    CreatePod,
    DeletePod,
    DeletePodReason,
    JobAction,
    RemoveJob,
    SetCondition,
)
from minikubelet.lifecycle.job_policies import matched_success_rule, replacement_delay, replaces_only_failed
from minikubelet.lifecycle.job_record import Condition, IndexFailures, JobRecord, TrackedPod, occupied_indexes


def plan_job(record: JobRecord, clock: Clock) -> Iterator[JobAction]:
    if record.end is not None:
        yield from _live_on(record, record.end, clock)
    elif record.verdict is not None:
        yield from _wind_up(record, record.verdict)
    elif record.deleted_at is not None:
        yield from _delete_active(record, "deleted")
    elif (verdict := _failure(record, clock) or _success(record)) is not None:
        yield verdict
    elif record.spec.suspend:
        yield from _suspend(record)
    elif record.condition("Suspended"):
        yield SetCondition("Suspended", "False", "JobResumed", "Job resumed")
    else:
        yield from _keep_pods(record, clock)


# ------------------------------------------------------------------ the end


def _failure(record: JobRecord, clock: Clock) -> SetCondition | None:
    """JOB-14, in its order: the first reason there is to give the Job up."""
    spec, census = record.spec, record.census
    limit = _backoff_limit(record)
    if record.fail_job_message is not None:
        return _failure_target("PodFailurePolicy", record.fail_job_message)
    # JOB-10, JOB-12: failed pods beyond the limit, but restarts in place already when they reach it.
    restarts_count = spec.template.spec.restart_policy == "OnFailure"
    if record.failed > limit or (restarts_count and census.restarts >= max(limit, 1)):
        return _failure_target("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if spec.active_deadline_seconds is not None and not spec.suspend:
        assert record.started_at is not None, "a Job that is not suspended has been started"
        if clock.reached(record.started_at + spec.active_deadline_seconds):
            return _failure_target("DeadlineExceeded", "Job was active longer than specified deadline")
    if record.failed_indexes:
        failed, decided = len(record.failed_indexes), len(record.failed_indexes) + record.succeeded
        if spec.max_failed_indexes is not None and failed > spec.max_failed_indexes:
            message = "Job has exceeded the specified maximal number of failed indexes"
            return _failure_target("MaxFailedIndexesExceeded", message)
        if decided >= _completions(record):
            return _failure_target("FailedIndexes", "Job has failed indexes")
    return None


def _failure_target(reason: str, message: str) -> SetCondition:
    return SetCondition("FailureTarget", "True", reason, message)


def _success(record: JobRecord) -> SetCondition | None:
    spec = record.spec
    if spec.success_policy is not None:
        rule = matched_success_rule(spec.success_policy, record.succeeded_indexes, _completions(record))
        if rule is not None:
            return _success_criteria("SuccessPolicy", f"Matched rules at index {rule}")
    if record.census.active:
        return None  # JOB-3, JOB-17
    wanted = 1 if spec.completions is None else spec.completions
    if record.succeeded >= wanted:
        return _success_criteria("CompletionsReached", "Reached expected number of succeeded pods")
    return None


def _success_criteria(reason: str, message: str) -> SetCondition:
    return SetCondition("SuccessCriteriaMet", "True", reason, message)


def _wind_up(record: JobRecord, verdict: Condition) -> Iterator[JobAction]:
    """JOB-15, JOB-16: the terminal condition comes when the last pod is gone."""
    has_failed = verdict.type == "FailureTarget"
    yield from _delete_active(record, "failed" if has_failed else "succeeded")
    if not record.pods:
        yield SetCondition("Failed" if has_failed else "Complete", "True", verdict.reason, verdict.message)


def _live_on(record: JobRecord, end: Condition, clock: Clock) -> Iterator[JobAction]:
    """JOB-28."""
    ttl = record.spec.ttl_seconds_after_finished
    if ttl is not None and not record.removed and clock.reached(end.since + ttl):
        yield RemoveJob()


# ------------------------------------------------------------------ pods, fewer


def _suspend(record: JobRecord) -> Iterator[JobAction]:
    """JOB-27."""
    yield from _delete_active(record, "suspended")
    if not record.condition("Suspended"):
        yield SetCondition("Suspended", "True", "JobSuspended", "Job suspended")


def _delete_active(
    record: JobRecord, reason: DeletePodReason, count: int | None = None
) -> Iterator[JobAction]:
    """JOB-6: so many of the active pods (all of them), those that got least far first."""
    active = [pod for pod in record.pods.values() if pod.is_active]
    active.reverse()  # newest first among equals, as the sort is stable
    for pod in sorted(active, key=_progress)[:count]:
        yield DeletePod(pod.reading.name, reason)


def _progress(pod: TrackedPod) -> tuple[bool, bool, int]:
    """`ActivePods` in controller_utils.go: pending, not ready, often restarted."""
    return pod.reading.phase != "Pending", pod.reading.ready, -pod.reading.restarts


# ------------------------------------------------------------------ pods, more


def _keep_pods(record: JobRecord, clock: Clock) -> Iterator[JobAction]:
    wanted, census = _wanted_active(record), record.census
    if census.active > wanted:
        yield from _delete_active(record, "surplus", census.active - wanted)
        return
    occupied = census.active + (census.terminating if replaces_only_failed(record.spec) else 0)
    missing = wanted - occupied
    if missing <= 0:
        return
    if record.spec.backoff_limit_per_index is not None:
        yield from _create_per_index(record, missing, clock)
        return
    delay = replacement_delay(record.failures_since_success, record.settings)
    if delay and not clock.reached(record.last_failure_at + delay):
        return  # JOB-8: one delay for all, also for what was never tried
    if record.is_indexed:
        for index in islice(occupied_indexes(record).missing(_completions(record)), missing):
            yield CreatePod(index)
    else:
        for _ in range(missing):
            yield CreatePod()


def _create_per_index(record: JobRecord, missing: int, clock: Clock) -> Iterator[JobAction]:
    """JOB-24: each index has its own delay, and holds its slot through it."""
    for index in islice(occupied_indexes(record).missing(_completions(record)), missing):
        failures = record.index_failures.get(index, IndexFailures())
        delay = replacement_delay(failures.counted + failures.ignored, record.settings)
        if not delay or clock.reached(failures.last_at + delay):
            yield CreatePod(index, failures.counted, failures.ignored)


def _wanted_active(record: JobRecord) -> int:
    """JOB-2, JOB-3."""
    spec = record.spec
    assert spec.parallelism is not None, "defaulted (DEF-6)"
    if spec.completions is None:
        return record.census.active if record.succeeded else spec.parallelism
    return max(0, min(spec.parallelism, spec.completions - record.succeeded))


def _completions(record: JobRecord) -> int:
    assert record.spec.completions is not None, "an Indexed Job has completions (VALID-22)"
    return record.spec.completions


def _backoff_limit(record: JobRecord) -> int:
    assert record.spec.backoff_limit is not None, "defaulted (DEF-6)"
    return record.spec.backoff_limit
