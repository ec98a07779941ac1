"""All invariants, for those who want to read them rather than have them checked."""

import sys
from collections.abc import Iterator
from typing import Any

from minikubelet.invariants import checker, rules
from minikubelet.invariants.rules import Invariant


def all_invariants() -> list[Invariant[Any]]:
    """Theme by theme, each in the order in which its module states them."""
    return [one for _, members in themes() for one in members]


def themes() -> Iterator[tuple[str, list[Invariant[Any]]]]:
    """What a module says that its invariants are about, and these."""
    known: dict[str, list[Invariant[Any]]] = {}
    stated: list[Invariant[Any]] = [*rules.POD_INVARIANTS, *rules.JOB_INVARIANTS]
    for one in stated:
        known.setdefault(one.breaches.__module__, []).append(one)
    for theme in checker.THEMES:
        members = known.pop(theme.__name__, [])
        yield (theme.__doc__ or "").strip().splitlines()[0], members
    for name, members in known.items():
        yield (sys.modules[name].__doc__ or "").strip().splitlines()[0], members
