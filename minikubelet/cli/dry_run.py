"""`minikubelet run --dry-run`: what would be started, for people.

Says per container which words would be executed and who said so. Long words are cut: whoever wants the
script can read it in the manifest.
"""

from collections import Counter
from collections.abc import Iterator
from shlex import quote

from minikubelet.api.manifest import Manifest
from minikubelet.api.pod import Container, PodSpec
from minikubelet.cli.screen import tame
from minikubelet.runtime.feasibility import containers
from minikubelet.runtime.images import ImageResolver, Resolution

LONGEST_WORD = 160  # characters


def dry_run_text(manifest: Manifest, images: ImageResolver) -> str:
    """One block of lines per container. Raises `UnresolvedImage`."""
    blocks = (
        "\n".join([f"{owner}: {_kind(spec, container)} {container.name}", *_lines(spec, container, images)])
        for owner, spec in _specs(manifest)
        for _, container in containers(spec)
    )
    return "\n\n".join(blocks)


def _specs(manifest: Manifest) -> Iterator[tuple[str, PodSpec]]:
    """Each spec with the name of what it belongs to; the replicas of one controller are told once."""
    replicas = Counter(id(pod.origin) for pod in manifest.pods)
    for pod in manifest.pods:
        others = replicas.pop(id(pod.origin), 0) - 1
        if others >= 0:
            yield f"Pod {pod.obj.metadata.name}{f' and {others} more like it' * (others > 0)}", pod.obj.spec
    for job in manifest.jobs:
        yield f"Job {job.obj.metadata.name}", job.obj.spec.template.spec
    for cron_job in manifest.cron_jobs:
        template = cron_job.obj.spec.job_template.spec.template
        yield f"CronJob {cron_job.obj.metadata.name}", template.spec


def _kind(spec: PodSpec, container: Container) -> str:
    if container.name in spec.sidecars:
        return "sidecar"
    return "init container" if container.name in spec.plain_inits else "container"


def _lines(spec: PodSpec, container: Container, images: ImageResolver) -> Iterator[str]:
    found = images.resolve(container, completes=container.name in spec.plain_inits)
    yield f"  image:   {container.image or '(none)'}"
    yield f"  from:    {found.source}"
    yield f"  command: {' '.join(map(shortened, found.argv))}"
    if found.path_prefix:
        yield f"  PATH:    {':'.join(found.path_prefix)}:..."
    if found.user:
        yield f"  user:    {found.user}"
    if container.working_dir or found.working_dir:
        yield f"  workdir: {container.working_dir or found.working_dir}"
    names = dict.fromkeys(_variables(container, found))
    if names:
        yield f"  env:     {', '.join(names)}"
    for mount in container.volume_mounts:
        volume = mount.name + (f"/{mount.sub_path or mount.sub_path_expr}".rstrip("/"))
        yield f"  mount:   {mount.mount_path} <- {volume}{' (read only)' * mount.read_only}"


def _variables(container: Container, found: Resolution) -> Iterator[str]:
    yield from found.env
    for source in container.env_from:
        if source.config_map_ref is not None:
            yield f"{source.prefix}* of ConfigMap {source.config_map_ref.name}"
        elif source.secret_ref is not None:
            yield f"{source.prefix}* of Secret {source.secret_ref.name}"
    for variable in container.env:
        yield variable.name


def shortened(word: str) -> str:
    """A word as a shell would read it; of a long one, or of several lines, the beginning."""
    first, _, rest = word.strip("\n").partition("\n")
    first = tame(first, color=False)
    if rest:
        count = rest.count("\n") + 1
        return f"{quote(first[:LONGEST_WORD] + ' ...')} (+{count} line{'s' * (count > 1)})"
    if len(first) > LONGEST_WORD:
        return f"{quote(first[:LONGEST_WORD] + '...')} (+{len(first) - LONGEST_WORD} characters)"
    return quote(first)
