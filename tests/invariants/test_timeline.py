"""Timelines: who did what and when, in words; what says nothing new is left out; the violation is marked."""

import attrs
import pytest

from minikubelet.api.job import Job, JobSpec
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import (
    Container,
    ExecAction,
    Lifecycle,
    LifecycleHandler,
    Pod,
    PodReadinessGate,
    PodSpec,
    PodTemplateSpec,
    Probe,
)
from minikubelet.fuzz import generate
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import run_on_heap
from minikubelet.invariants.journal import Journal
from minikubelet.invariants.rules import Violation
from minikubelet.invariants.timeline import timeline
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script

TRUE = ExecAction(("true",))
PROBE = Probe(exec=TRUE, period_seconds=1, failure_threshold=3)


def pod(main: Container, name: str = "web", **fields: object) -> Pod:
    spec = PodSpec((main,), restart_policy="Never", termination_grace_period_seconds=5)
    return Pod(ObjectMeta(name=name), attrs.evolve(spec, **fields))


def told(case: Case) -> list[str]:
    """Without the blanks that make columns."""
    return [" ".join(line.split()) for line in timeline(run_on_heap(case))]


def violation(journal: Journal, index: int) -> Violation:
    entry = journal.entries[index]
    return Violation("no-end", "X-1 X-2", "Nothing ends.", entry.key, index, entry.at, "main ended")


def test_a_whole_life():
    lifecycle = Lifecycle(pre_stop=LifecycleHandler(exec=TRUE))
    case = Case(
        (pod(Container("main", lifecycle=lifecycle, liveness_probe=PROBE)),),
        scripts={"main": (Script(unhealthy_after=2.0, pre_stop=HookScript(0.5)),)},
    )

    assert told(case) == [
        "0.000 pod accepted: main main; restartPolicy Never, grace 5 s",
        "0.000 main started (attempt 0)",
        "0.000 main ready",
        "0.000 pod phase Running",
        "0.000 main liveness probe succeeded",
        "2.000 main liveness probe failed (1 of 3), after 1 more that succeeded",
        "3.000 main liveness probe failed (2 of 3)",
        "4.000 main liveness probe failed (3 of 3)",
        "4.000 main Killing: Container main failed liveness probe",
        "4.000 main preStop hook began",
        "4.500 main preStop hook returned after 0.500 s",
        "4.500 main SIGTERM sent",
        "4.500 main exited with code 143 (SIGTERM) after 4.500 s",
        "4.500 pod is over, nothing of it is left",
        "4.500 main not ready",
        "4.500 pod phase Failed",
        "4.500 everything is finished",
    ]


def test_requests_and_what_comes_of_them():
    case = Case(
        (pod(Container("main"), readiness_gates=(PodReadinessGate("a"),)),),
        scripts={"main": (Script(term_lasts=60.0),)},
        requests=(Request(1.0, "gate", "default/web", condition_type="a"), Request(2.0, "delete")),
    )

    lines = told(case)

    assert "1.000 pod readinessGate a was set to True" in lines
    assert "2.000 pod deletion asked for, with the grace of its own" in lines
    assert "7.000 main SIGKILL sent" in lines


@pytest.mark.parametrize(
    ("recorded", "said"),
    [(True, "which counts as an exit with code 128"), (False, "will be tried again")],
)
def test_failed_starts(recorded, said):
    error = StartError("Broken", "no such file", recorded=recorded)
    case = Case((pod(Container("main")),), scripts={"main": (Script(start_error=error), Script(lasts=1.0))})

    assert f"0.000 main could not be started: Broken, {said} (attempt 0)" in told(case)


def test_hooks_that_fail_and_hooks_that_are_given_up():
    lifecycle = Lifecycle(LifecycleHandler(exec=TRUE), LifecycleHandler(exec=TRUE))
    script = Script(post_start=HookScript(1.0, error="exit 1"), pre_stop=HookScript(99.0))

    lines = told(Case((pod(Container("main", lifecycle=lifecycle)),), scripts={"main": (script,)}))

    assert "1.000 main postStart hook failed (exit 1) after 1.000 s" in lines
    assert "6.000 main preStop hook was given up" in lines


def test_preparing_can_fail():
    assert "0.000 pod could not be prepared: the script says so" in told(
        Case((pod(Container("main")),), scripts={"main": (Script(lasts=1.0),)}, prepare_failures=1)
    )


def test_several_pods_are_told_apart():
    lines = told(
        Case((pod(Container("main")), pod(Container("main"), "db")), scripts={"main": (Script(lasts=1.0),)})
    )

    assert "0.000 web/main started (attempt 0)" in lines
    assert "0.000 db/main started (attempt 0)" in lines


def test_a_job_is_told_with_its_pods():
    template = PodTemplateSpec(pod(Container("main")).spec, ObjectMeta(namespace=""))
    spec = JobSpec(template, 1, 1, backoff_limit=0, pod_replacement_policy="TerminatingOrFailed")
    case = Case(jobs=(Job(ObjectMeta(name="work"), spec),), scripts={"main": (Script(lasts=1.0),)})

    lines = told(case)

    assert any(line.startswith("0.000 work active 1, succeeded 0, failed 0") for line in lines)
    assert any(line.startswith("1.000 work active 0, succeeded 1") and "Complete" in line for line in lines)
    assert any("/main started (attempt 0)" in line for line in lines)


# ------------------------------------------------------------------ violations

TWO = Case((pod(Container("main")), pod(Container("main"), "db")), scripts={"main": (Script(lasts=1.0),)})


def entry_of(journal: Journal, what: str, key: str) -> int:
    return next(n for n, one in enumerate(journal.entries) if one.what == what and one.key == key)


def test_a_violation_is_marked_and_others_pods_are_left_out():
    journal = run_on_heap(TWO)

    lines = list(timeline(journal, violation(journal, entry_of(journal, "exited", "default/db"))))

    marked = next(n for n, line in enumerate(lines) if line.startswith("> "))
    assert "main" in lines[marked] and "exited with code 0" in lines[marked]
    assert lines[marked + 1].strip() == "^ no-end [X-1 X-2]: Nothing ends."
    assert lines[marked + 2].strip() == "main ended"
    assert sum(line.startswith("> ") for line in lines) == 1
    assert not any("web" in line for line in lines)


@pytest.mark.parametrize("what", ["prepared", "published", "event", "probeBegan", "probeEnded", "over"])
def test_whatever_is_violated_is_shown(what):
    case = Case((pod(Container("main", readiness_probe=PROBE)),), scripts={"main": (Script(lasts=5.0),)})
    journal = run_on_heap(case)
    index = max(n for n, one in enumerate(journal.entries) if one.what == what)

    lines = list(timeline(journal, violation(journal, index)))

    assert [line for line in lines if line.startswith("> ")]


def test_of_a_long_life_the_beginning_and_what_is_near_the_violation_is_shown():
    flapping = {"readiness": tuple((float(n), ("success", "failure")[n % 2]) for n in range(200))}
    probe = attrs.evolve(PROBE, failure_threshold=1)
    case = Case(
        (pod(Container("main", readiness_probe=probe)),),
        scripts={"main": (Script(lasts=200.0, answers=flapping),)},
    )
    journal = run_on_heap(case)

    lines = list(timeline(journal, violation(journal, entry_of(journal, "exited", "default/web"))))

    assert len(lines) < 90
    assert "accepted" in lines[0]
    assert any(line.strip().startswith("... ") and line.endswith(" lines") for line in lines)


@pytest.mark.parametrize("seed", range(12))
def test_every_entry_of_every_run_can_be_told_and_marked(seed):
    journal = run_on_heap(generate.case(SeededDraw(seed)))
    for index in range(0, len(journal.entries), 1 + len(journal.entries) // 8):
        lines = list(timeline(journal, violation(journal, index)))

        assert sum(line.startswith("> ") for line in lines) == 1


def test_an_empty_journal_has_no_timeline():
    assert list(timeline(Journal())) == []
