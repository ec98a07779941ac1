"""What a pod will look for in vain: programs and directories, ConfigMaps and Secrets that are not there.

A cluster would find out only when it starts the container, and so do we (INIT-9, STATUS-9): none of this
keeps anything from running. But who is told before the start need not puzzle over a pod that waits for ever.
"""

import os
from collections.abc import Iterator, Mapping, Sequence

from minikubelet.api.config import ConfigMap, Secret
from minikubelet.api.errors import FieldError, Notice, Origin
from minikubelet.api.manifest import Manifest
from minikubelet.api.pod import EnvVarSource, KeyToPath, PodSpec
from minikubelet.runtime.configs import ROOT_CA
from minikubelet.runtime.feasibility import commands, containers
from minikubelet.runtime.images import ImageResolver, is_mounted


def missing_notices(manifest: Manifest, images: ImageResolver) -> list[Notice]:
    """One for each place of the manifests. Raises `UnresolvedImage`."""
    found: dict[FieldError, None] = {}
    for namespace, spec, origin in _specs(manifest):
        found.update(dict.fromkeys(_missing_programs(spec, origin, images)))
        found.update(dict.fromkeys(_missing_objects(namespace, spec, origin, manifest)))
    ordered = sorted(found, key=lambda one: (one.file, one.line, one.column))
    return [Notice(str(one)) for one in ordered]


def _specs(manifest: Manifest) -> Iterator[tuple[str, PodSpec, Origin]]:
    for pod in manifest.pods:
        yield pod.obj.metadata.namespace, pod.obj.spec, pod.origin
    for job in manifest.jobs:
        yield job.obj.metadata.namespace, job.obj.spec.template.spec, job.origin
    for cron_job in manifest.cron_jobs:
        template = cron_job.obj.spec.job_template.spec.template
        yield cron_job.obj.metadata.namespace, template.spec, cron_job.origin


# ------------------------------------------------------------------ programs


def _missing_programs(spec: PodSpec, origin: Origin, images: ImageResolver) -> Iterator[FieldError]:
    for path, container in containers(spec):
        found = images.resolve(container, completes=container.name in spec.plain_inits)
        if found.is_stub:
            continue
        if images.lacks_program(found.argv[0], container, found):
            message = f'"{found.argv[0]}" is not on this machine, the container will not start'
            yield origin.error(f"{path}.command", message)
        directory = container.working_dir or found.working_dir
        if directory and not os.path.isdir(directory) and not is_mounted(directory, container):
            message = f'"{directory}" is not on this machine, the container will not start'
            yield origin.error(f"{path}.workingDir", message)
        for place, words in commands(path, container):
            if ".exec." in place and words and images.lacks_program(words[0], container, found):
                yield origin.error(place, f'"{words[0]}" is not on this machine, this will never succeed')


# ------------------------------------------------------------------ ConfigMaps and Secrets

_Reference = tuple[str, str, str, Sequence[str]]
"Field path, kind and name of what is referred to, and the keys it has to have."


def _missing_objects(
    namespace: str, spec: PodSpec, origin: Origin, manifest: Manifest
) -> Iterator[FieldError]:
    for path, kind, name, keys in (*_of_volumes(spec), *_of_environments(spec)):
        known: Mapping[str, ConfigMap | Secret] = (
            manifest.config_maps if kind == "ConfigMap" else manifest.secrets
        )
        held = known.get(f"{namespace}/{name}")
        if held is None:
            if name != ROOT_CA:
                message = f"{kind} {namespace}/{name} is not among the input, the pod will wait for it"
                yield origin.error(path, message)
            continue
        there = {*held.data, *(held.binary_data if isinstance(held, ConfigMap) else ())}
        for key in keys:
            if key not in there:
                message = f"{kind} {namespace}/{name} has no key {key}, the pod will wait for it"
                yield origin.error(path, message)


def _of_volumes(spec: PodSpec) -> Iterator[_Reference]:
    for index, volume in enumerate(spec.volumes):
        path = f"spec.volumes[{index}]"
        if volume.config_map is not None and not volume.config_map.optional:
            keys = _keys(volume.config_map.items)
            yield f"{path}.configMap.name", "ConfigMap", volume.config_map.name, keys
        if volume.secret is not None and not volume.secret.optional:
            yield f"{path}.secret.secretName", "Secret", volume.secret.secret_name, _keys(volume.secret.items)
        for number, source in enumerate(volume.projected.sources if volume.projected else ()):
            place = f"{path}.projected.sources[{number}]"
            if source.config_map is not None and not source.config_map.optional:
                keys = _keys(source.config_map.items)
                yield f"{place}.configMap.name", "ConfigMap", source.config_map.name, keys
            if source.secret is not None and not source.secret.optional:
                yield f"{place}.secret.name", "Secret", source.secret.name, _keys(source.secret.items)


def _keys(items: Sequence[KeyToPath]) -> Sequence[str]:
    return [item.key for item in items]


def _of_environments(spec: PodSpec) -> Iterator[_Reference]:
    for path, container in containers(spec):
        for index, source in enumerate(container.env_from):
            place = f"{path}.envFrom[{index}]"
            if source.config_map_ref is not None and not source.config_map_ref.optional:
                yield f"{place}.configMapRef.name", "ConfigMap", source.config_map_ref.name, ()
            if source.secret_ref is not None and not source.secret_ref.optional:
                yield f"{place}.secretRef.name", "Secret", source.secret_ref.name, ()
        for index, variable in enumerate(container.env):
            place, value = f"{path}.env[{index}].valueFrom", variable.value_from or EnvVarSource()
            if (key := value.config_map_key_ref) is not None and not key.optional:
                yield f"{place}.configMapKeyRef", "ConfigMap", key.name, (key.key,)
            if (secret := value.secret_key_ref) is not None and not secret.optional:
                yield f"{place}.secretKeyRef", "Secret", secret.name, (secret.key,)
