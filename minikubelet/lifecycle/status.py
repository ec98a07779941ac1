"""The record, read as kubectl shows it (STATUS-*). Status is computed, never kept.

`epoch` is wall seconds minus monotonic seconds: the record knows monotonic instants only, and they
become timestamps here (LOCAL-8). One fact seldom changes more than one container: of whatever a
publication has in common with the one before it, both have the same objects.
"""

from operator import is_

from minikubelet.api.meta import ObjectMeta, format_time
from minikubelet.api.pod import Container, Pod, PodSpec
from minikubelet.api.pod_status import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    HostIP,
    PodIP,
    PodStatus,
)
from minikubelet.api.values import evolve, frozen
from minikubelet.lifecycle.conditions import conditions
from minikubelet.lifecycle.phase import phase
from minikubelet.lifecycle.record import RESTARTING_ALL, ContainerRecord, ContainerRun, PodRecord
from minikubelet.lifecycle.restarts import waits_for_restart

LOOPBACK = "127.0.0.1"
POD_MESSAGE_LIMIT = 12288  # bytes, TMSG-4
LAST_SECOND = 253402300799  # 9999-12-31T23:59:59Z: RFC 3339 has no later one, a grace of 2^63-1 does


@frozen
class Publication:
    """The Pod object with its status, as the API would give it, and the record that it is made of."""

    record: PodRecord
    status: PodStatus
    pod: Pod


def publish(record: PodRecord, epoch: float, last: Publication | None = None) -> Publication:
    """`last` is an earlier publication of the same pod, under the same epoch."""
    if last is not None and last.record is record:
        return last
    status = pod_status(record, epoch, last)
    if last is None or last.record.deletion is not record.deletion:
        metadata = _metadata(record, epoch)
    elif status is last.status:
        return Publication(record, status, last.pod)
    else:
        metadata = last.pod.metadata
    return Publication(record, status, evolve(record.pod, metadata=metadata, status=status))


def _metadata(record: PodRecord, epoch: float) -> ObjectMeta:
    if record.deletion is None:
        return record.pod.metadata
    gone_at = min(epoch + record.deletion.requested_at + record.deletion.grace, LAST_SECOND)
    return evolve(
        record.pod.metadata,
        deletion_timestamp=format_time(gone_at),
        deletion_grace_period_seconds=round(record.deletion.grace),
    )


def pod_status(record: PodRecord, epoch: float, last: Publication | None = None) -> PodStatus:
    ending, spec = record.ending, record.spec
    shows_reason = ending is not None and record.finished_at is not None  # TERM-12
    if last is None:
        before = _lasting_status(record, epoch)
        statuses = [container_status(record, container, epoch) for container in spec.all_containers.values()]
    else:
        before = last.status
        told = [*before.init_container_statuses, *before.container_statuses]
        statuses = _statuses(record, epoch, last.record, told)
        if _is_told_alike(record, last.record) and all(map(is_, statuses, told)):
            return before
    return evolve(
        before,
        phase=phase(record),
        conditions=conditions(record, epoch, before.conditions),
        reason=ending.reason if ending and shows_reason else None,
        message=ending.message if ending and shows_reason else None,
        init_container_statuses=tuple(statuses[: len(spec.init_containers)]),
        container_statuses=tuple(statuses[len(spec.init_containers) :]),
    )


def _is_told_alike(now: PodRecord, then: PodRecord) -> bool:
    """Phase and conditions, of a pod whose containers are all shown alike."""
    return (
        now.answers is then.answers
        and now.ending is then.ending
        and now.finished_at is then.finished_at
        and now.passed is then.passed
    )


def _lasting_status(record: PodRecord, epoch: float) -> PodStatus:
    """What is the same from the beginning to the end."""
    return PodStatus(
        host_ip=LOOPBACK,
        host_ips=(HostIP(LOOPBACK),),
        pod_ip=LOOPBACK,
        pod_ips=(PodIP(LOOPBACK),),
        start_time=format_time(epoch + record.started_at),
        qos_class=qos_class(record.spec),
    )


def _statuses(
    record: PodRecord, epoch: float, before: PodRecord, told: list[ContainerStatus]
) -> list[ContainerStatus]:
    """`told` are those of the record `before`. A status depends on no other container's record."""
    now, then, same_ending = record.containers, before.containers, record.ending is before.ending
    if now is then and same_ending:
        return told
    containers = record.spec.all_containers
    return [
        status
        if _is_shown_alike(now[status.name], then[status.name], same_ending)
        else container_status(record, containers[status.name], epoch)
        for status in told
    ]


def _is_shown_alike(now: ContainerRecord, then: ContainerRecord, same_ending: bool) -> bool:
    """Most probes, and what happens on the way down, leave no trace in the status of a running container."""
    if now is then:
        return same_ending or now.waiting is None
    run, before = now.run, then.run
    return (
        run is not None
        and before is not None
        and run.running_at is not None
        and before.running_at is not None
        and run.is_live
        and before.is_live
        and run.attempt == before.attempt
        and run.is_started is before.is_started
        and now.is_ready is then.is_ready
        and now.last_run is then.last_run
    )


def container_status(record: PodRecord, container: Container, epoch: float) -> ContainerStatus:
    state = record.containers[container.name]
    run = state.run
    current, last = _states(record, container, epoch)
    if container.name in record.spec.plain_inits:  # INIT-8
        started = current.running is not None
        ready = current.terminated is not None and current.terminated.exit_code == 0
    else:
        started = run is not None and run.is_started
        ready = run is not None and run.is_ready
    return ContainerStatus(
        name=container.name,
        state=current,
        last_state=last,
        ready=ready,
        restart_count=state.restart_count,
        image=container.image or "",
        container_id=container_id(record.pod, container.name, run.attempt) if run else None,
        started=started,
    )


def container_id(pod: Pod, container_name: str, attempt: int) -> str:
    """STATUS-11: unique for each instance."""
    return f"process://{pod.metadata.uid}/{container_name}/{attempt}"


def _states(record: PodRecord, container: Container, epoch: float) -> tuple[ContainerState, ContainerState]:
    """STATUS-1, STATUS-2, STATUS-6: state and lastState."""
    state = record.containers[container.name]
    run, last_run = state.run, state.last_run
    if run is not None and run.is_live:
        current = _live_state(record, run, epoch)
    elif run is not None and not waits_for_restart(record, container):
        current = ContainerState(terminated=_terminated(record, container, run, epoch))
    else:
        current = ContainerState(waiting=_waiting(record, state))
        last_run = run or last_run
    if last_run is None:
        return current, _NEVER_WAS
    return current, ContainerState(terminated=_terminated(record, container, last_run, epoch))


_NEVER_WAS = ContainerState()


def _live_state(record: PodRecord, run: ContainerRun, epoch: float) -> ContainerState:
    if run.running_at is not None and run.started_at is not None:
        return ContainerState(running=ContainerStateRunning(format_time(epoch + run.started_at)))
    if run.post_start is not None and run.post_start.error is not None:  # HOOK-3
        return ContainerState(waiting=ContainerStateWaiting("PostStartHookError", run.post_start.error))
    return ContainerState(waiting=_first_waiting(record.spec))


def _waiting(record: PodRecord, state: ContainerRecord) -> ContainerStateWaiting:
    if state.waiting is not None:
        return ContainerStateWaiting(state.waiting.reason, state.waiting.message)
    if state.run is None and state.last_run is not None:  # RESTART-17
        return ContainerStateWaiting(RESTARTING_ALL)
    return _first_waiting(record.spec)


def _first_waiting(spec: PodSpec) -> ContainerStateWaiting:
    """STATUS-1."""
    return ContainerStateWaiting("PodInitializing" if spec.init_containers else "ContainerCreating")


def _terminated(
    record: PodRecord, container: Container, run: ContainerRun, epoch: float
) -> ContainerStateTerminated:
    assert run.exit_code is not None
    return ContainerStateTerminated(
        exit_code=run.exit_code,
        reason=run.reason or ("Completed" if run.exit_code == 0 else "Error"),  # STATUS-4
        message=_capped(run.message, record.spec),
        started_at=None if run.started_at is None else format_time(epoch + run.started_at),
        finished_at=None if run.finished_at is None else format_time(epoch + run.finished_at),
        container_id=container_id(record.pod, container.name, run.attempt),
    )


def _capped(message: str | None, spec: PodSpec) -> str | None:
    """TMSG-4: an even share of the pod's 12288 bytes, cut from the end."""
    if not message:
        return None
    share = POD_MESSAGE_LIMIT // len(spec.all_containers)
    return message.encode()[:share].decode(errors="ignore") if len(message) * 4 > share else message


def qos_class(spec: PodSpec) -> str:
    """Guaranteed, Burstable or BestEffort, from cpu and memory of all containers."""
    declared = [c.resources for c in spec.all_containers.values()]
    if not any(r.limits or r.requests for r in declared):
        return "BestEffort"
    from minikubelet.api.quantity import parse_quantity  # only here: most pods declare nothing

    limits, requests = [], []
    for resources in declared:
        for resource in ("cpu", "memory"):
            limit = resources.limits.get(resource, 0)
            limits.append(parse_quantity(limit).nano)
            requests.append(parse_quantity(resources.requests.get(resource, limit)).nano)
    if not any(limits) and not any(requests):
        return "BestEffort"
    return "Guaranteed" if all(limits) and limits == requests else "Burstable"
