"""Every black-box case of this folder, as a test.

The cases mostly wait, so they run three at a time in threads of their own; a test waits for its case and
gives the harness' verdict on it. README.md describes the cases, harness.py runs them without pytest too.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import harness  # noqa: E402

CASES = harness.load(sorted((HERE / "cases").glob("*.yaml")))
AT_A_TIME = 4


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Any]]]:
    """The running cases by name: those that were selected, in the order of their tests."""
    runner = harness.Runner(harness.DEFAULT_COMMAND, keep=False)
    tests = (item for item in request.session.items if getattr(item, "function", None) is test_case)
    cases = (test.callspec.params["case"] for test in tests)  # type: ignore[attr-defined]
    selected = [case for case in cases if not harness.missing(case)]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        futures = {case["name"]: pool.submit(runner.run, case) for case in selected}
        yield futures
        for future in futures.values():  # something may have stopped the tests early
            future.cancel()
        runner.stop.set()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(
    case: dict[str, Any], results: Mapping[str, Future[Any]], require: Callable[[bool, str], None]
) -> None:
    """The case's expectations hold, where there is what it needs."""
    missing = harness.missing(case)
    require(not missing, missing)
    problems, _, trace, outcome = results[case["name"]].result()

    assert not problems, "\n".join([*problems, harness.background(case, trace, outcome)])


def test_no_case_is_passed_by_a_program_that_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Every case file is well-formed, and every case asks for something."""
    faulty = harness.lint(CASES)

    assert not faulty, capsys.readouterr().out
