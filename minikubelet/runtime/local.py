"""Real processes: the runtime that `minikubelet run` uses.

Joins what the other modules of this floor do one by one: an image becomes words to run, a spec becomes an
environment, volumes become mounts, and all of it becomes a process whose end, hooks and probes report
through callbacks. Everything up to and including the spawn is synchronous and works before trio is loaded;
what only some pods ask for (mounts, volumes, sandboxes, limits) is loaded for the first that does.
"""

import os
import posixpath
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from minikubelet.api.pod import Container, LifecycleHandler, Pod, Probe
from minikubelet.api.values import Factory, define, evolve
from minikubelet.lifecycle.facts import ProbeKind
from minikubelet.runtime.base import (
    Cancel,
    ContainerExit,
    ContainerProcess,
    HookAnswer,
    Output,
    PrepareError,
    ProbeAnswer,
    StartError,
)
from minikubelet.runtime.brand import Brand
from minikubelet.runtime.configs import Configs
from minikubelet.runtime.environment import (
    ContainerEnvironment,
    basic_environment,
    container_argv,
    container_environment,
    hook_exec_argv,
    hostname,
    probe_exec_argv,
    this_node,
)
from minikubelet.runtime.guard import Guard, bury_dead_runs
from minikubelet.runtime.hosts import HOSTS_PATH, has_own_hosts, write_hosts
from minikubelet.runtime.images import ImageResolver, Resolution
from minikubelet.runtime.isolation import Isolation, Tier, has_read_only_root
from minikubelet.runtime.logs import ContainerLog, log_directory
from minikubelet.runtime.place import Place
from minikubelet.runtime.private import check_directory
from minikubelet.runtime.proc import own_cgroup
from minikubelet.runtime.process import CommandResult, LocalProcess, run_command
from minikubelet.runtime.reactor import Reactor
from minikubelet.runtime.reaper import Reaper
from minikubelet.runtime.removal import remove_tree
from minikubelet.runtime.run_directory import RunDirectory, remove_run_directory, temporary_directory
from minikubelet.runtime.security import Security, container_security, wants_id_map
from minikubelet.runtime.spawn import SHORTAGES
from minikubelet.runtime.termination_message import DEFAULT_PATH, TerminationMessage

if TYPE_CHECKING:
    from pathlib import Path

    import trio

    from minikubelet.runtime.cgroups import Cgroup
    from minikubelet.runtime.mounts import Mount, MountNamespace, MountPoints
    from minikubelet.runtime.sandbox import Sandbox, Sandboxes
    from minikubelet.runtime.services import Discovery

T = TypeVar("T")

NEGLIGIBLE_DELAY = 0.1
"""Seconds from when a probe is asked for to its beginning that are not told of: probes that were due together
stay so, though one after another is begun. A hundred apart would take more than half as much again."""


@define
class _PodHome:
    """What a pod has on this machine: its directory, its volumes, its mount namespaces."""

    directory: str
    tier: Tier
    sandbox: "Sandbox | None" = None
    cgroup: "Cgroup | None" = None
    "Around those of its containers; only with `pod_pids_limit`."
    volumes: "Mapping[str, Path]" = Factory(dict)
    namespaces: "dict[str, MountNamespace]" = Factory(dict)

    def work_dir(self, container: str) -> str:
        return f"{self.directory}/{container}.work"

    def termination_log(self, container: str) -> str:
        return f"{self.directory}/{container}.termination-log"


class LocalRuntime:
    """`notice` is told in one sentence about whatever could not be kept, such as lost log output.

    `own_cgroup` where this process is nothing but a supervisor: it may be moved into a cgroup of the run,
    and everything that it starts with it, so that all of that can be found and killed should it die.
    Raises `OSError`, or `RuntimeError` for a thread, where there is no room for any of what it needs.
    """

    def __init__(
        self,
        *,
        images: ImageResolver | None = None,
        configs: Configs | None = None,
        log_dir: str | None = None,
        env_from_host: bool = False,
        isolation: Isolation | None = None,
        discovery: "Discovery | None" = None,
        pod_pids_limit: int | None = None,
        own_cgroup: bool = False,
        output: Output | None = None,
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.images = images or ImageResolver()
        self.configs = configs or Configs()
        self.node = this_node()
        parent = temporary_directory()
        check_directory(parent)
        bury_dead_runs(parent)
        brand = Brand()
        self._run = RunDirectory(parent, brand.run, _cgroup_above() if own_cgroup else None)
        self.run_dir = self._run.path
        self.log_dir = log_dir if log_dir is not None else f"{self.run_dir}/logs"
        self._host_env = dict(os.environ) if env_from_host else basic_environment(os.environ)
        self._discovery = discovery
        self._pod_pids_limit = pod_pids_limit
        self._isolation = isolation or Isolation()
        if discovery is not None:
            self._isolation = evolve(self._isolation, with_names=discovery.wants_names)
        self._output = output
        self._notice = notice
        self.lost_logs: dict[str, int] = {}
        "By `namespace/pod/container`: bytes of log entries that could not be written."
        self._reactor = Reactor()
        try:
            self._guard = Guard(self._run, self._reactor, notice)
        except OSError:
            self._run.discard()
            raise
        self._reaper = Reaper(self._reactor, brand)
        self._sandboxes: Sandboxes | None = None
        self._homes: dict[str, _PodHome] = {}
        self._mount_points: MountPoints | None = None
        self._tasks = _Tasks()

    def now(self) -> float:
        return time.monotonic()

    # ------------------------------------------------------------------ pods

    def prepare_pod(self, pod: Pod) -> str | None:
        home = self._homes.get(pod.metadata.uid)
        if home is None:
            tier = self._isolation.tier_of(pod.spec)
            home = self._homes[pod.metadata.uid] = _PodHome(f"{self.run_dir}/{pod.metadata.uid}", tier)
        try:
            os.makedirs(home.directory, exist_ok=True)
            if pod.spec.volumes:
                home.volumes = self._volumes(pod, home.directory)
            if home.tier.name == "pod" and home.sandbox is None:
                home.sandbox = self._make_sandbox(pod, home.tier)
        except OSError as error:
            raise PrepareError(_text(error)) from error
        except ValueError as error:  # a NUL, as below
            raise PrepareError(f"a path of pod {pod.key} is none: {error}") from error
        return f"{home.tier.name}: {home.tier.why}" if home.tier.why else None

    def _volumes(self, pod: Pod, directory: str) -> "Mapping[str, Path]":
        from pathlib import Path

        from minikubelet.runtime.volumes import prepare_volumes

        return self._configured(lambda: prepare_volumes(pod, Path(directory), self.configs, self.node))

    def _make_sandbox(self, pod: Pod, tier: Tier) -> "Sandbox":
        """With the pod's hosts file in it: a mount namespace for each container would take longer."""
        from minikubelet.runtime.sandbox import SandboxError, Sandboxes, sandbox_spec

        if self._sandboxes is None:
            self._sandboxes = Sandboxes(self._reaper.run_as_parent)
        try:
            spec = sandbox_spec(pod.spec, hostname(pod, self.node), own_network=tier.own_network)
            has_place = os.path.exists(HOSTS_PATH)
            sandbox = self._sandboxes.make(spec, self._hosts_file(pod) if has_place else "")
        except (SandboxError, StartError) as error:
            raise PrepareError(str(error)) from error
        if sandbox.pause:
            self._reaper.foster_parents.add(sandbox.pause)
        return sandbox

    def remove_pod(self, pod: Pod) -> None:
        """With everything that it had here: its volumes live as long as it does (VOL-1, TERM-14)."""
        home = self._homes.pop(pod.metadata.uid, None)
        if home is None:
            return
        for namespace in home.namespaces.values():
            namespace.close()
        if home.sandbox is not None:
            self._reaper.foster_parents.discard(home.sandbox.pause)
            home.sandbox.close()
        if home.cgroup is not None:
            if home.cgroup.ran_out_of_pids:
                self._notice(f"pod {pod.key} had as many processes as it may, {self._pod_pids_limit}")
            home.cgroup.remove()
        if self._mount_points is not None:
            try:
                self._mount_points.release(pod.metadata.uid)
            except OSError as error:  # they are gone, only the note of them is not
                self._notice(_text(error))
        self._remove(home.directory, f"of pod {pod.key}")

    # ------------------------------------------------------------------ containers

    def start_container(
        self, pod: Pod, container: Container, attempt: int, exited: Callable[[ContainerExit], None]
    ) -> ContainerProcess:
        try:
            return self._start_container(pod, container, attempt, exited)
        except OSError as error:  # of what belongs to it here: a full disk, a directory that is gone
            raise StartError("CreateContainerError", _text(error)) from error
        except ValueError as error:  # a NUL, which no manifest may have, but a Pod made in Python can
            message = f"a path of container {container.name} is none: {error}"
            raise StartError("RunContainerError", message, recorded=True) from error

    def _start_container(
        self, pod: Pod, container: Container, attempt: int, exited: Callable[[ContainerExit], None]
    ) -> ContainerProcess:
        home = self._homes[pod.metadata.uid]
        last_words = TerminationMessage(home.termination_log(container.name), container)
        container_id = f"{pod.metadata.uid}/{container.name}/{attempt}"
        place = self._place(pod, container, last_words)
        argv = container_argv(container, place.resolution, place.env)
        cgroup = self._cgroup(pod, container, container_id)
        log = self._log(pod, container, attempt)
        was_executed = True

        def died(pid: int) -> None:
            nonlocal was_executed
            was_executed = place.was_executed(pid)

        def ended(exit_code: int) -> None:
            if not was_executed:  # what came before it says why, in the log
                end = ContainerExit(128, "StartError", f'exec: "{argv[0]}": cannot be executed')
            else:
                reason = "OOMKilled" if cgroup is not None and cgroup.ran_out_of_memory else None
                end = ContainerExit(exit_code, reason, last_words.read(exit_code, log.path))
            if cgroup is not None:
                cgroup.remove()
            exited(evolve(end, lost_log=self._lost_log(pod, container, log)) if log.lost_bytes else end)

        try:
            if cgroup is not None:
                place = evolve(place, cgroup=cgroup)
            process = LocalProcess.start(
                self._reaper,
                argv,
                container_id=f"{self._run.name}/{container_id}",
                env=place.env,
                cwd=place.working_dir,
                log=log,
                exited=ended,
                died=died,
                spawn=place.spawn,
            )
        except OSError as error:
            log.close()
            if cgroup is not None:
                cgroup.remove()
            if error.errno in SHORTAGES:  # not even the process was made: STATUS-9
                message = f'cannot start "{argv[0]}": {error.strerror}'
                raise StartError("CreateContainerError", message) from error
            what = f'exec: "{error.filename}"'
            if str(error.filename).endswith(place.working_dir):  # in a namespace, as seen from outside
                what = f'chdir to workingDir "{place.working_dir}"'
            message = f"{what}: {error.strerror}"
            raise StartError("RunContainerError", message, recorded=True) from error
        return _Instance(self._tasks, container, place, process, self._reaper)

    def _place(self, pod: Pod, container: Container, last_words: TerminationMessage) -> Place:
        """Where and as whom the container's processes run. Raises `StartError`."""
        home = self._homes[pod.metadata.uid]
        resolution = self._resolve(pod, container)
        services = self._discovery.variables(pod) if self._discovery is not None else {}
        env = self._configured(
            lambda: container_environment(
                pod, container, resolution, self.configs, self.node, self._host_env, services, home.volumes
            )
        )
        mounts = self._mounts(pod, container, env, last_words)
        security = container_security(pod, container, resolution.user, has_namespace=mounts is not None)
        if security.home is not None and "HOME" not in env.declared and "HOME" not in resolution.env:
            env["HOME"] = security.home
        work = self._work_dir(pod, container, security)
        working_dir = container.working_dir or resolution.working_dir
        if mounts is None:
            return Place(resolution, env, working_dir or work, security, None, home.sandbox)
        from pathlib import Path

        from minikubelet.runtime.mounts import Mount, hiding_mount
        from minikubelet.runtime.volumes import make_working_dir

        if working_dir:
            make_working_dir(posixpath.normpath(working_dir), mounts)
        hiding = hiding_mount(work, mounts)
        if hiding is None and has_read_only_root(container):
            mounts.append(Mount(Path(work), work))
        namespace = self._namespace(pod, container, mounts, security)
        return Place(resolution, env, working_dir or hiding or work, security, namespace, home.sandbox)

    def _cgroup(self, pod: Pod, container: Container, container_id: str) -> "Cgroup | None":
        """Where its limits are kept, if it has any, or its pod has, and they can be."""
        if not (container.resources.limits or self._pod_pids_limit):
            return None
        from minikubelet.runtime.cgroups import Cgroup, Limits, find_delegation

        limits = Limits.of(container.resources.limits)
        if not (limits.controllers or self._pod_pids_limit):
            return None
        name, home = f"{self._run.name}-{container_id.replace('/', '-')}", self._homes[pod.metadata.uid]
        try:
            self._run.enter_cgroup()  # later on, that would take a container out of its own
            if self._pod_pids_limit and home.cgroup is None:
                of_pod = Limits(pids=self._pod_pids_limit)
                home.cgroup = Cgroup.make(find_delegation(), f"{self._run.name}-{pod.metadata.uid}", of_pod)
            if home.cgroup is not None:
                return Cgroup.make(home.cgroup.pass_on(), name, limits, even_if_idle=True)
            return Cgroup.make(find_delegation(), name, limits)
        except OSError as error:
            message = f"cannot limit resources: {error.filename}: {error.strerror}"
            raise StartError("CreateContainerError", message) from error

    def _configured(self, make: Callable[[], T]) -> T:
        """STATUS-9, VOL-6: before something is called missing, it is looked for again."""
        try:
            return make()
        except (StartError, PrepareError):
            if not self.configs.refresh():
                raise
            return make()

    def _work_dir(self, pod: Pod, container: Container, security: Security) -> str:
        """Where a container starts that does not say where: empty, its own, and kept over restarts."""
        work = self._homes[pod.metadata.uid].work_dir(container.name)
        try:
            os.mkdir(work)
        except FileExistsError:
            return work
        if security.user is not None:
            os.chown(work, security.user.uid, security.user.gid)
        return work

    def _resolve(self, pod: Pod, container: Container) -> Resolution:
        return self.images.resolve(container, completes=container.name in pod.spec.plain_inits)

    def _mounts(
        self, pod: Pod, container: Container, env: ContainerEnvironment, last_words: TerminationMessage
    ) -> "list[Mount] | None":
        """What is mounted for a container, if it needs a mount namespace at all."""
        home = self._homes[pod.metadata.uid]
        mounts = self._volume_mounts(pod, container, env)
        if home.tier.name == "none":
            return None
        if not (
            mounts
            or last_words.wants_mount
            or has_read_only_root(container)
            or wants_id_map(pod.spec, container)
            or (home.sandbox is None and self._isolation.wants_hosts(pod.spec))
        ):
            return None
        from pathlib import Path

        from minikubelet.runtime.mounts import Mount

        if not has_own_hosts(mount.target for mount in mounts):
            mounts.append(Mount(Path(self._hosts_file(pod)), HOSTS_PATH))
        last_words.renew()
        return [*mounts, Mount(Path(last_words.file), last_words.path)]

    def _volume_mounts(self, pod: Pod, container: Container, env: ContainerEnvironment) -> "list[Mount]":
        """Raises `StartError` for one that cannot be honoured where there is no namespace (VOL-5)."""
        if not container.volume_mounts:
            return []
        from minikubelet.runtime.mounts import cannot_honour, honourable_without_namespace
        from minikubelet.runtime.volumes import container_mounts

        home = self._homes[pod.metadata.uid]
        mounts = container_mounts(pod, container, home.volumes, env.declared)
        for mount in mounts if home.tier.name == "none" else ():
            if not honourable_without_namespace(mount):
                raise StartError("CreateContainerError", cannot_honour(mount, home.tier.lacks))
        return list(mounts)

    def _hosts_file(self, pod: Pod) -> str:
        file = f"{self._homes[pod.metadata.uid].directory}/hosts"
        names = self._discovery.names(pod) if self._discovery is not None else ()
        try:
            write_hosts(file, pod, hostname(pod, self.node), names)
        except OSError as error:
            raise StartError("CreateContainerError", f"{error.filename}: {error.strerror}") from error
        return file

    def _namespace(
        self, pod: Pod, container: Container, mounts: "Sequence[Mount]", security: Security
    ) -> "MountNamespace":
        """The container's mount namespace; kept over restarts with the same mounts."""
        from pathlib import Path

        from minikubelet.runtime.mounts import (
            MountError,
            MountNamespace,
            MountPoints,
            MountSupport,
            mount_support,
        )

        home = self._homes[pod.metadata.uid]
        known = home.namespaces.get(container.name)
        if known is not None and known.mounts == tuple(mounts):
            return known
        if known is not None:
            home.namespaces.pop(container.name).close()
        try:
            # The default path lies in /dev, where nothing is to be left even for a moment.
            own_places = [mount for mount in mounts if mount.target != DEFAULT_PATH]
            if self._mount_points is None:
                self._mount_points = MountPoints(Path(self.run_dir, "mount-points.json"))
            self._mount_points.ensure(pod.metadata.uid, own_places)
            made = MountNamespace.make(
                mounts,
                Path(home.directory),
                MountSupport("root") if home.sandbox else mount_support(Path(temporary_directory())),
                read_only_root=has_read_only_root(container),
                seen_as=security.seen_as,
                spawn_helper=home.sandbox.spawn_helper if home.sandbox else None,
            )
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

    def _lost_log(self, pod: Pod, container: Container, log: ContainerLog) -> str:
        name = f"{pod.key}/{container.name}"
        self.lost_logs[name] = self.lost_logs.get(name, 0) + log.lost_bytes
        return f"{log.lost_bytes} bytes of the log could not be written: {log.trouble}"

    # ------------------------------------------------------------------ the loop

    def serve_once(self, timeout: float) -> bool:
        """Report what happens within `timeout` seconds, before trio runs. False if nothing did, or if there
        is a hook or probe to begin, which only `run` can."""
        return not self._tasks.is_wanted and self._reactor.run_once(timeout) > 0

    async def run(self, settle: Callable[[], None]) -> None:
        import trio

        async with trio.open_nursery() as nursery:
            self._tasks.begin(nursery)
            await self._reactor.run(settle)

    def close(self) -> None:
        """Kill whatever is left of anything that was started here, and remove the run directory."""
        if self._sandboxes is not None:
            self._sandboxes.close()  # before its children lose the thread that is their parent
        self._reaper.close()
        for home in self._homes.values():
            if home.sandbox is not None:
                home.sandbox.close()
        self._remove(self.run_dir, "of this run", remove_run_directory)
        self._guard.close()
        self._reactor.close()

    def _remove(self, directory: str, whose: str, remove: Callable[..., None] = remove_tree) -> None:
        try:
            remove(directory)
        except OSError as error:
            self._notice(f"{error.filename} {whose} cannot be removed: {error.strerror}")


def _cgroup_above() -> str | None:
    """Where a cgroup of the run could be made."""
    try:
        return own_cgroup("/proc/self")
    except OSError:
        return None


def _text(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


class _Instance:
    """One running container: signals go to its process, hooks and probes run beside it."""

    def __init__(
        self, tasks: "_Tasks", container: Container, place: Place, process: LocalProcess, reaper: Reaper
    ) -> None:
        self._tasks = tasks
        self._container = container
        self._place = place
        self._process = process
        self._reaper = reaper

    def signal(self, number: int) -> None:
        self._process.signal(number)

    def run_hook(self, handler: LifecycleHandler, done: Callable[[HookAnswer], None]) -> Cancel:
        async def work() -> Report:
            from minikubelet.runtime.handlers import perform_hook

            self._enter_network(handler)
            answer = await perform_hook(handler, self._container, run_exec=self._run_hook_command)
            return partial(self._report, partial(done, answer))

        return self._tasks.start(_EndlessTask(work))

    def ask_probe(self, kind: ProbeKind, probe: Probe, done: Callable[[ProbeAnswer], None]) -> Cancel:
        asked_at = time.monotonic()

        async def work() -> Report:
            from minikubelet.runtime.handlers import perform_probe

            delay = time.monotonic() - asked_at
            if delay < NEGLIGIBLE_DELAY:
                delay = 0.0
            self._enter_network(probe)
            answer = await perform_probe(kind, probe, self._container, run_exec=self._run_probe_command)
            return partial(self._report, partial(done, evolve(answer, delay=delay) if delay else answer))

        return self._tasks.start(_Task(work))

    def _report(self, tell: Callable[[], None]) -> None:
        """HOOK-4: with its process a container's hooks and probes are over, and nothing has failed."""
        if self._process.exit_code is None:
            tell()

    def _enter_network(self, handler: LifecycleHandler | Probe) -> None:
        """From here on this task connects within the pod; to other hosts from outside, as a node does.

        Loopback addresses are the pod's, for that is where all pods are (PROBE-26).
        """
        sandbox = self._place.sandbox
        if sandbox is None or not sandbox.spec.own_network:
            return
        from minikubelet.runtime.http_client import new_socket

        action = handler.http_get or handler.tcp_socket
        host = (action and action.host) or "127.0.0.1"
        if host.startswith("127.") or host in ("localhost", "::1"):
            new_socket.set(sandbox.open_socket)

    async def _run_hook_command(self, words: Sequence[str], timeout_seconds: float | None) -> CommandResult:
        argv = hook_exec_argv(self._container, words, self._place.resolution, self._place.env)
        return await self._run(argv, timeout_seconds)

    async def _run_probe_command(self, words: Sequence[str], timeout_seconds: float | None) -> CommandResult:
        argv = probe_exec_argv(self._container, words, self._place.resolution, self._place.env)
        return await self._run(argv, timeout_seconds)

    async def _run(self, argv: Sequence[str], timeout_seconds: float | None) -> CommandResult:
        """What a command leaves running lives as long as the container (TERM-17), as it does in a cluster."""
        return await run_command(
            self._process,
            argv,
            env=self._place.env,
            cwd=self._place.working_dir,
            timeout_seconds=timeout_seconds,
            spawn=self._place.spawn_beside(self._process.pidfd),
            keep_leftovers=True,
        )


Report = Callable[[], object]
"""Tells how a hook or probe ended."""


class _Tasks:
    """Hooks and probes under way. What is asked for before trio runs is begun when it does."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._early: list[_Task] = []

    @property
    def is_wanted(self) -> bool:
        """Something waits for trio."""
        return bool(self._early)

    def begin(self, nursery: "trio.Nursery") -> None:
        self._nursery = nursery
        for task in self._early:
            nursery.start_soon(task.run)
        self._early.clear()

    def start(self, task: "_Task") -> Cancel:
        if self._nursery is None:
            self._early.append(task)
        else:
            self._nursery.start_soon(task.run)
        return task.cancel


class _Task:
    """What ends in its own time. Who gives it up forgets it, as a kubelet does with a probe."""

    def __init__(self, work: Callable[[], Awaitable[Report]]) -> None:
        self._work = work
        self._is_cancelled = False

    async def run(self) -> None:
        if not self._is_cancelled:
            report = await self._work()
            if not self._is_cancelled:
                report()

    def cancel(self) -> None:
        self._is_cancelled = True


class _EndlessTask(_Task):
    """Who gives it up ends it."""

    _scope: "trio.CancelScope | None" = None

    async def run(self) -> None:
        import trio

        with trio.CancelScope() as self._scope:
            await super().run()

    def cancel(self) -> None:
        super().cancel()
        if self._scope is not None:
            self._scope.cancel()
