"""One pod: observe, plan, perform.

Synchronous and free of trio, so that the same worker runs under the kubelet's loop, in virtual time and
on an event heap. It decides nothing: if something about the pod is to be decided, that belongs in `plan`.
"""

from collections.abc import Callable
from math import inf

from minikubelet.api.pod import Pod
from minikubelet.lifecycle.actions import (
    Action,
    AskProbe,
    CancelHook,
    FinishPod,
    PreparePod,
    RunHook,
    SignalContainer,
    StartContainer,
)
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.conditions import with_transitions
from minikubelet.lifecycle.events import SILENT, Told, events_of
from minikubelet.lifecycle.facts import (
    ContainerExited,
    ContainerStarted,
    ContainerStartFailed,
    DeletionRequested,
    Fact,
    HookFinished,
    HookKind,
    PodPrepared,
    PodPrepareFailed,
    ProbeAnswered,
    ProbeKind,
    ReadinessGateSet,
)
from minikubelet.lifecycle.plan import plan
from minikubelet.lifecycle.record import PodRecord, new_record, take_in
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.lifecycle.status import Publication, publish
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


class PodWorker:
    """Owns the record of one pod and everything under way for it.

    `changed` is called whenever something was observed that may need `advance`; `tell` for each event.
    """

    def __init__(
        self,
        pod: Pod,
        runtime: Runtime,
        settings: LifecycleSettings,
        *,
        changed: Callable[["PodWorker"], None],
        tell: Callable[[Pod, Told], None],
    ) -> None:
        self.key = pod.key
        self.runtime = runtime
        self.latest = new_record(pod, settings, runtime.now())
        "The record, for those who look at it and keep nothing of it: its containers change in place."
        self.alarm = -inf
        "When `advance` is due even if nothing happens; inf for never."
        self._changed = changed
        self._tell = tell
        self._publication: Publication | None = None
        self._processes: dict[str, ContainerProcess] = {}
        self._under_way: dict[str, dict[str, Cancel]] = {}

    @property
    def record(self) -> PodRecord:
        """The record, as it is now for good."""
        self.latest.containers.is_draft = False
        return self.latest

    @property
    def is_finished(self) -> bool:
        return self.latest.finished_at is not None

    def delete(self, grace_seconds: int | None = None) -> None:
        """TERM-4: at any moment, any number of times; later requests can only shorten the grace."""
        self.observe(DeletionRequested(grace_seconds))

    def set_readiness_gate(self, condition_type: str, status: bool) -> None:
        """COND-7."""
        self.observe(ReadinessGateSet(condition_type, status))

    def published(self, epoch: float) -> Pod:
        self._publication = publish(self.record, epoch, self._publication)
        return self._publication.pod

    def observe(self, fact: Fact) -> None:
        self._take_in(fact, self.runtime.now())
        self._changed(self)

    def advance(self) -> None:
        """Plan and perform until nothing is due any more; then `alarm` says when to look again."""
        while True:
            now = self.runtime.now()
            clock = Clock(now)
            actions = list(plan(self.latest, clock))
            for action in actions:
                self._take_in(action, now)
                self._perform(action)
            if not actions:
                break
        self.alarm = clock.alarm
        self.latest = with_transitions(self.latest, now)

    def _take_in(self, what: Fact | Action, now: float) -> None:
        if type(what) not in SILENT:
            for told in events_of(self.latest, what):
                self._tell(self.latest.pod, told)
        self.latest = take_in(self.latest, what, now)

    # ------------------------------------------------------------------------------ perform

    def _perform(self, action: Action) -> None:
        match action:
            case AskProbe(name, attempt, kind):
                self._ask_probe(name, attempt, kind)
            case StartContainer(name, attempt):
                self._start(name, attempt)
            case SignalContainer(name, _, signal):
                self._processes[name].signal(signal)
            case RunHook(name, attempt, hook):
                self._run_hook(name, attempt, hook)
            case CancelHook(name, _, hook):
                self._cancel(name, hook)
            case PreparePod():
                self._prepare()
            case FinishPod():
                self.runtime.remove_pod(self.latest.pod)
            case _:
                pass  # a latch: observing it was all there is to do

    def _prepare(self) -> None:
        try:
            remark = self.runtime.prepare_pod(self.latest.pod)
        except PrepareError as error:
            self._take_in(PodPrepareFailed(str(error)), self.runtime.now())
        else:
            if remark is not None:
                self._tell(self.latest.pod, Told("Isolated", remark))
            self._take_in(PodPrepared(), self.runtime.now())

    def _start(self, name: str, attempt: int) -> None:
        def exited(end: ContainerExit) -> None:
            for cancel in self._under_way.pop(name, {}).values():
                cancel()
            del self._processes[name]
            if end.lost_log is not None:
                self._tell(self.latest.pod, Told("LogIncomplete", end.lost_log, "Warning", name))
            self.observe(ContainerExited(name, attempt, end.exit_code, end.reason, end.message))

        pod = self.latest.pod
        container = pod.spec.all_containers[name]
        try:
            process = self.runtime.start_container(pod, container, attempt, exited)
        except StartError as error:
            fact: Fact = ContainerStartFailed(name, attempt, error.reason, error.message, error.recorded)
        else:
            self._processes[name] = process
            fact = ContainerStarted(name, attempt)
        self._take_in(fact, self.runtime.now())

    def _run_hook(self, name: str, attempt: int, hook: HookKind) -> None:
        lifecycle = self.latest.spec.all_containers[name].lifecycle
        assert lifecycle is not None
        handler = lifecycle.post_start if hook == "postStart" else lifecycle.pre_stop
        assert handler is not None

        def done(answer: HookAnswer) -> None:
            self._forget(name, hook)
            self.observe(HookFinished(name, attempt, hook, answer.error, answer.http_fallback))

        self._remember(name, hook, self._processes[name].run_hook(handler, done))

    def _ask_probe(self, name: str, attempt: int, kind: ProbeKind) -> None:
        probe = self.latest.spec.all_containers[name].probe_of(kind)
        assert probe is not None

        def done(answer: ProbeAnswer) -> None:
            self._forget(name, kind)
            result, output, warning, delay = answer.result, answer.output, answer.warning, answer.delay
            self.observe(ProbeAnswered(name, attempt, kind, result, output, warning, delay))

        self._remember(name, kind, self._processes[name].ask_probe(kind, probe, done))

    # What is under way for a container ends with its process.

    def _remember(self, name: str, what: str, cancel: Cancel) -> None:
        self._under_way.setdefault(name, {})[what] = cancel

    def _forget(self, name: str, what: str) -> None:
        self._under_way.get(name, {}).pop(what, None)

    def _cancel(self, name: str, what: str) -> None:
        cancel = self._under_way.get(name, {}).pop(what, None)
        if cancel is not None:
            cancel()
