"""Object metadata: names, labels, owners, and how timestamps are written.

Pure data. Timestamps are kept as the RFC 3339 text that is published, since nothing here
computes with them (decisions use monotonic seconds, see `minikubelet.lifecycle`).
"""

from collections.abc import Mapping
from functools import lru_cache
from time import gmtime, strftime
from typing import Any

from minikubelet.api.values import Factory, frozen

# A field that minikubelet carries along without looking inside (affinity, tolerations, ...).
Json = Any


@frozen
class OwnerReference:
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


@frozen
class ObjectMeta:
    name: str = ""
    generate_name: str | None = None
    namespace: str = "default"
    uid: str = ""
    labels: Mapping[str, str] = Factory(dict)
    annotations: Mapping[str, str] = Factory(dict)
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    generation: int | None = None
    resource_version: str | None = None
    self_link: str | None = None
    managed_fields: Json = None


def format_time(wall_seconds: float) -> str:
    """Seconds since the Unix epoch as RFC 3339 with whole seconds, as `metav1.Time` is published."""
    return _format_second(int(wall_seconds))


@lru_cache(maxsize=1024)  # much happens within a second, and a status is read often
def _format_second(wall_second: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(wall_second))


def format_micro_time(wall_seconds: float) -> str:
    """Seconds since the Unix epoch as RFC 3339 with microseconds, as `metav1.MicroTime` is published."""
    second, microsecond = divmod(round(wall_seconds * 1_000_000), 1_000_000)
    return f"{_format_second(second).removesuffix('Z')}.{microsecond:06}Z"
