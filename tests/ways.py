"""The four ways to run the tests: as root or as an ordinary user, with namespaces or without.

Responsible for what a test may find missing, and where that is as it should be; docs/WAYS.md says the same
to people. The one idea: a test is skipped for a documented reason or not at all, and in CI only in a way
that accounts for it, so that nothing is left out unnoticed.
"""

import os
from collections.abc import Mapping

WITHOUT_NAMESPACES = "WITHOUT_NAMESPACES" in os.environ
"`without_namespaces.py` has started us."

ROOT = os.geteuid() == 0

MAY_BE_MISSING: Mapping[str, bool] = {
    "root": not ROOT,
    "an unprivileged user": ROOT,
    "namespaces": WITHOUT_NAMESPACES,
    "a machine without namespaces": not WITHOUT_NAMESPACES,
    "a cgroup to write to": True,
    "PostgreSQL": False,
    "openssl": False,
    "IPv6 on loopback": False,
    "grpcio-health-checking": False,
    "matplotlib": True,
}
"What tests need, and whether this way of running them may lack it."


def way() -> str:
    """Which of the four this is."""
    return f"{'root' if ROOT else 'user'}, {'without' if WITHOUT_NAMESPACES else 'with'} namespaces"


def undocumented(reason: str) -> bool:
    """Whether a test is skipped for another reason than `needs THING` or `needs THING (why)`."""
    things = reason.removeprefix("needs ").partition(" (")[0].split(" and ")
    return not (reason.startswith("needs ") and MAY_BE_MISSING.keys() >= set(things))


def accounted_for(thing: str) -> bool:
    """Whether this way of running the tests lacks it. `thing` may say more in parentheses."""
    return all(MAY_BE_MISSING[one] for one in thing.partition(" (")[0].split(" and "))
