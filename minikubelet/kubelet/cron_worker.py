"""One CronJob: observe, plan, perform, by means of Jobs that somebody else runs.

Synchronous and free of trio. It decides nothing; that is `cron_plan`'s business.
"""

from collections.abc import Callable
from datetime import datetime, tzinfo
from math import inf
from typing import Protocol

from minikubelet.api.cron_job import CronJob, job_at
from minikubelet.api.cron_schedule import (
    CalendarSchedule,
    IntervalSchedule,
    find_zone,
    local_zone,
    parse_schedule,
)
from minikubelet.api.event import EventType
from minikubelet.api.job import Job
from minikubelet.api.values import evolve
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.cron_plan import plan_cron
from minikubelet.lifecycle.cron_record import (
    ChildChanged,
    CronAction,
    CronChild,
    CronDeleted,
    CronFact,
    CronRecord,
    DeleteJob,
    Remark,
    RetireJob,
    StartJob,
    observe_cron,
    published_cron_job,
)
from minikubelet.lifecycle.printing import human_duration


class JobHost(Protocol):
    """What runs the CronJob's Jobs. Everything returns at once."""

    def add_job(self, job: Job, owner: str | None = None) -> str:
        """Run this Job of the CronJob with key `owner`, answer with its key, and from now on report its
        changes to `child_changed`. Raises ValueError if there is another Job of that name."""

    def discard_job(self, key: str) -> None:
        """Delete a Job with its pods, and forget all of it as soon as it is over."""

    def cron_child(self, key: str) -> CronChild:
        """How the Job stands right now."""

    def emit(self, obj: CronJob, event_type: EventType, reason: str, message: str) -> None: ...


class CronWorker:
    """Owns the record of one CronJob.

    Facts wait until `advance`, which is to be called soon after `is_dirty` became true, and once `alarm` has
    come. `now` tells the time in seconds on the monotonic clock, `wall` in seconds since the Unix epoch.
    `zone` is where a CronJob without timeZone lives; by default the zone of this process.
    """

    def __init__(
        self,
        cron_job: CronJob,
        host: JobHost,
        *,
        now: Callable[[], float],
        wall: Callable[[], float],
        zone: tzinfo | None = None,
    ) -> None:
        """Raises ValueError for a schedule or a timeZone that validation refuses."""
        spec = cron_job.spec
        zone = find_zone(spec.time_zone) if spec.time_zone is not None else zone or local_zone()
        self.record = CronRecord(cron_job, parse_schedule(spec.schedule, zone), wall() // 1)
        self.alarm = -inf
        "When `advance` is due even if nothing happens; inf for never."
        self._host = host
        self._now = now
        self._wall = wall
        self._facts: list[CronFact] = []
        self._changed: dict[str, None] = {}  # keys of Jobs

    @property
    def key(self) -> str:
        return self.record.cron_job.key

    @property
    def is_dirty(self) -> bool:
        return bool(self._facts or self._changed)

    @property
    def is_finished(self) -> bool:
        """Deleted. A schedule has no end, and a suspended one can be resumed."""
        return self.record.deleted_at is not None

    @property
    def outlook(self) -> str:
        """In words, when a Job is started next."""
        wall, schedule = self._wall(), self.record.schedule
        upcoming = schedule.next(wall if isinstance(schedule, CalendarSchedule) else self.record.created_at)
        if self.record.cron_job.spec.suspend:
            return "is suspended and starts nothing"
        if upcoming is None:
            return "has a schedule that never comes round"
        if isinstance(schedule, IntervalSchedule):
            often = (
                " at most one Job a minute, which is what Jobs are named after,"
                if schedule.seconds < 60
                else ""
            )
            return f"starts{often} first in {human_duration(upcoming - wall)}"
        when = datetime.fromtimestamp(upcoming, schedule.zone).isoformat(" ")
        return f"starts first in {human_duration(upcoming - wall)}, at {when}"

    def published(self, epoch: float) -> CronJob:
        return published_cron_job(self.record, epoch)

    def observe(self, fact: CronFact) -> None:
        self._facts.append(fact)

    def child_changed(self, key: str) -> None:
        """The Job may read differently now. Cheap, and harmless when it does not."""
        self._changed[key] = None

    def child_removed(self, last: CronChild) -> None:
        """The Job is there no more; `last` is how it stood."""
        self._changed.pop(f"{self.record.cron_job.metadata.namespace}/{last.name}", None)
        self.observe(ChildChanged(evolve(last, is_gone=True)))

    def delete(self) -> None:
        """Start no more Jobs."""
        self.observe(CronDeleted())
        self.advance()

    def advance(self) -> None:
        """Plan and perform until nothing is due any more; then `alarm` says when to look again."""
        while True:
            now = self._now()
            self._take_in_facts(now)
            clock = Clock(now)
            actions = list(plan_cron(self.record, clock, self._wall()))
            for action in actions:
                self.record = observe_cron(self.record, action, now)
                self._perform(action)
            if not actions and not self.is_dirty:
                break
        self.alarm = clock.alarm

    def _take_in_facts(self, now: float) -> None:
        changed, self._changed = self._changed, {}
        facts, self._facts = self._facts, []
        for fact in (*facts, *(ChildChanged(self._host.cron_child(key)) for key in changed)):
            self.record = observe_cron(self.record, fact, now)

    def _perform(self, action: CronAction) -> None:
        match action:
            case StartJob():
                self._start(job_at(self.record.cron_job, action.scheduled_at))
            case DeleteJob():
                self._host.discard_job(f"{self.record.cron_job.metadata.namespace}/{action.name}")
                self._tell("Normal", "SuccessfulDelete", f"Deleted job {action.name}")
            case RetireJob(end=None):
                self._tell("Normal", "MissingJob", f"Active job went missing: {action.name}")
            case RetireJob():
                message = f"Saw completed job: {action.name}, condition: {action.end}"
                self._tell("Normal", "SawCompletedJob", message)
            case Remark():
                self._tell(action.type, action.reason, action.message)

    def _start(self, job: Job) -> None:
        name = job.metadata.name
        try:
            self.child_changed(self._host.add_job(job, self.key))
        except ValueError as error:
            self._tell("Warning", "FailedCreate", f"Error creating job: {error}")
            self.record = observe_cron(self.record, DeleteJob(name), self._now())
        else:
            self._tell("Normal", "SuccessfulCreate", f"Created job {name}")

    def _tell(self, event_type: EventType, reason: str, message: str) -> None:
        self._host.emit(self.record.cron_job, event_type, reason, message)
