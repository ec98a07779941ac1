"""What tests of every area share."""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

import ways

# No assertion on speed: an example takes as long as a busy machine needs for it.
hypothesis.settings.register_profile(
    "patient",
    hypothesis.settings.default,
    deadline=None,
    suppress_health_check=(
        *hypothesis.settings.default.suppress_health_check,
        hypothesis.HealthCheck.too_slow,
    ),
)
hypothesis.settings.load_profile("patient")


# In the background of a shell, or under nohup, these are ignored, which what the tests start would inherit.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def violations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Every run of real processes, in whatever process a test has it, is held against the invariants.

    This is the file that has what was violated.
    """
    file = tmp_path_factory.mktemp("invariants") / "violations"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIKUBELET_CHECK", str(file))
        yield file


@pytest.fixture(autouse=True)
def no_invariant_is_violated(violations: Path) -> Iterator[None]:
    yield
    if violations.exists():
        text = violations.read_text()
        violations.unlink()
        pytest.fail(f"while this test ran\n{text}", pytrace=False)


@pytest.fixture
def require() -> Callable[[bool, str], None]:
    """`require(there, "a thing")`: without it the test is skipped; in CI it fails, unless this way lacks it.

    The thing is one of `ways.MAY_BE_MISSING`, and may be followed by more in parentheses.
    """

    def check(there: bool, thing: str) -> None:
        if there:
            return
        if os.environ.get("CI") and not ways.accounted_for(thing):
            pytest.fail(f"this test needs {thing}")
        pytest.skip(f"needs {thing}")

    return check


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that is skipped for a reason that docs/WAYS.md does not have fails."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):  # xfail says something else
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if ways.undocumented(reason):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} is skipped for a reason that docs/WAYS.md lacks: {reason}"
    return report


def pytest_report_header() -> str:
    return f"way: {ways.way()}"
