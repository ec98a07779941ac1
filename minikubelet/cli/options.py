"""The command line, as a value. Says what can be asked for and refuses what cannot be meant."""

import argparse
import re
from typing import Literal

import attrs

from minikubelet.lifecycle.settings import LifecycleSettings


@attrs.frozen
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
    settings: LifecycleSettings = attrs.Factory(LifecycleSettings)
    env_from_host: bool = False
    isolation: Literal["auto", "none", "mounts", "pod"] = "auto"
    output: str = "text"
    timestamps: bool = False
    color: bool = True
    "False forbids; True leaves it to NO_COLOR and to where the output goes."
    dry_run: bool = False
    run_now: bool = False
    "Each CronJob's Job once, instead of its schedule."


RUN_EPILOG = """\
exit code:
  0      all pods Succeeded, all Jobs Complete
  1      a pod or Job Failed (also: the status or events file could not be written)
  2      invalid input; nothing was started
  124    --timeout ran out; the pods were deleted gracefully
  128+n  stopped by signal n: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP, 141 the reader of stdout is gone

Ctrl-C or SIGTERM deletes all pods gracefully; a second one shortens the grace to the minimum.
Seconds may have a unit: 90, 1.5s, 500ms, 2m, 1h.
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="minikubelet",
        description="Runs Kubernetes Pod and Job manifests as plain Linux processes.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_test(commands)
    _add_validate(commands)
    _add_explain(commands)
    return top


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = commands.add_parser(
        "run",
        help="run manifests in the foreground",
        description="Runs every Pod and Job of the files in the foreground, until all have finished.",
        epilog=RUN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
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
  124    --timeout ran out; 128+n stopped by signal n, as with run
"""


def _add_test(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    test = commands.add_parser(
        "test",
        help="run manifests and check assertions about how that went",
        description="Runs every Pod and Job of the files, then checks what is asserted of the run.",
        epilog=TEST_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
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


def _add_validate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    validate = commands.add_parser(
        "validate",
        help="check manifests",
        description="Prints every fault of the manifests. Exit code: 0 none, 2 some.",
        allow_abbrev=False,
    )
    validate.add_argument("files", nargs="+", metavar="FILE", help="manifest or directory; - is stdin")
    validate.add_argument(
        "--fields", action="store_true", help="print, too, what becomes of each field that occurs"
    )
    validate.add_argument("--no-color", action="store_true", help="no colours")


def _add_explain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    explain = commands.add_parser(
        "explain",
        help="tell what will happen, why, and what to watch out for",
        description="Tells the order, gates, restarts, shutdown and worst cases of each pod and Job, with "
        "the rules behind them, and the traps in them. Exit code: 0, 2 if a manifest is not valid.",
        allow_abbrev=False,
    )
    explain.add_argument("files", nargs="+", metavar="FILE", help="manifest or directory; - is stdin")
    explain.add_argument("-o", dest="output", choices=("text", "json"), default="text", help="default: text")
    explain.add_argument("--strict", action="store_true", help="exit code 1 if there is a trap")
    explain.add_argument("--no-color", action="store_true", help="no colours")


def run_options(given: argparse.Namespace) -> RunOptions:
    settings = LifecycleSettings(start_gate=given.start_gate)
    if given.backoff_base is not None:
        settings = attrs.evolve(settings, backoff_base=given.backoff_base)
    if given.backoff_max is not None:
        settings = attrs.evolve(settings, backoff_max=given.backoff_max)
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
        output=given.output,
        timestamps=given.timestamps,
        color=not given.no_color,
        dry_run=given.dry_run,
        run_now=given.run_now,
    )


LONGEST = 3.2e9  # seconds, a hundred years: clocks and timers can take it
_SECONDS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h)?", re.ASCII)
_UNITS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """`30`, `1.5s`, `500ms`, `2m`, `1h`."""
    match = _SECONDS.fullmatch(text)
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
