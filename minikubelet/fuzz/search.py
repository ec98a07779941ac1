"""The search: one drawn world after another is run and judged, by several processes at once.

Example `i` of a seed is always the same, whoever runs it, so what a search of so many examples finds does
not depend on how many processes there are. Workers are forked: they have everything in memory already, and
send home what they counted. What cannot be told apart by name is one finding, of which the first example is
kept.
"""

import gc
import mmap
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Literal

import attrs

from minikubelet.api.pod import Pod
from minikubelet.assertions.recorder import Recorder
from minikubelet.fuzz import generate
from minikubelet.fuzz.case import Case
from minikubelet.fuzz.claims import Claim
from minikubelet.fuzz.coverage import Coverage
from minikubelet.fuzz.draw import Draw, SeededDraw
from minikubelet.fuzz.engines import LookOn, World, run_on_heap, run_under_trio
from minikubelet.invariants.checker import check
from minikubelet.invariants.journal import Entry, Journal
from minikubelet.invariants.rules import Violation
from minikubelet.runtime.base import Output

EngineName = Literal["heap", "trio", "both", "mixed", "real"]

MIXED_EVERY = 64
"Of a mixed search one example in so many is run by both engines."

PATIENCE = 20
"Seconds of processor time after which an example counts as one that never ends."

BESIDES = {
    "engines-agree": ("LOCAL-10", "The same happens on the event heap and under trio."),
    "crash-in": ("", "Nothing that happens raises an exception."),
    "given-up": ("", "Everything comes to an end."),
    "never-ends": ("", "No instant goes on for ever."),
    "died-of": ("", "No example ends the process that runs it."),
}
"What is held besides the invariants: first words of a name, rules, sentence."

BATCH_SECONDS = 0.2
"How often workers tell what they have done."


def mix(seed: int, example: int) -> int:
    """A seed of its own for each example: two rounds of splitmix64 (Steele, Lea and Flood, 2014)."""
    return _scramble(_scramble(seed) + example)


def _scramble(number: int) -> int:
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31


_MASK = 2**64 - 1


# ------------------------------------------------------------------ one example


@attrs.frozen
class Search:
    """What is looked for, and where."""

    seed: int
    case_of: Callable[[Draw], Case] = generate.case
    claims: tuple[Claim, ...] = ()
    engine: EngineName = "mixed"

    def choices(self, example: int) -> list[int]:
        """Of which `case_of` makes that example."""
        draw = SeededDraw(mix(self.seed, example))
        self.case_of(draw)
        return draw.choices

    def case(self, example: int) -> Case:
        return self.case_of(SeededDraw(mix(self.seed, example)))

    def examine(self, example: int) -> "Examined":
        is_mixed = self.engine == "mixed"
        engine = ("heap" if example % MIXED_EVERY else "both") if is_mixed else self.engine
        return examine(lambda: self.case(example), self.claims, engine)


@attrs.frozen
class Examined:
    """What came of one example."""

    journal: Journal
    violations: Sequence[Violation]
    "The first of each name, in the order in which they happened."
    applied: Sequence[str] = ()
    "Names of the claims that had something to judge."
    was_compared: bool = False
    "Two engines have run it, and were to do the same."


def examine(
    case_of: Callable[[], Case], claims: Sequence[Claim] = (), engine: EngineName = "heap"
) -> Examined:
    """Run a case and judge it. Whatever goes wrong is a violation, an exception of anybody's too."""
    witness = _Witness(bool(claims))
    try:
        with _patience():
            case = case_of()
            run = _engine(engine)
            journal = run(case, witness.output, witness.look_on)
            violations = check(journal)
            applied = witness.judge(claims, violations)
            was_compared = engine == "both"
            if engine == "both":
                violations += _differences(journal, run_under_trio(case))
            elif engine == "real":
                from minikubelet.fuzz.real import disagreements

                differences = disagreements(case, journal)
                was_compared = differences is not None
                violations += differences or ()
    except Exception as error:
        return Examined(witness.journal, [_crash(error, witness.journal)])
    if not violations and not journal.entries[-1].detail:
        violations.append(_violation(journal, "given-up", "it never did"))
    firsts = {one.invariant: one for one in reversed(violations)}
    firsts = dict(sorted(firsts.items(), key=lambda item: (item[1].index, item[0])))
    return Examined(journal, list(firsts.values()), applied, was_compared)


def _engine(name: EngineName) -> Callable[[Case, Output, LookOn], Journal]:
    if name == "real":
        from minikubelet.fuzz.real import run_real

        return run_real
    return run_under_trio if name == "trio" else run_on_heap


class _Witness:
    """Holds on to the journal, whatever happens, and has the run taken down for those who claim things."""

    def __init__(self, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._world: World | None = None
        self._recorder: Recorder | None = None

    def look_on(self, world: World) -> None:
        self._world = world
        if self._is_wanted:
            self._recorder = Recorder(world.kubelet)

    def output(self, pod: Pod, container: str, attempt: int, stream: str, chunk: bytes) -> None:
        if self._recorder is not None:
            self._recorder.log(pod, container, attempt, stream, chunk)

    @property
    def journal(self) -> Journal:
        return self._world.journal if self._world is not None else Journal()

    def judge(self, claims: Sequence[Claim], violations: list[Violation]) -> list[str]:
        """Add what is violated, and name the claims that apply."""
        if self._recorder is None or self._world is None:
            return []
        run = attrs.evolve(self._recorder.run(), exit_code=int(self._world.kubelet.has_failed))
        applied = []
        for claim in claims:
            answer = claim.judge(run)
            if answer.applies:
                applied.append(claim.name)
            if answer.breach is not None:
                at = inf if answer.seconds is None else run.began_at + answer.seconds
                index = _last_until(self.journal.entries, at, claim.text)
                entry = self.journal.entries[index]
                violations.append(
                    Violation(claim.name, claim.source, claim.text, entry.key, index, entry.at, answer.breach)
                )
        return applied


def _last_until(entries: Sequence[Entry], at: float, text: str = "") -> int:
    """The last that somebody did by that instant; of several at that instant, one of whom the text names."""
    index = max((n for n, entry in enumerate(entries) if entry.at <= at and entry.key), default=0)
    named = [
        n
        for n, entry in enumerate(entries[: index + 1])
        if entry.at == at
        and entry.what in ("started", "exited", "signalled")
        and entry.container in re.split(r"[^\w.-]", text)
    ]
    return named[-1] if named else index


def _differences(journal: Journal, other: Journal) -> Iterator[Violation]:
    """At most one, the first."""
    ours, theirs = journal.entries, other.entries
    if ours == theirs:
        return
    pairs = enumerate(zip(ours, theirs, strict=False))
    index = next((n for n, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
    said = " and ".join(
        f"{who} has {_brief(entries[index]) if index < len(entries) else 'ended'}"
        for who, entries in (("the heap", ours), ("trio", theirs))
    )
    index = min(index, len(ours) - 1)
    rules, sentence = BESIDES["engines-agree"]
    at = ours[index].at
    yield Violation("engines-agree", rules, sentence, ours[index].key, index, at, f"there {said}")


def _brief(entry: Entry) -> str:
    detail = entry.detail if isinstance(entry.detail, str | int | tuple | None) else "..."
    return f"{entry.what} {entry.container or entry.key} {detail} at {entry.at:g} s"


def _violation(journal: Journal, name: str, message: str, suffix: str = "") -> Violation:
    """By the last thing that happened."""
    rules, sentence = BESIDES[name]
    entries = journal.entries
    index = _last_until(entries, inf)
    key, at = (entries[index].key, entries[index].at) if entries else ("", 0.0)
    return Violation(f"{name}{suffix}", rules, sentence, key, index, at, message)


def _crash(error: Exception, journal: Journal) -> Violation:
    """Named for where it was raised, so that equal ones are one finding."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, _NeverEnds):
        message = f"still busy after {PATIENCE} s of processor time"
        return _violation(journal, "never-ends", message)
    place = "nowhere"
    for frame, _ in walk_tb(error.__traceback__):
        if "minikubelet" in frame.f_code.co_filename and Path(frame.f_code.co_filename) != Path(__file__):
            place = f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name.strip('<>')}"
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return _violation(journal, "crash-in", message, f"-{place}")


class _NeverEnds(Exception):
    pass


@contextmanager
def _patience() -> Iterator[None]:
    """Gives up what takes too long, by processor time, so that a busy machine is not to blame."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise _NeverEnds

    before = signal.signal(signal.SIGVTALRM, give_up)
    # Again and again, for an exception that is raised within a callback of the collector is lost.
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


# ------------------------------------------------------------------ many


@attrs.frozen
class Finding:
    """Everything that was found under one name."""

    violation: Violation
    "That of the first example."
    example: int
    count: int = 1
    "Examples it was seen in."

    @property
    def name(self) -> str:
        return self.violation.invariant

    @property
    def is_fatal(self) -> bool:
        """It ends the process that runs it."""
        return self.name.startswith("died-of")

    def with_other(self, other: "Finding") -> "Finding":
        first = min(self, other, key=lambda finding: finding.example)
        return attrs.evolve(first, count=self.count + other.count)


@attrs.define
class Tally:
    """What a search has come to so far."""

    examples: int = 0
    coverage: Coverage = attrs.Factory(Coverage)
    findings: dict[str, Finding] = attrs.Factory(dict)
    applied: Counter[str] = attrs.Factory(Counter)
    "In how many examples each claim had something to judge."
    compared: int = 0
    "Examples run by two engines that were to do the same."

    def take(self, example: int, examined: Examined) -> None:
        self.examples += 1
        self.coverage.read(examined.journal)
        self.applied.update(examined.applied)
        self.compared += examined.was_compared
        for violation in examined.violations:
            self.note(Finding(violation, example))

    def note(self, finding: Finding) -> None:
        known = self.findings.get(finding.name)
        self.findings[finding.name] = finding if known is None else known.with_other(finding)

    def add(self, other: "Tally") -> None:
        self.examples += other.examples
        self.coverage.add(other.coverage)
        self.applied.update(other.applied)
        self.compared += other.compared
        for finding in other.findings.values():
            self.note(finding)


@attrs.frozen
class Limits:
    """When a search is over."""

    examples: int | None = None
    seconds: float | None = None
    jobs: int = 1


def usable_cores() -> int:
    return len(os.sched_getaffinity(0))


def search_all(search: Search, limits: Limits, watch: Callable[[Tally], bool] = lambda tally: False) -> Tally:
    """Search until a limit is reached or `watch`, called several times a second, says to stop."""
    crew = _Crew(search, limits)
    try:
        while crew.is_at_work:
            crew.wait()
            if watch(crew.tally):
                crew.stop()
    finally:
        crew.dismiss()
    return crew.tally


class _Crew:
    """The worker processes. Each takes every n-th example; shared memory says at which it is.

    There is also said with which its batch began, for what it did not tell dies with it and is done again.
    """

    def __init__(self, search: Search, limits: Limits) -> None:
        self.tally = Tally()
        self._search = search
        self._limits = limits
        self._deadline = time.monotonic() + (limits.seconds if limits.seconds is not None else inf)
        self._context = get_context("fork")
        shared = memoryview(mmap.mmap(-1, 8 * (2 * limits.jobs + 1))).cast("q")
        self._example, self._batch = shared[: limits.jobs], shared[limits.jobs : -1]
        self._stop = shared[-1:]
        self._deadly: set[int] = set()
        self._workers: dict[Connection, tuple[int, ForkProcess]] = {}
        sys.stdout.flush()
        sys.stderr.flush()
        for number in range(limits.jobs):
            self._start(number, number)

    @property
    def is_at_work(self) -> bool:
        return bool(self._workers)

    def stop(self) -> None:
        """Each after the example it is at."""
        self._stop[0] = 1

    def _start(self, number: int, first: int) -> None:
        ours, theirs = self._context.Pipe(duplex=False)
        self._example[number] = self._batch[number] = first
        process = self._context.Process(
            target=self._work, args=(number, first, theirs), name=f"fuzz {number}", daemon=True
        )
        # A Ctrl-C is for the parent alone; it must not reach a child that has not said so yet.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._workers[ours] = (number, process)

    def wait(self) -> None:
        """Until somebody has something to tell, or for a moment."""
        for ready in connection.wait(list(self._workers), BATCH_SECONDS):
            assert isinstance(ready, Connection)
            number, process = self._workers[ready]
            try:
                batch: Tally | None = ready.recv()
            except (EOFError, OSError):
                self._forget(ready)
                self._bury(number, process)
                continue
            if batch is None:
                self._forget(ready)
            else:
                self.tally.add(batch)

    def _forget(self, pipe: Connection) -> None:
        _, process = self._workers.pop(pipe)
        pipe.close()
        process.join()

    def _bury(self, number: int, process: ForkProcess) -> None:
        """It died over an example; another one takes its place, and knows better."""
        example = self._example[number]
        self._deadly.add(example)
        code = process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit-{code}"
        message = "a worker died of it" if code < 0 else "a worker exited over it"
        self.tally.examples += 1
        self.tally.note(Finding(_violation(Journal(), "died-of", message, f"-{how}"), example))
        if not self._stop[0]:
            self._start(number, self._batch[number])

    def dismiss(self) -> None:
        """Nobody is left behind."""
        self.stop()
        for _, process in self._workers.values():
            process.kill()
        for pipe in list(self._workers):
            self._forget(pipe)

    # -------------------------------------------------------------- in the child

    def _work(self, number: int, first: int, home: Connection) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        parent, limits = os.getppid(), self._limits
        last = inf if limits.examples is None else limits.examples
        tally, told_at, example = Tally(), time.monotonic(), first
        while example < last and not self._stop[0]:
            now = time.monotonic()
            if now >= self._deadline or os.getppid() != parent:
                break
            if now - told_at >= BATCH_SECONDS:
                home.send(tally)
                tally, told_at, self._batch[number] = Tally(), now, example
            if example not in self._deadly:
                self._example[number] = example
                tally.take(example, self._search.examine(example))
            example += limits.jobs
        home.send(tally)
        home.send(None)


GC_THRESHOLD = 50_000
"Objects; a world and what is read of it leave no cycles behind, so that looking more often finds nothing."


def in_order(findings: Mapping[str, Finding]) -> list[Finding]:
    """In an order that does not depend on who found what first."""
    return sorted(findings.values(), key=lambda finding: (finding.example, finding.name))
