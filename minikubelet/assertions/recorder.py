"""Takes down what a kubelet does, so that assertions can be made about it.

An observer like the screen. Events say most of it; what no Event says (a container became ready, a pod
reached a phase) is read from the published pods whenever one has changed, and once more before an Event is
taken down, so that what made something happen always stands before it.
"""

from collections.abc import Iterator

from minikubelet.api.event import Event
from minikubelet.api.job import Job
from minikubelet.api.pod import Pod
from minikubelet.assertions.run import BEGUN, Change, ContainerLog, Run, Target, target_of
from minikubelet.kubelet.kubelet import Kubelet, Observer
from minikubelet.kubelet.pod_worker import PodWorker
from minikubelet.lifecycle.record import PodRecord


class Recorder(Observer):
    """Follows everything that `kubelet` does from now on. `log` is to be called with what containers write.

    `version` grows whenever something was taken down.
    """

    def __init__(self, kubelet: Kubelet) -> None:
        self.version = 0
        self._kubelet = kubelet
        self._history: list[Event | Change] = []
        self._logs: dict[tuple[str, str], ContainerLog] = {}
        self._workers: dict[str, PodWorker] = {}
        self._records: dict[str, PodRecord] = {}
        self._jobs: dict[str, Job] = {}
        self._true: dict[str, set[tuple[Target, str]]] = {}
        kubelet.observers.append(self)

    # -------------------------------------------------------------- what it is told

    def event(self, event: Event) -> None:
        target = target_of(event)
        if target.kind == "Pod":
            self._look_at_pod(target.key, event.monotonic_time)
        elif target.kind == "Job":
            self._look_at_job(target.key, event.monotonic_time)
        self._add(event)

    def changed(self, key: str) -> None:
        self._look_at_pod(key, self._kubelet.runtime.now())

    def log(self, pod: Pod, container: str, attempt: int, stream: str, chunk: bytes) -> None:
        log = self._logs.setdefault((pod.key, container), ContainerLog())
        log.add(self._kubelet.runtime.now(), chunk)
        self.version += 1

    # -------------------------------------------------------------- what it tells

    def run(self) -> Run:
        """The run as it stands, with everybody's status. How it ended only the caller knows."""
        for job in self._kubelet.jobs():
            self._look_at_job(job.key, self._kubelet.runtime.now())
        return self._so_far(worker.published(self._kubelet.epoch) for worker in self._workers.values())

    def glance(self) -> Run:
        """What has happened so far, without the pods' status, which takes longer."""
        return self._so_far(worker.record.pod for worker in self._workers.values())

    def _so_far(self, pods: Iterator[Pod]) -> Run:
        return Run(tuple(pods), tuple(self._jobs.values()), tuple(self._history), dict(self._logs))

    # -------------------------------------------------------------- what it sees by itself

    def _look_at_pod(self, key: str, now: float) -> None:
        worker = self._kubelet.worker(key)
        record = worker.record
        if self._records.get(key) is record:
            return
        if self._workers.get(key) is not worker:  # its name may have been another's before
            self._workers[key] = worker
            self._add(Change(record.started_at, Target("Pod", key), BEGUN))
        self._records[key] = record
        true = set(_true_of_pod(worker.published(self._kubelet.epoch)))
        if record.ending is not None and record.ending.is_final:
            true.add((Target("Pod", key), "stopping"))
        self._compare(f"Pod {key}", true, now)

    def _look_at_job(self, key: str, now: float) -> None:
        try:
            job = self._kubelet.job(key)
        except KeyError:  # it was removed after its ttlSecondsAfterFinished (JOB-28)
            return
        target = Target("Job", key)
        if key not in self._jobs:
            self._add(Change(now, target, BEGUN))
        self._jobs[key] = job
        conditions = job.status.conditions if job.status else ()
        self._compare(f"Job {key}", {(target, c.type) for c in conditions if c.status == "True"}, now)

    def _compare(self, key: str, true: set[tuple[Target, str]], now: float) -> None:
        """Take down what became true, and who is not ready any more."""
        before = self._true.get(key, set())
        for target, what in sorted(before - true, key=_inner_first):
            if what == "ready":
                self._add(Change(now, target, "unready"))
        for target, what in sorted(true - before, key=_inner_first):
            self._add(Change(now, target, what))
        self._true[key] = true

    def _add(self, item: Event | Change) -> None:
        self._history.append(item)
        self.version += 1


def _true_of_pod(pod: Pod) -> Iterator[tuple[Target, str]]:
    """Everything with a yes or no in its status, and the phase."""
    status, whole = pod.status, Target("Pod", pod.key)
    assert status is not None
    for one in (*status.init_container_statuses, *status.container_statuses):
        container = Target("Pod", pod.key, one.name)
        if one.started:
            yield container, "up"
        if one.ready:
            yield container, "ready"
    for condition in status.conditions:
        if condition.status == "True":
            yield whole, condition.type
    yield whole, status.phase
    if status.phase in ("Succeeded", "Failed"):
        yield whole, "finished"


def _inner_first(item: tuple[Target, str]) -> tuple[bool, str, bool, str]:
    """Containers before their pod, whose conditions follow from theirs, and the end of the pod last of all;
    otherwise any order that is fixed."""
    target, what = item
    return target.container is None, target.container or "", what == "finished", what
