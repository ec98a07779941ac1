"""Many pods, Jobs and CronJobs over one runtime: the thin loop around the workers.

Workers are synchronous. Whoever causes something (a callback of the runtime, a deletion, an alarm) marks
a worker as changed; `settle` advances the changed ones until nothing is left to do. trio only passes the
time between: one task waits for the earliest alarm of all workers, however many there are. `settle`
works without trio, so that the first containers start before it is even imported.
"""

import heapq
import os
import time
from _weakref import proxy  # the whole of weakref takes a fiftieth of a start
from collections.abc import Callable
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from minikubelet.api.event import Event, EventType
from minikubelet.api.meta import ObjectMeta, format_time
from minikubelet.api.pod import Pod
from minikubelet.api.values import evolve
from minikubelet.kubelet.pod_worker import PodWorker
from minikubelet.kubelet.recorder import EventRecorder
from minikubelet.lifecycle.facts import DeletionRequested, ReadinessGateSet
from minikubelet.lifecycle.phase import FAILED, phase
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import Runtime

if TYPE_CHECKING:
    from random import Random

    import trio

    from minikubelet.api.cron_job import CronJob
    from minikubelet.api.job import Job
    from minikubelet.kubelet.cron_worker import CronWorker
    from minikubelet.kubelet.job_worker import JobWorker
    from minikubelet.lifecycle.cron_record import CronChild
    from minikubelet.lifecycle.job_facts import JobPod

    Worker = PodWorker | JobWorker | CronWorker


class Observer:
    """Somebody who is told what happens; called synchronously, so it must be quick and not raise."""

    def accepted(self, pod: Pod) -> None:
        """The pod is there from now on; nothing of it has happened yet."""

    def event(self, event: Event) -> None:
        """An Event was recorded."""

    def requested(self, key: str, request: DeletionRequested | ReadinessGateSet) -> None:
        """Something is asked of the pod `namespace/name`, which has not taken notice yet."""

    def changed(self, key: str) -> None:
        """The pod `namespace/name` may have a new status."""

    def job_changed(self, key: str) -> None:
        """The Job `namespace/name` may have a new status."""

    def settled(self) -> None:
        """That was all for now."""


class PodEnded(Exception):
    """The pod is over, so what was waited for will not come; `pod` is its final state."""

    def __init__(self, pod: Pod) -> None:
        phase = pod.status.phase if pod.status else "unknown"
        super().__init__(f"pod {pod.key} is over, its phase is {phase}")
        self.pod = pod


class Kubelet:
    """Runs pods and Jobs until they are finished, and CronJobs until they are deleted.

    `epoch` is wall seconds minus `runtime.now()`; `random` names the pods of Jobs. CronJobs go by the wall
    clock as it is, set or not, unless an `epoch` is given.
    """

    def __init__(
        self,
        runtime: Runtime,
        settings: LifecycleSettings | None = None,
        *,
        epoch: float | None = None,
        random: "Random | None" = None,
    ) -> None:
        self.runtime = runtime
        self.settings = settings or LifecycleSettings()
        self.epoch = time.time() - runtime.now() if epoch is None else epoch
        self._wall = time.time if epoch is None else lambda: epoch + runtime.now()
        self.observers: list[Observer] = []
        self.removed_pods: list[Pod] = []
        "What JOB-28 has removed, as it was last, but not what a CronJob's history limits are for."
        self.removed_jobs: list[Job] = []
        self._random = random
        self._recorder = EventRecorder(runtime.now, self.epoch, self.observers)
        self._pods: dict[str, PodWorker] = {}
        self._jobs: dict[str, JobWorker] = {}
        self._cron_jobs: dict[str, CronWorker] = {}
        self._deleted: set[str] = set()  # pods that were asked to go
        self._successors: dict[str, Pod] = {}  # wait for the pod of their name to be gone
        self._owners: dict[str, str] = {}  # of a pod: its Job
        self._job_owners: dict[str, str] = {}  # of a Job: its CronJob
        self._discarded: set[str] = set()  # Jobs that are forgotten once they are over
        self._unfinished: set[Worker] = set()
        self._dirty: dict[Worker, None] = {}
        self._alarms: list[tuple[float, int, Worker]] = []
        self._order = count()
        self._is_settling = False
        self._armed_for = inf
        self._arm = _to_nobody
        self._marked: trio.Event | None = None
        self._waiters: list[trio.Event] = []
        self._failed_and_gone = False
        self._host = host = proxy(self)  # a worker belongs to it, and not the other way round
        self._changed: Callable[[PodWorker], None] = lambda worker: host._mark(worker)

    # ------------------------------------------------------------------ what runs here

    def add_pod(self, pod: Pod, owner: str | None = None) -> str:
        """Accept a pod (CORE-7) and return its key; it is started by the next `settle`.

        `owner` is the key of the Job that it belongs to. While a pod of that name is being deleted, the new
        one waits until it is gone (I9). Raises ValueError if the name is taken.
        """
        former = self._pods.get(pod.key)
        if former is not None:
            if pod.key not in self._deleted or pod.key in self._successors:
                raise ValueError(f"pod {pod.key} exists already")
            if not former.is_finished:
                self._successors[pod.key] = pod
                return pod.key
            self.remove_pod(pod.key)
        pod = self._with_identity(pod)
        worker = PodWorker(
            pod, self.runtime, self.settings, changed=self._changed, tell=self._recorder.tell_of_pod
        )
        self._pods[pod.key] = worker
        if owner is not None:
            self._owners[pod.key] = owner
        self._unfinished.add(worker)
        for observer in self.observers:
            observer.accepted(pod)
        self._mark(worker)
        return pod.key

    def add_job(self, job: "Job", owner: str | None = None) -> str:
        """Accept a Job and return its key. `owner` is the key of the CronJob that it belongs to.

        Raises ValueError if the name is taken.
        """
        from minikubelet.kubelet.job_worker import JobWorker

        if job.key in self._jobs:
            raise ValueError(f"job {job.key} exists already")
        metadata = self._with_metadata(job.metadata)
        job = evolve(job, metadata=metadata)
        worker = JobWorker(job, self._host, self.settings, self._random, now=self.runtime.now)
        self._jobs[job.key] = worker
        if owner is not None:
            self._job_owners[job.key] = owner
        self._unfinished.add(worker)
        self._mark(worker)
        return job.key

    def add_cron_job(self, cron_job: "CronJob") -> str:
        """Accept a CronJob and return its key; it starts Jobs until it is deleted.

        Raises ValueError if the name is taken, or for a schedule that validation refuses.
        """
        from minikubelet.kubelet.cron_worker import CronWorker

        if cron_job.key in self._cron_jobs:
            raise ValueError(f"cron job {cron_job.key} exists already")
        cron_job = evolve(cron_job, metadata=self._with_metadata(cron_job.metadata))
        worker = CronWorker(cron_job, self._host, now=self.runtime.now, wall=self._wall)
        self._cron_jobs[cron_job.key] = worker
        self._unfinished.add(worker)
        self._mark(worker)
        return cron_job.key

    def delete_pod(self, key: str, grace_seconds: int | None = None) -> None:
        """TERM-4. A second deletion can only shorten the grace."""
        self._request(self._pods[key], DeletionRequested(grace_seconds))

    def delete_job(self, key: str, grace_seconds: int | None = None) -> None:
        """Delete a Job and its pods; none is replaced."""
        worker = self._jobs[key]
        worker.delete()
        if grace_seconds is not None:
            for pod_key in worker.pod_keys:
                if pod_key in self._pods:
                    self.delete_pod(pod_key, grace_seconds)
        if key in self._jobs:
            self._mark(worker)

    def delete_cron_job(self, key: str, grace_seconds: int | None = None) -> None:
        """Delete a CronJob and the Jobs it has; no more are started."""
        worker = self._cron_jobs[key]
        worker.delete()
        self._mark(worker)
        for job_key in [job_key for job_key, owner in self._job_owners.items() if owner == key]:
            self.delete_job(job_key, grace_seconds)

    def delete_all(self, grace_seconds: int | None = None) -> None:
        """LOCAL-9: what a signal to the supervisor means."""
        for key in self._cron_jobs:
            self.delete_cron_job(key, grace_seconds)
        for key in list(self._jobs):
            self.delete_job(key, grace_seconds)
        for worker in self._pods.values():
            self._request(worker, DeletionRequested(grace_seconds))

    def set_readiness_gate(self, key: str, condition_type: str, status: bool) -> None:
        """COND-7: the part of a readinessGate's own controller."""
        self._request(self._pods[key], ReadinessGateSet(condition_type, status))

    def _request(self, worker: PodWorker, request: DeletionRequested | ReadinessGateSet) -> None:
        if isinstance(request, DeletionRequested):
            self._deleted.add(worker.key)
            self._successors.pop(worker.key, None)
        for observer in self.observers:
            observer.requested(worker.key, request)
        worker.observe(request)

    @property
    def has_failed(self) -> bool:
        """A pod of its own is Failed, or a Job is. A Job's pods only count through their Job."""
        pods = (worker for key, worker in self._pods.items() if key not in self._owners)
        return (
            self._failed_and_gone
            or any(phase(worker.latest) == FAILED for worker in pods)
            or any(_is_failed(worker) for worker in self._jobs.values())
        )

    @property
    def is_finished(self) -> bool:
        """Every pod is over, every Job complete, failed or deleted, every CronJob deleted."""
        return not self._unfinished

    # ------------------------------------------------------------------ what can be read

    def wall(self) -> float:
        """Seconds since the Unix epoch by the clock as it was when we began, like all that is published: so
        ages and durations are right whatever becomes of the clock."""
        return self.epoch + self.runtime.now()

    def pod(self, key: str) -> Pod:
        """The Pod with its status at this moment. Raises KeyError."""
        return self._pods[key].published(self.epoch)

    def job(self, key: str) -> "Job":
        """The Job with its status at this moment. Raises KeyError."""
        return self._jobs[key].published(self.epoch)

    def cron_job(self, key: str) -> "CronJob":
        """The CronJob with its status at this moment. Raises KeyError."""
        return self._cron_jobs[key].published(self.epoch)

    def outlook(self, key: str) -> str:
        """In words, when a CronJob starts its next Job."""
        return self._cron_jobs[key].outlook

    def pods(self) -> list[Pod]:
        return [self.pod(key) for key in self._pods]

    def jobs(self) -> "list[Job]":
        return [self.job(key) for key in self._jobs]

    def cron_jobs(self) -> "list[CronJob]":
        return [self.cron_job(key) for key in self._cron_jobs]

    def worker(self, key: str) -> PodWorker:
        """The worker of a pod, for those who want its record. Raises KeyError."""
        return self._pods[key]

    # ------------------------------------------------------------------ for job workers (PodHost)

    def remove_pod(self, key: str) -> None:
        """Forget a finished pod (JOB-28)."""
        worker = self._pods.pop(key)
        if self._owners.pop(key, None) not in self._job_owners:
            self.removed_pods.append(worker.published(self.epoch))
        self._unfinished.discard(worker)
        self._dirty.pop(worker, None)
        self._deleted.discard(key)

    def remove_job(self, key: str) -> None:
        """Forget a finished Job, whose pods have been removed (JOB-28)."""
        if self._jobs[key].record.spec.ttl_seconds_after_finished == 0:
            self._tell_of_job(key)  # it ended just now, and nobody has seen that
        worker = self._jobs.pop(key)
        if key not in self._job_owners:
            self.removed_jobs.append(worker.published(self.epoch))
        self._failed_and_gone = self._failed_and_gone or _is_failed(worker)
        self._unfinished.discard(worker)
        self._dirty.pop(worker, None)
        self._discarded.discard(key)
        owner = self._cron_jobs.get(self._job_owners.pop(key, ""))
        if owner is not None:
            owner.child_removed(self._child(worker))
            self._mark(owner)

    def job_pod(self, key: str) -> "JobPod":
        from minikubelet.lifecycle.job_view import job_pod

        return job_pod(self._pods[key].latest)

    def emit(self, job: "Job | CronJob", event_type: EventType, reason: str, message: str) -> None:
        self._recorder.tell_of_job(job, event_type, reason, message)

    # ------------------------------------------------------------------ for cron workers (JobHost)

    def discard_job(self, key: str) -> None:
        """Delete a Job and its pods, and forget all of it as soon as it is over."""
        self._discarded.add(key)
        self.delete_job(key)
        self._forget_if_over(key)

    def cron_child(self, key: str) -> "CronChild":
        return self._child(self._jobs[key])

    def _child(self, worker: "JobWorker") -> "CronChild":
        from minikubelet.lifecycle.cron_record import cron_child

        return cron_child(worker.record, self.epoch)

    def _forget_if_over(self, key: str) -> None:
        worker = self._jobs.get(key)
        if worker is not None and key in self._discarded and worker.is_finished:
            for pod_key in worker.pod_keys:
                self.remove_pod(pod_key)
            self.remove_job(key)

    # ------------------------------------------------------------------ settle

    def settle(self) -> None:
        """Advance what changed, and what that changes, until nothing is due now."""
        if self._is_settling:
            return
        self._is_settling = True
        try:
            self._mark_due()
            while self._dirty:
                worker = next(iter(self._dirty))
                del self._dirty[worker]
                self._advance(worker)
        finally:
            self._is_settling = False
        for observer in self.observers:
            observer.settled()
        for waiter in self._waiters:
            waiter.set()
        self._waiters.clear()
        due = self.next_alarm()
        if due != self._armed_for:
            self._armed_for = due
            self._arm(due)

    def _advance(self, worker: "Worker") -> None:
        before = worker.alarm
        worker.advance()
        if worker.is_finished:
            self._unfinished.discard(worker)
        if worker.alarm < inf and worker.alarm != before:
            heapq.heappush(self._alarms, (worker.alarm, next(self._order), worker))
            if len(self._alarms) > 2 * len(self._unfinished) + 64:
                self._forget_old_alarms()
        if isinstance(worker, PodWorker):
            owner = self._jobs.get(self._owners.get(worker.key, ""))
            if owner is not None:
                owner.pod_changed(worker.key)
                self._mark(owner)
            for observer in self.observers:
                observer.changed(worker.key)
            if worker.is_finished and worker.key in self._successors:
                self.remove_pod(worker.key)
                self.add_pod(self._successors.pop(worker.key))
        elif worker is self._jobs.get(worker.key):
            self._tell_of_job(worker.key)
            cron_job = self._cron_jobs.get(self._job_owners.get(worker.key, ""))
            if cron_job is not None:
                cron_job.child_changed(worker.key)
                self._mark(cron_job)
                self._forget_if_over(worker.key)

    def _tell_of_job(self, key: str) -> None:
        for observer in self.observers:
            observer.job_changed(key)

    def _mark(self, worker: "Worker") -> None:
        self._dirty[worker] = None
        if self._marked is not None and not self._is_settling:
            self._marked.set()

    def _mark_due(self) -> None:
        now = self.runtime.now()
        while self.next_alarm() <= now:
            self._dirty[heapq.heappop(self._alarms)[2]] = None

    def next_alarm(self) -> float:
        """When `settle` is due even if nothing happens: seconds on the runtime's clock, inf for never."""
        alarms = self._alarms
        while alarms:
            instant, _, worker = alarms[0]
            if instant == worker.alarm:
                return instant
            heapq.heappop(alarms)
        return inf

    def _forget_old_alarms(self) -> None:
        """Far ones that no longer count would pile up: a deadline is one again after each probe."""
        counting = {entry[2]: entry for entry in self._alarms if entry[0] == entry[2].alarm}
        self._alarms = list(counting.values())
        heapq.heapify(self._alarms)

    # ------------------------------------------------------------------ under trio

    async def run(self) -> None:
        """Serve until everything is finished."""
        import trio

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.serve)
            await self.wait_until(lambda: self.is_finished)
            nursery.cancel_scope.cancel()

    async def serve(self) -> None:
        """Deliver what the runtime reports and keep the workers' alarms, until cancelled."""
        import trio

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.runtime.run, self.settle)
            while True:
                with trio.CancelScope() as until_alarm:
                    await self._settle_until(until_alarm)
                # What has happened by the time of an alarm is to be known when it is judged.
                await trio.lowlevel.checkpoint()

    async def _settle_until(self, alarm: "trio.CancelScope") -> None:
        """Settle whenever something has happened; the earliest alarm cancels that."""
        import trio

        def arm(due: float) -> None:
            alarm.deadline = trio.current_time() + max(due - self.runtime.now(), 0)

        self._armed_for, self._arm = inf, arm
        try:
            while True:
                self._marked = trio.Event()
                self.settle()
                await self._marked.wait()
                await trio.lowlevel.checkpoint_if_cancelled()
        finally:
            self._arm = _to_nobody

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition()` holds; asked again after every change, never polled."""
        import trio

        while not condition():
            waiter = trio.Event()
            self._waiters.append(waiter)
            await waiter.wait()

    async def wait_for(self, key: str, condition_type: str) -> Pod:
        """Wait until a condition of the pod is True (`Ready`, `Initialized`, ...) and return the pod.

        Raises `PodEnded` if the pod is over and the condition did not hold, KeyError for an unknown pod.
        """
        worker = self._pods[key]

        def holds() -> bool:
            return worker.latest.answers.get(condition_type, False)

        await self.wait_until(lambda: holds() or worker.is_finished)
        pod = worker.published(self.epoch)
        if not holds():
            raise PodEnded(pod)
        return pod

    # ------------------------------------------------------------------ identity

    def _with_identity(self, pod: Pod) -> Pod:
        return evolve(pod, metadata=self._with_metadata(pod.metadata))

    def _with_metadata(self, metadata: ObjectMeta) -> ObjectMeta:
        created = format_time(self.epoch + self.runtime.now())
        return evolve(metadata, uid=_new_uid(self._random), creation_timestamp=created)


def _to_nobody(due: float) -> None:
    pass


def _is_failed(worker: "JobWorker") -> bool:
    end = worker.record.end
    return end is not None and end.type == "Failed"


def _new_uid(random: "Random | None") -> str:
    """A version 4 UUID (RFC 9562); the module uuid would add 14 ms to the start."""
    bits = int.from_bytes(os.urandom(16), "big") if random is None else random.getrandbits(128)
    bits = bits & ~(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62
    text = f"{bits:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
