"""The log of a run: what was asked of the runtime, what it answered, what the kubelet published.

Written at the seams by who stands between: an observer of the kubelet, and a runtime that passes
everything on to another and writes it down. So the same log comes of real processes and of simulated ones.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from minikubelet.api.event import Event
from minikubelet.api.pod import Container, LifecycleHandler, Pod, Probe
from minikubelet.kubelet.kubelet import Kubelet, Observer
from minikubelet.lifecycle.facts import DeletionRequested, ProbeKind, ReadinessGateSet
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import (
    Cancel,
    ContainerExit,
    ContainerProcess,
    HookAnswer,
    PrepareError,
    ProbeAnswer,
    Runtime,
    StartError,
)

What = Literal[
    "begun",
    "prepared",
    "prepareFailed",
    "started",
    "startFailed",
    "exited",
    "signalled",
    "hookBegan",
    "hookEnded",
    "hookCancelled",
    "probeBegan",
    "probeEnded",
    "probeCancelled",
    "deletion",
    "gate",
    "published",
    "jobPublished",
    "event",
    "removed",
    "over",
]
"""Of a pod, with what `detail` is:

`begun` the Pod as it was accepted, before anything else of it; `prepared`, `removed`: its directories are
there, are gone; `prepareFailed` the message; `deletion` the grace asked for in seconds, None for the pod's
own; `gate` a readinessGate's (type, status); `published` the Pod with its status, after each change;
`event` the Event (of any object).

Of a container, with `attempt`: `started`; `startFailed` (reason, recorded); `exited` the exit code, when all
of it is gone; `signalled` the number; `hookBegan`, `hookCancelled` the kind of hook, `hookEnded` (kind, error
or None); `probeBegan`, `probeCancelled` the kind of probe, `probeEnded` (kind, result, delay in seconds).

`jobPublished` the Job with its status, under the Job's key. `over`, the last of all, under no key: whether
everything was finished.
"""


HEARTBEAT = 0.1
"Seconds between two measurements of how late a real machine is."


class Entry(NamedTuple):
    at: float
    "Seconds on the runtime's clock."
    what: What
    key: str
    "`namespace/name` of the pod, or of the Job."
    container: str = ""
    attempt: int = -1
    "Of the container: its restart count (STATUS-3)."
    detail: Any = None


class Journal(Observer):
    """The entries of one run, in the order in which things happened.

    `tolerance` is by how many seconds lengths may differ from what they ought to be: none in virtual time;
    in real time the machine's delays, which only grow while they are measured. With a `limit` no more
    entries than that are kept, the first ones, and a publication that says nothing new is not one of them.
    """

    def __init__(
        self, settings: LifecycleSettings | None = None, *, tolerance: float = 0.0, limit: int | None = None
    ) -> None:
        self.settings = settings or LifecycleSettings()
        self.entries: list[Entry] = []
        self.tolerance = tolerance
        self._least_tolerance = tolerance
        self._beat_at = 0.0
        self.limit = limit
        self.epoch = 0.0
        "Wall seconds minus the runtime's."
        self.is_cut = False
        "The limit was reached: what happened after the last entry is not known."
        self._kubelet: Kubelet | None = None
        self._now: Callable[[], float]
        self._published: dict[str, object] = {}
        self._last_publication: dict[str, Pod] = {}

    def follow(self, kubelet: Kubelet) -> None:
        """Write down what it publishes. It has nothing yet, and its runtime is one of `journaled`'s."""
        self._kubelet = kubelet
        self.settings = kubelet.settings
        self.epoch = kubelet.epoch
        self._now = kubelet.runtime.now
        self._beat_at = self._now()
        kubelet.observers.append(self)

    def beat(self) -> None:
        """Due every HEARTBEAT seconds: a stopped or busy machine is as late with this as with all else."""
        if self._least_tolerance:
            now = self._now()
            late = now - self._beat_at - HEARTBEAT
            self.tolerance = max(self.tolerance, self._least_tolerance + late)
            self._beat_at = now

    @property
    def is_finished(self) -> bool:
        """Everything in the run has ended."""
        return self._kubelet is not None and self._kubelet.is_finished

    def close(self) -> None:
        """The run is over. Nobody is followed any more, so that nothing of it is held on to."""
        assert self._kubelet is not None
        self.beat()
        self.note("over", "", detail=self._kubelet.is_finished)
        self._kubelet.observers.remove(self)
        self._kubelet = None
        self._published.clear()
        self._last_publication.clear()

    def note(
        self, what: What, key: str, container: str = "", attempt: int = -1, detail: object = None
    ) -> None:
        if self.limit is not None and len(self.entries) >= self.limit:
            self.is_cut = True
            return
        self.entries.append(Entry(self._now(), what, key, container, attempt, detail))

    # -------------------------------------------------------------- as an observer of the kubelet

    def accepted(self, pod: Pod) -> None:
        self.note("begun", pod.key, detail=pod)

    def event(self, event: Event) -> None:
        about = event.involved_object
        self.note("event", f"{about.namespace}/{about.name}", detail=event)

    def requested(self, key: str, request: DeletionRequested | ReadinessGateSet) -> None:
        if isinstance(request, DeletionRequested):
            self.note("deletion", key, detail=request.grace_seconds)
        else:
            self.note("gate", key, detail=(request.condition_type, request.status))

    def changed(self, key: str) -> None:
        assert self._kubelet is not None
        worker = self._kubelet.worker(key)
        if self._published.get(key) is not worker.record:
            self._published[key] = worker.record
            published = worker.published(self._kubelet.epoch)
            if self.limit is not None:
                if published == self._last_publication.get(key):
                    return
                self._last_publication[key] = published
            self.note("published", key, detail=published)

    def job_changed(self, key: str) -> None:
        assert self._kubelet is not None
        try:
            job = self._kubelet.job(key)
        except KeyError:  # told late, when it is forgotten already (JOB-28)
            return
        self.note("jobPublished", key, detail=job)


def journaled(runtime: Runtime, journal: Journal) -> Runtime:
    """The same runtime, every use of which is written down."""
    return _JournaledRuntime(runtime, journal)


class _JournaledRuntime:
    def __init__(self, runtime: Runtime, journal: Journal) -> None:
        self._runtime = runtime
        self._journal = journal
        self.now = runtime.now

    def __getattr__(self, name: str) -> Any:
        """What a runtime has beyond the protocol."""
        return getattr(self._runtime, name)

    def prepare_pod(self, pod: Pod) -> str | None:
        try:
            remark = self._runtime.prepare_pod(pod)
        except PrepareError as error:
            self._journal.note("prepareFailed", pod.key, detail=str(error))
            raise
        self._journal.note("prepared", pod.key)
        return remark

    def start_container(
        self, pod: Pod, container: Container, attempt: int, exited: Callable[[ContainerExit], None]
    ) -> ContainerProcess:
        journal = self._journal

        def note_exit(end: ContainerExit) -> None:
            journal.note("exited", pod.key, container.name, attempt, end.exit_code)
            exited(end)

        try:
            process = self._runtime.start_container(pod, container, attempt, note_exit)
        except StartError as error:
            detail = error.reason, error.recorded
            journal.note("startFailed", pod.key, container.name, attempt, detail)
            raise
        journal.note("started", pod.key, container.name, attempt)
        return _JournaledProcess(process, journal, pod.key, container, attempt)

    def remove_pod(self, pod: Pod) -> None:
        self._runtime.remove_pod(pod)
        self._journal.note("removed", pod.key)

    async def run(self, settle: Callable[[], None]) -> None:
        if self._journal.tolerance == 0:
            await self._runtime.run(settle)
            return
        import trio

        self._journal.beat()  # what was settled before, and loading trio, took its time, too
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat)
            await self._runtime.run(settle)

    async def _beat(self) -> None:
        import trio

        while True:
            await trio.sleep(HEARTBEAT)
            self._journal.beat()


class _JournaledProcess:
    def __init__(
        self, process: ContainerProcess, journal: Journal, key: str, container: Container, attempt: int
    ) -> None:
        self._process = process
        self._journal = journal
        self._key = key
        self._container = container
        self._attempt = attempt

    def signal(self, number: int) -> None:
        self._note("signalled", number)
        self._process.signal(number)

    def run_hook(self, handler: LifecycleHandler, done: Callable[[HookAnswer], None]) -> Cancel:
        lifecycle = self._container.lifecycle
        kind = "postStart" if lifecycle is not None and handler is lifecycle.post_start else "preStop"

        def note_end(answer: HookAnswer) -> None:
            self._note("hookEnded", (kind, answer.error))
            done(answer)

        self._note("hookBegan", kind)
        cancel = self._process.run_hook(handler, note_end)

        def note_cancel() -> None:
            self._note("hookCancelled", kind)
            cancel()

        return note_cancel

    def ask_probe(self, kind: ProbeKind, probe: Probe, done: Callable[[ProbeAnswer], None]) -> Cancel:
        def note_end(answer: ProbeAnswer) -> None:
            self._note("probeEnded", (kind, answer.result, answer.delay))
            done(answer)

        self._note("probeBegan", kind)
        cancel = self._process.ask_probe(kind, probe, note_end)

        def note_cancel() -> None:
            self._note("probeCancelled", kind)
            cancel()

        return note_cancel

    def _note(self, what: What, detail: object) -> None:
        self._journal.note(what, self._key, self._container.name, self._attempt, detail)
