"""Which probe of a run is asked, and when (PROBE-1..18).

Counting answers is `record.observe`; performing them is the runtime's. One row a kind in `is_wanted`.
"""

from collections.abc import Iterator

from minikubelet.lifecycle.actions import AskProbe
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.facts import ProbeKind
from minikubelet.lifecycle.record import ContainerRun


def is_wanted(run: ContainerRun, kind: ProbeKind) -> bool:
    """Is this kind of probe to be asked at all now?"""
    match kind:
        case "startup":  # PROBE-6, PROBE-30
            return run.running_at is not None and run.stopping is None
        case "liveness":  # PROBE-7, PROBE-30
            return run.is_started and run.stopping is None
        case "readiness":  # PROBE-7, PROBE-16, SIDE-35
            return run.is_started


def due_probes(name: str, run: ContainerRun, clock: Clock) -> Iterator[AskProbe]:
    """PROBE-3..5, PROBE-9: at startedAt + initialDelay, then every period, never two at once."""
    for kind, state in run.probes.items():
        if not state.in_flight and is_wanted(run, kind) and clock.reached(state.due_at):
            yield AskProbe(name, run.attempt, kind)
