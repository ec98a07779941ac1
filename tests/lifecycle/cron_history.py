"""A CronJob in virtual time: the plan over Jobs that take as long as they are told to."""

from datetime import UTC, datetime
from math import inf
from typing import Any, Literal

import attrs

from minikubelet.api.cron_job import CronJob, CronJobSpec, JobTemplateSpec, job_name
from minikubelet.api.cron_schedule import parse_schedule
from minikubelet.api.defaults import with_defaults
from minikubelet.api.job import Job, JobSpec
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, PodSpec, PodTemplateSpec
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.cron_plan import plan_cron
from minikubelet.lifecycle.cron_record import (
    ChildChanged,
    CronAction,
    CronChild,
    CronFact,
    CronRecord,
    DeleteJob,
    Remark,
    RetireJob,
    StartJob,
    observe_cron,
)

MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
"A Monday; where every history begins on the wall."


def cron_job(schedule: str, **spec: Any) -> CronJob:
    template = PodTemplateSpec(PodSpec((Container("c"),), restart_policy="Never"))
    job = with_defaults(Job(ObjectMeta("j"), JobSpec(template)))
    return CronJob(ObjectMeta("c"), CronJobSpec(JobTemplateSpec(job.spec), schedule=schedule, **spec))


@attrs.define
class CronHistory:
    """Monotonic time begins at 0, the wall clock at midnight; `set_clock` takes them apart.

    `lasts` is the length of each Job in seconds, `end` how each ends.
    """

    cron_job: CronJob
    lasts: float = 1.0
    end: Literal["Complete", "Failed"] = "Complete"
    now: float = 0.0
    epoch: float = MIDNIGHT
    done: list[tuple[float, CronAction]] = attrs.Factory(list)
    "Each action with the seconds since midnight on the wall."
    looks: int = 0

    record: CronRecord = attrs.field(init=False)
    _ends: dict[str, float] = attrs.field(factory=dict, init=False)
    _alarm: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        schedule = parse_schedule(self.cron_job.spec.schedule, UTC)
        self.record = CronRecord(self.cron_job, schedule, self.wall)

    @property
    def wall(self) -> float:
        return self.epoch + self.now

    def set_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock, forward or back; nobody is told."""
        self.epoch += seconds

    def tell(self, fact: CronFact) -> None:
        self.record = observe_cron(self.record, fact, self.now)
        self._look()

    def run_for(self, seconds: float) -> "CronHistory":
        until = self.now + seconds
        while (due := min(self._alarm, *self._ends.values(), inf)) <= until:
            self.now = max(self.now, due)
            for name in [name for name, end in self._ends.items() if end <= self.now]:
                self._finish(name, self._ends.pop(name))
            self._look()
        self.now = until
        return self

    def starts(self) -> list[float]:
        """When Jobs were started, seconds since midnight."""
        return [at for at, action in self.done if isinstance(action, StartJob)]

    def deletions(self) -> list[tuple[float, str]]:
        return [(at, action.name) for at, action in self.done if isinstance(action, DeleteJob)]

    def remarks(self) -> list[tuple[float, str]]:
        return [(at, action.reason) for at, action in self.done if isinstance(action, Remark)]

    def retired(self) -> list[tuple[float, str | None]]:
        return [(at, action.end) for at, action in self.done if isinstance(action, RetireJob)]

    def _finish(self, name: str, at: float) -> None:
        completed = self.epoch + at if self.end == "Complete" else None
        child = CronChild(name, created_at=0.0, end=self.end, completed_at=completed)
        known = self.record.active.get(name)
        if known is not None:
            child = attrs.evolve(child, created_at=known.created_at)
        self.record = observe_cron(self.record, ChildChanged(child), self.now)

    def _look(self) -> None:
        while True:
            self.looks += 1
            clock = Clock(self.now)
            actions = list(plan_cron(self.record, clock, self.wall))
            for action in actions:
                self.record = observe_cron(self.record, action, self.now)
                self.done.append((round(self.wall - MIDNIGHT, 3), action))
                if isinstance(action, StartJob):
                    self._ends[job_name(self.cron_job, action.scheduled_at)] = self.now + self.lasts
                elif isinstance(action, DeleteJob):
                    self._ends.pop(action.name, None)
            if not actions:
                break
        self._alarm = clock.alarm
