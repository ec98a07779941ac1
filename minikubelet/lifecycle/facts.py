"""What the world can tell the lifecycle about one pod.

A fact names the attempt (restart count) it belongs to, so that one which arrives late, after its
container was started anew, is recognised and dropped (PROBE-11, I5).
"""

from typing import Literal

from minikubelet.api.values import frozen

ProbeKind = Literal["startup", "liveness", "readiness"]
HookKind = Literal["postStart", "preStop"]
ProbeResult = Literal["success", "failure", "error"]


@frozen
class PodPrepared:
    """Volumes, directories and logs are in place (VOL-6, COND-9)."""


@frozen
class PodPrepareFailed:
    """A volume could not be prepared; retried, never a failed pod (VOL-6)."""

    message: str


@frozen
class ContainerStarted:
    name: str
    attempt: int


@frozen
class ContainerStartFailed:
    """The process could not be made.

    `recorded`: execve itself failed, which counts as an instance with exit code 128 (LOCAL-3, STATUS-4);
    otherwise nothing existed and the start is simply retried (STATUS-9).
    """

    name: str
    attempt: int
    reason: str
    message: str
    recorded: bool = False


@frozen
class ContainerExited:
    """The main process is gone and so is everything it left behind (TERM-17).

    `exit_code` is 128+n for death by signal n (STATUS-5). `reason` only where the runtime knows better
    than the exit code does (`OOMKilled`). `message` is the termination message (TMSG-2).
    """

    name: str
    attempt: int
    exit_code: int
    reason: str | None = None
    message: str | None = None


@frozen
class HookFinished:
    name: str
    attempt: int
    hook: HookKind
    error: str | None = None
    "What went wrong, without the handler's output (EVENT-4); None when it succeeded."
    http_fallback: str | None = None
    "HOOK-9: an https hook was answered over plain HTTP; told as event LifecycleHTTPFallback."


@frozen
class ProbeAnswered:
    """One answer. `error` means the probe could not be asked at all and is discarded (PROBE-19)."""

    name: str
    attempt: int
    kind: ProbeKind
    result: ProbeResult
    output: str = ""
    warning: str | None = None
    "PROBE-24: a success with a reservation, told as event ProbeWarning."
    delay: float = 0.0
    "Seconds that it was begun later than asked for; the period counts from the beginning (PROBE-4)."


@frozen
class DeletionRequested:
    """TERM-4: somebody wants the pod gone. `grace_seconds` None is the pod's own."""

    grace_seconds: int | None = None


@frozen
class ReadinessGateSet:
    """COND-7: somebody outside says whether a readinessGate's condition holds."""

    condition_type: str
    status: bool


Fact = (
    PodPrepared
    | PodPrepareFailed
    | ContainerStarted
    | ContainerStartFailed
    | ContainerExited
    | HookFinished
    | ProbeAnswered
    | DeletionRequested
    | ReadinessGateSet
)
