"""A journal as a person reads it: when, who, and what happened, in words; and the line that broke a rule.

Leaves out what says nothing new: probes that go on as they went before, publications that change neither a
phase nor who is ready, Events that repeat what stands beside them. The entry that a violation names is shown
whatever it is.
"""

from collections.abc import Iterator
from math import inf
from signal import Signals

import attrs

from minikubelet.api.event import Event
from minikubelet.api.job import Job
from minikubelet.api.pod import Pod
from minikubelet.invariants.journal import Entry, Journal
from minikubelet.invariants.rules import Violation
from minikubelet.lifecycle.facts import ProbeKind

FIRST_LINES, LINES_BEFORE, LINES_AFTER = 10, 60, 4
"How much is shown around a violation: the beginning, what came before it, what came after it."

_TOLD_ALREADY = frozenset(
    {
        "Created",
        "Started",
        "Exited",
        "Signalled",
        "Unhealthy",
        "Failed",
        "FailedMount",
        "FailedPostStartHook",
        "FailedPreStopHook",
    }
)
"Events of pods for which there is an entry of their own."


def timeline(journal: Journal, violation: Violation | None = None) -> Iterator[str]:
    """Lines, without newlines. With a violation only its pod, or its Job with its pods, and what is near it.

    Times are seconds since the first entry.
    """
    keys = _keys(journal, violation)
    teller = _Teller(is_one=len(keys) == 1)
    shown: list[tuple[float, str, str]] = []
    mark: int | None = None
    began = journal.entries[0].at if journal.entries else 0.0
    for index, entry in enumerate(journal.entries):
        is_marked = violation is not None and index == violation.index
        if entry.key and entry.key not in keys:
            continue
        lines = list(teller.tell(entry))
        if is_marked:
            mark = len(shown) + max(len(lines) - 1, 0)
            lines = lines or [(teller.who(entry), _plain(entry))]
        told = [(entry.at - began, who, what) for who, what in lines]
        shown += told if told != shown[-1:] or is_marked else []
    width = max((len(who) for _, who, _ in shown), default=0)
    texts = [f"{at:9.3f}  {who:{width}}  {what}" for at, who, what in shown]
    if violation is None or mark is None:
        yield from (f"  {text}" for text in texts)
    else:
        yield from _around(texts, mark, violation)


def _around(lines: list[str], mark: int, violation: Violation) -> Iterator[str]:
    skipped = max(mark - FIRST_LINES - LINES_BEFORE, 0)
    for number, line in enumerate(lines[:mark]):
        if number < FIRST_LINES or number >= FIRST_LINES + skipped:
            yield f"  {line}"
        elif number == FIRST_LINES:
            yield f"  {'':9}  ... {skipped} lines"
    yield f"> {lines[mark]}"
    yield f"  {'':9}  ^ {violation.title}"
    yield f"  {'':9}    {violation.message}"
    rest = lines[mark + 1 :]
    yield from (f"  {line}" for line in rest[:LINES_AFTER])
    if len(rest) > LINES_AFTER:
        yield f"  {'':9}  ... {len(rest) - LINES_AFTER} lines"


def _keys(journal: Journal, violation: Violation | None) -> set[str]:
    """Whom the timeline is about: a pod, a Job and its pods, or everybody."""
    every = {entry.key for entry in journal.entries if entry.key}
    if violation is None or violation.key not in every:
        return every
    keys = {violation.key}
    for entry in journal.entries:
        if entry.what == "begun" and isinstance(entry.detail, Pod):
            meta = entry.detail.metadata
            owners = {f"{meta.namespace}/{o.name}" for o in meta.owner_references if o.kind == "Job"}
            if violation.key in owners:
                keys.add(entry.key)
    return keys


@attrs.define
class _Streak:
    """Equal answers of one probe of one attempt."""

    result: str
    length: int = 0
    folded: int = 0


class _Teller:
    """What has been told so far, so that only what is new is told."""

    def __init__(self, *, is_one: bool) -> None:
        self._is_one = is_one
        self._pods: dict[str, Pod] = {}
        self._phases: dict[str, str] = {}
        self._ready: dict[tuple[str, str], bool] = {}
        self._started_at: dict[tuple[str, str, int], float] = {}
        self._streaks: dict[tuple[str, str, int, str], _Streak] = {}
        self._hooks: dict[tuple[str, str, int, str], float] = {}
        self._jobs: dict[str, str] = {}
        self._events: dict[tuple[str, str], str] = {}

    def who(self, entry: Entry) -> str:
        name = entry.key.partition("/")[2]
        if not entry.container:
            one = "job" if entry.what == "jobPublished" else "pod"
            return "" if not entry.key else one if self._is_one else name
        return entry.container if self._is_one else f"{name}/{entry.container}"

    def tell(self, entry: Entry) -> Iterator[tuple[str, str]]:
        match entry.what:
            case "event":
                yield from self._event(entry, entry.detail)
            case "published":
                yield from self._published(entry, entry.detail)
            case "jobPublished":
                yield from self._job(entry, entry.detail)
            case _:
                who = self.who(entry)
                yield from ((who, text) for text in self._texts(entry))

    def _texts(self, entry: Entry) -> Iterator[str]:
        attempt = entry.key, entry.container, entry.attempt
        match entry.what:
            case "begun":
                self._pods[entry.key] = entry.detail
                yield f"accepted: {_cast(entry.detail)}"
            case "prepareFailed":
                yield f"could not be prepared: {entry.detail}"
            case "started":
                self._started_at[attempt] = entry.at
                yield f"started (attempt {entry.attempt})"
            case "startFailed":
                reason, recorded = entry.detail
                counts = ", which counts as an exit with code 128" if recorded else ", will be tried again"
                yield f"could not be started: {reason}{counts} (attempt {entry.attempt})"
            case "exited":
                age = entry.at - self._started_at.get(attempt, entry.at)
                yield f"exited with {_code(entry.detail)} after {_length(age)}"
            case "signalled":
                yield f"{_signal(entry.detail)} sent"
            case "hookBegan":
                self._hooks[*attempt, entry.detail] = entry.at
                yield f"{entry.detail} hook began"
            case "hookEnded":
                kind, error = entry.detail
                lasted = entry.at - self._hooks.get((*attempt, kind), entry.at)
                yield f"{kind} hook {f'failed ({error})' if error else 'returned'} after {_length(lasted)}"
            case "hookCancelled":
                yield f"{entry.detail} hook was given up"
            case "probeEnded":
                yield from self._probe(entry)
            case "deletion":
                wanted = "the grace of its own" if entry.detail is None else f"{entry.detail} s of grace"
                yield f"deletion asked for, with {wanted}"
            case "gate":
                condition, status = entry.detail
                yield f"readinessGate {condition} was set to {status}"
            case "removed":
                yield "is over, nothing of it is left"
            case "over":
                yield "everything is finished" if entry.detail else "given up, although not all is finished"
            case _:
                pass

    def _probe(self, entry: Entry) -> Iterator[str]:
        kind, result, _ = entry.detail
        limit = self._threshold(entry, kind, result)
        key = entry.key, entry.container, entry.attempt, kind
        streak = self._streaks.get(key)
        folded = ""
        if streak is None or streak.result != result:
            if streak is not None and streak.folded:
                folded = f", after {streak.folded} more that {_ANSWERED[streak.result]}"
            streak = self._streaks[key] = _Streak(result)
        streak.length += 1
        if streak.length > limit:
            streak.folded += 1
            return
        count = f" ({streak.length} of {limit})" if limit > 1 else ""
        yield f"{kind} probe {_ANSWERED[result]}{count}{folded}"

    def _threshold(self, entry: Entry, kind: ProbeKind, result: str) -> int:
        pod = self._pods.get(entry.key)
        probe = pod.spec.all_containers[entry.container].probe_of(kind) if pod else None
        if probe is None or result == "error":
            return 1
        return probe.success_threshold if result == "success" else probe.failure_threshold

    def _published(self, entry: Entry, pod: Pod) -> Iterator[tuple[str, str]]:
        status = pod.status
        if status is None:
            return
        for one in (*status.init_container_statuses, *status.container_statuses):
            key = entry.key, one.name
            if one.ready != self._ready.get(key, False) and not _is_done(pod, one.name):
                self._ready[key] = one.ready
                yield self.who(entry._replace(container=one.name)), "ready" if one.ready else "not ready"
        if status.phase != self._phases.get(entry.key, "Pending"):
            self._phases[entry.key] = status.phase
            why = f" ({status.reason})" if status.reason else ""
            yield self.who(entry), f"phase {status.phase}{why}"

    def _event(self, entry: Entry, event: Event) -> Iterator[tuple[str, str]]:
        about = event.involved_object
        if about.kind == "Pod" and event.reason in _TOLD_ALREADY:
            return
        path = about.field_path or ""
        container = path[path.index("{") + 1 : -1] if "{" in path else ""
        key = entry.key, container
        text = f"{event.reason}: {event.message.partition(' in pod ')[0]}"
        if self._events.get(key) != text or event.reason != "BackOff":
            self._events[key] = text
            yield self.who(entry._replace(container=container)), text

    def _job(self, entry: Entry, job: Job) -> Iterator[tuple[str, str]]:
        status = job.status
        if status is None:
            return
        conditions = "".join(f", {c.type}" for c in status.conditions if c.status == "True")
        text = f"active {status.active}, succeeded {status.succeeded}, failed {status.failed}{conditions}"
        if self._jobs.get(entry.key) != text:
            self._jobs[entry.key] = text
            yield self.who(entry), text


_ANSWERED = {"success": "succeeded", "failure": "failed", "error": "could not be asked"}


def _cast(pod: Pod) -> str:
    """Who takes part, and what decides how it goes."""
    spec = pod.spec
    inits = [
        f"{'sidecar' if one.restart_policy == 'Always' else 'init'} {one.name}"
        for one in spec.init_containers
    ]
    names = ", ".join([*inits, *(f"main {one.name}" for one in spec.containers)])
    grace = spec.termination_grace_period_seconds
    return f"{names}; restartPolicy {spec.restart_policy}, grace {grace} s"


def _is_done(pod: Pod, name: str) -> bool:
    """An ordinary init container: its `ready` only says that it is over (STATUS-6)."""
    return any(one.name == name and one.restart_policy != "Always" for one in pod.spec.init_containers)


def _code(code: int) -> str:
    return f"code {code} ({_signal(code - 128)})" if 128 < code < 128 + 65 else f"code {code}"


def _signal(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def _length(seconds: float) -> str:
    return "ever" if seconds == inf else f"{seconds:.3f} s"


def _plain(entry: Entry) -> str:
    """Whatever it is, when it has to be shown."""
    if isinstance(entry.detail, Event):
        return f"{entry.detail.reason}: {entry.detail.message}"
    if entry.what == "probeEnded":
        return f"{entry.detail[0]} probe {_ANSWERED[entry.detail[1]]}"
    if isinstance(entry.detail, Pod):
        return "its status was published"
    if isinstance(entry.detail, Job):
        return "its status was published"
    return _PLAIN.get(entry.what, entry.what).format(entry.detail)


_PLAIN = {
    "prepared": "is prepared",
    "probeBegan": "{} probe began",
    "probeCancelled": "{} probe was given up",
}
