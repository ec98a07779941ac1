"""Scripted containers in virtual time: the second implementation of the runtime.

A `Script` says how one run of a container would behave; the runtime turns it into the same callbacks
that real processes cause. Time comes from a `Scheduler`, so nothing here knows whether trio's MockClock
or a plain event heap is passing it.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from math import inf
from typing import Protocol

import attrs
import trio

from minikubelet.api.pod import Container, LifecycleHandler, Pod, Probe
from minikubelet.lifecycle.facts import ProbeKind
from minikubelet.lifecycle.record import SIGKILL
from minikubelet.runtime.base import (
    Cancel,
    ContainerExit,
    ContainerProcess,
    HookAnswer,
    PrepareError,
    ProbeAnswer,
    StartError,
)


@attrs.frozen
class HookScript:
    lasts: float = 0.0
    "Seconds until the hook returns; inf hangs."
    error: str | None = None


@attrs.frozen
class Script:
    """How one run behaves, left alone and when asked to stop. Lengths are seconds from its start."""

    lasts: float = inf
    exit_code: int = 0
    term_lasts: float = 0.0
    "From the stop signal to the exit; inf ignores the signal."
    term_exit_code: int | None = None
    "None: no handler, so the signal itself is what ends it (128+n)."
    starts_up_after: float = 0.0
    ready_after: float = 0.0
    unready_after: float = inf
    unhealthy_after: float = inf
    probe_lasts: float = 0.0
    post_start: HookScript = HookScript()
    pre_stop: HookScript = HookScript()
    start_error: StartError | None = None
    message: str | None = None

    def answer(self, kind: ProbeKind, age: float) -> bool:
        match kind:
            case "startup":
                return age >= self.starts_up_after
            case "liveness":
                return age < self.unhealthy_after
            case "readiness":
                return self.ready_after <= age < self.unready_after


class Scheduler(Protocol):
    def now(self) -> float:
        """Seconds of virtual time."""

    def call_at(self, instant: float, callback: Callable[[], None]) -> Cancel:
        """Call back at that instant, after everything asked for earlier."""


class TrioScheduler:
    """A scheduler on trio's clock, which under MockClock is virtual. Ties go in the order of asking."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._cancelled: set[int] = set()
        self._earlier = trio.Event()

    def now(self) -> float:
        return trio.current_time()

    def call_at(self, instant: float, callback: Callable[[], None]) -> Cancel:
        order = next(self._order)
        if instant == inf:
            return lambda: None
        heapq.heappush(self._heap, (instant, order, callback))
        self._earlier.set()
        return lambda: self._cancelled.add(order)

    async def run(self, settle: Callable[[], None]) -> None:
        while True:
            self._earlier = trio.Event()
            due_at = self._heap[0][0] if self._heap else inf
            with trio.move_on_at(due_at):
                await self._earlier.wait()
            while self._heap and self._heap[0][0] <= trio.current_time():
                _, order, callback = heapq.heappop(self._heap)
                if order in self._cancelled:
                    self._cancelled.discard(order)
                else:
                    callback()
                    settle()


@attrs.frozen
class Trace:
    """One line of what the simulated world saw."""

    at: float
    what: str
    pod: str
    container: str
    detail: object = None


class SimulatedRuntime:
    """Plays `scripts[container name][run number]`, the last script again for further runs.

    `prepare_failures` is how often preparing each pod fails before it works.
    """

    def __init__(
        self,
        scripts: Mapping[str, Sequence[Script]],
        *,
        scheduler: TrioScheduler | None = None,
        prepare_failures: int = 0,
    ) -> None:
        self.scripts = scripts
        self.scheduler = scheduler or TrioScheduler()
        self.trace: list[Trace] = []
        self.prepared: set[str] = set()
        self.live: dict[tuple[str, str], SimulatedProcess] = {}
        self._prepare_failures = prepare_failures
        self._runs: dict[tuple[str, str], int] = {}

    def now(self) -> float:
        return self.scheduler.now()

    def note(self, what: str, pod: Pod, container: str = "", detail: object = None) -> None:
        self.trace.append(Trace(self.now(), what, pod.metadata.name, container, detail))

    def prepare_pod(self, pod: Pod) -> None:
        if self._prepare_failures:
            self._prepare_failures -= 1
            raise PrepareError("the script says so")
        self.prepared.add(pod.key)

    def start_container(
        self, pod: Pod, container: Container, attempt: int, exited: Callable[[ContainerExit], None]
    ) -> ContainerProcess:
        key = pod.key, container.name
        assert pod.key in self.prepared, f"{key} started in a pod that is not prepared"
        assert key not in self.live, f"two live runs of {key}"
        number = self._runs.get(key, 0)
        self._runs[key] = number + 1
        scripts = self.scripts.get(container.name, (Script(),))
        script = scripts[min(number, len(scripts) - 1)]
        if script.start_error is not None:
            self.note("startError", pod, container.name)
            raise script.start_error
        self.note("start", pod, container.name, attempt)
        process = SimulatedProcess(self, pod, container, script, exited)
        self.live[key] = process
        return process

    def remove_pod(self, pod: Pod) -> None:
        assert not any(key == pod.key for key, _ in self.live), f"{pod.key} removed with live processes"
        self.prepared.discard(pod.key)
        self.note("removed", pod)

    async def run(self, settle: Callable[[], None]) -> None:
        await self.scheduler.run(settle)


class SimulatedProcess:
    def __init__(
        self,
        runtime: SimulatedRuntime,
        pod: Pod,
        container: Container,
        script: Script,
        exited: Callable[[ContainerExit], None],
    ) -> None:
        self._runtime = runtime
        self._pod = pod
        self._container = container
        self._script = script
        self._exited = exited
        self._started_at = runtime.now()
        self._ends_at = inf
        self._cancel_exit: Cancel = lambda: None
        self._exit_at(self._started_at + script.lasts, script.exit_code)

    def signal(self, number: int) -> None:
        self._note("signal", number)
        now = self._runtime.now()
        if number == SIGKILL:
            self._exit_at(now, 128 + number)
        else:
            code = self._script.term_exit_code
            self._exit_at(now + self._script.term_lasts, 128 + number if code is None else code)

    def run_hook(self, handler: LifecycleHandler, done: Callable[[HookAnswer], None]) -> Cancel:
        lifecycle = self._container.lifecycle
        is_post_start = lifecycle is not None and handler is lifecycle.post_start
        script = self._script.post_start if is_post_start else self._script.pre_stop
        self._note("postStart" if is_post_start else "preStop")
        return self._after(script.lasts, lambda: done(HookAnswer(script.error)))

    def ask_probe(self, kind: ProbeKind, probe: Probe, done: Callable[[ProbeAnswer], None]) -> Cancel:
        ok = self._script.answer(kind, self._runtime.now() - self._started_at)
        self._note("probe", (kind, ok))
        if self._script.probe_lasts > probe.timeout_seconds:
            late = ProbeAnswer("failure", "timed out")
            return self._after(probe.timeout_seconds, lambda: done(late))
        answer = ProbeAnswer("success") if ok else ProbeAnswer("failure", "the script says so")
        return self._after(self._script.probe_lasts, lambda: done(answer))

    def _after(self, seconds: float, callback: Callable[[], None]) -> Cancel:
        return self._runtime.scheduler.call_at(self._runtime.now() + seconds, callback)

    def _note(self, what: str, detail: object = None) -> None:
        self._runtime.note(what, self._pod, self._container.name, detail)

    def _exit_at(self, instant: float, code: int) -> None:
        """The earliest end wins."""
        if instant < self._ends_at:
            self._cancel_exit()
            self._ends_at = instant
            self._cancel_exit = self._runtime.scheduler.call_at(instant, lambda: self._exit(code))

    def _exit(self, code: int) -> None:
        del self._runtime.live[self._pod.key, self._container.name]
        self._note("exit", code)
        self._exited(ContainerExit(code, message=self._script.message))
