"""The Pod specification as frozen types, in the API's own words.

Field names are those of the Kubernetes v1 API in snake_case; `codec` converts. Field defaults are
the API server's (DEF-*) wherever they do not depend on another field; the rest is in `defaults`.
What minikubelet does not look into is kept as `Json`, so that a pod is published as it was given.
"""

from collections.abc import Collection, Mapping

from minikubelet.api.event import ObjectReference
from minikubelet.api.meta import Json, ObjectMeta
from minikubelet.api.pod_status import PodStatus
from minikubelet.api.values import Factory, derived, evolve, frozen

IntOrString = int | str

# ------------------------------------------------------------------ handlers, probes, hooks


@frozen
class ExecAction:
    command: tuple[str, ...] = ()


@frozen
class HTTPHeader:
    name: str
    value: str = ""


@frozen
class HTTPGetAction:
    port: IntOrString
    path: str = "/"
    host: str | None = None
    scheme: str = "HTTP"
    http_headers: tuple[HTTPHeader, ...] = ()


@frozen
class TCPSocketAction:
    port: IntOrString
    host: str | None = None


@frozen
class GRPCAction:
    port: int
    service: str = ""


@frozen
class SleepAction:
    seconds: int


@frozen
class Probe:
    """PROBE-2: lengths are seconds; exactly one handler is set (VALID-7)."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    initial_delay_seconds: int = 0
    timeout_seconds: int = 1
    period_seconds: int = 10
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_seconds: int | None = None


@frozen
class LifecycleHandler:
    """HOOK-1: exactly one is set (VALID-12)."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    sleep: SleepAction | None = None


@frozen
class Lifecycle:
    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None
    stop_signal: str | None = None


# ------------------------------------------------------------------ environment


@frozen
class ObjectFieldSelector:
    field_path: str
    api_version: str = "v1"


@frozen
class ResourceFieldSelector:
    resource: str
    container_name: str | None = None
    divisor: IntOrString | float | None = None


@frozen
class ConfigMapKeySelector:
    key: str
    name: str = ""
    optional: bool | None = None


@frozen
class SecretKeySelector:
    key: str
    name: str = ""
    optional: bool | None = None


@frozen
class FileKeySelector:
    """KEP-3721."""

    volume_name: str
    path: str
    key: str
    optional: bool | None = None


@frozen
class EnvVarSource:
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    config_map_key_ref: ConfigMapKeySelector | None = None
    secret_key_ref: SecretKeySelector | None = None
    file_key_ref: FileKeySelector | None = None


@frozen
class EnvVar:
    name: str
    value: str | None = None
    value_from: EnvVarSource | None = None


@frozen
class ConfigMapEnvSource:
    name: str = ""
    optional: bool | None = None


@frozen
class SecretEnvSource:
    name: str = ""
    optional: bool | None = None


@frozen
class EnvFromSource:
    prefix: str = ""
    config_map_ref: ConfigMapEnvSource | None = None
    secret_ref: SecretEnvSource | None = None


# ------------------------------------------------------------------ containers


@frozen
class ContainerPort:
    container_port: int
    name: str | None = None
    protocol: str = "TCP"
    host_port: int | None = None
    host_ip: str | None = None


@frozen
class ResourceRequirements:
    """Quantities as written (`100m`, `1Gi`, 2); `api.quantity` gives them a value."""

    limits: Mapping[str, IntOrString | float] = Factory(dict)
    requests: Mapping[str, IntOrString | float] = Factory(dict)
    claims: Json = None


@frozen
class VolumeMount:
    name: str
    mount_path: str
    read_only: bool = False
    recursive_read_only: str | None = None
    sub_path: str = ""
    sub_path_expr: str = ""
    mount_propagation: str | None = None
    bind_mount_options: Json = None


@frozen
class ContainerRestartRuleOnExitCodes:
    operator: str
    values: tuple[int, ...] = ()


@frozen
class ContainerRestartRule:
    action: str
    exit_codes: ContainerRestartRuleOnExitCodes | None = None


@frozen
class SecurityContext:
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    read_only_root_filesystem: bool | None = None
    capabilities: Json = None
    proc_mount: str | None = None
    se_linux_options: Json = None
    windows_options: Json = None
    seccomp_profile: Json = None
    app_armor_profile: Json = None


@frozen
class Container:
    name: str
    image: str | None = None
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str | None = None
    ports: tuple[ContainerPort, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    env: tuple[EnvVar, ...] = ()
    resources: ResourceRequirements = Factory(ResourceRequirements)
    resize_policy: Json = None
    restart_policy: str | None = None
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    volume_devices: Json = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str = "/dev/termination-log"
    termination_message_policy: str = "File"
    image_pull_policy: str | None = None
    security_context: SecurityContext | None = None
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False

    def probe_of(self, kind: str) -> Probe | None:
        """The probe of kind `startup`, `liveness` or `readiness`."""
        match kind:
            case "startup":
                return self.startup_probe
            case "liveness":
                return self.liveness_probe
            case _:
                return self.readiness_probe


# ------------------------------------------------------------------ volumes


@frozen
class KeyToPath:
    key: str
    path: str
    mode: int | None = None
    user: int | None = None


@frozen
class EmptyDirVolumeSource:
    medium: str = ""
    size_limit: IntOrString | float | None = None
    mode: int | None = None


@frozen
class HostPathVolumeSource:
    path: str
    type: str = ""


@frozen
class ConfigMapVolumeSource:
    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: int = 0o644
    optional: bool | None = None
    default_user: int | None = None


@frozen
class SecretVolumeSource:
    secret_name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: int = 0o644
    optional: bool | None = None
    default_user: int | None = None


@frozen
class DownwardAPIVolumeFile:
    path: str
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: int | None = None
    user: int | None = None


@frozen
class DownwardAPIVolumeSource:
    items: tuple[DownwardAPIVolumeFile, ...] = ()
    default_mode: int = 0o644
    default_user: int | None = None


@frozen
class ConfigMapProjection:
    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None


@frozen
class SecretProjection:
    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None


@frozen
class DownwardAPIProjection:
    items: tuple[DownwardAPIVolumeFile, ...] = ()


@frozen
class ServiceAccountTokenProjection:
    path: str
    audience: str | None = None
    expiration_seconds: int | None = None
    user: int | None = None


@frozen
class VolumeProjection:
    config_map: ConfigMapProjection | None = None
    secret: SecretProjection | None = None
    downward_api: DownwardAPIProjection | None = None
    service_account_token: ServiceAccountTokenProjection | None = None


@frozen
class ProjectedVolumeSource:
    sources: tuple[VolumeProjection, ...] = ()
    default_mode: int = 0o644
    default_user: int | None = None


@frozen
class PersistentVolumeClaimVolumeSource:
    claim_name: str
    read_only: bool = False


@frozen
class Volume:
    """Exactly one source is set (VALID-2, DEF-4); other kinds of source are refused on loading."""

    name: str
    empty_dir: EmptyDirVolumeSource | None = None
    host_path: HostPathVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    ephemeral: Json = None


# ------------------------------------------------------------------ the pod


@frozen
class PodReadinessGate:
    condition_type: str


@frozen
class PodOS:
    name: str


@frozen
class HostAlias:
    ip: str
    hostnames: tuple[str, ...] = ()


@frozen
class PodSecurityContext:
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    fs_group: int | None = None
    fs_group_change_policy: str | None = None
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_policy: str | None = None
    sysctls: Json = None
    se_linux_options: Json = None
    se_linux_change_policy: str | None = None
    windows_options: Json = None
    seccomp_profile: Json = None
    app_armor_profile: Json = None


@frozen
class PodSpec:
    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    restart_policy: str = "Always"
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None
    readiness_gates: tuple[PodReadinessGate, ...] = ()
    security_context: PodSecurityContext = Factory(PodSecurityContext)
    os: PodOS | None = None
    hostname: str | None = None
    subdomain: str | None = None
    host_aliases: tuple[HostAlias, ...] = ()
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    host_users: bool | None = None
    hostname_override: str | None = None
    share_process_namespace: bool = False
    set_hostname_as_fqdn: bool | None = None
    enable_service_links: bool = True
    service_account_name: str = "default"
    service_account: str | None = None
    automount_service_account_token: bool | None = None
    node_name: str | None = None
    node_selector: Mapping[str, str] = Factory(dict)
    affinity: Json = None
    tolerations: Json = None
    topology_spread_constraints: Json = None
    scheduler_name: str = "default-scheduler"
    scheduling_gates: Json = None
    scheduling_group: Json = None
    eviction_responders: Json = None
    priority: int | None = None
    priority_class_name: str | None = None
    preemption_policy: str | None = None
    runtime_class_name: str | None = None
    overhead: Json = None
    resources: ResourceRequirements | None = None
    resource_claims: Json = None
    image_pull_secrets: Json = None
    dns_policy: str = "ClusterFirst"
    dns_config: Json = None

    @derived
    def all_containers(self) -> dict[str, Container]:
        """Every container by name, initContainers first, in spec order."""
        return {c.name: c for c in (*self.init_containers, *self.containers)}

    @derived
    def sidecars(self) -> dict[str, Container]:
        """SIDE-1: initContainers whose own restartPolicy is Always, in spec order."""
        return {c.name: c for c in self.init_containers if c.restart_policy == "Always"}

    @derived
    def plain_inits(self) -> dict[str, Container]:
        """initContainers that run to completion, in spec order."""
        return {c.name: c for c in self.init_containers if c.restart_policy != "Always"}

    @derived
    def lasting(self) -> dict[str, Container]:
        """Sidecars and mains in spec order: what is to stay up, and has to be ready (COND-5)."""
        return {**self.sidecars, **{c.name: c for c in self.containers}}

    @derived
    def _places(self) -> dict[str, int]:
        return {c.name: place for place, c in enumerate(self.containers)}

    def mains_among(self, names: Collection[str]) -> list[Container]:
        """Those of `containers` that have such a name, in spec order; as quick as there are few names."""
        places = self._places
        return [self.containers[place] for place in sorted(places[name] for name in names if name in places)]

    @derived
    def secures_nothing(self) -> bool:
        """The pod's own securityContext is empty."""
        return self.security_context == PodSecurityContext()

    @derived
    def with_restart_rules(self) -> tuple[Container, ...]:
        """Containers that have restartPolicyRules (RESTART-5), in spec order."""
        return tuple(c for c in self.all_containers.values() if c.restart_policy_rules)

    @derived
    def with_readiness_probe(self) -> tuple[Container, ...]:
        """Containers that have a readinessProbe, in spec order."""
        return tuple(c for c in self.all_containers.values() if c.readiness_probe is not None)

    @derived
    def field_paths(self) -> dict[str, str]:
        """EVENT-6: of each container, `spec.containers{NAME}` or `spec.initContainers{NAME}`."""
        paths = {c.name: f"spec.containers{{{c.name}}}" for c in self.containers}
        return paths | {c.name: f"spec.initContainers{{{c.name}}}" for c in self.init_containers}


@frozen
class Pod:
    metadata: ObjectMeta
    spec: PodSpec
    status: PodStatus | None = None
    api_version: str = "v1"
    kind: str = "Pod"

    @derived
    def key(self) -> str:
        """`namespace/name`, unique among the pods of one run."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @derived
    def references(self) -> dict[str | None, ObjectReference]:
        """EVENT-6: what an Event is about, by the container's name; None for the pod itself."""
        meta = self.metadata
        about_pod = ObjectReference("Pod", meta.namespace, meta.name, meta.uid)
        paths = self.spec.field_paths.items()
        return {None: about_pod, **{name: evolve(about_pod, field_path=path) for name, path in paths}}


@frozen
class PodTemplateSpec:
    spec: PodSpec
    metadata: ObjectMeta = Factory(ObjectMeta)
