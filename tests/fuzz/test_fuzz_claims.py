"""What users assert of all runs: when it applies, when it is violated, and what is wrong with it."""

import pytest

from minikubelet.api.errors import ManifestError
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Pod, PodSpec
from minikubelet.assertions.names import Cast
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.claims import claim_again, read_claims
from minikubelet.fuzz.search import Examined, examine
from minikubelet.runtime.simulated import Script

POD = Pod(
    ObjectMeta(name="web"),
    PodSpec(
        (Container("main"),),
        (Container("proxy", restart_policy="Always"),),
        restart_policy="Never",
        termination_grace_period_seconds=5,
    ),
)
CAST = Cast.of([POD], [])
ENDS = Case((POD,), scripts={"main": (Script(lasts=3.0, writes=((1.0, "flushed\n"),)),)})
IGNORES_TERM = Case((POD,), scripts={"main": (Script(term_lasts=9.0),)}, requests=(Request(2.0, "delete"),))
DELETED_AT_ONCE = Case((POD,), prepare_failures=1, requests=(Request(1.0, "delete"),))


def judged(case: Case, *texts: str, files: tuple[str, ...] = ()) -> Examined:
    return examine(lambda: case, read_claims(texts, files, CAST))


HOLD, VIOLATED, NOTHING = "holds", "violated", "nothing to judge"


@pytest.mark.parametrize(
    ("text", "ends", "ignores_term", "deleted_at_once"),
    [
        ("main exited before proxy signalled", HOLD, VIOLATED, NOTHING),
        ("proxy started before main started", HOLD, HOLD, NOTHING),
        ("proxy signalled after main exited", HOLD, VIOLATED, NOTHING),
        ("main started within 1s", HOLD, HOLD, VIOLATED),
        ("main exited within 4s after main started", HOLD, VIOLATED, NOTHING),
        ("main exited at least 4s after main started", VIOLATED, HOLD, NOTHING),
        ("main never killed", HOLD, VIOLATED, NOTHING),
        ("no SIGKILL", HOLD, VIOLATED, NOTHING),
        ("no SIGKILL of pod web", HOLD, VIOLATED, NOTHING),
        ("no SIGKILL of proxy", HOLD, HOLD, NOTHING),
        ("exit code of main == 0", HOLD, VIOLATED, NOTHING),
        ("restarts of main == 0", HOLD, HOLD, NOTHING),
        ("shutdown of web < 4s", HOLD, VIOLATED, HOLD),
        ("pod web Succeeded", HOLD, VIOLATED, VIOLATED),
        ('main logged "flushed" before proxy signalled', HOLD, VIOLATED, NOTHING),
        ('log of main contains "flushed"', HOLD, VIOLATED, NOTHING),
        ("event BackOff never happened", HOLD, HOLD, HOLD),
        ("event Killing of proxy before main exited", VIOLATED, HOLD, NOTHING),
    ],
)
def test_claims_are_judged_where_they_apply(text, ends, ignores_term, deleted_at_once):
    came = []
    for case in (ENDS, IGNORES_TERM, DELETED_AT_ONCE):
        examined = judged(case, text)
        came.append(VIOLATED if examined.violations else HOLD if examined.applied else NOTHING)

    assert came == [ends, ignores_term, deleted_at_once]


def test_a_violation_is_named_for_the_claim_and_marks_the_moment():
    examined = judged(IGNORES_TERM, "main exited before proxy signalled")

    (violation,) = examined.violations
    marked = examined.journal.entries[violation.index]
    assert violation.invariant == "main exited before proxy signalled"
    assert (marked.at, marked.container in ("main", "proxy")) == (7.0, True)
    assert violation.message == "proxy was signalled (SIGTERM) at 7.000 s, main exited (code 137) at 7.000 s"


CHECKS = '''
def check_exit_code(run):
    """main ends well."""
    ended = run.pods[0].status.container_statuses[0].state.terminated
    if ended is None:
        return NotImplemented
    assert ended.exit_code == 0, f"it ended with {ended.exit_code}"

def check_nothing(run):
    run.nothing

def helper(run):
    assert False
'''


def test_functions_of_a_file_are_claims(tmp_path):
    path = tmp_path / "checks.py"
    path.write_text(CHECKS)

    examined = judged(IGNORES_TERM, files=(str(path),))

    told = {one.invariant: (one.sentence, one.message) for one in examined.violations}
    assert told["check_exit_code"] == ("main ends well.", "it ended with 137")
    assert told["check_nothing"] == (
        "check_nothing",
        "the check itself failed: AttributeError: 'Run' object has no attribute 'nothing'",
    )
    assert set(told) == {"check_exit_code", "check_nothing"}


def test_a_function_can_say_that_it_is_not_about_a_run(tmp_path):
    path = tmp_path / "checks.py"
    path.write_text(CHECKS.replace("run.nothing", "return NotImplemented"))

    examined = judged(DELETED_AT_ONCE, files=(str(path),))

    assert (list(examined.violations), list(examined.applied)) == ([], [])


def test_YAML_files_are_those_of_test(tmp_path):
    path = tmp_path / "assertions.yaml"
    path.write_text("- name: the proxy goes last\n  assert: main exited before proxy signalled\n")

    (claim,) = read_claims((), (str(path),), CAST)

    assert (claim.name, claim.text) == ("the proxy goes last", "main exited before proxy signalled")


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("def check_(:", "bad.py", "cannot be imported: SyntaxError"),
        ("x = 1", "none.py", "no function in it is called check_..."),
        (None, "missing.py", "no such file or directory"),
        ("- main flew\n", "bad.yaml", "bad.yaml:1"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, monkeypatch, text, name, said):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)

    with pytest.raises(ManifestError) as caught:
        read_claims((), (name,), CAST)

    assert said in str(caught.value.errors[0])


def test_all_faults_are_told_together():
    with pytest.raises(ManifestError) as caught:
        read_claims(("nobody started", "main flew"), ("missing.py",), CAST)

    assert len(caught.value.errors) == 3


def test_a_claim_is_made_again_of_what_a_finding_says(tmp_path):
    path = tmp_path / "checks.py"
    path.write_text(CHECKS)
    for claim in read_claims(("main never killed",), (str(path),), CAST):
        again = claim_again(claim.name, claim.source, claim.text)

        assert again is not None
        assert (again.name, again.text) == (claim.name, claim.text)
    assert claim_again("one-live-attempt", "I9 STATUS-3", "At most one.") is None


def test_a_check_that_is_gone_is_told(tmp_path):
    path = tmp_path / "checks.py"
    path.write_text(CHECKS)

    with pytest.raises(ManifestError) as caught:
        claim_again("check_more", str(path), "")

    assert "there is no check_more any more" in str(caught.value.errors[0])
