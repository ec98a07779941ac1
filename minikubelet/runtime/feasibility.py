"""What of a manifest cannot be run on this machine, found before anything is started.

Every fault carries file, line, object and field path, and all of them are reported at once.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

from minikubelet.api.errors import FieldError, Origin
from minikubelet.api.manifest import Manifest
from minikubelet.api.pod import Container, PodSpec
from minikubelet.runtime.images import ImageResolver, UnresolvedImage
from minikubelet.runtime.mounts import ADVICE, MountSupport, mount_support


def faults(manifest: Manifest, images: ImageResolver) -> list[FieldError]:
    """Images that nobody can resolve, and mounts that this machine cannot honour."""
    return [
        fault
        for spec, origin in pod_specs(manifest)
        for fault in (*_image_faults(spec, origin, images), *_mount_faults(spec, origin))
    ]


def pod_specs(manifest: Manifest) -> Iterator[tuple[PodSpec, Origin]]:
    """The spec of every pod and Job template."""
    for pod in manifest.pods:
        yield pod.obj.spec, pod.origin
    for job in manifest.jobs:
        yield job.obj.spec.template.spec, job.origin


def containers(spec: PodSpec) -> Iterator[tuple[str, Container]]:
    """Every container with its field path."""
    for field, listed in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(listed):
            yield f"spec.{field}[{index}]", container


def _image_faults(spec: PodSpec, origin: Origin, images: ImageResolver) -> Iterator[FieldError]:
    for path, container in containers(spec):
        try:
            images.resolve(container, completes=container.name in spec.plain_inits)
        except UnresolvedImage as error:
            yield origin.error(f"{path}.command", str(error))


def _mount_faults(spec: PodSpec, origin: Origin) -> Iterator[FieldError]:
    """VOL-5: without a mount namespace only a hostPath at its own path can be honoured."""
    own_places = {v.name: v.host_path.path for v in spec.volumes if v.host_path is not None}
    support: MountSupport | None = None
    for path, container in containers(spec):
        for index, mount in enumerate(container.volume_mounts):
            if support is None:
                support = mount_support(Path(gettempdir()))
            if support.kind != "none":
                return
            source = own_places.get(mount.name)
            plain = not (mount.read_only or mount.sub_path or mount.sub_path_expr)
            if source is None or not plain or os.path.realpath(source) != os.path.realpath(mount.mount_path):
                yield origin.error(
                    f"{path}.volumeMounts[{index}].mountPath",
                    f"this machine allows no mount namespace ({support.reason}). {ADVICE}",
                )
