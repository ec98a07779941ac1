"""The command line, as a value. Says what can be asked for and refuses what cannot be meant."""

import argparse
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, NoReturn

from minikubelet.api.values import Factory, evolve, frozen
from minikubelet.lifecycle.settings import LifecycleSettings


@frozen
class RunOptions:
    """`minikubelet run`. Lengths are seconds."""

    files: tuple[str, ...]
    timeout: float | None = None
    grace_period: int | None = None
    "None: each pod's own."
    status_file: str | None = None
    events_file: str | None = None
    log_dir: str | None = None
    images: str | None = None
    image: tuple[str, ...] = ()
    stub_missing: bool = False
    settings: LifecycleSettings = Factory(LifecycleSettings)
    env_from_host: bool = False
    isolation: Literal["auto", "none", "mounts", "pod"] = "auto"
    pod_pids_limit: int | None = None
    "Processes of one pod at a time, threads included."
    output: str = "text"
    timestamps: bool = False
    color: bool = True
    "False forbids; True leaves it to NO_COLOR and to where the output goes."
    dry_run: bool = False
    run_now: bool = False
    "Each CronJob's Job once, instead of its schedule."
    check: bool = False
    "Hold the run against the invariants, and say so."


@frozen
class FuzzOptions:
    """`minikubelet fuzz`. Lengths are seconds."""

    files: tuple[str, ...] = ()
    "Manifests; none: random pods and Jobs."
    examples: int | None = None
    time: float | None = None
    seed: int | None = None
    "None: a random one."
    jobs: int | None = None
    "Processes; None: as many as there are usable cores."
    expressions: tuple[str, ...] = ()
    assertions: tuple[str, ...] = ()
    "Files of assertions, YAML or Python."
    engine: Literal["heap", "trio", "both"] | None = None
    "None: the heap, and now and then both."
    real: bool = False
    replay: str | None = None
    output: str | None = None
    "Directory for what is found; None: the current one."
    coverage: str | None = None
    list: bool = False


@frozen
class BenchOptions:
    """`minikubelet bench`."""

    quick: bool = False
    peers: str = "auto"
    "Names with commas between them, or `none`, or `auto`: those that are installed."
    only: tuple[str, ...] = ()
    "Metrics, or beginnings of their names; none: all."
    rounds: int | None = None
    json: str | None = None
    plot: str | None = None


RUN_EPILOG = """\
exit code:
  0      all pods Succeeded, all Jobs Complete
  1      a pod or Job Failed (also: the status or events file could not be written)
  2      invalid input; nothing was started
  3      --check found that an invariant of the lifecycle was violated
  124    --timeout ran out; the pods were deleted gracefully
  128+n  stopped by signal n: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP, 141 the reader of stdout is gone

Ctrl-C, SIGTERM or SIGQUIT deletes all pods gracefully; a second one shortens the grace to the minimum.
Seconds may have a unit: 90, 1.5s, 500ms, 2m, 1h.
"""


class _Command:
    """A command's parser before it is known whether that is the one that is given; only then it is made."""

    def __init__(self, *, arguments: Callable[[argparse.ArgumentParser], None], **settings: Any) -> None:
        self._add_arguments = arguments
        self._settings = settings

    def parse_known_args(self, *args: Any, **settings: Any) -> Any:
        parser = _Parser(**self._settings)
        self._add_arguments(parser)
        return parser.parse_known_args(*args, **settings)


class _Parser(argparse.ArgumentParser):
    def print_help(self, file: Any = None) -> None:
        """Where it cannot be written, that is told: argparse itself would say nothing."""
        (file or sys.stdout).write(self.format_help())

    def _get_formatter(self) -> argparse.HelpFormatter:
        """Asked for with each argument; argparse itself would load shutil to learn the width."""
        formatter: Any = self.formatter_class
        made: argparse.HelpFormatter = formatter(prog=self.prog, width=_columns() - 2)
        return made


@cache
def _columns() -> int:
    try:
        columns = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        columns = 0
    try:
        return columns or os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


def parser() -> argparse.ArgumentParser:
    top = _Parser(
        prog="minikubelet",
        description="Runs Kubernetes Pod and Job manifests as plain Linux processes.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    lazily: Any = _Command
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=lazily)
    _add_run(commands)
    _add_test(commands)
    _add_validate(commands)
    _add_explain(commands)
    _add_fuzz(commands)
    _add_bench(commands)
    return top


def _add_run(commands: "argparse._SubParsersAction[Any]") -> None:
    commands.add_parser(
        "run",
        help="run manifests in the foreground",
        description="Runs every Pod and Job of the files in the foreground, until all have finished.",
        epilog=RUN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        arguments=_run_arguments,
    )


def _run_arguments(run: argparse.ArgumentParser) -> None:
    _add_how_to_run(run)
    run.add_argument(
        "-o",
        dest="output",
        choices=("text", "json"),
        default="text",
        help="json: stdout has one object per line, {log}, {event} or, at the end, {summary}",
    )
    run.add_argument("--timestamps", action="store_true", help="put the time in front of each line")
    run.add_argument(
        "--no-color", action="store_true", help="no colours; so does NO_COLOR in the environment"
    )
    run.add_argument("--dry-run", action="store_true", help="print what would be started, start nothing")


def _add_how_to_run(run: argparse.ArgumentParser) -> None:
    """What every command that runs manifests has to know."""
    run.add_argument("files", nargs="+", metavar="FILE", help="manifest or directory of them; - is stdin")
    run.add_argument("--timeout", type=seconds, metavar="S", help="delete everything after S seconds")
    run.add_argument(
        "--run-now",
        action="store_true",
        help="run each CronJob's Job once, now; without it CronJobs follow their schedule until stopped",
    )
    run.add_argument(
        "--grace-period",
        type=grace_period,
        metavar="S",
        help="whole seconds of grace when stopped by a signal or --timeout, instead of each pod's own",
    )
    run.add_argument("--status-file", metavar="FILE", help="write the final Pods and Jobs there, as JSON")
    run.add_argument(
        "--events-file", metavar="FILE", help="write each Event there as it happens, as JSON lines"
    )
    run.add_argument("--log-dir", metavar="DIR", help="keep container logs below DIR, in the CRI's layout")
    run.add_argument(
        "--images", metavar="FILE", help="what images start (default: images.yaml beside the file)"
    )
    run.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="PATTERN=COMMAND",
        help="what images that match start; may be repeated, wins over every file",
    )
    run.add_argument(
        "--stub-missing",
        action="store_true",
        help="where nothing says what an image starts, start a stand-in that serves its ports",
    )
    run.add_argument(
        "--start-gate",
        choices=("ready", "started"),
        default="ready",
        help="what follows a sidecar with a readinessProbe and no startupProbe waits until it is ready "
        "(default), or only until it is started, as in a cluster",
    )
    run.add_argument("--backoff-base", type=seconds, metavar="S", help="first crash-loop delay (default 10)")
    run.add_argument(
        "--backoff-max", type=seconds, metavar="S", help="longest crash-loop delay (default 300)"
    )
    run.add_argument(
        "--env-from-host", action="store_true", help="give containers this environment, under their own"
    )
    run.add_argument(
        "--isolation",
        choices=("auto", "none", "mounts", "pod"),
        default="auto",
        help="none: plain processes; mounts: true mountPaths, read-only root file systems; pod: also each "
        "pod's own network, hostname and process namespaces; auto (default): the least that each pod needs",
    )
    run.add_argument(
        "--check",
        action="store_true",
        help="at the end, hold all that happened against the invariants of the lifecycle; "
        "MINIKUBELET_CHECK=1 in the environment does so for every run",
    )
    run.add_argument(
        "--pod-pids-limit",
        type=pids_limit,
        metavar="N",
        help="so many processes and threads in each pod at most, where a cgroup is delegated to us "
        "(default: no limit, as on a node that sets none)",
    )


TEST_EPILOG = """\
assertions, for example (--grammar prints what else there is):
  log-shipper started before main-task      main ready within 5s after main started
  main exited before proxy signalled        shutdown of web < 3s
  pod web Succeeded, job work Complete      no SIGKILL
  restarts of main == 2                     event BackOff of main never happened
  exit code of main != 0                    log of main contains "films"

exit code:
  0      all assertions hold, whatever the pods came to
  1      an assertion does not hold (also: the report could not be written)
  2      invalid input, an assertion included; nothing was started
  3      --check found that an invariant of the lifecycle was violated
  124    --timeout ran out; 128+n stopped by signal n, as with run
"""


def _add_test(commands: "argparse._SubParsersAction[Any]") -> None:
    commands.add_parser(
        "test",
        help="run manifests and check assertions about how that went",
        description="Runs every Pod and Job of the files, then checks what is asserted of the run.",
        epilog=TEST_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        arguments=_test_arguments,
    )


def _test_arguments(test: argparse.ArgumentParser) -> None:
    test.add_argument(
        "--assert",
        dest="expressions",
        action="append",
        default=[],
        metavar="EXPR",
        help="something that has to hold; may be repeated",
    )
    test.add_argument(
        "--assertions",
        action="append",
        default=[],
        metavar="FILE",
        help="YAML list of assertions, each a text, or `name` and `assert`; may be repeated",
    )
    test.add_argument(
        "--until",
        metavar="WHEN",
        help="delete everything gracefully after this time (5s) or once this has happened (main ready)",
    )
    test.add_argument("--grammar", action=_Grammar, nargs=0, help="print the language of assertions and exit")
    test.add_argument("--format", choices=("text", "tap", "junit"), default="text", help="of the report")
    test.add_argument(
        "--output", dest="report", metavar="FILE", help="write the report there; stdout then has it as text"
    )
    test.add_argument(
        "-v", "--verbose", action="store_true", help="show on stderr what `run` would show on stdout"
    )
    _add_how_to_run(test)
    test.add_argument("--no-color", action="store_true", help="no colours")
    test.set_defaults(output="text", timestamps=False, dry_run=False)


def _add_validate(commands: "argparse._SubParsersAction[Any]") -> None:
    commands.add_parser(
        "validate",
        help="check manifests",
        description="Prints every fault of the manifests. Exit code: 0 none, 2 some.",
        allow_abbrev=False,
        arguments=_validate_arguments,
    )


def _validate_arguments(validate: argparse.ArgumentParser) -> None:
    validate.add_argument("files", nargs="+", metavar="FILE", help="manifest or directory; - is stdin")
    validate.add_argument(
        "--fields", action="store_true", help="print, too, what becomes of each field that occurs"
    )
    validate.add_argument("--no-color", action="store_true", help="no colours")


def _add_explain(commands: "argparse._SubParsersAction[Any]") -> None:
    commands.add_parser(
        "explain",
        help="tell what will happen, why, and what to watch out for",
        description="Tells the order, gates, restarts, shutdown and worst cases of each pod and Job, with "
        "the rules behind them, and the traps in them. Exit code: 0, 2 if a manifest is not valid.",
        allow_abbrev=False,
        arguments=_explain_arguments,
    )


def _explain_arguments(explain: argparse.ArgumentParser) -> None:
    explain.add_argument("files", nargs="+", metavar="FILE", help="manifest or directory; - is stdin")
    explain.add_argument("-o", dest="output", choices=("text", "json"), default="text", help="default: text")
    explain.add_argument("--strict", action="store_true", help="exit code 1 if there is a trap")
    explain.add_argument("--no-color", action="store_true", help="no colours")


FUZZ_EPILOG = """\
Without a FILE, pods and Jobs are random; with files, these are run under random process behaviour, faults
and interruptions, and --assert says what else has to hold (see `minikubelet test --grammar`):
  minikubelet fuzz job.yaml --assert "main exited before proxy signalled"
An assertion file called *.py has functions check_...(run) that raise AssertionError.

The same --seed and --examples give the same examples and findings, whatever -j is. Each finding is made
small and written to a file, which --replay plays again and tells as a timeline.

exit code:
  0      nothing was found (--replay: it is not violated any more)
  1      something was found (also: a file could not be written)
  2      invalid input
  128+n  stopped by signal n, after the summary: 130 Ctrl-C
"""


def _add_fuzz(commands: "argparse._SubParsersAction[Any]") -> None:
    commands.add_parser(
        "fuzz",
        help="search for a life of a pod that breaks an invariant",
        description="Runs pods and Jobs in virtual time, with random behaviour of their processes, faults "
        "and interruptions, and holds what happens against the invariants of the lifecycle.",
        epilog=FUZZ_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        arguments=_fuzz_arguments,
    )


def _fuzz_arguments(fuzz: argparse.ArgumentParser) -> None:
    fuzz.add_argument("files", nargs="*", metavar="FILE", help="manifest or directory of them; - is stdin")
    fuzz.add_argument("--examples", type=positive, metavar="N", help="stop after N examples")
    fuzz.add_argument("--time", type=seconds, metavar="S", help="stop after S seconds (default 60)")
    fuzz.add_argument("--seed", type=natural, metavar="X", help="of the examples (default: random, printed)")
    fuzz.add_argument(
        "-j", dest="jobs", type=few, metavar="N", help="processes (default: one for each usable core)"
    )
    fuzz.add_argument(
        "--assert",
        dest="expressions",
        action="append",
        default=[],
        metavar="EXPR",
        help="something that has to hold in every run it applies to; may be repeated",
    )
    fuzz.add_argument(
        "--assertions",
        action="append",
        default=[],
        metavar="FILE",
        help="assertions as YAML, as for `test`, or as Python; may be repeated",
    )
    fuzz.add_argument(
        "--engine",
        choices=("heap", "trio", "both"),
        help="what passes the time: a heap of callbacks, fast; trio, as in `run`; or both, compared "
        "(default: the heap, and both for one example of 64)",
    )
    fuzz.add_argument(
        "-o",
        dest="output",
        metavar="DIR",
        help="where files of what is found are put (default: the current directory)",
    )
    fuzz.add_argument(
        "--coverage", metavar="FILE", help="write there how often each state was reached, as JSON"
    )
    fuzz.add_argument(
        "--real",
        action="store_true",
        help="have short examples lived by real processes, as well as simulated, and compare what happens",
    )
    fuzz.add_argument("--replay", metavar="FILE", help="play a finding again, and tell it")
    fuzz.add_argument("--list", action="store_true", help="print the invariants and exit")


def fuzz_options(given: argparse.Namespace) -> FuzzOptions:
    """Exits, with a usage error, for what does not go together."""
    if given.replay is not None:
        beside = (given.files, given.examples, given.time, given.seed, given.expressions, given.assertions)
        if any(one not in (None, []) for one in beside) or given.real or given.list:
            _usage_error("--replay plays one file again: nothing else goes with it but --engine")
    return FuzzOptions(
        files=tuple(given.files),
        examples=given.examples,
        time=given.time,
        seed=given.seed,
        jobs=given.jobs,
        expressions=tuple(given.expressions),
        assertions=tuple(given.assertions),
        engine=given.engine,
        real=given.real,
        replay=given.replay,
        output=given.output,
        coverage=given.coverage,
        list=given.list,
    )


BENCH_EPILOG = """\
Each figure stands beside the least code that could do the same (floors, in C and in Python) and beside the
other supervisors that are installed. Whatever else the machine does is in the figures: compare within one
run. benchmarks/BENCHMARKS.md has the last full table.

exit code:
  0      measured
  1      something could not be measured of minikubelet itself
  2      invalid options; nothing was measured
  128+n  stopped by signal n; nothing is left running
"""


def _add_bench(commands: "argparse._SubParsersAction[Any]") -> None:
    commands.add_parser(
        "bench",
        help="measure what supervision costs here, beside other supervisors",
        description="Measures start, restart, stop, memory, idling, probes and logs of containers on this "
        "machine, interleaved and repeated, with medians and ranges.",
        epilog=BENCH_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        arguments=_bench_arguments,
    )


def _bench_arguments(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("--quick", action="store_true", help="about a minute: 100 containers at most")
    bench.add_argument(
        "--peers",
        default="auto",
        metavar="LIST",
        help="other supervisors, names with commas; none; or auto, all that are on PATH (default)",
    )
    bench.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="METRIC",
        help="measure that alone (stop-100), or all that begins so (log); may be repeated",
    )
    bench.add_argument("--rounds", type=positive, metavar="N", help="at most so many of each measurement")
    bench.add_argument("--json", metavar="FILE", help="write there, too, all samples as JSON")
    bench.add_argument("--plot", metavar="FILE", help="draw there, an SVG or a PNG; needs matplotlib")


def bench_options(given: argparse.Namespace) -> BenchOptions:
    return BenchOptions(
        quick=given.quick,
        peers=given.peers,
        only=tuple(given.only),
        rounds=given.rounds,
        json=given.json,
        plot=given.plot,
    )


def _usage_error(message: str) -> NoReturn:
    print(f"minikubelet fuzz: {message}", file=sys.stderr)
    raise SystemExit(2)


def run_options(given: argparse.Namespace) -> RunOptions:
    settings = LifecycleSettings(start_gate=given.start_gate)
    if given.backoff_base is not None:
        settings = evolve(settings, backoff_base=given.backoff_base)
    if given.backoff_max is not None:
        settings = evolve(settings, backoff_max=given.backoff_max)
    return RunOptions(
        files=tuple(given.files),
        timeout=given.timeout,
        grace_period=given.grace_period,
        status_file=given.status_file,
        events_file=given.events_file,
        log_dir=given.log_dir,
        images=given.images,
        image=tuple(given.image),
        stub_missing=given.stub_missing,
        settings=settings,
        env_from_host=given.env_from_host,
        isolation=given.isolation,
        pod_pids_limit=given.pod_pids_limit,
        output=given.output,
        timestamps=given.timestamps,
        color=not given.no_color,
        dry_run=given.dry_run,
        run_now=given.run_now,
        check=given.check,
    )


LONGEST = 3.2e9  # seconds, a hundred years: clocks and timers can take it
_UNITS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """`30`, `1.5s`, `500ms`, `2m`, `1h`."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h)?", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    length = float(match[1]) * _UNITS[match[2]]
    if length > LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is more than a lifetime")
    return length


def grace_period(text: str) -> int:
    """Whole seconds, as in a pod (`terminationGracePeriodSeconds`)."""
    whole = seconds(text)
    if whole != int(whole):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds")
    return int(whole)


def natural(text: str) -> int:
    """A seed: any number that is not negative and has 64 bits at most."""
    if not re.fullmatch(r"\d{1,20}", text, re.ASCII) or int(text) >= 2**64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 2^64-1")
    return int(text)


def positive(text: str) -> int:
    """A number of examples or rounds, one at least."""
    if not re.fullmatch(r"[1-9]\d{0,14}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def few(text: str) -> int:
    """A number of processes to work at something."""
    if not re.fullmatch(r"[1-9]\d{0,2}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes, 1 to 999")
    return int(text)


def pids_limit(text: str) -> int:
    """A number of processes that is not none at all; `podPidsLimit` of a node."""
    if not re.fullmatch(r"[1-9]\d{0,6}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes")
    return int(text)


class _Grammar(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from minikubelet.assertions.language import GRAMMAR

        print(GRAMMAR.strip("\n"))
        parser.exit()


class _Version(argparse.Action):
    """Looked up only when it is asked for: it takes as long as everything else here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"minikubelet {version('minikubelet')}")
        except PackageNotFoundError:
            print("minikubelet (not installed)")
        parser.exit()
