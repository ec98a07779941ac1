"""What one Job did, turn by turn, beside what it should have done: the reckoning of an observer.

A turn ends with the Job's being published. In it the Job takes notice of what its pods have published since,
and acts. So what it knew is known here too, and what it had to do follows from its spec (JOB).
"""

from collections.abc import Iterable, Iterator
from math import inf
from typing import Any, Literal

import attrs

from minikubelet.api.event import Event
from minikubelet.api.job import (
    Job,
    JobSpec,
    JobStatus,
    PodFailurePolicyRule,
    SuccessPolicyRule,
)
from minikubelet.api.pod import Pod
from minikubelet.api.pod_status import PodStatus
from minikubelet.invariants.journal import Journal
from minikubelet.invariants.reckoning import ROUNDING
from minikubelet.invariants.story import Moment
from minikubelet.lifecycle.settings import LifecycleSettings

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURE_COUNT = "batch.kubernetes.io/job-index-failure-count"

LONGEST_WAIT = 600.0
"Seconds: the Job controller's own cap (JOB-8), where the kubelet's is left at its default."

KUBELET_CAP = LifecycleSettings().backoff_max

Outcome = Literal["succeeded", "failed", "dropped"]


@attrs.define(eq=False)
class JobsPod:
    """One pod of the Job, as the Job could know it."""

    name: str
    index: int | None
    created: Moment
    pod: Pod | None = None
    status: PodStatus | None = None
    "As published last."
    deletion_at: float | None = None
    "When somebody first asked for it, in seconds."
    is_deleted: bool = False
    "The Job knows that it is being deleted."
    is_ready: bool = False
    ready_since: float = 0.0
    "Since when it is ready, or is not."
    ends: dict[str, float] = attrs.Factory(dict)
    "Of each container that has ended: when it did so last."
    outcome: Outcome | None = None
    "What it was counted as; a pod is counted once."

    @property
    def phase(self) -> str:
        return "Pending" if self.status is None else self.status.phase

    @property
    def is_finished(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    @property
    def is_active(self) -> bool:
        """JOB-1."""
        return not self.is_finished and not self.is_deleted

    @property
    def restarts(self) -> int:
        if self.status is None:
            return 0
        statuses = (*self.status.init_container_statuses, *self.status.container_statuses)
        return sum(one.restart_count for one in statuses)

    def finished_at(self) -> float:
        """JOB-9, in seconds; inf if there is nothing to go by."""
        assert self.pod is not None and self.status is not None
        spec = self.pod.spec
        sidecars = [c.name for c in spec.init_containers if c.restart_policy == "Always"]
        lasting = [*sidecars, *(c.name for c in spec.containers)]
        statuses = {
            one.name: one for one in (*self.status.init_container_statuses, *self.status.container_statuses)
        }
        if all(statuses[name].state.terminated and name in self.ends for name in lasting):
            return max(self.ends[name] for name in lasting)
        if not self.is_ready and any(statuses[name].container_id for name in lasting):
            return self.ready_since
        return inf if self.deletion_at is None else self.deletion_at

    def exit_codes(self) -> Iterator[tuple[str, int]]:
        """JOB-19."""
        assert self.status is not None
        for one in (*self.status.container_statuses, *self.status.init_container_statuses):
            if one.state.terminated is not None and one.state.terminated.exit_code != 0:
                yield one.name, one.state.terminated.exit_code


@attrs.frozen
class Creations:
    """Which pods a turn had to create, and which it might have: completion indexes, or just so many."""

    fewest: list[int | None]
    most: list[int | None]
    next_due: float
    "When more are due, in seconds."


@attrs.frozen
class Counts:
    active: int
    ready: int
    terminating: int
    succeeded: int
    failed: int


@attrs.define(eq=False)
class Turn:
    """One publication of the Job and all that went before it, since the one before."""

    moment: Moment
    counts: Counts
    completed_indexes: str | None
    failed_indexes: str | None
    noticed: list[JobsPod]
    "Pods that had published something."
    late: list[str]
    "Names of those that had done so earlier than now."
    created: list[JobsPod]
    creations: Creations
    due_verdict: tuple[str, str] | None
    "Condition and reason that this turn had to come to."
    verdict: str | None
    "FailureTarget or SuccessCriteriaMet, as it is after this turn."
    is_deleted: bool
    unfinished: int
    twice: list[int]
    "Indexes that more than one pod works on."
    next_due: float
    "When there has to be another turn, whatever happens; in seconds."

    @property
    def status(self) -> JobStatus:
        status: JobStatus = self.moment.detail.status
        return status

    def condition(self, kind: str) -> Any:
        return next((c for c in self.status.conditions if c.type == kind and c.status == "True"), None)


class JobStory:
    """Everything about one Job."""

    def __init__(self, key: str, job: Job, settings: LifecycleSettings, tolerance: float) -> None:
        self.key = key
        self.job = job
        self.settings = settings
        self.slack = tolerance + ROUNDING
        self.tolerance = tolerance
        self.turns: list[Turn] = []
        self.pods: dict[str, JobsPod] = {}
        self.wrong_annotations: list[tuple[Moment, str]] = []
        self.over: Moment | None = None
        self.last_at = 0.0
        self.unnoticed: dict[str, tuple[JobsPod, float]] = {}
        "Pods that have published something since the last turn, and when first, in seconds."
        self._created: list[JobsPod] = []
        self._own_deletions: list[JobsPod] = []
        self._created_at: float | None = None
        self._succeeded = self._failed = 0
        self._succeeded_indexes: set[int] = set()
        self._failed_indexes: set[int] = set()
        self._failures: dict[int, int] = {}
        self._counted: dict[int, int] = {}
        self._failed_at: dict[int, float] = {}
        self._row = 0
        self._last_failure_at = 0.0
        self._fails_job = False
        self._verdict: str | None = None

    @property
    def spec(self) -> JobSpec:
        return self.job.spec

    @property
    def is_indexed(self) -> bool:
        return self.spec.completion_mode == "Indexed"

    @property
    def replaces_only_failed(self) -> bool:
        """JOB-5."""
        return self.spec.pod_replacement_policy == "Failed" or self.spec.pod_failure_policy is not None

    # ------------------------------------------------------------------ what happens

    def take(self, moment: Moment) -> None:
        entry = moment.entry
        self.last_at = entry.at
        if entry.what == "jobPublished":
            self._turn(moment)
        elif entry.what == "event" and entry.detail.involved_object.kind == "Job":
            name = entry.detail.message.rpartition(" ")[2]
            if entry.detail.reason == "SuccessfulCreate" and name not in self.pods:
                self._create(name, moment)
            elif entry.detail.reason == "SuccessfulDelete" and name in self.pods:
                pod = self.pods[name]
                pod.is_deleted = True
                self._own_deletions.append(pod)
        elif entry.key != self.key or entry.what not in ("event", "over"):
            self._take_pods(moment)

    def _take_pods(self, moment: Moment) -> None:
        entry = moment.entry
        pod = self.pods.get(entry.key.partition("/")[2])
        if pod is None:
            return
        match entry.what:
            case "published":
                self._published(pod, moment)
            case "deletion":
                if pod.deletion_at is None:
                    pod.deletion_at = entry.at
            case "startFailed" if entry.detail[1]:
                pod.ends[entry.container] = entry.at
            case "exited":
                pod.ends[entry.container] = entry.at

    def begun(self, moment: Moment) -> None:
        """A pod of this Job is there."""
        made: Pod = moment.detail
        name = made.metadata.name
        if name not in self.pods:
            self._create(name, moment)
        self.pods[name].pod = made

    def _create(self, name: str, moment: Moment) -> None:
        index = int(name.rsplit("-", 2)[1]) if self.is_indexed else None
        pod = JobsPod(name, index, moment, ready_since=moment.at)
        self.pods[name] = pod
        self._created.append(pod)

    def _published(self, pod: JobsPod, moment: Moment) -> None:
        shown: Pod = moment.detail
        assert shown.status is not None
        pod.status = shown.status
        pod.is_deleted = pod.is_deleted or shown.metadata.deletion_timestamp is not None
        is_ready = any(c.type == "Ready" and c.status == "True" for c in shown.status.conditions)
        if is_ready is not pod.is_ready:
            pod.is_ready, pod.ready_since = is_ready, moment.at
        self.unnoticed.setdefault(pod.name, (pod, moment.at))

    # ------------------------------------------------------------------ a turn

    def _turn(self, moment: Moment) -> None:
        now = moment.at
        if self._created_at is None:
            self._created_at = now
        job: Job = moment.detail
        is_deleted = job.metadata.deletion_timestamp is not None
        noticed = [pod for pod, _ in self.unnoticed.values()]
        late = [pod.name for pod, at in self.unnoticed.values() if at + self.slack < now]
        self.unnoticed = {}
        self._count(noticed, now)
        self._compare_annotations()
        due = None
        deadline = self._deadline()
        is_close = abs(now - deadline) < self.tolerance
        if self._verdict is None and not is_deleted:
            shown = job.status is not None and any(
                c.reason == "DeadlineExceeded" for c in job.status.conditions
            )
            due = self._verdict_due(shown if is_close else now >= deadline - ROUNDING)
        creations = self._creations_due(now)
        if is_close and due == ("FailureTarget", "DeadlineExceeded"):  # it may have come after they were made
            creations = Creations([], creations.most, inf)
        elif due is not None or self._verdict is not None or is_deleted or self.spec.suspend:
            creations = Creations([], [], inf)
        self._wind_up(due)
        pods = [pod for pod in self.pods.values() if not pod.is_finished]
        active = [pod for pod in pods if pod.is_active]
        next_due = creations.next_due
        if self._verdict is None and not is_deleted and not is_close:
            next_due = min(next_due, deadline)
        per_index = self.spec.backoff_limit_per_index is not None
        self.turns.append(
            Turn(
                moment,
                Counts(
                    len(active),
                    sum(pod.is_ready for pod in active),
                    len(pods) - len(active),
                    self._succeeded,
                    self._failed,
                ),
                index_list(self._succeeded_indexes) if self.is_indexed else None,
                index_list(self._failed_indexes) if per_index else None,
                noticed,
                late,
                self._created,
                creations,
                due,
                self._verdict,
                is_deleted,
                len(pods),
                _twice(pod.index for pod in (pods if self.replaces_only_failed else active)),
                next_due,
            )
        )
        self._created = []

    def _count(self, noticed: list[JobsPod], now: float) -> None:
        """JOB-1, JOB-4, JOB-11, JOB-18, JOB-24; JOB-8: what was seen at once counts in its order."""
        for pod in self._own_deletions:
            pod.outcome = pod.outcome or "dropped"
        fresh = [pod for pod in noticed if pod.outcome is None]
        for pod in sorted(fresh, key=JobsPod.finished_at) if len(fresh) > 1 else fresh:
            if pod.phase == "Succeeded":
                self._count_success(pod)
            elif pod.phase == "Failed" or (pod.is_deleted and not self.replaces_only_failed):
                self._count_failure(pod, now)

    def _count_success(self, pod: JobsPod) -> None:
        pod.outcome = "succeeded"
        self._succeeded += 1
        self._row = 0
        if pod.index is not None:
            self._succeeded_indexes.add(pod.index)

    def _count_failure(self, pod: JobsPod, now: float) -> None:
        pod.outcome = "failed"
        action = self._action_for(pod)
        failed_at = min(pod.finished_at(), now)
        self._failed += action != "Ignore"
        self._fails_job = self._fails_job or action == "FailJob"
        self._row += 1
        self._last_failure_at = max(self._last_failure_at, failed_at)
        limit = self.spec.backoff_limit_per_index
        if pod.index is None or limit is None:
            return
        self._failures[pod.index] = self._failures.get(pod.index, 0) + 1
        self._counted[pod.index] = self._counted.get(pod.index, 0) + (action != "Ignore")
        self._failed_at[pod.index] = failed_at
        if action == "FailIndex" or self._counted[pod.index] > limit:
            self._failed_indexes.add(pod.index)

    def _compare_annotations(self) -> None:
        """JOB-24: what a pod was made with is what its Job knew then, after what it had noticed that turn."""
        if self.spec.backoff_limit_per_index is None:
            return
        for pod in self._created:
            if pod.index is not None and pod.pod is not None:
                told = pod.pod.metadata.annotations.get(FAILURE_COUNT)
                wanted = str(self._counted.get(pod.index, 0))
                if told != wanted:
                    text = f"{pod.name} was told {told} failures, it were {wanted}"
                    self.wrong_annotations.append((pod.created, text))

    def _action_for(self, pod: JobsPod) -> str:
        """JOB-18: the first rule that matches."""
        policy = self.spec.pod_failure_policy
        rules = policy.rules if policy is not None else ()
        return next((rule.action for rule in rules if _matches(rule, pod)), "Count")

    # ------------------------------------------------------------------ the verdict

    def _deadline(self) -> float:
        """JOB-13."""
        limit = self.spec.active_deadline_seconds
        if limit is None or self.spec.suspend or self._created_at is None:
            return inf
        return self._created_at + limit

    def _verdict_due(self, is_late: bool) -> tuple[str, str] | None:
        """JOB-14, in its order. `is_late`: the deadline has come."""
        spec = self.spec
        if self._fails_job:
            return "FailureTarget", "PodFailurePolicy"
        limit = spec.backoff_limit
        assert limit is not None
        if self._failed > limit or self._restarts_exhaust(limit):
            return "FailureTarget", "BackoffLimitExceeded"
        if is_late:
            return "FailureTarget", "DeadlineExceeded"
        if self._failed_indexes:
            most = spec.max_failed_indexes
            if most is not None and len(self._failed_indexes) > most:
                return "FailureTarget", "MaxFailedIndexesExceeded"
            if len(self._failed_indexes | self._succeeded_indexes) == spec.completions:
                return "FailureTarget", "FailedIndexes"
        rules = spec.success_policy.rules if spec.success_policy is not None else ()
        if any(_suffices(rule, self._succeeded_indexes) for rule in rules):
            return "SuccessCriteriaMet", "SuccessPolicy"
        before = (pod for pod in self.pods.values() if pod not in self._created)
        is_idle = not self._own_deletions and not any(pod.is_active for pod in before)
        if is_idle and self._succeeded >= (1 if spec.completions is None else spec.completions):
            return "SuccessCriteriaMet", "CompletionsReached"
        return None

    def _restarts_exhaust(self, limit: int) -> bool:
        """JOB-12, SIDE-37."""
        if self.spec.template.spec.restart_policy != "OnFailure":
            return False
        restarts = sum(pod.restarts for pod in self.pods.values() if not pod.is_finished)
        return restarts >= limit if limit else restarts > 0

    def _wind_up(self, due: tuple[str, str] | None) -> None:
        """JOB-15, JOB-16: what is left counts as failed with the Job, or does not count."""
        own, self._own_deletions = self._own_deletions, []
        if due is None:
            return
        self._verdict = due[0]
        for pod in self.pods.values():
            if not pod.is_finished and (pod.outcome is None or (pod.outcome == "dropped" and pod in own)):
                failed = due[0] == "FailureTarget"
                self._failed += failed
                pod.outcome = "failed" if failed else "dropped"

    # ------------------------------------------------------------------ new pods

    def _creations_due(self, now: float) -> Creations:
        """JOB-2, JOB-3, JOB-5, JOB-8, JOB-21, JOB-24, given the pods there were before this turn's."""
        spec, new = self.spec, set(map(id, self._created))
        there = [pod for pod in self.pods.values() if not pod.is_finished and id(pod) not in new]
        active = sum(pod.is_active for pod in there)
        if spec.completions is None:
            wanted = active if self._succeeded else spec.parallelism or 0
        else:
            wanted = min(spec.parallelism or 0, spec.completions - self._succeeded)
        missing = wanted - (len(there) if self.replaces_only_failed else active)
        if missing <= 0:
            return Creations([], [], inf)
        if not self.is_indexed:
            return self._now_or_later([(None, self._next_try())] * missing, now)
        taken = self._succeeded_indexes | self._failed_indexes
        taken |= {
            pod.index
            for pod in there
            if pod.index is not None and (pod.is_active or self.replaces_only_failed)
        }
        assert spec.completions is not None
        free = [index for index in range(spec.completions) if index not in taken][:missing]
        return self._now_or_later([(index, self._next_try(index)) for index in free], now)

    def _next_try(self, index: int | None = None) -> float:
        """When the next pod may be made, in seconds: of this index, where each has a limit of its own."""
        if self.spec.backoff_limit_per_index is None or index is None:
            row, last_at = self._row, self._last_failure_at
        else:
            row, last_at = self._failures.get(index, 0), self._failed_at.get(index, 0.0)
        if row == 0:
            return -inf
        cap = LONGEST_WAIT if self.settings.backoff_max == KUBELET_CAP else self.settings.backoff_max
        return last_at + min(self.settings.backoff_base * 2.0 ** min(row - 1, 60), cap)

    def _now_or_later(self, tries: list[tuple[int | None, float]], now: float) -> Creations:
        fewest = [index for index, due_at in tries if due_at <= now + ROUNDING - self.tolerance]
        most = [index for index, due_at in tries if due_at <= now + self.slack]
        later = (due_at for _, due_at in tries if due_at > now + self.slack)
        return Creations(fewest, most, min(later, default=inf))


def _matches(rule: PodFailurePolicyRule, pod: JobsPod) -> bool:
    """JOB-19, JOB-20."""
    wanted = rule.on_exit_codes
    if wanted is not None:
        return any(
            (code in wanted.values) is (wanted.operator == "In")
            for name, code in pod.exit_codes()
            if wanted.container_name is None or wanted.container_name == name
        )
    assert pod.status is not None
    shown = {(c.type, c.status) for c in pod.status.conditions}
    return any((pattern.type, pattern.status) in shown for pattern in rule.on_pod_conditions)


def _suffices(rule: SuccessPolicyRule, succeeded: set[int]) -> bool:
    """JOB-26."""
    if rule.succeeded_indexes is None:
        count = rule.succeeded_count
        return count is not None and len(succeeded) >= max(count, 1)
    listed: set[int] = set()
    for part in rule.succeeded_indexes.split(","):
        first, _, last = part.partition("-")
        listed.update(range(int(first), int(last or first) + 1))
    count = len(listed) if rule.succeeded_count is None else rule.succeeded_count
    return len(listed & succeeded) >= max(count, 1)


def index_list(indexes: set[int]) -> str:
    """JOB-23: "1,3-5,7,8"."""
    parts: list[str] = []
    run: list[int] = []
    for index in (*sorted(indexes), -1):
        if run and index != run[-1] + 1:
            parts += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else map(str, run)
            run = []
        run.append(index)
    return ",".join(parts)


def _twice(indexes: Iterable[int | None]) -> list[int]:
    known = [index for index in indexes if index is not None]
    return sorted({index for index in known if known.count(index) > 1})


def job_stories(journal: Journal) -> list[JobStory]:
    """Every Job's, in the order of their first publications."""
    jobs = [entry for entry in journal.entries if entry.what == "jobPublished"]
    if not jobs:
        return []
    told: list[JobStory] = []
    current: dict[str, JobStory] = {}
    by_name: dict[str, JobStory] = {}
    owners: dict[str, JobStory] = {}
    for entry in jobs:
        known = current.get(entry.key)
        if known is None or known.job.metadata.uid != entry.detail.metadata.uid:
            story = JobStory(entry.key, entry.detail, journal.settings, journal.tolerance)
            current[entry.key] = story
            by_name[entry.detail.metadata.uid] = story
            told.append(story)
    for index, entry in enumerate(journal.entries):
        moment = Moment(index, entry)
        if entry.what == "over":
            for story in told:
                story.over = moment
        elif entry.what == "begun":
            for reference in entry.detail.metadata.owner_references:
                owner = by_name.get(reference.uid)
                if owner is not None:
                    owners[entry.key] = owner
                    owner.begun(moment)
        elif entry.what == "jobPublished":
            by_name[entry.detail.metadata.uid].take(moment)
        elif isinstance(entry.detail, Event) and entry.detail.involved_object.kind == "Job":
            owner = by_name.get(entry.detail.involved_object.uid)
            if owner is not None:
                owner.take(moment)
        elif not isinstance(entry.detail, Event) and entry.key in owners:
            owners[entry.key].take(moment)
    return told
