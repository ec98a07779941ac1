"""Why a pod or a Job has failed: the rule that decided, for whoever has to mend it.

Reads published objects only, and judges nothing anew: it names what `phase`, `restarts` and `job_plan` have
gone by. The one idea: what people ask is not why a container ended, which its exit code and its log tell, but
why nothing was tried again.
"""

from minikubelet.api.job import Job
from minikubelet.api.pod import Container, Pod
from minikubelet.api.values import frozen
from minikubelet.lifecycle.restarts import effective_policy


@frozen
class Verdict:
    """A reason, and the rules of `docs/SEMANTICS.md` behind it."""

    text: str
    rules: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.text} [{', '.join(self.rules)}]"


def pod_verdict(pod: Pod) -> Verdict:
    """What made a pod as a whole fail."""
    assert pod.status
    if pod.status.reason:  # only a deadline gives one
        said = ": ".join(filter(None, (pod.status.reason, pod.status.message)))
        return Verdict(said, ("TERM-10", "PHASE-11"))
    for status in pod.status.init_container_statuses:
        ended = status.state.terminated
        if status.name in pod.spec.plain_inits and ended is not None and ended.exit_code != 0:
            return Verdict(f"nothing may start before init container {status.name}", ("INIT-3", "PHASE-3"))
    return Verdict("its main containers have ended, and not all with exit code 0", ("PHASE-7",))


def container_verdict(pod: Pod, container: Container) -> Verdict | None:
    """Why a container that has failed is not started again; None where that of the pod says it."""
    assert pod.status
    if pod.status.reason:
        return None
    policy = effective_policy(pod.spec, container)
    if container.restart_policy is None:
        return Verdict(f"not started again: the pod's restartPolicy is {policy}", ("RESTART-4",))
    text = f"not started again: its own restartPolicy is {policy}"
    rule = "INIT-5" if container.name in pod.spec.plain_inits else "RESTART-5"
    if not container.restart_policy_rules:
        return Verdict(text, (rule,))
    return Verdict(f"{text}, and none of its restartPolicyRules matches", (rule, "RESTART-6"))


def crash_loop_verdict(pod: Pod, container: Container) -> Verdict:
    """Why a container that keeps failing was tried again."""
    policy = effective_policy(pod.spec, container)
    if container.name in pod.spec.plain_inits and container.restart_policy is None:
        return Verdict(
            "an init container is tried until it succeeds, unless restartPolicy is Never", ("INIT-4",)
        )
    if container.restart_policy is None:
        return Verdict(f"always started again: the pod's restartPolicy is {policy}", ("RESTART-4",))
    if policy == "Never":
        return Verdict("always started again: one of its restartPolicyRules matches", ("RESTART-8",))
    rule = "INIT-5" if container.name in pod.spec.plain_inits else "RESTART-5"
    return Verdict(f"always started again: its own restartPolicy is {policy}", (rule,))


def retry_verdict() -> Verdict:
    """Why a container that could not even be made is tried again."""
    return Verdict("tried again until it can be made, whatever the restartPolicy", ("STATUS-9", "BACKOFF-13"))


def volumes_verdict() -> Verdict:
    """Why a pod without its volumes has neither started nor failed."""
    return Verdict("tried again until the volumes are there, before anything is started", ("VOL-6",))


def job_verdict(job: Job, reason: str | None, failed_alone: int) -> Verdict | None:
    """What the reason of a Job's condition `Failed` comes from; None for one that speaks for itself.

    `failed_alone` is how many of its pods failed before it deleted any.
    """
    spec = job.spec
    limit = spec.backoff_limit if spec.backoff_limit is not None else 6
    match reason:
        case "BackoffLimitExceeded" if (
            spec.template.spec.restart_policy == "OnFailure" and failed_alone <= limit
        ):
            text = f"with OnFailure each restart of a container counts against backoffLimit, which is {limit}"
            return Verdict(text, ("JOB-12",))
        case "BackoffLimitExceeded":
            return Verdict(f"more pods failed than backoffLimit allows, which is {limit}", ("JOB-10",))
        case "DeadlineExceeded":
            text = f"activeDeadlineSeconds is {spec.active_deadline_seconds}, from the start of the Job"
            return Verdict(text, ("JOB-13",))
        case "PodFailurePolicy":
            return Verdict("the first rule of podFailurePolicy that matches decides", ("JOB-18", "JOB-19"))
        case "FailedIndexes":
            limit = spec.backoff_limit_per_index or 0
            text = f"an index fails by FailIndex, or by more failures than backoffLimitPerIndex: {limit}"
            return Verdict(text, ("JOB-24", "JOB-25"))
        case "MaxFailedIndexesExceeded":
            return Verdict(f"maxFailedIndexes is {spec.max_failed_indexes}", ("JOB-25",))
        case _:
            return None
