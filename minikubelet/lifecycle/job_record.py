"""Everything known about one Job, and how facts enter it.

A pod is remembered while it can still change; once it has finished it has been counted, exactly once, and
only the count remains. So a record stays as small as the Job's parallelism, however many completions it has
behind it. Whether anything should be done about it is `job_plan`'s business.
"""

from collections.abc import Mapping
from typing import assert_never

from minikubelet.api.job import Job, JobSpec
from minikubelet.api.values import Factory, evolve, frozen
from minikubelet.lifecycle.index_set import NO_INDEXES, IndexSet
from minikubelet.lifecycle.job_facts import (
    DeletePod,
    JobDeleted,
    JobFact,
    JobPod,
    ParallelismChanged,
    PodChanged,
    PodCreated,
    PodGone,
    RemoveJob,
    SetCondition,
    SuspendRequested,
)
from minikubelet.lifecycle.job_policies import has_failed, judge_failure, replaces_only_failed
from minikubelet.lifecycle.settings import LifecycleSettings


@frozen
class TrackedPod:
    """A pod that has not finished yet."""

    index: int | None
    reading: JobPod
    settled: bool = False
    "Its part in the counts is decided; whatever becomes of it changes them no more (JOB-1, JOB-6)."

    @property
    def is_active(self) -> bool:
        return not self.reading.deletion_requested


@frozen
class Census:
    """How many of the unfinished pods there are of each kind; kept up by one row per pod that changes."""

    active: int = 0
    ready: int = 0
    terminating: int = 0
    restarts: int = 0

    def exchange(self, old: TrackedPod | None, new: TrackedPod | None) -> "Census":
        active, ready, terminating, restarts = self.active, self.ready, self.terminating, self.restarts
        for pod, sign in ((old, -1), (new, 1)):
            if pod is None:
                continue
            restarts += sign * pod.reading.restarts
            if pod.is_active:
                active += sign
                ready += sign * pod.reading.ready
            else:
                terminating += sign
        return Census(active, ready, terminating, restarts)


@frozen
class IndexFailures:
    """JOB-24: what an index without a verdict has been through."""

    counted: int = 0
    ignored: int = 0
    last_at: float = 0.0


@frozen
class Condition:
    """A condition of the Job and the instant it became so."""

    type: str
    status: str
    reason: str
    message: str
    since: float


@frozen
class JobRecord:
    job: Job
    "As wanted now: `suspend` and `parallelism` follow the facts."

    settings: LifecycleSettings
    created_at: float

    started_at: float | None
    "JOB-13: when it was created or last resumed; None if it was suspended from the first."

    pods: Mapping[str, TrackedPod] = Factory(dict)
    "The unfinished ones by name, oldest first."

    census: Census = Census()
    succeeded: int = 0
    failed: int = 0
    succeeded_indexes: IndexSet = NO_INDEXES
    failed_indexes: IndexSet = NO_INDEXES

    index_failures: Mapping[int, IndexFailures] = Factory(dict)
    "With backoffLimitPerIndex only, and only of indexes that neither succeeded nor failed yet."

    failures_since_success: int = 0
    "JOB-8: ignored failures included; only the delay is reset by a success, never `failed` (JOB-11)."

    last_failure_at: float = 0.0

    fail_job_message: str | None = None
    "The first pod that matched a FailJob rule (JOB-18)."

    conditions: tuple[Condition, ...] = ()
    deleted_at: float | None = None

    removed: bool = False
    "JOB-28: its time to live is over."

    @property
    def spec(self) -> JobSpec:
        return self.job.spec

    @property
    def is_indexed(self) -> bool:
        return self.spec.completion_mode == "Indexed"

    def condition(self, type_: str) -> Condition | None:
        """The condition of this type that is True."""
        return next((c for c in self.conditions if c.type == type_ and c.status == "True"), None)

    @property
    def verdict(self) -> Condition | None:
        """How the Job is going to end (JOB-15, JOB-16), once that is decided."""
        return self.condition("FailureTarget") or self.condition("SuccessCriteriaMet")

    @property
    def end(self) -> Condition | None:
        """How the Job ended, once it has. Such a Job is never evaluated again (JOB-29)."""
        return self.condition("Complete") or self.condition("Failed")


def new_job_record(job: Job, settings: LifecycleSettings, created_at: float) -> JobRecord:
    """The record of a Job with its defaults applied (DEF-6), nothing having happened yet."""
    return JobRecord(job, settings, created_at, started_at=None if job.spec.suspend else created_at)


def observe_job(record: JobRecord, fact: JobFact, now: float) -> JobRecord:
    match fact:
        case PodCreated():
            return _put(record, fact.name, TrackedPod(fact.index, JobPod(fact.name)))
        case PodChanged():
            return _pod_changed(record, fact.pod, now)
        case PodGone():
            return _pod_changed(record, JobPod(fact.name, phase="Failed"), now)
        case DeletePod():
            return _pod_deleted(record, fact.name)
        case SetCondition():
            return _condition_set(record, fact, now)
        case SuspendRequested():
            resumed = record.spec.suspend and not fact.suspend
            record = _with_spec(record, evolve(record.spec, suspend=fact.suspend))
            return evolve(record, started_at=now) if resumed else record
        case ParallelismChanged():
            return _with_spec(record, evolve(record.spec, parallelism=fact.parallelism))
        case JobDeleted():
            return evolve(record, deleted_at=now) if record.deleted_at is None else record
        case RemoveJob():
            return evolve(record, removed=True)
    assert_never(fact)


# ------------------------------------------------------------------ pods


def _pod_changed(record: JobRecord, reading: JobPod, now: float) -> JobRecord:
    known = record.pods.get(reading.name)
    if known is None:  # finished and counted long ago
        return record
    if known.reading.deletion_requested and not reading.deletion_requested:
        reading = evolve(reading, deletion_requested=True)
    settled = known.settled
    if not settled:
        if reading.phase == "Succeeded":
            record, settled = _count_success(record, known.index), True
        elif has_failed(reading, record.spec):
            record, settled = _count_failure(record, known.index, reading, now), True
    left = None if reading.is_finished else TrackedPod(known.index, reading, settled)
    return _put(record, reading.name, left)


def _pod_deleted(record: JobRecord, name: str) -> JobRecord:
    """JOB-6: a pod that the Job itself takes away is neither a failure nor a success of it."""
    known = record.pods.get(name)
    if known is None:
        return record
    reading = evolve(known.reading, deletion_requested=True)
    return _put(record, name, TrackedPod(known.index, reading, settled=True))


def _put(record: JobRecord, name: str, pod: TrackedPod | None) -> JobRecord:
    pods = dict(record.pods)
    census = record.census.exchange(pods.get(name), pod)
    if pod is None:
        del pods[name]
    else:
        pods[name] = pod
    return evolve(record, pods=pods, census=census)


# ------------------------------------------------------------------ counts


def _count_success(record: JobRecord, index: int | None) -> JobRecord:
    record = evolve(record, succeeded=record.succeeded + 1, failures_since_success=0)
    if index is None:
        return record
    return evolve(
        record,
        succeeded_indexes=record.succeeded_indexes.with_index(index),
        index_failures=_without(record.index_failures, index),
    )


def _count_failure(record: JobRecord, index: int | None, pod: JobPod, now: float) -> JobRecord:
    verdict = judge_failure(record.spec.pod_failure_policy, pod, record.job.metadata.namespace)
    counts = verdict.action != "Ignore"
    failed_at = now if pod.finished_at is None else pod.finished_at
    record = evolve(
        record,
        failed=record.failed + counts,
        failures_since_success=record.failures_since_success + 1,
        last_failure_at=max(record.last_failure_at, failed_at),
    )
    if verdict.action == "FailJob" and record.fail_job_message is None:
        record = evolve(record, fail_job_message=verdict.message)
    limit = record.spec.backoff_limit_per_index
    if limit is None or index is None:
        return record
    before = record.index_failures.get(index, IndexFailures())
    failures = IndexFailures(before.counted + counts, before.ignored + (not counts), failed_at)
    if verdict.action == "FailIndex" or failures.counted > limit:
        return evolve(
            record,
            failed_indexes=record.failed_indexes.with_index(index),
            index_failures=_without(record.index_failures, index),
        )
    return evolve(record, index_failures={**record.index_failures, index: failures})


def _without(failures: Mapping[int, IndexFailures], index: int) -> Mapping[int, IndexFailures]:
    if index not in failures:
        return failures
    return {i: f for i, f in failures.items() if i != index}


# ------------------------------------------------------------------ conditions


def _condition_set(record: JobRecord, action: SetCondition, now: float) -> JobRecord:
    new = Condition(action.type, action.status, action.reason, action.message, since=now)
    if any(c.type == new.type for c in record.conditions):
        conditions = tuple(new if c.type == new.type else c for c in record.conditions)
    else:
        conditions = (*record.conditions, new)
    record = evolve(record, conditions=conditions)
    if action.type == "FailureTarget":
        return _settle_all(evolve(record, failed=record.failed + _unsettled(record)))
    if action.type == "SuccessCriteriaMet":
        return _settle_all(record)
    return record


def _unsettled(record: JobRecord) -> int:
    """JOB-15: every pod that is left when the Job fails counts as failed, however it ends."""
    return sum(not pod.settled for pod in record.pods.values())


def _settle_all(record: JobRecord) -> JobRecord:
    return evolve(record, pods={n: evolve(p, settled=True) for n, p in record.pods.items()})


def _with_spec(record: JobRecord, spec: JobSpec) -> JobRecord:
    return evolve(record, job=evolve(record.job, spec=spec))


def occupied_indexes(record: JobRecord) -> IndexSet:
    """JOB-21: the indexes that need no new pod: succeeded, failed, or with a pod at work on them."""
    bits = record.succeeded_indexes.bits | record.failed_indexes.bits
    terminating_too = replaces_only_failed(record.spec)
    for pod in record.pods.values():
        if pod.index is not None and (pod.is_active or terminating_too):
            bits |= 1 << pod.index
    return IndexSet(bits)
