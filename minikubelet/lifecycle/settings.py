"""The few numbers and choices of the node that shape a pod's life. Lengths are seconds."""

from typing import Literal

from minikubelet.api.values import frozen

StartGate = Literal["ready", "started"]


@frozen
class LifecycleSettings:
    backoff_base: float = 10.0
    "BACKOFF-1: first crash-loop delay; a `backoff_max` below it wins (BACKOFF-8)."

    backoff_max: float = 300.0
    "BACKOFF-1: the cap."

    backoff_reset: float = 600.0
    "BACKOFF-5: a single run longer than this forgets the crash-loop delay; not tunable in a kubelet either."

    minimum_kill_grace: float = 2.0
    "TERM-2: at least this long between the stop signal and SIGKILL."

    retry_delay: float = 10.0
    "BACKOFF-13: flat retry of what fails before a process exists (missing ConfigMap, volume not ready)."

    start_gate: StartGate = "ready"
    """Which sidecars hold up what comes after them. `started`: the kubelet's rule (SIDE-3, SIDE-4).
    `ready`: a sidecar with a readinessProbe and no startupProbe also has to be ready once."""
