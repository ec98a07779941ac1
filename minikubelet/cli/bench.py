"""`minikubelet bench`: from options to figures, told to people, machines and slides.

What cannot be meant, or could not be written in the end, is refused before anything is measured. Who is
interrupted tells what was measured by then.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from minikubelet.bench.campaign import Plan, measure
from minikubelet.bench.metrics import METRICS
from minikubelet.bench.peers import PEERS
from minikubelet.bench.report import as_json, text
from minikubelet.bench.supervised import become_subreaper
from minikubelet.bench.tools import tools
from minikubelet.cli.ending import FAILED, INVALID, SIGNALLED, SUCCEEDED
from minikubelet.cli.options import BenchOptions
from minikubelet.cli.writer import tell_stderr

PLOTS = (".svg", ".png")
NEEDS_MATPLOTLIB = "--plot needs matplotlib: pip install 'minikubelet[plot]'"


def bench(options: BenchOptions) -> int:
    """Measure, print, write; the exit code."""
    if trouble := _trouble(options):
        tell_stderr(f"bench: {trouble}")
        return INVALID
    plan = Plan(
        quick=options.quick,
        peers=None if options.peers == "auto" else _listed(options.peers),
        only=options.only,
        rounds=options.rounds,
    )
    progress = _Progress()
    with _ended_by_signals(), tools() as these, progress.shown():
        become_subreaper()
        result = measure(plan, these, progress.tell)
    if options.json is not None:
        Path(options.json).write_text(as_json(result) + "\n")
    sys.stdout.write(text(result))
    if options.plot is not None and result.samples:
        from minikubelet.bench.plot import draw

        draw(result, Path(options.plot))
    if result.exit_code is not None:
        return result.exit_code
    return FAILED if any(": minikubelet" in failure for failure in result.failures) else SUCCEEDED


def _trouble(options: BenchOptions) -> str | None:
    """What is wrong with them."""
    if options.peers != "auto":
        names = [peer.name for peer in PEERS]
        for name in _listed(options.peers):
            if name not in names:
                return f"--peers {name}: there is no such peer, but auto, none, {', '.join(names)}"
    for beginning in options.only:
        if not Plan(only=[beginning]).wanted_of(METRICS):
            keys = ", ".join(metric.key for metric in METRICS)
            return f"--only {beginning}: no metric begins so; there are {keys}"
    if options.plot is not None:
        if Path(options.plot).suffix not in PLOTS:
            return f"--plot {options.plot}: the name does not end in {' or '.join(PLOTS)}"
        if find_spec("matplotlib") is None:
            return NEEDS_MATPLOTLIB
    for path in (options.json, options.plot):
        if path is not None and (trouble := _cannot_be_written(path)):
            return f"{path}: cannot be written: {trouble}"
    return None


def _listed(names: str) -> Sequence[str]:
    return [] if names == "none" else names.split(",")


def _cannot_be_written(path: str) -> str | None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
    except OSError as error:
        return error.strerror
    return None


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """The first one ends the bench in an orderly way, and those after it do not disturb that."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number: int, _: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(SIGNALLED + number)

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Progress:
    """One line that changes on a terminal, else a line for each tenth."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._next = 0.0

    @property
    def tell(self) -> Callable[[float, str], None]:
        return self._on_terminal if self._is_terminal else self._by_tenths

    @contextmanager
    def shown(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._is_terminal:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _on_terminal(self, done: float, what: str) -> None:
        width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        print(f"\r\x1b[K{f'{done:4.0%}  {what}'[: width - 1]}", end="", file=sys.stderr, flush=True)

    def _by_tenths(self, done: float, what: str) -> None:
        if done >= self._next:
            self._next = done + 0.1
            print(f"{done:4.0%}  {what}", file=sys.stderr, flush=True)
