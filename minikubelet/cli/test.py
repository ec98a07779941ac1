"""`minikubelet test`: a run, and then whether what was asserted of it holds.

The run is the one of `minikubelet run`, with a `Recorder` looking on. Assertions are read, and their names
looked up in the manifest, before anything is started.
"""

import argparse
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

import attrs

from minikubelet.api.errors import FieldError, ManifestError
from minikubelet.api.job import Job
from minikubelet.api.manifest import Manifest
from minikubelet.api.pod import Pod
from minikubelet.assertions.files import Given, given_directly, read_assertions
from minikubelet.assertions.judge import has_happened, judge
from minikubelet.assertions.language import AnyMoment, Assertion, ExpressionError
from minikubelet.assertions.names import Cast
from minikubelet.assertions.parser import parse, parse_until
from minikubelet.assertions.recorder import Recorder
from minikubelet.assertions.reports import Format, Report, report_text
from minikubelet.assertions.run import Run as RunOfPods
from minikubelet.cli.ending import FAILED, SUCCEEDED, Ending
from minikubelet.cli.files import EventsFile
from minikubelet.cli.main import wants_color
from minikubelet.cli.options import RunOptions, run_options
from minikubelet.cli.run import Run, open_files, prepare, refuse, tell_notices
from minikubelet.cli.screen import TAIL_LINES, Look, PodSource, Screen, TextScreen, tame
from minikubelet.cli.summary import failure_lines, result_lines
from minikubelet.cli.writer import Writer, tell_stderr
from minikubelet.runtime.images import ImageResolver
from minikubelet.runtime.private import write_file

STDERR = 2


@attrs.frozen
class AssertOptions:
    """`minikubelet test`."""

    run: RunOptions
    expressions: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    "YAML files of assertions."
    until: str | None = None
    "When to delete everything; None: it ends by itself."
    format: Format = "text"
    report: str | None = None
    "Where the report goes; None: to standard output."
    verbose: bool = False


def options_of(given: argparse.Namespace) -> AssertOptions:
    return AssertOptions(
        run=run_options(given),
        expressions=tuple(given.expressions),
        files=tuple(given.assertions),
        until=given.until,
        format=given.format,
        report=given.report,
        verbose=given.verbose,
    )


def check_run(options: AssertOptions) -> int:
    """Run the manifests, judge the assertions, report; answers with the exit code."""
    try:
        assertions = _assertions(options)
        manifest, images = prepare(options.run)
        cast = cast_of(manifest)
        _check_names(assertions, cast)
        until = read_until(options.until, cast)
        if options.report is not None:
            _try_report(options.report)
        events_file = open_files(options.run)
    except ManifestError as error:
        return refuse(error)
    except ExpressionError as error:
        return refuse(ManifestError([FieldError("--until", 0, 0, "", "", str(error))]))
    tell_notices(manifest)
    run = RecordedRun(options.run, manifest, images, events_file, until, verbose=options.verbose)
    run.run()
    if until is not None and not run.has_come and not run.ending.was_cut_short:
        tell_stderr(f"--until: {options.until} never came, everything ended by itself")
    report = _report(options, assertions, run.recorded())
    code = FAILED if report.failed or run.ending.files_failed else SUCCEEDED
    if not _write(options, report):
        code = FAILED
    return run.ending.exit_code if run.ending.was_cut_short or run.ending.violated else code


# ------------------------------------------------------------------------------------ before it begins


def _assertions(options: AssertOptions) -> list[tuple[Given, Assertion]]:
    """Raises `ManifestError` with every fault of every assertion."""
    errors: list[FieldError] = []
    given = list(given_directly(options.expressions, "--assert"))
    for path in options.files:
        try:
            given += read_assertions(path)
        except ManifestError as error:
            errors += error.errors
    found: list[tuple[Given, Assertion]] = []
    for one in given:
        try:
            found.append((one, parse(one.text)))
        except ExpressionError as error:
            errors.append(one.fault(str(error)))
    if not given and not errors:
        errors.append(FieldError("input", 0, 0, "", "", "nothing to check: no --assert, no --assertions"))
    if errors:
        raise ManifestError(errors)
    return found


def cast_of(manifest: Manifest) -> Cast:
    """Everybody whom the manifest can bring about."""
    pods = [loaded.obj for loaded in manifest.pods]
    jobs = [loaded.obj for loaded in manifest.jobs]
    return Cast.of(pods, jobs, [loaded.obj for loaded in manifest.cron_jobs])


def _check_names(assertions: Sequence[tuple[Given, Assertion]], cast: Cast) -> None:
    errors: list[FieldError] = []
    for given, assertion in assertions:
        try:
            cast.check(given.text, assertion)
        except ExpressionError as error:
            errors.append(given.fault(str(error)))
    if errors:
        raise ManifestError(errors)


def read_until(text: str | None, cast: Cast) -> float | AnyMoment | None:
    """Seconds, or what has to happen. Raises `ExpressionError`."""
    if text is None:
        return None
    until = parse_until(text)
    if not isinstance(until, float):
        cast.check(text, until)
    return until


def _try_report(path: str) -> None:
    """A typing error in the path costs nothing."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666))
    except OSError as error:
        raise ManifestError(
            [FieldError(path, 0, 0, "", "", f"cannot be written: {error.strerror}")]
        ) from None


# ------------------------------------------------------------------------------------ the run


class RecordedRun(Run):
    """A run that is taken down; `until` says when to delete everything."""

    def __init__(
        self,
        options: RunOptions,
        manifest: Manifest,
        images: ImageResolver,
        events_file: EventsFile | None = None,
        until: float | AnyMoment | None = None,
        *,
        verbose: bool = False,
    ) -> None:
        self.has_come = False
        "What `until` names came."
        self._until = until
        self._verbose = verbose
        super().__init__(options, manifest, images, events_file)
        self._recorder = Recorder(self.kubelet)

    def new_screen(self) -> Screen:
        if self._verbose:
            return TextScreen(STDERR, Look(timestamps=self.options.timestamps), wall=self._wall)
        return SilentScreen()

    def output(self, pod: Pod, container: str, attempt: int, stream: str, chunk: bytes) -> None:
        self._recorder.log(pod, container, attempt, stream, chunk)
        super().output(pod, container, attempt, stream, chunk)

    def recorded(self) -> RunOfPods:
        """The finished run."""
        run = self._recorder.run()

        def tail(key: str, container: str) -> list[bytes]:
            log = run.logs.get((key, container))
            return log.text.encode(errors="replace").splitlines()[-TAIL_LINES:] if log else []

        lines = [*failure_lines(run.pods, tail), *result_lines(run.pods, run.jobs, self.kubelet.wall())]
        return attrs.evolve(
            run,
            ending=str(self.ending),
            exit_code=self.ending.exit_code,
            summary="".join(f"{line}\n" for line in lines),
        )

    def tasks(self) -> Iterator[Callable[[], Awaitable[None]]]:
        yield from super().tasks()
        if self._until is not None:
            yield self._delete_in_time

    async def _delete_in_time(self) -> None:
        if isinstance(self._until, float):
            import trio

            await trio.sleep(max(self.began + self._until - time.monotonic(), 0))
        else:
            await self.kubelet.wait_until(self._is_time)
        self.has_come = True
        if not self.ending.was_cut_short:
            self.kubelet.delete_all(self.options.grace_period)

    def _is_time(self) -> bool:
        assert self._until is not None and not isinstance(self._until, float)
        if self._recorder.version == self._asked_at:
            return False
        self._asked_at = self._recorder.version
        run = self._recorder.glance()
        return has_happened(self._until, run, Cast.of(run.pods, run.jobs))

    _asked_at = -1


class SilentScreen(Screen):
    """Says nothing about the run; what the program itself has to say goes to stderr."""

    kubelet: PodSource | None = None
    is_live = False

    def __init__(self) -> None:
        self._nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self.writer = Writer(self._nowhere)

    def log(self, pod: Pod, container: str, attempt: int, stream: str, chunk: bytes) -> None: ...

    def notice(self, text: str) -> None:
        tell_stderr(text)

    def tick(self) -> None: ...

    def finish(
        self,
        pods: Sequence[Pod],
        jobs: Sequence[Job],
        ending: Ending,
        cron_jobs: object = (),
    ) -> None: ...


# ------------------------------------------------------------------------------------ the report


def _report(options: AssertOptions, assertions: Sequence[tuple[Given, Assertion]], run: RunOfPods) -> Report:
    cast = Cast.of(run.pods, run.jobs)
    settings = options.run.settings
    properties = {
        "isolation": options.run.isolation,
        "start-gate": settings.start_gate,
        "backoff-base": f"{settings.backoff_base:g}",
        "backoff-max": f"{settings.backoff_max:g}",
        "grace-period": options.run.grace_period,
        "timeout": options.run.timeout,
        "until": options.until,
    }
    return Report(
        suite=" ".join(options.run.files),
        run=run,
        results=tuple((given.name, judge(one, run, cast, given.text)) for given, one in assertions),
        properties=tuple((name, str(value)) for name, value in properties.items() if value is not None),
    )


def _write(options: AssertOptions, report: Report) -> bool:
    """Whether the report got to where it was to go."""
    in_file = options.report is not None
    form: Format = "text" if in_file else options.format
    color = options.run.color and wants_color(sys.stdout)
    text = report_text(report, form, color=color)
    if sys.stdout.isatty():  # it shows what containers wrote
        text = "".join(f"{tame(line, color=color)}\n" for line in text.splitlines())
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    if options.report is None:
        return True
    try:
        written = report_text(report, options.format).encode("utf-8", "replace")
        write_file(options.report, written, mode=0o666)
    except OSError as error:
        tell_stderr(f"{options.report}: {error.strerror}")
        return False
    return True
