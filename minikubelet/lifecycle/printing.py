"""Pods, Jobs and CronJobs as `kubectl get` prints them (PRINT-*).

Pure: reads nothing but a published object and the wall clock's seconds it is given. What a row says
is what a cluster's user would see, quirks included, because that is the vocabulary people look up.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from minikubelet.api.job import Job
from minikubelet.api.pod import Pod
from minikubelet.api.pod_status import ContainerState, ContainerStatus, PodStatus
from minikubelet.api.values import frozen

if TYPE_CHECKING:
    from minikubelet.api.cron_job import CronJob

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_YEAR = 365 * _DAY


@frozen
class PodRow:
    """The cells of `kubectl get pods`."""

    name: str
    ready: str
    status: str
    restarts: str
    age: str


@frozen
class JobRow:
    """The cells of `kubectl get jobs`."""

    name: str
    status: str
    completions: str
    duration: str
    age: str


@frozen
class CronJobRow:
    """The cells of `kubectl get cronjobs`."""

    name: str
    schedule: str
    timezone: str
    suspend: str
    active: str
    last_schedule: str
    age: str


def pod_row(pod: Pod, now: float) -> PodRow:
    """One pod's line; `now` is in seconds since the Unix epoch."""
    status = pod.status or PodStatus()
    initializing = _initializing(pod, status)
    begun = initializing is None or _is_true(status, "Initialized")  # PRINT-4

    inits, mains = status.init_container_statuses, status.container_statuses
    sidecars = [s for s in inits if s.name in pod.spec.sidecars]
    ready = sum(bool(s.started and s.ready) for s in sidecars)
    ready += sum(bool(m.state.running and m.ready) for m in mains)
    return PodRow(
        name=pod.metadata.name,
        ready=f"{ready}/{len(pod.spec.containers) + len(pod.spec.sidecars)}",  # PRINT-1
        status=_status_word(pod, status, initializing, begun),
        restarts=_restarts([*sidecars, *mains] if begun else inits, now),
        age=_age(pod.metadata.creation_timestamp, now),
    )


def _initializing(pod: Pod, status: PodStatus) -> str | None:
    """PRINT-3: what initialization is waiting for, None once it waits for nothing."""
    for index, entry in enumerate(status.init_container_statuses):
        terminated, waiting = entry.state.terminated, entry.state.waiting
        if terminated and terminated.exit_code == 0:
            continue
        if entry.name in pod.spec.sidecars and entry.started:
            continue
        if terminated:
            return f"Init:{_ending(entry.state)}"
        if waiting and waiting.reason and waiting.reason != "PodInitializing":
            return f"Init:{waiting.reason}"
        return f"Init:{index}/{len(pod.spec.init_containers)}"
    return None


def _status_word(pod: Pod, status: PodStatus, initializing: str | None, begun: bool) -> str:
    word = initializing or status.reason or status.phase  # PRINT-2
    if begun:
        for main in reversed(status.container_statuses):  # PRINT-4: the first main has the last word
            if main.state.waiting and main.state.waiting.reason:
                word = main.state.waiting.reason
            elif main.state.terminated:
                word = _ending(main.state)
        if word == "Completed" and any(m.ready and m.state.running for m in status.container_statuses):
            word = "Running" if _is_true(status, "Ready") else "NotReady"  # PRINT-5
    if pod.metadata.deletion_timestamp and status.phase not in ("Succeeded", "Failed"):
        return "Terminating"  # PRINT-6
    return word


def _ending(state: ContainerState) -> str:
    """Reason of a termination, or what stands in for one."""
    assert state.terminated
    if state.terminated.reason:
        return state.terminated.reason
    if state.terminated.signal:
        return f"Signal:{state.terminated.signal}"
    return f"ExitCode:{state.terminated.exit_code}"


def _restarts(statuses: Iterable[ContainerStatus], now: float) -> str:
    """PRINT-7: the sum, and how long ago the instance before the newest one ended."""
    count, ended = 0, list[float]()
    for status in statuses:
        count += status.restart_count
        if status.last_state.terminated and status.last_state.terminated.finished_at:
            ended.append(parse_time(status.last_state.terminated.finished_at))
    return f"{count} ({human_duration(now - max(ended))} ago)" if count and ended else str(count)


def job_row(job: Job, now: float) -> JobRow:
    """PRINT-10: one Job's line; `now` is in seconds since the Unix epoch."""
    spec, status = job.spec, job.status
    succeeded = status.succeeded if status else 0
    if spec.completions is not None:
        completions = f"{succeeded}/{spec.completions}"
    elif (spec.parallelism or 0) > 1:
        completions = f"{succeeded}/1 of {spec.parallelism}"
    else:
        completions = f"{succeeded}/1"

    duration = ""
    if status and status.start_time:
        end = parse_time(status.completion_time) if status.completion_time else now
        duration = human_duration(end - parse_time(status.start_time))
    return JobRow(
        job.metadata.name,
        _job_word(job),
        completions,
        duration,
        _age(job.metadata.creation_timestamp, now),
    )


def cron_job_row(cron_job: "CronJob", now: float) -> CronJobRow:
    """One CronJob's line; `now` is in seconds since the Unix epoch."""
    spec, status = cron_job.spec, cron_job.status
    last = status.last_schedule_time if status else None
    return CronJobRow(
        cron_job.metadata.name,
        spec.schedule,
        spec.time_zone or "<none>",
        str(spec.suspend),
        str(len(status.active) if status else 0),
        _age(last, now) if last else "<none>",
        _age(cron_job.metadata.creation_timestamp, now),
    )


def _job_word(job: Job) -> str:
    conditions = job.status.conditions if job.status else ()
    true = {c.type for c in conditions if c.status == "True"}
    for condition in ("Complete", "Failed"):
        if condition in true:
            return condition
    if job.metadata.deletion_timestamp:
        return "Terminating"
    for condition in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if condition in true:
            return condition
    return "Running"


def human_duration(seconds: float) -> str:
    """PRINT-9: a length in the two or three figures that kubectl gives it.

    Thresholds are those of `k8s.io/apimachinery/pkg/util/duration.HumanDuration`. A length just below
    zero, as clocks that disagree a little produce, reads `0s`.
    """
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 2 * _MINUTE:
        return f"{max(whole, 0)}s"
    if whole < 10 * _MINUTE:
        return _two_units(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _two_units(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _two_units(whole, _DAY, "d", _HOUR, "h")
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _two_units(whole, _YEAR, "y", _DAY, "d")
    return f"{whole // _YEAR}y"


def _two_units(whole: int, large: int, large_name: str, small: int, small_name: str) -> str:
    rest = whole % large // small
    return f"{whole // large}{large_name}" + (f"{rest}{small_name}" if rest else "")


def _age(created: str | None, now: float) -> str:
    return human_duration(now - parse_time(created)) if created else "<unknown>"


def parse_time(text: str) -> float:
    """RFC 3339 text as published, in seconds since the Unix epoch."""
    return datetime.fromisoformat(text).timestamp()


def _is_true(status: PodStatus, condition: str) -> bool:
    return any(c.type == condition and c.status == "True" for c in status.conditions)
