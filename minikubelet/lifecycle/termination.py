"""On the way down: order and one shared grace (TERM-*, SIDE-26..38).

Everyone is asked to stop at the same moment and runs its preStop at once; only the *signal* of a
sidecar waits for its turn. When the grace is over the order is abandoned, and it is over from the
beginning when all containers are restarted in place (RESTART-15).
"""

from collections.abc import Iterator
from functools import cache
from math import ceil
from signal import SIGKILL, SIGTERM, Signals

from minikubelet.api.pod import Container
from minikubelet.lifecycle.actions import (
    Action,
    CancelHook,
    RunHook,
    SignalContainer,
    StopContainer,
)
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.probes import due_probes
from minikubelet.lifecycle.record import ContainerRun, PodRecord
from minikubelet.lifecycle.settings import LifecycleSettings


def terminate(record: PodRecord, clock: Clock) -> Iterator[Action]:
    """Mains and a running init at once; sidecars in reverse order after mains and later sidecars."""
    assert record.ending is not None
    live, spec = record.live_runs, record.spec
    is_late = clock.reached(record.ending.deadline)
    for name, run in live.items():  # SIDE-26, SIDE-29, TERM-6
        if name in spec.sidecars:
            continue
        if run.stopping is None or is_late or clock.reached(record.containers[name].quiet_until):
            yield from _take_down(record, spec.all_containers[name], run, clock, its_turn=True)
    its_turn = not any(c.name in live for c in spec.containers)
    for name, container in reversed(spec.sidecars.items()):  # SIDE-27, SIDE-28
        if name in live:
            yield from _take_down(record, container, live[name], clock, its_turn=its_turn)
            its_turn = False


def _take_down(
    record: PodRecord, container: Container, run: ContainerRun, clock: Clock, *, its_turn: bool
) -> Iterator[Action]:
    assert record.ending is not None
    if run.stopping is None:
        grace = max(record.ending.deadline - clock.now, 0.0)
        yield StopContainer(container.name, run.attempt, "pod", grace)
    else:
        yield from due_probes(container.name, run, clock)  # SIDE-35
        yield from stop(record, container, run, clock, its_turn=its_turn)


def stop(
    record: PodRecord, container: Container, run: ContainerRun, clock: Clock, *, its_turn: bool = True
) -> Iterator[Action]:
    """TERM-1: preStop, its turn, the stop signal, SIGKILL."""
    assert run.stopping is not None
    stopping = run.stopping
    deadline = stopping.deadline
    if record.ending is not None:  # PROBE-31, TERM-4: whichever is sooner
        deadline = min(deadline, record.ending.deadline)
    out_of_time = clock.reached(deadline)

    if run.post_start is not None and run.post_start.is_under_way:  # HOOK-4
        yield CancelHook(container.name, run.attempt, "postStart")
    if stopping.signalled_at is None:
        if run.pre_stop is None:
            has_hook = container.lifecycle is not None and container.lifecycle.pre_stop is not None
            if has_hook and not out_of_time:  # HOOK-5
                yield RunHook(container.name, run.attempt, "preStop")
                return
        elif run.pre_stop.is_under_way:  # HOOK-6, HOOK-7
            if not out_of_time:
                return
            yield CancelHook(container.name, run.attempt, "preStop")
        if its_turn or out_of_time:  # SIDE-27, SIDE-31
            yield SignalContainer(container.name, run.attempt, stop_signal(container))
    elif stopping.killed_at is None:
        kill_at = kill_time(deadline, stopping.signalled_at, record.settings)
        if clock.reached(kill_at):  # TERM-2, SIDE-30
            yield SignalContainer(container.name, run.attempt, SIGKILL)


def kill_time(deadline: float, signalled_at: float, settings: LifecycleSettings) -> float:
    """SIDE-30: of the grace only whole seconds are used up when the signal comes; TERM-2: two are left."""
    left = ceil(round(deadline - signalled_at, 6))  # no second more for what floats add
    return signalled_at + max(left, settings.minimum_kill_grace)


def stop_signal(container: Container) -> int:
    """HOOK-11: the polite signal, SIGTERM unless lifecycle.stopSignal names another."""
    name = container.lifecycle.stop_signal if container.lifecycle else None
    if name is None:
        return SIGTERM
    if name.startswith(("SIGRTMIN", "SIGRTMAX")):
        base = Signals[name[:8]]
        return int(base) + int(name[8:] or 0)
    return Signals[name]


@cache
def signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:  # the real-time signals have no names of their own
        return f"signal {number}"
