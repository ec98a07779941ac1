"""What a Job can be told and what it can ask for; the counterpart of `facts` and `actions` for pods.

A Job knows its pods only as `JobPod` readings, a handful of numbers each. It refuses to know containers,
processes and probes. Instants are seconds on the monotonic clock.
"""

from typing import Literal

from minikubelet.api.values import frozen

JobPodPhase = Literal["Pending", "Running", "Succeeded", "Failed"]
DeletePodReason = Literal["failed", "succeeded", "suspended", "surplus", "deleted"]


@frozen
class JobPod:
    """One pod as its Job sees it: a reading of the published pod, taken whenever the pod changes."""

    name: str
    "metadata.name; the namespace is the Job's."

    phase: JobPodPhase = "Pending"
    "The published phase, so terminal only once no container can be running (TERM-12, JOB-30)."

    ready: bool = False
    "Condition Ready is True."

    deletion_requested: bool = False
    "metadata.deletionTimestamp is set, whoever asked. A pod that ends by itself is not being deleted."

    restarts: int = 0
    "JOB-12: sum of restartCount over all init, sidecar and main containers."

    finished_at: float | None = None
    """JOB-9: latest finishedAt if every main and sidecar is terminated, else when Ready became False, else
    when deletion was requested. None while none of these holds; read only once the pod has failed."""

    exit_codes: tuple[tuple[str, int], ...] = ()
    """JOB-19: (container name, exit code) of each container whose *current* state is terminated, exit 0
    included: mains in the order of the spec, then initContainers (sidecars among them) in that order."""

    conditions: tuple[tuple[str, str], ...] = ()
    "JOB-20: (type, status) of the pod's conditions."

    @property
    def is_finished(self) -> bool:
        return self.phase in ("Succeeded", "Failed")


# ------------------------------------------------------------------ facts


@frozen
class PodCreated:
    """A `CreatePod` that is being performed, now that the pod has a name."""

    name: str
    index: int | None = None


@frozen
class PodChanged:
    pod: JobPod


@frozen
class PodGone:
    """Somebody removed the pod without its reaching an end; counts as failed (JOB-4)."""

    name: str


@frozen
class SuspendRequested:
    """JOB-27: spec.suspend is set to this."""

    suspend: bool


@frozen
class ParallelismChanged:
    """JOB-2, JOB-6: spec.parallelism is set to this; 0 pauses."""

    parallelism: int


@frozen
class JobDeleted:
    """The Job is to go: its pods are deleted, none is replaced, and nothing is decided any more."""


# ------------------------------------------------------------------ actions


@frozen
class CreatePod:
    index: int | None = None
    "The completion index in an Indexed Job."

    failure_count: int | None = None
    "JOB-24: counted failures of this index so far; None without backoffLimitPerIndex."

    ignored_failure_count: int = 0
    "JOB-24: failures of this index that podFailurePolicy ignored."


@frozen
class DeletePod:
    """Gracefully, with the pod's own grace. From here on the pod counts for nothing (JOB-6)."""

    name: str
    reason: DeletePodReason


@frozen
class SetCondition:
    """Latch: FailureTarget then Failed (JOB-15), or SuccessCriteriaMet then Complete (JOB-16).

    Suspended is the only one to go back and forth (JOB-27).
    """

    type: str
    status: Literal["True", "False"]
    reason: str
    message: str


@frozen
class RemoveJob:
    """JOB-28: forget the finished Job and its pods."""


JobAction = CreatePod | DeletePod | SetCondition | RemoveJob

JobFact = (
    PodCreated
    | PodChanged
    | PodGone
    | SuspendRequested
    | ParallelismChanged
    | JobDeleted
    | DeletePod
    | SetCondition
    | RemoveJob
)
