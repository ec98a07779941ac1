"""Refuses CronJobs that the API server would refuse. Imported when there is one."""

from datetime import UTC

from minikubelet.api.cron_job import CronJob, CronJobSpec
from minikubelet.api.cron_schedule import find_zone, parse_schedule
from minikubelet.api.errors import shown
from minikubelet.api.rules import Complaint, Complaints, at_least, invalid, one_of, required, unsupported
from minikubelet.api.validation import validate_meta
from minikubelet.api.validation_jobs import validate_job_spec


def validate_cron_job(cron_job: CronJob) -> list[Complaint]:
    meta, spec = cron_job.metadata, cron_job.spec
    found = list(validate_meta(meta))
    if len(meta.name) > 52:  # the Job's name adds eleven characters and becomes a label of its pods
        found.append(("metadata.name", invalid(meta.name, "must be no more than 52 characters")))
    found += _validate_schedule(spec)
    found += one_of("spec.concurrencyPolicy", spec.concurrency_policy, ("Allow", "Forbid", "Replace"))
    for field, number in (
        ("startingDeadlineSeconds", spec.starting_deadline_seconds),
        ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
        ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
    ):
        found += at_least(0, f"spec.{field}", number)
    if spec.job_template.spec.manual_selector:  # each Job gets one of its own
        where = "spec.jobTemplate.spec.manualSelector"
        found.append((where, unsupported("true", ("nil", "false"))))
    found += validate_job_spec(spec.job_template.spec, "spec.jobTemplate.spec", "")
    return found


def _validate_schedule(spec: CronJobSpec) -> Complaints:
    schedule = spec.schedule
    if not schedule:
        yield "spec.schedule", required()
    elif "TZ" in schedule:
        why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        if spec.time_zone is not None:
            why = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
        yield "spec.schedule", invalid(schedule, why)
    else:
        try:
            parse_schedule(schedule, UTC)
        except ValueError as error:
            yield "spec.schedule", invalid(schedule, shown(str(error)))
    if spec.time_zone is not None:
        try:
            find_zone(spec.time_zone)
        except ValueError as error:
            yield "spec.timeZone", invalid(spec.time_zone, shown(str(error)))
