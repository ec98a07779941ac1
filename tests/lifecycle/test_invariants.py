"""Random pods, random lives, random deletions: what must hold whatever happens (USERS.md-style invariants).

Each run is the shipped kubelet in virtual time. The checks read the trace of the simulated world, not the
record, and share no code with the planner.
"""

from math import inf

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.api.pod import Container, Pod, Probe
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script
from simulation import Recording, container, delete, pod, run

TERM, KILL = 15, 9
SLACK = 2.0  # TERM-2

# Irregular and never zero, so that no two things of one container fall into one instant.
seconds = st.sampled_from([0.41, 1.33, 2.71, 5.17, 11.93, inf])
short = st.sampled_from([0.013, 0.37, 1.71, 4.29])
codes = st.sampled_from([0, 0, 1, 42])
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
    probe_lasts=short,
    post_start=hooks,
    pre_stop=hooks,
    start_error=start_errors,
)


@st.composite
def containers(
    draw: st.DrawFn, name: str, policies: list[str | None], *, plain_init: bool = False
) -> Container:
    fields = {"restart_policy": draw(st.sampled_from(policies))}
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
    mains = [draw(containers(f"m{n}", [None, None, None, "Never"])) for n in range(draw(st.integers(1, 2)))]
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
        backoff_base=2, backoff_max=8, start_gate=draw(st.sampled_from(["ready", "started"]))
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


@settings(max_examples=250, deadline=None)
@given(lives())
def test_invariants_of_every_life(case):
    subject, recording, deletions = case
    spec, trace = subject.spec, recording.trace
    history = all_lives(recording)
    mains = {c.name for c in spec.containers}

    # I8, PHASE-1: phases only move forward and end in a terminal one.
    order = ["Pending", "Running", "Succeeded", "Failed"]
    ranks = [order.index(p) for p in recording.phases()]
    assert ranks == sorted(ranks) and ranks.count(2) + ranks.count(3) == 1
    assert recording.phase in ("Succeeded", "Failed")

    # I1, INIT-2: no main before every plain init has exited 0 and every sidecar has been started.
    main_starts = [life.start for life in history if life.name in mains]
    for name in spec.plain_inits:
        exits = [t.at for t in trace if t.what == "exit" and t.container == name and t.detail == 0]
        for life in history:
            if main_starts and life.name == name:
                assert life.end <= min(main_starts), "an init never overlaps a main"
        assert not main_starts or (exits and min(exits) <= min(main_starts))
    for name in spec.sidecars:
        starts = [life.start for life in history if life.name == name]
        assert not main_starts or (starts and min(starts) <= min(main_starts))

    # INIT-1: first starts come in the order of the list.
    first = [
        recording.order("start").index(c.name)
        for c in spec.init_containers
        if c.name in recording.order("start")
    ]
    assert first == sorted(first)

    # I9, RESTART-1: nothing starts after the first deletion.
    deleted_at = deletions[0][0]
    assert all(life.start <= deleted_at for life in history)

    # I4, TERM-2: everything is gone within the shortest remaining grace and the minimum window.
    bounds = [at + max(spec.termination_grace_period_seconds if g is None else g, 1) for at, g in deletions]
    assert trace[-1].at <= max(min(bounds) + SLACK, deleted_at) + 1e-6

    # TERM-1, TERM-2: per instance one polite signal, then SIGKILL no sooner than two seconds later.
    for life in history:
        numbers = [number for _, number in life.signals]
        assert numbers in ([], [TERM], [TERM, KILL])
        if KILL in numbers:
            assert life.signals[1][0] - life.signals[0][0] >= SLACK - 1e-6

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
