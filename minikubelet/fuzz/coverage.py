"""Where the search has been: which states were reached, and by which transitions.

Read from journals, so it knows what a person could see of a run, not which lines of code ran. A container's
state is its role, what its status says and how far it is on its way down; a pod's its phase, its conditions
and what is ending it; a Job's its conditions and whether it has pods. A request, a probe's answer or a
hook's end counts as a transition of whatever state it met.
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from minikubelet.api.event import Event
from minikubelet.api.job import Job
from minikubelet.api.pod import Pod
from minikubelet.api.pod_status import ContainerStatus
from minikubelet.invariants.journal import Entry, Journal


@attrs.define
class Coverage:
    """How often each state and each transition was reached."""

    states: Counter[str] = attrs.Factory(Counter)
    transitions: Counter[str] = attrs.Factory(Counter)
    lifecycles: int = 0
    "Pods, from their beginning to the end."

    def add(self, other: "Coverage") -> None:
        self.states.update(other.states)
        self.transitions.update(other.transitions)
        self.lifecycles += other.lifecycles

    def read(self, journal: Journal) -> None:
        """Count what happened in one more run."""
        reader = _Reader(self)
        for entry in journal.entries:
            reader.take(entry)

    def __str__(self) -> str:
        return f"states {len(self.states)}, transitions {len(self.transitions)}"

    def as_json(self) -> str:
        """An object of two, `states` and `transitions`, each from a name to how often it was reached."""
        counts = {
            "states": dict(sorted(self.states.items())),
            "transitions": dict(sorted(self.transitions.items())),
        }
        return json.dumps(counts, indent=1) + "\n"


@attrs.define
class _Container:
    role: str
    status: str = "none"
    way_down: str = ""
    last: ContainerStatus | None = None

    @property
    def state(self) -> str:
        return f"{self.role} {self.status}{self.way_down}"


@attrs.define
class _Pod:
    containers: Mapping[str, _Container]
    state: str = "pod none"
    ending: str = ""


class _Reader:
    """Follows one journal."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self._pods: dict[str, _Pod] = {}
        self._jobs: dict[str, str] = {}

    def take(self, entry: Entry) -> None:
        what, detail = entry.what, entry.detail
        if what == "published":
            self._published(self._pods[entry.key], detail)
        elif what == "probeBegan" or what == "started" or what == "prepared":
            pass  # seen in what is published next, and in the answer
        elif what == "probeEnded":
            self._event(entry, f"{detail[0]} probe {detail[1]}")
        elif what == "begun":
            self._coverage.lifecycles += 1
            self._pods[entry.key] = _Pod(_containers(detail))
        elif what == "event":
            if detail.reason == "Killing" and entry.key in self._pods:
                self._killing(self._pods[entry.key], detail)
        elif what == "signalled":
            self._down(entry, "+killed" if detail == 9 else "+signalled")
        elif what == "hookBegan":
            self._event(entry, f"{detail} began")
        elif what == "hookEnded":
            self._event(entry, f"{detail[0]} {'failed' if detail[1] else 'returned'}")
        elif what in ("hookCancelled", "probeCancelled"):
            self._event(entry, f"{detail} given up")
        elif what == "startFailed":
            self._event(entry, f"start failed {detail[0]}")
        elif what == "exited":
            self._event(entry, f"exited {_code(detail)}")
        elif what in ("deletion", "gate"):
            self._request(self._pods[entry.key], what)
        elif what == "jobPublished":
            self._job(entry.key, detail)
        elif what == "prepareFailed":
            self._move("pod none", "pod none", "could not be prepared")

    def _move(self, old: str, new: str, by: str = "") -> None:
        self._coverage.states[new] += 1
        self._coverage.transitions[f"{old} -> {new}" if not by else f"{old}: {by}"] += 1

    def _event(self, entry: Entry, what: str) -> None:
        state = self._pods[entry.key].containers[entry.container].state
        self._coverage.transitions[f"{state}: {what}"] += 1

    def _request(self, pod: _Pod, what: str) -> None:
        """It meets the pod and everyone in it."""
        for state in {pod.state, *(one.state for one in pod.containers.values())}:
            self._coverage.transitions[f"{state}: {what}"] += 1
        if what == "deletion":
            pod.ending = " deleted"

    def _killing(self, pod: _Pod, event: Event) -> None:
        path = event.involved_object.field_path or ""
        one = pod.containers[path[path.index("{") + 1 : -1]]
        self._step(one, one.status, f"+stopping:{_cause(event.message)}")

    def _down(self, entry: Entry, stage: str) -> None:
        one = self._pods[entry.key].containers[entry.container]
        if stage not in one.way_down:
            self._step(one, one.status, one.way_down + stage)

    def _step(self, one: _Container, status: str, way_down: str) -> None:
        old = one.state
        one.status, one.way_down = status, way_down
        self._move(old, one.state)

    def _published(self, pod: _Pod, published: Pod) -> None:
        status = published.status
        assert status is not None
        for one in (*status.init_container_statuses, *status.container_statuses):
            known = pod.containers[one.name]
            if known.last is one:
                continue
            known.last = one
            now = _label(one)
            if now != known.status:
                self._step(known, now, "" if one.state.running is None else known.way_down)
        true = "".join(f"+{c.type}" for c in status.conditions if c.status == "True" and c.type in _SHOWN)
        state = f"pod {status.phase}{f':{status.reason}' if status.reason else ''}{true}{pod.ending}"
        if state != pod.state:
            self._move(pod.state, state)
            pod.state = state

    def _job(self, key: str, job: Job) -> None:
        status = job.status
        if status is None:
            return
        true = "".join(f"+{c.type}:{c.reason}" for c in status.conditions if c.status == "True")
        some = "".join(f" {name}" for name in ("active", "succeeded", "failed") if getattr(status, name))
        state = f"job{some}{true}"
        old = self._jobs.get(key, "job none")
        if state != old:
            self._move(old, state)
            self._jobs[key] = state


_SHOWN = ("Initialized", "ContainersReady", "Ready", "AllContainersRestarting")


def _containers(pod: Pod) -> dict[str, _Container]:
    roles = {one.name: "main" for one in pod.spec.containers}
    for one in pod.spec.init_containers:
        roles[one.name] = "sidecar" if one.restart_policy == "Always" else "init"
    return {name: _Container(role) for name, role in roles.items()}


def _label(one: ContainerStatus) -> str:
    state: Any = one.state
    if state.running is not None:
        return f"running{'+started' if one.started else ''}{'+ready' if one.ready else ''}"
    if state.terminated is not None:
        return f"terminated:{state.terminated.reason}:{_code(state.terminated.exit_code)}"
    return f"waiting:{state.waiting.reason}" if state.waiting is not None else "none"


def _code(code: int) -> str:
    """Which one matters less than what kind."""
    return "0" if code == 0 else "signal" if code > 128 else "n"


def _cause(message: str) -> str:
    """EVENT-2."""
    return next((cause for cause in ("postStart", "liveness", "startup") if cause in message), "pod")
