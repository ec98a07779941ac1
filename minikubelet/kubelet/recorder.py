"""From what is told to Events: object reference, times, counts (EVENT-6, EVENT-7)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from minikubelet.api.event import Event, EventType, ObjectReference
from minikubelet.api.pod import Pod
from minikubelet.lifecycle.events import Told

if TYPE_CHECKING:
    from minikubelet.api.cron_job import CronJob
    from minikubelet.api.job import Job
    from minikubelet.kubelet.kubelet import Observer

_REMEMBERED = 10_000  # distinct (object, reason, message); beyond it the oldest start over at 1


class EventRecorder:
    """Gives each event its time and count and shows it to the `observers`."""

    def __init__(self, now: Callable[[], float], epoch: float, observers: "Sequence[Observer]") -> None:
        self._now = now
        self._epoch = epoch
        self._observers = observers
        self._seen: dict[tuple[str, str | None, str, str], tuple[int, float]] = {}

    def tell_of_pod(self, pod: Pod, told: Told) -> None:
        self._record(pod.references[told.container], told.type, told.reason, told.message)

    def tell_of_job(self, job: "Job | CronJob", event_type: EventType, reason: str, message: str) -> None:
        meta = job.metadata
        reference = ObjectReference(
            job.kind, meta.namespace, meta.name, meta.uid, api_version=job.api_version
        )
        self._record(reference, event_type, reason, message)

    def _record(self, reference: ObjectReference, event_type: EventType, reason: str, message: str) -> None:
        now = self._now()
        wall = self._epoch + now
        key = (reference.uid, reference.field_path, reason, message)
        count, first = self._seen.pop(key, (0, wall))
        self._seen[key] = (count + 1, first)
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        event = Event(event_type, reason, message, reference, wall, now, count + 1, first)
        for observer in self._observers:
            observer.event(event)
