"""Cases in words: nothing is told of what is as usual, and everything of what is not."""

from math import inf

import attrs
import pytest
import yaml

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Pod, PodSpec
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.telling import behaviours, manifests
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script

USUAL = "main: runs until it is stopped"

SAID = {
    "lasts": (2.5, "main: exits with code 0 after 2.5 s"),
    "term_lasts": (inf, f"{USUAL}; ignores its stop signal"),
    "term_exit_code": (3, f"{USUAL}; ends with code 3 0 s after its stop signal"),
    "lingers": (1.0, f"{USUAL}; leaves processes behind that end 1 s later"),
    "kill_lasts": (1 / 1024, f"{USUAL}; takes 0.0009765625 s to die of SIGKILL"),
    "starts_up_after": (3.0, f"{USUAL}; its startupProbe succeeds from 3 s on"),
    "ready_after": (inf, f"{USUAL}; its readinessProbe never succeeds"),
    "unready_after": (4.0, f"{USUAL}; its readinessProbe fails from 4 s on"),
    "unhealthy_after": (5.0, f"{USUAL}; its livenessProbe fails from 5 s on"),
    "probe_lasts": ((0.0, 2.0), f"{USUAL}; its probes take 0 s, 2 s in turn"),
    "answers": (
        {"liveness": ((0.0, "success"), (2.0, "error"))},
        f"{USUAL}; its livenessProbe is told success from 0 s on, error from 2 s on",
    ),
    "post_start": (HookScript(inf), f"{USUAL}; its postStart hook never returns"),
    "pre_stop": (
        HookScript(1.0, dies_with=42),
        f"{USUAL}; it exits with code 42 1 s into its preStop hook",
    ),
    "start_error": (
        StartError("RunContainerError", "no such file", recorded=True),
        "main: cannot be started, as an instance that ends with code 128 (no such file)",
    ),
    "message": ("bye", f"{USUAL}; its termination message is 'bye'"),
    "writes": (((1.0, "up"),), f"{USUAL}; writes 'up' after 1 s"),
}


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(Script)])
def test_every_part_of_a_script_is_told(field):
    if field == "exit_code":
        script, said = Script(lasts=1.0, exit_code=7), "main: exits with code 7 after 1 s"
    else:
        value, said = SAID[field]
        script = Script(**{field: value})

    assert next(behaviours(Case(scripts={"main": (script,)}))) == said


def test_runs_are_told_apart_and_equal_ones_together():
    one, other = Script(lasts=1.0), Script(lasts=2.0)

    lines = list(behaviours(Case(scripts={"main": (one, one, other)})))

    assert lines[:2] == [
        "main, first run to second: exits with code 0 after 1 s",
        "main, third run and later: exits with code 0 after 2 s",
    ]


def test_what_happens_is_told_in_order():
    requests = (
        Request(5.0, "delete", grace_seconds=3),
        Request(2.0, "gate", "default/web", condition_type="example.com/a"),
        Request(4.0, "delete", "default/web"),
    )
    settings = LifecycleSettings(start_gate="started", backoff_base=1.0)

    assert list(behaviours(Case(requests=requests, settings=settings, prepare_failures=1, heals_at=9.0))) == [
        "at 2 s readinessGate example.com/a of web is set to True",
        "at 4 s web is deleted",
        "at 5 s everything is deleted with 3 s of grace",
        "preparing a pod fails once before it works",
        "at 9 s the world heals: what begins then goes well",
        "at 1000 s everything is deleted that is still there",
        "start-gate: started",
        "backoff-base: 1 s",
    ]


def test_the_manifest_is_yaml_without_defaults():
    pod = Pod(ObjectMeta(name="web"), PodSpec((Container("main"),), restart_policy="Never"))

    assert yaml.safe_load(manifests(Case((pod,)))) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "main"}], "restartPolicy": "Never"},
    }
