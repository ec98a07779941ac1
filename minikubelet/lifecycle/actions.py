"""What the lifecycle can ask to be done for one pod.

An action taken is a fact too: it is observed *before* it is performed, so that planning again
settles instead of asking twice.
"""

from typing import Literal

from minikubelet.api.values import frozen
from minikubelet.lifecycle.facts import HookKind, ProbeKind

StopCause = Literal["pod", "liveness", "startup", "postStart"]
EndCause = Literal["completed", "initFailed", "deadline", "deleted", "restartAll"]
GateNews = Literal["held", "stuck", "passed"]


@frozen
class PreparePod:
    """Make directories and volumes (VOL-6)."""


@frozen
class StartContainer:
    name: str
    attempt: int
    "0-based number of the instance, which is the restart count (STATUS-3)."


@frozen
class BackOff:
    """BACKOFF-9: a restart is due but held back; shown as CrashLoopBackOff."""

    name: str
    delay: float


@frozen
class RunHook:
    name: str
    attempt: int
    hook: HookKind


@frozen
class CancelHook:
    """Give a hook up: its time is over (HOOK-6) or the pod is ending (HOOK-4)."""

    name: str
    attempt: int
    hook: HookKind


@frozen
class AskProbe:
    name: str
    attempt: int
    kind: ProbeKind


@frozen
class StopContainer:
    """Begin a container's way down (TERM-1); signals follow as their own actions."""

    name: str
    attempt: int
    cause: StopCause
    grace: float
    "Seconds from now that preStop, waiting for its turn and the signal share (SIDE-30)."


@frozen
class SignalContainer:
    """The polite signal goes to the main process, SIGKILL to everything in the container (TERM-16)."""

    name: str
    attempt: int
    signal: int


@frozen
class PassInit:
    """Latch: an initContainers entry is initialized and the sequence moves on (INIT-1, INIT-7)."""

    name: str


@frozen
class ExplainGate:
    """Latch: the two start gates differ about this sidecar instance. Each piece of news is told once.

    `held`: `--start-gate ready` makes what follows wait where a kubelet would go on. `stuck`: it still
    does after the readinessProbe's failureThreshold. `passed`: `--start-gate started` goes on.
    """

    name: str
    attempt: int
    news: GateNews


@frozen
class EndPod:
    """Latch: the pod is terminating (CORE-2); nothing starts any more."""

    cause: EndCause
    grace: float
    reason: str | None = None
    message: str | None = None
    trigger: str | None = None
    "The container whose exit decided it, if one did."


@frozen
class RestartPod:
    """RESTART-13: every instance is gone, begin again with the first init container."""


@frozen
class FinishPod:
    """No process is left: release what was prepared (TERM-14). The pod never changes again."""


Action = (
    PreparePod
    | StartContainer
    | BackOff
    | RunHook
    | CancelHook
    | AskProbe
    | StopContainer
    | SignalContainer
    | PassInit
    | ExplainGate
    | EndPod
    | RestartPod
    | FinishPod
)
