"""Real processes: the runtime that `minikubelet run` uses.

Joins what the other modules of this floor do one by one: an image becomes words to run, a spec becomes an
environment, volumes become mounts, and all of it becomes a process whose end, hooks and probes report
through callbacks. Everything up to and including the spawn is synchronous and works before trio is loaded.
"""

import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

import attrs

from minikubelet.api.config import ConfigMap, Secret
from minikubelet.api.pod import Container, LifecycleHandler, Pod, Probe
from minikubelet.lifecycle.facts import ProbeKind
from minikubelet.runtime.base import (
    Cancel,
    ContainerExit,
    ContainerProcess,
    HookAnswer,
    PrepareError,
    ProbeAnswer,
    StartError,
)
from minikubelet.runtime.environment import (
    ContainerEnvironment,
    basic_environment,
    container_argv,
    container_environment,
    hook_exec_argv,
    probe_exec_argv,
    this_node,
)
from minikubelet.runtime.images import ImageResolver, Resolution
from minikubelet.runtime.logs import ContainerLog, log_directory
from minikubelet.runtime.mounts import (
    Mount,
    MountError,
    MountNamespace,
    MountPoints,
    cannot_honour,
    honourable_without_namespace,
    mount_support,
)
from minikubelet.runtime.process import CommandResult, LocalProcess, Reaper, User, run_command
from minikubelet.runtime.reactor import Reactor
from minikubelet.runtime.termination_message import DEFAULT_PATH, TerminationMessage
from minikubelet.runtime.users import find_user
from minikubelet.runtime.volumes import container_mounts, prepare_volumes, remove_volumes

if TYPE_CHECKING:
    import trio

Output = Callable[[Pod, str, int, str, bytes], None]
"""Shown what containers write: pod, container name, attempt, `stdout` or `stderr`, a chunk of bytes."""


@attrs.frozen
class Configs:
    """The ConfigMaps and Secrets of a run, by `namespace/name`."""

    config_maps: Mapping[str, ConfigMap] = attrs.Factory(dict)
    secrets: Mapping[str, Secret] = attrs.Factory(dict)

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        return self.config_maps.get(f"{namespace}/{name}")

    def secret(self, namespace: str, name: str) -> Secret | None:
        return self.secrets.get(f"{namespace}/{name}")


@attrs.define
class _PodHome:
    """What a pod has on this machine: its directory, its volumes, its mount namespaces."""

    directory: Path
    volumes: Mapping[str, Path] = attrs.Factory(dict)
    namespaces: dict[str, MountNamespace] = attrs.Factory(dict)

    def of(self, container: str) -> Path:
        return self.directory / "containers" / container


class LocalRuntime:
    """`notice` is told in one sentence about whatever could not be kept, such as lost log output."""

    def __init__(
        self,
        *,
        images: ImageResolver | None = None,
        config_maps: Mapping[str, ConfigMap] | None = None,
        secrets: Mapping[str, Secret] | None = None,
        log_dir: str | None = None,
        env_from_host: bool = False,
        output: Output | None = None,
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.images = images or ImageResolver()
        self.configs = Configs(config_maps or {}, secrets or {})
        self.node = this_node()
        self.run_dir = Path(tempfile.mkdtemp(prefix="minikubelet-"))
        self.run_dir.chmod(0o711)  # a container that runs as somebody else has to get to its directories
        self.log_dir = log_dir if log_dir is not None else str(self.run_dir / "logs")
        self._host_env = dict(os.environ) if env_from_host else basic_environment(os.environ)
        self._output = output
        self._notice = notice
        self._reactor = Reactor()
        self._reaper = Reaper(self._reactor)
        self._homes: dict[str, _PodHome] = {}
        self._mount_points = MountPoints(self.run_dir / "mount-points.json")
        self._tasks = _Tasks()

    def now(self) -> float:
        return time.monotonic()

    # ------------------------------------------------------------------ pods

    def prepare_pod(self, pod: Pod) -> None:
        home = self._homes.setdefault(pod.metadata.uid, _PodHome(self.run_dir / pod.metadata.uid))
        try:
            home.directory.mkdir(exist_ok=True)
            for name in pod.spec.all_containers:
                home.of(name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PrepareError(f"{error.filename}: {error.strerror}") from error
        home.volumes = prepare_volumes(pod, home.directory, self.configs, self.node)

    def remove_pod(self, pod: Pod) -> None:
        home = self._homes.pop(pod.metadata.uid, None)
        if home is None:
            return
        for namespace in home.namespaces.values():
            namespace.close()
        self._mount_points.release(pod.metadata.uid)
        try:
            remove_volumes(pod, home.directory)
        except OSError as error:
            self._notice(f"{error.filename} of pod {pod.key} cannot be removed: {error.strerror}")
        rmtree(home.directory, ignore_errors=True)

    # ------------------------------------------------------------------ containers

    def start_container(
        self, pod: Pod, container: Container, attempt: int, exited: Callable[[ContainerExit], None]
    ) -> ContainerProcess:
        last_words = self._last_words(pod, container)
        place = self._place(pod, container, last_words)
        log = self._log(pod, container, attempt)

        def ended(exit_code: int) -> None:
            exited(ContainerExit(exit_code, message=last_words.read(exit_code, log.path)))

        try:
            argv = container_argv(container, place.resolution, place.env)
            process = LocalProcess.start(
                self._reaper,
                place.command(argv),
                container_id=f"{pod.metadata.uid}/{container.name}/{attempt}",
                env=place.env,
                cwd=place.spawn_dir,
                log=log,
                exited=ended,
                user=place.spawn_user,
            )
        except OSError as error:
            log.close()
            message = f'exec: "{error.filename}": {error.strerror}'
            raise StartError("RunContainerError", message, recorded=True) from error
        return _Instance(self._tasks, container, place, process, self._reaper)

    def _place(self, pod: Pod, container: Container, last_words: TerminationMessage) -> "_Place":
        """Where and as whom the container's processes run. Raises `StartError`."""
        resolution = self._resolve(pod, container)
        env = container_environment(pod, container, resolution, self.configs, self.node, self._host_env)
        user = None
        if resolution.user is not None:
            user, home_dir = find_user(resolution.user)
            if "HOME" not in env.declared and "HOME" not in resolution.env:
                env["HOME"] = home_dir
        home = self._homes[pod.metadata.uid]
        work = home.of(container.name) / "work"
        if not work.exists():
            work.mkdir()
            if user is not None:
                os.chown(work, user.uid, user.gid)
        working_dir = container.working_dir or resolution.working_dir or str(work)
        namespace = self._namespace(pod, container, env, last_words)
        return _Place(resolution, env, working_dir, user, namespace)

    def _resolve(self, pod: Pod, container: Container) -> Resolution:
        return self.images.resolve(container, completes=container.name in pod.spec.plain_inits)

    def _last_words(self, pod: Pod, container: Container) -> TerminationMessage:
        home = self._homes[pod.metadata.uid]
        last_words = TerminationMessage(home.of(container.name) / "termination-log", container)
        last_words.renew()
        return last_words

    def _namespace(
        self, pod: Pod, container: Container, env: ContainerEnvironment, last_words: TerminationMessage
    ) -> MountNamespace | None:
        """The mount namespace of a container that needs one; kept over restarts with the same mounts."""
        home = self._homes[pod.metadata.uid]
        mounts = list(container_mounts(pod, container, home.volumes, env.declared))
        if not mounts and not last_words.wants_mount:
            return None
        support = mount_support(Path(tempfile.gettempdir()))
        if support.kind == "none":
            for mount in mounts:
                if not honourable_without_namespace(mount):
                    raise StartError("CreateContainerError", cannot_honour(mount, support))
            return None
        mounts.append(Mount(last_words.file, last_words.path))
        known = home.namespaces.get(container.name)
        if known is not None and known.mounts == tuple(mounts):
            return known
        if known is not None:
            home.namespaces.pop(container.name).close()
        try:
            # The default path lies in /dev, where nothing is to be left even for a moment.
            own_places = [mount for mount in mounts if mount.target != DEFAULT_PATH]
            self._mount_points.ensure(pod.metadata.uid, own_places)
            made = MountNamespace.make(mounts, home.of(container.name), support)
        except (MountError, OSError) as error:
            raise StartError("CreateContainerError", str(error)) from error
        home.namespaces[container.name] = made
        return made

    def _log(self, pod: Pod, container: Container, attempt: int) -> ContainerLog:
        meta = pod.metadata
        directory = log_directory(self.log_dir, meta.namespace, meta.name, meta.uid, container.name)
        output, sink = self._output, None
        if output is not None:

            def sink(stream: str, chunk: bytes) -> None:
                output(pod, container.name, attempt, stream, chunk)

        return ContainerLog(directory, attempt, on_loss=self._notice, sink=sink)

    # ------------------------------------------------------------------ the loop

    async def run(self, settle: Callable[[], None]) -> None:
        import trio

        async with trio.open_nursery() as nursery:
            self._tasks.begin(nursery, settle)
            await self._reactor.run(settle)

    def close(self) -> None:
        """Kill whatever is left of anything that was started here, and remove the run directory."""
        self._reaper.close()
        self._reactor.close()
        rmtree(self.run_dir, ignore_errors=True)


@attrs.frozen
class _Place:
    """The context that a container shares with its hooks and exec probes (PROBE-22, HOOK-8)."""

    resolution: Resolution
    env: ContainerEnvironment
    working_dir: str
    user: User | None
    namespace: MountNamespace | None

    @property
    def spawn_dir(self) -> str:
        return self.working_dir if self.namespace is None else "/"

    @property
    def spawn_user(self) -> User | None:
        return self.user if self.namespace is None else None

    def command(self, argv: Sequence[str]) -> Sequence[str]:
        """The words that execute `argv` in this place. Raises `OSError` as execve(2) would (LOCAL-3)."""
        if self.namespace is None:
            return argv
        try:
            self.namespace.find_program(argv[0], self.env["PATH"], self.working_dir)
        except OSError as error:
            error.filename = argv[0]
            raise
        return self.namespace.command(argv, self.working_dir, self.user)


class _Instance:
    """One running container: signals go to its process, hooks and probes run beside it."""

    def __init__(
        self, tasks: "_Tasks", container: Container, place: _Place, process: LocalProcess, reaper: Reaper
    ) -> None:
        self._tasks = tasks
        self._container = container
        self._place = place
        self._process = process
        self._reaper = reaper

    def signal(self, number: int) -> None:
        self._process.signal(number)

    def run_hook(self, handler: LifecycleHandler, done: Callable[[HookAnswer], None]) -> Cancel:
        async def work() -> None:
            from minikubelet.runtime.handlers import perform_hook

            done(await perform_hook(handler, self._container, run_exec=self._run_hook_command))

        return self._tasks.start(work)

    def ask_probe(self, kind: ProbeKind, probe: Probe, done: Callable[[ProbeAnswer], None]) -> Cancel:
        async def work() -> None:
            from minikubelet.runtime.handlers import perform_probe

            done(await perform_probe(kind, probe, self._container, run_exec=self._run_probe_command))

        return self._tasks.start(work)

    async def _run_hook_command(self, words: Sequence[str], timeout_seconds: float | None) -> CommandResult:
        argv = hook_exec_argv(self._container, words, self._place.resolution, self._place.env)
        return await self._run(argv, timeout_seconds)

    async def _run_probe_command(self, words: Sequence[str], timeout_seconds: float | None) -> CommandResult:
        argv = probe_exec_argv(self._container, words, self._place.resolution, self._place.env)
        return await self._run(argv, timeout_seconds)

    async def _run(self, argv: Sequence[str], timeout_seconds: float | None) -> CommandResult:
        place = self._place
        try:
            command = place.command(argv)
        except OSError as error:
            return CommandResult(None, b"", f'exec: "{argv[0]}": {error.strerror}')
        return await run_command(
            self._process,
            command,
            env=place.env,
            cwd=place.spawn_dir,
            timeout_seconds=timeout_seconds,
            user=place.spawn_user,
        )


class _Tasks:
    """Hooks and probes under way. What is asked for before trio runs is begun when it does."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._early: list[_Task] = []
        self._settle: Callable[[], None] = lambda: None

    def begin(self, nursery: "trio.Nursery", settle: Callable[[], None]) -> None:
        self._nursery, self._settle = nursery, settle
        for task in self._early:
            nursery.start_soon(task.run, settle)
        self._early.clear()

    def start(self, work: Callable[[], Awaitable[None]]) -> Cancel:
        task = _Task(work)
        if self._nursery is None:
            self._early.append(task)
        else:
            self._nursery.start_soon(task.run, self._settle)
        return task.cancel


class _Task:
    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._scope: trio.CancelScope | None = None
        self._is_cancelled = False

    async def run(self, settle: Callable[[], None]) -> None:
        import trio

        if not self._is_cancelled:
            with trio.CancelScope() as self._scope:
                await self._work()
                settle()

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._scope is not None:
            self._scope.cancel()
