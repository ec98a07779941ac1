"""What the command line accepts and what it refuses."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.cli.main import main
from minikubelet.cli.options import RunOptions, grace_period, parser, run_options, seconds
from minikubelet.lifecycle.settings import LifecycleSettings


def options(*arguments: str) -> RunOptions:
    return run_options(parser().parse_args(["run", *arguments]))


def test_defaults_are_the_kubelets() -> None:
    """BACKOFF-1 and the start gate of the articles."""
    assert options("a.yaml") == RunOptions(files=("a.yaml",), settings=LifecycleSettings())


def test_every_option_of_run_arrives() -> None:
    """As listed in the help."""
    given = options(
        *(
            "a.yaml",
            "-",
            "--timeout",
            "1.5",
            "--grace-period",
            "3",
            "--status-file",
            "s",
            "--events-file",
            "e",
        ),
        *("--log-dir", "l", "--images", "i", "--image", "a=b c", "--image", "d=e", "--stub-missing"),
        *("--start-gate", "started", "--backoff-base", "0.1", "--backoff-max", "2m", "--env-from-host"),
        *("-o", "json", "--timestamps", "--no-color", "--dry-run"),
    )

    assert given == RunOptions(
        files=("a.yaml", "-"),
        timeout=1.5,
        grace_period=3,
        status_file="s",
        events_file="e",
        log_dir="l",
        images="i",
        image=("a=b c", "d=e"),
        stub_missing=True,
        settings=LifecycleSettings(backoff_base=0.1, backoff_max=120, start_gate="started"),
        env_from_host=True,
        output="json",
        timestamps=True,
        color=False,
        dry_run=True,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("30", 30), ("1.5s", 1.5), (".5", 0.5), ("500ms", 0.5), ("2m", 120), ("1h", 3600)],
)
def test_seconds_may_have_a_unit(text: str, expected: float) -> None:
    """A bare number is seconds."""
    assert seconds(text) == expected


@given(st.text())
def test_seconds_are_a_length_or_an_error(text: str) -> None:
    """No text leads to a traceback, to infinity or into the past."""
    try:
        length = seconds(text)
    except argparse.ArgumentTypeError:
        return
    assert 0 <= length < float("inf")


@pytest.mark.parametrize("text", ["-1", "", "nan", "inf", "1e3", "1 s", "5x", "٣"])
def test_what_is_no_length_is_refused(text: str) -> None:
    """Lengths are finite and not negative."""
    with pytest.raises(argparse.ArgumentTypeError):
        seconds(text)


def test_grace_is_whole_seconds() -> None:
    """As terminationGracePeriodSeconds is."""
    assert grace_period("2m") == 120

    with pytest.raises(argparse.ArgumentTypeError):
        grace_period("1.5")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["run"],
        ["run", "a.yaml", "--timeout", "soon"],
        ["run", "a.yaml", "--timeout", "-1"],
        ["run", "a.yaml", "--start-gate", "never"],
        ["run", "a.yaml", "--time", "3"],
        ["run", "a.yaml", "-o", "yaml"],
        ["validate"],
    ],
)
def test_usage_errors_are_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Told on stderr, with the usage."""
    assert main(arguments) == 2
    assert "usage: minikubelet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--version"], "minikubelet "), (["run", "--help"], "exit code:")]
)
def test_questions_about_the_program_are_answered_on_stdout(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0."""
    assert main(arguments) == 0
    assert said in capsys.readouterr().out
