"""What a run says on standard output: container logs, what happens between them, and how it ended.

`TextScreen` is for people, `JsonScreen` for programs. Both take the same calls: `log` for each piece of
a container's output, `event` and `changed` as an observer of the kubelet, `notice` for the program's
own remarks. Neither ever waits for its reader (see `writer`), and both always show whole lines.

The one idea: log text is a stream and the status block is a state. Text is appended; the block under
it is only ever replaced, by the writer, once for each write.
"""

import json
import os
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring
from math import ceil
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

from minikubelet.api.event import Event
from minikubelet.api.job import Job
from minikubelet.api.meta import format_micro_time
from minikubelet.api.patterns import pattern
from minikubelet.api.pod import Pod, PodSpec
from minikubelet.api.values import Factory, define, frozen
from minikubelet.cli.ending import Ending
from minikubelet.cli.summary import (
    exit_text,
    failure_lines,
    job_failure_lines,
    result_lines,
    stopped_lines,
    summary_object,
)
from minikubelet.cli.table import rows_table
from minikubelet.cli.writer import PENDING_LIMIT, Writer, tell_stderr
from minikubelet.kubelet.kubelet import Observer
from minikubelet.kubelet.pod_worker import PodWorker
from minikubelet.lifecycle.backoff import current_delay, go_duration
from minikubelet.lifecycle.printing import PodRow, human_duration, pod_row
from minikubelet.lifecycle.record import ContainerRecord, ContainerRun, PodRecord
from minikubelet.lifecycle.restarts import effective_policy, wants_restart
from minikubelet.lifecycle.termination import kill_time, signal_name, stop_signal
from minikubelet.runtime.base import Runtime

if TYPE_CHECKING:
    from minikubelet.api.cron_job import CronJob

LONGEST_LINE = 1 << 16  # bytes; a longer one is shown in pieces
TAIL_LINES = 10  # kept of each container for the report on a failed pod
TAIL_LINE = 512  # bytes kept of each of them


class Screen(Observer):
    """What the run command needs of either kind."""

    writer: Writer
    kubelet: "PodSource | None"
    "Set before anything happens."
    is_live: bool
    "Wants a `tick` every second."

    def log(self, pod: Pod, container: str, attempt: int, stream: str, chunk: bytes) -> None:
        raise NotImplementedError

    def settled(self) -> None:
        """What there is to see is shown now, when nothing has to be done sooner."""
        self.writer.flush()

    def notice(self, text: str) -> None:
        raise NotImplementedError

    def tick(self) -> None:
        raise NotImplementedError

    def finish(
        self,
        pods: Sequence[Pod],
        jobs: Sequence[Job],
        ending: Ending,
        cron_jobs: "Sequence[CronJob]" = (),
    ) -> None:
        raise NotImplementedError


# ------------------------------------------------------------------------------------ lines


class Lines:
    """Cuts what containers write into lines, and remembers the last ones of each container.

    Whole lines are handed on together, as they came, so that one line costs next to nothing.
    """

    def __init__(self, *, with_tails: bool = True) -> None:
        self._with_tails = with_tails
        self._held: dict[tuple[str, str], dict[tuple[int, str], bytes]] = {}
        self._tails: dict[tuple[str, str], tuple[int, deque[bytes]]] = {}

    def add(self, pod: str, container: str, attempt: int, stream: str, chunk: bytes) -> bytes:
        """The lines that are complete now, each with its newline; empty if none is."""
        held = self._held.setdefault((pod, container), {})
        end = chunk.rfind(b"\n") + 1
        rest = chunk[end:]
        if end:
            begun = held.pop((attempt, stream), b"")
            lines = b"".join((begun, memoryview(chunk)[:end])) if begun else chunk[:end]
        else:
            lines, rest = b"", held.pop((attempt, stream), b"") + chunk
        while len(rest) >= LONGEST_LINE:
            lines += rest[:LONGEST_LINE] + b"\n"
            rest = rest[LONGEST_LINE:]
        if rest:
            held[attempt, stream] = rest
        if lines:
            self._remember(pod, container, attempt, lines)
        return lines

    def rest(self, pod: str, container: str) -> list[tuple[int, str, bytes]]:
        """What lacked a newline when the container ended, with one: (attempt, stream, line)."""
        held = self._held.pop((pod, container), {})
        ended = [(attempt, stream, line + b"\n") for (attempt, stream), line in held.items()]
        for attempt, _, line in ended:
            self._remember(pod, container, attempt, line)
        return ended

    def unfinished(self) -> list[tuple[str, str]]:
        """(pod, container) of everything that `rest` would still have something for."""
        return [key for key, held in self._held.items() if held]

    def tail(self, pod: str, container: str) -> list[bytes]:
        """The last lines of the newest instance that wrote any, without their newlines."""
        return list(self._tails[pod, container][1]) if (pod, container) in self._tails else []

    def forget(self, pod: str) -> None:
        """Nobody will ask for this pod's last lines."""
        for key in [key for key in self._tails if key[0] == pod]:
            del self._tails[key]

    def _remember(self, pod: str, container: str, attempt: int, lines: bytes) -> None:
        if not self._with_tails:
            return
        newest = self._tails.get((pod, container))
        if newest is None or attempt > newest[0]:
            newest = self._tails[pod, container] = attempt, deque(maxlen=TAIL_LINES)
        if attempt == newest[0]:
            last = lines.rsplit(b"\n", TAIL_LINES + 1)[-TAIL_LINES - 1 : -1]
            newest[1].extend([line[:TAIL_LINE] for line in last])


_SGR = r"\x1b\[[0-9;:]*m"
_CONTROL = pattern(
    rf"({_SGR})"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences: cursor, erase, scroll region, modes
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # strings: window title, device control
    r"|\x1b[ -/]*[0-~]?"  # other escapes
    r"|[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f]"  # single control characters, but not the tab
)


def tame(line: str, *, color: bool) -> str:
    """A log line that a terminal can show without moving anything else on it.

    Colours are kept (and reset at the end), other escape sequences dropped. Of a line that overwrites
    itself with carriage returns only what would have stayed is shown; control characters become `^X`.
    """
    if line.isprintable():
        return line
    line = line.rstrip("\r").rpartition("\r")[2]

    def safe(match: re.Match[str]) -> str:
        found = match[0]
        if match[1]:
            return found if color else ""
        if found[0] == "\x1b":
            return ""
        return "^" + chr(ord(found) ^ 0x40) if found < "\x80" else "\N{REPLACEMENT CHARACTER}"

    tamed = _CONTROL.sub(safe, line)
    return tamed + RESET if "\x1b" in tamed else tamed


# ------------------------------------------------------------------------------------ style

RESET = "\x1b[0m"
BOLD = "\x1b[1m"
DIM = "\x1b[2m"
YELLOW = "\x1b[33m"
RED = "\x1b[31m"
PALETTE = tuple(f"\x1b[{code}m" for code in (36, 35, 34, 32, 96, 95, 94, 92))  # warnings own yellow, red
WIDEST_LABEL = 40  # characters; longer ones are not lined up
MANY_PODS = 100  # from here on the rows of finished pods are left as they are

QUIET = {"Scheduled", "Isolated", "Created", "Pulled", "Pulling", "Signalled"}
"Events that say little which those around them do not say too."

REPETITIVE = {"Unhealthy", "ProbeWarning"}
"Events of every single probe: shown the first three times, then each time their number doubles."


def container_colors(pod: Pod) -> dict[str, str]:
    """A colour for each container, the same in every run and for every pod of one owner.

    Neighbours in a pod get different colours as long as there are enough.
    """
    owners = pod.metadata.owner_references
    family = owners[0].name if owners else pod.metadata.name
    taken: dict[str, str] = {}
    free = set(range(len(PALETTE)))
    for name in pod.spec.all_containers:
        slot = crc32(f"{family}/{name}".encode()) % len(PALETTE)
        while free and slot not in free:
            slot = (slot + 1) % len(PALETTE)
        free.discard(slot)
        taken[name] = PALETTE[slot]
    return taken


def event_text(event: Event) -> str:
    """Reason and message, without what the label beside them says already."""
    reference = event.involved_object
    container = reference.container
    message = event.message
    if event.reason == "Exited":
        message = exit_text(_exit_code(event))
    elif message == f"{event.reason} container {container}":
        message = ""
    elif event.reason == "BackOff":
        message = message.removesuffix(f" in pod {reference.name}_{reference.namespace}({reference.uid})")
    message = message.rstrip().removesuffix(":")  # a probe without output
    times = f" ({event.count} times)" if event.reason in REPETITIVE and event.count > 1 else ""
    return f"{event.reason}: {message}{times}" if message else event.reason


def _exit_code(event: Event) -> int:
    return int(event.message.rpartition(" ")[2])


def _trouble(event: Event) -> str:
    """What a probe or hook said that a container may be killed for."""
    text = ""
    if event.reason == "Unhealthy" and not event.message.startswith("Readiness"):
        text = event.message.partition(": ")[2]
    elif event.reason == "FailedPostStartHook":
        text = event.message.rpartition(" - error: ")[2]
    return text.strip().partition("\n")[0][:TAIL_LINE]


def _why_killed(event: Event, container: str) -> str:
    """What an event has to say about that, for the report on a failed pod."""
    if event.reason == "Killing" and event.message != f"Stopping container {container}":
        text = event.message.removesuffix(", will be restarted")
        rule = next((rule for cause, rule in _CAUSES.items() if text.endswith(cause)), None)
        return f"{text} [{rule}]" if rule else text
    if event.reason == "Signalled" and event.message.startswith("Sent SIGKILL"):
        return "its grace was over [TERM-15]"
    return ""


_CAUSES = {"liveness probe": "PROBE-14", "startup probe": "PROBE-15", "postStart hook": "HOOK-3"}


def _is_shown(event: Event) -> bool:
    if event.reason in REPETITIVE:
        return event.count <= 3 or event.count & (event.count - 1) == 0
    return event.reason not in QUIET


# ------------------------------------------------------------------------------------ the block


def stopping_text(record: PodRecord, now: float) -> str | None:
    """Who a terminating pod is waiting for, and how many seconds of its grace are left.

    `now` is on the record's clock. None when the pod is not terminating or waits for nobody.
    """
    ending = record.ending
    if ending is None or not ending.is_final or record.finished_at is not None:
        return None
    waiting, last_call = list[tuple[bool, str]](), ending.deadline
    for name, container in record.spec.all_containers.items():
        run = record.containers[name].run
        if run is None or not run.is_live:
            continue
        stage = _stage(run, stop_signal(container))
        waiting.append((stage == _IN_LINE, f"{name} ({stage})"))
        if run.stopping and run.stopping.signalled_at is not None:
            last_call = max(last_call, kill_time(ending.deadline, run.stopping.signalled_at, record.settings))
    if not waiting:
        return None
    waiting.sort(key=lambda entry: entry[0])  # those that the others wait for first
    texts = ", ".join(text for _, text in waiting)
    return f"stopping, {max(ceil(last_call - now), 0)} s of grace left: {texts}"


_IN_LINE = "waiting for its turn"


def _stage(run: ContainerRun, signal: int) -> str:
    stopping = run.stopping
    if stopping is None:
        return "running"
    if stopping.killed_at is not None:
        return "SIGKILL sent"
    if stopping.signalled_at is not None:
        return f"{signal_name(signal)} sent"
    return "preStop" if run.pre_stop and run.pre_stop.is_under_way else _IN_LINE


def crash_loop_text(record: PodRecord, now: float) -> str | None:
    """When the containers that are held back start again; `now` is on the record's clock."""
    held = []
    for name in record.spec.all_containers:
        start = next_start(record, name)
        if start is not None and start > now:
            run = record.containers[name].run
            why = f" (exit {exit_text(run.exit_code)})" if run and run.exit_code is not None else ""
            held.append(f"{name} starts again in {human_duration(ceil(start - now))}{why}")
    return ", ".join(held) or None


def next_start(record: PodRecord, name: str) -> float | None:
    """When a container that is down is due (BACKOFF-3), on the record's clock; None if nothing is."""
    state = record.containers[name]
    run = state.run
    if record.ending is not None or (run is not None and run.is_live):
        return None
    if state.retry_at is not None:
        return state.retry_at
    if run is None or run.finished_at is None:
        return None
    if not wants_restart(record.spec, record.spec.all_containers[name], run):
        return None
    return run.finished_at + current_delay(state.backoff, run.finished_at, record.settings)


def block_lines(entries: Sequence[tuple[PodRow, str | None]], width: int, height: int) -> list[str]:
    """The status block: the table of `kubectl get pods`, with a note under each pod that has one.

    At most `height` lines (header included) of at most `width` characters. If not all pods fit, those
    that something is going on with come first and the others are counted by STATUS.
    """
    shown, rest = list(entries), list[PodRow]()
    if sum(map(_lines_of, entries)) + 1 > height:
        shown, room = [], height - 2
        for entry in sorted(entries, key=lambda entry: entry[0].status in _CALM):
            room -= _lines_of(entry)
            if room >= 0:
                shown.append(entry)
            else:
                rest.append(entry[0])
    lines = []
    if shown:
        header, *table = rows_table([row for row, _ in shown])
        lines.append(header)
        for (_, note), line in zip(shown, table, strict=True):
            lines += [line, f"  {note}"] if note else [line]
    if rest:
        counts = ", ".join(f"{n} {status}" for status, n in Counter(row.status for row in rest).most_common())
        lines.append(f"and {len(rest)} more: {counts}" if shown else f"{len(rest)} pods: {counts}")
    return [line[:width] for line in lines]


_CALM = {"Completed", "Succeeded", "Pending"}


def _lines_of(entry: tuple[PodRow, str | None]) -> int:
    return 2 if entry[1] else 1


def wrap(line: str, width: int, indent: int) -> list[str]:
    """A line in pieces of at most `width` characters, cut between words; all but the first are indented."""
    pieces = []
    while len(line) > width and (cut := line.rfind(" ", indent + 1, width + 1)) > 0:
        pieces.append(line[:cut])
        line = " " * indent + line[cut + 1 :]
    return [*pieces, line]


class Block:
    """The lines under the log on a terminal. `lines` is set by one thread and drawn by the writer's."""

    def __init__(self, fd: int, *, color: bool) -> None:
        self._fd = fd
        self._color = color
        self.lines: tuple[str, ...] = ()
        self._drawn: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines that the block may take: never the last column, nor most of the screen."""
        try:
            columns, lines = os.get_terminal_size(self._fd)
        except OSError:
            columns, lines = 0, 0
        return max((columns or 80) - 1, 20), max((lines or 24) // 3, 4)

    def frame(self, text: bytes) -> bytes:
        """`text` above the block: wipe the old one, write, draw the new one; all in one go."""
        lines = self.lines
        if lines == self._drawn and not (text and lines):
            return text
        out = self._wipe().encode() + text + self._draw(lines).encode()
        self._drawn = lines
        return b"\x1b[?2026h" + out + b"\x1b[?2026l"  # shown at once by terminals that can

    def _wipe(self) -> str:
        if not self._drawn:
            return ""
        columns = self.size[0] + 1
        rows = sum(max(ceil(len(line) / columns), 1) for line in self._drawn)  # it may have become narrower
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "") + "\x1b[J"

    def _draw(self, lines: Sequence[str]) -> str:
        if not self._color:
            return "\n".join(lines)
        return "\n".join(self._paint(line) for line in lines)

    def _paint(self, line: str) -> str:
        if line.startswith("NAME"):
            return f"{BOLD}{line}{RESET}"
        return f"{YELLOW}{line}{RESET}" if line.startswith("  ") else line


# ------------------------------------------------------------------------------------ text


@frozen
class Look:
    """How a text screen may look; decided by where it goes and by the options."""

    terminal: bool = False
    "Live block, lined-up labels, tamed log lines."
    color: bool = False
    timestamps: bool = False
    namespaces: bool = False
    "Say the namespace too: the pods are of more than one."


@define
class _Told:
    """What was told of a pod last, as far as it matters for what is told next."""

    spec: PodSpec
    containers: dict[str, ContainerRecord] = Factory(dict)
    "Those with a readinessProbe."
    has_ended: bool = False


class PodSource(Protocol):
    """What a screen wants to know of the kubelet."""

    runtime: Runtime

    removed_pods: list[Pod]

    def pod(self, key: str) -> Pod: ...

    def worker(self, key: str) -> PodWorker: ...


class TextScreen(Screen):
    """Logs as `pod/container | line`, events as `pod/container * what`, warnings as `... ! what`."""

    def __init__(
        self,
        fd: int,
        look: Look,
        *,
        hung_up: Callable[[], None] = lambda: None,
        failed: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
        limit: int = PENDING_LIMIT,
    ) -> None:
        self.kubelet: PodSource | None = None
        self.is_live = look.terminal
        self._look = look
        self._wall = wall
        self._lines = Lines()
        self._colors: dict[str, dict[str, str]] = {}
        self._label_width = 0
        self._pods: dict[str, Pod] = {}
        "Those that have a log."
        self._told: dict[str, _Told] = {}
        self._killed: dict[tuple[str, str], str] = {}
        self._troubles: dict[tuple[str, str], str] = {}
        self._unprepared: dict[str, str] = {}
        self._many_pods = MANY_PODS
        self._rows: dict[str, tuple[PodRow, str | None]] = {}
        self._block = Block(fd, color=look.color) if look.terminal else None
        frame = self._block.frame if self._block else bytes
        self.writer = Writer(
            fd, frame=frame, missing=self._missing, hung_up=hung_up, failed=failed, limit=limit
        )

    # -------------------------------------------------------------------- logs

    def log(self, pod: Pod, container: str, attempt: int, stream: str, chunk: bytes) -> None:
        self._pods.setdefault(pod.key, pod)
        lines = self._lines.add(pod.key, container, attempt, stream, chunk)
        if lines:
            self._print_log(pod, container, lines)

    def _print_log(self, pod: Pod, container: str, lines: bytes) -> None:
        label = self._label(pod.metadata.namespace, pod.metadata.name, container)
        if self._look.terminal:
            head = self._paint(self._colors_of(pod)[container], f"{self._align(pod, label)} |") + " "
            text = lines[:-1].decode(errors="replace").split("\n")
            lines = "".join([tame(line, color=self._look.color) + "\n" for line in text]).encode()
        else:
            head = f"{label} | "
        prefix = (self._stamp() + head).encode()
        prefixed = memoryview(lines.replace(b"\n", b"\n" + prefix))
        shown = b"".join((prefix, prefixed[: -len(prefix)]))
        self.writer.queue(shown, droppable=self._look.terminal)  # people look at now, programs read all

    def _print_rest(self, key: str, container: str) -> None:
        """The end of a container's output, where it lacks a newline."""
        for _, _, line in self._lines.rest(key, container):
            self._print_log(self._pods[key], container, line)

    # -------------------------------------------------------------------- events

    def event(self, event: Event) -> None:
        reference, reason = event.involved_object, event.reason
        container = reference.container
        key = f"{reference.namespace}/{reference.name}"
        is_warning = event.type == "Warning"
        match reason:
            case "Exited" if container:
                self._print_rest(key, container)
                is_warning = self._is_bad_exit(key, container, _exit_code(event))
            case "Started":
                self._tell_ready(key)  # what made this start possible is told first
                self._killed.pop((key, container or ""), None)
                self._troubles.pop((key, container or ""), None)
                self._unprepared.pop(key, None)
            case "FailedMount":
                self._unprepared[key] = event.message
            case "Unhealthy" | "FailedPostStartHook" if container and (trouble := _trouble(event)):
                self._troubles[key, container] = trouble
            case "Killing" | "Signalled" if container and (why := _why_killed(event, container)):
                if reason == "Killing" and (trouble := self._troubles.pop((key, container), "")):
                    why += f": {trouble}"
                earlier = self._killed.get((key, container))
                self._killed[key, container] = f"{earlier}; {why}" if earlier else why
        if not _is_shown(event):
            return
        name = reference.name if reference.kind == "Pod" else f"{reference.kind.lower()}/{reference.name}"
        label = self._label(reference.namespace, name, container)
        if reference.kind == "Pod" and self.kubelet:
            label = self._align(self.kubelet.worker(key).latest.pod, label)
        text = event_text(event)
        if reason == "BackOff" and container:
            text += self._back_off(key, container)
        self._print_mark(label, text, is_warning)

    def _back_off(self, key: str, container: str) -> str:
        """How long, and what surprises people about it."""
        assert self.kubelet
        record = self.kubelet.worker(key).latest
        start, run = next_start(record, container), record.containers[container].run
        if start is None or run is None or run.finished_at is None:
            return ""
        text = f", next start in {go_duration(start - run.finished_at)}"
        spec = record.spec
        if run.exit_code == 0 and effective_policy(spec, spec.all_containers[container]) == "Always":
            text += "; exit code 0 makes no difference to restartPolicy Always"
        return text

    def _is_bad_exit(self, key: str, container: str, code: int) -> bool:
        """A container that was asked to stop may end as it likes."""
        assert self.kubelet
        record = self.kubelet.worker(key).latest
        run = record.containers[container].run
        return code != 0 and record.ending is None and (run is None or run.stopping is None)

    def _print_mark(self, label: str, text: str, is_warning: bool) -> None:
        mark, style = ("!", YELLOW) if is_warning else ("*", DIM)
        head = f"{label} {mark} "
        lines = [head + line for line in text.splitlines()]
        stamp = self._stamp()
        if self._block is not None:
            tamed = [tame(line, color=False) for line in lines]
            width = self._block.size[0] + 1 - len(stamp)
            lines = [part for line in tamed for part in wrap(line, width, len(head))]
        painted = [f"{stamp}{self._paint(style, line)}\n" for line in lines]
        self.writer.queue("".join(painted).encode(errors="backslashreplace"))

    # -------------------------------------------------------------------- status

    def changed(self, key: str) -> None:
        """The record says what is to be told; a status, which takes its time, is made for the block only."""
        assert self.kubelet
        self._tell_ready(key)
        told, has_ended = self._told[key], self.kubelet.worker(key).is_finished
        if len(self._told) > self._many_pods:
            self._forget_removed()
        if has_ended and not told.has_ended:
            self._tell_end(self.kubelet.pod(key))
        told.has_ended = has_ended
        if self._block is not None:
            self._rows[key] = self._row(key)
            self._show()

    def _tell_ready(self, key: str) -> None:
        """No event says so, but it is what everybody waits for."""
        assert self.kubelet
        record = self.kubelet.worker(key).latest
        told = self._told.setdefault(key, _Told(record.spec))
        meta = record.pod.metadata
        for container in record.spec.with_readiness_probe:
            state, earlier = record.containers[container.name], told.containers.get(container.name)
            if state is earlier:
                continue
            told.containers[container.name] = state
            is_running = state.run is not None and state.run.is_live and state.run.running_at is not None
            if is_running and state.is_ready is not bool(earlier and earlier.is_ready):
                label = self._align(record.pod, self._label(meta.namespace, meta.name, container.name))
                self._print_mark(label, "Ready" if state.is_ready else "Not ready", not state.is_ready)

    def _tell_end(self, pod: Pod) -> None:
        assert pod.status
        text = ": ".join(filter(None, (pod.status.phase, pod.status.reason, pod.status.message)))
        label = self._label(pod.metadata.namespace, pod.metadata.name, None)
        self._print_mark(self._align(pod, label), text, pod.status.phase == "Failed")
        if pod.status.phase == "Succeeded":
            self._lines.forget(pod.key)

    def _forget_removed(self) -> None:
        """A CronJob's schedule may be followed for months: what its history limits have removed is not spoken
        of again, and is forgotten whenever the number of pods has doubled."""
        assert self.kubelet
        told_at_the_end = {pod.key for pod in self.kubelet.removed_pods}
        for key, told in [item for item in self._told.items() if item[0] not in told_at_the_end]:
            try:
                self.kubelet.worker(key)
            except KeyError:
                for known in (self._pods, self._told, self._colors, self._rows, self._unprepared):
                    known.pop(key, None)
                self._lines.forget(key)
                for container in told.spec.all_containers:
                    self._killed.pop((key, container), None)
                    self._troubles.pop((key, container), None)
        self._many_pods = max(2 * len(self._told), MANY_PODS)

    def tick(self) -> None:
        """Bring ages and countdowns up to date; the block is drawn only if that changed it."""
        if self._block is None:
            return
        for key, (row, _) in list(self._rows.items()):
            if row.status not in ("Completed", "Error") or len(self._rows) < MANY_PODS:
                try:
                    self._rows[key] = self._row(key)
                except KeyError:  # deleted after its Job's ttlSecondsAfterFinished (JOB-28)
                    del self._rows[key]
        self._show()
        self.writer.flush()

    def _row(self, key: str) -> tuple[PodRow, str | None]:
        """Raises KeyError for a pod that is not there any more."""
        assert self.kubelet
        record = self.kubelet.worker(key).latest
        now = self.kubelet.runtime.now()
        note = stopping_text(record, now) or crash_loop_text(record, now)
        return pod_row(self.kubelet.pod(key), self._wall()), note

    def _show(self) -> None:
        assert self._block
        self._block.lines = tuple(block_lines(list(self._rows.values()), *self._block.size))
        self.writer.poke()

    # -------------------------------------------------------------------- the rest

    def notice(self, text: str) -> None:
        """A remark of the program itself. On a terminal it goes through the block, else to stderr."""
        if self._block is None:
            tell_stderr(text)
        else:
            self.writer.write(self._paint(BOLD, f"minikubelet: {text}").encode() + b"\n")

    def finish(
        self,
        pods: Sequence[Pod],
        jobs: Sequence[Job],
        ending: Ending,
        cron_jobs: "Sequence[CronJob]" = (),
    ) -> None:
        for key, container in self._lines.unfinished():
            self._print_rest(key, container)
        if self._block is not None:
            self._block.lines = ()
        now = self._wall()
        failures = failure_lines(pods, self._lines.tail, lambda *place: self._killed.get(place, ""))
        failures += job_failure_lines(jobs, pods, self._lines.tail)
        failures += stopped_lines(pods, jobs, self._lines.tail, self._unprepared)
        lines = [*failures, *result_lines(pods, jobs, now, cron_jobs)]
        if self._look.terminal:
            lines = [tame(line, color=False) for line in lines]
        self.writer.write("".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))

    def _label(self, namespace: str, name: str, container: str | None) -> str:
        owner = f"{namespace}/{name}" if self._look.namespaces else name
        return f"{owner}/{container}" if container else owner

    def _align(self, pod: Pod, label: str) -> str:
        """On a terminal, padded so that the text behind all labels begins in one column."""
        if not self._look.terminal:
            return label
        self._colors_of(pod)
        return label.ljust(self._label_width)

    def _colors_of(self, pod: Pod) -> dict[str, str]:
        """The pod's colours; the first time, its labels are measured too."""
        if pod.key not in self._colors:
            self._colors[pod.key] = container_colors(pod)
            meta = pod.metadata
            widest = max(
                len(self._label(meta.namespace, meta.name, name)) for name in pod.spec.all_containers
            )
            if widest <= WIDEST_LABEL:
                self._label_width = max(self._label_width, widest)
        return self._colors[pod.key]

    def _paint(self, style: str, text: str) -> str:
        return f"{style}{text}{RESET}" if self._look.color else text

    def _stamp(self) -> str:
        return f"{format_micro_time(self._wall())} " if self._look.timestamps else ""

    def _missing(self, lines: int) -> bytes:
        return f"minikubelet: {missing_text(lines)}\n".encode()


def missing_text(lines: int) -> str:
    return f"{lines} lines are not shown: they came faster than they were read; --log-dir keeps all"


# ------------------------------------------------------------------------------------ json


class JsonScreen(Screen):
    """One JSON object per line, each with one key that tells what it is: log, event, summary."""

    def __init__(
        self,
        fd: int,
        *,
        hung_up: Callable[[], None] = lambda: None,
        failed: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
        limit: int = PENDING_LIMIT,
    ) -> None:
        self.kubelet: PodSource | None = None
        self.is_live = False
        self._wall = wall
        self._lines = Lines(with_tails=False)
        self._sequence = 0
        self.writer = Writer(fd, missing=self._missing, hung_up=hung_up, failed=failed, limit=limit)

    def log(self, pod: Pod, container: str, attempt: int, stream: str, chunk: bytes) -> None:
        lines = self._lines.add(pod.key, container, attempt, stream, chunk)
        if lines:
            self._log(pod.metadata.namespace, pod.metadata.name, container, attempt, stream, lines)

    def _log(self, namespace: str, pod: str, container: str, attempt: int, stream: str, lines: bytes) -> None:
        common = {
            "time": format_micro_time(self._wall()),
            "namespace": namespace,
            "pod": pod,
            "container": container,
            "attempt": attempt,
            "stream": stream,
        }
        head = f'{{"log":{_compact(common)[:-1]},"line":'
        text = lines[:-1].decode(errors="replace").split("\n")
        objects = "".join([f"{head}{encode_basestring(line)}}}}}\n" for line in text])
        self.writer.queue(objects.encode())

    def _rest(self, key: str, container: str) -> None:
        namespace, _, name = key.partition("/")
        for attempt, stream, line in self._lines.rest(key, container):
            self._log(namespace, name, container, attempt, stream, line)

    def event(self, event: Event) -> None:
        container = event.involved_object.container
        if event.reason == "Exited" and container:
            self._rest(f"{event.involved_object.namespace}/{event.involved_object.name}", container)
        self._sequence += 1
        self._write({"event": event.as_wire(self._sequence)})

    def tick(self) -> None:
        """Nothing here depends on the time."""

    def notice(self, text: str) -> None:
        tell_stderr(text)

    def finish(
        self,
        pods: Sequence[Pod],
        jobs: Sequence[Job],
        ending: Ending,
        cron_jobs: "Sequence[CronJob]" = (),
    ) -> None:
        for key, container in self._lines.unfinished():
            self._rest(key, container)
        self._write({"summary": summary_object(pods, jobs, ending, self._wall(), cron_jobs)})

    def _write(self, entry: dict[str, Any]) -> None:
        self.writer.queue(_compact(entry).encode(errors="replace") + b"\n")

    def _missing(self, lines: int) -> bytes:
        return _compact({"notice": missing_text(lines)}).encode() + b"\n"


def _compact(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
