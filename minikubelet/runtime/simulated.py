"""Scripted containers in virtual time: the second implementation of the runtime.

A `Script` says how one run of a container would behave; the runtime turns it into the same callbacks
that real processes cause. Time comes from a `Scheduler`, so nothing here knows whether trio's MockClock
or a plain event heap is passing it.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from math import inf
from typing import TYPE_CHECKING

import attrs

from minikubelet.api.pod import Container, LifecycleHandler, Pod, Probe
from minikubelet.api.values import frozen
from minikubelet.lifecycle.facts import ProbeKind, ProbeResult
from minikubelet.lifecycle.record import SIGKILL
from minikubelet.runtime.base import (
    Cancel,
    ContainerExit,
    ContainerProcess,
    HookAnswer,
    Output,
    PrepareError,
    ProbeAnswer,
    StartError,
)

if TYPE_CHECKING:
    import trio


@attrs.frozen
class HookScript:
    lasts: float = 0.0
    "Seconds until the hook returns; inf hangs."
    error: str | None = None
    dies_with: int | None = None
    "The container exits with that code just before the hook would return."


@attrs.frozen
class Script:
    """How one run behaves, left alone and when asked to stop. Lengths are seconds from its start."""

    lasts: float = inf
    exit_code: int = 0
    term_lasts: float = 0.0
    "From the stop signal to the exit; inf ignores the signal."
    term_exit_code: int | None = None
    "None: no handler, so the signal itself is what ends it (128+n)."
    lingers: float = 0.0
    "From its own end to the report of it, until what it left behind is dead (TERM-17)."
    kill_lasts: float = 0.0
    "The same for SIGKILL, which a process in the kernel may take its time for."
    starts_up_after: float = 0.0
    ready_after: float = 0.0
    unready_after: float = inf
    unhealthy_after: float = inf
    probe_lasts: tuple[float, ...] = (0.0,)
    "Seconds until each answer, over and over again."
    answers: Mapping[ProbeKind, Sequence[tuple[float, ProbeResult]]] = attrs.Factory(dict)
    "What a probe is told from which age on, where that is not as simple as above."
    post_start: HookScript = HookScript()
    pre_stop: HookScript = HookScript()
    start_error: StartError | None = attrs.field(default=None, eq=lambda error: error and vars(error))
    message: str | None = None
    writes: Sequence[tuple[float, str]] = ()
    "What it says, and when; a run that has ended says nothing more."

    def answer(self, kind: ProbeKind, age: float) -> ProbeResult:
        if kind in self.answers:
            told = [result for since, result in self.answers[kind] if since <= age]
            return told[-1] if told else "failure"
        match kind:
            case "startup":
                ok = age >= self.starts_up_after
            case "liveness":
                ok = age < self.unhealthy_after
            case "readiness":
                ok = self.ready_after <= age < self.unready_after
        return "success" if ok else "failure"

    def healed(self) -> "Script":
        """The same program in a world without faults."""
        return Script(lasts=min(self.lasts, 1.0) if self.lasts < inf else inf)


class HeapScheduler:
    """Virtual time from a heap of callbacks, passed by hand. Of those due at one instant the one with the
    lowest `priority` comes first, then the one that was asked for first."""

    def __init__(self, priority: Callable[[], int] = lambda: 0) -> None:
        self._heap: list[tuple[float, int, int, Callable[[], None]]] = []
        self._order = count()
        self._priority = priority
        self._cancelled: set[int] = set()
        self._now = 0.0

    def now(self) -> float:
        """Seconds of virtual time."""
        return self._now

    def call_at(self, instant: float, callback: Callable[[], None]) -> Cancel:
        order = next(self._order)
        if instant == inf:
            return lambda: None
        heapq.heappush(self._heap, (instant, self._priority(), order, callback))
        return lambda: self._cancelled.add(order)

    def due_at(self) -> float:
        """When the next callback is due; inf for never."""
        while self._heap and self._heap[0][2] in self._cancelled:
            self._cancelled.discard(heapq.heappop(self._heap)[2])
        return self._heap[0][0] if self._heap else inf

    def run_until(self, instant: float, settle: Callable[[], None]) -> None:
        """Let time pass; `settle` is called after each callback."""
        while (due_at := self.due_at()) <= instant:
            self._now = max(self._now, due_at)
            heapq.heappop(self._heap)[3]()
            settle()
        self._now = max(self._now, instant)

    def clear(self) -> None:
        """Forget what has not come, and who waited for it: nobody is left to pass the time."""
        self._heap.clear()


class TrioScheduler(HeapScheduler):
    """The same on trio's clock, which under MockClock is virtual."""

    def __init__(self, priority: Callable[[], int] = lambda: 0) -> None:
        super().__init__(priority)
        self._earlier: trio.Event | None = None

    def now(self) -> float:
        import trio

        return trio.current_time()

    def call_at(self, instant: float, callback: Callable[[], None]) -> Cancel:
        cancel = super().call_at(instant, callback)
        if self._earlier is not None:
            self._earlier.set()
        return cancel

    async def run(self, settle: Callable[[], None]) -> None:
        import trio

        while True:
            self._earlier = trio.Event()
            with trio.move_on_at(self.due_at()):
                await self._earlier.wait()
            self.run_until(trio.current_time(), settle)


@frozen
class Trace:
    """One line of what the simulated world saw."""

    at: float
    what: str
    pod: str
    container: str
    detail: object = None


class SimulatedRuntime:
    """Plays `scripts[container name]` one after the other, the last again for further runs.

    Runs count over all pods, for those of a Job share the names of their containers. `prepare_failures` is
    how often preparing a pod fails before it works. From `heals_at` on whatever is begun works, every probe
    succeeds, and no hook hangs any more. `output` is shown what containers write.
    """

    def __init__(
        self,
        scripts: Mapping[str, Sequence[Script]],
        *,
        scheduler: HeapScheduler | None = None,
        prepare_failures: int = 0,
        heals_at: float = inf,
        output: Output | None = None,
    ) -> None:
        self.scripts = scripts
        self.scheduler = scheduler or TrioScheduler()
        self.now = self.scheduler.now
        self.trace: list[Trace] = []
        self.prepared: set[str] = set()
        self.live: dict[tuple[str, str], SimulatedProcess] = {}
        self.output = output
        self._prepare_failures = prepare_failures
        self.heals_at = heals_at
        self._runs: dict[str, int] = {}

    @property
    def is_healed(self) -> bool:
        return self.now() >= self.heals_at

    def note(self, what: str, pod: Pod, container: str = "", detail: object = None) -> None:
        self.trace.append(Trace(self.now(), what, pod.metadata.name, container, detail))

    def prepare_pod(self, pod: Pod) -> None:
        if self._prepare_failures and not self.is_healed:
            self._prepare_failures -= 1
            raise PrepareError("the script says so")
        self.prepared.add(pod.key)

    def start_container(
        self, pod: Pod, container: Container, attempt: int, exited: Callable[[ContainerExit], None]
    ) -> ContainerProcess:
        key = pod.key, container.name
        assert pod.key in self.prepared, f"{key} started in a pod that is not prepared"
        assert key not in self.live, f"two live runs of {key}"
        number = self._runs.get(container.name, 0)
        self._runs[container.name] = number + 1
        scripts = self.scripts.get(container.name) or (Script(),)
        script = scripts[min(number, len(scripts) - 1)]
        if self.is_healed:
            script = script.healed()
        if script.start_error is not None:
            self.note("startError", pod, container.name)
            error = script.start_error  # a new one, as each holds on to where it was raised
            raise StartError(error.reason, error.message, recorded=error.recorded)
        self.note("start", pod, container.name, attempt)
        process = SimulatedProcess(self, pod, container, attempt, script, exited)
        self.live[key] = process
        return process

    def remove_pod(self, pod: Pod) -> None:
        containers = (*pod.spec.init_containers, *pod.spec.containers)
        assert not any((pod.key, one.name) in self.live for one in containers), (
            f"{pod.key} has live processes"
        )
        self.prepared.discard(pod.key)
        self.note("removed", pod)

    async def run(self, settle: Callable[[], None]) -> None:
        assert isinstance(self.scheduler, TrioScheduler), "a plain heap of callbacks is passed by hand"
        await self.scheduler.run(settle)


class SimulatedProcess:
    def __init__(
        self,
        runtime: SimulatedRuntime,
        pod: Pod,
        container: Container,
        attempt: int,
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
        "When the process itself ends, which says how; what it left behind may live on."
        self._exit_code = 0
        self._gone_at = inf
        self._cancel_exit: Cancel = lambda: None
        self._questions = 0
        self._end_at(self._started_at + script.lasts, script.exit_code)
        for age, text in script.writes:
            self._after(age, partial(self._write, attempt, text))

    def signal(self, number: int) -> None:
        self._note("signal", number)
        now = self._runtime.now()
        if number == SIGKILL:
            if now < self._ends_at:
                self._exit_code = 128 + number
            self._ends_at = min(self._ends_at, now)
            self._be_gone_at(now + self._script.kill_lasts)
        else:
            code = self._script.term_exit_code
            self._end_at(now + self._script.term_lasts, 128 + number if code is None else code)

    def run_hook(self, handler: LifecycleHandler, done: Callable[[HookAnswer], None]) -> Cancel:
        lifecycle = self._container.lifecycle
        is_post_start = lifecycle is not None and handler is lifecycle.post_start
        script = self._script.post_start if is_post_start else self._script.pre_stop
        self._note("postStart" if is_post_start else "preStop")

        def end() -> None:
            if script.dies_with is not None:
                self._cancel_exit()
                self._exit_code = script.dies_with
                self._exit()
            else:
                done(HookAnswer(script.error))

        now = self._runtime.now()
        ends_at = min(now + script.lasts, max(now, self._runtime.heals_at))
        return self._runtime.scheduler.call_at(ends_at, end)

    def ask_probe(self, kind: ProbeKind, probe: Probe, done: Callable[[ProbeAnswer], None]) -> Cancel:
        is_healed = self._runtime.is_healed
        result = "success" if is_healed else self._script.answer(kind, self._runtime.now() - self._started_at)
        self._note("probe", (kind, result == "success"))
        latencies = (0.0,) if is_healed else self._script.probe_lasts or (0.0,)
        lasts = latencies[self._questions % len(latencies)]
        self._questions += 1
        if lasts > probe.timeout_seconds:
            late = ProbeAnswer("failure", "timed out")
            return self._after(probe.timeout_seconds, lambda: done(late))
        answer = ProbeAnswer(result, "" if result == "success" else "the script says so")
        return self._after(lasts, lambda: done(answer))

    def _after(self, seconds: float, callback: Callable[[], None]) -> Cancel:
        return self._runtime.scheduler.call_at(self._runtime.now() + seconds, callback)

    def _write(self, attempt: int, text: str) -> None:
        live = self._runtime.live.get((self._pod.key, self._container.name)) is self
        if live and self._runtime.output is not None:
            self._runtime.output(self._pod, self._container.name, attempt, "stdout", text.encode())

    def _note(self, what: str, detail: object = None) -> None:
        self._runtime.note(what, self._pod, self._container.name, detail)

    def _end_at(self, instant: float, code: int) -> None:
        """The earliest end of the process itself says how it ended."""
        if instant < self._ends_at:
            self._ends_at, self._exit_code = instant, code
            self._be_gone_at(instant + self._script.lingers)

    def _be_gone_at(self, instant: float) -> None:
        if instant < self._gone_at:
            self._cancel_exit()
            self._gone_at = instant
            self._cancel_exit = self._runtime.scheduler.call_at(instant, self._exit)

    def _exit(self) -> None:
        del self._runtime.live[self._pod.key, self._container.name]
        self._note("exit", self._exit_code)
        self._exited(ContainerExit(self._exit_code, message=self._script.message))
