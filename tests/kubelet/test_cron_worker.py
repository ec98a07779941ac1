"""A CronJob with its Jobs and their pods: the shipped kubelet in virtual time.

The wall clock begins at midnight, 1 January 2024, UTC.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from minikubelet.api.codec import to_wire
from minikubelet.api.cron_job import CronJob, CronJobSpec, JobTemplateSpec
from minikubelet.api.defaults import with_defaults
from minikubelet.api.event import Event
from minikubelet.api.job import Job, JobSpec
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Pod, PodTemplateSpec
from minikubelet.kubelet.kubelet import Kubelet, Observer
from minikubelet.runtime.simulated import Script, SimulatedRuntime
from simulation import pod

MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
MINUTE, HOUR = 60.0, 3600.0


def template(**spec: Any) -> JobSpec:
    pod_spec = pod(restart_policy="Never", grace=30).spec
    return with_defaults(Job(ObjectMeta(name="j"), JobSpec(PodTemplateSpec(pod_spec), **spec))).spec


def cron_job(schedule: str, job: JobSpec | None = None, **spec: Any) -> CronJob:
    job_template = JobTemplateSpec(job or template(), ObjectMeta(labels={"team": "a"}))
    return CronJob(
        ObjectMeta(name="c"), CronJobSpec(job_template, schedule=schedule, time_zone="UTC", **spec)
    )


@attrs.define
class Told(Observer):
    events: list[Event] = attrs.Factory(list)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def told(self) -> list[tuple[float, str, str]]:
        """What was told about CronJobs: seconds since midnight, reason, message."""
        return [
            (round(event.wall_time - MIDNIGHT), event.reason, event.message)
            for event in self.events
            if event.involved_object.kind == "CronJob"
        ]


def play(story: Callable[[Kubelet, Told], Awaitable[None]], scripts: Sequence[Script]) -> SimulatedRuntime:
    """Run `story` beside a serving kubelet; it begins at midnight."""

    async def main() -> SimulatedRuntime:
        runtime = SimulatedRuntime({"main": scripts})
        observer = Told()
        kubelet = Kubelet(runtime, epoch=MIDNIGHT - runtime.now())
        kubelet.observers.append(observer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kubelet.serve)
            await story(kubelet, observer)
            nursery.cancel_scope.cancel()
        return runtime

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def names(items: Sequence[Pod] | Sequence[Job]) -> list[str]:
    return [item.metadata.name for item in items]


def minute(count: int) -> str:
    return f"c-{int(MIDNIGHT // 60) + count}"


def test_jobs_come_and_go_and_events_tell_of_it():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        kubelet.add_cron_job(cron_job("*/10 * * * *", successful_jobs_history_limit=1))
        await trio.sleep(25 * MINUTE)

        assert observer.told() == [
            (600, "SuccessfulCreate", f"Created job {minute(10)}"),
            (690, "SawCompletedJob", f"Saw completed job: {minute(10)}, condition: Complete"),
            (1200, "SuccessfulCreate", f"Created job {minute(20)}"),
            (1290, "SawCompletedJob", f"Saw completed job: {minute(20)}, condition: Complete"),
            (1290, "SuccessfulDelete", f"Deleted job {minute(10)}"),
        ]
        (reference,) = {
            event.involved_object for event in observer.events if event.reason == "SawCompletedJob"
        }
        assert (reference.api_version, reference.kind, reference.name) == ("batch/v1", "CronJob", "c")

    play(story, [Script(lasts=90)])


def test_a_job_knows_its_cron_job_and_its_pods_know_the_job():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        key = kubelet.add_cron_job(cron_job("*/10 * * * *"))
        await trio.sleep(10 * MINUTE + 1)
        (job,) = kubelet.jobs()
        (child,) = kubelet.pods()
        (owner,) = job.metadata.owner_references

        assert job.metadata.labels == {"team": "a"}
        assert (owner.kind, owner.name, owner.uid) == ("CronJob", "c", kubelet.cron_job(key).metadata.uid)
        assert child.metadata.labels["job-name"] == job.metadata.name
        assert [o.uid for o in child.metadata.owner_references] == [job.metadata.uid]

    play(story, [Script(lasts=90)])


def test_what_is_beyond_the_history_goes_with_its_pods():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        kubelet.add_cron_job(cron_job("*/10 * * * *"))
        await trio.sleep(24 * HOUR + MINUTE)

        kept = [minute(1420), minute(1430), minute(1440)]
        assert names(kubelet.jobs()) == kept
        assert [child.metadata.labels["job-name"] for child in kubelet.pods()] == kept

    runtime = play(story, [Script(lasts=5)])
    assert len([t for t in runtime.trace if t.what == "start"]) == 144


def test_the_status_names_the_active_job_with_its_uid():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        key = kubelet.add_cron_job(cron_job("*/10 * * * *"))
        await trio.sleep(20 * MINUTE + 5)
        status = to_wire(kubelet.cron_job(key))["status"]

        assert status == {
            "active": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "namespace": "default",
                    "name": minute(20),
                    "uid": kubelet.job(f"default/{minute(20)}").metadata.uid,
                }
            ],
            "lastScheduleTime": "2024-01-01T00:20:00Z",
            "lastSuccessfulTime": "2024-01-01T00:11:30Z",
        }

    play(story, [Script(lasts=90)])


def test_replace_does_not_wait_for_the_replaced_job_to_be_gone():
    """Its pods end in their own grace, beside those of the new Job; then nobody remembers it."""

    async def story(kubelet: Kubelet, observer: Told) -> None:
        kubelet.add_cron_job(cron_job("*/10 * * * *", concurrency_policy="Replace"))
        await trio.sleep(20 * MINUTE + 1)
        assert names(kubelet.jobs()) == [minute(10), minute(20)]
        assert [child.metadata.deletion_timestamp is not None for child in kubelet.pods()] == [True, False]

        await trio.sleep(20)
        assert names(kubelet.jobs()) == [minute(20)]
        assert len(kubelet.pods()) == 1
        assert [(at, reason) for at, reason, _ in observer.told()] == [
            (600, "SuccessfulCreate"),
            (1200, "SuccessfulDelete"),
            (1200, "SuccessfulCreate"),
        ]

    play(story, [Script(lasts=HOUR, term_lasts=10)])


def test_forbid_starts_again_as_soon_as_the_job_has_finished():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        kubelet.add_cron_job(cron_job("*/10 * * * *", concurrency_policy="Forbid"))
        await trio.sleep(30 * MINUTE)

    runtime = play(story, [Script(lasts=15 * MINUTE)])
    starts = [t.at for t in runtime.trace if t.what == "start"]
    assert starts[1] - starts[0] == pytest.approx(15 * MINUTE)


def test_a_failed_job_is_seen_and_kept():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        kubelet.add_cron_job(cron_job("*/10 * * * *", template(backoff_limit=0)))
        await trio.sleep(25 * MINUTE)

        assert names(kubelet.jobs()) == [minute(20)]
        assert (1201, "SawCompletedJob", f"Saw completed job: {minute(20)}, condition: Failed") in (
            observer.told()
        )

    play(story, [Script(lasts=1, exit_code=1)])


def test_a_job_that_its_time_to_live_removes_at_once_is_seen_all_the_same():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        key = kubelet.add_cron_job(cron_job("*/10 * * * *", template(ttl_seconds_after_finished=0)))
        await trio.sleep(15 * MINUTE)

        assert kubelet.jobs() == []
        assert (kubelet.removed_jobs, kubelet.removed_pods) == ([], [])  # one a minute would never end
        assert [reason for _, reason, _ in observer.told()] == ["SuccessfulCreate", "SawCompletedJob"]
        status = kubelet.cron_job(key).status
        assert status is not None and status.active == () and status.last_successful_time is not None

    play(story, [Script(lasts=1)])


def test_a_job_that_somebody_deletes_is_missing():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        kubelet.add_cron_job(cron_job("*/10 * * * *"))
        await trio.sleep(11 * MINUTE)
        kubelet.delete_job(f"default/{minute(10)}")
        await trio.sleep(MINUTE)

        assert observer.told()[1:] == [(660, "MissingJob", f"Active job went missing: {minute(10)}")]

    play(story, [Script(lasts=HOUR)])


def test_a_name_that_is_taken_is_told_and_the_next_job_is_started():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        kubelet.add_job(Job(ObjectMeta(name=minute(10)), template()))
        kubelet.add_cron_job(cron_job("*/10 * * * *"))
        await trio.sleep(20 * MINUTE + 1)

        assert [(at, reason) for at, reason, _ in observer.told()] == [
            (600, "FailedCreate"),
            (1200, "SuccessfulCreate"),
        ]
        assert names(kubelet.jobs()) == [minute(10), minute(20)]

    play(story, [Script(lasts=HOUR)])


def test_LOCAL_9_only_deletion_ends_a_schedule():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        key = kubelet.add_cron_job(cron_job("*/10 * * * *"))
        await trio.sleep(15 * MINUTE)
        assert not kubelet.is_finished
        kubelet.delete_all(5)
        began = trio.current_time()
        await kubelet.wait_until(lambda: kubelet.is_finished)

        assert trio.current_time() - began == pytest.approx(5)
        assert names(kubelet.jobs()) == [minute(10)]
        assert kubelet.cron_job(key).metadata.deletion_timestamp == "2024-01-01T00:15:00Z"
        await trio.sleep(HOUR)
        assert [reason for _, reason, _ in observer.told()] == ["SuccessfulCreate"]

    runtime = play(story, [Script(lasts=HOUR, term_lasts=HOUR)])
    assert not runtime.live


def test_LOCAL_9_a_cron_job_that_has_started_nothing_ends_at_once():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        kubelet.add_cron_job(cron_job("@yearly"))
        await trio.sleep(MINUTE / 2)
        kubelet.delete_all()
        with trio.fail_after(1):
            await kubelet.wait_until(lambda: kubelet.is_finished)

    play(story, [])


def test_two_cron_jobs_of_one_name_are_refused():
    async def story(kubelet: Kubelet, observer: Told) -> None:
        kubelet.add_cron_job(cron_job("@daily"))
        with pytest.raises(ValueError, match="cron job default/c exists"):
            kubelet.add_cron_job(cron_job("@daily"))

    play(story, [])


@pytest.mark.parametrize(
    ("schedule", "fields", "expected"),
    [
        ("30 0 * * *", {}, "starts first in 30m, at 2024-01-01 00:30:00+00:00"),
        ("@every 1h", {}, "starts first in 60m"),
        (
            "@every 20s",
            {},
            "starts at most one Job a minute, which is what Jobs are named after, first in 20s",
        ),
        ("@daily", {"suspend": True}, "is suspended and starts nothing"),
        ("0 0 30 2 *", {}, "has a schedule that never comes round"),
    ],
)
def test_the_outlook_says_what_to_expect(schedule, fields, expected):
    async def story(kubelet: Kubelet, observer: Told) -> None:
        assert kubelet.outlook(kubelet.add_cron_job(cron_job(schedule, **fields))) == expected

    play(story, [])
