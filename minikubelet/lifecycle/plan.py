"""What to do now: the whole story of a pod in one function.

Level-triggered: `plan` re-reads the record from the top after every fact and says what is due. The pod
goes through three latched stages, as in the kubelet's pod workers (CORE-1): running, ending, finished.
"""

from collections.abc import Iterator

from minikubelet.api.pod import PodSpec
from minikubelet.lifecycle.actions import Action, BackOff, EndPod, FinishPod, RestartPod
from minikubelet.lifecycle.backoff import current_delay
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.record import PodRecord
from minikubelet.lifecycle.restarts import restarts_everything, wants_restart
from minikubelet.lifecycle.startup import keep_running
from minikubelet.lifecycle.termination import terminate

DEADLINE_REASON = "DeadlineExceeded"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


def plan(record: PodRecord, clock: Clock) -> Iterator[Action]:
    """The actions that are due; none means: wait for a fact or for `clock.alarm`."""
    if record.finished_at is not None:
        return
    end = why_end(record, clock)
    if end is not None:
        yield end
    elif record.ending is None:
        yield from keep_running(record, clock)
    elif record.any_live:
        yield from terminate(record, clock)
    elif record.ending.is_final:
        yield FinishPod()
    else:
        yield from _restart_in_place(record, clock)


def why_end(record: PodRecord, clock: Clock) -> EndPod | None:
    """CORE-2: the first cause wins. An in-place restart under way can still be overtaken by the two
    causes that come from outside, but the exits that it produces are no causes of their own."""
    if record.ending is not None and record.ending.is_final:
        return None
    spec = record.spec
    if record.deletion is not None:
        left = record.deletion.requested_at + record.deletion.grace - clock.now
        return EndPod("deleted", max(left, 0.0))
    limit = spec.active_deadline_seconds
    if limit is not None and clock.reached(record.started_at + limit):  # TERM-10, TERM-11
        return EndPod("deadline", _grace(spec), DEADLINE_REASON, DEADLINE_MESSAGE)
    if record.ending is not None:
        return None
    return _end_by_exit(record)


def _grace(spec: PodSpec) -> float:
    return float(max(spec.termination_grace_period_seconds, 0))


def _end_by_exit(record: PodRecord) -> EndPod | None:
    """RESTART-13, INIT-3, SIDE-20, SIDE-21, MAIN-2: what the containers' own exits decide."""
    spec = record.spec
    for container in spec.with_restart_rules:
        run = record.run_of(container)
        if run is not None and restarts_everything(spec, container, run):
            return EndPod("restartAll", 0.0, trigger=container.name)  # RESTART-15
    for container in spec.plain_inits.values():
        run = record.run_of(container)
        if container.name in record.passed or run is None or not run.exit_code:
            continue
        if not wants_restart(spec, container, run):
            return EndPod("initFailed", _grace(spec), trigger=container.name)
    for container in spec.containers:
        state = record.containers[container.name]
        run = state.run
        if state.is_starting or run is None or run.exit_code is None or wants_restart(spec, container, run):
            return None
    return EndPod("completed", _grace(spec))  # SIDE-22


def _restart_in_place(record: PodRecord, clock: Clock) -> Iterator[Action]:
    """RESTART-20: back-off from the triggering exit on, so that a pod cannot spin."""
    assert record.ending is not None and record.ending.trigger is not None
    trigger = record.containers[record.ending.trigger]
    assert trigger.run is not None and trigger.run.finished_at is not None
    delay = current_delay(record.restart_backoff, trigger.run.finished_at, record.settings)
    if clock.reached(trigger.run.finished_at + delay):
        yield RestartPod()
    elif trigger.waiting is None:
        yield BackOff(record.ending.trigger, delay)
