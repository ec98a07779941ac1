"""A kubelet that only answers, and streams that can be read back."""

import os
from collections.abc import Callable
from typing import Any

import attrs

from minikubelet.api.event import Event, EventType, ObjectReference
from minikubelet.api.meta import ObjectMeta, OwnerReference
from minikubelet.api.pod import Container, Pod, PodSpec
from minikubelet.api.pod_status import ContainerState, ContainerStatus, PodStatus
from minikubelet.lifecycle.record import ContainerRecord, ContainerRun, PodRecord, ProbeState, new_record
from minikubelet.lifecycle.settings import LifecycleSettings

WALL = 1_700_000_000.0
STAMP = "2023-11-14T22:13:20.000000Z"


def make_pod(name: str = "web", *containers: Container, owner: str = "", **spec: Any) -> Pod:
    owners = (OwnerReference("batch/v1", "Job", owner, "u"),) if owner else ()
    return Pod(
        ObjectMeta(name, uid="u1", creation_timestamp="2023-11-14T22:13:15Z", owner_references=owners),
        PodSpec(containers or (Container("main"),), **spec),
    )


def with_status(pod: Pod, *mains: ContainerStatus, phase: str = "Running", **status: Any) -> Pod:
    return attrs.evolve(pod, status=PodStatus(phase=phase, container_statuses=mains, **status))


def main_status(state: ContainerState, **fields: Any) -> ContainerStatus:
    return ContainerStatus("main", state, **fields)


def make_event(
    reason: str,
    message: str = "",
    container: str | None = "main",
    *,
    type: EventType = "Normal",
    kind: str = "Pod",
    count: int = 1,
) -> Event:
    path = f"spec.containers{{{container}}}" if container else None
    return Event(
        type,
        reason,
        message,
        ObjectReference(kind, "default", "web", "u1", field_path=path),
        WALL,
        1.0,
        count,
    )


@attrs.define
class FakeRuntime:
    time: float = 0.0

    def now(self) -> float:
        return self.time


@attrs.define
class FakeWorker:
    latest: PodRecord

    @property
    def is_finished(self) -> bool:
        return self.latest.finished_at is not None


def record_of(pod: Pod) -> PodRecord:
    """One that could have the status of the pod."""
    record = new_record(pod, LifecycleSettings(), 0.0)
    if pod.status is None:
        return record
    containers = record.containers
    for status in pod.status.container_statuses:
        if status.state.running is not None:
            probe = pod.spec.all_containers[status.name].readiness_probe
            probes = {} if probe is None else {"readiness": ProbeState(probe, 0.0, verdict=status.ready)}
            run = ContainerRun(0, 0.0, running_at=0.0, probes=probes)  # type: ignore[arg-type]
            containers = containers.with_one(status.name, ContainerRecord(run))
    is_over = pod.status.phase in ("Succeeded", "Failed")
    return attrs.evolve(record, containers=containers, finished_at=0.0 if is_over else None)


class FakeKubelet:
    """Holds the pods of a test; `put` replaces one."""

    def __init__(self, *pods: Pod) -> None:
        self.runtime: Any = FakeRuntime()
        self._pods: dict[str, Pod] = {}
        self._workers: dict[str, FakeWorker] = {}
        self.removed_pods: list[Pod] = []
        for pod in pods:
            self.put(pod)

    def put(self, pod: Pod, change: Callable[[PodRecord], PodRecord] = lambda record: record) -> str:
        self._pods[pod.key] = pod
        self._workers[pod.key] = FakeWorker(change(record_of(pod)))
        return pod.key

    def pod(self, key: str) -> Pod:
        return self._pods[key]

    def worker(self, key: str) -> Any:
        return self._workers[key]

    def remove(self, key: str, *, told: bool) -> None:
        """`told`: it is kept for the end."""
        pod, _ = self._pods.pop(key), self._workers.pop(key)
        self.removed_pods += [pod] * told


class Pipe:
    """A pipe whose reading end is read only when asked."""

    def __init__(self) -> None:
        self.source, self.fd = os.pipe()

    def read_all(self) -> bytes:
        """Everything up to now; to be called when the writer is closed."""
        os.close(self.fd)
        self.fd = -1
        data = b""
        while piece := os.read(self.source, 1 << 16):
            data += piece
        return data

    def close(self) -> None:
        for fd in {self.fd, self.source} - {-1}:
            os.close(fd)
