"""On the way up: init sequence, sidecar gates, and keeping containers running.

Reads like a script in which `return` means "wait here"; it is read again from the top after every fact.
"""

from collections.abc import Iterator

from minikubelet.api.pod import Container, Probe
from minikubelet.lifecycle.actions import (
    Action,
    BackOff,
    ExplainGate,
    GateNews,
    PassInit,
    PreparePod,
    RunHook,
    StartContainer,
    StopCause,
    StopContainer,
)
from minikubelet.lifecycle.backoff import current_delay
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.probes import due_probes
from minikubelet.lifecycle.record import ContainerRecord, ContainerRun, PodRecord
from minikubelet.lifecycle.restarts import wants_restart
from minikubelet.lifecycle.termination import stop


def keep_running(record: PodRecord, clock: Clock) -> Iterator[Action]:
    """INIT-1, INIT-2, INIT-6, SIDE-2: volumes, then initContainers in order, then the mains in order."""
    if record.prepared_at is None:
        if not record.is_preparing and clock.reached(record.prepare_retry_at):
            yield PreparePod()
        return
    spec, containers, passed = record.spec, record.containers, record.passed
    due_names = containers.due(clock)
    if not due_names and len(passed) == len(spec.init_containers):
        return  # most of the time
    for container in spec.init_containers:
        if container.name not in passed:
            yield from keep(record, container, clock)
            yield from _pass(record, container)
            return
        if container.name in due_names:
            yield from keep(record, container, clock)
    held_up = False
    for container in spec.mains_among(due_names):
        state = containers[container.name]
        due = [] if state.run is None and held_up else list(keep(record, container, clock))
        yield from due
        held_up = held_up or _holds_up_first_starts(container, state, due)


def keep(record: PodRecord, container: Container, clock: Clock) -> Iterator[Action]:
    """One container: start it, look after it, condemn it, restart it."""
    state = record.containers[container.name]
    run = state.run
    if state.is_starting:
        return
    if run is not None and run.is_live:
        yield from look_after(record, container, run, clock)
        return
    if run is not None and not wants_restart(record.spec, container, run):
        return
    delay = 0.0
    if state.retry_at is not None:  # STATUS-9
        due_at = state.retry_at
    elif run is None or run.finished_at is None:
        due_at = clock.now
    else:
        delay = current_delay(state.backoff, run.finished_at, record.settings)
        due_at = run.finished_at + delay
    if clock.reached(due_at):
        yield StartContainer(container.name, state.next_attempt)
    elif state.waiting is None:
        yield BackOff(container.name, delay)


def look_after(record: PodRecord, container: Container, run: ContainerRun, clock: Clock) -> Iterator[Action]:
    """postStart first, then the probes; a failed one of either begins the container's way down."""
    if run.running_at is None and run.post_start is None:
        yield RunHook(container.name, run.attempt, "postStart")
    condemned = _condemned(record, container, run)
    if condemned is not None:
        yield condemned
        return
    yield from due_probes(container.name, run, clock)
    if run.stopping is not None:
        yield from stop(record, container, run, clock)


def _condemned(record: PodRecord, container: Container, run: ContainerRun) -> StopContainer | None:
    """HOOK-3, PROBE-14, PROBE-15, PROBE-31: who has to go, and with which grace."""
    if run.stopping is not None:
        return None
    if run.post_start is not None and run.post_start.error is not None:
        return _stop(record, container, run, "postStart", None)
    if run.verdict("startup") is False:
        return _stop(record, container, run, "startup", container.startup_probe)
    if run.verdict("liveness") is False:
        return _stop(record, container, run, "liveness", container.liveness_probe)
    return None


def _stop(
    record: PodRecord, container: Container, run: ContainerRun, cause: StopCause, probe: Probe | None
) -> StopContainer:
    grace = record.spec.termination_grace_period_seconds
    if probe is not None and probe.termination_grace_period_seconds is not None:
        grace = probe.termination_grace_period_seconds
    return StopContainer(container.name, run.attempt, cause, float(max(grace, 0)))


def _pass(record: PodRecord, container: Container) -> Iterator[Action]:
    """INIT-1, SIDE-3: is this entry initialized? And does the other start gate think otherwise?"""
    state = record.containers[container.name]
    run = state.run
    if container.name not in record.spec.sidecars:
        if run is not None and run.exit_code == 0 and not wants_restart(record.spec, container, run):
            yield PassInit(container.name)
        return
    if run is None or not run.is_started:
        return
    if needs_readiness_to_pass(container) and not run.is_ready:
        news = _gate_news(record, run)
        if news != state.gate_news:
            yield ExplainGate(container.name, run.attempt, news)
        if news != "passed":
            return
    yield PassInit(container.name)


def _gate_news(record: PodRecord, run: ContainerRun) -> GateNews:
    """What `--start-gate` means for a sidecar that is started but not ready."""
    if record.settings.start_gate == "started":
        return "passed"
    return "held" if run.verdict("readiness") is None else "stuck"


def needs_readiness_to_pass(container: Container) -> bool:
    """`--start-gate ready`: with a startupProbe the author has chosen the kubelet's own gate."""
    return container.readiness_probe is not None and container.startup_probe is None


def _holds_up_first_starts(container: Container, state: ContainerRecord, due: list[Action]) -> bool:
    """MAIN-1, HOOK-2: later mains wait for the postStart of this one's first run since the pod began (anew),
    but for no failure, and so for no further run either."""
    if container.lifecycle is None or container.lifecycle.post_start is None:
        return False
    run, last_run = state.run, state.last_run
    if run is None:
        return state.waiting is None or any(isinstance(action, StartContainer) for action in due)
    if not run.is_live or (last_run is not None and last_run.started_at is not None):
        return False
    return run.post_start is None or run.post_start.is_under_way
