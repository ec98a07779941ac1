"""`minikubelet run`: from manifests to an exit code.

Everything that can be found wrong is found before anything is started. The first containers are started
before trio is imported, so from the manifest to the first process all is synchronous; no signal is lost
on the way, because one plain handler notes them for the whole run and trio is merely woken by it.
"""

import errno
import gc
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from minikubelet.api.errors import FieldError, ManifestError
from minikubelet.api.manifest import Manifest, load
from minikubelet.api.pod import Pod
from minikubelet.api.values import complete_classes, evolve
from minikubelet.cli.ending import INVALID, SUCCEEDED, Ending
from minikubelet.cli.main import CannotStart, wants_color
from minikubelet.cli.options import RunOptions
from minikubelet.cli.writer import tell_stderr
from minikubelet.invariants import wanted_everywhere
from minikubelet.kubelet.kubelet import Kubelet, Observer
from minikubelet.lifecycle.facts import DeletionRequested, ReadinessGateSet
from minikubelet.lifecycle.termination import signal_name
from minikubelet.runtime.base import Runtime
from minikubelet.runtime.configs import Configs
from minikubelet.runtime.feasibility import (
    discovery_of,
    faults,
    isolation_for,
    pids_limit_notices,
    remarks,
)
from minikubelet.runtime.images import ImageResolver
from minikubelet.runtime.local import LocalRuntime
from minikubelet.runtime.missing import missing_notices
from minikubelet.runtime.private import check_directory, try_file

if TYPE_CHECKING:
    from minikubelet.api.event import Event
    from minikubelet.cli.files import EventsFile
    from minikubelet.cli.screen import Screen
    from minikubelet.invariants.journal import Journal
    from minikubelet.invariants.rules import Violation

STDOUT = 1


def run(options: RunOptions) -> int:
    """Run the manifests in the foreground and return the exit code."""
    try:
        manifest, images = prepare(options)
        events_file = None if options.dry_run else open_files(options)
    except ManifestError as error:
        return refuse(error)
    tell_notices(manifest)
    if not (manifest.pods or manifest.jobs or manifest.cron_jobs):
        tell_stderr("nothing to run, all replicas are 0")
        return SUCCEEDED
    if options.dry_run:
        from minikubelet.cli.dry_run import dry_run_text

        print(dry_run_text(manifest, images))
        return SUCCEEDED
    return Run(options, manifest, images, events_file).run()


def prepare(options: RunOptions) -> tuple[Manifest, ImageResolver]:
    """Everything that is known before the start. Raises `ManifestError` for all that is wrong with it."""
    faults_of_files: list[FieldError] = []
    try:
        images = ImageResolver.load(options.image, options.images, _folders(options), options.stub_missing)
    except ManifestError as error:
        faults_of_files += error.errors
    try:
        manifest = load(options.files, stdin=sys.stdin, run_now=options.run_now)
    except ManifestError as error:
        faults_of_files += error.errors
    if faults_of_files:
        raise ManifestError(faults_of_files)
    isolation = isolation_for(manifest, options.isolation)
    if errors := faults(manifest, images, isolation):
        raise ManifestError(errors)
    notices = (*manifest.notices, *remarks(manifest, isolation), *missing_notices(manifest, images))
    notices += tuple(pids_limit_notices(options.pod_pids_limit))
    return evolve(manifest, notices=notices), images


def refuse(error: ManifestError) -> int:
    sys.stderr.writelines(f"{fault}\n" for fault in error.errors)
    return INVALID


def tell_notices(manifest: Manifest) -> None:
    for notice in manifest.notices:
        tell_stderr(str(notice))


def _folders(options: RunOptions) -> list[str]:
    """Where the manifests are: an images file beside them counts."""
    return [f if os.path.isdir(f) else os.path.dirname(f) or "." for f in options.files if f != "-"]


def open_files(options: RunOptions) -> "EventsFile | None":
    """Try where things are to be written. Raises `ManifestError` with all places where that cannot be."""
    errors: list[FieldError] = []
    events_file = None
    for path, attempt in (
        (options.log_dir, _try_directory),
        (options.status_file, try_file),
        (options.events_file, _events_file),
    ):
        if path:
            try:
                tried = attempt(path)
            except OSError as error:
                errors.append(FieldError(path, 0, 0, "", "", f"cannot be written: {error.strerror}"))
            else:
                events_file = tried or events_file
    if errors:
        raise ManifestError(errors)
    return events_file


def _events_file(path: str) -> "EventsFile":
    from minikubelet.cli.files import EventsFile

    return EventsFile(path)


def _try_directory(path: str) -> None:
    """Raises OSError where no directory is, or can be made, that files can be put into."""
    os.makedirs(path, 0o750, exist_ok=True)
    check_directory(path)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


# ------------------------------------------------------------------------------------ signals


class StopRequests:
    """Notes the signals that ask for the end, from before the first process to after the last.

    A signal that was ignored when we were started (nohup, background jobs) stays ignored. `request` may be
    called from a signal handler and from another thread. Should nobody obey, the third signal raises
    KeyboardInterrupt: whatever keeps us busy, we can be ended in an orderly way.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    PATIENCE = 3  # signals

    def __init__(self) -> None:
        self.received: list[int] = []
        self._obeyed = 0
        self._wake: Callable[[], None] = lambda: None

    def install(self) -> None:
        for number in self.SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, _: object) -> None:
        self.request(number)
        if len(self.received) - self._obeyed >= self.PATIENCE:
            raise KeyboardInterrupt

    @staticmethod
    def uninstall() -> None:
        """Nothing runs any more: from here on a signal may end us as it ends any program."""
        for number in StopRequests.SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, default)

    def request(self, number: int) -> None:
        self.received.append(number)
        self._wake()

    def hung_up(self, *, terminal: bool) -> None:
        """The reader of our output is gone: what SIGPIPE means to others, or for a terminal SIGHUP."""
        if not terminal:
            self.request(signal.SIGPIPE)
        elif signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            self.request(signal.SIGHUP)

    async def each(self, obey: Callable[[int], None]) -> None:
        """Under trio: call `obey` with every signal, those that came before included."""
        import trio

        token = trio.lowlevel.current_trio_token()
        arrived = trio.Event()

        def notify() -> None:
            arrived.set()

        def wake() -> None:
            try:
                token.run_sync_soon(notify)
            except trio.RunFinishedError:
                pass

        self._wake = wake
        while True:
            while self._obeyed < len(self.received):
                self._obeyed += 1
                obey(self.received[self._obeyed - 1])
            arrived = trio.Event()
            if self._obeyed == len(self.received):
                await arrived.wait()


# ------------------------------------------------------------------------------------ the run

TRIO_SECONDS = 0.14
"What it takes to load trio."

PEACE_SECONDS = 0.01
"Without anything happening: time to load it."


class Untold(Observer):
    """Keeps what happens while those who are to be told of it are not even loaded.

    That is how pods start, and their init containers one after the other: to be served soon they need us,
    and nobody misses a line in the meantime. Who shows what happens looks at the pods as they are when it is
    told, so anything else is told at once, and from then on all is. `audience` loads those who want to know.
    """

    def __init__(self, audience: Callable[[], Sequence[Observer]]) -> None:
        self._audience = audience
        self._told: Sequence[Observer] = ()
        self._kept: list[Callable[[Observer], None]] = []

    def event(self, event: "Event") -> None:
        if not _is_of_a_start(event):
            self.tell()
        self._hear(lambda observer: observer.event(event))

    def requested(self, key: str, request: DeletionRequested | ReadinessGateSet) -> None:
        self.tell()
        self._hear(lambda observer: observer.requested(key, request))

    def changed(self, key: str) -> None:
        self._hear(lambda observer: observer.changed(key))

    def job_changed(self, key: str) -> None:
        self._hear(lambda observer: observer.job_changed(key))

    def settled(self) -> None:
        for observer in self._told:
            observer.settled()

    def _hear(self, call: Callable[[Observer], None]) -> None:
        if not self._told:
            self._kept.append(call)
        for observer in self._told:
            call(observer)

    def tell(self) -> None:
        """Everything that was kept, and from here on at once."""
        if self._told:
            return
        self._told = self._audience()
        for call in self._kept:
            for observer in self._told:
                call(observer)
        self._kept.clear()
        self.settled()


_OF_A_START = {"Scheduled", "Isolated", "Pulling", "Pulled", "Created", "Started", "SuccessfulCreate"}


def _is_of_a_start(event: "Event") -> bool:
    of_init = (event.involved_object.field_path or "").startswith("spec.initContainers")
    return event.reason in _OF_A_START or (of_init and event.message.endswith("exited with code 0"))


class Run:
    """One run in the foreground. What else is to come of it than an exit code, a subclass sees to."""

    def __init__(
        self, options: RunOptions, manifest: Manifest, images: ImageResolver, events_file: "EventsFile | None"
    ) -> None:
        self.options = options
        self.manifest = manifest
        self.ending = Ending()
        self.stops = StopRequests()
        self._output_failed = False
        self.events_file = events_file
        try:
            self.runtime = LocalRuntime(
                images=images,
                configs=Configs.of(manifest, files=options.files, notice=self._notice),
                log_dir=options.log_dir,
                env_from_host=options.env_from_host,
                isolation=isolation_for(manifest, options.isolation),
                discovery=discovery_of(manifest),
                pod_pids_limit=options.pod_pids_limit,
                own_cgroup=True,
                output=self.output,
                notice=self._notice,
            )
        except (OSError, RuntimeError) as error:  # RuntimeError: no room for a thread
            raise CannotStart(str(error)) from error
        self.violations: Sequence[Violation] = ()
        self.verdict: Sequence[str] = ()
        "What there is to say about the invariants; nothing if all is well and nobody asked."
        self.journal, runtime = self._watched()
        self.kubelet = Kubelet(runtime, options.settings)
        if self.journal is not None:
            self.journal.follow(self.kubelet)
        self._untold = Untold(self._audience)
        self.kubelet.observers.append(self._untold)

    @cached_property
    def screen(self) -> "Screen":
        """Loaded when there is something to show."""
        screen = self.new_screen()
        screen.kubelet = self.kubelet
        return screen

    def _notice(self, text: str) -> None:
        self.screen.notice(text)

    def _watched(self) -> "tuple[Journal | None, Runtime]":
        """`--check`. Those who do not ask for it do not wait for what it needs."""
        if not (self.options.check or wanted_everywhere()):
            return None, self.runtime
        from minikubelet.invariants.watch import watched

        return watched(self.runtime)

    def new_screen(self) -> "Screen":
        from minikubelet.cli.screen import JsonScreen, Look, TextScreen

        options = self.options
        terminal = os.isatty(STDOUT)
        hung_up = partial(self.stops.hung_up, terminal=terminal)
        if options.output == "json":
            return JsonScreen(STDOUT, hung_up=hung_up, failed=self._fail, wall=self._wall)
        terminal = terminal and os.environ.get("TERM") != "dumb"
        metas = [pod.obj.metadata for pod in self.manifest.pods]
        metas += [job.obj.metadata for job in self.manifest.jobs]
        metas += [cron_job.obj.metadata for cron_job in self.manifest.cron_jobs]
        look = Look(
            terminal=terminal,
            color=terminal and options.color and wants_color(sys.stdout),
            timestamps=options.timestamps,
            namespaces=len({meta.namespace for meta in metas}) > 1,
        )
        return TextScreen(STDOUT, look, hung_up=hung_up, failed=self._fail, wall=self._wall)

    def _wall(self) -> float:
        return self.kubelet.wall()

    def _fail(self) -> None:
        """Standard output cannot be written (a full disk): no reason to end the run, but to say so."""
        self._output_failed = True

    def output(self, pod: Pod, container: str, attempt: int, stream: str, chunk: bytes) -> None:
        """A container wrote something."""
        self._untold.tell()
        self.screen.log(pod, container, attempt, stream, chunk)

    def run(self) -> int:
        """Start, serve, tell how it ended."""
        self.stops.install()
        self.began = time.monotonic()
        try:
            for pod in self.manifest.pods:
                self.kubelet.add_pod(pod.obj)
            for job in self.manifest.jobs:
                self.kubelet.add_job(job.obj)
            for cron_job in self.manifest.cron_jobs:
                key = self.kubelet.add_cron_job(cron_job.obj)
                name = f"cronjob/{cron_job.obj.metadata.name}"
                self.screen.notice(f"{name} {self.kubelet.outlook(key)}; --run-now starts it at once")
            self.kubelet.settle()  # the first containers run from here on
            gc.freeze()  # most of what there is now stays to the end: it need not be looked through
            gc.enable()
            if self.options.timestamps:
                self._untold.tell()
            self._serve_at_first()
            self._untold.tell()
            if not self.kubelet.is_finished:
                import trio

                complete_classes()
                trio.run(self._serve)
        except* KeyboardInterrupt:  # nobody obeyed; closing the runtime kills what there is
            first = self.ending.signal or self.stops.received[0]
            self.ending = evolve(self.ending, signal=first)
        finally:
            self.runtime.close()
            self._finish()
            gc.unfreeze()
        return self.ending.exit_code

    def _audience(self) -> list[Observer]:
        self.screen.writer.start()
        return [self.screen] if self.events_file is None else [self.screen, self.events_file]

    def _serve_at_first(self) -> None:
        """As long as one thing comes right after the other: quick init containers, a pod that is soon over.

        Loading trio takes 0.14 s in which nobody is served, so it is put off, by 0.14 s at most.
        """
        until = time.monotonic() + TRIO_SECONDS
        while not self.kubelet.is_finished and not self.stops.received and time.monotonic() < until:
            if not self.runtime.serve_once(PEACE_SECONDS):
                break
            self.kubelet.settle()

    async def _serve(self) -> None:
        import trio

        async with trio.open_nursery() as nursery:
            for task in self.tasks():
                nursery.start_soon(task)
            await self.kubelet.run()
            nursery.cancel_scope.cancel()

    def tasks(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """What goes on beside the kubelet until that is finished."""
        yield partial(self.stops.each, self._stop)
        if self.options.timeout is not None:
            yield partial(self._limit, self.options.timeout)
        if self.screen.is_live:
            yield self._tick

    async def _limit(self, seconds: float) -> None:
        import trio

        await trio.sleep(max(self.began + seconds - time.monotonic(), 0))
        if self.ending.was_cut_short:
            return
        self.ending = Ending(timed_out=True)
        self.screen.notice(f"timeout: {seconds:g} s are over, stopping")
        from minikubelet.cli.summary import unfinished_lines

        for line in unfinished_lines(self.kubelet.pods(), self.kubelet.jobs(), self.kubelet.wall()):
            self.screen.notice(line)
        self.kubelet.delete_all(self.options.grace_period)

    async def _tick(self) -> None:
        """Ages and countdowns on a terminal."""
        import trio

        while True:
            await trio.sleep(1)
            self.screen.tick()

    def _stop(self, number: int) -> None:
        """The first signal deletes gracefully, the next one at once. A hang-up often comes with others that
        mean the same (a closed terminal, and then its shell), so it shortens nothing."""
        name = signal_name(number)
        if not self.ending.was_cut_short:
            self.ending = Ending(signal=number)
            if number == signal.SIGINT:
                self.screen.notice("stopping; press Ctrl-C again to shorten the grace to the minimum")
            elif number != signal.SIGPIPE:
                self.screen.notice(f"{name}: stopping")
            self.kubelet.delete_all(self.options.grace_period)
        elif number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            self.screen.notice(f"{name}: stopping at once")
            self.kubelet.delete_all(0)

    def _finish(self) -> None:
        self._untold.tell()
        pods = [*self.kubelet.removed_pods, *self.kubelet.pods()]
        jobs = [*self.kubelet.removed_jobs, *self.kubelet.jobs()]
        self.ending = evolve(
            self.ending,
            has_failed=self.kubelet.has_failed,
            files_failed=bool(self.runtime.lost_logs and self.options.log_dir),
            lost_logs=self.runtime.lost_logs,
        )
        if self.options.status_file:
            from minikubelet.cli.files import write_status_file

            try:
                write_status_file(self.options.status_file, [*pods, *jobs, *self.kubelet.cron_jobs()])
            except OSError as error:
                tell_stderr(f"{self.options.status_file}: {error.strerror}")
                self.ending = evolve(self.ending, files_failed=True)
        self.stops.uninstall()
        try:
            if self.events_file is not None:
                self.events_file.close()
                if self.events_file.failed:
                    self.ending = evolve(self.ending, files_failed=True)
            self._judge()
            self.screen.finish(pods, jobs, self.ending, self.kubelet.cron_jobs())
            self.screen.writer.close()
            if self._output_failed:
                self.ending = evolve(self.ending, files_failed=True)
            from minikubelet.cli.summary import lost_logs_lines

            for line in (*lost_logs_lines(self.ending), *self.verdict):
                tell_stderr(line)
        except KeyboardInterrupt:  # whoever reads us is stuck, and the user has had enough
            if not self.ending.was_cut_short:
                self.ending = evolve(self.ending, signal=signal.SIGINT)

    def _judge(self) -> None:
        if self.journal is None:
            return
        from minikubelet.invariants.watch import judge, verdict

        self.violations = judge(self.journal)
        self.ending = evolve(self.ending, violated=bool(self.violations))
        if self.violations or self.options.check:
            self.verdict = tuple(verdict(self.journal, self.violations))
