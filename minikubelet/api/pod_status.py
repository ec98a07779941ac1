"""The Pod status as frozen types (STATUS-*, COND-*): what `lifecycle.status` computes."""

from minikubelet.api.values import Factory, frozen


@frozen
class ContainerStateWaiting:
    reason: str | None = None
    message: str | None = None


@frozen
class ContainerStateRunning:
    started_at: str | None = None


@frozen
class ContainerStateTerminated:
    exit_code: int
    reason: str | None = None
    message: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    container_id: str | None = None
    signal: int | None = None


@frozen
class ContainerState:
    """STATUS-1: exactly one is set; none in a `last_state` that never was."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


@frozen
class ContainerStatus:
    name: str
    state: ContainerState
    last_state: ContainerState = Factory(ContainerState)
    ready: bool = False
    restart_count: int = 0
    image: str = ""
    image_id: str = ""
    container_id: str | None = None
    started: bool | None = None


@frozen
class PodCondition:
    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    last_probe_time: str | None = None
    last_transition_time: str | None = None


@frozen
class PodIP:
    ip: str


@frozen
class HostIP:
    ip: str


@frozen
class PodStatus:
    phase: str = "Pending"
    conditions: tuple[PodCondition, ...] = ()
    message: str | None = None
    reason: str | None = None
    host_ip: str | None = None
    host_ips: tuple[HostIP, ...] = ()
    pod_ip: str | None = None
    pod_ips: tuple[PodIP, ...] = ()
    start_time: str | None = None
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    qos_class: str | None = None
    observed_generation: int | None = None
