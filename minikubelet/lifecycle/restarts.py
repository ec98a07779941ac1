"""May this container run again? Restart policies and exit-code rules, side by side.

Knows nothing of time (`backoff`) nor of order (`startup`).
"""

from minikubelet.api.pod import Container, ContainerRestartRule, PodSpec
from minikubelet.lifecycle.record import ContainerRun, PodRecord

RESTART_ALL = "RestartAllContainers"


def effective_policy(spec: PodSpec, container: Container) -> str:
    """SIDE-1, INIT-4, INIT-5, RESTART-5: what decides when no rule matches."""
    policy = container.restart_policy or spec.restart_policy
    if container.name in spec.plain_inits and policy == "Always":
        return "OnFailure"
    return policy


def matching_rule(spec: PodSpec, container: Container, exit_code: int) -> ContainerRestartRule | None:
    """RESTART-6, RESTART-7: first match wins; rules need a restartPolicy of the container's own.

    INIT-1, INIT-4: no rule restarts an init container that is done, such as one for any code but 42.
    """
    if container.restart_policy is None:
        return None
    for rule in container.restart_policy_rules:
        if rule.exit_codes is None:
            continue
        listed = exit_code in rule.exit_codes.values
        if listed == (rule.exit_codes.operator == "In"):
            is_done = exit_code == 0 and container.name in spec.plain_inits
            return None if is_done and rule.action != RESTART_ALL else rule
    return None


def wants_restart(spec: PodSpec, container: Container, run: ContainerRun) -> bool:
    """RESTART-4..11 and SIDE-9, for a run that has ended while its pod goes on."""
    assert run.exit_code is not None
    if matching_rule(spec, container, run.exit_code) is not None:  # either action runs it again
        return True
    match effective_policy(spec, container):
        case "Always":
            return True
        case "OnFailure":
            return run.exit_code != 0 or _was_condemned(run)
        case _:
            return False


def waits_for_restart(record: PodRecord, container: Container) -> bool:
    """BACKOFF-11: shown as waiting as soon as the restart is known to be delayed; never while ending."""
    state = record.containers[container.name]
    if state.waiting is None or state.run is None or state.run.is_live:
        return False
    if record.ending is not None and record.ending.is_final:
        return False
    return wants_restart(record.spec, container, state.run)


def restarts_everything(spec: PodSpec, container: Container, run: ContainerRun) -> bool:
    """RESTART-13: does this exit restart the whole pod in place?"""
    if run.exit_code is None:
        return False
    rule = matching_rule(spec, container, run.exit_code)
    return rule is not None and rule.action == RESTART_ALL


def will_restart_after_kill(spec: PodSpec, container: Container) -> bool:
    """RESTART-9: what a probe kill announces, before there is an exit code to judge."""
    return effective_policy(spec, container) != "Never"


def _was_condemned(run: ContainerRun) -> bool:
    """RESTART-10: killed by a liveness or startup failure, so exit code 0 does not mean completed."""
    return run.stopping is not None and run.stopping.cause in ("liveness", "startup")
