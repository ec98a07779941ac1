"""One Job: observe, plan, perform, by means of pods that somebody else runs.

Synchronous and free of trio. It decides nothing; that is `job_plan`'s business. What it knows beyond the
record is how a pod of the Job is made: names, labels, owner and completion index (JOB-7, JOB-22, JOB-24).
"""

from collections.abc import Callable
from math import inf
from random import Random
from typing import Protocol

from minikubelet.api.event import EventType
from minikubelet.api.job import Job, JobStatus
from minikubelet.api.meta import ObjectMeta, OwnerReference
from minikubelet.api.pod import Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod, PodSpec
from minikubelet.api.values import evolve
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.job_facts import (
    CreatePod,
    DeletePod,
    JobAction,
    JobDeleted,
    JobFact,
    JobPod,
    PodChanged,
    PodCreated,
    RemoveJob,
    SetCondition,
)
from minikubelet.lifecycle.job_plan import plan_job
from minikubelet.lifecycle.job_record import new_job_record, observe_job
from minikubelet.lifecycle.job_status import job_status, published_job
from minikubelet.lifecycle.settings import LifecycleSettings

INDEX_KEY = "batch.kubernetes.io/job-completion-index"
FAILURE_COUNT_KEY = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURE_COUNT_KEY = "batch.kubernetes.io/job-index-ignored-failure-count"
INDEX_ENV = "JOB_COMPLETION_INDEX"

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # k8s.io/apimachinery/pkg/util/rand: no vowels, no 0, 1, 3
_SUFFIX_LENGTH = 5
_MAX_PREFIX_LENGTH = 63 - _SUFFIX_LENGTH  # k8s.io/apiserver/pkg/storage/names


class PodHost(Protocol):
    """What runs the Job's pods. Everything returns at once, and may call `pod_changed` while at it."""

    def add_pod(self, pod: Pod, owner: str) -> object:
        """Run this pod of the Job with key `owner`, and from now on report its changes to `pod_changed`.
        It comes with name, labels and owner, without uid, creationTimestamp and status."""

    def delete_pod(self, key: str) -> None:
        """Delete gracefully, with the pod's own grace (TERM-4); its final state stays to be read."""

    def remove_pod(self, key: str) -> None:
        """JOB-28: forget a finished pod and its logs."""

    def job_pod(self, key: str) -> JobPod:
        """How the pod stands right now; every field as `JobPod` describes it."""

    def remove_job(self, key: str) -> None:
        """JOB-28: forget the finished Job, whose pods have been removed. Its outcome stands."""

    def emit(self, job: Job, event_type: EventType, reason: str, message: str) -> None:
        """EVENT-5."""


class JobWorker:
    """Owns the record of one Job.

    Facts wait until `advance`, which is to be called soon after `is_dirty` became true, and once `alarm`
    has come. `now` tells the time in seconds on the monotonic clock.
    """

    def __init__(
        self,
        job: Job,
        host: PodHost,
        settings: LifecycleSettings,
        random: Random | None,
        *,
        now: Callable[[], float],
    ) -> None:
        self.record = new_job_record(job, settings, now())
        self.alarm = -inf
        "When `advance` is due even if nothing happens; inf for never."
        self._host = host
        self._random = random or Random()
        self._now = now
        self._facts: list[JobFact] = []
        self._changed_pods: dict[str, None] = {}  # in order of their first change
        self._pod_names: dict[str, None] = {}  # every pod there ever was
        self._pod_spec = _pod_spec(job)

    @property
    def key(self) -> str:
        return self.record.job.key

    @property
    def is_dirty(self) -> bool:
        return bool(self._facts or self._changed_pods)

    @property
    def is_finished(self) -> bool:
        """Complete or Failed, or deleted with no pod left. A suspended Job is not finished."""
        record = self.record
        return record.end is not None or (record.deleted_at is not None and not record.pods)

    @property
    def pod_keys(self) -> list[str]:
        """Of every pod that was made for this Job, oldest first."""
        return [self._key_of(name) for name in self._pod_names]

    def status(self, epoch: float) -> JobStatus:
        return job_status(self.record, epoch)

    def published(self, epoch: float) -> Job:
        return published_job(self.record, epoch)

    def observe(self, fact: JobFact) -> None:
        self._facts.append(fact)

    def pod_changed(self, key: str) -> None:
        """The pod may read differently now. Cheap, and harmless when it does not."""
        self._changed_pods[key] = None

    def delete(self) -> None:
        """Delete the Job's pods and make no more. To be called before anybody deletes them one by one,
        as such pods would count as failed (JOB-4)."""
        self.observe(JobDeleted())
        self.advance()

    def advance(self) -> None:
        """Plan and perform until nothing is due any more; then `alarm` says when to look again."""
        while True:
            now = self._now()
            self._take_in_facts(now)
            clock = Clock(now)
            actions = list(plan_job(self.record, clock))
            for action in actions:
                self._perform(action, now)
            if not actions and not self.is_dirty:
                break
        self.alarm = clock.alarm

    def _take_in_facts(self, now: float) -> None:
        facts, self._facts = self._facts, []
        for fact in facts:
            self.record = observe_job(self.record, fact, now)
        changed, self._changed_pods = self._changed_pods, {}
        unfinished = (key for key in changed if key.partition("/")[2] in self.record.pods)
        # JOB-8: of failures and successes seen at once, what counts is which came last.
        for reading in sorted(map(self._host.job_pod, unfinished), key=_finished_at):
            if reading != self.record.pods[reading.name].reading:
                self.record = observe_job(self.record, PodChanged(reading), now)

    # ------------------------------------------------------------------ perform

    def _perform(self, action: JobAction, now: float) -> None:
        match action:
            case CreatePod():
                pod = self._new_pod(action)
                name = pod.metadata.name
                self._pod_names[name] = None
                self.record = observe_job(self.record, PodCreated(name, action.index), now)
                self._host.add_pod(pod, self.key)
                self._tell("Normal", "SuccessfulCreate", f"Created pod: {name}")
            case DeletePod():
                self.record = observe_job(self.record, action, now)
                self._host.delete_pod(self._key_of(action.name))
                self._tell("Normal", "SuccessfulDelete", f"Deleted pod: {action.name}")
            case SetCondition():
                self.record = observe_job(self.record, action, now)
                self._tell_condition(action)
            case RemoveJob():
                self.record = observe_job(self.record, action, now)
                for key in self.pod_keys:
                    self._host.remove_pod(key)
                self._host.remove_job(self.key)

    def _tell_condition(self, condition: SetCondition) -> None:
        """EVENT-5. TooManySucceededPods cannot happen: no more pods are active than are missing, and one
        that was deleted does not count any more."""
        match condition.type, condition.status:
            case "Complete", _:
                self._tell("Normal", "Completed", "Job completed")
            case "Failed", _:
                self._tell("Warning", condition.reason, condition.message)
            case "Suspended", "True":
                self._tell("Normal", "Suspended", condition.message)
            case "Suspended", "False":
                self._tell("Normal", "Resumed", condition.message)

    def _tell(self, event_type: EventType, reason: str, message: str) -> None:
        self._host.emit(self.record.job, event_type, reason, message)

    # ------------------------------------------------------------------ making a pod

    def _new_pod(self, action: CreatePod) -> Pod:
        job, template = self.record.job.metadata, self.record.spec.template
        labels = {
            **template.metadata.labels,
            "batch.kubernetes.io/controller-uid": job.uid,
            "batch.kubernetes.io/job-name": job.name,
            "controller-uid": job.uid,
            "job-name": job.name,
        }
        annotations = dict(template.metadata.annotations)
        spec = self._pod_spec
        prefix = f"{job.name}-"
        if action.index is not None:
            labels[INDEX_KEY] = annotations[INDEX_KEY] = str(action.index)
            spec = evolve(spec, hostname=f"{job.name}-{action.index}")
            ending = f"-{action.index}-"  # never cut, however long the Job's name
            prefix = job.name[: _MAX_PREFIX_LENGTH - len(ending)] + ending
        if action.failure_count is not None:
            annotations[FAILURE_COUNT_KEY] = str(action.failure_count)
        if action.ignored_failure_count:
            annotations[IGNORED_FAILURE_COUNT_KEY] = str(action.ignored_failure_count)
        owner = OwnerReference(
            "batch/v1", "Job", job.name, job.uid, controller=True, block_owner_deletion=True
        )
        metadata = ObjectMeta(
            name=self._unused_name(prefix),
            generate_name=prefix,
            namespace=job.namespace,
            labels=labels,
            annotations=annotations,
            owner_references=(owner,),
        )
        return Pod(metadata, spec)

    def _unused_name(self, prefix: str) -> str:
        while True:
            suffix = "".join(self._random.choices(_SUFFIX_ALPHABET, k=_SUFFIX_LENGTH))
            name = prefix[:_MAX_PREFIX_LENGTH] + suffix
            if name not in self._pod_names:
                return name

    def _key_of(self, pod_name: str) -> str:
        return f"{self.record.job.metadata.namespace}/{pod_name}"


def _finished_at(pod: JobPod) -> float:
    return inf if pod.finished_at is None else pod.finished_at


def _pod_spec(job: Job) -> PodSpec:
    """The template's spec; in an Indexed Job each container is told its index (JOB-22)."""
    spec = job.spec.template.spec
    if job.spec.completion_mode != "Indexed":
        return spec
    return evolve(
        spec,
        init_containers=tuple(map(_with_index_variable, spec.init_containers)),
        containers=tuple(map(_with_index_variable, spec.containers)),
    )


def _with_index_variable(container: Container) -> Container:
    if any(variable.name == INDEX_ENV for variable in container.env):
        return container
    source = EnvVarSource(field_ref=ObjectFieldSelector(f"metadata.labels['{INDEX_KEY}']"))
    return evolve(container, env=(*container.env, EnvVar(INDEX_ENV, value_from=source)))
