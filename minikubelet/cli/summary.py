"""How a run ended: the tables of kubectl, why pods failed, and the exit code.

Pure: reads published objects only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from signal import NSIG, SIGKILL, SIGTERM
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from minikubelet.api.job import Job
from minikubelet.api.pod import Pod
from minikubelet.api.pod_status import ContainerStateTerminated, ContainerStatus
from minikubelet.cli.ending import Ending
from minikubelet.cli.table import rows_table
from minikubelet.lifecycle.printing import cron_job_row, job_row, parse_time, pod_row
from minikubelet.lifecycle.termination import signal_name
from minikubelet.lifecycle.verdicts import (
    container_verdict,
    crash_loop_verdict,
    job_verdict,
    pod_verdict,
    retry_verdict,
    volumes_verdict,
)

if TYPE_CHECKING:
    from minikubelet.api.cron_job import CronJob

MOST_FAILURES = 10  # pods that are explained; a Job can leave hundreds behind


# ------------------------------------------------------------------------------------ for people


def result_lines(
    pods: Sequence[Pod], jobs: Sequence[Job], now: float, cron_jobs: "Sequence[CronJob]" = ()
) -> list[str]:
    """The tables of `kubectl get pods`, `jobs` and `cronjobs`, each after an empty line."""
    lines: list[str] = []
    if pods:
        lines += ["", *rows_table([pod_row(p, now) for p in pods], _namespaces(pods))]
    if jobs:
        lines += ["", *rows_table([job_row(j, now) for j in jobs], _namespaces(jobs))]
    if cron_jobs:
        lines += ["", *rows_table([cron_job_row(c, now) for c in cron_jobs], _namespaces(cron_jobs))]
    return lines


def _namespaces(items: "Sequence[Pod] | Sequence[Job] | Sequence[CronJob]") -> list[str]:
    """Of each item; empty where all are the same and it need not be said."""
    names = [item.metadata.namespace for item in items]
    return names if len(set(names)) > 1 else []


def failure_lines(
    pods: Sequence[Pod],
    tail: Callable[[str, str], list[bytes]],
    killed: Callable[[str, str], str] | None = None,
) -> list[str]:
    """For each pod that failed by itself: by what rule, which container, how, and its last words.

    For a pod's key and a container's name, `tail` gives the last log lines, and `killed` tells why we
    killed it, empty if we have not.
    """
    failed = [pod for pod in pods if _is_failed(pod)]
    lines: list[str] = []
    for pod in failed[:MOST_FAILURES]:
        name = pod.key if _namespaces(pods) else pod.metadata.name
        lines += ["", *_failure(name, pod, tail, killed)]
    if len(failed) > MOST_FAILURES:
        lines += ["", f"{len(failed) - MOST_FAILURES} more pods failed."]
    return lines


def job_failure_lines(
    jobs: Sequence[Job], pods: Sequence[Pod] = (), tail: Callable[[str, str], list[bytes]] | None = None
) -> list[str]:
    """For each Job that failed: by what rule, and what kept crashing in the pods that went with it.

    With restartPolicy OnFailure a failed Job deletes its pods (JOB-12), so that they did not fail themselves.
    """
    lines = []
    for job in jobs:
        for condition in job.status.conditions if job.status else ():
            if condition.type == "Failed" and condition.status == "True":
                name = job.key if _namespaces(jobs) else job.metadata.name
                why = ": ".join(filter(None, (condition.reason, condition.message)))
                lines += ["", f"Job {name} failed: {why}"]
                failed_alone = sum(_is_failed(pod) for pod in _pods_of(job, pods))
                verdict = job_verdict(job, condition.reason, failed_alone)
                lines += [f"  {verdict}"] if verdict else []
                deleted = (pod for pod in _pods_of(job, pods) if pod.metadata.deletion_timestamp)
                crashed = [line for pod in deleted for line in _crashes(pod, tail)]
                lines += crashed[: MOST_FAILURES * 5]
    return lines


def stopped_lines(
    pods: Sequence[Pod],
    jobs: Sequence[Job],
    tail: Callable[[str, str], list[bytes]],
    unprepared: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """For each pod that was stopped between a failure and the next try: what would have gone on and on.

    `unprepared` has, by its key, what was wrong with the volumes of a pod that never got them.
    `job_failure_lines` tells of those that a Job has stopped because it failed.
    """
    told = {pod.metadata.uid for job in jobs if _has_failed(job) for pod in _pods_of(job, pods)}
    stopped = [pod for pod in pods if pod.metadata.deletion_timestamp and pod.metadata.uid not in told]
    failing = [(pod, lines) for pod in stopped if (lines := list(_failing(pod, tail, unprepared)))]
    found: list[str] = []
    for pod, lines in failing[:MOST_FAILURES]:
        name = pod.key if _namespaces(pods) else pod.metadata.name
        found += ["", f"Pod {name} was stopped while it failed:", *lines]
    return found


def _failing(
    pod: Pod, tail: Callable[[str, str], list[bytes]], unprepared: Mapping[str, str]
) -> Iterator[str]:
    """Volumes and containers that could not be made, and containers that had crashed, not for the first time,
    when the pod was deleted."""
    assert pod.status and pod.metadata.deletion_timestamp
    if pod.key in unprepared:
        yield f"  {unprepared[pod.key]}"
        yield f"    {volumes_verdict()}"
    grace = pod.metadata.deletion_grace_period_seconds or 0
    deleted_at = parse_time(pod.metadata.deletion_timestamp) - grace
    for status in _judged(pod):
        ended, waiting = status.state.terminated, status.state.waiting
        container = pod.spec.all_containers[status.name]
        if waiting and waiting.message and waiting.reason != "CrashLoopBackOff":
            yield f"  {status.name}: {waiting.reason}: {waiting.message}"
            yield f"    {retry_verdict()}"
        elif (
            ended is not None
            and ended.finished_at
            and ended.exit_code not in (0, 128 + SIGTERM)
            and status.restart_count
            and parse_time(ended.finished_at) <= deleted_at
        ):
            yield f"  {status.name} (attempt {status.restart_count + 1}): {termination_text(ended)}"
            yield f"    {crash_loop_verdict(pod, container)}"
            yield from (f"    | {line.decode(errors='replace')}" for line in tail(pod.key, status.name))


def _has_failed(job: Job) -> bool:
    return any(
        c.type == "Failed" and c.status == "True" for c in (job.status.conditions if job.status else ())
    )


def _pods_of(job: Job, pods: Sequence[Pod]) -> list[Pod]:
    uid = job.metadata.uid
    return [pod for pod in pods if any(owner.uid == uid for owner in pod.metadata.owner_references)]


def _is_failed(pod: Pod) -> bool:
    """By itself: what we delete ends as it may."""
    return bool(pod.status and pod.status.phase == "Failed" and not pod.metadata.deletion_timestamp)


def _crashes(pod: Pod, tail: Callable[[str, str], list[bytes]] | None) -> Iterator[str]:
    for status in _judged(pod):
        last = status.last_state.terminated
        if last is not None and last.exit_code != 0:
            times = f"restarted {status.restart_count} time{'s' * (status.restart_count > 1)}"
            yield f"  {pod.metadata.name}/{status.name}: {times}, before that {termination_text(last)}"
            said = tail(pod.key, status.name) if tail else []
            yield from (f"    | {line.decode(errors='replace')}" for line in said)


def _failure(
    name: str,
    pod: Pod,
    tail: Callable[[str, str], list[bytes]],
    killed: Callable[[str, str], str] | None,
) -> Iterator[str]:
    yield f"Pod {name} failed: {pod_verdict(pod)}"
    for status in _judged(pod):
        ended = status.state.terminated
        if ended is None or ended.exit_code == 0:
            continue
        attempt = f" (attempt {status.restart_count + 1})" if status.restart_count else ""
        why = killed(pod.key, status.name) if killed else ""
        if killed and not why and ended.exit_code == 128 + SIGKILL and ended.reason == "Error":
            why = _KILLED_BY_OTHERS
        yield f"  {status.name}{attempt}: {termination_text(ended)}{f' ({why})' * bool(why)}"
        if verdict := container_verdict(pod, pod.spec.all_containers[status.name]):
            yield f"    {verdict}"
        said = tail(pod.key, status.name)
        message = ended.message.strip() if ended.message else ""
        if message and message.splitlines()[-1].encode() not in said:
            yield from (f"    message: {line}" for line in message.splitlines()[-5:])
        yield from (f"    | {line.decode(errors='replace')}" for line in said)


_KILLED_BY_OTHERS = "not by minikubelet: by itself, by somebody, or by the kernel for want of memory"


def _judged(pod: Pod) -> Iterator[ContainerStatus]:
    """Those that a pod can fail by: sidecars cannot make it fail (SIDE-17)."""
    assert pod.status
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        if status.name not in pod.spec.sidecars:
            yield status


def lost_logs_lines(ending: Ending) -> list[str]:
    """A line for each container, and one for all those that would be too many."""
    most = sorted(ending.lost_logs.items(), key=lambda item: -item[1])
    lines = [f"logs: {lost} bytes of {name} could not be written" for name, lost in most[:MOST_FAILURES]]
    if rest := most[MOST_FAILURES:]:
        lost = sum(count for _, count in rest)
        lines.append(f"logs: {lost} bytes of {len(rest)} more containers could not be written")
    return lines


_SHELL_CODES = {126: "a shell's word for: cannot be executed", 127: "a shell's word for: command not found"}


def termination_text(ended: ContainerStateTerminated) -> str:
    """`exit code 137: killed by SIGKILL`; the reason too where it is more than Completed or Error."""
    text = f"exit {exit_text(ended.exit_code)}"
    if ended.exit_code in _SHELL_CODES:
        text += f" ({_SHELL_CODES[ended.exit_code]})"
    if ended.reason and ended.reason not in ("Completed", "Error"):
        text += f", {ended.reason}"
    return text


def exit_text(code: int) -> str:
    """An exit code, and the signal it stands for (STATUS-5)."""
    if not 128 < code < 128 + NSIG:
        return f"code {code}"
    how = "killed" if code == 128 + SIGKILL else "ended"
    return f"code {code}: {how} by {signal_name(code - 128)}"


def unfinished_lines(pods: Sequence[Pod], jobs: Sequence[Job], now: float) -> list[str]:
    """What a time limit has cut short, and what each of it was waiting for."""
    lines = []
    for pod in pods:
        if pod.status and pod.status.phase in ("Succeeded", "Failed"):
            continue
        name = pod.key if _namespaces(pods) else pod.metadata.name
        statuses = [s for s in _statuses(pod) if not _only_waits_for_others(s)] or _statuses(pod)
        waits = [f"{s.name} {text}" for s in statuses if (text := _unfinished(pod, s))]
        lines.append(f"pod {name} is {pod_row(pod, now).status}: {', '.join(waits)}")
    for job in jobs:
        row = job_row(job, now)
        if row.status not in ("Complete", "Failed"):
            lines.append(f"job {row.name} is {row.status}, {row.completions} completions")
    return lines


def _statuses(pod: Pod) -> tuple[ContainerStatus, ...]:
    return (*pod.status.init_container_statuses, *pod.status.container_statuses) if pod.status else ()


def _unfinished(pod: Pod, status: ContainerStatus) -> str:
    container = pod.spec.all_containers[status.name]
    if status.state.running:
        if container.startup_probe and not status.started:
            return "is running, its startupProbe has not succeeded"
        if container.readiness_probe and not status.ready:
            return "is running, not ready"
        return "is running"
    if status.state.waiting:
        last = status.last_state.terminated
        why = f", after exit {exit_text(last.exit_code)}" if last else ""
        if status.state.waiting.message and not last:
            why = f": {status.state.waiting.message}"
        return f"waits ({status.state.waiting.reason}){why}"
    return ""


def _only_waits_for_others(status: ContainerStatus) -> bool:
    return status.state.waiting is not None and status.state.waiting.reason == "PodInitializing"


# ------------------------------------------------------------------------------------ for programs


def summary_object(
    pods: Sequence[Pod],
    jobs: Sequence[Job],
    ending: Ending,
    now: float,
    cron_jobs: "Sequence[CronJob]" = (),
) -> dict[str, Any]:
    """The last object of `-o json`."""
    import attrs

    return {
        "ending": str(ending),
        "exitCode": ending.exit_code,
        **({"lostLogBytes": dict(ending.lost_logs)} if ending.lost_logs else {}),
        "pods": [
            {
                "namespace": pod.metadata.namespace,
                "phase": pod.status.phase if pod.status else "Pending",
                **attrs.asdict(pod_row(pod, now)),
            }
            for pod in pods
        ],
        "jobs": [{"namespace": job.metadata.namespace, **attrs.asdict(job_row(job, now))} for job in jobs],
        "cronJobs": [
            {
                "namespace": cron_job.metadata.namespace,
                **_camel_case(attrs.asdict(cron_job_row(cron_job, now))),
            }
            for cron_job in cron_jobs
        ],
    }


def _camel_case(cells: dict[str, str]) -> dict[str, str]:
    return {name.replace("_s", "S"): text for name, text in cells.items()}
