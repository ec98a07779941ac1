"""What tests of every area share."""

import os
from collections.abc import Callable

import pytest


@pytest.fixture
def require() -> Callable[[bool, str], None]:
    """`require(there, "a thing")`: without it the test is skipped; in CI it fails."""

    def check(there: bool, thing: str) -> None:
        if there:
            return
        if os.environ.get("CI"):
            pytest.fail(f"this test needs {thing}")
        pytest.skip(f"needs {thing}")

    return check
