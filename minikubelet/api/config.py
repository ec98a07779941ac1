"""ConfigMap and Secret as frozen types: where environment variables and volume files come from."""

from collections.abc import Mapping

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.values import Factory, frozen


@frozen
class ConfigMap:
    metadata: ObjectMeta
    data: Mapping[str, str] = Factory(dict)
    binary_data: Mapping[str, bytes] = Factory(dict)
    immutable: bool | None = None
    api_version: str = "v1"
    kind: str = "ConfigMap"


@frozen
class Secret:
    """`data` is already decoded from base64 and merged with `stringData`, which wins."""

    metadata: ObjectMeta
    data: Mapping[str, bytes] = Factory(dict)
    type: str = "Opaque"
    immutable: bool | None = None
    api_version: str = "v1"
    kind: str = "Secret"
