"""Which Jobs a CronJob starts and deletes now (`syncCronJob` and `cleanupFinishedJobs` upstream).

Level-triggered: at every look the last scheduled time that has come and was not served is worked out afresh
from the wall clock, so that one start is caught up however many were missed, and a clock that was set back
repeats none. Only how long to sleep is asked of the monotonic clock.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from minikubelet.api.cron_job import job_name
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.cron_record import CronAction, CronRecord, DeleteJob, Remark, RetireJob, StartJob

LOOK_AGAIN = 60.0
"Seconds of sleep at most: the wall clock may be set, and a machine may sleep, without telling anybody."

_MANY = 100  # missed starts above which upstream says so


def plan_cron(record: CronRecord, clock: Clock, wall: float) -> Iterator[CronAction]:
    """What is due now; `wall` is the wall clock's reading at `clock.now`."""
    children = record.active.values()
    over = [c for c in children if c.end is not None or (c.is_gone and record.deleted_at is None)]
    if over:
        yield from (RetireJob(child.name, child.end) for child in over)
    elif record.deleted_at is None:
        if not record.cron_job.spec.suspend:
            yield from _follow_schedule(record, clock, wall)
        yield from _trim_history(record)


def _follow_schedule(record: CronRecord, clock: Clock, wall: float) -> Iterator[CronAction]:
    served = record.created_at if record.last_schedule_time is None else record.last_schedule_time
    due = record.schedule.latest(served, wall)
    upcoming = record.schedule.next(served if due is None else due)
    if upcoming is not None:
        _has_come(upcoming, clock, wall)
    elif due is None:
        why = f"invalid schedule: {record.cron_job.spec.schedule} : it never comes round"
        yield from _remark(record, Remark(0.0, "Warning", "InvalidSchedule", why))
    if due is not None:
        yield from _serve(record, due, clock, wall)


def _serve(record: CronRecord, due: float, clock: Clock, wall: float) -> Iterator[CronAction]:
    """A scheduled time has come: start its Job, unless something is in the way."""
    spec = record.cron_job.spec
    deadline = spec.starting_deadline_seconds
    if deadline is not None and _has_come(due + deadline, clock, wall):
        when = datetime.fromtimestamp(due, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        message = f"Missed scheduled time to start a job: {when}"
        yield from _remark(record, Remark(due, "Warning", "MissSchedule", message))
        return
    if record.has(job_name(record.cron_job, due)):
        return  # `@every` of less than a minute: the minute has had its Job
    if _missed_many(record, wall):
        message = (
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        )
        yield from _remark(record, Remark(due, "Warning", "TooManyMissedTimes", message))
    if record.active and spec.concurrency_policy == "Forbid":
        message = "Not starting job because prior execution is running and concurrency policy is Forbid"
        yield from _remark(record, Remark(due, "Normal", "JobAlreadyActive", message))
        return
    if spec.concurrency_policy == "Replace":
        yield from map(DeleteJob, record.active)
    yield StartJob(due)


def _has_come(instant: float, clock: Clock, wall: float) -> bool:
    """Whether the wall clock has reached that instant; if not, there will be another look in time."""
    return clock.reached(clock.now + min(instant - wall, LOOK_AGAIN)) if instant > wall else True


def _missed_many(record: CronRecord, wall: float) -> bool:
    """Roughly, as upstream: how often the first distance fits into the time that has passed."""
    earliest = record.created_at if record.last_schedule_time is None else record.last_schedule_time
    deadline = record.cron_job.spec.starting_deadline_seconds
    if deadline is not None:
        earliest = max(earliest, wall - deadline)
    first = record.schedule.next(earliest)
    second = None if first is None else record.schedule.next(first)
    if first is None or second is None:
        return False
    return (wall - first) // (second - first) + 1 > _MANY


def _remark(record: CronRecord, remark: Remark) -> Iterator[CronAction]:
    if record.remarks.get(remark.reason) != remark.scheduled_at:
        yield remark


def _trim_history(record: CronRecord) -> Iterator[CronAction]:
    spec = record.cron_job.spec
    for end, limit in (
        ("Complete", spec.successful_jobs_history_limit),
        ("Failed", spec.failed_jobs_history_limit),
    ):
        kept = [child for child in record.finished.values() if child.end == end]
        kept.sort(key=lambda child: child.created_at)
        yield from (DeleteJob(child.name) for child in kept[: max(len(kept) - limit, 0)])
