"""Each invariant about what is published: a true run breaks none, and one with a false publication does."""

from typing import Any

import attrs
import pytest
from pod_log import (
    HOOKS,
    PROBE,
    breaches,
    main,
    pod,
    sidecar,
    true_run,
    with_changed,
    with_container,
    with_status,
)

from minikubelet.api.pod import (
    Container,
    ContainerRestartRule,
    ContainerRestartRuleOnExitCodes,
    PodReadinessGate,
)
from minikubelet.api.pod_status import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    PodStatus,
)
from minikubelet.fuzz.case import Case, Request
from minikubelet.invariants import status
from minikubelet.invariants.journal import Entry, Journal
from minikubelet.invariants.rules import POD_INVARIANTS
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script

ALL_OVER = ContainerRestartRule("RestartAllContainers", ContainerRestartRuleOnExitCodes("In", (42,)))

COMPLETED = Case((pod(),), scripts={"main": (Script(lasts=3.0),)})
FAILED = Case((pod(),), scripts={"main": (Script(lasts=3.0, exit_code=1),)})
DELETED = Case((pod(),), scripts={"main": (Script(term_lasts=2.0),)}, requests=(Request(1.0, "delete"),))
LATE = Case((pod(active_deadline_seconds=4),), scripts={"main": (Script(term_lasts=1.0),)})
CRASHING = Case(
    (pod(restart_policy="OnFailure"),),
    scripts={"main": (Script(lasts=1.0, exit_code=1), Script(lasts=2.0, exit_code=1), Script(lasts=3.0))},
)
WITH_SIDECAR = Case(
    (pod(init=(Container("init"), sidecar())),),
    scripts={
        "init": (Script(lasts=1.0),),
        "main": (Script(lasts=5.0),),
        "side": (Script(term_exit_code=1, term_lasts=1.0),),
    },
)
READY = Case(
    (pod(main(startup_probe=PROBE, readiness_probe=attrs.evolve(PROBE, failure_threshold=3))),),
    scripts={"main": (Script(lasts=9.0, ready_after=2.0),)},
)
GATED = Case(
    (pod(readiness_gates=(PodReadinessGate("a"),)),),
    scripts={"main": (Script(lasts=9.0),)},
    requests=(Request(2.0, "gate", "default/p", condition_type="a"),),
)
OVER_AGAIN = Case(
    (
        pod(
            main(restart_policy="Never", restart_policy_rules=(ALL_OVER,)),
            main("other"),
            init=(Container("init"),),
        ),
    ),
    scripts={
        "init": (Script(lasts=1.0),),
        "main": (Script(lasts=1.0, exit_code=42), Script(lasts=2.0)),
        "other": (Script(term_lasts=1.0), Script(lasts=2.0)),
    },
)
BAD_START = Case(
    (pod(),),
    scripts={"main": (Script(start_error=StartError("CreateContainerError", "no")), Script(lasts=1.0))},
)
ANEW = Case(
    (pod(init=(sidecar(startup_probe=PROBE),)),),
    scripts={
        "side": (Script(lasts=3.0), Script(probe_lasts=(0.25,))),
        "main": (Script(lasts=8.0),),
    },
)
BAD_HOOKS = Case(
    (pod(main(lifecycle=HOOKS)),),
    scripts={"main": (Script(post_start=HookScript(1.0, error="no"), pre_stop=HookScript(2.0)),)},
)


def phase(name: str, nth: int) -> Any:
    return lambda run: with_status(run, lambda one: attrs.evolve(one, phase=name), nth)


def fields(nth: int, **changes: object) -> Any:
    return lambda run: with_status(run, lambda one: attrs.evolve(one, **changes), nth)


def container(name: str, nth: int, **changes: object) -> Any:
    return lambda run: with_container(run, name, lambda one: attrs.evolve(one, **changes), nth)


def same_id(one: ContainerStatus) -> ContainerStatus:
    """The containerID of the attempt before."""
    assert one.last_state.terminated is not None
    return attrs.evolve(one, container_id=one.last_state.terminated.container_id)


def end_of(name: str, nth: int, which: str = "state", **changes: object) -> Any:
    """The termination in state or lastState changed."""

    def change(one: ContainerStatus) -> ContainerStatus:
        end = getattr(one, which).terminated
        assert end is not None
        return attrs.evolve(one, **{which: ContainerState(terminated=attrs.evolve(end, **changes))})

    return lambda run: with_container(run, name, change, nth)


def condition(kind: str, nth: int, **changes: object) -> Any:
    def change(one: PodStatus) -> PodStatus:
        assert any(c.type == kind for c in one.conditions)
        return attrs.evolve(
            one,
            conditions=tuple(attrs.evolve(c, **changes) if c.type == kind else c for c in one.conditions),
        )

    return lambda run: with_status(run, change, nth)


def metadata(nth: int, **changes: object) -> Any:
    def changed(entry: Entry) -> Entry:
        about = attrs.evolve(entry.detail.metadata, **changes)
        return entry._replace(detail=attrs.evolve(entry.detail, metadata=about))

    return lambda run: with_changed(run, lambda entry: entry.what == "published", changed, nth)


def event(reason: str, *, is_missing: bool = False, **changes: object) -> Any:
    def changed(entry: Entry) -> Entry | None:
        return None if is_missing else entry._replace(detail=attrs.evolve(entry.detail, **changes))

    return lambda run: with_changed(run, lambda e: e.what == "event" and e.detail.reason == reason, changed)


def told_twice(reason: str) -> Any:
    def change(run: Journal) -> Journal:
        changed = Journal(run.settings)
        changed.epoch, changed.entries = run.epoch, []
        for entry in run.entries:
            is_it = entry.what == "event" and entry.detail.reason == reason
            changed.entries += [entry, entry] if is_it else [entry]
        return changed

    return change


RUNNING = ContainerState(running=ContainerStateRunning("2023-11-14T22:13:20Z"))
WAITING = ContainerState(waiting=ContainerStateWaiting("CrashLoopBackOff"))
NO_TIME = "2023-11-14T22:13:19Z"

CASES: dict[str, list[tuple[Case, Any]]] = {
    "phases-move-forward": [(COMPLETED, phase("Pending", -1)), (DELETED, phase("Succeeded", 0))],
    "terminal-phase-when-all-are-gone": [
        (WITH_SIDECAR, phase("Succeeded", -2)),
        (DELETED, phase("Failed", 1)),
    ],
    "phase-follows-the-mains": [
        (COMPLETED, phase("Pending", 0)),
        (WITH_SIDECAR, phase("Running", 0)),
        (CRASHING, phase("Pending", 3)),
    ],
    "verdict-is-of-the-mains": [
        (COMPLETED, phase("Failed", -1)),
        (FAILED, phase("Succeeded", -1)),
        (WITH_SIDECAR, phase("Failed", -1)),
        (LATE, phase("Succeeded", -1)),
    ],
    "reason-belongs-to-the-phase": [
        (LATE, fields(-1, reason=None, message=None)),
        (LATE, fields(1, reason="DeadlineExceeded", message="late")),
        (COMPLETED, fields(-1, reason="Evicted")),
    ],
    "one-state-each": [
        (COMPLETED, container("main", -1, state=ContainerState())),
        (COMPLETED, container("main", 0, state=attrs.evolve(RUNNING, waiting=ContainerStateWaiting("x")))),
        (COMPLETED, fields(-1, container_statuses=())),
    ],
    "state-follows-the-log": [
        (COMPLETED, container("main", -1, state=RUNNING)),
        (COMPLETED, end_of("main", -1, exit_code=143)),
        (COMPLETED, end_of("main", -1, reason="Error")),
        (CRASHING, container("main", 1, state=WAITING)),
        (BAD_START, container("main", 0, state=WAITING)),
        (BAD_HOOKS, container("main", 0, state=RUNNING)),
    ],
    "last-state-follows-the-log": [
        (CRASHING, end_of("main", -1, "last_state", exit_code=0)),
        (CRASHING, container("main", -1, last_state=ContainerState())),
        (COMPLETED, container("main", 0, last_state=ContainerState(terminated=ContainerStateTerminated(0)))),
        (
            OVER_AGAIN,
            container("main", -2, last_state=ContainerState(terminated=ContainerStateTerminated(42))),
        ),
    ],
    "restart-count-is-the-attempt": [
        (CRASHING, container("main", -1, restart_count=1)),
        (COMPLETED, container("main", 0, restart_count=1)),
        (OVER_AGAIN, container("main", -1, restart_count=0)),
    ],
    "started-and-ready-are-of-this-attempt": [
        (READY, container("main", 0, started=True)),
        (READY, container("main", 1, ready=True)),
        (COMPLETED, container("main", -1, started=True)),
        (WITH_SIDECAR, container("init", 0, ready=True)),
    ],
    "times-are-those-of-the-log": [
        (COMPLETED, fields(-1, start_time=NO_TIME)),
        (COMPLETED, end_of("main", -1, finished_at=NO_TIME)),
        (COMPLETED, container("main", 0, state=ContainerState(running=ContainerStateRunning(NO_TIME)))),
        (CRASHING, end_of("main", -1, "last_state", started_at=NO_TIME)),
    ],
    "container-ids-are-unique": [
        (CRASHING, lambda run: with_container(run, "main", same_id)),
        (COMPLETED, container("main", -1, container_id=None)),
    ],
    "conditions-follow-the-log": [
        (READY, condition("Ready", 0, status="True")),
        (READY, condition("ContainersReady", -2, status="False")),
        (WITH_SIDECAR, condition("Initialized", 0, status="True")),
        (COMPLETED, condition("PodScheduled", 0, status="False")),
        (COMPLETED, condition("PodReadyToStartContainers", -1, status="True")),
        (GATED, condition("Ready", 0, status="True")),
        (GATED, condition("a", -1, status="False")),
        (COMPLETED, fields(0, conditions=())),
        (OVER_AGAIN, condition("AllContainersRestarting", -1, status="True")),
    ],
    "conditions-say-why": [
        (READY, condition("Ready", 0, reason="PodFailed")),
        (READY, condition("ContainersReady", 0, message="containers with unready status: [other]")),
        (WITH_SIDECAR, condition("Initialized", 0, message="containers with incomplete status: [init]")),
        (COMPLETED, condition("Ready", -1, reason="PodFailed")),
        (GATED, condition("Ready", 0, reason=None, message=None)),
    ],
    "transition-times-are-exact": [
        (READY, condition("Ready", -2, last_transition_time=NO_TIME)),
        (READY, condition("Initialized", -1, last_transition_time="2023-11-14T22:13:29Z")),
    ],
    "deletion-is-published": [
        (DELETED, metadata(-1, deletion_timestamp=None)),
        (DELETED, metadata(-1, deletion_grace_period_seconds=30)),
        (DELETED, metadata(-1, deletion_timestamp="2023-11-14T22:13:50Z")),
        (COMPLETED, metadata(-1, deletion_timestamp=NO_TIME)),
    ],
    "events-agree-with-the-log": [
        (COMPLETED, event("Started", is_missing=True)),
        (DELETED, event("Signalled", is_missing=True)),
        (CRASHING, told_twice("BackOff")),
        (BAD_START, told_twice("Failed")),
        (BAD_HOOKS, event("FailedPostStartHook", is_missing=True)),
        (CRASHING, event("Exited", is_missing=True)),
    ],
    "events-are-counted": [
        (COMPLETED, told_twice("Started")),
        (CRASHING, event("Started", count=1)),
    ],
}

ROWS = [(name, case, falsify) for name, rows in CASES.items() for case, falsify in rows]


@pytest.mark.parametrize(("name", "case", "falsify"), ROWS, ids=[row[0] for row in ROWS])
def test_an_invariant_sees_what_breaks_it_and_nothing_else(name, case, falsify):
    run = true_run(case)

    assert not breaches(name, run)
    assert breaches(name, falsify(run))


@pytest.mark.parametrize(
    ("column", "cell"), [("ready", "1/2"), ("status", "Unknown"), ("restarts", "7"), ("restarts", "1")]
)
def test_columns_are_compared_with_what_kubectl_would_print(monkeypatch, column, cell):
    """PRINT-1, PRINT-2, PRINT-7."""
    run = true_run(CRASHING)
    monkeypatch.setattr(
        status,
        "pod_row",
        lambda *row, print_row=status.pod_row: attrs.evolve(print_row(*row), **{column: cell}),
    )

    assert [breach.message.split()[0] for breach in breaches("columns-are-kubectls", run)] == [column.upper()]


def test_every_invariant_of_status_has_its_cases():
    stated = {one.name for one in POD_INVARIANTS if one.breaches.__module__ == status.__name__}

    assert stated == {*CASES, "columns-are-kubectls"}


def test_SIDE_5_PROBE_17_started_and_ready_begin_anew_with_every_attempt():
    """The first attempt was both; in the second, not yet probed, neither may be published."""
    run = true_run(ANEW)
    published = [entry.detail.status for entry in run.entries if entry.what == "published"]
    sides = [one.init_container_statuses[0] for one in published]
    nth = next(n for n, side in enumerate(sides) if side.restart_count == 1 and side.state.running)

    assert any(side.started and side.ready for side in sides[:nth])
    assert not sides[nth].started and not sides[nth].ready
    assert any(side.started and side.ready for side in sides[nth:])
    assert breaches("started-and-ready-are-of-this-attempt", container("side", nth, started=True)(run))


def test_a_fault_is_told_where_it_first_shows_and_once():
    run = true_run(READY)
    for nth in range(len([entry for entry in run.entries if entry.what == "published"])):
        run = container("main", nth, restart_count=5)(run)

    (breach,) = breaches("restart-count-is-the-attempt", run)

    assert breach.moment is not None
    assert breach.moment.index == next(n for n, one in enumerate(run.entries) if one.what == "published")
