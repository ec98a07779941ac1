"""What is remembered of all containers of a pod, and for whom a record changes."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Pod, PodSpec, Probe
from minikubelet.lifecycle.actions import Action, AskProbe
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.facts import (
    ContainerExited,
    ContainerStarted,
    DeletionRequested,
    Fact,
    PodPrepared,
    ProbeAnswered,
)
from minikubelet.lifecycle.plan import plan
from minikubelet.lifecycle.record import PodRecord, new_record, observe, take_in
from minikubelet.lifecycle.settings import LifecycleSettings

SPEC = PodSpec(
    (Container("quiet"), Container("probed", readiness_probe=Probe())),
    (Container("init"), Container("sidecar", restart_policy="Always")),
)
NAMES = tuple(SPEC.all_containers)


def record_of() -> PodRecord:
    return new_record(Pod(ObjectMeta(name="p"), SPEC), LifecycleSettings(), 0.0)


def facts() -> st.SearchStrategy[Fact | Action]:
    names = st.sampled_from(NAMES)
    return st.one_of(
        st.builds(ContainerStarted, names, st.just(0)),
        st.builds(ContainerExited, names, st.just(0), st.integers(0, 1)),
        st.builds(AskProbe, st.just("probed"), st.just(0), st.just("readiness")),
        st.just(ProbeAnswered("probed", 0, "readiness", "success")),
        st.just(PodPrepared()),
    )


@given(st.lists(st.tuples(facts(), st.booleans())))
def test_what_is_remembered_of_all_containers_is_what_each_of_them_says(
    history: list[tuple[Fact | Action, bool]],
) -> None:
    """Whenever it was asked in between."""
    record = record_of()
    for at, (fact, is_asked) in enumerate(history):
        record = take_in(record, fact, float(at))
        if is_asked:
            _ = record.all_ready

    containers = record.containers
    lasting = {name: containers[name] for name in SPEC.lasting}
    assert containers.all_ready is all(container.is_ready for container in lasting.values())
    instants = [container.quiet_until for container in lasting.values()]
    for now in {0.0, 0.5, *instants} - {inf}:
        asked, asked_of_each = Clock(now), Clock(now)
        due = {name for name, container in lasting.items() if asked_of_each.reached(container.quiet_until)}
        assert containers.due(asked) == due
        assert asked.alarm == asked_of_each.alarm


def test_what_is_remembered_does_not_grow_with_what_has_happened() -> None:
    """Of a liveness probe that is due every 10 s the readiness answers say the same again and again."""
    probed = Container("c", liveness_probe=Probe(), readiness_probe=Probe())
    record = new_record(Pod(ObjectMeta(name="p"), PodSpec((probed,))), LifecycleSettings(), 0.0)
    record = take_in(record, ContainerStarted("c", 0), 0.0)
    for _ in range(1000):
        record = take_in(record, ProbeAnswered("c", 0, "readiness", "success"), 0.0)
        assert record.containers.due(Clock(0.0)) == {"c"}

    assert len(record.containers._agenda) < 100


def test_observing_changes_no_record() -> None:
    """Whoever has the former one, or both, sees what was so then."""
    before = record_of()
    started = observe(before, ContainerStarted("quiet", 0), 1.0)
    ended = observe(started, ContainerExited("quiet", 0, 3), 2.0)

    assert before == record_of()
    assert started.containers["quiet"].is_live
    assert not ended.containers["quiet"].is_live
    assert started.containers.due(Clock(0.0)) == {"probed", "sidecar"}
    assert ended.containers.due(Clock(0.0)) == {"probed", "sidecar", "quiet"}


@pytest.mark.parametrize("between", [None, DeletionRequested(None)])
def test_a_record_that_was_seen_by_others_is_changed_in_a_copy(between: Fact | None) -> None:
    """Be there or not a fact in between that is none of its containers'."""
    record = take_in(record_of(), ContainerStarted("quiet", 0), 1.0)
    record.containers.is_draft = False  # as `PodWorker.record` has it
    seen = record
    if between is not None:
        record = take_in(record, between, 2.0)
    record = take_in(record, ContainerExited("quiet", 0, 3), 3.0)

    assert seen.containers["quiet"].is_live
    assert not record.containers["quiet"].is_live


def test_the_owner_of_a_record_changes_it_in_place() -> None:
    """So a fact costs the same however many containers there are."""
    record = take_in(record_of(), ContainerStarted("quiet", 0), 1.0)
    later = take_in(record, ContainerExited("quiet", 0, 3), 2.0)

    assert later.containers is record.containers


def test_containers_that_nothing_is_due_for_are_not_looked_at() -> None:
    """However many idle siblings there are, a plan reads the one that something happened to."""
    spec = PodSpec(tuple(Container(f"c{n}") for n in range(100)))
    record = new_record(Pod(ObjectMeta(name="p"), spec), LifecycleSettings(), 0.0)
    record = take_in(record, PodPrepared(), 0.0)
    for name in spec.all_containers:
        record = take_in(record, ContainerStarted(name, 0), 0.0)
    assert not list(plan(record, Clock(1.0)))

    record = take_in(record, ContainerExited("c7", 0, 3), 2.0)

    assert record.containers.due(Clock(100.0)) == {"c7"}
    assert [getattr(action, "name", None) for action in plan(record, Clock(100.0))] == ["c7"]
