"""A finished run as assertions look at it: final objects, what happened in which order, and the logs.

Plain values, put together by a `Recorder` or by hand. The one idea: Events and the changes that no Event
tells stand in one list, in the order in which they were observed; so of two at the same instant it is
known which came first, as an instant alone could not tell.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import attrs

from minikubelet.api.event import Event
from minikubelet.api.job import Job
from minikubelet.api.pod import Pod

LOG_LIMIT = 16 << 20  # bytes kept of a container's log; beyond it the oldest are forgotten

SAID_BY = {"Started": "started", "Exited": "exited", "Killing": "stopping"}
"The Events about a container that are moments of it."

BEGUN = "begun"
"The change that begins every pod and Job (CORE-7)."


class Target(NamedTuple):
    """What a name can mean in a run."""

    kind: str
    "`Pod` or `Job`; Events can be about other kinds too."
    key: str
    "`namespace/name`."
    container: str | None = None


@attrs.frozen
class Change:
    """Something that no Event tells, at `at` seconds on the runtime's clock.

    Of containers `up`, `ready`, `unready`; of pods and Jobs `begun`, a phase or a condition that became
    True; of pods also `stopping` and `finished`.
    """

    at: float
    target: Target
    what: str


@attrs.frozen(order=True)
class Occurrence:
    """One time that something happened. Ordered as it was observed."""

    at: float
    "Seconds on the runtime's clock."
    order: int = 0
    "Among those of the same instant."
    detail: str = attrs.field(default="", order=False)
    "`code 1` of an exit, `SIGTERM` of a signal."


class ContainerLog:
    """What a container wrote, all its instances one after the other, and when that was read.

    `lost` counts the bytes that are not kept any more.
    """

    def __init__(self, chunks: Sequence[tuple[float, bytes]] = (), limit: int = LOG_LIMIT) -> None:
        self._limit = limit
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self.lost = 0
        for at, chunk in chunks:
            self.add(at, chunk)

    def add(self, at: float, chunk: bytes) -> None:
        self._chunks.append((at, chunk))
        self._size += len(chunk)
        while self._size > self._limit and len(self._chunks) > 1:
            forgotten = len(self._chunks.popleft()[1])
            self._size -= forgotten
            self.lost += forgotten

    @property
    def text(self) -> str:
        return b"".join(chunk for _, chunk in self._chunks).decode(errors="replace")

    def times(self, text: str) -> list[float]:
        """When each occurrence of `text` was complete."""
        wanted = text.encode(errors="surrogateescape")
        data = b"".join(chunk for _, chunk in self._chunks)
        ends = [match.end() for match in re.finditer(re.escape(wanted), data)]
        found: list[float] = []
        read = 0
        for at, chunk in self._chunks:
            read += len(chunk)
            while len(found) < len(ends) and ends[len(found)] <= read:
                found.append(at)
        return found


@attrs.frozen
class Run:
    """Everything that an assertion can be about."""

    pods: tuple[Pod, ...] = ()
    "As last published, in the order in which they were begun."
    jobs: tuple[Job, ...] = ()
    history: tuple[Event | Change, ...] = attrs.field(default=(), repr=False)
    logs: Mapping[tuple[str, str], ContainerLog] = attrs.field(factory=dict, repr=False)
    "By `namespace/pod` and container."
    ending: str = "finished"
    "`timeout`, or the name of a signal, if it was cut short."
    exit_code: int = 0
    "What `minikubelet run` would exit with."
    summary: str = attrs.field(default="", repr=False)
    "What `minikubelet run` would have printed at its end."

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(item for item in self.history if isinstance(item, Event))

    @cached_property
    def began_at(self) -> float:
        return min((instant(item) for item in self.history), default=0.0)

    @cached_property
    def seconds(self) -> float:
        """From the first to the last that happened."""
        return max((instant(item) for item in self.history), default=0.0) - self.began_at

    def times(self, target: Target, what: str, text: str | None = None) -> Sequence[Occurrence]:
        """Each time that `what` happened to the target; `logged` with a text."""
        if what == "logged":
            log = self.logs.get((target.key, target.container or ""), ContainerLog())
            return [Occurrence(at, -1) for at in log.times(text or "")]
        return self._occurrences.get((target, what), ())

    @cached_property
    def _occurrences(self) -> Mapping[tuple[Target, str], list[Occurrence]]:
        found: dict[tuple[Target, str], list[Occurrence]] = {}
        for order, item in enumerate(self.history):
            for target, what, detail in _told_by(item):
                found.setdefault((target, what), []).append(Occurrence(instant(item), order, detail))
        for occurrences in found.values():
            occurrences.sort()
        return found

    def event_times(
        self, target: Target | None, reason: str, containing: str | None = None
    ) -> Sequence[Occurrence]:
        """Each Event of that reason; a pod's are its containers' too, as in `kubectl describe`."""
        return [
            Occurrence(item.monotonic_time, order, item.message)
            for order, item in enumerate(self.history)
            if isinstance(item, Event)
            and item.reason == reason
            and (target is None or _is_about(item, target))
            and (containing is None or containing in item.message)
        ]


def instant(item: Event | Change) -> float:
    return item.at if isinstance(item, Change) else item.monotonic_time


def target_of(event: Event) -> Target:
    """EVENT-6."""
    reference = event.involved_object
    path = reference.field_path
    container = path[path.index("{") + 1 : -1] if path and "{" in path else None
    return Target(reference.kind, f"{reference.namespace}/{reference.name}", container)


def _is_about(event: Event, target: Target) -> bool:
    subject = target_of(event)
    return subject == target or (target.container is None and subject[:2] == target[:2])


def _told_by(item: Event | Change) -> Iterator[tuple[Target, str, str]]:
    if isinstance(item, Change):
        yield item.target, item.what, ""
        return
    target = target_of(item)
    if target.container is None:
        return
    if item.reason in SAID_BY:
        detail = f"code {item.message.rpartition(' ')[2]}" if item.reason == "Exited" else ""
        yield target, SAID_BY[item.reason], detail
    elif item.reason == "Signalled":
        signal = item.message.removeprefix("Sent ").partition(" to ")[0]
        yield target, "killed" if signal == "SIGKILL" else "signalled", signal
