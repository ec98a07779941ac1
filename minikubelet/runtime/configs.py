"""The ConfigMaps and Secrets that pods find, while they run as well as before.

Responsible for what there is of them now: those of the manifest, those that are given from Python later, and
what is written into the manifest's files after the start, as `kubectl apply` would bring it. Refuses to know
who looks them up. The one idea: files are only looked at when somebody has found something missing (STATUS-9,
VOL-6), so that a run that lacks nothing pays nothing.
"""

import os
from collections.abc import Callable, Iterable, Sequence

from minikubelet.api.config import ConfigMap, Secret
from minikubelet.api.errors import ManifestError
from minikubelet.api.manifest import STDIN, Manifest, files_of, load
from minikubelet.api.values import evolve

ROOT_CA = "kube-root-ca.crt"
"""The ConfigMap that a cluster has in every namespace, so manifests may count on it. There is no API server
here whose certificate it could vouch for: unless the manifests bring their own, its `ca.crt` is empty."""

Config = ConfigMap | Secret


class Configs:
    """`files` are those that `refresh` reads again; `notice` is told in one sentence what that came to."""

    def __init__(
        self,
        objects: Iterable[Config] = (),
        *,
        files: Sequence[str] = (),
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._objects = {_key(one): one for one in objects}
        self._files = tuple(file for file in files if file != STDIN)
        self._seen = _states(self._files)
        self._notice = notice

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        *,
        files: Sequence[str] = (),
        notice: Callable[[str], None] = lambda text: None,
    ) -> "Configs":
        return cls(_configs_of(manifest), files=files, notice=notice)

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        found = self._objects.get(("ConfigMap", namespace, name))
        return found if isinstance(found, ConfigMap) else None

    def secret(self, namespace: str, name: str) -> Secret | None:
        found = self._objects.get(("Secret", namespace, name))
        return found if isinstance(found, Secret) else None

    def apply(self, config: Config) -> None:
        """Add a ConfigMap or Secret, or replace the one of that name.

        Raises ValueError, as the API server refuses it, where that one is immutable and says something else.
        """
        known = self._objects.get(_key(config))
        if known is not None and known.immutable and _content(known) != _content(config):
            raise ValueError(f"{_name(config)} is immutable")
        self._objects[_key(config)] = config

    def refresh(self) -> bool:
        """Read the files again if they have changed since; whether anything came of it.

        What is wrong with them is told once for each change, and then all stays as it was. What they no
        longer hold stays too, as nothing is ever deleted by applying.
        """
        states = _states(self._files)
        if states == self._seen:
            return False
        self._seen = states
        try:
            manifest = load(self._files, to_run=False)
        except ManifestError as error:
            for fault in error.errors:
                self._notice(f"not read again: {fault}")
            return False
        taken = [config for config in _configs_of(manifest) if self._take(config)]
        return bool(taken)

    def _take(self, config: Config) -> bool:
        known = self._objects.get(_key(config))
        if known is not None and _content(known) == _content(config):
            return False
        try:
            self.apply(config)
        except ValueError as error:
            self._notice(f"not taken over: {error}")
            return False
        self._notice(f"read again: {_name(config)} is {'new' if known is None else 'changed'}")
        return True


def _configs_of(manifest: Manifest) -> list[Config]:
    return [*manifest.config_maps.values(), *manifest.secrets.values()]


def _key(config: Config) -> tuple[str, str, str]:
    return config.kind, config.metadata.namespace, config.metadata.name


def _name(config: Config) -> str:
    return f"{config.kind} {config.metadata.namespace}/{config.metadata.name}"


def _content(config: Config) -> Config:
    """What immutability is about, and what pods can see."""
    return evolve(config, metadata=evolve(config.metadata, labels={}, annotations={}))


def _states(sources: Sequence[str]) -> tuple[tuple[str | int, ...], ...]:
    """What changes of a file whenever it is written or replaced; of a directory, those of its files."""
    states: list[tuple[str | int, ...]] = []
    for source in sources:
        try:
            for file in files_of(source):
                found = os.stat(file)
                states.append((file, found.st_ino, found.st_size, found.st_mtime_ns))
        except OSError as error:  # perhaps just being replaced: that is a state, too
            states.append((source, error.errno or 0))
    return tuple(states)
