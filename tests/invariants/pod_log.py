"""Journals written by hand, and true ones with a fault put into them."""

from collections.abc import Callable
from typing import Any

import attrs

from minikubelet.api.event import Event, ObjectReference
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import (
    Container,
    ExecAction,
    Lifecycle,
    LifecycleHandler,
    Pod,
    PodSpec,
    Probe,
)
from minikubelet.api.pod_status import ContainerStatus, PodStatus
from minikubelet.fuzz.case import Case
from minikubelet.fuzz.engines import run_on_heap
from minikubelet.invariants.checker import check
from minikubelet.invariants.journal import Entry, Journal
from minikubelet.invariants.rules import POD_INVARIANTS, Breach
from minikubelet.invariants.story import stories
from minikubelet.lifecycle.settings import LifecycleSettings

TERM, KILL = 15, 9
TRUE = ExecAction(("true",))
POST_START, PRE_STOP = LifecycleHandler(exec=TRUE), LifecycleHandler(exec=TRUE)
PROBE = Probe(exec=TRUE, period_seconds=1, failure_threshold=1)
HOOKS = Lifecycle(POST_START, PRE_STOP)


def main(name: str = "main", **fields: Any) -> Container:
    return Container(name, **fields)


def sidecar(name: str = "side", **fields: Any) -> Container:
    return Container(name, restart_policy="Always", **fields)


def pod(*containers: Container, init: tuple[Container, ...] = (), grace: int = 5, **fields: Any) -> Pod:
    """By default with one main, and restartPolicy Never."""
    fields = {"restart_policy": "Never", **fields}
    spec = PodSpec(containers or (main(),), init, termination_grace_period_seconds=grace, **fields)
    return Pod(ObjectMeta(name="p", uid="u"), spec)


class Log:
    """A journal of one pod, entry by entry; every method returns it, so that entries stand in a row."""

    def __init__(self, subject: Pod, *, prepared: bool = True, gate: str = "ready", tolerance: float = 0.0):
        self.subject = subject
        self.journal = Journal(LifecycleSettings(start_gate=gate), tolerance=tolerance)  # type: ignore[arg-type]
        self._now = 0.0
        self._note("begun", detail=subject)
        if prepared:
            self._note("prepared")

    def _note(self, what: Any, name: str = "", attempt: int = -1, detail: object = None) -> "Log":
        self.journal.entries.append(Entry(self._now, what, self.subject.key, name, attempt, detail))
        return self

    def at(self, seconds: float) -> "Log":
        self._now = seconds
        return self

    def prepared(self) -> "Log":
        return self._note("prepared")

    def start(self, name: str = "main", attempt: int = 0) -> "Log":
        return self._note("started", name, attempt)

    def no_start(self, name: str = "main", attempt: int = 0, *, recorded: bool = False) -> "Log":
        return self._note("startFailed", name, attempt, ("RunContainerError", recorded))

    def exit(self, name: str = "main", code: int = 0, attempt: int = 0) -> "Log":
        return self._note("exited", name, attempt, code)

    def signal(self, name: str = "main", number: int = TERM, attempt: int = 0) -> "Log":
        return self._note("signalled", name, attempt, number)

    def hook(self, kind: str = "preStop", name: str = "main", attempt: int = 0) -> "Log":
        return self._note("hookBegan", name, attempt, kind)

    def returns(
        self, kind: str = "preStop", name: str = "main", error: str | None = None, attempt: int = 0
    ) -> "Log":
        return self._note("hookEnded", name, attempt, (kind, error))

    def cancel(self, kind: str = "preStop", name: str = "main", attempt: int = 0) -> "Log":
        return self._note("hookCancelled", name, attempt, kind)

    def ask(self, kind: str, name: str = "main", attempt: int = 0) -> "Log":
        return self._note("probeBegan", name, attempt, kind)

    def answer(self, kind: str, result: str = "success", name: str = "main", attempt: int = 0) -> "Log":
        return self._note("probeEnded", name, attempt, (kind, result, 0.0))

    def again(self) -> "Log":
        """Another pod of the same name."""
        return self._note("begun", detail=self.subject)._note("prepared")

    def delete(self, grace: int | None = None) -> "Log":
        return self._note("deletion", detail=grace)

    def event(self, reason: str, name: str | None = None, message: str = "", count: int = 1) -> "Log":
        spec = self.subject.spec
        path = None if name is None else spec.field_paths[name]
        about = ObjectReference("Pod", "default", "p", "u", field_path=path)
        return self._note("event", detail=Event("Normal", reason, message, about, 0.0, self._now, count))

    def killing(self, name: str = "main", message: str = "") -> "Log":
        return self.event("Killing", name, message or f"Stopping container {name}")

    def start_over(self) -> "Log":
        return self.event("RestartingAllContainers")

    def removed(self) -> "Log":
        return self._note("removed")

    def over(self, finished: bool = True) -> "Log":
        self.journal.entries.append(Entry(self._now, "over", "", detail=finished))
        return self


def breaches(name: str, journal: Journal) -> list[Breach]:
    """What the invariant of that name has to say of it."""
    (invariant,) = [one for one in POD_INVARIANTS if one.name == name]
    return [breach for story in stories(journal) for breach in invariant.breaches(story)]


def true_run(case: Case) -> Journal:
    """What really comes of a case, of which nothing is to be said."""
    journal = run_on_heap(case)
    assert not check(journal)
    return journal


def with_changed(
    journal: Journal, which: Callable[[Entry], bool], change: Callable[[Entry], Entry | None], nth: int = -1
) -> Journal:
    """A journal in which one of those entries is another, or missing."""
    found = [index for index, entry in enumerate(journal.entries) if which(entry)]
    changed = Journal(journal.settings)
    changed.epoch = journal.epoch
    changed.entries = list(journal.entries)
    one = change(changed.entries[found[nth]])
    changed.entries[found[nth] : found[nth] + 1] = [] if one is None else [one]
    return changed


def with_status(journal: Journal, change: Callable[[PodStatus], PodStatus], nth: int = -1) -> Journal:
    """A journal with one publication changed."""

    def changed(entry: Entry) -> Entry:
        return entry._replace(detail=attrs.evolve(entry.detail, status=change(entry.detail.status)))

    return with_changed(journal, lambda entry: entry.what == "published", changed, nth)


def with_container(
    journal: Journal, name: str, change: Callable[[ContainerStatus], ContainerStatus], nth: int = -1
) -> Journal:
    """A journal with the status of one container changed in one publication."""

    def changed(status: PodStatus) -> PodStatus:
        def each(statuses: tuple[ContainerStatus, ...]) -> tuple[ContainerStatus, ...]:
            return tuple(change(one) if one.name == name else one for one in statuses)

        return attrs.evolve(
            status,
            init_container_statuses=each(status.init_container_statuses),
            container_statuses=each(status.container_statuses),
        )

    return with_status(journal, changed, nth)
