"""A Job's life without a kubelet: pods do what the test says, actions are observed and nothing more."""

from math import inf
from typing import Any

import attrs

from minikubelet.api.job import Job, JobSpec
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, PodSpec, PodTemplateSpec
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.job_facts import (
    CreatePod,
    DeletePod,
    JobAction,
    JobFact,
    JobPod,
    PodChanged,
    PodCreated,
)
from minikubelet.lifecycle.job_plan import plan_job
from minikubelet.lifecycle.job_record import new_job_record, observe_job
from minikubelet.lifecycle.settings import LifecycleSettings


def make_job(*, restart_policy: str = "Never", **spec: Any) -> Job:
    """A Job with its defaults applied (DEF-6)."""
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoff_limit", 6 if spec.get("backoff_limit_per_index") is None else 2**31 - 1)
    spec.setdefault(
        "pod_replacement_policy", "Failed" if spec.get("pod_failure_policy") else "TerminatingOrFailed"
    )
    template = PodTemplateSpec(PodSpec(containers=(Container("main"),), restart_policy=restart_policy))
    return Job(ObjectMeta(name="job", uid="job-uid"), JobSpec(template=template, **spec))


class History:
    """Pods are called p1, p2, ... in the order of their creation. Time starts at 0 and obeys `at`."""

    def __init__(self, *, settings: LifecycleSettings | None = None, **spec: Any) -> None:
        self.record = new_job_record(make_job(**spec), settings or LifecycleSettings(), 0.0)
        self.now = 0.0
        self.alarm = inf
        self.created: list[CreatePod] = []
        self.deleted: list[DeletePod] = []
        self.log: list[JobAction] = []
        self.settle()

    # ------------------------------------------------------------------ what happens

    def at(self, instant: float) -> "History":
        """Let time pass; nothing else happens meanwhile."""
        assert instant >= self.now
        self.now = instant
        return self.settle()

    def tell(self, fact: JobFact) -> "History":
        self.record = observe_job(self.record, fact, self.now)
        return self.settle()

    def change(self, name: str, **reading: Any) -> "History":
        """The pod reads differently in these points."""
        pod = self.record.pods.get(name)
        before = pod.reading if pod else JobPod(name)
        return self.tell(PodChanged(attrs.evolve(before, **reading)))

    def run(self, *names: str, **reading: Any) -> "History":
        for name in names:
            self.change(name, phase="Running", **reading)
        return self

    def succeed(self, *names: str) -> "History":
        for name in names:
            self.change(name, phase="Succeeded", ready=False, finished_at=self.now)
        return self

    def fail(self, *names: str, code: int = 1) -> "History":
        for name in names:
            codes = (("main", code),)
            self.change(name, phase="Failed", ready=False, finished_at=self.now, exit_codes=codes)
        return self

    def settle(self) -> "History":
        for _ in range(10):
            clock = Clock(self.now)
            actions = list(plan_job(self.record, clock))
            for action in actions:
                self._perform(action)
            if not actions:
                self.alarm = clock.alarm
                return self
        raise AssertionError(f"still planning: {self.log[-10:]}")

    def _perform(self, action: JobAction) -> None:
        self.log.append(action)
        if isinstance(action, CreatePod):
            self.created.append(action)
            fact: JobFact = PodCreated(f"p{len(self.created)}", action.index)
        else:
            fact = action
            if isinstance(action, DeletePod):
                self.deleted.append(action)
        self.record = observe_job(self.record, fact, self.now)

    # ------------------------------------------------------------------ what can be seen

    @property
    def active(self) -> list[str]:
        return [name for name, pod in self.record.pods.items() if pod.is_active]

    @property
    def indexes(self) -> list[int | None]:
        return [action.index for action in self.created]

    @property
    def conditions(self) -> list[tuple[str, str, str]]:
        return [(c.type, c.status, c.reason) for c in self.record.conditions]

    @property
    def counts(self) -> tuple[int, int, int]:
        """(active, succeeded, failed)."""
        return self.record.census.active, self.record.succeeded, self.record.failed
