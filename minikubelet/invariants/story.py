"""What one pod did, put in order for those who judge it: its containers' attempts, and what happened to it.

Only a reading of the journal and of the pod's own spec. Of two things at the same instant the index says
which came first.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from math import inf
from typing import Any, TypeVar

import attrs

from minikubelet.api.pod import Container, Pod, PodSpec
from minikubelet.invariants.journal import Entry, Journal
from minikubelet.lifecycle.settings import LifecycleSettings

T = TypeVar("T")


@attrs.frozen
class Moment:
    """An entry of the journal and where it stands there."""

    index: int
    entry: Entry

    @property
    def at(self) -> float:
        return self.entry.at

    @property
    def detail(self) -> Any:
        return self.entry.detail


@attrs.define
class Attempt:
    """One instance of a container: all that happened to it, in order."""

    container: Container
    number: int
    started: Moment
    exited: Moment | None = None
    "None while it runs."
    is_real: bool = True
    "False: execve failed, so it ended as it began (LOCAL-3); `exited` is `started` then."
    signals: list[Moment] = attrs.Factory(list)
    hooks: list[Moment] = attrs.Factory(list)
    "Entries `hookBegan`, `hookEnded`, `hookCancelled`."
    probes: list[Moment] = attrs.Factory(list)
    "Entries `probeBegan`, `probeEnded`, `probeCancelled`."

    @property
    def name(self) -> str:
        return self.container.name

    @property
    def exit_code(self) -> int | None:
        if self.exited is None:
            return None
        return int(self.exited.detail) if self.is_real else 128

    @property
    def began(self) -> int:
        return self.started.index

    @property
    def ended(self) -> float:
        """Index of its end; inf while it runs."""
        return inf if self.exited is None else self.exited.index

    def is_live_at(self, index: float) -> bool:
        """Between its start and its end, both excluded."""
        return self.is_real and self.began < index < self.ended


class PodStory:
    """Everything about one pod."""

    def __init__(self, key: str, pod: Pod, settings: LifecycleSettings, tolerance: float = 0.0) -> None:
        self.key = key
        self.pod = pod
        self.settings = settings
        self.tolerance = tolerance
        "Seconds by which a length may differ from what it ought to be; none in virtual time."
        self.moments: list[Moment] = []
        self.attempts: dict[str, list[Attempt]] = {name: [] for name in pod.spec.all_containers}
        "Of each container, in the order in which they were started."
        self.publications: list[Moment] = []
        self.deletions: list[Moment] = []
        self.events: list[Moment] = []
        self.removed: Moment | None = None
        self.predecessor: PodStory | None = None
        "The pod that had its name before."
        self.over: Moment | None = None
        "The end of the journal; None if it has none."
        self.began_at = 0.0
        "When the pod was accepted (CORE-7), on the runtime's clock."
        self.epoch = 0.0
        "Wall seconds minus the runtime's."
        self._readings: dict[object, Any] = {}

    def read(self, reading: Callable[["PodStory"], T]) -> T:
        """What `reading` makes of this story; it is asked once."""
        if reading not in self._readings:
            self._readings[reading] = reading(self)
        made: T = self._readings[reading]
        return made

    def forget_readings(self) -> None:
        """They hold on to the story as it does to them, which would leave both to the garbage collector."""
        self._readings.clear()

    @property
    def spec(self) -> PodSpec:
        return self.pod.spec

    @property
    def mains(self) -> Sequence[Container]:
        return self.spec.containers

    @cached_property
    def sidecars(self) -> Mapping[str, Container]:
        """SIDE-1, in the order of the manifest."""
        return {c.name: c for c in self.spec.init_containers if c.restart_policy == "Always"}

    @cached_property
    def inits(self) -> Mapping[str, Container]:
        """The ordinary ones, in the order of the manifest."""
        return {c.name: c for c in self.spec.init_containers if c.restart_policy != "Always"}

    def all_attempts(self) -> Iterator[Attempt]:
        for attempts in self.attempts.values():
            yield from attempts

    def take(self, moment: Moment) -> None:
        entry = moment.entry
        self.moments.append(moment)
        match entry.what:  # the most frequent first
            case "event":
                self.events.append(moment)
            case "published":
                self.publications.append(moment)
            case "probeBegan" | "probeEnded" | "probeCancelled":
                self._attempt(entry).probes.append(moment)
            case "started":
                container = self.spec.all_containers[entry.container]
                self.attempts[entry.container].append(Attempt(container, entry.attempt, moment))
            case "exited":
                self._attempt(entry).exited = moment
            case "signalled":
                self._attempt(entry).signals.append(moment)
            case "hookBegan" | "hookEnded" | "hookCancelled":
                self._attempt(entry).hooks.append(moment)
            case "startFailed":
                _, recorded = entry.detail
                if recorded:
                    container = self.spec.all_containers[entry.container]
                    attempt = Attempt(container, entry.attempt, moment, moment, is_real=False)
                    self.attempts[entry.container].append(attempt)
            case "deletion":
                self.deletions.append(moment)
            case "removed":
                self.removed = moment
            case _:
                pass

    def _attempt(self, entry: Entry) -> Attempt:
        """The newest of that number."""
        for attempt in reversed(self.attempts[entry.container]):
            if attempt.number == entry.attempt:
                return attempt
        raise ValueError(f"{entry.what} of {entry.container}#{entry.attempt}, which was never started")


def stories(journal: Journal) -> list[PodStory]:
    """Every pod's, in the order in which they were begun. A name that is used again begins a new story."""
    told: list[PodStory] = []
    current: dict[str, PodStory] = {}
    for index, entry in enumerate(journal.entries):
        moment = Moment(index, entry)
        if entry.what == "begun":
            story = PodStory(entry.key, entry.detail, journal.settings, journal.tolerance)
            story.began_at, story.epoch = entry.at, journal.epoch
            story.predecessor = current.get(entry.key)
            current[entry.key] = story
            told.append(story)
        elif entry.what == "over":
            for story in current.values():
                story.over = moment
        elif entry.key in current and _is_about_pod(entry):
            current[entry.key].take(moment)
    return told


def _is_about_pod(entry: Entry) -> bool:
    if entry.what == "event":
        return bool(entry.detail.involved_object.kind == "Pod")
    return entry.what != "jobPublished"
