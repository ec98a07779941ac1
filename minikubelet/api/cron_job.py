"""CronJob and its status as frozen types, and the Job that it makes at a scheduled time."""

from datetime import UTC, datetime

from minikubelet.api.cron_schedule import find_zone
from minikubelet.api.event import ObjectReference
from minikubelet.api.job import Job, JobSpec
from minikubelet.api.meta import ObjectMeta, OwnerReference, format_time
from minikubelet.api.values import Factory, frozen

SCHEDULED_KEY = "batch.kubernetes.io/cronjob-scheduled-timestamp"


@frozen
class JobTemplateSpec:
    spec: JobSpec
    metadata: ObjectMeta = Factory(ObjectMeta)


@frozen
class CronJobSpec:
    job_template: JobTemplateSpec
    schedule: str = ""
    time_zone: str | None = None
    starting_deadline_seconds: int | None = None
    concurrency_policy: str = "Allow"
    suspend: bool = False
    successful_jobs_history_limit: int = 3
    failed_jobs_history_limit: int = 1


@frozen
class CronJobStatus:
    active: tuple[ObjectReference, ...] = ()
    last_schedule_time: str | None = None
    last_successful_time: str | None = None


@frozen
class CronJob:
    metadata: ObjectMeta
    spec: CronJobSpec
    status: CronJobStatus | None = None
    api_version: str = "batch/v1"
    kind: str = "CronJob"

    @property
    def key(self) -> str:
        """`namespace/name`, unique among the CronJobs of one run."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


def job_name(cron_job: CronJob, scheduled_at: float) -> str:
    """NAME-<minutes since the Unix epoch>: a scheduled time has one Job, and so has a minute."""
    return f"{cron_job.metadata.name}-{int(scheduled_at // 60)}"


def job_at(cron_job: CronJob, scheduled_at: float) -> Job:
    """The Job for a scheduled time, in seconds since the Unix epoch (`getJobFromTemplate2`)."""
    template = cron_job.spec.job_template
    meta = cron_job.metadata
    time = _time_in(cron_job.spec.time_zone, scheduled_at)
    owner = OwnerReference(
        "batch/v1", "CronJob", meta.name, meta.uid, controller=True, block_owner_deletion=True
    )
    metadata = ObjectMeta(
        name=job_name(cron_job, scheduled_at),
        namespace=meta.namespace,
        labels=template.metadata.labels,
        annotations={**template.metadata.annotations, SCHEDULED_KEY: time},
        owner_references=(owner,),
    )
    return Job(metadata, template.spec)


def _time_in(zone: str | None, instant: float) -> str:
    """RFC 3339 with whole seconds, in UTC where there is no timeZone, whatever the schedule goes by."""
    there = datetime.fromtimestamp(int(instant), find_zone(zone) if zone else UTC)
    return there.isoformat() if there.utcoffset() else format_time(instant)
