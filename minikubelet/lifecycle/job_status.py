"""The record of a Job, read as the API publishes it.

A pure function of the record; `epoch` is wall seconds minus monotonic seconds, as for pods.
"""

from minikubelet.api.job import Job, JobCondition, JobStatus
from minikubelet.api.meta import format_time
from minikubelet.api.values import evolve
from minikubelet.lifecycle.job_record import JobRecord


def published_job(record: JobRecord, epoch: float) -> Job:
    """The Job with its status; `deletionTimestamp` set once its deletion was asked for (PRINT-10)."""
    job, meta = record.job, record.job.metadata
    meta = evolve(
        meta,
        creation_timestamp=meta.creation_timestamp or format_time(epoch + record.created_at),
        deletion_timestamp=_time(record.deleted_at, epoch),
    )
    return evolve(job, metadata=meta, status=job_status(record, epoch))


def job_status(record: JobRecord, epoch: float) -> JobStatus:
    complete = record.condition("Complete")
    per_index = record.spec.backoff_limit_per_index is not None
    return JobStatus(
        active=record.census.active,
        ready=record.census.ready,
        terminating=record.census.terminating,
        succeeded=record.succeeded,
        failed=record.failed,
        start_time=_time(record.started_at, epoch),
        completion_time=_time(complete.since, epoch) if complete else None,  # JOB-16: not for Failed
        completed_indexes=str(record.succeeded_indexes) if record.is_indexed else None,
        failed_indexes=str(record.failed_indexes) if per_index else None,
        conditions=tuple(
            JobCondition(
                type=c.type,
                status=c.status,
                reason=c.reason,
                message=c.message,
                last_probe_time=_time(c.since, epoch),
                last_transition_time=_time(c.since, epoch),
            )
            for c in record.conditions
        ),
    )


def _time(instant: float | None, epoch: float) -> str | None:
    return None if instant is None else format_time(epoch + instant)
