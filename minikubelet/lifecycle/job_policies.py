"""The Job's tables: which failures count, when successes suffice, how long to wait before another try.

Plain questions about a spec and a few values; what has happened so far is in `job_record`.
"""

from typing import Literal

from minikubelet.api.job import (
    JobSpec,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from minikubelet.api.values import frozen
from minikubelet.lifecycle.index_set import IndexSet, parse_indexes
from minikubelet.lifecycle.job_facts import JobPod
from minikubelet.lifecycle.settings import LifecycleSettings

FailureAction = Literal["FailJob", "FailIndex", "Count", "Ignore"]

JOB_BACKOFF_MAX = 600.0
"Seconds; `MaxJobPodFailureBackOff` of the Job controller, where the kubelet's own cap is 300 (JOB-8)."

_DEFAULTS = LifecycleSettings()


# ------------------------------------------------------------------ pods that failed


def replaces_only_failed(spec: JobSpec) -> bool:
    """JOB-5: a terminating pod keeps its slot and its index until it is Failed."""
    return spec.pod_replacement_policy == "Failed" or spec.pod_failure_policy is not None


def has_failed(pod: JobPod, spec: JobSpec) -> bool:
    """JOB-4."""
    if pod.phase == "Failed":
        return True
    return pod.deletion_requested and pod.phase != "Succeeded" and not replaces_only_failed(spec)


@frozen
class FailureVerdict:
    action: FailureAction = "Count"
    message: str = ""
    "For FailJob: why, in the words of the condition."


def judge_failure(policy: PodFailurePolicy | None, pod: JobPod, namespace: str) -> FailureVerdict:
    """JOB-18: what a failed pod means: the first rule that matches decides, without one it counts."""
    for position, rule in enumerate(policy.rules if policy else ()):
        cause = _match(rule, pod, namespace)
        if cause is not None:
            action: FailureAction = rule.action  # type: ignore[assignment]  # validated (VALID-23)
            return FailureVerdict(action, f"{cause} matching {action} rule at index {position}")
    return FailureVerdict()


def _match(rule: PodFailurePolicyRule, pod: JobPod, namespace: str) -> str | None:
    if rule.on_exit_codes is not None:
        for container, code in pod.exit_codes:
            if _matches_exit_code(rule.on_exit_codes, container, code):
                return f"Container {container} for pod {namespace}/{pod.name} failed with exit code {code}"
        return None
    for type_, status in pod.conditions:
        if any(p.type == type_ and p.status == status for p in rule.on_pod_conditions):
            return f"Pod {namespace}/{pod.name} has condition {type_}"
    return None


def _matches_exit_code(wanted: PodFailurePolicyOnExitCodesRequirement, container: str, code: int) -> bool:
    """JOB-19: exit code 0 never matches, not even NotIn."""
    if code == 0 or wanted.container_name not in (None, container):
        return False
    return (code in wanted.values) == (wanted.operator == "In")


# ------------------------------------------------------------------ indexes that succeeded


def matched_success_rule(policy: SuccessPolicy | None, succeeded: IndexSet, completions: int) -> int | None:
    """JOB-26: position of the first rule that is satisfied."""
    for position, rule in enumerate(policy.rules if policy else ()):
        if _suffices(rule, succeeded, completions):
            return position
    return None


def _suffices(rule: SuccessPolicyRule, succeeded: IndexSet, completions: int) -> bool:
    if rule.succeeded_indexes is None:
        return rule.succeeded_count is not None and 0 < len(succeeded) >= rule.succeeded_count
    listed = parse_indexes(rule.succeeded_indexes, completions)
    enough = len(listed) if rule.succeeded_count is None else min(rule.succeeded_count, len(listed))
    return 0 < len(listed & succeeded) >= enough


# ------------------------------------------------------------------ another try


def replacement_delay(failures: int, settings: LifecycleSettings) -> float:
    """JOB-8: seconds from the last failure to the next pod, after so many failures in a row.

    Base and cap are those of the crash loop, except that a cap left at the kubelet's default is the Job
    controller's own. A cap below the base wins (BACKOFF-8).
    """
    if failures == 0:
        return 0.0
    cap = JOB_BACKOFF_MAX if settings.backoff_max == _DEFAULTS.backoff_max else settings.backoff_max
    doublings = min(failures - 1, 62)  # beyond any cap, and short of a float's range
    return min(settings.backoff_base * 2.0**doublings, cap)
