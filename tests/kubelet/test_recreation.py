"""A name that is used again: the next pod comes once, and when the one before it is gone (I9, TERM-14)."""

import pytest

from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.engines import run_on_heap, run_under_trio
from minikubelet.invariants.checker import check
from minikubelet.invariants.journal import Journal
from minikubelet.kubelet.kubelet import Kubelet
from minikubelet.runtime.simulated import HeapScheduler, Script, SimulatedRuntime
from simulation import container, pod

SLOW = {"main": (Script(term_lasts=3.0), Script(term_lasts=3.0))}
KEY = "default/p"


def times(journal: Journal, what: str) -> list[float]:
    return [entry.at for entry in journal.entries if entry.what == what]


@pytest.mark.parametrize("engine", [run_on_heap, run_under_trio])
def test_the_next_pod_starts_once_when_the_one_before_it_is_gone(engine):
    """k/k#104648, k/k#107733: deleted at 1 s, gone at 4 s; asked for again at 2 s."""
    requests = (Request(1.0, "delete", KEY), Request(2.0, "create", KEY))
    journal = engine(Case((pod(main=[container("main")]),), (), SLOW, requests, ends_at=10.0))

    assert times(journal, "begun") == [0.0, 4.0]
    assert times(journal, "started") == [0.0, 4.0]
    assert times(journal, "removed") == [4.0, 13.0]
    assert check(journal) == []


def test_a_further_deletion_is_for_the_one_that_waits_too():
    """I9: a stop request wins."""
    requests = (Request(1.0, "delete", KEY), Request(2.0, "create", KEY), Request(3.0, "delete", KEY))
    journal = run_on_heap(Case((pod(main=[container("main")]),), (), SLOW, requests, ends_at=10.0))

    assert times(journal, "started") == [0.0]
    assert check(journal) == []


def test_a_name_is_taken_while_its_pod_is_to_stay_or_has_a_successor():
    scheduler = HeapScheduler()
    kubelet = Kubelet(SimulatedRuntime(SLOW, scheduler=scheduler))
    subject = pod(main=[container("main")])
    kubelet.add_pod(subject)
    kubelet.settle()
    with pytest.raises(ValueError, match="exists already"):
        kubelet.add_pod(subject)

    kubelet.delete_pod(KEY)
    kubelet.settle()
    kubelet.add_pod(subject)
    with pytest.raises(ValueError, match="exists already"):
        kubelet.add_pod(subject)


def test_a_pod_that_was_over_and_is_deleted_gives_its_name_at_once():
    scheduler = HeapScheduler()
    kubelet = Kubelet(SimulatedRuntime({"main": [Script(lasts=0.0)]}, scheduler=scheduler))
    subject = pod(main=[container("main")], restart_policy="Never")
    kubelet.add_pod(subject)
    kubelet.settle()
    scheduler.run_until(1.0, kubelet.settle)
    first = kubelet.pod(KEY).metadata.uid
    kubelet.delete_pod(KEY)
    kubelet.add_pod(subject)

    assert kubelet.pod(KEY).metadata.uid != first
    assert [gone.metadata.uid for gone in kubelet.removed_pods] == [first]
