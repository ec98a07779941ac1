"""Refuses Jobs and controllers of pods that the API server would refuse (VALID-21 to VALID-24).

What holds for the pods in their templates is said in `validation`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from minikubelet.api.check import quoted
from minikubelet.api.errors import shown
from minikubelet.api.job import Job, JobSpec, PodFailurePolicyRule
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import PodTemplateSpec
from minikubelet.api.rules import (
    Complaint,
    Complaints,
    at_least,
    dns_label,
    dns_subdomain,
    duplicate,
    each,
    forbidden,
    invalid,
    one_of,
    qualified_name,
    required,
    unsupported,
)
from minikubelet.api.validation import validate_meta, validate_pod_template

MAX_PODS = 10_000
"At once, of a Job or of all controllers of a run: far more than a machine runs, too few to fill its memory."

# ------------------------------------------------------------------ jobs


def validate_job(job: Job) -> list[Complaint]:
    """A Job as it stands in a file; a CronJob's is looked at with `validate_job_spec`."""
    return [
        *validate_meta(job.metadata, name=_job_name),
        *validate_job_spec(job.spec, "spec", job.metadata.name),
    ]


def _job_name(value: str) -> str | None:
    """The name becomes a label of its pods."""
    return invalid(value, "must be no more than 63 characters") if len(value) > 63 else dns_subdomain(value)


def validate_job_spec(spec: JobSpec, path: str, name: str) -> Complaints:
    """VALID-21 to VALID-24."""
    for field, value in (
        ("parallelism", spec.parallelism),
        ("completions", spec.completions),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("maxFailedIndexes", spec.max_failed_indexes),
    ):
        yield from at_least(0, f"{path}.{field}", value)
    yield from one_of(f"{path}.completionMode", spec.completion_mode, ("Indexed", "NonIndexed"))
    if spec.completion_mode == "Indexed":
        yield from _validate_indexed(spec, path, name)
    else:
        yield from _validate_unindexed(spec, path)
    at_once = spec.parallelism if spec.parallelism is not None else 1
    if spec.completions is not None:
        at_once = min(at_once, spec.completions)
    if at_once > MAX_PODS:
        yield f"{path}.parallelism", invalid(at_once, f"more than {MAX_PODS} pods at once")
    if spec.max_failed_indexes is not None and spec.backoff_limit_per_index is None:
        yield f"{path}.backoffLimitPerIndex", required("when maxFailedIndexes is specified")
    yield from _validate_replacement_policy(spec, path)
    if spec.managed_by is not None and not _is_controller(spec.managed_by):
        why = "must be a domain-prefixed path of at most 63 characters, such as 'acme.io/foo'"
        yield f"{path}.managedBy", invalid(spec.managed_by, why)

    template = f"{path}.template"
    yield from (
        (where, message)
        for where, message in validate_pod_template(spec.template, template)
        if where != f"{template}.spec.restartPolicy"
    )
    policy = spec.template.spec.restart_policy
    if policy not in ("OnFailure", "Never"):  # VALID-21
        why = 'valid values: "OnFailure", "Never"'
        message = required(why) if policy == "Always" else unsupported(policy, ("OnFailure", "Never"))
        yield f"{template}.spec.restartPolicy", message
    elif policy != "Never" and spec.pod_failure_policy is not None:
        why = 'only "Never" is supported when podFailurePolicy is specified'
        yield f"{template}.spec.restartPolicy", invalid(policy, why)
    if spec.pod_failure_policy is not None:
        yield from _validate_failure_policy(spec, f"{path}.podFailurePolicy")
    if spec.success_policy is not None:
        yield from _validate_success_policy(spec, f"{path}.successPolicy")


_CONTROLLER_PATH = re.compile(r"[-A-Za-z0-9/._~%!$&'()*+,;=:]+")


def _is_controller(value: str) -> bool:
    """`IsDomainPrefixedPath` in k8s.io/apimachinery/pkg/util/validation, in the length of managedBy."""
    domain, _, name = value.partition("/")
    return len(value) <= 63 and dns_subdomain(domain) is None and _CONTROLLER_PATH.fullmatch(name) is not None


def _validate_indexed(spec: JobSpec, path: str, name: str) -> Complaints:
    if spec.completions is None:
        yield f"{path}.completions", required("when completion mode is Indexed")
    elif spec.completions > 0 and name:
        last_name = f"{name}-{spec.completions - 1}"
        if (message := dns_label(last_name)) is not None:
            yield "metadata.name", f"{message} (the hostname of the last index)"
    if spec.parallelism is not None and spec.parallelism > 100_000:
        why = "must be less than or equal to 100000 when completion mode is Indexed"
        yield f"{path}.parallelism", invalid(spec.parallelism, why)
    failed, completions = spec.max_failed_indexes, spec.completions
    if failed is not None:
        if completions is not None and failed > completions:
            yield f"{path}.maxFailedIndexes", invalid(failed, "must be less than or equal to completions")
        if failed > 100_000:
            yield f"{path}.maxFailedIndexes", invalid(failed, "must be less than or equal to 100000")
    if spec.backoff_limit_per_index is not None and completions is not None and completions > 100_000:
        if failed is None:
            yield f"{path}.maxFailedIndexes", required("must be specified when completions is above 100000")
        elif failed > 10_000:
            why = "must be less than or equal to 10000 when completions are above 100000"
            yield f"{path}.maxFailedIndexes", invalid(failed, f"{why} and used with backoff limit per index")
        if spec.parallelism is not None and spec.parallelism > 10_000:
            why = "must be less than or equal to 10000 when completions are above 100000"
            yield (
                f"{path}.parallelism",
                invalid(spec.parallelism, f"{why} and used with backoff limit per index"),
            )


def _validate_unindexed(spec: JobSpec, path: str) -> Complaints:
    for field, value in (
        ("backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("maxFailedIndexes", spec.max_failed_indexes),
        ("successPolicy", spec.success_policy),
    ):
        if value is not None:
            shown = value if isinstance(value, int) else ""
            yield f"{path}.{field}", invalid(shown, "requires indexed completion mode")


def _validate_replacement_policy(spec: JobSpec, path: str) -> Complaints:
    supported = ("Failed",) if spec.pod_failure_policy is not None else ("Failed", "TerminatingOrFailed")
    if spec.pod_replacement_policy is not None:
        yield from one_of(f"{path}.podReplacementPolicy", spec.pod_replacement_policy, supported)


_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")


def _validate_failure_policy(spec: JobSpec, path: str) -> Complaints:
    """VALID-23."""
    assert spec.pod_failure_policy is not None
    rules = spec.pod_failure_policy.rules
    if len(rules) > 20:
        yield f"{path}.rules", f"Too many: {len(rules)}: must have at most 20 items"
    for index, rule in enumerate(rules):
        yield from _validate_failure_rule(rule, f"{path}.rules[{index}]", spec)


def _validate_failure_rule(rule: PodFailurePolicyRule, path: str, spec: JobSpec) -> Complaints:
    yield from one_of(f"{path}.action", rule.action, _ACTIONS)
    if rule.action == "FailIndex" and spec.backoff_limit_per_index is None:
        yield f"{path}.action", invalid(rule.action, "requires the backoffLimitPerIndex to be set")
    codes, patterns = rule.on_exit_codes, rule.on_pod_conditions
    if codes is not None and patterns:
        yield path, invalid("", "specifying both OnExitCodes and OnPodConditions is not supported")
    if codes is None and not patterns:
        yield path, invalid("", "specifying one of OnExitCodes and OnPodConditions is required")
    if codes is not None:
        where = f"{path}.onExitCodes"
        yield from one_of(f"{where}.operator", codes.operator, ("In", "NotIn"))
        if codes.container_name is not None and codes.container_name not in spec.template.spec.all_containers:
            why = "must be one of the container or initContainer names in the pod template"
            yield f"{where}.containerName", invalid(codes.container_name, why)
        if not codes.values:
            yield f"{where}.values", invalid("", "at least one value is required")
        if len(codes.values) > 255:
            yield f"{where}.values", f"Too many: {len(codes.values)}: must have at most 255 items"
        if list(codes.values) != sorted(codes.values):
            yield f"{where}.values", invalid(list(codes.values), "must be ordered")
        seen: set[int] = set()
        for index, code in enumerate(codes.values):
            if code == 0 and codes.operator == "In":
                yield f"{where}.values[{index}]", invalid(code, "must not be 0 for the In operator")
            if code in seen:
                yield f"{where}.values[{index}]", duplicate(code)
            seen.add(code)
    if len(patterns) > 20:
        yield f"{path}.onPodConditions", f"Too many: {len(patterns)}: must have at most 20 items"
    for index, pattern in enumerate(patterns):
        where = f"{path}.onPodConditions[{index}]"
        yield from each((f"{where}.type", qualified_name(pattern.type) if pattern.type else required()))
        yield from one_of(f"{where}.status", pattern.status, ("False", "True", "Unknown"))


def _validate_success_policy(spec: JobSpec, path: str) -> Complaints:
    """VALID-24."""
    assert spec.success_policy is not None
    rules = spec.success_policy.rules
    if not rules:
        yield f"{path}.rules", required("at least one rule must be specified")
    if len(rules) > 20:
        yield f"{path}.rules", f"Too many: {len(rules)}: must have at most 20 items"
    for index, rule in enumerate(rules):
        where = f"{path}.rules[{index}]"
        listed = spec.completions
        if rule.succeeded_count is None and rule.succeeded_indexes is None:
            yield where, required("at least one of succeededCount or succeededIndexes must be specified")
        if rule.succeeded_indexes is not None:
            listed, message = _count_indexes(rule.succeeded_indexes, spec.completions or 0)
            if message is not None:
                yield f"{where}.succeededIndexes", message
                continue
        count = rule.succeeded_count
        if count is not None:
            yield from at_least(0, f"{where}.succeededCount", count)
            if listed is not None and count > listed:
                what = (
                    "the number of indexes in succeededIndexes" if rule.succeeded_indexes else "completions"
                )
                why = f"must be less than or equal to {listed}, {what}"
                yield f"{where}.succeededCount", invalid(count, why)


_INDEX_RANGE = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")


def _count_indexes(text: str, completions: int) -> tuple[int | None, str | None]:
    """How many indexes `1,3-5` lists, or what is wrong with it."""
    if len(text) > 64 * 1024:
        return None, "Too long: may not be more than 65536 bytes"
    total, last = 0, -1
    for part in text.split(",") if text else ():
        match = _INDEX_RANGE.fullmatch(part)
        if match is None:
            return None, invalid(text, f"{quoted(part)} is no index and no range of indexes")
        first = int(match[1])
        end = int(match[2]) if match[2] else first
        if first <= last or (match[2] and end <= first):
            return None, invalid(text, f"indexes must ascend, {quoted(part)} does not")
        if end >= completions:
            return None, invalid(text, f"{end} is not below completions ({completions})")
        total, last = total + end - first + 1, end
    return total, None


# ------------------------------------------------------------------ controllers


def validate_controller(
    kind: str, meta: ObjectMeta, spec: Mapping[str, Any], template: PodTemplateSpec | None
) -> list[Complaint]:
    """A Deployment, ReplicaSet, StatefulSet, DaemonSet or ReplicationController; `spec` is plain data."""
    found = list(validate_meta(meta, name=dns_label if kind == "StatefulSet" else dns_subdomain))
    found += at_least(0, "spec.replicas", spec.get("replicas"))
    found += _validate_roll_out(kind, spec)
    if template is None:
        return [*found, ("spec.template", required())]
    found += _validate_selector(kind, spec.get("selector"), template)
    found += validate_pod_template(template, "spec.template")
    if template.spec.restart_policy in ("OnFailure", "Never"):
        found.append(
            ("spec.template.spec.restartPolicy", unsupported(template.spec.restart_policy, ("Always",)))
        )
    if template.spec.active_deadline_seconds is not None:
        found.append(("spec.template.spec.activeDeadlineSeconds", forbidden(f"not supported in a {kind}")))
    start = (spec.get("ordinals") or {}).get("start")
    found += at_least(0, "spec.ordinals.start", start)
    return found


def _validate_roll_out(kind: str, spec: Mapping[str, Any]) -> Complaints:
    """There is none here, but a fault in it is worth knowing before the cluster tells."""
    for field in ("minReadySeconds", "revisionHistoryLimit"):
        yield from at_least(0, f"spec.{field}", spec.get(field))
    ready = spec.get("minReadySeconds", 0)
    if (progress := spec.get("progressDeadlineSeconds")) is not None and progress <= ready:
        yield "spec.progressDeadlineSeconds", invalid(progress, "must be greater than minReadySeconds")
    field = "strategy" if kind == "Deployment" else "updateStrategy"
    strategy: Mapping[str, Any] = spec.get(field) or {}
    if strategy.get("type"):
        other = "Recreate" if kind == "Deployment" else "OnDelete"
        yield from one_of(f"spec.{field}.type", strategy["type"], (other, "RollingUpdate"))
        if strategy["type"] == "Recreate" and "rollingUpdate" in strategy:
            why = "may not be specified when strategy `type` is 'Recreate'"
            yield f"spec.{field}.rollingUpdate", forbidden(why)
    steps = strategy.get("rollingUpdate") or {}
    if kind == "Deployment" and all(steps.get(f) in (0, "0%") for f in ("maxSurge", "maxUnavailable")):
        why = "may not be 0 when `maxSurge` is 0"
        yield f"spec.{field}.rollingUpdate.maxUnavailable", invalid(steps["maxUnavailable"], why)
    if spec.get("podManagementPolicy"):
        policies = ("OrderedReady", "Parallel")
        yield from one_of("spec.podManagementPolicy", spec["podManagementPolicy"], policies)


def _validate_selector(
    kind: str, selector: Mapping[str, Any] | None, template: PodTemplateSpec
) -> Complaints:
    labels = template.metadata.labels
    expressions: Sequence[Mapping[str, Any]] = ()
    if kind == "ReplicationController":
        wanted = selector or {}
        if not selector and not labels:
            yield "spec.selector", required()
            return
    else:
        wanted = (selector or {}).get("matchLabels") or {}
        expressions = (selector or {}).get("matchExpressions") or ()
        if not wanted and not expressions:
            yield "spec.selector", required(f"an empty selector is invalid for a {kind}")
            return
    if expressions:
        from minikubelet.api.validation_scheduling import validate_selector_form

        yield from validate_selector_form({"matchExpressions": expressions}, "spec.selector")
    if any(labels.get(key) != value for key, value in wanted.items()) or not all(
        _selects(one, labels) for one in expressions
    ):
        given = "{" + ", ".join(f"{key}: {value}" for key, value in labels.items()) + "}"
        yield (
            "spec.template.metadata.labels",
            (f"Invalid value: {shown(given)}: `selector` does not match template `labels`"),
        )


def _selects(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return True
