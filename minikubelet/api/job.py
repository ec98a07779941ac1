"""Job and its status as frozen types (JOB-*). Field defaults as in `api.pod`; DEF-6 is in `defaults`."""

from minikubelet.api.meta import Json, ObjectMeta
from minikubelet.api.pod import PodTemplateSpec
from minikubelet.api.values import frozen


@frozen
class PodFailurePolicyOnExitCodesRequirement:
    operator: str
    values: tuple[int, ...] = ()
    container_name: str | None = None


@frozen
class PodFailurePolicyOnPodConditionsPattern:
    type: str
    status: str = "True"


@frozen
class PodFailurePolicyRule:
    action: str
    on_exit_codes: PodFailurePolicyOnExitCodesRequirement | None = None
    on_pod_conditions: tuple[PodFailurePolicyOnPodConditionsPattern, ...] = ()


@frozen
class PodFailurePolicy:
    rules: tuple[PodFailurePolicyRule, ...] = ()


@frozen
class SuccessPolicyRule:
    succeeded_indexes: str | None = None
    succeeded_count: int | None = None


@frozen
class SuccessPolicy:
    rules: tuple[SuccessPolicyRule, ...] = ()


@frozen
class JobSpec:
    """After `defaults` the DEF-6 fields are set; completions None is a work queue (JOB-3)."""

    template: PodTemplateSpec
    parallelism: int | None = None
    completions: int | None = None
    completion_mode: str = "NonIndexed"
    backoff_limit: int | None = None
    backoff_limit_per_index: int | None = None
    max_failed_indexes: int | None = None
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool = False
    pod_failure_policy: PodFailurePolicy | None = None
    success_policy: SuccessPolicy | None = None
    pod_replacement_policy: str | None = None
    managed_by: str | None = None
    manual_selector: bool | None = None
    selector: Json = None
    scheduling: Json = None


@frozen
class JobCondition:
    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    last_probe_time: str | None = None
    last_transition_time: str | None = None


@frozen
class JobStatus:
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    ready: int = 0
    terminating: int = 0
    start_time: str | None = None
    completion_time: str | None = None
    completed_indexes: str | None = None
    failed_indexes: str | None = None
    conditions: tuple[JobCondition, ...] = ()
    uncounted_terminated_pods: Json = None


@frozen
class Job:
    metadata: ObjectMeta
    spec: JobSpec
    status: JobStatus | None = None
    api_version: str = "batch/v1"
    kind: str = "Job"

    @property
    def key(self) -> str:
        """`namespace/name`, unique among the jobs of one run."""
        return f"{self.metadata.namespace}/{self.metadata.name}"
