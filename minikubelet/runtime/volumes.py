"""The volumes of a pod as directories of this machine, and what each container mounts of them.

Responsible for what is in a volume and where it lies; refuses to know how it gets to its `mountPath`
(`mounts`). The one idea: a volume directory that exists is complete. It is filled under another name and
renamed, so preparing again after a failure only adds what is missing (VOL-6), and nothing is ever half made.
"""

import base64
import json
import os
import posixpath
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from minikubelet.api.config import ConfigMap
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import (
    Container,
    DownwardAPIVolumeFile,
    HostPathVolumeSource,
    KeyToPath,
    Pod,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
    VolumeProjection,
)
from minikubelet.api.values import frozen
from minikubelet.runtime.base import PrepareError, StartError
from minikubelet.runtime.configs import ROOT_CA
from minikubelet.runtime.environment import (
    ConfigSource,
    NodeInfo,
    expand,
    field_text,
    resource_value,
)
from minikubelet.runtime.mounts import Mount
from minikubelet.runtime.planted import Identity, identity, names_inside, open_beneath
from minikubelet.runtime.removal import remove_tree


def prepare_volumes(pod: Pod, directory: Path, configs: ConfigSource, node: NodeInfo) -> dict[str, Path]:
    """Where each volume lies: `directory/volumes/NAME`, or the path itself for a hostPath (VOL-1..VOL-3).

    What a persistentVolumeClaim names lies beside the pods' directories, in `claims/NAMESPACE/NAME`, so all
    pods that name it share it and none removes it. Raises `PrepareError` with what the kubelet says in
    `FailedMount`, for every volume that cannot be made; the others are made nevertheless, and stay. emptyDir
    is a plain directory whatever its medium, and sizeLimit is not enforced.
    """
    volumes = directory / "volumes"
    # Secrets lie below it, readable for all: containers reach them through their mounts only.
    volumes.mkdir(mode=0o700, parents=True, exist_ok=True)
    prepared: dict[str, Path] = {}
    failures = []
    for volume in pod.spec.volumes:
        try:
            if volume.persistent_volume_claim is not None:
                name = _inside(volume.persistent_volume_claim.claim_name)
                claim = directory.parent / "claims" / pod.metadata.namespace / name
                prepared[volume.name] = _prepare_claim(claim, pod)
            else:
                prepared[volume.name] = _prepare(volume, pod, volumes, configs, node)
        except (_SetUpError, OSError) as error:
            failures.append(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}')
    if failures:
        raise PrepareError("; ".join(failures))
    return prepared


class _SetUpError(Exception):
    pass


def _prepare(volume: Volume, pod: Pod, volumes: Path, configs: ConfigSource, node: NodeInfo) -> Path:
    if volume.host_path is not None:
        _check_host_path(volume.host_path)
        return Path(volume.host_path.path)
    place = volumes / volume.name
    if not place.exists():
        payload = _Payload(pod, configs, node)
        payload.add(volume)
        unfinished = volumes / f".{volume.name}.new"  # no volume's name begins with a dot
        if unfinished.exists():
            remove_tree(unfinished)
        unfinished.mkdir()
        payload.write(unfinished)
        unfinished.chmod(0o755 if _is_made_from_api(volume) else 0o777)
        if (group := pod.spec.security_context.fs_group) is not None:
            _give_to_group(unfinished, group, _is_made_from_api(volume))
        unfinished.rename(place)
    return place


def _prepare_claim(place: Path, pod: Pod) -> Path:
    if not place.exists():
        place.parent.parent.mkdir(mode=0o700, exist_ok=True)
        place.mkdir(parents=True)
        place.chmod(0o777)
    if (group := pod.spec.security_context.fs_group) is not None:
        _give_to_group(place, group, read_only=False)
    return place


def _is_made_from_api(volume: Volume) -> bool:
    """Such volumes are mounted read-only whatever the mount says (`mustMountRO`, makeMounts)."""
    sources = (volume.config_map, volume.secret, volume.downward_api, volume.projected)
    return any(source is not None for source in sources)


def _is_read_only(volume: Volume) -> bool:
    claim = volume.persistent_volume_claim
    return _is_made_from_api(volume) or (claim is not None and claim.read_only)


# ------------------------------------------------------------------ hostPath

_KINDS: Mapping[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def _check_host_path(source: HostPathVolumeSource) -> None:
    """VOL-2, as `checkTypeInternal` does; symlinks are followed."""
    if not source.type:
        return
    exists = os.path.exists(source.path)
    if source.type == "DirectoryOrCreate" and not exists:
        os.makedirs(source.path, 0o755)
    elif source.type == "FileOrCreate" and not exists:
        os.close(os.open(source.path, os.O_CREAT | os.O_WRONLY, 0o644))
    is_kind, name = _KINDS[source.type.removesuffix("OrCreate")]
    try:
        fits = is_kind(os.stat(source.path).st_mode)
    except FileNotFoundError:
        fits = False
    if not fits:
        raise _SetUpError(f"hostPath type check failed: {source.path} is not {name}")


# ------------------------------------------------------------------ files made of what the API says


@frozen
class _File:
    content: bytes
    mode: int


class _Payload:
    """The files of one volume by their path in it; what is added later wins."""

    def __init__(self, pod: Pod, configs: ConfigSource, node: NodeInfo) -> None:
        self._pod = pod
        self._configs = configs
        self._node = node
        self._files: dict[str, _File] = {}

    def add(self, volume: Volume) -> None:
        if (config_map := volume.config_map) is not None:
            mode = config_map.default_mode
            self._add_config_map(config_map.name, config_map.items, config_map.optional, mode)
        elif (secret := volume.secret) is not None:
            self._add_secret(secret.secret_name, secret.items, secret.optional, secret.default_mode)
        elif (downward_api := volume.downward_api) is not None:
            self._add_downward_api(downward_api.items, downward_api.default_mode)
        elif (projected := volume.projected) is not None:
            for source in projected.sources:
                self._add_projection(source, projected.default_mode)

    def _add_projection(self, source: VolumeProjection, mode: int) -> None:
        if (config_map := source.config_map) is not None:
            self._add_config_map(config_map.name, config_map.items, config_map.optional, mode)
        elif (secret := source.secret) is not None:
            self._add_secret(secret.name, secret.items, secret.optional, mode)
        elif (downward_api := source.downward_api) is not None:
            self._add_downward_api(downward_api.items, mode)
        elif (token := source.service_account_token) is not None:
            security = self._pod.spec.security_context
            private = security.fs_group is not None or security.run_as_user is not None
            self._files[_inside(token.path)] = _File(_token(self._pod, token), 0o600 if private else mode)

    def _add_config_map(
        self, name: str, items: Sequence[KeyToPath], optional: bool | None, mode: int
    ) -> None:
        found = self._configs.config_map(self._pod.metadata.namespace, name)
        if found is None and name == ROOT_CA:
            found = ConfigMap(ObjectMeta(name=name), data={"ca.crt": ""})
        if found is not None:
            data = {**{key: text.encode() for key, text in found.data.items()}, **found.binary_data}
            self._add_keys(data, items, optional, mode, "configmap references non-existent config key")
        elif not optional:
            raise _SetUpError(f'configmap "{name}" not found')

    def _add_secret(self, name: str, items: Sequence[KeyToPath], optional: bool | None, mode: int) -> None:
        found = self._configs.secret(self._pod.metadata.namespace, name)
        if found is not None:
            self._add_keys(found.data, items, optional, mode, "references non-existent secret key")
        elif not optional:
            raise _SetUpError(f'secret "{name}" not found')

    def _add_keys(
        self,
        data: Mapping[str, bytes],
        items: Sequence[KeyToPath],
        optional: bool | None,
        mode: int,
        complaint: str,
    ) -> None:
        for item in items or [KeyToPath(key, key) for key in data]:
            if item.key in data:
                item_mode = mode if item.mode is None else item.mode
                self._files[_inside(item.path)] = _File(data[item.key], item_mode)
            elif not optional:
                raise _SetUpError(f"{complaint}: {item.key}")

    def _add_downward_api(self, items: Sequence[DownwardAPIVolumeFile], mode: int) -> None:
        for item in items:
            try:
                if item.field_ref is not None:
                    text = field_text(self._pod, item.field_ref.field_path)
                elif item.resource_field_ref is not None:
                    text = resource_value(self._pod, None, item.resource_field_ref, self._node)
                else:
                    continue
            except ValueError as error:
                raise _SetUpError(str(error)) from error
            item_mode = mode if item.mode is None else item.mode
            self._files[_inside(item.path)] = _File(text.encode(errors="surrogateescape"), item_mode)

    def write(self, directory: Path) -> None:
        for path, file in self._files.items():
            place = directory / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.content)
            place.chmod(file.mode)


def _inside(path: str) -> str:
    """A path that does not leave the volume (`validatePath`, atomic_writer.go)."""
    if not path or path.startswith("/"):
        raise _SetUpError(f"invalid path: must be relative path: {path}")
    if ".." in path.split("/"):
        raise _SetUpError(f"invalid path: must not contain '..': {path}")
    if path.startswith(".."):
        raise _SetUpError(f"invalid path: must not start with '..': {path}")
    return path


def _token(pod: Pod, source: ServiceAccountTokenProjection) -> bytes:
    """A token of the usual form, unsigned: it names the pod to whoever reads it and opens no door."""
    namespace, account = pod.metadata.namespace, pod.spec.service_account_name
    now = int(time.time())
    claims = {
        "aud": [source.audience or "https://kubernetes.default.svc.cluster.local"],
        "exp": now + (source.expiration_seconds or 3600),
        "iat": now,
        "iss": "https://kubernetes.default.svc.cluster.local",
        "kubernetes.io": {
            "namespace": namespace,
            "pod": {"name": pod.metadata.name, "uid": pod.metadata.uid},
            "serviceaccount": {"name": account},
        },
        "nbf": now,
        "sub": f"system:serviceaccount:{namespace}:{account}",
    }
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in ({"alg": "none"}, claims)]
    return b".".join(part.rstrip(b"=") for part in parts) + b"."


def _give_to_group(directory: Path, group: int, read_only: bool) -> None:
    """fsGroup, as `SetVolumeOwnership` does.

    Whoever is neither root nor in the group runs every container as itself, and needs no group for that.
    """
    if os.geteuid() != 0 and group not in (os.getegid(), *os.getgroups()):
        return
    top = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _give(top, group, 0o440 if read_only else 0o660)
    finally:
        os.close(top)
    for _, directories, files, below in os.fwalk(directory):
        for name in (*directories, *files):
            try:
                held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=below)
            except FileNotFoundError:
                continue  # a claim is in use by other pods
            try:
                _give(held, group, 0o440 if read_only else 0o660)
            finally:
                os.close(held)


def _give(held: int, group: int, allowed: int) -> None:
    """A symlink in a claim may have been made by anybody, and lead anywhere."""
    mode, place = os.fstat(held).st_mode, f"/proc/self/fd/{held}"
    if stat.S_ISLNK(mode):
        return
    os.chown(place, -1, group)
    is_directory = stat.S_ISDIR(mode)
    os.chmod(place, stat.S_IMODE(mode) | allowed | (stat.S_ISGID | 0o110 if is_directory else 0))


# ------------------------------------------------------------------ what a container mounts


def container_mounts(
    pod: Pod, container: Container, volumes: Mapping[str, Path], env: Mapping[str, str]
) -> tuple[Mount, ...]:
    """The container's volumeMounts, parents before what is mounted inside them (VOL-4, VOL-5).

    `volumes` is what `prepare_volumes` returned, `env` the variables that the manifest declares for this
    instance. A subPath that is not there is made as a directory. Raises `StartError`.
    """
    specs = {volume.name: volume for volume in pod.spec.volumes}
    mounts = []
    for mount in container.volume_mounts:
        if mount.name not in volumes:
            message = (
                f'mount cannot be satisfied for container "{container.name}", because the volume is missing'
            )
            raise _config_error(f"{message}: {mount.name}")
        mounts.append(_mount(mount, container, specs[mount.name], volumes[mount.name], env))
    return tuple(sorted(mounts, key=lambda mount: mount.target.count("/")))


def _mount(
    mount: VolumeMount, container: Container, volume: Volume, place: Path, env: Mapping[str, str]
) -> Mount:
    target = posixpath.normpath("/" + mount.mount_path.lstrip("/"))
    if target == "/":
        raise _config_error(f'volume "{mount.name}" cannot be mounted at "/"')
    if mount.mount_propagation == "Bidirectional":
        message = f'mountPropagation Bidirectional of volume "{mount.name}" is not supported: '
        raise _config_error(message + "what a container mounts stays in its own mount namespace")
    if not place.exists():  # a hostPath without a type; container runtimes make it so
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f'failed to mkdir "{place}": {error.strerror}'
            raise StartError("CreateContainerError", message) from error
    sub_path = _sub_path(mount, env)
    source, is_what = _safe_sub_path(place, sub_path, mount, container) if sub_path else (place, None)
    return Mount(
        source,
        target,
        is_what=is_what,
        read_only=mount.read_only or _is_read_only(volume),
        recursive=mount.recursive_read_only in ("Enabled", "IfPossible"),
        follows_host=mount.mount_propagation == "HostToContainer",
    )


def _sub_path(mount: VolumeMount, env: Mapping[str, str]) -> str:
    sub_path = mount.sub_path
    if mount.sub_path_expr:
        variables = _Required(env)
        sub_path = expand(mount.sub_path_expr, variables)
        if variables.missing:
            raise _config_error(f"missing value for {', '.join(sorted(variables.missing))}")
    if sub_path.startswith("/"):
        raise _config_error(f"error SubPath `{sub_path}` must not be an absolute path")
    if ".." in sub_path.split("/"):
        raise _config_error(f"unable to provision SubPath `{sub_path}`: must not contain '..'")
    return sub_path


class _Required(dict[str, str]):
    """Variables that must be there, and not empty (`ExpandContainerVolumeMounts`)."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.missing: set[str] = set()

    def get(self, name: str, default: object = None) -> str:
        value = super().get(name, "")
        if not value:
            self.missing.add(name)
        return value


def _safe_sub_path(
    place: Path, sub_path: str, mount: VolumeMount, container: Container
) -> tuple[Path, Identity]:
    """The directory or file at `sub_path`, inside the volume whatever symlinks containers made in it.

    Symlinks that stay inside are followed. What is missing gets the volume's own mode (`SafeMakeDir`). It is
    mounted by its path later on, when a container may have put another symlink there, so what is mounted has
    to be what was found now.
    """

    def failed(what: object) -> StartError:
        subject = f'volumeMount "{mount.name}" of container "{container.name}"'
        return _config_error(f"failed to prepare subPath for {subject}: {what}")

    try:
        root, names = names_inside(place, sub_path)
        path = Path(root, *names)
        found = open_beneath(root, names, make=not path.exists())
    except (OSError, ValueError) as error:
        raise failed(error) from error
    try:
        return path, identity(found)
    finally:
        os.close(found)


def make_working_dir(working_dir: str, mounts: Sequence[Mount]) -> None:
    """Make a workingDir that is missing, as container runtimes do, where it lies in a volume.

    Elsewhere the directory would be one of this machine's, which is not ours to change; and what is in the
    way shows when the container starts.
    """
    around = [m for m in mounts if f"{working_dir}/".startswith(f"{m.target}/") and not m.read_only]
    if not around:
        return
    mount = max(around, key=lambda mount: len(mount.target))
    try:
        root = os.open(mount.source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if mount.is_what in (None, identity(root)):
            held = f"/proc/self/fd/{root}"
            os.close(open_beneath(held, Path(working_dir).relative_to(mount.target).parts, make=True))
    except OSError:
        pass  # chdir(2) will say what is wrong, if anything is: a symlink may well lead somewhere
    finally:
        os.close(root)


def _config_error(message: str) -> StartError:
    return StartError("CreateContainerConfigError", message)
