"""Running manifests from Python: everything a kubelet needs, set up and taken down around a block."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from minikubelet.api.errors import ManifestError
from minikubelet.api.manifest import Manifest
from minikubelet.kubelet.kubelet import Kubelet
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.feasibility import discovery_of, faults, isolation_for
from minikubelet.runtime.images import ImageResolver
from minikubelet.runtime.isolation import Wish
from minikubelet.runtime.local import LocalRuntime, Output

if TYPE_CHECKING:
    import trio


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
    output: Output | None = None,
) -> AsyncIterator[Kubelet]:
    """Run a manifest's pods, Jobs and CronJobs as processes for as long as the block lasts.

    On leaving the block whatever still runs is deleted with its own grace and waited for. The options are
    those of `minikubelet run`; `output` is shown what containers write. Raises `ManifestError` for what
    cannot be run here, before anything is started.
    """
    import trio

    manifest = manifest or Manifest()
    resolver = ImageResolver.load(images, images_file, manifest_dirs, stub_missing)
    chosen = isolation_for(manifest, isolation)
    errors = faults(manifest, resolver, chosen)
    if errors:
        raise ManifestError(errors)
    runtime = LocalRuntime(
        images=resolver,
        config_maps=manifest.config_maps,
        secrets=manifest.secrets,
        log_dir=log_dir,
        env_from_host=env_from_host,
        isolation=chosen,
        discovery=discovery_of(manifest),
        output=output,
    )
    kubelet = Kubelet(runtime, settings)
    try:
        for pod in manifest.pods:
            kubelet.add_pod(pod.obj)
        for job in manifest.jobs:
            kubelet.add_job(job.obj)
        for cron_job in manifest.cron_jobs:
            kubelet.add_cron_job(cron_job.obj)
        async with trio.open_nursery() as nursery:
            serving = trio.CancelScope(shield=True)  # a cancelled block is still taken down in order
            nursery.start_soon(_serve, kubelet, serving)
            try:
                yield kubelet
            finally:
                kubelet.delete_all()
                with trio.CancelScope(shield=True):
                    await kubelet.wait_until(lambda: kubelet.is_finished)
                serving.cancel()
    finally:
        runtime.close()


async def _serve(kubelet: Kubelet, scope: "trio.CancelScope") -> None:
    with scope:
        await kubelet.serve()
