"""Random pods, random lives, random deletions: what must hold whatever happens (USERS.md-style invariants).

Each run is the shipped kubelet in virtual time. The checks read the trace of the simulated world, not the
record, and share no code with the planner.
"""

from itertools import pairwise
from math import inf
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.api.pod import (
    Container,
    ContainerRestartRule,
    ContainerRestartRuleOnExitCodes,
    Pod,
    PodSpec,
    Probe,
)
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script, Trace
from simulation import Recording, container, delete, pod, run

TERM, KILL = 15, 9
SLACK = 2.0  # TERM-2
MAX_DELAY = 8.0
EPSILON = 1e-5  # wall-clock seconds are no exacter

# Irregular and never zero, so that no two things of one container fall into one instant.
seconds = st.sampled_from([0.41, 1.33, 2.71, 5.17, 11.93, inf])
short = st.sampled_from([0.013, 0.37, 1.71, 4.29])
codes = st.sampled_from([0, 0, 1, 42])
rules = st.builds(
    ContainerRestartRule,
    action=st.sampled_from(["Restart", "RestartAllContainers"]),
    exit_codes=st.builds(
        ContainerRestartRuleOnExitCodes,
        operator=st.sampled_from(["In", "In", "NotIn"]),
        values=st.sampled_from([(42,), (1, 143), (0,)]),
    ),
)
probes = st.none() | st.builds(
    Probe,
    initial_delay_seconds=st.integers(0, 2),
    period_seconds=st.integers(1, 3),
    failure_threshold=st.integers(1, 3),
    termination_grace_period_seconds=st.none() | st.sampled_from([1, 4, 20]),
)
readiness = st.none() | st.builds(
    Probe, period_seconds=st.integers(1, 3), success_threshold=st.integers(1, 2)
)
hooks = st.builds(HookScript, lasts=seconds, error=st.none() | st.just("broken"))
start_errors = st.sampled_from(
    [None] * 12
    + [
        StartError("CreateContainerConfigError", "missing"),
        StartError("RunContainerError", "no such file", recorded=True),
    ]
)
scripts = st.builds(
    Script,
    lasts=seconds,
    exit_code=codes,
    term_lasts=seconds,
    term_exit_code=st.none() | codes,
    starts_up_after=short,
    ready_after=short,
    unready_after=seconds,
    unhealthy_after=seconds,
    probe_lasts=st.tuples(short),
    post_start=hooks,
    pre_stop=hooks,
    start_error=start_errors,
)


@st.composite
def containers(
    draw: st.DrawFn, name: str, policies: list[str | None], *, plain_init: bool = False
) -> Container:
    fields: dict[str, Any] = {"restart_policy": draw(st.sampled_from(policies))}
    if fields["restart_policy"] is not None:
        fields["restart_policy_rules"] = draw(st.sampled_from([(), (), (draw(rules),)]))
    if plain_init and fields["restart_policy"] != "Always":
        return container(name, **fields)
    return container(
        name,
        post_start=draw(st.booleans()),
        pre_stop=draw(st.booleans()),
        startup_probe=draw(probes),
        liveness_probe=draw(probes),
        readiness_probe=draw(readiness),
        **fields,
    )


@st.composite
def pods(draw: st.DrawFn) -> Pod:
    inits = [
        draw(containers(f"i{n}", [None, None, "Always", "Always", "Never"], plain_init=True))
        for n in range(draw(st.integers(0, 3)))
    ]
    mains = [
        draw(containers(f"m{n}", [None, None, "Never", "OnFailure"])) for n in range(draw(st.integers(1, 2)))
    ]
    return pod(
        init=inits,
        main=mains,
        grace=draw(st.sampled_from([0, 1, 3, 10, 30])),
        restart_policy=draw(st.sampled_from(["Always", "OnFailure", "Never"])),
        active_deadline_seconds=draw(st.none() | st.sampled_from([2, 15])),
    )


@st.composite
def lives(draw: st.DrawFn) -> tuple[Pod, Recording, list[tuple[float, int | None]]]:
    """A pod, what it did, and when it was deleted with which grace (always in the end)."""
    subject = draw(pods())
    played = {name: draw(st.lists(scripts, min_size=1, max_size=3)) for name in subject.spec.all_containers}
    first = draw(st.floats(0.05, 40))
    deletions = [(first, draw(st.none() | st.sampled_from([0, 2, 20])))]
    if draw(st.booleans()):
        deletions.append((first + draw(st.floats(0.01, 6)), draw(st.sampled_from([0, 1]))))
    node = LifecycleSettings(
        backoff_base=2, backoff_max=MAX_DELAY, start_gate=draw(st.sampled_from(["ready", "started"]))
    )
    recording = run(
        subject,
        played,
        {at: delete(grace) for at, grace in deletions},
        settings=node,
        prepare_failures=draw(st.sampled_from([0, 0, 0, 1])),
    )
    return subject, recording, deletions


@attrs.define
class Life:
    name: str
    start: float
    end: float = inf
    signals: list[tuple[float, object]] = attrs.Factory(list)


def all_lives(recording: Recording) -> list[Life]:
    live: dict[str, Life] = {}
    ended = []
    for line in recording.trace:
        if line.what == "start":
            assert line.container not in live, "at most one live attempt of a container"
            live[line.container] = Life(line.container, line.at)
        elif line.what == "signal":
            live[line.container].signals.append((line.at, line.detail))
        elif line.what == "exit":
            life = live.pop(line.container)
            life.end = line.at
            ended.append(life)
    assert not live, "every process is gone when the pod is over"
    return ended


def told_at(recording: Recording, reason: str, beginning: str = "") -> list[float]:
    """When events of that reason were told."""
    events = recording.events
    return [
        e.wall_time - 1_700_000_000 for e in events if e.reason == reason and e.message.startswith(beginning)
    ]


@settings(max_examples=250, deadline=None)
@given(lives())
def test_invariants_of_every_life(case):
    subject, recording, deletions = case
    spec, trace = subject.spec, recording.trace
    history = all_lives(recording)
    deleted_at = deletions[0][0]

    # I8, PHASE-1: phases only move forward and end in a terminal one.
    order = ["Pending", "Running", "Succeeded", "Failed"]
    ranks = [order.index(p) for p in recording.phases()]
    assert ranks == sorted(ranks) and ranks.count(2) + ranks.count(3) == 1
    assert recording.phase in ("Succeeded", "Failed")

    # RESTART-13: an in-place restart begins when every instance is gone, and starts over.
    begins = [0.0, *told_at(recording, "RestartingAllContainers"), inf]
    for since, until in pairwise(begins):
        assert all(life.end <= since + EPSILON or life.start >= since - EPSILON for life in history)
        check_order(
            spec, trace, [life for life in history if since - EPSILON <= life.start < until - EPSILON]
        )

    # I9, RESTART-1: nothing starts after the first deletion.
    assert all(life.start <= deleted_at for life in history)

    # I4, TERM-2: everything is gone within the shortest remaining grace and the minimum window.
    bounds = [at + max(spec.termination_grace_period_seconds if g is None else g, 1) for at, g in deletions]
    assert trace[-1].at <= max(min(bounds) + SLACK, deleted_at) + EPSILON

    # TERM-1, TERM-2: per instance one polite signal, then SIGKILL no sooner than two seconds later.
    for life in history:
        numbers = [number for _, number in life.signals]
        assert numbers in ([], [TERM], [TERM, KILL])
        if KILL in numbers:
            assert life.signals[1][0] - life.signals[0][0] >= SLACK - EPSILON

    # I2, SIDE-9: a sidecar that is down is up again after its back-off, unless the pod goes down.
    goes_down = [
        deleted_at,
        *told_at(recording, "Killing", "Stopping"),
        *told_at(recording, "RestartAllContainers"),
    ]
    over_at = trace[-1].at
    for life in history:
        back_at = [
            t.at
            for t in trace
            if t.container == life.name and t.at >= life.end and t.what.startswith("start")
        ]
        if life.name in spec.sidecars and not any(life.end + MAX_DELAY >= t for t in [*goes_down, over_at]):
            assert back_at and back_at[0] <= life.end + MAX_DELAY + EPSILON

    # PROBE-7, I5: nothing but startup is asked before the startup probe of that instance succeeded.
    for life in history:
        probe = spec.all_containers[life.name].startup_probe
        if probe is None:
            continue
        passed = False
        for line in trace:
            if line.what == "probe" and line.container == life.name and life.start <= line.at < life.end:
                kind, ok = line.detail
                if kind == "startup":
                    passed = passed or ok
                elif life.start < line.at:
                    assert passed

    # I6, PROBE-30: after deletion only readiness is asked.
    late = {t.detail[0] for t in trace if t.what == "probe" and t.at > deleted_at}
    assert late <= {"readiness"}

    # SIDE-17, PHASE-6: the verdict is the mains' own, unless a deadline or an init decided it.
    if recording.phase == "Succeeded":
        codes = {c.name: recording.status(c.name).state.terminated for c in spec.containers}
        assert all(end is not None and end.exit_code == 0 for end in codes.values())

    # EVENT-1: every instance is told of when it starts.
    for name in spec.all_containers:
        assert recording.reasons(name).count("Started") == sum(life.name == name for life in history)


def check_order(spec: PodSpec, trace: list[Trace], history: list[Life]) -> None:
    """I1, INIT-1, INIT-2: the order of starts between two in-place restarts."""
    mains = {c.name for c in spec.containers}
    main_starts = [life.start for life in history if life.name in mains]
    for name in spec.plain_inits:
        ends = {life.end for life in history if life.name == name}
        exits = [
            t.at for t in trace if t.what == "exit" and t.container == name and t.at in ends and t.detail == 0
        ]
        for life in history:
            if main_starts and life.name == name:
                assert life.end <= min(main_starts), "an init never overlaps a main"
        assert not main_starts or (exits and min(exits) <= min(main_starts))
    for name in spec.sidecars:
        starts = [life.start for life in history if life.name == name]
        assert not main_starts or (starts and min(starts) <= min(main_starts))
    firsts = {life.name: life.start for life in sorted(history, key=lambda life: -life.start)}
    in_order = [firsts[c.name] for c in spec.init_containers if c.name in firsts]
    assert in_order == sorted(in_order)


@settings(max_examples=150, deadline=None)
@given(lives())
def test_invariants_of_every_published_status(case):
    subject, recording, _ = case
    spec = subject.spec
    before: Pod | None = None
    for _, published in recording.statuses:
        status = published.status
        assert status is not None
        conditions = {c.type: c for c in status.conditions}
        inits = {s.name: s for s in status.init_container_statuses}
        all_statuses = {**inits, **{s.name: s for s in status.container_statuses}}

        for name, one in all_statuses.items():
            # STATUS-1, STATUS-2: exactly one state; lastState is another instance, and ended.
            state, last = one.state, one.last_state
            assert [state.waiting, state.running, state.terminated].count(None) == 2
            assert last.waiting is None and last.running is None
            if last.terminated and state.terminated:
                assert last.terminated.container_id != state.terminated.container_id
            # PROBE-17, PROBE-18, SIDE-5, INIT-8.
            if name in spec.plain_inits:
                assert one.ready is (state.terminated is not None and state.terminated.exit_code == 0)
            else:
                assert not one.started or state.running is not None
                assert not one.ready or one.started

        # COND-3, COND-5, COND-7: what the conditions say is what the statuses say.
        counted = [s for name, s in all_statuses.items() if name not in spec.plain_inits]
        if conditions["ContainersReady"].status == "True":
            assert all(s.ready for s in counted)
            assert conditions["Ready"].status == "True"
        elif conditions["ContainersReady"].reason == "ContainersNotReady":
            unready = " ".join(s.name for s in counted if not s.ready)
            assert conditions["ContainersReady"].message == f"containers with unready status: [{unready}]"
        if status.phase == "Running":
            assert conditions["Initialized"].status == "True"
        assert conditions["PodScheduled"].status == "True"

        if before is not None:
            assert before.status is not None
            # STATUS-3: restart counts only rise. CORE-7: startTime never changes.
            old = {
                s.name: s for s in (*before.status.init_container_statuses, *before.status.container_statuses)
            }
            assert all(old[name].restart_count <= s.restart_count for name, s in all_statuses.items())
            assert before.status.start_time == status.start_time
            # COND-2: transition times change only with the status, COND-3: Initialized is sticky.
            for kind, was in {c.type: c for c in before.status.conditions}.items():
                if conditions[kind].status == was.status:
                    assert conditions[kind].last_transition_time == was.last_transition_time
            assert (before.status.phase, conditions["Initialized"].status) != ("Running", "False")
            # TERM-4: once deleted, always deleted, and never later than announced.
            if before.metadata.deletion_timestamp is not None:
                assert published.metadata.deletion_timestamp is not None
                assert published.metadata.deletion_timestamp <= before.metadata.deletion_timestamp
        before = published
