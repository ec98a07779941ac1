"""Which probe of a run is asked, and when (PROBE-1..18).

Counting answers is `record.observe`, which kinds count at all is `ContainerRun.wants_probe`; performing
them is the runtime's.
"""

from collections.abc import Iterator

from minikubelet.lifecycle.actions import AskProbe
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.record import ContainerRun


def due_probes(name: str, run: ContainerRun, clock: Clock) -> Iterator[AskProbe]:
    """PROBE-3..5, PROBE-9: at startedAt + initialDelay, then every period, never two at once."""
    for kind, state in run.probes.items():
        if not state.in_flight and run.wants_probe(kind) and clock.reached(state.due_at):
            yield AskProbe(name, run.attempt, kind)
