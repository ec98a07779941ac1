"""Journals for tests of the invariants: a true one of a small world, and what a fault would make of it."""

from typing import Any

from minikubelet.api.job import Job
from minikubelet.api.pod import Pod
from minikubelet.fuzz.case import Case
from minikubelet.fuzz.engines import run_on_heap
from minikubelet.invariants.checker import check
from minikubelet.invariants.journal import Entry, Journal, What

KEY = "default/p"


def lived(*subjects: Pod | Job, **world: Any) -> Journal:
    """What these pods and Jobs do in such a `Case`."""
    pods = tuple(one for one in subjects if isinstance(one, Pod))
    jobs = tuple(one for one in subjects if isinstance(one, Job))
    return run_on_heap(Case(pods, jobs, **world))


def broken(journal: Journal) -> set[str]:
    """Names of the invariants that do not hold in it."""
    return {violation.invariant for violation in check(journal)}


def entries(journal: Journal, what: What, container: str = "", detail: Any = ...) -> list[Entry]:
    return [
        entry
        for entry in journal.entries
        if entry.what == what
        and (not container or entry.container == container)
        and (detail is ... or entry.detail == detail)
    ]


def without(journal: Journal, *missing: Entry) -> Journal:
    """As if these had not happened."""
    return _with_entries(journal, [one for one in journal.entries if not any(one is m for m in missing)])


def later(journal: Journal, seconds: float, *moved: Entry) -> Journal:
    """As if these had happened so much later, or with a negative number earlier, in the same order."""
    put = [
        one._replace(at=one.at + seconds) if any(one is m for m in moved) else one for one in journal.entries
    ]
    return _with_entries(journal, sorted(put, key=lambda entry: entry.at))


def replaced(journal: Journal, entry: Entry, **fields: Any) -> Journal:
    return _with_entries(
        journal, [one._replace(**fields) if one is entry else one for one in journal.entries]
    )


def after(journal: Journal, entry: Entry, *added: Entry) -> Journal:
    """As if these had happened right after that one."""
    put: list[Entry] = []
    for one in journal.entries:
        put += (one, *added) if one is entry else (one,)
    return _with_entries(journal, put)


def before(journal: Journal, entry: Entry, *added: Entry) -> Journal:
    """As if these had happened right before that one."""
    put: list[Entry] = []
    for one in journal.entries:
        put += (*added, one) if one is entry else (one,)
    return _with_entries(journal, put)


def _with_entries(journal: Journal, put: list[Entry]) -> Journal:
    made = Journal(journal.settings, tolerance=journal.tolerance)
    made.epoch = journal.epoch
    made.entries = put
    return made
