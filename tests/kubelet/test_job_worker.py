"""Job workers over a host whose pods do what the test says, in virtual time."""

from collections.abc import Mapping
from math import inf
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from minikubelet.api.event import EventType
from minikubelet.api.job import (
    Job,
    JobSpec,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, EnvVar, Pod, PodSpec, PodTemplateSpec
from minikubelet.kubelet.job_worker import JobWorker
from minikubelet.lifecycle.job_facts import JobPod, ParallelismChanged, SuspendRequested
from minikubelet.lifecycle.settings import LifecycleSettings

IGNORED = 42
FATAL = 43


@attrs.define
class HostedPod:
    pod: Pod
    reading: JobPod
    counts_as: str | None = None
    "What the Job has to make of it by the rules; None while that is open."

    @property
    def is_active(self) -> bool:
        return not (self.reading.is_finished or self.reading.deletion_requested)

    @property
    def index(self) -> int | None:
        value = self.pod.metadata.annotations.get("batch.kubernetes.io/job-completion-index")
        return None if value is None else int(value)


class FakeHost:
    """A `PodHost` that complains about what no Job may ask for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pods: dict[str, HostedPod] = {}
        self.removed: list[str] = []
        self.events: list[tuple[EventType, str, str]] = []
        self.worker: JobWorker

    def start(self, job: Job, seed: int = 0) -> "FakeHost":
        self.worker = JobWorker(job, self, LifecycleSettings(), Random(seed), now=lambda: self.now)
        self.worker.advance()
        return self

    def add_pod(self, pod: Pod, owner: str) -> None:
        assert owner == self.worker.key
        assert pod.key not in self.pods
        self.pods[pod.key] = HostedPod(pod, JobPod(pod.metadata.name))

    def delete_pod(self, key: str) -> None:
        hosted = self.pods[key]
        assert hosted.is_active, "asked twice, or too late"
        hosted.reading = attrs.evolve(hosted.reading, deletion_requested=True)
        self.worker.pod_changed(key)

    def remove_pod(self, key: str) -> None:
        assert self.pods[key].reading.is_finished
        self.removed.append(key)

    def remove_job(self, key: str) -> None:
        assert self.removed == list(self.pods)
        self.removed.append(key)

    def job_pod(self, key: str) -> JobPod:
        return self.pods[key].reading

    def emit(self, job: Job, event_type: EventType, reason: str, message: str) -> None:
        assert job.key == self.worker.key
        self.events.append((event_type, reason, message))

    def change(self, key: str, **reading: Any) -> None:
        """The pod reads differently in these points, and the worker looks at it."""
        self.pods[key].reading = attrs.evolve(self.pods[key].reading, **reading)
        self.worker.pod_changed(key)
        self.worker.advance()

    def end(self, key: str, code: int = 0) -> None:
        phase = "Failed" if code else "Succeeded"
        self.change(key, phase=phase, ready=False, finished_at=self.now, exit_codes=(("main", code),))

    @property
    def keys(self) -> list[str]:
        return list(self.pods)


def make_job(
    *, template: PodTemplateSpec | None = None, name: str = "work", restart_policy: str = "Never", **spec: Any
) -> Job:
    spec = {"parallelism": 1, "completions": 1, "backoff_limit": 6, **spec}
    template = template or PodTemplateSpec(PodSpec((Container("main"),), restart_policy=restart_policy))
    return Job(ObjectMeta(name=name, namespace="ns", uid="the-uid"), JobSpec(template, **spec))


# ------------------------------------------------------------------ the pods it makes


def test_job_7_a_pod_has_name_namespace_labels_and_owner_of_its_job() -> None:
    template = PodTemplateSpec(
        PodSpec((Container("main"),)), ObjectMeta(labels={"app": "mine"}, annotations={"note": "kept"})
    )
    (key,) = FakeHost().start(make_job(template=template)).keys
    host = FakeHost().start(make_job(template=template))
    metadata = host.pods[key].pod.metadata

    name, _, suffix = metadata.name.partition("-")
    assert (name, metadata.generate_name, metadata.namespace) == ("work", "work-", "ns")
    assert len(suffix) == 5
    assert set(suffix) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert metadata.labels == {
        "app": "mine",
        "batch.kubernetes.io/job-name": "work",
        "job-name": "work",
        "batch.kubernetes.io/controller-uid": "the-uid",
        "controller-uid": "the-uid",
    }
    assert metadata.annotations == {"note": "kept"}
    (owner,) = metadata.owner_references
    assert (owner.api_version, owner.kind, owner.name, owner.uid) == ("batch/v1", "Job", "work", "the-uid")
    assert owner.controller


def test_job_7_a_long_job_name_is_cut_but_not_its_index() -> None:
    host = FakeHost().start(make_job(name="n" * 63, completion_mode="Indexed"))
    (hosted,) = host.pods.values()

    assert hosted.pod.metadata.name.startswith("n" * 55 + "-0-")
    assert len(hosted.pod.metadata.name) == 63


def test_job_7_names_are_never_given_twice() -> None:
    class Poor(Random):
        """Repeats every draw once."""

        def __init__(self) -> None:
            super().__init__(0)
            self.draws = 0

        def choices(self, *args: Any, **kwargs: Any) -> Any:
            self.draws += 1
            return list(f"{self.draws // 2:05d}")

    host = FakeHost()
    job = make_job(parallelism=3, completions=3)
    host.worker = JobWorker(job, host, LifecycleSettings(), Poor(), now=lambda: 0.0)
    host.worker.advance()

    assert host.keys == ["ns/work-00000", "ns/work-00001", "ns/work-00002"]


def test_job_22_indexed_pods_know_their_index_everywhere() -> None:
    own = EnvVar("JOB_COMPLETION_INDEX", "mine")
    spec = PodSpec(
        containers=(Container("main", env=(EnvVar("A", "1"),)), Container("knows", env=(own,))),
        init_containers=(Container("init"), Container("sidecar", restart_policy="Always")),
    )
    job = make_job(template=PodTemplateSpec(spec), completions=3, parallelism=3, completion_mode="Indexed")
    pods = [hosted.pod for hosted in FakeHost().start(job).pods.values()]

    key = "batch.kubernetes.io/job-completion-index"
    assert [pod.metadata.annotations[key] for pod in pods] == ["0", "1", "2"]
    assert [pod.metadata.labels[key] for pod in pods] == ["0", "1", "2"]
    assert [pod.spec.hostname for pod in pods] == ["work-0", "work-1", "work-2"]
    assert pods[2].metadata.name.startswith("work-2-")
    injected = {c.name: c.env[-1] for c in pods[0].spec.all_containers.values()}
    assert injected.pop("knows") == own
    for variable in injected.values():
        assert variable.name == "JOB_COMPLETION_INDEX"
        assert variable.value_from is not None
        assert variable.value_from.field_ref is not None
        assert variable.value_from.field_ref.field_path == f"metadata.labels['{key}']"
    assert [v.name for v in pods[0].spec.containers[0].env] == ["A", "JOB_COMPLETION_INDEX"]


def test_job_22_other_pods_are_not_told_of_indexes() -> None:
    (hosted,) = FakeHost().start(make_job()).pods.values()

    assert hosted.pod.spec == make_job().spec.template.spec


def test_job_24_the_failure_counts_are_annotated() -> None:
    rules = (PodFailurePolicyRule("Ignore", PodFailurePolicyOnExitCodesRequirement("In", (IGNORED,))),)
    host = FakeHost().start(
        make_job(
            completion_mode="Indexed", backoff_limit_per_index=5, pod_failure_policy=PodFailurePolicy(rules)
        )
    )
    for code in (1, IGNORED):
        host.end(host.keys[-1], code)
        host.now = host.worker.alarm
        host.worker.advance()
    prefix = "batch.kubernetes.io/job-index-"
    annotations = [hosted.pod.metadata.annotations for hosted in host.pods.values()]

    assert [a[f"{prefix}failure-count"] for a in annotations] == ["0", "1", "1"]
    assert [a.get(f"{prefix}ignored-failure-count") for a in annotations] == [None, None, "1"]


# ------------------------------------------------------------------ events


def test_event_5_creation_and_completion() -> None:
    host = FakeHost().start(make_job())
    (key,) = host.keys
    host.end(key)

    assert host.events == [
        ("Normal", "SuccessfulCreate", f"Created pod: {key.removeprefix('ns/')}"),
        ("Normal", "Completed", "Job completed"),
    ]


def test_event_5_failure_is_told_with_its_reason_and_only_at_the_end() -> None:
    host = FakeHost().start(make_job(parallelism=2, completions=2, backoff_limit=0))
    first, second = host.keys
    host.end(first, 1)
    before = list(host.events)
    host.end(second, 1)

    assert before[2:] == [("Normal", "SuccessfulDelete", f"Deleted pod: {second.removeprefix('ns/')}")]
    assert host.events[3:] == [
        ("Warning", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    ]


def test_event_5_suspended_and_resumed() -> None:
    host = FakeHost().start(make_job(suspend=True))
    host.worker.observe(SuspendRequested(False))
    host.worker.advance()

    assert [reason for _, reason, _ in host.events] == ["Suspended", "Resumed", "SuccessfulCreate"]


# ------------------------------------------------------------------ being advanced


def test_a_suspended_job_is_not_finished() -> None:
    host = FakeHost().start(make_job(suspend=True))

    assert not host.worker.is_finished
    assert host.worker.alarm == inf


def test_deleted_it_is_finished_once_its_last_pod_is_gone_and_has_no_terminal_condition() -> None:
    host = FakeHost().start(make_job(parallelism=2, completions=2))
    first, second = host.keys
    host.worker.delete()
    host.end(first, 143)
    before = host.worker.is_finished
    host.end(second, 0)

    assert (before, host.worker.is_finished) == (False, True)
    assert host.worker.status(0).conditions == ()
    assert len(host.keys) == 2


def test_facts_wait_for_advance() -> None:
    host = FakeHost().start(make_job())
    (key,) = host.keys
    host.pods[key].reading = attrs.evolve(host.pods[key].reading, phase="Succeeded")
    before = host.worker.is_dirty
    host.worker.pod_changed(key)

    assert (before, host.worker.is_dirty, host.worker.is_finished) == (False, True, False)
    host.worker.advance()
    assert (host.worker.is_dirty, host.worker.is_finished) == (False, True)


def test_job_8_of_ends_seen_at_once_the_latest_decides_about_the_delay() -> None:
    def alarm_after(failed_at: float, succeeded_at: float) -> float:
        host = FakeHost().start(make_job(parallelism=2, completions=3))
        failing, succeeding = host.keys
        host.now = 5.0
        for key, phase, at in ((failing, "Failed", failed_at), (succeeding, "Succeeded", succeeded_at)):
            host.pods[key].reading = JobPod(key.removeprefix("ns/"), phase=phase, finished_at=at)  # type: ignore[arg-type]
            host.worker.pod_changed(key)
        host.worker.advance()
        return host.worker.alarm

    assert (alarm_after(3, 4), alarm_after(4, 3)) == (inf, 14)


def test_job_28_its_pods_are_removed_with_it() -> None:
    host = FakeHost().start(make_job(completions=2, ttl_seconds_after_finished=60))
    host.end(host.keys[0])
    host.end(host.keys[1])
    assert (host.removed, host.worker.alarm) == ([], 60)
    host.now = 60
    host.worker.advance()

    assert host.removed == [*host.keys, "ns/work"]


# ------------------------------------------------------------------ any history


def specs() -> st.SearchStrategy[dict[str, Any]]:
    rules = [
        PodFailurePolicyRule(action, PodFailurePolicyOnExitCodesRequirement("In", (code,)))
        for action, code in (("Ignore", IGNORED), ("FailJob", FATAL))
    ]
    plain = {
        "parallelism": st.integers(0, 4),
        "backoff_limit": st.sampled_from([0, 1, 3, 100]),
        "pod_failure_policy": st.sampled_from([None, PodFailurePolicy(tuple(rules))]),
        "pod_replacement_policy": st.sampled_from(["Failed", "TerminatingOrFailed"]),
        "restart_policy": st.sampled_from(["Never", "OnFailure"]),
        "suspend": st.booleans(),
    }
    deadline = {"active_deadline_seconds": st.sampled_from([None, None, 60])}
    index = {
        "completion_mode": st.just("Indexed"),
        "completions": st.integers(0, 6),
        "backoff_limit_per_index": st.sampled_from([None, 0, 1]),
        "success_policy": st.sampled_from([None, SuccessPolicy((SuccessPolicyRule("1-2"),))]),
    }
    return st.one_of(
        st.fixed_dictionaries({**plain, **deadline, "completions": st.none() | st.integers(0, 6)}),
        st.fixed_dictionaries({**plain, **deadline, **index}),
    )


class CheckedHost(FakeHost):
    """Checks every creation against the rules, from its own books."""

    def __init__(self) -> None:
        super().__init__()
        self.failures_in_a_row = 0
        self.last_failure = -inf

    def of(self, counts_as: str) -> list[HostedPod]:
        return [hosted for hosted in self.pods.values() if hosted.counts_as == counts_as]

    @property
    def active(self) -> list[HostedPod]:
        return [hosted for hosted in self.pods.values() if hosted.is_active]

    def add_pod(self, pod: Pod, owner: str) -> None:
        super().add_pod(pod, owner)
        spec, record = self.worker.record.spec, self.worker.record
        new = self.pods[pod.key]
        assert not spec.suspend
        assert record.deleted_at is None
        assert record.verdict is None
        assert spec.parallelism is not None
        holding = [p for p in self.pods.values() if not p.reading.is_finished]
        if spec.pod_replacement_policy == "TerminatingOrFailed" and spec.pod_failure_policy is None:
            holding = self.active
        assert len(holding) <= spec.parallelism
        if spec.completions is not None:
            assert len(self.active) + len(self.of("succeeded")) <= spec.completions
        if new.index is not None:
            assert [p.index for p in holding].count(new.index) == 1
            assert new.index not in [p.index for p in self.of("succeeded")]
        if self.failures_in_a_row and spec.backoff_limit_per_index is None:
            delay = min(10 * 2 ** (self.failures_in_a_row - 1), 600)
            assert self.now >= self.last_failure + delay

    def delete_pod(self, key: str) -> None:
        super().delete_pod(key)
        hosted, verdict = self.pods[key], self.worker.record.verdict
        if hosted.counts_as is None:
            hosted.counts_as = "failed" if verdict and verdict.type == "FailureTarget" else "nothing"

    def book(self, hosted: HostedPod, counts_as: str) -> None:
        if hosted.counts_as is not None or self.worker.record.end is not None:
            return
        hosted.counts_as = counts_as
        if counts_as == "succeeded":
            self.failures_in_a_row = 0
        else:
            self.failures_in_a_row += 1
            self.last_failure = self.now

    def close_books(self) -> None:
        """JOB-15, JOB-16: with the verdict, what is open is decided."""
        verdict = self.worker.record.verdict
        for hosted in self.pods.values():
            if verdict is not None and hosted.counts_as is None:
                hosted.counts_as = "failed" if verdict.type == "FailureTarget" else "nothing"


class AnyHistory(RuleBasedStateMachine):
    @initialize(spec=specs(), seed=st.integers(0, 9))
    def start(self, spec: Mapping[str, Any], seed: int) -> None:
        self.spec = spec
        self.host = CheckedHost()
        self.host.start(make_job(**spec), seed)
        self.host.close_books()
        self.conditions: list[str] = []

    def unfinished_pods(self) -> list[str]:
        return [key for key, hosted in self.host.pods.items() if not hosted.reading.is_finished]

    def unfinished(self, choice: int) -> str:
        keys = self.unfinished_pods()
        return keys[choice % len(keys)]

    def change(self, key: str, **reading: Any) -> None:
        self.host.change(key, **reading)
        self.host.close_books()

    def end(self, key: str, code: int) -> None:
        policy = self.spec["pod_failure_policy"] is not None
        counts_as = "ignored" if policy and code == IGNORED else "failed"
        self.host.book(self.host.pods[key], counts_as if code else "succeeded")
        self.host.end(key, code)
        self.host.close_books()

    # ------------------------------------------------------------------ what may happen

    @precondition(unfinished_pods)
    @rule(choice=st.integers(0, 20), ready=st.booleans(), restarts=st.integers(0, 1))
    def runs(self, choice: int, ready: bool, restarts: int) -> None:
        key = self.unfinished(choice)
        self.change(key, phase="Running", ready=ready, restarts=restarts)

    @precondition(unfinished_pods)
    @rule(choice=st.integers(0, 20))
    def succeeds(self, choice: int) -> None:
        self.end(self.unfinished(choice), 0)

    @precondition(unfinished_pods)
    @rule(choice=st.integers(0, 20), code=st.sampled_from([1, 1, 1, IGNORED, FATAL]))
    def fails(self, choice: int, code: int) -> None:
        self.end(self.unfinished(choice), code)

    @precondition(unfinished_pods)
    @rule(choice=st.integers(0, 20))
    def is_deleted_by_somebody(self, choice: int) -> None:
        key = self.unfinished(choice)
        if self.spec["pod_replacement_policy"] != "Failed" and self.spec["pod_failure_policy"] is None:
            self.host.book(self.host.pods[key], "failed")
        self.change(key, deletion_requested=True, finished_at=self.host.now)

    @rule(seconds=st.sampled_from([0, 1, 9, 20]))
    def time_passes(self, seconds: int) -> None:
        self.host.now += seconds
        self.host.worker.advance()
        self.host.close_books()

    @precondition(lambda self: 0 < self.host.worker.alarm < inf)
    @rule()
    def alarm_comes(self) -> None:
        self.host.now = max(self.host.now, self.host.worker.alarm)
        self.host.worker.advance()
        self.host.close_books()

    @rule(parallelism=st.integers(0, 4))
    def parallelism_changes(self, parallelism: int) -> None:
        self.host.worker.observe(ParallelismChanged(parallelism))
        self.time_passes(0)

    @rule(suspend=st.booleans())
    def suspend(self, suspend: bool) -> None:
        self.host.worker.observe(SuspendRequested(suspend))
        self.time_passes(0)

    @precondition(lambda self: len(self.host.pods) > 3)
    @rule()
    def delete(self) -> None:
        self.host.worker.delete()
        self.host.close_books()

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def counts_are_exact(self) -> None:
        host, status = self.host, self.host.worker.status(0)
        unfinished = [p for p in host.pods.values() if not p.reading.is_finished]
        assert status.active == len(host.active)
        assert status.ready == sum(p.reading.ready for p in host.active)
        assert status.terminating == len(unfinished) - len(host.active)
        assert status.succeeded == len(host.of("succeeded"))
        assert status.failed == len(host.of("failed"))

    @invariant()
    def never_more_than_parallelism(self) -> None:
        record = self.host.worker.record
        assert record.spec.parallelism is not None
        runs_out = record.spec.completions is None and record.succeeded > 0  # JOB-3: the rest may finish
        assert runs_out or record.deleted_at is not None or len(self.host.active) <= record.spec.parallelism

    @invariant()
    def limits_are_exact(self) -> None:
        record = self.host.worker.record
        if record.verdict is None and record.deleted_at is None:
            assert record.failed <= self.spec["backoff_limit"]
            wanted = 1 if self.spec["completions"] is None else self.spec["completions"]
            assert record.succeeded < wanted or self.host.active
        if record.verdict is not None and record.verdict.reason == "BackoffLimitExceeded":
            assert record.failed > self.spec["backoff_limit"] or self.spec["restart_policy"] == "OnFailure"

    @invariant()
    def verdicts_only_move_forward(self) -> None:
        verdicts = [c.type for c in self.host.worker.record.conditions if c.type != "Suspended"]
        assert verdicts[: len(self.conditions)] == self.conditions
        assert verdicts in (
            [],
            ["FailureTarget"],
            ["FailureTarget", "Failed"],
            ["SuccessCriteriaMet"],
            ["SuccessCriteriaMet", "Complete"],
        )
        self.conditions = verdicts

    @invariant()
    def nothing_runs_after_the_end(self) -> None:
        if self.host.worker.record.end is not None:
            assert all(hosted.reading.is_finished for hosted in self.host.pods.values())

    @invariant()
    def spurious_wake_ups_change_nothing(self) -> None:
        before, alarm = self.host.worker.record, self.host.worker.alarm
        for key in self.host.pods:
            self.host.worker.pod_changed(key)
        self.host.worker.advance()
        assert (self.host.worker.record, self.host.worker.alarm) == (before, alarm)

    def teardown(self) -> None:
        """Left alone, with pods that succeed and time that passes, it ends."""
        if not hasattr(self, "host"):
            return
        if self.host.worker.record.deleted_at is None:
            self.suspend(False)
            self.parallelism_changes(2)
        for _ in range(100):
            if self.host.worker.is_finished:
                break
            if keys := self.unfinished_pods():
                self.end(keys[0], 0)
            else:
                assert self.host.worker.alarm < inf, "nothing left to wait for"
                self.alarm_comes()
            self.counts_are_exact()
        assert self.host.worker.is_finished
        assert not self.host.active


TestAnyHistory = pytest.mark.filterwarnings("error")(AnyHistory.TestCase)
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
