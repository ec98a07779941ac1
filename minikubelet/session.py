"""Running manifests from Python: everything a kubelet needs, set up and taken down around a block."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from minikubelet.api.errors import ManifestError
from minikubelet.api.manifest import Manifest
from minikubelet.invariants import wanted_everywhere
from minikubelet.kubelet.kubelet import Kubelet
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import Output, Runtime
from minikubelet.runtime.configs import Config, Configs
from minikubelet.runtime.feasibility import discovery_of, faults, isolation_for
from minikubelet.runtime.images import ImageResolver
from minikubelet.runtime.isolation import Wish
from minikubelet.runtime.local import LocalRuntime

if TYPE_CHECKING:
    import trio

    from minikubelet.invariants.journal import Journal


class LocalKubelet(Kubelet):
    """A kubelet over the processes of this machine, whose pods can be configured while they run."""

    def __init__(
        self, runtime: Runtime, settings: LifecycleSettings | None = None, *, configs: Configs | None = None
    ) -> None:
        super().__init__(runtime, settings)
        self._configs = configs or Configs()

    def apply(self, config: Config) -> None:
        """Add or replace a ConfigMap or Secret: a pod that waits for it finds it at its next try, ten seconds
        after the last (STATUS-9, VOL-6), a container that restarts has its variables (ENV-14). A volume
        stays as it was when the pod began. Raises ValueError if it is immutable and there already.
        """
        self._configs.apply(config)


@asynccontextmanager
async def open_kubelet(
    manifest: Manifest | None = None,
    *,
    settings: LifecycleSettings | None = None,
    images: Iterable[str] = (),
    images_file: str | None = None,
    manifest_dirs: Iterable[str] = (),
    stub_missing: bool = False,
    log_dir: str | None = None,
    env_from_host: bool = False,
    isolation: Wish = "auto",
    pod_pids_limit: int | None = None,
    output: Output | None = None,
    check: bool = False,
) -> AsyncIterator[LocalKubelet]:
    """Run a manifest's pods, Jobs and CronJobs as processes for as long as the block lasts.

    On leaving the block whatever still runs is deleted with its own grace and waited for. The options are
    those of `minikubelet run`; `output` is shown what containers write. Raises `ManifestError` for what
    cannot be run here, before anything is started; with `check`, at the end, `InvariantViolated` if the
    lifecycle did not keep its own rules.
    """
    import trio

    manifest = manifest or Manifest()
    resolver = ImageResolver.load(images, images_file, manifest_dirs, stub_missing)
    chosen = isolation_for(manifest, isolation)
    errors = faults(manifest, resolver, chosen)
    if errors:
        raise ManifestError(errors)
    configs = Configs.of(manifest)
    runtime = LocalRuntime(
        images=resolver,
        configs=configs,
        log_dir=log_dir,
        env_from_host=env_from_host,
        isolation=chosen,
        discovery=discovery_of(manifest),
        pod_pids_limit=pod_pids_limit,
        output=output,
    )
    journal: Journal | None = None
    if check or wanted_everywhere():
        from minikubelet.invariants.watch import watched

        journal, watched_runtime = watched(runtime)
        kubelet = LocalKubelet(watched_runtime, settings, configs=configs)
        journal.follow(kubelet)
    else:
        kubelet = LocalKubelet(runtime, settings, configs=configs)
    try:
        for pod in manifest.pods:
            kubelet.add_pod(pod.obj)
        for job in manifest.jobs:
            kubelet.add_job(job.obj)
        for cron_job in manifest.cron_jobs:
            kubelet.add_cron_job(cron_job.obj)
        async with trio.open_nursery() as nursery:
            serving = trio.CancelScope(shield=True)  # a cancelled block is still taken down in order
            ending = trio.CancelScope(shield=True)
            nursery.start_soon(_serve, kubelet, serving, ending)
            try:
                yield kubelet
            finally:
                kubelet.delete_all()
                with ending:
                    await kubelet.wait_until(lambda: kubelet.is_finished)
                serving.cancel()
    finally:
        runtime.close()
    if journal is not None:
        from minikubelet.invariants.watch import demand

        demand(journal)


async def _serve(kubelet: Kubelet, scope: "trio.CancelScope", ending: "trio.CancelScope") -> None:
    try:
        with scope:
            await kubelet.serve()
    except BaseException:
        ending.shield = False  # nobody brings about what is waited for
        raise
