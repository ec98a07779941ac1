"""What a runtime offers: the one seam between the lifecycle and the machine.

Two implementations: `local.LocalRuntime` makes real processes, `simulated.SimulatedRuntime` plays
scripted ones in virtual time. Every method is synchronous and returns at once; what takes time
reports back through the callback it was given. Callbacks are never called from inside the method
they were passed to, only later, from the runtime's own loop.
"""

from collections.abc import Callable
from typing import Protocol

from minikubelet.api.pod import Container, LifecycleHandler, Pod, Probe
from minikubelet.api.values import frozen
from minikubelet.lifecycle.facts import ProbeKind, ProbeResult

Output = Callable[[Pod, str, int, str, bytes], None]
"""Shown what containers write: pod, container name, attempt, `stdout` or `stderr`, a chunk of bytes."""


class PrepareError(Exception):
    """A volume or directory of the pod cannot be prepared now; it may be later (VOL-6)."""


class StartError(Exception):
    """A container cannot be started.

    `reason` is the waiting reason (STATUS-8). `recorded` tells whether an instance with exit code 128
    came of it (execve failed, LOCAL-3) or nothing existed at all (STATUS-9).
    """

    def __init__(self, reason: str, message: str, *, recorded: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.recorded = recorded


@frozen
class ContainerExit:
    """How an instance ended; told only when its whole process tree is gone (TERM-17)."""

    exit_code: int
    "128+n for death by signal n (STATUS-5)."
    reason: str | None = None
    "Set only where the runtime knows more than the exit code says: `OOMKilled`."
    message: str | None = None
    "The termination message (TMSG-2, TMSG-3)."
    lost_log: str | None = None
    "How much of its log could not be written, and why; worth an Event."


@frozen
class ProbeAnswer:
    result: ProbeResult
    output: str = ""
    warning: str | None = None
    delay: float = 0.0
    "Seconds from `ask_probe` to the beginning of the attempt: not none while the slow libraries load."


@frozen
class HookAnswer:
    error: str | None = None
    "None if it succeeded. Never the handler's output (EVENT-4)."
    http_fallback: str | None = None
    "HOOK-9: the text for a `LifecycleHTTPFallback` event."


Cancel = Callable[[], None]
"""Give up what is under way; its callback will not be called. Harmless when it is over already."""


class ContainerProcess(Protocol):
    """One running instance."""

    def signal(self, number: int) -> None:
        """Signal the main process; SIGKILL reaches every process of the container (TERM-16)."""

    def run_hook(self, handler: LifecycleHandler, done: Callable[[HookAnswer], None]) -> Cancel:
        """Run a hook in the container's context, without a time limit of its own (HOOK-8..10)."""

    def ask_probe(self, kind: ProbeKind, probe: Probe, done: Callable[[ProbeAnswer], None]) -> Cancel:
        """Ask once, within `probe.timeout_seconds` (PROBE-21..28)."""


class Runtime(Protocol):
    def now(self) -> float:
        """Seconds on the monotonic clock that all lifecycle decisions use."""

    def prepare_pod(self, pod: Pod) -> str | None:
        """Make the pod's directories and volumes; what there is to tell about that. Raises `PrepareError`."""

    def start_container(
        self, pod: Pod, container: Container, attempt: int, exited: Callable[[ContainerExit], None]
    ) -> ContainerProcess:
        """Start one instance. Raises `StartError`."""

    def remove_pod(self, pod: Pod) -> None:
        """Release what `prepare_pod` made, logs excepted (TERM-14)."""

    async def run(self, settle: Callable[[], None]) -> None:
        """Deliver callbacks until cancelled, calling `settle` after each batch of them.

        Answers of hooks and probes may come without: those of one moment are settled together, by whoever
        was told.
        """
