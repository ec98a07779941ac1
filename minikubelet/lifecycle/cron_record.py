"""Everything known about one CronJob, what it can be told and can ask for, and how facts enter.

It knows its Jobs only as `CronChild` readings and refuses to know their pods. Scheduled times are wall
seconds (since the Unix epoch), for that is what a schedule is about; all other instants are monotonic.
"""

from collections.abc import Mapping
from typing import Literal, assert_never

from minikubelet.api.cron_job import CronJob, CronJobStatus, job_name
from minikubelet.api.cron_schedule import Schedule
from minikubelet.api.event import EventType, ObjectReference
from minikubelet.api.meta import format_time
from minikubelet.api.values import Factory, evolve, frozen
from minikubelet.lifecycle.job_record import JobRecord

# ------------------------------------------------------------------ facts


@frozen
class CronChild:
    """One Job as its CronJob sees it: a reading taken whenever the Job changes."""

    name: str
    uid: str = ""

    created_at: float = 0.0
    "Monotonic seconds."

    end: Literal["Complete", "Failed"] | None = None

    completed_at: float | None = None
    "Wall seconds; of a Complete one only."

    is_gone: bool = False
    "Removed after its time to live, or deleted by somebody else."


@frozen
class ChildChanged:
    child: CronChild


@frozen
class CronSuspended:
    """spec.suspend is set to this. What fell due meanwhile counts as missed once it is False again."""

    suspend: bool


@frozen
class CronDeleted:
    """No Job is started any more; those that are active are deleted by whoever deletes the CronJob."""


# ------------------------------------------------------------------ actions


@frozen
class StartJob:
    scheduled_at: float


@frozen
class DeleteJob:
    """With its pods: it is in the way (concurrencyPolicy Replace) or beyond the history limits."""

    name: str


@frozen
class RetireJob:
    """A Job that is active no more, because it has finished (`end`) or is gone (None)."""

    name: str
    end: Literal["Complete", "Failed"] | None


@frozen
class Remark:
    """Said once about a scheduled time; 0 stands for the schedule as a whole."""

    scheduled_at: float
    type: EventType
    reason: str
    message: str


CronAction = StartJob | DeleteJob | RetireJob | Remark
CronFact = ChildChanged | CronSuspended | CronDeleted | CronAction

# ------------------------------------------------------------------ the record


@frozen
class CronRecord:
    cron_job: CronJob
    "As wanted now: `suspend` follows the facts."

    schedule: Schedule

    created_at: float
    "Wall seconds, a whole number, as the creationTimestamp has it."

    active: Mapping[str, CronChild] = Factory(dict)
    "Jobs that were started and are not retired, by name, oldest first."

    finished: Mapping[str, CronChild] = Factory(dict)
    "Retired Jobs that are still there."

    last_schedule_time: float | None = None
    "The scheduled time for which a Job was started last."

    last_successful_time: float | None = None
    "When a Job completed last; wall seconds."

    remarks: Mapping[str, float] = Factory(dict)
    "Reason of a remark to the scheduled time it was made about last."

    deleted_at: float | None = None
    "Monotonic seconds."

    def has(self, name: str) -> bool:
        """Whether this CronJob has a Job of that name, at work or in its history."""
        return name in self.active or name in self.finished


def observe_cron(record: CronRecord, fact: CronFact, now: float) -> CronRecord:
    match fact:
        case ChildChanged():
            return _child_changed(record, fact.child)
        case CronSuspended():
            spec = evolve(record.cron_job.spec, suspend=fact.suspend)
            return evolve(record, cron_job=evolve(record.cron_job, spec=spec))
        case CronDeleted():
            return evolve(record, deleted_at=now) if record.deleted_at is None else record
        case StartJob():
            name = job_name(record.cron_job, fact.scheduled_at)
            active = {**record.active, name: CronChild(name, created_at=now)}
            return evolve(record, active=active, last_schedule_time=fact.scheduled_at)
        case DeleteJob():
            return evolve(
                record,
                active=_without(record.active, fact.name),
                finished=_without(record.finished, fact.name),
            )
        case RetireJob():
            return _retired(record, record.active[fact.name])
        case Remark():
            return evolve(record, remarks={**record.remarks, fact.reason: fact.scheduled_at})
    assert_never(fact)


def _child_changed(record: CronRecord, child: CronChild) -> CronRecord:
    if child.name in record.active:
        return evolve(record, active={**record.active, child.name: child})
    if child.name in record.finished and child.is_gone:
        return evolve(record, finished=_without(record.finished, child.name))
    return record


def _retired(record: CronRecord, child: CronChild) -> CronRecord:
    record = evolve(record, active=_without(record.active, child.name))
    if child.completed_at is not None:
        latest = max(child.completed_at, record.last_successful_time or 0.0)
        record = evolve(record, last_successful_time=latest)
    if child.is_gone:
        return record
    return evolve(record, finished={**record.finished, child.name: child})


def _without(children: Mapping[str, CronChild], name: str) -> Mapping[str, CronChild]:
    return {other: child for other, child in children.items() if other != name}


# ------------------------------------------------------------------ a Job, read by its CronJob


def cron_child(record: JobRecord, epoch: float) -> CronChild:
    """`epoch` is wall seconds minus monotonic seconds."""
    meta, end = record.job.metadata, record.end
    child = CronChild(meta.name, meta.uid, record.created_at)
    if end is None:
        return evolve(child, is_gone=record.deleted_at is not None and not record.pods)
    if end.type == "Complete":
        return evolve(child, end="Complete", completed_at=epoch + end.since)
    return evolve(child, end="Failed")


# ------------------------------------------------------------------ as the API publishes it


def published_cron_job(record: CronRecord, epoch: float) -> CronJob:
    """The CronJob with its status. `epoch` is wall seconds minus monotonic seconds, as for pods."""
    meta = record.cron_job.metadata
    deleted = None if record.deleted_at is None else format_time(epoch + record.deleted_at)
    status = CronJobStatus(
        active=tuple(
            ObjectReference("Job", meta.namespace, child.name, child.uid, api_version="batch/v1")
            for child in record.active.values()
        ),
        last_schedule_time=_time(record.last_schedule_time),
        last_successful_time=_time(record.last_successful_time),
    )
    return evolve(record.cron_job, metadata=evolve(meta, deletion_timestamp=deleted), status=status)


def _time(wall: float | None) -> str | None:
    return None if wall is None else format_time(wall)
