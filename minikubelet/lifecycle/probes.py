"""Which probe of a run is asked, and when (PROBE-1..18).

Counting answers is `record.observe`; performing them is the runtime's. One row a kind in `is_wanted`.
"""

from collections.abc import Iterator

from minikubelet.api.pod import Container
from minikubelet.lifecycle.actions import AskProbe
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.facts import ProbeKind
from minikubelet.lifecycle.record import ContainerRun

KINDS: tuple[ProbeKind, ...] = ("startup", "liveness", "readiness")


def has_probes(container: Container) -> bool:
    return bool(container.startup_probe or container.liveness_probe or container.readiness_probe)


def is_started(container: Container, run: ContainerRun | None) -> bool:
    """SIDE-5, PROBE-18: running, postStart returned, and past the startupProbe if there is one."""
    return (
        run is not None
        and run.is_live
        and run.running_at is not None
        and (container.startup_probe is None or run.verdict("startup") is True)
    )


def is_ready(container: Container, run: ContainerRun | None) -> bool:
    """PROBE-16..18, for mains and sidecars."""
    return (
        run is not None
        and is_started(container, run)
        and (container.readiness_probe is None or run.verdict("readiness") is True)
    )


def is_wanted(container: Container, run: ContainerRun, kind: ProbeKind, pod_is_ending: bool) -> bool:
    """Is this kind of probe to be asked at all now?"""
    if run.running_at is None:  # PROBE-6
        return False
    going_down = pod_is_ending or run.stopping is not None
    match kind:
        case "startup":  # PROBE-8, PROBE-14, PROBE-30
            return run.verdict("startup") is None and not going_down
        case "liveness":  # PROBE-7, PROBE-14, PROBE-30
            return is_started(container, run) and run.verdict("liveness") is not False and not going_down
        case "readiness":  # PROBE-7, PROBE-16, SIDE-35
            return is_started(container, run)


def due_probes(
    container: Container, run: ContainerRun, clock: Clock, *, pod_is_ending: bool
) -> Iterator[AskProbe]:
    """PROBE-3..5, PROBE-9: at startedAt + initialDelay, then every period, never two at once."""
    for kind in KINDS:
        probe = container.probe_of(kind)
        if probe is None or not is_wanted(container, run, kind, pod_is_ending):
            continue
        state = run.probes.get(kind)
        assert run.started_at is not None
        if state is None:
            due_at = run.started_at + probe.initial_delay_seconds
        elif state.in_flight:
            continue
        else:
            due_at = state.asked_at + probe.period_seconds
        if clock.reached(due_at):
            yield AskProbe(container.name, run.attempt, kind)
