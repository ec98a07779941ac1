"""CronJobs as they are read, refused, and made into Jobs."""

import io

import pytest

from minikubelet.api.codec import to_wire
from minikubelet.api.cron_job import job_at
from minikubelet.api.errors import ManifestError
from minikubelet.api.manifest import load

CRON_JOB = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: ns}
spec:
  schedule: "@daily"
  jobTemplate:
    metadata: {labels: {team: a}, annotations: {note: x}}
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: c}]}}}
"""


def read(text=CRON_JOB):
    (loaded,) = load(["-"], stdin=io.StringIO(text)).cron_jobs
    return loaded.obj


def with_field(field):
    return CRON_JOB.replace("spec:\n", f"spec:\n  {field}\n", 1)


def faults(text):
    with pytest.raises(ManifestError) as caught:
        load(["-"], stdin=io.StringIO(text))
    return [(error.path, error.message) for error in caught.value.errors]


def test_what_is_not_said_is_defaulted():
    spec = read(with_field('concurrencyPolicy: ""')).spec

    assert spec.concurrency_policy == "Allow"
    assert (spec.successful_jobs_history_limit, spec.failed_jobs_history_limit) == (3, 1)
    assert spec.suspend is False
    assert spec.job_template.spec.completions == 1


def test_a_job_is_named_after_the_minute_and_carries_what_the_template_says():
    meta = job_at(read(), 1_700_000_040.0).metadata
    (owner,) = meta.owner_references

    assert meta.name == "nightly-28333334"
    assert meta.namespace == "ns"
    assert meta.labels == {"team": "a"}
    assert meta.annotations == {
        "note": "x",
        "batch.kubernetes.io/cronjob-scheduled-timestamp": "2023-11-14T22:14:00Z",
    }
    assert (owner.api_version, owner.kind, owner.name) == ("batch/v1", "CronJob", "nightly")
    assert owner.controller is True and owner.block_owner_deletion is True


def test_the_scheduled_time_is_written_in_the_time_zone_of_the_cron_job():
    job = job_at(read(with_field("timeZone: Asia/Kolkata")), 1_700_000_040.0)

    assert job.metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] == (
        "2023-11-15T03:44:00+05:30"
    )


def test_a_history_limit_of_zero_is_published():
    wire = to_wire(read(with_field("failedJobsHistoryLimit: 0")))

    assert wire["spec"]["failedJobsHistoryLimit"] == 0
    assert wire["spec"]["jobTemplate"]["metadata"] == {"labels": {"team": "a"}, "annotations": {"note": "x"}}


@pytest.mark.parametrize(
    ("field", "path", "message"),
    [
        (
            "concurrencyPolicy: Never",
            "spec.concurrencyPolicy",
            'Unsupported value: "Never": supported values: "Allow", "Forbid", "Replace"',
        ),
        (
            "startingDeadlineSeconds: -1",
            "spec.startingDeadlineSeconds",
            "Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "successfulJobsHistoryLimit: -1",
            "spec.successfulJobsHistoryLimit",
            "Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "failedJobsHistoryLimit: -1",
            "spec.failedJobsHistoryLimit",
            "Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "timeZone: Mars/Olympus",
            "spec.timeZone",
            'Invalid value: "Mars/Olympus": unknown time zone Mars/Olympus',
        ),
        ('timeZone: ""', "spec.timeZone", 'Invalid value: "": timeZone must be nil or non-empty string'),
        (
            "timeZone: local",
            "spec.timeZone",
            'Invalid value: "local": timeZone must be an explicit time zone as defined in '
            "https://www.iana.org/time-zones",
        ),
    ],
)
def test_what_is_refused_and_in_which_words(field, path, message):
    assert faults(with_field(field)) == [(path, message)]


@pytest.mark.parametrize("prefix", ["TZ", "CRON_TZ"])
def test_a_zone_in_the_schedule_is_refused(prefix):
    text = CRON_JOB.replace("@daily", f"{prefix}=UTC 0 0 * * *")

    assert faults(text) == [
        (
            "spec.schedule",
            f'Invalid value: "{prefix}=UTC 0 0 * * *": cannot use TZ or CRON_TZ in schedule, '
            "use timeZone field instead",
        )
    ]


def test_a_name_leaves_room_for_the_minute():
    assert read(CRON_JOB.replace("nightly", "n" * 52))
    assert faults(CRON_JOB.replace("nightly", "n" * 53)) == [
        ("metadata.name", f'Invalid value: "{"n" * 53}": must be no more than 52 characters')
    ]


def test_each_job_selects_its_own_pods():
    text = CRON_JOB.replace("spec: {template:", "spec: {manualSelector: true, template:")

    assert [path for path, _ in faults(text)] == ["spec.jobTemplate.spec.manualSelector"]


def test_the_job_template_is_looked_at_too():
    assert [
        path for path, _ in faults(CRON_JOB.replace("restartPolicy: Never", "restartPolicy: Always"))
    ] == ["spec.jobTemplate.spec.template.spec.restartPolicy"]
