"""Rounds: every subject once, then all of them again, so that whatever else the machine does meets all alike.

The order is rotated from round to round. A subject that is slow at something, or fails, is not asked again,
and both can be seen in the result.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf

import attrs

from minikubelet.bench.metrics import METRICS, Metric, Samples, rss_each
from minikubelet.bench.peers import PEERS, Peer, missing_programs
from minikubelet.bench.scenarios import FULL, QUICK, Life, Scenario, Start
from minikubelet.bench.subjects import FLOORS, FloorC, Minikubelet, MinikubeletPods, Subject
from minikubelet.bench.supervised import Failed
from minikubelet.bench.tools import Tools

SLOW = 20
"Seconds that one subject may take of one scenario; then it gets no more rounds of it."

PATIENT_OF_OURS = 3
"So many times as long for minikubelet itself, whose figures are what this is about."

PYTHON_CHILDREN = 100
"More at a time would be measured for their own sake, where each is a Python."


@attrs.frozen
class Plan:
    """What is asked for."""

    quick: bool = False
    peers: Sequence[str] | None = None
    "By name; None: all that are installed."
    only: Sequence[str] = ()
    "Beginnings of the keys of metrics; none: all."
    rounds: int | None = None
    "Of each scenario; None: as many as each has by itself."

    def wants(self, metric: str) -> bool:
        return not self.only or any(metric == one or metric.startswith(one + "-") for one in self.only)

    def wanted_of(self, metrics: Sequence[Metric]) -> list[Metric]:
        return [metric for metric in metrics if self.wants(metric.key)]

    def scenarios(self) -> list[Scenario]:
        """In their order, those that give something that is wanted."""
        return [one for one in (QUICK if self.quick else FULL) if any(map(self.wants, one.metrics))]

    def rounds_of(self, scenario: Scenario, subject: Subject) -> int:
        rounds = scenario.rounds_of(subject)
        if isinstance(scenario, Life | Start) and not subject.tools.is_child_compiled:
            rounds *= scenario.number <= PYTHON_CHILDREN
        return min(rounds, self.rounds) if self.rounds is not None else rounds


@attrs.frozen
class Result:
    """What came of it."""

    plan: Plan
    samples: Samples
    subjects: Sequence[Subject]
    versions: Mapping[str, str]
    missing: Mapping[str, str]
    "Peers that were not measured, and why."
    failures: Sequence[str]
    notes: Sequence[str]
    machine: Mapping[str, object]
    seconds: float
    exit_code: int | None
    "Of who was interrupted; None if all was measured."


Tell = Callable[[float, str], None]
"""Progress: how much of it is done, from 0 to 1, and what comes now."""


def measure(plan: Plan, tools: Tools, tell: Tell) -> Result:
    """Take all the figures. A `SystemExit`, as a signal may raise it, ends the measuring with nothing left
    behind; what was measured by then is the result."""
    began, machine = time.monotonic(), machine_facts()
    subjects, missing = _subjects(plan, tools)
    taken: dict[str, dict[str, list[float]]] = {}
    failures: list[str] = []
    notes = list(tools.notes)
    exit_code = None
    try:
        subjects = _ready(subjects, plan, failures)
        _take(subjects, plan, tell, taken, failures)
    except SystemExit as interrupted:
        assert isinstance(interrupted.code, int)
        exit_code = interrupted.code
        notes.append("interrupted: what was to be measured after that is missing")
    if plan.wants("rss-each") and (each := rss_each(taken)):
        taken["rss-each"] = each
    return Result(
        plan=plan,
        samples={metric.key: taken[metric.key] for metric in METRICS if metric.key in taken},
        subjects=subjects,
        versions={subject.name: subject.version() for subject in subjects},
        missing=missing,
        failures=failures,
        notes=notes,
        machine=machine,
        seconds=time.monotonic() - began,
        exit_code=exit_code,
    )


def _take(
    subjects: Sequence[Subject],
    plan: Plan,
    tell: Tell,
    taken: dict[str, dict[str, list[float]]],
    failures: list[str],
) -> None:
    """Add to the samples in `taken`, by metric and subject, and to the sentences in `failures`."""
    asked = [
        (scenario, number, subject)
        for scenario in plan.scenarios()
        for number in range(max((plan.rounds_of(scenario, one) for one in subjects), default=0))
        for subject in _rotated(subjects, number)
        if number < plan.rounds_of(scenario, subject)
    ]
    spent: dict[tuple[Scenario, str], float] = {}
    for place, (scenario, number, subject) in enumerate(asked):
        key = (scenario, subject.name)
        if spent.get(key, 0) > SLOW * (PATIENT_OF_OURS if subject.kind == "ours" else 1):
            continue
        tell(place / len(asked), f"{scenario.title}: {subject.name}, round {number + 1}")
        since = time.monotonic()
        figures: Mapping[str, Sequence[float]]
        try:
            figures = scenario.measure(subject)
            spent[key] = spent.get(key, 0) + time.monotonic() - since
        except Failed as failure:
            failures.append(f"{scenario.title}: {subject.name}: {failure}")
            figures, spent[key] = failure.figures, inf
        for metric, values in figures.items():
            if plan.wants(metric):
                taken.setdefault(metric, {}).setdefault(subject.name, []).extend(values)


def _subjects(plan: Plan, tools: Tools) -> tuple[list[Subject], dict[str, str]]:
    floors = [floor for floor in FLOORS if floor is not FloorC or tools.floor]
    wanted: Sequence[type[Peer]] = PEERS
    if plan.peers is not None:
        wanted = [peer for peer in PEERS if peer.name in plan.peers]
    missing = {
        peer.name: f"no {', '.join(programs)} on PATH ({peer.get})"
        for peer in wanted
        if (programs := missing_programs(peer))
    }
    peers = [peer for peer in wanted if peer.name not in missing]
    kinds: list[type[Subject]] = [Minikubelet, MinikubeletPods, *floors, *peers]
    return [kind(tools) for kind in kinds], missing


def _ready(subjects: Sequence[Subject], plan: Plan, failures: list[str]) -> list[Subject]:
    """Those that something is to be measured of, and can be."""
    scenarios = plan.scenarios()
    asked = [one for one in subjects if any(plan.rounds_of(scenario, one) for scenario in scenarios)]
    return [subject for subject in asked if _is_ready(subject, failures)]


def _is_ready(subject: Subject, failures: list[str]) -> bool:
    """Started once before anything is timed: files are read, bytecode is written."""
    try:
        subject.prepare()
        first = Start(1, rounds=1)
        if first.applies_to(subject):
            first.measure(subject)
    except Failed as failure:
        failures.append(f"{subject.name}: {failure}")
        return False
    return True


def _rotated(subjects: Sequence[Subject], number: int) -> list[Subject]:
    start = number * 5 % max(1, len(subjects))
    return [*subjects[start:], *subjects[:start]]


def machine_facts() -> dict[str, object]:
    model = ""
    try:
        with open("/proc/cpuinfo") as lines:
            model = next(
                (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""
            )
    except OSError:
        pass
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": model,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "load": round(os.getloadavg()[0], 2),
        "user": "root" if os.geteuid() == 0 else "ordinary",
    }
