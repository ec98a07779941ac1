"""Service as frozen types: a name by which pods find others. Field defaults as in `api.pod`."""

from collections.abc import Mapping

from minikubelet.api.meta import Json, ObjectMeta
from minikubelet.api.pod import IntOrString
from minikubelet.api.values import Factory, frozen


@frozen
class ServicePort:
    port: int
    name: str | None = None
    protocol: str = "TCP"
    target_port: IntOrString | None = None
    "None or 0: the same as `port`."
    node_port: int | None = None
    app_protocol: str | None = None


@frozen
class ServiceSpec:
    selector: Mapping[str, str] = Factory(dict)
    ports: tuple[ServicePort, ...] = ()
    type: str = "ClusterIP"
    cluster_ip: str | None = None
    cluster_ips: tuple[str, ...] = ()
    external_name: str | None = None
    external_ips: tuple[str, ...] = ()
    publish_not_ready_addresses: bool = False
    session_affinity: str = "None"
    session_affinity_config: Json = None
    allocate_load_balancer_node_ports: bool | None = None
    external_traffic_policy: str | None = None
    internal_traffic_policy: str | None = None
    health_check_node_port: int | None = None
    ip_families: tuple[str, ...] = ()
    ip_family_policy: str | None = None
    load_balancer_class: str | None = None
    load_balancer_ip: str | None = None
    load_balancer_source_ranges: tuple[str, ...] = ()
    traffic_distribution: str | None = None

    @property
    def is_external(self) -> bool:
        """Another name for something outside."""
        return self.type == "ExternalName"

    @property
    def is_headless(self) -> bool:
        """Has no address of its own; its name stands for its pods, and each of them has a name too."""
        return self.cluster_ip == "None" and not self.is_external


@frozen
class Service:
    metadata: ObjectMeta
    spec: ServiceSpec = Factory(ServiceSpec)
    status: Json = None
    api_version: str = "v1"
    kind: str = "Service"

    @property
    def key(self) -> str:
        """`namespace/name`, unique among the Services of one run."""
        return f"{self.metadata.namespace}/{self.metadata.name}"
