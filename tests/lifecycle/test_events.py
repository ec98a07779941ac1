"""Events in the kubelet's words (EVENT-*), and what is told only once or not at all, in virtual time."""

import pytest

from minikubelet.api.pod import Probe
from minikubelet.lifecycle.actions import CancelHook, RunHook
from minikubelet.lifecycle.events import Told, events_of
from minikubelet.lifecycle.facts import ContainerExited, ContainerStarted, HookFinished, ProbeAnswered
from minikubelet.lifecycle.record import PodRecord, new_record, observe
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script
from simulation import PROBE, container, delete, pod, run, sidecar


def test_EVENT_1_EVENT_2_EVENT_6_the_life_of_a_sidecar_and_a_main():
    done = run(
        pod(init=[sidecar("s")], restart_policy="Never"), {"main": Script(lasts=2), "s": Script(term_lasts=1)}
    )

    told = [(e.type, e.reason, e.message, e.involved_object.field_path) for e in done.events]
    s, main = "spec.initContainers{s}", "spec.containers{main}"
    assert told == [
        ("Normal", "Created", "Created container: s", s),
        ("Normal", "Started", "Started container s", s),
        ("Normal", "Created", "Created container: main", main),
        ("Normal", "Started", "Started container main", main),
        ("Normal", "Exited", "Container main exited with code 0", main),
        ("Normal", "Killing", "Stopping container s", s),
        ("Normal", "Signalled", "Sent SIGTERM to container s", s),
        ("Normal", "Exited", "Container s exited with code 143", s),
    ]


@pytest.mark.parametrize(
    ("policy", "suffix"),
    [("Always", ", will be restarted"), ("OnFailure", ", will be restarted"), ("Never", "")],
)
@pytest.mark.parametrize("kind", ["liveness", "startup"])
def test_EVENT_2_a_probe_kill_says_whether_the_container_comes_back(kind, policy, suffix):
    main = container("main", **{f"{kind}_probe": Probe(failure_threshold=1)})
    done = run(
        pod(main=[main], restart_policy=policy),
        {"main": [Script(unhealthy_after=0, starts_up_after=9), Script(starts_up_after=0)]},
        {5.0: delete()},
    )

    assert done.messages("Killing")[0] == f"Container main failed {kind} probe{suffix}"


@pytest.mark.parametrize("recorded", [True, False])
def test_EVENT_1_a_start_that_fails(recorded):
    broken = StartError(
        "RunContainerError" if recorded else "CreateContainerError", "boom", recorded=recorded
    )
    done = run(pod(), {"main": [Script(start_error=broken), Script()]}, {15.0: delete()})

    failed = [e for e in done.events if e.reason == "Failed"]
    assert [(e.type, e.message) for e in failed] == [("Warning", "Error: boom")]


def test_EVENT_7_equal_events_are_counted():
    done = run(
        pod(main=[container("main", readiness_probe=PROBE)]),
        {"main": Script(ready_after=2.5)},
        {9.0: delete()},
    )

    unhealthy = [(e.count, e.message) for e in done.events if e.reason == "Unhealthy"]
    assert unhealthy == [(n, "Readiness probe failed: the script says so") for n in (1, 2, 3)]


def test_EVENT_7_containers_are_counted_apart():
    missing = Script(start_error=StartError("CreateContainerConfigError", "no"))
    done = run(pod(main=[container("a"), container("b")]), {"a": missing, "b": missing}, {5.0: delete()})

    assert [e.count for e in done.events if e.reason == "Failed"] == [1, 1]


def test_HOOK_6_a_hook_that_overran_is_told_once():
    done = run(
        pod(main=[container("main", pre_stop=True)], grace=3),
        {"main": Script(pre_stop=HookScript(60), term_lasts=1)},
        {2.0: delete()},
    )

    [message] = done.messages("FailedPreStopHook")
    assert "grace period" in message


# ------------------------------------------------------------------ one fact at a time


def started() -> PodRecord:
    subject = pod(main=[container("main", pre_stop=True, liveness_probe=PROBE)])
    record = new_record(subject, LifecycleSettings(), 0.0)
    return observe(record, ContainerStarted("main", 0), 0.0)


@pytest.mark.parametrize(
    ("result", "warning", "expected"),
    [
        ("failure", None, Told("Unhealthy", "Liveness probe failed: text", "Warning", "main")),
        ("error", None, Told("Unhealthy", "Liveness probe errored: text", "Warning", "main")),
        (
            "success",
            "redirected",
            Told("ProbeWarning", "Liveness probe warning: redirected", "Warning", "main"),
        ),
        ("success", None, None),
    ],
)
def test_EVENT_3_PROBE_19_PROBE_24_what_an_answer_tells(result, warning, expected):
    fact = ProbeAnswered("main", 0, "liveness", result, "text", warning)

    assert list(events_of(started(), fact)) == ([expected] if expected else [])


@pytest.mark.parametrize(
    "late",
    [
        ProbeAnswered("main", 7, "liveness", "failure"),
        ContainerExited("main", 7, 1),
        HookFinished("main", 7, "preStop", "boom"),
        HookFinished("main", 0, "preStop", "nobody asked"),
    ],
)
def test_what_comes_too_late_is_not_told(late):
    """I5: it is not observed either."""
    record = started()

    assert list(events_of(record, late)) == []
    assert observe(record, late, 1.0) == record


def test_a_hook_that_was_given_up_has_nothing_more_to_tell():
    record = observe(started(), RunHook("main", 0, "preStop"), 1.0)
    record = observe(record, CancelHook("main", 0, "preStop"), 2.0)

    late = HookFinished("main", 0, "preStop", "boom")
    assert list(events_of(record, late)) == []
    assert observe(record, late, 3.0) == record
