"""`kubectl get pods` and `get jobs`, rule by rule (PRINT-*)."""

import re
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.cron_job import CronJob, CronJobSpec, CronJobStatus, JobTemplateSpec
from minikubelet.api.event import ObjectReference
from minikubelet.api.job import Job, JobCondition, JobSpec, JobStatus
from minikubelet.api.meta import ObjectMeta, format_time
from minikubelet.api.pod import Container, Pod, PodSpec, PodTemplateSpec
from minikubelet.api.pod_status import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    PodCondition,
    PodStatus,
)
from minikubelet.lifecycle.printing import cron_job_row, human_duration, job_row, pod_row

NOW = 1_700_000_000.0

RUNNING = ContainerState(running=ContainerStateRunning())
NOTHING = ContainerState()


def waiting(reason: str | None) -> ContainerState:
    return ContainerState(waiting=ContainerStateWaiting(reason))


def terminated(exit_code: int, reason: str | None = None, **more: Any) -> ContainerState:
    if reason is None:
        reason = "Error" if exit_code else "Completed"
    return ContainerState(terminated=ContainerStateTerminated(exit_code, reason, **more))


def ended(seconds_ago: float) -> ContainerState:
    return terminated(1, finished_at=format_time(NOW - seconds_ago))


INITIALIZING = waiting("PodInitializing")
COMPLETED = terminated(0)
FAILED = terminated(1)


@attrs.define
class PodUnderTest:
    """A pod written down as its containers' states: name to (state, more fields of the status)."""

    inits: list[tuple[Container, ContainerStatus]] = attrs.Factory(list)
    mains: list[tuple[Container, ContainerStatus]] = attrs.Factory(list)

    def init(self, state: ContainerState, **status: Any) -> "PodUnderTest":
        return self._add(self.inits, Container(f"init-{len(self.inits)}"), state, status)

    def sidecar(self, state: ContainerState, **status: Any) -> "PodUnderTest":
        container = Container(f"sidecar-{len(self.inits)}", restart_policy="Always")
        return self._add(self.inits, container, state, status)

    def main(self, state: ContainerState, **status: Any) -> "PodUnderTest":
        return self._add(self.mains, Container(f"main-{len(self.mains)}"), state, status)

    def _add(
        self,
        where: list[tuple[Container, ContainerStatus]],
        container: Container,
        state: ContainerState,
        status: dict[str, Any],
    ) -> "PodUnderTest":
        where.append((container, ContainerStatus(container.name, state, **status)))
        return self

    def build(self, *true: str, age: float = 0, deleted: bool = False, **status: Any) -> Pod:
        """`true`: condition types that are True."""
        meta = ObjectMeta("p", creation_timestamp=format_time(NOW - age))
        if deleted:
            meta = attrs.evolve(meta, deletion_timestamp=format_time(NOW))
        spec = PodSpec(tuple(c for c, _ in self.mains), tuple(c for c, _ in self.inits))
        return Pod(
            meta,
            spec,
            PodStatus(
                conditions=tuple(PodCondition(name, "True") for name in true),
                init_container_statuses=tuple(s for _, s in self.inits),
                container_statuses=tuple(s for _, s in self.mains),
                **status,
            ),
        )


def pod() -> PodUnderTest:
    return PodUnderTest()


def status_of(built: Pod) -> str:
    return pod_row(built, NOW).status


# ------------------------------------------------------------------------------------ READY


def test_print_1_ready_counts_mains_and_sidecars_but_not_inits() -> None:
    """PRINT-1, SIDE-19: the denominator is mains + sidecars."""
    built = pod().init(COMPLETED, ready=True).sidecar(RUNNING, started=True, ready=True)
    row = pod_row(built.main(RUNNING, ready=True).main(RUNNING).build("Initialized"), NOW)

    assert row.ready == "2/3"


def test_print_1_a_ready_sidecar_counts_only_when_started() -> None:
    """PRINT-1: readiness of a sidecar that is not started does not count."""
    built = pod().sidecar(RUNNING, started=False, ready=True).main(INITIALIZING)

    assert pod_row(built.build(), NOW).ready == "0/2"


def test_print_1_a_ready_main_counts_only_while_running() -> None:
    """PRINT-1."""
    assert pod_row(pod().main(COMPLETED, ready=True).build(), NOW).ready == "0/1"


def test_a_pod_without_status_is_pending() -> None:
    """PRINT-2: nothing has happened to it yet."""
    built = attrs.evolve(pod().main(RUNNING).build(), status=None)

    assert pod_row(built, NOW).status == "Pending"
    assert pod_row(built, NOW).ready == "0/1"


# ------------------------------------------------------------------------------------ STATUS


def test_print_2_starts_as_phase() -> None:
    """PRINT-2: with nothing to say about containers, the phase."""
    assert status_of(pod().main(RUNNING).build(phase="Running")) == "Running"


def test_print_2_reason_replaces_phase() -> None:
    """PRINT-2: status.reason wins over the phase."""
    assert status_of(pod().main(NOTHING).build(phase="Failed", reason="DeadlineExceeded")) == (
        "DeadlineExceeded"
    )


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (pod().init(RUNNING).init(INITIALIZING), "Init:0/2"),
        (pod().init(COMPLETED).init(RUNNING), "Init:1/2"),
        (pod().init(COMPLETED).sidecar(RUNNING, started=False), "Init:1/2"),
        (pod().sidecar(RUNNING, started=True).init(RUNNING), "Init:1/2"),
        (pod().init(INITIALIZING), "Init:0/1"),
        (pod().init(waiting(None)), "Init:0/1"),
        (pod().init(waiting("CrashLoopBackOff")), "Init:CrashLoopBackOff"),
        (pod().init(FAILED).init(INITIALIZING), "Init:Error"),
        (pod().init(terminated(3, "")), "Init:ExitCode:3"),
        (pod().init(terminated(137, "", signal=9)), "Init:Signal:9"),
        (pod().sidecar(waiting("CrashLoopBackOff")).init(RUNNING), "Init:CrashLoopBackOff"),
    ],
)
def test_print_3_the_first_init_that_is_not_done_decides(built: PodUnderTest, expected: str) -> None:
    """PRINT-3: I is its index, N the number of all initContainers, sidecars included."""
    assert status_of(built.main(INITIALIZING).build()) == expected


def test_print_4_mains_speak_once_initialized_even_if_a_sidecar_is_down() -> None:
    """PRINT-4: a finished job is never shown as Init:Error because of its sidecar's end."""
    built = pod().sidecar(terminated(143), started=False).main(COMPLETED)

    assert status_of(built.build("Initialized", phase="Succeeded")) == "Completed"


def test_print_4_the_first_main_has_the_last_word() -> None:
    """PRINT-4: mains are read from last to first, each overriding."""
    built = pod().main(waiting("CrashLoopBackOff")).main(FAILED)

    assert status_of(built.build(phase="Running")) == "CrashLoopBackOff"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (waiting("ContainerCreating"), "ContainerCreating"),
        (waiting("PodInitializing"), "PodInitializing"),
        (terminated(1), "Error"),
        (terminated(0), "Completed"),
        (terminated(137, "OOMKilled"), "OOMKilled"),
        (terminated(3, ""), "ExitCode:3"),
        (terminated(137, "", signal=9), "Signal:9"),
    ],
)
def test_print_4_a_main_that_does_not_run_says_why(state: ContainerState, expected: str) -> None:
    """PRINT-4: waiting reason; else terminated reason, signal or exit code."""
    assert status_of(pod().main(state).build(phase="Running")) == expected


@pytest.mark.parametrize(("conditions", "expected"), [(["Ready"], "Running"), ([], "NotReady")])
def test_print_5_completed_beside_a_running_main(conditions: list[str], expected: str) -> None:
    """PRINT-5: a helper as regular container keeps a done pod NotReady."""
    built = pod().main(COMPLETED).main(RUNNING, ready=True)

    assert status_of(built.build(*conditions, phase="Running")) == expected


def test_print_5_a_running_main_that_is_not_ready_does_not_count() -> None:
    """PRINT-5: runs *and is ready*."""
    assert status_of(pod().main(COMPLETED).main(RUNNING).build(phase="Running")) == "Completed"


@pytest.mark.parametrize(
    ("phase", "expected"), [("Running", "Terminating"), ("Pending", "Terminating"), ("Failed", "Error")]
)
def test_print_6_terminating_overrides_until_the_phase_is_terminal(phase: str, expected: str) -> None:
    """PRINT-6."""
    assert status_of(pod().main(FAILED).build(deleted=True, phase=phase)) == expected


# ------------------------------------------------------------------------------------ RESTARTS


def test_print_7_during_init_all_inits_count() -> None:
    """PRINT-7: the sum over all initContainers."""
    built = pod().sidecar(RUNNING, started=True, restart_count=2).init(RUNNING, restart_count=3)

    assert pod_row(built.main(INITIALIZING).build(), NOW).restarts == "5"


def test_print_7_afterwards_sidecars_and_mains_count() -> None:
    """PRINT-7: retries of a plain init are forgotten once it is done."""
    built = pod().init(COMPLETED, restart_count=4).sidecar(RUNNING, started=True, restart_count=1)
    row = pod_row(built.main(RUNNING, restart_count=2).build("Initialized"), NOW)

    assert row.restarts == "3"


def test_print_7_says_how_long_ago_the_newest_restart_was() -> None:
    """PRINT-7: from the newest finish time of a lastState."""
    built = pod().main(RUNNING, restart_count=1, last_state=ended(300))
    row = pod_row(built.main(RUNNING, restart_count=1, last_state=ended(12)).build(), NOW)

    assert row.restarts == "2 (12s ago)"


def test_print_7_no_age_without_restarts() -> None:
    """PRINT-7: a lastState alone is no restart."""
    assert pod_row(pod().main(RUNNING, last_state=ended(12)).build(), NOW).restarts == "0"


# ------------------------------------------------------------------------------------ AGE


def test_print_9_age_is_counted_from_creation() -> None:
    """PRINT-9."""
    assert pod_row(pod().main(RUNNING).build(age=200), NOW).age == "3m20s"


MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-2, "<invalid>"),
        (-1.9, "0s"),
        (0.9, "0s"),
        (45, "45s"),
        (119.9, "119s"),
        (2 * MINUTE, "2m"),
        (3 * MINUTE + 20, "3m20s"),
        (10 * MINUTE - 1, "9m59s"),
        (10 * MINUTE + 59, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 5 * MINUTE, "3h5m"),
        (8 * HOUR - 1, "7h59m"),
        (8 * HOUR + 59 * MINUTE, "8h"),
        (2 * DAY - 1, "47h"),
        (2 * DAY, "2d"),
        (4 * DAY + 5 * HOUR, "4d5h"),
        (8 * DAY + 5 * HOUR, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (3 * YEAR + 5 * DAY, "3y5d"),
        (8 * YEAR + 300 * DAY, "8y"),
    ],
)
def test_print_9_human_duration(seconds: float, expected: str) -> None:
    """PRINT-9: thresholds of duration.HumanDuration."""
    assert human_duration(seconds) == expected


@given(st.floats(0, 100 * YEAR), st.floats(0, 100 * YEAR))
def test_print_9_human_duration_never_runs_backwards(one: float, other: float) -> None:
    """PRINT-9: what is read from the text never shrinks while the length grows."""
    units = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY, "y": YEAR}

    def read(seconds: float) -> int:
        text = human_duration(seconds)
        assert re.fullmatch(r"(\d+[smhdy]){1,2}", text)
        return sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)([smhdy])", text))

    low, high = sorted((one, other))

    assert read(low) <= read(high) <= high


# ------------------------------------------------------------------------------------ jobs


def job(status: JobStatus | None = None, deleted: bool = False, **spec: Any) -> Job:
    template = PodTemplateSpec(PodSpec((Container("c"),)))
    meta = ObjectMeta("j", creation_timestamp=format_time(NOW - 70))
    if deleted:
        meta = attrs.evolve(meta, deletion_timestamp=format_time(NOW))
    return Job(meta, JobSpec(template, **spec), status)


def conditions(*types: str) -> tuple[JobCondition, ...]:
    return tuple(JobCondition(name, "True") for name in types)


@pytest.mark.parametrize(
    ("types", "deleted", "expected"),
    [
        ([], False, "Running"),
        (["SuccessCriteriaMet"], False, "SuccessCriteriaMet"),
        (["FailureTarget"], False, "FailureTarget"),
        (["Suspended"], False, "Suspended"),
        (["Suspended"], True, "Terminating"),
        (["FailureTarget", "Failed"], True, "Failed"),
        (["SuccessCriteriaMet", "Complete"], False, "Complete"),
    ],
)
def test_print_10_job_status(types: list[str], deleted: bool, expected: str) -> None:
    """PRINT-10: precedence of a Job's conditions."""
    row = job_row(job(JobStatus(conditions=conditions(*types)), deleted), NOW)

    assert row.status == expected


def test_print_10_a_condition_that_is_false_says_nothing() -> None:
    """PRINT-10: a resumed Job keeps Suspended=False."""
    status = JobStatus(conditions=(JobCondition("Suspended", "False"),))

    assert job_row(job(status), NOW).status == "Running"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"completions": 5, "parallelism": 2}, "3/5"),
        ({"completions": None, "parallelism": 1}, "3/1"),
        ({"completions": None, "parallelism": 4}, "3/1 of 4"),
    ],
)
def test_print_10_completions(spec: dict[str, Any], expected: str) -> None:
    """PRINT-10: S/C, S/1, or S/1 of P for a work queue."""
    assert job_row(job(JobStatus(succeeded=3), **spec), NOW).completions == expected


def test_print_10_duration_ends_at_completion_or_now() -> None:
    """PRINT-10."""
    started = format_time(NOW - 60)
    running = job(JobStatus(start_time=started))
    done = job(JobStatus(start_time=started, completion_time=format_time(NOW - 50)))

    assert job_row(running, NOW).duration == "60s"
    assert job_row(done, NOW).duration == "10s"
    assert job_row(job(), NOW).duration == ""
    assert job_row(job(), NOW).age == "70s"


def test_a_cron_job_has_a_row_too() -> None:
    """As `kubectl get cronjobs`: what it has not got reads `<none>`."""
    template = JobTemplateSpec(JobSpec(PodTemplateSpec(PodSpec((Container("c"),)))))
    meta = ObjectMeta("tick", creation_timestamp=format_time(NOW - 300))
    new = CronJob(meta, CronJobSpec(template, "@hourly", suspend=True))
    active = (ObjectReference("Job", "default", "tick-1", "u"),)
    status = CronJobStatus(active, format_time(NOW - 90))
    busy = CronJob(meta, CronJobSpec(template, "0 3 * * *", "Asia/Tokyo"), status)

    cells = [" | ".join(attrs.astuple(cron_job_row(one, NOW))) for one in (new, busy)]
    assert cells == [
        "tick | @hourly | <none> | True | 0 | <none> | 5m",
        "tick | 0 3 * * * | Asia/Tokyo | False | 1 | 90s | 5m",
    ]
