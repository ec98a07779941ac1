"""Reports, and the files that assertions come from."""

from pathlib import Path
from xml.etree import ElementTree

import attrs
import pytest
import yaml
from timeline import pod, run, with_ending

from minikubelet.api.errors import ManifestError
from minikubelet.assertions import check
from minikubelet.assertions.files import Given, read_assertions
from minikubelet.assertions.reports import Report, report_text

RUN = attrs.evolve(
    run("0 web begun", "1.5 web/main started", "2 web/main exited 0", pods=[pod()]),
    summary="\nNAME   READY\nweb    0/2\n",
)


def report(*assertions: str, ending: str = "finished", **fields: object) -> Report:
    subject = with_ending(attrs.evolve(RUN, **fields), ending)  # type: ignore[arg-type]
    results = tuple((text, check(text, subject)) for text in assertions)
    return Report("web.yaml", subject, results, properties=(("start-gate", "ready"),))


# ------------------------------------------------------------------------------------ text


def test_text_when_all_hold() -> None:
    """One line each, and the count."""
    text = report_text(report("main started", "no SIGKILL"), "text")

    assert text == "ok      main started\nok      no SIGKILL\n\n2 assertions, none failed\n"


def test_text_when_one_does_not_hold() -> None:
    """What speaks against it, and how the run ended."""
    text = report_text(report("main started", "restarts of main == 1"), "text")

    assert text == (
        "ok      main started\n"
        "FAILED  restarts of main == 1\n"
        "        restarts of main: 0\n"
        "\n"
        "NAME   READY\n"
        "web    0/2\n"
        "\n"
        "2 assertions, 1 failed\n"
    )


def test_text_under_a_title_shows_the_assertion_too() -> None:
    """A name alone would not tell what failed."""
    named = attrs.evolve(report(), results=(("it restarts once", check("restarts of main == 1", RUN)),))

    assert report_text(named, "text").splitlines()[:3] == [
        "FAILED  it restarts once",
        "        restarts of main == 1",
        "        restarts of main: 0",
    ]


def test_text_says_that_a_run_was_cut_short() -> None:
    """Or one would wonder about the exit code."""
    text = report_text(report("main started", ending="timeout"), "text")

    assert text.endswith("1 assertion, none failed; the run was cut short: its time was over\n")


# ------------------------------------------------------------------------------------ TAP


def test_tap_is_version_14_with_yaml_diagnostics() -> None:
    """Plan, one point each, the reasons as a YAML block, the summary as comments."""
    lines = report_text(report("main started", "restarts of main == 1"), "tap").splitlines()

    assert lines[:4] == [
        "TAP version 14",
        "1..2",
        "ok 1 - main started",
        "not ok 2 - restarts of main == 1",
    ]
    assert (lines[4], lines[-3]) == ("  ---", "  ...")
    assert yaml.safe_load("\n".join(lines[5:-3])) == {
        "assertion": "restarts of main == 1",
        "evidence": ["restarts of main: 0"],
        "duration_ms": 2000.0,
    }
    assert lines[-2:] == ["# NAME   READY", "# web    0/2"]


def test_tap_escapes_what_would_be_a_directive() -> None:
    """`#` begins SKIP and TODO."""
    failed = 'main logged "# TODO \\\\d"'
    lines = report_text(report(failed), "tap").splitlines()

    assert lines[2] == 'not ok 1 - main logged "\\# TODO \\\\\\\\d"'


def test_tap_bails_out_when_a_run_was_cut_short() -> None:
    """So that no harness takes it for a success."""
    text = report_text(report("main started", ending="SIGINT"), "tap")

    assert text.endswith("Bail out! The run was cut short: stopped by SIGINT\n")


# ------------------------------------------------------------------------------------ JUnit


def test_junit_has_one_case_for_each_assertion() -> None:
    """With the counts, times and properties that CI systems read."""
    text = report_text(report("main started", "restarts of main == 1"), "junit")
    (suite,) = ElementTree.fromstring(text)

    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites')
    counts = {key: suite.attrib[key] for key in ("name", "tests", "failures", "errors", "skipped", "time")}
    assert counts == {
        "name": "web.yaml",
        "tests": "2",
        "failures": "1",
        "errors": "0",
        "skipped": "0",
        "time": "2.000",
    }
    assert suite.attrib["timestamp"].startswith("20")
    assert [(p.attrib["name"], p.attrib["value"]) for p in suite.iter("property")] == [
        ("start-gate", "ready")
    ]
    good, bad = suite.iter("testcase")
    assert good.attrib == {"classname": "web.yaml", "name": "main started", "time": "1.500"}
    assert list(good) == []
    failure, output = bad
    assert failure.attrib == {"message": "restarts of main: 0", "type": "AssertionError"}
    assert failure.text == "FAILED: restarts of main == 1\n  restarts of main: 0"
    assert output.tag == "system-out" and output.text == "NAME   READY\nweb    0/2"


def test_junit_survives_what_containers_write() -> None:
    """XML 1.0 cannot hold control characters at all, nor half of a surrogate pair."""
    text = report_text(report("restarts of main == 1", summary="a\x00b\x1b[31m\ud800 <&>"), "junit")

    (output,) = ElementTree.fromstring(text).iter("system-out")
    assert output.text == "a\ufffdb\ufffd[31m\ufffd <&>"


def test_junit_counts_a_run_that_was_cut_short_as_an_error() -> None:
    """Even if every assertion holds."""
    root = ElementTree.fromstring(report_text(report("main started", ending="timeout"), "junit"))

    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["errors"]) == ("2", "0", "1")
    (error,) = root.iter("error")
    assert error.attrib == {"message": "cut short: its time was over", "type": "timeout"}


# ------------------------------------------------------------------------------------ files


def test_a_file_has_texts_and_titles(tmp_path: Path) -> None:
    """Each knows its place."""
    path = tmp_path / "a.yaml"
    path.write_text(
        "- main started\n"
        "- name: it is quick\n"
        "  assert: main ready within 5s\n"
        '- >-\n  log of main\n  contains "a: b"\n'
    )

    assert read_assertions(str(path)) == [
        Given("main started", "main started", str(path), 1, 3),
        Given("main ready within 5s", "it is quick", str(path), 3, 11),
        Given('log of main contains "a: b"', 'log of main contains "a: b"', str(path), 4, 3),
    ]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "", "empty; expected a list of assertions"),
        ("main started", ":1:1", "expected a list of assertions"),
        ("- 3", ":1:3", "expected a list of assertions"),
        ("- [a]", ":1:3", "expected a list of assertions"),
        ("- name: x", ":1:3", "`assert` is missing"),
        ("- assert: [x]", ":1:11", "assert: expected a text"),
        ("- assert: main started\n  nmae: x", ":2:3", "unknown field nmae"),
        ('- log of main contains "a": b', ":1:3", "put an assertion that contains `: `"),
        ("- 'main", "", "quoted scalar"),
    ],
)
def test_a_faulty_file_is_told_by_place(tmp_path: Path, text: str, place: str, said: str) -> None:
    """With what was expected."""
    path = tmp_path / "a.yaml"
    path.write_text(text)

    with pytest.raises(ManifestError) as caught:
        read_assertions(str(path))

    assert str(caught.value).startswith(f"{path}{place}: ".removesuffix(": " * (not place)))
    assert said in str(caught.value)


def test_a_missing_file_is_told() -> None:
    """As a manifest would be."""
    with pytest.raises(ManifestError, match=r"nowhere\.yaml: no such file"):
        read_assertions("nowhere.yaml")
