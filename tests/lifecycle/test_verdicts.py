"""The rule that is named for a failure is the one that decided."""

from typing import Any

import pytest

from minikubelet.api.job import Job, JobSpec
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import (
    Container,
    ContainerRestartRule,
    ContainerRestartRuleOnExitCodes,
    Pod,
    PodSpec,
    PodTemplateSpec,
)
from minikubelet.api.pod_status import ContainerState, ContainerStateTerminated, ContainerStatus, PodStatus
from minikubelet.lifecycle.verdicts import container_verdict, crash_loop_verdict, job_verdict, pod_verdict


def ended(name: str, code: int) -> ContainerStatus:
    return ContainerStatus(name, ContainerState(terminated=ContainerStateTerminated(code)))


def failed(spec: PodSpec, codes: dict[str, int], **status: Any) -> Pod:
    inits = tuple(ended(c.name, codes[c.name]) for c in spec.init_containers if c.name in codes)
    mains = tuple(ended(c.name, codes[c.name]) for c in spec.containers if c.name in codes)
    told = PodStatus("Failed", init_container_statuses=inits, container_statuses=mains, **status)
    return Pod(ObjectMeta("p"), spec, told)


def test_init_3_nothing_starts_without_an_init_container() -> None:
    """The first that failed; a sidecar's exit code counts for nothing (SIDE-17)."""
    inits = (Container("proxy", restart_policy="Always"), Container("migrate"))
    pod = failed(PodSpec((Container("main"),), inits, restart_policy="Never"), {"proxy": 1, "migrate": 3})

    assert str(pod_verdict(pod)) == "nothing may start before init container migrate [INIT-3, PHASE-3]"
    assert str(container_verdict(pod, inits[1])) == (
        "not started again: the pod's restartPolicy is Never [RESTART-4]"
    )


def test_init_5_an_init_container_can_have_its_own_policy() -> None:
    """Under a pod that restarts everything else."""
    init = Container("migrate", restart_policy="Never")
    pod = failed(PodSpec((Container("main"),), (init,)), {"migrate": 3})

    assert str(container_verdict(pod, init)) == "not started again: its own restartPolicy is Never [INIT-5]"


def test_phase_7_a_main_container_failed() -> None:
    """After all have ended."""
    spec = PodSpec((Container("a"), Container("b")), restart_policy="Never")

    assert str(pod_verdict(failed(spec, {"a": 0, "b": 1}))) == (
        "its main containers have ended, and not all with exit code 0 [PHASE-7]"
    )


def test_restart_6_rules_that_did_not_match_are_named() -> None:
    """So that nobody looks for the reason elsewhere."""
    rule = ContainerRestartRule("Restart", ContainerRestartRuleOnExitCodes("In", (42,)))
    main = Container("main", restart_policy="Never", restart_policy_rules=(rule,))

    assert str(container_verdict(failed(PodSpec((main,)), {"main": 41}), main)) == (
        "not started again: its own restartPolicy is Never, and none of its restartPolicyRules matches "
        "[RESTART-5, RESTART-6]"
    )


def test_term_10_a_deadline_outweighs_all_policies() -> None:
    """Whatever the containers made of it."""
    main = Container("main")
    spec = PodSpec((main,), active_deadline_seconds=5)
    pod = failed(spec, {"main": 143}, reason="DeadlineExceeded", message="too long")

    assert str(pod_verdict(pod)) == "DeadlineExceeded: too long [TERM-10, PHASE-11]"
    assert container_verdict(pod, main) is None, "nothing is to be added"


@pytest.mark.parametrize(
    ("container", "is_init", "rules"),
    [
        (Container("c"), False, ("RESTART-4",)),
        (Container("c", restart_policy="OnFailure"), False, ("RESTART-5",)),
        (Container("c", restart_policy="Never"), False, ("RESTART-8",)),
        (Container("c"), True, ("INIT-4",)),
        (Container("c", restart_policy="OnFailure"), True, ("INIT-5",)),
    ],
)
def test_a_crash_loop_goes_back_to_a_rule(
    container: Container, is_init: bool, rules: tuple[str, ...]
) -> None:
    """Under Never it can only be one of its restartPolicyRules."""
    main = Container("main")
    spec = PodSpec((main,), (container,)) if is_init else PodSpec((container,))

    assert crash_loop_verdict(failed(spec, {"c": 1}), container).rules == rules


@pytest.mark.parametrize(
    ("reason", "restart_policy", "failed_alone", "rules"),
    [
        ("BackoffLimitExceeded", "Never", 3, ("JOB-10",)),
        ("BackoffLimitExceeded", "OnFailure", 0, ("JOB-12",)),
        ("BackoffLimitExceeded", "OnFailure", 3, ("JOB-10",)),
        ("DeadlineExceeded", "Never", 0, ("JOB-13",)),
        ("PodFailurePolicy", "Never", 1, ("JOB-18", "JOB-19")),
        ("FailedIndexes", "Never", 1, ("JOB-24", "JOB-25")),
        ("MaxFailedIndexesExceeded", "Never", 1, ("JOB-25",)),
        ("SomethingElse", "Never", 1, None),
    ],
)
def test_a_jobs_reason_goes_back_to_a_rule(
    reason: str, restart_policy: str, failed_alone: int, rules: tuple[str, ...] | None
) -> None:
    """With OnFailure, restarts within pods count too: who has failed alone tells which it was."""
    template = PodTemplateSpec(PodSpec((Container("c"),), restart_policy=restart_policy))
    job = Job(ObjectMeta("j"), JobSpec(template, backoff_limit=2, active_deadline_seconds=9))

    verdict = job_verdict(job, reason, failed_alone)

    assert (verdict and verdict.rules) == rules
