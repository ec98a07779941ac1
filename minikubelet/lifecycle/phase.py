"""The pod phase (PHASE-*), read from the record.

Phases come in two stories. While processes may exist it is Pending until every main has run once, then
Running; both only look at what never un-happens, so no restart can flip it back (PHASE-12). The terminal
phase is decided when the pod ends but shown only when nothing is left (TERM-12).
"""

from typing import Final, Literal

from minikubelet.lifecycle.record import PodRecord

Phase = Literal["Pending", "Running", "Succeeded", "Failed"]
PENDING: Final = "Pending"
RUNNING: Final = "Running"
SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"


def phase(record: PodRecord) -> Phase:
    if record.finished_at is not None:
        return _verdict(record)
    mains = (record.containers[c.name] for c in record.spec.containers)
    return RUNNING if all(main.has_run for main in mains) else PENDING  # PHASE-4, PHASE-9, PHASE-10


def decided_phase(record: PodRecord) -> Phase | None:
    """The terminal phase as soon as it is decided, which is before it is published (COND-6)."""
    if record.finished_at is not None:
        return _verdict(record)
    ending = record.ending
    if ending is not None and ending.cause in ("completed", "initFailed", "deadline"):
        return _verdict(record)
    return None


def _verdict(record: PodRecord) -> Phase:
    """PHASE-3, PHASE-6, PHASE-7, PHASE-11, SIDE-17: from the mains alone, unless a deadline decided."""
    assert record.ending is not None
    if record.ending.cause in ("deadline", "initFailed"):
        return FAILED
    for container in record.spec.containers:
        run = record.run_of(container)
        if run is None or run.exit_code != 0:
            return FAILED
    return SUCCEEDED
