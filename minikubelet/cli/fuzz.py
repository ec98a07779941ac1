"""`minikubelet fuzz`: search for what breaks an invariant, make it small, keep it, play it again.

What is found goes to standard output and depends on the seed and the number of examples alone; how it is
going, which depends on the machine, goes to standard error.
"""

import os
import random
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

import attrs

from minikubelet.api.errors import FieldError, ManifestError
from minikubelet.api.manifest import Manifest, load
from minikubelet.cli.options import FuzzOptions
from minikubelet.cli.run import refuse, tell_notices
from minikubelet.cli.test import cast_of
from minikubelet.cli.writer import tell_stderr
from minikubelet.fuzz import generate
from minikubelet.fuzz.case import Case
from minikubelet.fuzz.claims import Claim, claim_again, read_claims
from minikubelet.fuzz.draw import Draw
from minikubelet.fuzz.engines import EPOCH
from minikubelet.fuzz.replay import Replay, save
from minikubelet.fuzz.replay import load as load_replay
from minikubelet.fuzz.search import (
    BESIDES,
    EngineName,
    Examined,
    Finding,
    Limits,
    Search,
    Tally,
    examine,
    in_order,
    search_all,
    usable_cores,
)
from minikubelet.fuzz.telling import behaviours, manifests
from minikubelet.invariants.table import all_invariants
from minikubelet.invariants.timeline import timeline
from minikubelet.runtime.private import write_file

NOTHING_FOUND, FOUND, INVALID = 0, 1, 2
INTERRUPTED = 128 + signal.SIGINT

SECONDS = 60.0
"How long is searched if nothing is said about that."

SHRINKING_SECONDS, SHRINKING_SECONDS_EACH = 90.0, 30.0
"How long findings are made smaller, all of them and each at most."

REAL_WORLDS = 4
"Side by side on one core: real processes mostly wait."

LINE_SECONDS = 10.0
"Between two lines of progress where there is no terminal."


def fuzz(options: FuzzOptions) -> int:
    """Search, or do what is asked for instead; answers with the exit code."""
    try:
        if options.list:
            return list_invariants()
        if options.replay is not None:
            return replay(options.replay, options.engine)
        search = _search(options)
        if options.output is not None:
            _try_directory(options.output)
        if options.coverage is not None:
            _try_file(options.coverage)
    except ManifestError as error:
        return refuse(error)
    if options.real:
        search = attrs.evolve(search, case_of=partial(_short_case, search.case_of), engine="real")
    return _Fuzzing(options, search).run()


def list_invariants() -> int:
    """One line each: name, sentence, rule ids."""
    stated = [(one.name, one.rules, one.sentence) for one in all_invariants()]
    stated += [(name, rules, sentence) for name, (rules, sentence) in BESIDES.items()]
    wide = max(len(name) for name, _, _ in stated)
    for name, rules, sentence in stated:
        print(f"{name:{wide}}  {sentence}{f' [{rules}]' if rules else ''}")
    return NOTHING_FOUND


# ------------------------------------------------------------------ before it begins


def _search(options: FuzzOptions) -> Search:
    """Raises ManifestError with all that is wrong with files and assertions."""
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    engine: EngineName = options.engine or "mixed"
    if not options.files:
        if options.expressions or options.assertions:
            fault = "--assert and --assertions are about the pods of a FILE, and none is given"
            raise ManifestError([FieldError("input", 0, 0, "", "", fault)])
        return Search(seed, engine=engine)
    manifest = load(options.files, stdin=sys.stdin, run_now=True, random=random.Random(seed), now=EPOCH)
    claims = read_claims(options.expressions, options.assertions, cast_of(manifest))
    tell_notices(manifest)
    return Search(seed, _case_of(manifest), claims, engine)


def _case_of(manifest: Manifest) -> Callable[[Draw], Case]:
    pods = tuple(loaded.obj for loaded in manifest.pods)
    jobs = tuple(loaded.obj for loaded in manifest.jobs)
    if not pods and not jobs:
        fault = "nothing to fuzz, all replicas are 0"
        raise ManifestError([FieldError("input", 0, 0, "", "", fault)])
    return partial(generate.case_for, pods=pods, jobs=jobs)


def _short_case(case_of: Callable[[Draw], Case], draw: Draw) -> Case:
    """`--real`: of a few seconds."""
    from minikubelet.fuzz.real import shortened

    return shortened(case_of(draw))


def _try_directory(path: str) -> None:
    """It can be written to, or made; it is made when there is something to put in."""
    where = Path(path).absolute()
    if where.exists() and not where.is_dir():
        raise ManifestError([FieldError(path, 0, 0, "", "", "is not a directory")])
    while not where.exists():
        where = where.parent
    if not where.is_dir() or not os.access(where, os.W_OK | os.X_OK):
        raise ManifestError([FieldError(path, 0, 0, "", "", "cannot be written")])


def _try_file(path: str) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666))
    except OSError as error:
        fault = f"cannot be written: {error.strerror}"
        raise ManifestError([FieldError(path, 0, 0, "", "", fault)]) from None


# ------------------------------------------------------------------ the search


class _Fuzzing:
    """One search, from its first line to the exit code."""

    def __init__(self, options: FuzzOptions, search: Search) -> None:
        self._options = options
        self._search = search
        self._limits = Limits(
            options.examples,
            options.time if options.time is not None or options.examples is not None else SECONDS,
            options.jobs or usable_cores() * (REAL_WORLDS if options.real else 1),
        )
        self._progress = _Progress(self._limits)
        self._files_failed = False

    def run(self) -> int:
        processes = "1 process" if self._limits.jobs == 1 else f"{self._limits.jobs} processes"
        with _Interrupts() as interrupts:
            self._progress.line(f"seed {self._search.seed}, {processes}")
            tally = search_all(self._search, self._limits, partial(self._watch, interrupts))
            self._progress.end(tally)
            self._tell(tally)
            self._keep(tally, interrupts)
        if interrupts.signal is not None:
            return 128 + interrupts.signal
        return FOUND if tally.findings or self._files_failed else NOTHING_FOUND

    def _watch(self, interrupts: "_Interrupts", tally: Tally) -> bool:
        self._progress.show(tally)
        return interrupts.signal is not None

    def _tell(self, tally: Tally) -> None:
        """The summary."""
        print(
            f"seed {self._search.seed}: {_number(tally.examples, 'example')}, "
            f"{_number(tally.coverage.lifecycles, 'pod lifecycle')}, {tally.coverage}"
        )
        if self._options.real:
            compared = _number(tally.compared, "example")
            print(f"real processes were held against simulated ones in {compared}, the others are too close")
        elif tally.compared and "engines-agree" not in tally.findings:
            print(f"both engines did the same in {_number(tally.compared, 'example')}")
        for claim in self._search.claims:
            count = tally.applied[claim.name]
            if claim.name not in tally.findings:
                held = f"held in {_number(count, 'example')}" if count else "never had anything to judge"
                print(f"{claim.name}: {held}")
        if not tally.findings:
            print(f"none of {len(all_invariants())} invariants violated")
        if self._options.coverage is not None:
            self._write(self._options.coverage, tally.coverage.as_json())

    def _write(self, path: str, text: str) -> None:
        try:
            write_file(path, text.encode(), mode=0o666)
        except OSError as error:
            tell_stderr(f"{path}: {error.strerror}")
            self._files_failed = True

    # -------------------------------------------------------------- what was found

    def _keep(self, tally: Tally, interrupts: "_Interrupts") -> None:
        """Make each finding small, tell it, and write it down."""
        findings = in_order(tally.findings)
        each = min(SHRINKING_SECONDS_EACH, SHRINKING_SECONDS / max(len(findings), 1))
        for finding in findings:
            found = self._smallest(finding, each, interrupts)
            print(f"\nFOUND {finding.violation.title}")
            print(f"  in {_number(finding.count, 'example')}, first in example {finding.example}:")
            print(f"  {finding.violation.message}")
            if found is None:
                print("  No replay file: drawing that example is what failed.")
                continue
            path = self._path(finding)
            try:
                os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
                save(found, path)
            except OSError as error:
                tell_stderr(f"{path}: {error.strerror}")
                self._files_failed = True
            else:
                print(f"  minikubelet fuzz --replay {shlex.quote(path)}")
                if found.real:
                    print("  It is as it was drawn: to make it smaller would take hundreds of real lives.")
            sys.stdout.flush()

    def _smallest(self, finding: Finding, seconds: float, interrupts: "_Interrupts") -> Replay | None:
        """None if there is no case, because what draws one has an error of its own."""
        search = self._search
        is_real = search.engine == "real"
        try:
            drawn = search.case(finding.example)
        except Exception:  # any error at all: it has been told as the finding
            return None
        whole = Replay(drawn, finding.violation, search.seed, finding.example, is_real)
        if finding.is_fatal or interrupts.signal is not None or is_real:  # which is small, and takes its time
            return whole
        from minikubelet.fuzz.shrink import shrink

        def outcome(case: Case) -> Examined:
            engine: EngineName = (
                "both" if finding.name == "engines-agree" else "trio" if search.engine == "trio" else "heap"
            )
            return examine(lambda: case, search.claims, engine)

        def still_fails(case: Case) -> bool:
            if interrupts.signal is not None:
                return False
            return any(one.invariant == finding.name for one in outcome(case).violations)

        self._progress.status(f"making {finding.name} smaller, for {seconds:g} s at most")
        case = shrink(search.case_of, search.choices(finding.example), still_fails, seconds)
        self._progress.clear()
        violated = next((one for one in outcome(case).violations if one.invariant == finding.name), None)
        if violated is None:  # the machine was to blame, or an interrupt came
            return whole
        return attrs.evolve(whole, case=case, violated=violated)

    def _path(self, finding: Finding) -> str:
        name = re.sub(r"[^A-Za-z0-9.]+", "-", finding.name).strip("-")[:60]
        file = f"{name}-{self._search.seed}-{finding.example}.yaml"
        return os.path.join(self._options.output, file) if self._options.output is not None else file


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _of_whom(key: str, case: Case) -> str:
    """The pod or Job, if there is a choice."""
    return f"{key.partition('/')[2]}: " if key and len(case.pods) + len(case.jobs) > 1 else ""


class _Interrupts:
    """Ctrl-C and SIGTERM end the search and then the making smaller; a second one ends the program."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "_Interrupts":
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


class _Progress:
    """How it is going: one line that changes on a terminal, else a line now and then."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._began = time.monotonic()
        self._is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = 0.0 if self._is_terminal else LINE_SECONDS
        self._told: set[str] = set()

    def line(self, text: str) -> None:
        self.clear()
        print(text, file=sys.stderr, flush=True)

    def status(self, text: str) -> None:
        """Replaced by whatever comes next; nothing where that is not possible."""
        if self._is_terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            print(f"\r\x1b[K{text[: width - 1]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def show(self, tally: Tally) -> None:
        for finding in in_order(tally.findings):
            if finding.name not in self._told:
                self._told.add(finding.name)
                self.line(f"found {finding.name}: {finding.violation.message}")
        elapsed = time.monotonic() - self._began
        if self._is_terminal:
            self.status(self._text(tally, elapsed))
        elif elapsed >= self._next:
            self._next += LINE_SECONDS
            self.line(self._text(tally, elapsed))

    def end(self, tally: Tally) -> None:
        elapsed = time.monotonic() - self._began
        rate = tally.coverage.lifecycles / elapsed if elapsed else 0.0
        self.line(f"searched for {elapsed:.1f} s, {rate:,.0f} lifecycles/s")

    def _text(self, tally: Tally, elapsed: float) -> str:
        limits = self._limits
        of_all = "" if limits.examples is None else f"/{limits.examples:,}"
        of_time = "" if limits.seconds is None else f"/{limits.seconds:g}"
        rate = tally.coverage.lifecycles / elapsed if elapsed else 0.0
        return (
            f"{elapsed:.0f}{of_time} s, findings {len(tally.findings)}, {tally.examples:,}{of_all} examples, "
            f"{rate:,.0f} lifecycles/s, {tally.coverage}"
        )


# ------------------------------------------------------------------ playing it again


def replay(path: str, engine: EngineName | None) -> int:
    """Run what was found once more, and tell it. Raises ManifestError for a file that is none."""
    found = load_replay(path)
    before = found.violated
    claim = claim_again(before.invariant, before.rules, before.sentence) if before is not None else None
    claims: Sequence[Claim] = () if claim is None else (claim,)
    chosen: EngineName = engine or ("real" if found.real else "heap")
    if engine is None and before is not None and before.invariant == "engines-agree":
        chosen = "both"
    examined = examine(lambda: found.case, claims, "both" if chosen == "mixed" else chosen)
    sys.stdout.writelines(f"{line}\n" for line in _told(path, found, examined))
    return FOUND if examined.violations else NOTHING_FOUND


def _told(path: str, found: Replay, examined: Examined) -> Iterator[str]:
    before = found.violated
    violations = sorted(
        examined.violations, key=lambda one: before is None or one.invariant != before.invariant
    )
    yield from manifests(found.case).splitlines()
    yield ""
    yield from behaviours(found.case)
    yield ""
    yield from timeline(examined.journal, violations[0] if violations else None)
    yield ""
    if not violations:
        name = before.invariant if before is not None else "an invariant"
        yield f"{path}: {name} is not violated any more"
    for one in violations:
        yield f"violated: {one.title}"
        yield f"  {_of_whom(one.key, found.case)}{one.message}"
    if before is not None and violations and violations[0].invariant != before.invariant:
        yield f"{path} was about {before.invariant}, which is not violated any more"
