"""Replay files: the same case comes back, people can edit them, and faults are told with their place."""

from math import inf

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minikubelet import strategies
from minikubelet.api import manifest
from minikubelet.api.errors import ManifestError
from minikubelet.api.pod import Container
from minikubelet.fuzz import generate, replay
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.replay import Replay
from minikubelet.invariants.rules import Violation
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script
from simulation import pod

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
VIOLATIONS = st.builds(
    Violation, TEXT, TEXT, TEXT, TEXT, st.integers(0, 999), st.floats(0, 1e6, allow_nan=False), TEXT
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return str(tmp_path_factory.mktemp("replay") / "finding.yaml")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(strategies.cases(), st.none() | VIOLATIONS, st.none() | st.integers(0, 2**64), st.none() | st.just(7))
def test_saved_and_loaded_it_is_the_same(file, case, violation, seed, example):
    one = Replay(case, violation, seed, example)
    replay.save(one, file)

    assert replay.load(file) == one


def test_a_hundred_seeds_come_back_the_same(file):
    for seed in range(100):
        one = Replay(generate.case(SeededDraw(seed)), None, seed, 0)
        replay.save(one, file)

        assert replay.load(file) == one


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(TEXT, st.floats(0, allow_nan=False))
def test_any_text_and_any_length_come_back_the_same(file, text, length):
    scripts = {"main": (Script(lasts=length, message=text, post_start=HookScript(length, error=text)),)}
    one = Replay(
        Case((pod(main=[Container("main", command=(text.replace("\0", "") or "x",))]),), scripts=scripts)
    )
    one = attrs.evolve(one, case=normal(one.case, file))
    replay.save(one, file)

    assert replay.load(file) == one


def normal(case, file):
    """With the defaults that the API server would add."""
    replay.save(Replay(case), file)
    return replay.load(file).case


def test_the_manifests_of_a_replay_are_what_run_takes(file):
    case = generate.case(SeededDraw(1))
    replay.save(Replay(case), file)
    loaded = manifest.load([file])

    assert tuple(one.obj for one in loaded.pods) == case.pods
    assert [notice.message for notice in loaded.notices] == ["passed over, minikubelet does not run Replay"]


BY_HAND = """
apiVersion: minikubelet/v1
kind: Replay
violated: {invariant: one-live-attempt, rules: I9, sentence: One., key: default/p, index: 4, at: 2.5,
           message: two}
seed: 12
settings: {startGate: started, backoffBase: 1}
behaviours:
  main:
  - lasts: 2.5   # seconds
    exitCode: 1
    startError: {reason: RunContainerError, message: no such file, recorded: true}
  - answers: {readiness: [[0, success], [3, error]]}
    preStop: {lasts: .inf}
requests:
- {at: 3, what: delete, graceSeconds: 0}
- {at: 4, what: gate, key: default/p, conditionType: a/b, status: false}
priorities: [1, 0]
endsAt: 20
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: main, command: [sleep, infinity]}]}
"""


def loads(text, file):
    with open(file, "w") as stream:
        stream.write(text)
    return replay.load(file)


def test_a_replay_can_be_written_by_hand(file):
    one = loads(BY_HAND, file)

    assert one.seed == 12
    assert one.violated == Violation("one-live-attempt", "I9", "One.", "default/p", 4, 2.5, "two")
    assert one.case.settings == LifecycleSettings(backoff_base=1.0, start_gate="started")
    assert one.case.scripts == {
        "main": (
            Script(2.5, 1, start_error=StartError("RunContainerError", "no such file", recorded=True)),
            Script(answers={"readiness": ((0.0, "success"), (3.0, "error"))}, pre_stop=HookScript(inf)),
        )
    }
    assert one.case.requests == (
        Request(3.0, "delete", grace_seconds=0),
        Request(4.0, "gate", "default/p", condition_type="a/b", status=False),
    )
    assert (one.case.priorities, one.case.ends_at, one.case.heals_at) == ((1, 0), 20.0, inf)


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "message"),
    [
        ("endsAt: 20", "endAt: 20", 19, "endAt", 'unknown field; did you mean "endsAt"?'),
        ("exitCode: 1", "exitCode: one", 11, "behaviours.main[0].exitCode", "expected a whole number"),
        ("lasts: 2.5", "lasts: -1", 10, "behaviours.main[0].lasts", "not negative (.inf for never)"),
        ("lasts: 2.5", "lasts: .nan", 10, "behaviours.main[0].lasts", "expected a number of seconds"),
        ("lasts: 2.5", "lasts: [1]", 10, "behaviours.main[0].lasts", "expected a number of seconds"),
        ("at: 3, what", "what", 16, "requests[0].at", "Required value"),
        ("what: delete", "what: remove", 16, "requests[0].what", 'expected one of "delete", "gate"'),
        ("  main:", "  mane:", 9, "behaviours.mane", 'there is no container "mane"; did you mean "main"?'),
        (
            "key: default/p, cond",
            "key: default/q, cond",
            17,
            "requests[1].key",
            'there is no pod "default/q"',
        ),
        ("{readiness:", "{ready:", 13, "behaviours.main[1].answers.ready", 'one of "startup"'),
        ("[3, error]", "[3, broken]", 13, "behaviours.main[1].answers.readiness[1][1]", '"error"'),
        ("[3, error]", "3", 13, "behaviours.main[1].answers.readiness[1]", "expected a list of 2"),
        ("priorities: [1, 0]", "priorities: 1", 18, "priorities", "expected a list"),
        ("behaviours:\n", "behaviours: {}\nseed: 1\nrest:\n", 9, "seed", "given twice, first in line 6"),
        ("startGate: started", "startGate: open", 7, "settings.startGate", 'one of "ready", "started"'),
        ("minikubelet/v1", "minikubelet/v2", 2, "apiVersion", 'expected "minikubelet/v1"'),
        ("recorded: true", "recorded: 1", 12, "behaviours.main[0].startError.recorded", "true or false"),
        ("name: main,", "nam: main,", 24, "spec.containers[0].nam", "unknown field"),
        ("kind: Replay", "kind: Other", 0, "", "a document with apiVersion: minikubelet/v1 and kind: Replay"),
        ("settings: {", "settings: {{", 8, "", "not valid YAML"),
    ],
)
def test_what_is_wrong_in_a_replay_is_told_with_its_place(file, old, new, line, path, message):
    assert old in BY_HAND
    with pytest.raises(ManifestError) as caught:
        loads(BY_HAND.replace(old, new), file)
    errors = [error for error in caught.value.errors if message in error.message]

    assert [(error.file, error.line, error.path) for error in errors][:1] == [(file, line, path)]


def test_all_faults_are_told_at_once(file):
    text = BY_HAND.replace("endsAt", "endAt").replace("exitCode: 1", "exitCode: x").replace("name: main,", "")
    with pytest.raises(ManifestError) as caught:
        loads(text, file)

    assert [error.line for error in caught.value.errors] == [11, 19, 24]


def test_a_file_that_is_not_there_is_told_as_for_manifests(tmp_path):
    with pytest.raises(ManifestError, match="no such file or directory"):
        replay.load(str(tmp_path / "none.yaml"))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    st.integers(0, len(BY_HAND)),
    st.integers(0, 12),
    st.sampled_from(["", "[", "{", ":", "- ", "\t", "0", "'"]),
)
def test_a_broken_replay_is_an_error_and_never_a_traceback(file, at, length, instead):
    text = BY_HAND[:at] + instead + BY_HAND[at + length :]
    try:
        loads(text, file)
    except ManifestError as error:
        assert error.errors
