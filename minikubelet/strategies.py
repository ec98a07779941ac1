"""Hypothesis strategies of what minikubelet is fuzzed with, for tests of your own controllers and tools.

    from hypothesis import given
    from minikubelet import strategies

    @given(strategies.pods())
    def test_any_pod_is_admitted(pod): ...

Every object is valid: the API server would take it, with all defaults filled in (`api.codec.to_wire` gives it
as the API publishes it). Examples shrink towards one container without anything. Needs hypothesis.
"""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from minikubelet.api.job import Job
from minikubelet.api.pod import Container, Pod
from minikubelet.fuzz import generate
from minikubelet.fuzz.case import Case
from minikubelet.fuzz.draw import HypothesisDraw
from minikubelet.runtime.simulated import Script

__all__ = ["cases", "jobs", "pods", "scripts"]


@st.composite
def pods(draw: Any, *, name: str = "p") -> Pod:
    """Pods with init containers, sidecars, up to three mains, probes, hooks and restart rules."""
    choices = HypothesisDraw(draw)
    return generate.pod(choices, generate.swarm(choices), name)


@st.composite
def jobs(draw: Any, *, name: str = "j") -> Job:
    """Jobs, Indexed ones too, with limits, deadlines, a podFailurePolicy and a successPolicy."""
    choices = HypothesisDraw(draw)
    return generate.job(choices, generate.swarm(choices), name)


@st.composite
def scripts(draw: Any, container: Container | None = None) -> Script:
    """How one run of a container behaves: its end, its probes' answers, its hooks, its way to die.

    Of `container` what it has is scripted, its probes and hooks; without one, all that there is.
    """
    choices = HypothesisDraw(draw)
    return generate.script(choices, generate.swarm(choices), container)


@st.composite
def cases(draw: Any, pods: Sequence[Pod] | None = None, jobs: Sequence[Job] = ()) -> Case:
    """Whole worlds, around pods and Jobs of yours if you give any; `fuzz.engines.run_on_heap` runs one."""
    choices = HypothesisDraw(draw)
    if pods is None and not jobs:
        return generate.case(choices)
    return generate.case_for(choices, pods or (), jobs)
