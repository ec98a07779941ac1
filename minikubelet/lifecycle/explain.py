"""What a manifest means, told before anything runs: order, gates, restarts, the way down, worst cases.

Everything is computed from the spec with the functions that decide when the pod runs, or, for times, by the
same arithmetic; nothing here is kept in step with them by hand that could be asked of them. Lengths are
seconds. A `Sentence` carries the rules that it restates; how it is laid out is the command line's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from shlex import join
from typing import TYPE_CHECKING, Literal

from minikubelet.api.job import JobSpec, PodFailurePolicyRule, SuccessPolicyRule
from minikubelet.api.pod import (
    Container,
    ContainerRestartRule,
    HTTPGetAction,
    LifecycleHandler,
    PodSpec,
    Probe,
    TCPSocketAction,
)
from minikubelet.api.values import frozen
from minikubelet.lifecycle.backoff import BackoffEntry, current_delay, go_duration, next_entry
from minikubelet.lifecycle.job_policies import replacement_delay
from minikubelet.lifecycle.lints import hook_seconds
from minikubelet.lifecycle.record import ContainerRun
from minikubelet.lifecycle.restarts import (
    effective_policy,
    matching_rule,
    restarts_everything,
    wants_restart,
    will_restart_after_kill,
)
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.lifecycle.startup import needs_readiness_to_pass
from minikubelet.lifecycle.termination import kill_time

if TYPE_CHECKING:
    from minikubelet.api.cron_job import CronJobSpec

Role = Literal["init container", "sidecar", "main container"]
Outcome = Literal["restart", "restart all", "stay", "fail pod"]


@frozen
class Sentence:
    text: str
    rules: tuple[str, ...] = ()


@frozen
class Row:
    label: str
    sentences: tuple[Sentence, ...]


@frozen
class ContainerStory:
    name: str
    role: Role
    path: str
    "Relative to the pod: `spec.initContainers[0]`."
    rows: tuple[Row, ...]


@frozen
class WorstCase:
    what: str
    seconds: float
    rules: tuple[str, ...]


@frozen
class Explanation:
    containers: tuple[ContainerStory, ...]
    "In the order in which they start."
    ending: tuple[Row, ...]
    "How the pod comes to its end, and what it is worth then."
    shutdown: tuple[Row, ...]
    "In the order of the stop signals."
    worst_cases: tuple[WorstCase, ...]
    job: tuple[Row, ...] = ()
    cron_job: tuple[Row, ...] = ()


def explain(
    spec: PodSpec,
    job: JobSpec | None = None,
    cron_job: CronJobSpec | None = None,
    settings: LifecycleSettings | None = None,
) -> Explanation:
    """A pod, or the pods of a Job, or of a CronJob's Jobs, from the first start to the last exit."""
    settings = settings or LifecycleSettings()
    return Explanation(
        tuple(_containers(spec)),
        tuple(_ending(spec, settings)),
        tuple(_shutdown(spec)),
        tuple(_worst_cases(spec, job, settings)),
        tuple(_job(job, settings)) if job is not None else (),
        tuple(_cron_job(cron_job)) if cron_job is not None else (),
    )


def spoken(seconds: float) -> str:
    """A length as people write it: 10s, 1m20s, and 5m where Go has 5m0s."""
    return re.sub(r"(?<=[hm])0[ms]", "", re.sub(r"(?<=h)0m0s$", "", go_duration(seconds)))


def _row(label: str, *sentences: Sentence) -> Row:
    return Row(label, sentences)


def _say(text: str, *rules: str) -> Sentence:
    return Sentence(text, rules)


# ------------------------------------------------------------------ numbers


def backoff_delays(settings: LifecycleSettings, count: int) -> tuple[float, ...]:
    """BACKOFF-2: seconds from each exit to the next start, for runs that end as soon as they begin."""
    entry: BackoffEntry | None = None
    now, delays = 0.0, []
    for _ in range(count):
        delay = current_delay(entry, now, settings)
        entry = next_entry(entry, now, now + delay, settings)
        now += delay
        delays.append(delay)
    return tuple(delays)


def verdict_after(probe: Probe) -> tuple[float, float]:
    """PROBE-15: seconds from a container's start to the last of its first `failureThreshold` failures.

    The first: every answer comes at once; the second: every probe runs into its timeout (PROBE-5).
    """
    more = probe.failure_threshold - 1
    slow = max(probe.period_seconds, probe.timeout_seconds)
    first = float(probe.initial_delay_seconds)
    return first + more * probe.period_seconds, first + more * slow + probe.timeout_seconds


def noticed_after(probe: Probe) -> float:
    """PROBE-12: seconds at most from the moment that a container begins to fail to the verdict about it."""
    slow = max(probe.period_seconds, probe.timeout_seconds)
    return float(probe.failure_threshold * slow + probe.timeout_seconds)


def latest_kill(
    container: Container, grace: float, settings: LifecycleSettings, *, waits: bool = False
) -> float:
    """TERM-1, TERM-2: seconds from the request to SIGKILL, of a container that ignores its stop signal.

    `waits`: its turn comes only when the grace is over (SIDE-31).
    """
    signalled = grace if waits else min(_pre_stop_at_most(container, grace), grace)
    return kill_time(grace, signalled, settings)


def longest_shutdown(
    spec: PodSpec, grace: float, settings: LifecycleSettings, *, mains: bool = True
) -> float:
    """SIDE-31: seconds from the request until nothing is left of a pod in which nobody listens.

    `mains` False: they have finished, and only sidecars are left (SIDE-22).
    """
    kills = [latest_kill(c, grace, settings) for c in spec.containers if mains]
    waits = mains
    for sidecar in reversed(spec.sidecars.values()):
        kills.append(latest_kill(sidecar, grace, settings, waits=waits))
        waits = True
    return max(kills, default=0.0)


def _pre_stop_at_most(container: Container, grace: float) -> float:
    """HOOK-6: the whole grace, but for a `sleep`, which says how long it takes."""
    hook = container.lifecycle.pre_stop if container.lifecycle else None
    if hook is None:
        return 0.0
    return float(hook.sleep.seconds) if hook.sleep else grace


def _deletion_grace(spec: PodSpec) -> float:
    """TERM-5."""
    return float(max(spec.termination_grace_period_seconds, 1))


def outcome(spec: PodSpec, container: Container, exit_code: int) -> Outcome:
    """What an exit by itself leads to while its pod goes on."""
    run = ContainerRun(0, started_at=0.0, running_at=0.0, finished_at=0.0, exit_code=exit_code)
    if restarts_everything(spec, container, run):
        return "restart all"
    if wants_restart(spec, container, run):
        return "restart"
    return "fail pod" if exit_code and container.name in spec.plain_inits else "stay"


def ends_by_itself(spec: PodSpec) -> bool:
    """MAIN-2, RESTART-12: is there an exit after which each main stays down?"""
    return all(any(outcome(spec, c, code) == "stay" for code in range(256)) for c in spec.containers)


# ------------------------------------------------------------------ containers


def _containers(spec: PodSpec) -> Iterator[ContainerStory]:
    order = (*spec.init_containers, *spec.containers)
    for position, container in enumerate(order):
        field, index = "initContainers", position
        if position >= len(spec.init_containers):
            field, index = "containers", position - len(spec.init_containers)
        before = order[position - 1] if position else None
        after = order[position + 1].name if position + 1 < len(order) else None
        rows = [
            _row("Starts", _starts(spec, container, before)),
            *([_row("Gate", *_gate(container, after))] if after and container.name in spec.sidecars else []),
            *_probe_rows(spec, container),
            *_hook_rows(spec, container, after),
            *_exit_rows(spec, container, after),
        ]
        yield ContainerStory(container.name, role_of(spec, container), f"spec.{field}[{index}]", tuple(rows))


def role_of(spec: PodSpec, container: Container) -> Role:
    if container.name in spec.sidecars:
        return "sidecar"
    return "init container" if container.name in spec.plain_inits else "main container"


def _starts(spec: PodSpec, container: Container, before: Container | None) -> Sentence:
    if before is None and spec.volumes:
        return _say("first, as soon as the volumes are there", "INIT-1", "VOL-6")
    if before is None:
        return _say("first, at once", "INIT-1")
    name = before.name
    if before.name in spec.plain_inits:
        return _say(f"when {name} has exited with 0", "INIT-1", "INIT-2")
    if before.name not in spec.sidecars:
        if _has_post_start(before):
            return _say(f"after {name}, when its postStart has returned or it has failed", "MAIN-1")
        return _say(f"right after {name}, whether that starts well or not", "MAIN-1")
    if before.startup_probe is not None:
        return _say(f"when the startupProbe of {name} has succeeded", "SIDE-3")
    if needs_readiness_to_pass(before):
        return _say(
            f"when {name} has been ready once; in a cluster when {name} is running", "SIDE-3", "SIDE-4"
        )
    return _say(f"when {name} is running", "SIDE-3")


def _has_post_start(container: Container) -> bool:
    return container.lifecycle is not None and container.lifecycle.post_start is not None


def _gate(container: Container, after: str) -> Iterator[Sentence]:
    """SIDE-3: what has to be true of a sidecar before the one after it starts, by either start gate."""
    running = "is running and its postStart has returned" if _has_post_start(container) else "is running"
    if container.startup_probe is not None:
        yield _say(f"{after} waits until the startupProbe has succeeded", "SIDE-3")
        if container.readiness_probe is not None:
            yield _say("readiness does not matter for that", "SIDE-4")
    elif needs_readiness_to_pass(container):
        yield _say(f"{after} waits until this has been ready once (`--start-gate ready`, the default)")
        yield _say(
            f"a kubelet does not look at readiness here, nor does `--start-gate started`: there {after} "
            f"starts as soon as this {running}; with a startupProbe all of them wait for that",
            "SIDE-3",
            "SIDE-4",
        )
    else:
        yield _say(
            f"{after} starts as soon as this {running}; whether it does its work yet nobody asks, for want "
            "of a startupProbe",
            "SIDE-3",
        )
    yield _say("a gate that has opened stays open, whatever becomes of this one later", "SIDE-6")


# ------------------------------------------------------------------ probes and hooks


def _probe_rows(spec: PodSpec, container: Container) -> Iterator[Row]:
    if container.startup_probe is not None:
        yield _row("Startup", *_startup(spec, container, container.startup_probe))
    if container.readiness_probe is not None:
        yield _row("Readiness", *_readiness(container, container.readiness_probe))
    if container.liveness_probe is not None:
        yield _row("Liveness", *_liveness(spec, container, container.liveness_probe))


def _startup(spec: PodSpec, container: Container, probe: Probe) -> Iterator[Sentence]:
    soonest, latest = verdict_after(probe)
    when = f"{_between(soonest, latest)} after the start"
    if _has_post_start(container):
        when = f"at most {spoken(latest)} after its postStart"
    yield _asked(container, probe, _from_start(container, "startup"))
    if container.readiness_probe or container.liveness_probe:
        yield _say("the other probes rest until it has succeeded", "PROBE-7")
    yield _say(
        f"{_failures(probe)}, {when}, and this container is " + _condemned(spec, container, probe),
        "PROBE-15",
        *_fate_rules(spec, container, probe),
    )


def _readiness(container: Container, probe: Probe) -> Iterator[Sentence]:
    yield _asked(container, probe, _from_start(container, "readiness"))
    success = probe.success_threshold
    ready = "one success makes it ready" if success == 1 else f"{success} successes in a row make it ready"
    yield _say(
        f"{ready}, {_failures(probe).lower()} not ready again: its pod is Ready only while it is, and "
        "nothing is ever restarted for it",
        "PROBE-12",
        "PROBE-16",
    )


def _liveness(spec: PodSpec, container: Container, probe: Probe) -> Iterator[Sentence]:
    soonest, _ = verdict_after(probe)
    yield _asked(container, probe, _from_start(container, "liveness"))
    yield _say(
        f"{_failures(probe)} and this container is {_condemned(spec, container, probe)}; one that hangs is "
        f"found out after {spoken(noticed_after(probe))} at most",
        "PROBE-14",
        *_fate_rules(spec, container, probe),
    )
    if container.startup_probe is None:
        if soonest:
            yield _say(f"it has to be up within {spoken(soonest)}: there is no startupProbe", "PROBE-7")
        else:
            yield _say("it has to be up at once: there is no startupProbe", "PROBE-7")


def _from_start(container: Container, kind: str) -> str | None:
    """What has to have happened before a probe is asked; None: nothing but the start."""
    if kind != "startup" and container.startup_probe is not None:
        return "the startupProbe has succeeded"
    return "postStart has returned" if _has_post_start(container) else None


def _asked(container: Container, probe: Probe, after: str | None) -> Sentence:
    when = f"once {after}" if after else "at once"
    if probe.initial_delay_seconds:
        when = f"{spoken(probe.initial_delay_seconds)} after the start" + (f", once {after}" if after else "")
    period, timeout = spoken(probe.period_seconds), spoken(probe.timeout_seconds)
    return _say(
        f"{_question(container, probe)}: first {when}, then every {period}, with {timeout} to answer",
        "PROBE-3",
        "PROBE-5",
    )


def _failures(probe: Probe) -> str:
    n = probe.failure_threshold
    return "One failure" if n == 1 else f"{n} failures in a row"


def _between(soonest: float, latest: float) -> str:
    if soonest == latest:
        return spoken(soonest)
    return f"{spoken(soonest)} to {spoken(latest)}" if soonest else f"up to {spoken(latest)}"


def _condemned(spec: PodSpec, container: Container, probe: Probe) -> str:
    own = probe.termination_grace_period_seconds
    grace = f" with a grace of its own, {spoken(own)}," if own is not None else ""
    if will_restart_after_kill(spec, container):
        return f"stopped{grace} and restarted"
    return f"stopped{grace} and not restarted, as its policy is Never"


def _fate_rules(spec: PodSpec, container: Container, probe: Probe) -> tuple[str, ...]:
    restarted = "RESTART-9" if will_restart_after_kill(spec, container) else "RESTART-11"
    if container.name in spec.sidecars:
        restarted = "SIDE-13"
    return (restarted, "PROBE-31") if probe.termination_grace_period_seconds is not None else (restarted,)


def _question(container: Container, handler: Probe | LifecycleHandler) -> str:
    """A probe's or hook's handler in words."""
    if handler.exec is not None:
        return f"`{_shortened(join(handler.exec.command))}`"
    if handler.http_get is not None:
        action = handler.http_get
        host = f"{action.host or '127.0.0.1'}:{_port(container, action)}"
        return f"GET {action.scheme.lower()}://{host}{action.path}"
    if handler.tcp_socket is not None:
        connect = handler.tcp_socket
        return f"connect to {connect.host or '127.0.0.1'}:{_port(container, connect)}"
    if isinstance(handler, Probe) and handler.grpc is not None:
        service = f", service {handler.grpc.service}" if handler.grpc.service else ""
        return f"gRPC health check at 127.0.0.1:{handler.grpc.port}{service}"
    if isinstance(handler, LifecycleHandler) and handler.sleep is not None:
        return f"sleep {spoken(handler.sleep.seconds)}"
    return "nothing"


def _port(container: Container, action: HTTPGetAction | TCPSocketAction) -> str:
    numbers = [str(p.container_port) for p in container.ports if p.name == action.port]
    return numbers[0] if numbers else str(action.port)


def _shortened(command: str) -> str:
    line = " ".join(command.split())
    return line if len(line) <= 72 else f"{line[:69]}..."


def _hook_rows(spec: PodSpec, container: Container, after: str | None) -> Iterator[Row]:
    if container.lifecycle is None:
        return
    if container.lifecycle.post_start is not None:
        yield _row("postStart", *_post_start(container, container.lifecycle.post_start, after))
    if container.lifecycle.pre_stop is not None:
        yield _row("preStop", *_pre_stop(spec, container, container.lifecycle.pre_stop))


def _post_start(container: Container, hook: LifecycleHandler, after: str | None) -> Iterator[Sentence]:
    rest = ", and no probe is asked" if container.startup_probe or container.liveness_probe else ""
    waiting = f", {after} does not start" if after else ""
    yield _say(
        f"{_question(container, hook)}, beside the program, as soon as that exists; until it returns this "
        f"does not count as running{waiting}{rest}",
        "HOOK-2",
        "PROBE-6",
    )
    if hook.sleep is None:
        yield _say("it may take as long as it likes", "HOOK-4", "HOOK-8")
        yield _say("if it fails the container is stopped, and its exit treated like any other", "HOOK-3")


def _pre_stop(spec: PodSpec, container: Container, hook: LifecycleHandler) -> Iterator[Sentence]:
    yield _say(
        f"{_question(container, hook)}, before the {_signal(container)} of an orderly stop; never after an "
        "exit of its own",
        "HOOK-5",
        "HOOK-7",
    )
    grace = spec.termination_grace_period_seconds
    length = hook_seconds(hook)
    if hook.sleep is not None and length is not None and length < grace:
        left = f"leaves {spoken(grace - length)} of {spoken(grace)}"
        yield _say(f"its time comes out of the grace: it {left}", "HOOK-6")
    else:
        yield _say(
            f"its time comes out of the grace, and it is given up when that is over, after {spoken(grace)}",
            "HOOK-6",
        )


# ------------------------------------------------------------------ exits


def _exit_rows(spec: PodSpec, container: Container, after: str | None) -> Iterator[Row]:
    """A row for each rule, then one for exit 0 and one for failure, or one for both if they mean the same."""
    rules = container.restart_policy_rules
    is_init = container.name in spec.plain_inits
    for position, rule in enumerate(rules, 1):
        yield _row("Rule" if len(rules) == 1 else f"Rule {position}", _rule(rule, is_init))
    zero = 0 if matching_rule(spec, container, 0) is None else None
    failing = next((code for code in range(1, 256) if matching_rule(spec, container, code) is None), None)
    if zero is not None and failing is not None and outcome(spec, container, 0) == "restart":
        any_exit = _sidecar_exit() if container.name in spec.sidecars else _restarted(spec, container)
        yield _row("Any exit" if not rules else "Any other", *any_exit)
        return
    if zero is not None:
        yield _row("Exit 0", *_clean_exit(spec, container, after))
    if failing is not None:
        yield _row("Failure" if not rules else "Other exit", *_failure(spec, container, failing, after))


def _rule(rule: ContainerRestartRule, is_init: bool) -> Sentence:
    which = "no exit code"
    if rule.exit_codes is not None:
        codes: Sequence[int] = rule.exit_codes.values
        if is_init and rule.action == "Restart":  # INIT-1: with 0 it is done, whatever the rule says
            codes = [code for code in codes if code]
            if rule.exit_codes.operator == "NotIn":
                codes = [0, *codes]
        listed = _either(codes)
        which = f"exit code {listed}" if listed else "no exit code"
        if rule.exit_codes.operator == "NotIn":
            which = f"any exit code but {listed}" if listed else "any exit code"
    if rule.action == "RestartAllContainers":
        does = (
            "everything is stopped at once, without preStop and without order, SIGKILL after 2s, and the pod "
            "begins anew, init containers and all; its volumes are kept"
        )
        return _say(f"{which}: {does}", "RESTART-13", "RESTART-14", "RESTART-15")
    return _say(
        f"{which}: restarted, with back-off, whatever its policy says", "RESTART-6", "RESTART-7", "RESTART-8"
    )


def _either(codes: Sequence[int]) -> str:
    *most, last = [*map(str, codes)] or [""]
    return f"{', '.join(most)} or {last}" if most else last


def _sidecar_exit() -> Iterator[Sentence]:
    yield _say(
        "restarted, with back-off, whether it failed or not, until the pod is being stopped or all main "
        "containers are done; the pod's restartPolicy does not matter",
        "SIDE-9",
        "SIDE-10",
        "SIDE-25",
    )
    yield _say(
        "the others run on, the pod is not Ready meanwhile, and the exit code does not decide whether it "
        "succeeds",
        "SIDE-11",
        "SIDE-17",
    )


def _restarted(spec: PodSpec, container: Container) -> Iterator[Sentence]:
    yield _say(
        f"restarted, with back-off, whether it failed or not, because of {_policy(spec, container)}",
        _policy_rule(container),
        "BACKOFF-7",
    )
    if _has_company(spec):
        yield _say("the other containers run on; the pod is not Ready meanwhile", "MAIN-5")


def _clean_exit(spec: PodSpec, container: Container, after: str | None) -> Iterator[Sentence]:
    if container.name in spec.plain_inits:
        yield _say(
            f"done, and {after} is next; never run again, whatever is restarted later", "INIT-1", "INIT-6"
        )
    elif outcome(spec, container, 0) == "restart":
        yield from _restarted(spec, container)
    elif len(spec.containers) == 1:
        yield _say("it stays down, and the pod ends Succeeded", _policy_rule(container), "MAIN-2")
    else:
        yield _say(
            "it stays down, and the pod ends when the other main containers have",
            _policy_rule(container),
            "MAIN-4",
        )


def _failure(spec: PodSpec, container: Container, code: int, after: str | None) -> Iterator[Sentence]:
    policy = _policy(spec, container)
    match outcome(spec, container, code):
        case "fail pod":
            stopped = "; sidecars that run are stopped in order first" if spec.sidecars else ""
            yield _say(
                f"the pod has Failed, because of {policy}: nothing after this one starts{stopped}",
                "INIT-3",
                "INIT-5",
                *(("SIDE-20",) if stopped else ()),
            )
        case "restart" if container.name in spec.plain_inits:
            yield _say(
                f"tried again, with back-off, until it exits with 0, because of {policy}; "
                f"{after} and all that follows wait",
                "INIT-4",
            )
        case "restart":
            others = "; the other containers do not notice" if _has_company(spec) else ""
            yield _say(
                f"restarted, with back-off, because of {policy}{others}", _policy_rule(container), "MAIN-5"
            )
        case _ if len(spec.containers) == 1:
            yield _say(
                f"it stays down, because of {policy}, and the pod ends Failed",
                _policy_rule(container),
                "PHASE-7",
            )
        case _:
            yield _say(
                f"it stays down, because of {policy}; the other main containers go on, and when they are "
                "done the pod ends Failed",
                _policy_rule(container),
                "MAIN-3",
            )


def _has_company(spec: PodSpec) -> bool:
    """Is there another container that runs while a main does?"""
    return len(spec.containers) + len(spec.sidecars) > 1


def _policy(spec: PodSpec, container: Container) -> str:
    policy = effective_policy(spec, container)
    if container.restart_policy is not None:
        return f"its own restartPolicy {policy}"
    if policy != spec.restart_policy:
        return f"the pod's restartPolicy {spec.restart_policy} (which is {policy} for an init container)"
    return f"the pod's restartPolicy {policy}"


def _policy_rule(container: Container) -> str:
    return "RESTART-4" if container.restart_policy is None else "RESTART-5"


# ------------------------------------------------------------------ the pod


def _ending(spec: PodSpec, settings: LifecycleSettings) -> Iterator[Row]:
    limit = spec.active_deadline_seconds
    mains = "the main container is" if len(spec.containers) == 1 else "all main containers are"
    if ends_by_itself(spec):
        sidecars = ""
        if spec.sidecars:
            sidecars = (
                f"; then {_names(spec.sidecars)} {'is' if len(spec.sidecars) == 1 else 'are'} stopped too"
            )
        yield _row(
            "Ends",
            _say(f"when {mains} done{sidecars}", "MAIN-2", *(("SIDE-21",) if spec.sidecars else ())),
            _say(_verdict(spec), "PHASE-7", *(("SIDE-17", "TERM-12") if spec.sidecars else ())),
        )
    else:
        again = [c.name for c in spec.containers if outcome(spec, c, 0) == "restart"]
        yield _row(
            "Ends",
            _say(
                f"never by itself: {_names(again or [c.name for c in spec.containers])} "
                f"{'is' if len(again) == 1 else 'are'} restarted whatever the exit code. It runs until it is "
                f"deleted (Ctrl-C){' or its deadline comes' if limit is not None else ''}",
                "MAIN-6",
                *(("SIDE-23",) if spec.sidecars else ()),
            ),
        )
    if limit is not None:
        yield _row(
            "Deadline",
            _say(
                f"{spoken(limit)} after its start, init containers and restarts included, the pod is "
                "stopped in order and is Failed, with reason DeadlineExceeded, whatever the exit codes",
                "TERM-10",
                "TERM-11",
            ),
        )
    if _can_restart(spec):
        yield _row("Back-off", *_backoff(settings))


def _verdict(spec: PodSpec) -> str:
    which = "it exited" if len(spec.containers) == 1 else "all of them exited"
    hidden = ", which is published when the last process is gone" if spec.sidecars else ""
    policies = {effective_policy(spec, c) for c in spec.containers}
    if policies == {"OnFailure"} and not any(c.restart_policy_rules for c in spec.containers):
        return f"it has Succeeded then{hidden}: failures are restarted, never final"
    return f"it has Succeeded if {which} with 0, else Failed{hidden}"


def _names(names: Sequence[str] | dict[str, Container]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _can_restart(spec: PodSpec) -> bool:
    return any(
        outcome(spec, c, code) in ("restart", "restart all")
        for c in spec.all_containers.values()
        for code in range(256)
    )


def _backoff(settings: LifecycleSettings) -> Iterator[Sentence]:
    first, *delays = backoff_delays(settings, 20)
    *growing, last = dict.fromkeys(delays)
    first_text = f"after {spoken(first)}" if first else "at once"
    steps = f"the next ones {', '.join(map(spoken, growing))} after the exit before them, " if growing else ""
    yield _say(
        f"a container's first restart comes {first_text}, {steps}all others after {spoken(last)}",
        "BACKOFF-1",
        "BACKOFF-2",
        "BACKOFF-3",
    )
    yield _say(
        f"each container counts for itself; only a run of more than {spoken(settings.backoff_reset)} makes "
        "it begin afresh",
        "BACKOFF-5",
        "BACKOFF-6",
    )


# ------------------------------------------------------------------ the way down


def _signal(container: Container) -> str:
    name = container.lifecycle.stop_signal if container.lifecycle else None
    return name or "SIGTERM"


def _shutdown(spec: PodSpec) -> Iterator[Row]:
    grace = spoken(spec.termination_grace_period_seconds)
    hooks = [c.name for c in spec.all_containers.values() if c.lifecycle and c.lifecycle.pre_stop]
    if hooks:
        whose = f"of {_names(hooks)}" + (", side by side" if len(hooks) > 1 else "")
        rules = ("SIDE-26", "SIDE-27") if set(hooks) & set(spec.sidecars) else ("TERM-1",)
        yield _row("At once", _say(f"the preStop hook{'s' * (len(hooks) > 1)} {whose}", *rules))
    step = 1
    for container in spec.containers:
        after = "after its preStop" if container.name in hooks else "at once"
        yield _row(f"{step}", _say(f"{container.name}: {_signal(container)} {after}", "SIDE-26", "TERM-6"))
    waits_for = "all main containers are" if len(spec.containers) > 1 else f"{spec.containers[0].name} is"
    for name, container in reversed(spec.sidecars.items()):
        step += 1
        own = " and its preStop is over" if name in hooks else ""
        yield _row(f"{step}", _say(f"{name}: {_signal(container)} when {waits_for} gone{own}", "SIDE-27"))
        waits_for = f"{name} is"
    late = ""
    if spec.sidecars:
        late = (
            "; sidecars that still wait for their turn are signalled then, all together, and killed 2s later"
        )
    yield _row(
        "Grace",
        _say(
            f"{grace}, for hooks, waiting and shutting down together: whoever is left when it is over gets "
            f"SIGKILL, though never sooner than 2s after its signal{late}",
            "SIDE-30",
            "TERM-2",
            *(("SIDE-31",) if late else ()),
        ),
    )
    yield _row(
        "No way back",
        _say(
            "nothing is restarted or started any more, and a restart that was held back is dropped",
            "RESTART-1",
            "TERM-8",
            *(("SIDE-32",) if spec.sidecars else ()),
        ),
    )
    if spec.plain_inits:
        when = "A running init container is signalled at once"
        also = ", and so is the last sidecar that runs" if spec.sidecars else ""
        rules = ("TERM-7", "SIDE-29") if also else ("TERM-7",)
        yield _row("During init", _say(f"{when.lower()}{also}; nothing after it starts", *rules))


# ------------------------------------------------------------------ worst cases


def _worst_cases(spec: PodSpec, job: JobSpec | None, settings: LifecycleSettings) -> Iterator[WorstCase]:
    for container in spec.all_containers.values():
        yield from _worst_of_container(spec, container, settings)
    grace = float(spec.termination_grace_period_seconds)
    deleted = longest_shutdown(spec, _deletion_grace(spec), settings)
    yield WorstCase("from deletion until nothing is left", deleted, ("SIDE-31", "TERM-2"))
    if spec.sidecars and ends_by_itself(spec):
        rest = longest_shutdown(spec, grace, settings, mains=False)
        yield WorstCase(
            "from the end of the main containers until the sidecars are gone", rest, ("SIDE-22", "SIDE-31")
        )
    if spec.active_deadline_seconds is not None:
        whole = spec.active_deadline_seconds + deleted
        yield WorstCase("the whole life of a pod, because of its deadline", whole, ("TERM-10", "SIDE-36"))
    if job is not None:
        yield from _worst_of_job(spec, job, deleted, settings)


def _worst_of_container(
    spec: PodSpec, container: Container, settings: LifecycleSettings
) -> Iterator[WorstCase]:
    name = container.name
    startup, liveness = container.startup_probe, container.liveness_probe
    if startup is not None:
        begin = "the end of its postStart" if _has_post_start(container) else "its start"
        yield WorstCase(
            f"{name}: from {begin} until it is given up", verdict_after(startup)[1], ("PROBE-15",)
        )
    if liveness is not None:
        own = liveness.termination_grace_period_seconds
        grace = float(spec.termination_grace_period_seconds if own is None else own)
        found_out = noticed_after(liveness)
        gone = found_out + latest_kill(container, grace, settings)
        yield WorstCase(f"{name}: from hanging until it is found out", found_out, ("PROBE-12",))
        yield WorstCase(f"{name}: from hanging until it is gone", gone, ("PROBE-31", "TERM-2"))


def _worst_of_job(
    spec: PodSpec, job: JobSpec, shutdown: float, settings: LifecycleSettings
) -> Iterator[WorstCase]:
    if job.active_deadline_seconds is not None:
        yield WorstCase(
            "the Job's whole life, because of its deadline",
            job.active_deadline_seconds + shutdown,
            ("JOB-13", "JOB-15"),
        )
    limit = _counted_limit(job)
    if limit is None:
        return
    if spec.restart_policy == "OnFailure":
        wait = sum(backoff_delays(settings, max(limit, 1)))
        yield WorstCase(
            f"of back-off in a pod until restart {max(limit, 1)} uses up backoffLimit",
            wait,
            ("JOB-12", "BACKOFF-2"),
        )
    else:
        wait = sum(replacement_delays(limit, settings))
        yield WorstCase(
            f"of back-off between pods until failed pod {limit + 1} exceeds backoffLimit",
            wait,
            ("JOB-8", "JOB-10"),
        )


def replacement_delays(limit: int, settings: LifecycleSettings) -> tuple[float, ...]:
    """JOB-8: seconds before each replacement, when pods fail one after another until `limit` is exceeded."""
    return tuple(replacement_delay(failures, settings) for failures in range(1, limit + 1))


NO_LIMIT = 1000
"A backoffLimit beyond it is not worth adding up; with per-index limits it is 2147483647 (DEF-6)."


def _counted_limit(job: JobSpec) -> int | None:
    limit = 6 if job.backoff_limit is None else job.backoff_limit
    return limit if limit <= NO_LIMIT else None


# ------------------------------------------------------------------ the Job


def _job(job: JobSpec, settings: LifecycleSettings) -> Iterator[Row]:
    yield _row("Pods", *_job_pods(job))
    yield _row("Retries", *_retries(job, settings))
    if job.pod_failure_policy is not None:
        for position, rule in enumerate(job.pod_failure_policy.rules):
            yield _row(f"Failure {position + 1}", _failure_rule(rule))
        otherwise = _say(
            "a failed pod that no rule matches counts; the first rule that does decides", "JOB-18"
        )
        yield _row("Else", otherwise)
    if job.success_policy is not None:
        for success in job.success_policy.rules:
            yield _row("Success", _success_rule(success))
    if job.active_deadline_seconds is not None:
        yield _row(
            "Deadline",
            _say(
                f"{spoken(job.active_deadline_seconds)} after its start the Job has Failed, with reason "
                "DeadlineExceeded, however many retries are left",
                "JOB-13",
            ),
        )
    yield _row(
        "At its end",
        _say(
            "pods that still run are deleted in order; Complete or Failed is published when the last of them "
            "is gone",
            "JOB-15",
            "JOB-16",
            "JOB-30",
        ),
    )
    ttl = job.ttl_seconds_after_finished
    if ttl is not None:
        when = "at once" if ttl == 0 else f"{spoken(ttl)} later"
        yield _row("Removed", _say(f"{when}, with its pods and their logs", "JOB-28"))


def _job_pods(job: JobSpec) -> Iterator[Sentence]:
    parallelism = 1 if job.parallelism is None else job.parallelism
    completions = job.completions
    if job.suspend:
        yield _say("suspended: no pod is made until that is lifted", "JOB-27")
    if completions is None:
        yield _say(
            f"{parallelism} at a time, until one has succeeded; then the others are awaited, and no new one "
            "is made",
            "JOB-3",
        )
    elif job.completion_mode == "Indexed":
        yield _say(
            f"one for each index from 0 to {completions - 1}, the lowest first, "
            f"{min(parallelism, completions)} at a time; each finds its own in JOB_COMPLETION_INDEX",
            "JOB-21",
            "JOB-22",
        )
    elif completions == 1:
        yield _say("one, which has to succeed", "JOB-2")
    else:
        at_once = min(parallelism, completions)
        yield _say(f"{at_once} at a time, until {completions} have succeeded", "JOB-2")
    if parallelism == 0:
        yield _say("parallelism 0 is a pause: nothing is started", "JOB-2")


def _retries(job: JobSpec, settings: LifecycleSettings) -> Iterator[Sentence]:
    on_failure = job.template.spec.restart_policy == "OnFailure"
    per_index = job.backoff_limit_per_index
    if per_index is not None:
        yield _say(
            f"each index has {per_index} of its own: failure {per_index + 1} ends it for good; the others "
            "go on, and when all are decided one that failed makes the Job Failed",
            "JOB-24",
            "JOB-25",
        )
        if job.max_failed_indexes is not None:
            yield _say(f"more than {job.max_failed_indexes} failed indexes fail the Job at once", "JOB-25")
    limit = _counted_limit(job)
    if limit is None:
        if per_index is None:
            yield _say(f"backoffLimit is {job.backoff_limit}: practically no end of them", "JOB-10")
    elif on_failure:
        yield from _restarts_in_place(job, limit)
    if limit is not None:
        if limit == 0:
            yield _say("backoffLimit is 0: the first failed pod fails the Job", "JOB-10")
        else:
            yield _say(
                f"backoffLimit is {limit}: a failed pod is replaced, and failed pod {limit + 1} fails the "
                "Job; they are counted over its whole life",
                "JOB-10",
                "JOB-11",
            )
    if limit != 0:
        yield _replacement(job, limit, settings)


def _restarts_in_place(job: JobSpec, limit: int) -> Iterator[Sentence]:
    """JOB-12: compared with >=, where failed pods are compared with >."""
    tolerated = max(limit - 1, 0)
    who = "all containers of a running pod"
    if job.template.spec.sidecars:
        who += ", sidecars included,"
    yield _say(
        "restartPolicy OnFailure: containers are restarted in their pod. The restarts of "
        f"{who} count too, added up: {_times(tolerated)} tolerated, restart {tolerated + 1} fails the Job",
        "JOB-12",
        *(("SIDE-37",) if job.template.spec.sidecars else ()),
    )


def _times(number: int) -> str:
    return "none is" if number == 0 else "1 is" if number == 1 else f"{number} are"


def _replacement(job: JobSpec, limit: int | None, settings: LifecycleSettings) -> Sentence:
    delays = replacement_delays(min(limit if limit is not None else 20, 20), settings)
    distinct = [*dict.fromkeys(delays)]
    steps = ", ".join(map(spoken, distinct))
    each = "of that index " if job.backoff_limit_per_index is not None else ""
    reset = "" if job.backoff_limit_per_index is not None else "; a success brings it back to none"
    return _say(f"a replacement {each}waits {steps} after the failure before it{reset}", "JOB-8")


def _failure_rule(rule: PodFailurePolicyRule) -> Sentence:
    does = {
        "FailJob": "the Job fails at once",
        "FailIndex": "its index fails at once",
        "Ignore": "it does not count, and is replaced",
        "Count": "it counts",
    }[rule.action]
    codes = rule.on_exit_codes
    if codes is not None:
        who = f"container {codes.container_name}" if codes.container_name else "any container, sidecars too,"
        code = f"code {_either(codes.values)}"
        if codes.operator == "NotIn":
            code = f"a code other than {_either((0, *codes.values))}"
        return _say(f"a failed pod in which {who} exited with {code}: {does}", "JOB-18", "JOB-19")
    conditions = ", ".join(f"{p.type}={p.status}" for p in rule.on_pod_conditions)
    return _say(f"a failed pod with condition {conditions}: {does}", "JOB-18", "JOB-20")


def _success_rule(rule: SuccessPolicyRule) -> Sentence:
    if rule.succeeded_indexes is None:
        which = f"{rule.succeeded_count} indexes, whichever,"
    elif rule.succeeded_count is None:
        which = f"the indexes {rule.succeeded_indexes}"
    else:
        which = f"{rule.succeeded_count} of the indexes {rule.succeeded_indexes}"
    return _say(f"when {which} have succeeded, the Job is Complete and the rest is stopped", "JOB-26")


# ------------------------------------------------------------------ the CronJob


def _cron_job(spec: CronJobSpec) -> Iterator[Row]:
    zone = f" in {spec.time_zone}" if spec.time_zone else ""
    yield _row("Schedule", _say(f"`{spec.schedule}`{zone}{', but suspended' if spec.suspend else ''}"))
    when = {
        "Allow": "both run side by side",
        "Forbid": "the new one is left out",
        "Replace": "that one is deleted for the new one",
    }
    yield _row("Overlap", _say(f"if the Job before is not done yet: {when[spec.concurrency_policy]}"))
    if spec.starting_deadline_seconds is not None:
        late = spoken(spec.starting_deadline_seconds)
        yield _row("Late", _say(f"a Job that could not start in time is left out when it is {late} late"))
    kept = f"{spec.successful_jobs_history_limit} Complete and {spec.failed_jobs_history_limit} Failed Jobs"
    yield _row("Kept", _say(f"the last {kept}, with their pods"))
