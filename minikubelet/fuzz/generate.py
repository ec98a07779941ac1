"""Random worlds: pods, Jobs, lives, faults, interruptions and settings, all of one stream of choices.

First a configuration is drawn: which kinds of things this world has at all (swarm testing), for what every
world has some of keeps most of what can happen from ever happening. Whatever is drawn first is simplest, so
that little is left after shrinking. Every object is one that the API server would take as it stands, all
defaults filled in. Lengths are often those that matter to the pod at hand, or a blink beside them: many a
bug needs two things in the same instant.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any

import attrs

from minikubelet.api.job import (
    Job,
    JobSpec,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import (
    Container,
    ContainerRestartRule,
    ContainerRestartRuleOnExitCodes,
    ExecAction,
    Lifecycle,
    LifecycleHandler,
    Pod,
    PodOS,
    PodReadinessGate,
    PodSpec,
    PodTemplateSpec,
    Probe,
)
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.draw import Draw, but_one_in, one_in, pick, some
from minikubelet.lifecycle.facts import ProbeKind, ProbeResult
from minikubelet.lifecycle.settings import LifecycleSettings, StartGate
from minikubelet.runtime.base import StartError
from minikubelet.runtime.simulated import HookScript, Script

TICK = 1 / 1024
"Seconds. Sums of its multiples are exact, so what should fall into the same instant does."


@attrs.frozen
class Swarm:
    """What this world has. All of it off is the simplest world."""

    sidecars: bool
    inits: bool
    siblings: bool
    "More than one main container."
    startup_probes: bool
    liveness_probes: bool
    readiness_probes: bool
    hooks: bool
    rules: bool
    "restartPolicy and restartPolicyRules of single containers."
    odd_fields: bool
    "stopSignal, activeDeadlineSeconds, readinessGates, a probe's own terminationGracePeriodSeconds."
    slow_ends: bool
    "Processes that take their time to die, and children that outlive them."
    bad_probes: bool
    bad_hooks: bool
    bad_starts: bool
    deletions: bool
    settings: bool
    healing: bool
    several: bool
    "More than one pod."


def swarm(draw: Draw) -> Swarm:
    return Swarm(*(one_in(draw, n) for n in _ODDS))


_ODDS = (2, 2, 3, 3, 3, 3, 2, 3, 3, 2, 2, 2, 4, 2, 2, 5, 8)


# ------------------------------------------------------------------ lengths and instants


class Lengths:
    """Draws lengths, knowing which ones matter in this world."""

    def __init__(self, pods: Iterable[PodSpec], settings: LifecycleSettings) -> None:
        matter = {
            settings.backoff_base,
            settings.backoff_base * 2,
            settings.backoff_reset,
            settings.retry_delay,
            settings.minimum_kill_grace,
        }
        for spec in pods:
            matter |= _lengths_of(spec)
        self.that_matter = sorted(float(length) for length in matter if 0 < length <= 60)

    def finite(self, draw: Draw) -> float:
        """In seconds."""
        match draw.integer(0, 7):
            case 0:
                return 0.0
            case 1 | 2:
                return float(draw.integer(1, 8))
            case 3 | 4:
                return pick(draw, self.that_matter)
            case 5:
                return pick(draw, self.that_matter) + pick(draw, self.that_matter) * draw.integer(0, 3)
            case 6:
                return pick(draw, self.that_matter) + pick(draw, (-TICK, TICK))
            case _:
                return draw.integer(1, 16 * 1024) * TICK

    def learn(self, scripts: Iterable[Sequence[Script]]) -> None:
        """From now on the ends of these runs matter too."""
        ends = {script.lasts for several in scripts for script in several if 0 < script.lasts <= 60}
        self.that_matter = sorted(ends.union(self.that_matter))

    def any(self, draw: Draw) -> float:
        """In seconds, and in one case of six for ever."""
        return inf if one_in(draw, 6) else self.finite(draw)


def _lengths_of(spec: PodSpec) -> set[float]:
    """What the clock is asked about in the life of such a pod, as far as the manifest says."""
    lengths: set[float] = {spec.termination_grace_period_seconds, spec.active_deadline_seconds or 0}
    for container in spec.all_containers.values():
        for probe in (container.startup_probe, container.liveness_probe, container.readiness_probe):
            if probe is not None:
                first, period = probe.initial_delay_seconds, probe.period_seconds
                lengths |= {
                    first,
                    period,
                    first + period,
                    first + period * probe.failure_threshold,
                    probe.timeout_seconds,
                    probe.termination_grace_period_seconds or 0,
                }
    return lengths


# ------------------------------------------------------------------ pods


def pod(draw: Draw, has: Swarm, name: str = "p", prefix: str = "") -> Pod:
    """`prefix` is put before the names of its containers."""
    return Pod(ObjectMeta(name=name), pod_spec(draw, has, ("Never", "OnFailure", "Always"), prefix))


def pod_spec(draw: Draw, has: Swarm, restart_policies: Sequence[str], prefix: str = "") -> PodSpec:
    inits = []
    if has.sidecars or has.inits:
        for n in some(draw, 0, 4, 3):
            if has.sidecars and (not has.inits or one_in(draw, 2)):
                inits.append(container(draw, has, f"{prefix}side{n}", is_sidecar=True))
            else:
                inits.append(_init(draw, has, f"{prefix}init{n}"))
    mains = [container(draw, has, f"{prefix}main{n}") for n in some(draw, 1, 3 if has.siblings else 1)]
    fields: dict[str, Any] = {}
    if has.odd_fields:
        if one_in(draw, 2):
            fields["active_deadline_seconds"] = draw.integer(1, 20)
        if one_in(draw, 3):
            gates = ("example.com/a", "example.com/b")[: draw.integer(1, 2)]
            fields["readiness_gates"] = tuple(map(PodReadinessGate, gates))
        if any(one.lifecycle and one.lifecycle.stop_signal for one in (*inits, *mains)):
            fields["os"] = PodOS("linux")
    return PodSpec(
        containers=tuple(mains),
        init_containers=tuple(inits),
        restart_policy=pick(draw, restart_policies),
        termination_grace_period_seconds=pick(draw, (1, 0, 2, 3, 5, 8, 10, 30)),
        **fields,
    )


_SLEEP = ("sleep", "infinity")
_PROBE = ExecAction(("true",))
# The runtime tells one hook from the other by which object it is.
_POST_START = LifecycleHandler(exec=ExecAction(("true",)))
_PRE_STOP = LifecycleHandler(exec=ExecAction(("true",)))


def container(draw: Draw, has: Swarm, name: str, *, is_sidecar: bool = False) -> Container:
    """A main container, or a sidecar."""
    fields: dict[str, Any] = {"restart_policy": "Always"} if is_sidecar else {}
    if has.rules:
        if not is_sidecar and one_in(draw, 2):
            fields["restart_policy"] = pick(draw, ("Never", "OnFailure", "Always"))
        if fields and one_in(draw, 2):
            fields["restart_policy_rules"] = _rules(draw)
    stop_signal = None
    if has.odd_fields and one_in(draw, 4):
        stop_signal = pick(draw, ("SIGINT", "SIGUSR1", "SIGQUIT", "SIGTERM", "SIGRTMIN+3"))
    post_start = _POST_START if has.hooks and one_in(draw, 2) else None
    pre_stop = _PRE_STOP if has.hooks and one_in(draw, 2) else None
    if stop_signal or post_start or pre_stop:
        fields["lifecycle"] = Lifecycle(post_start, pre_stop, stop_signal)
    if has.startup_probes and one_in(draw, 2):
        fields["startup_probe"] = _probe(draw, has, "startup")
    if has.liveness_probes and one_in(draw, 2):
        fields["liveness_probe"] = _probe(draw, has, "liveness")
    if has.readiness_probes and one_in(draw, 2):
        fields["readiness_probe"] = _probe(draw, has, "readiness")
    return Container(name, command=_SLEEP, **fields)


def _init(draw: Draw, has: Swarm, name: str) -> Container:
    if not has.rules or but_one_in(draw, 3):
        return Container(name, command=_SLEEP)
    rules = _rules(draw) if one_in(draw, 2) else ()
    return Container(
        name, command=_SLEEP, restart_policy=pick(draw, ("Never", "OnFailure")), restart_policy_rules=rules
    )


def _rules(draw: Draw) -> tuple[ContainerRestartRule, ...]:
    return tuple(
        ContainerRestartRule(
            pick(draw, ("Restart", "RestartAllContainers")),
            ContainerRestartRuleOnExitCodes(pick(draw, ("In", "NotIn")), pick(draw, _CODE_LISTS)),
        )
        for _ in some(draw, 1, 3)
    )


_CODES = (0, 1, 42)
_CODE_LISTS = ((42,), (1,), (1, 42), (0,), (137,), (143,), (128,))


def _probe(draw: Draw, has: Swarm, kind: ProbeKind) -> Probe:
    fields: dict[str, Any] = {}
    if kind == "readiness":
        fields["success_threshold"] = pick(draw, (1, 1, 2, 3))
    elif has.odd_fields and one_in(draw, 3):
        fields["termination_grace_period_seconds"] = pick(draw, (1, 2, 5, 12))
    return Probe(
        exec=_PROBE,
        initial_delay_seconds=pick(draw, (0, 0, 1, 2, 5)),
        timeout_seconds=pick(draw, (1, 1, 2, 3)),
        period_seconds=pick(draw, (10, 5, 4, 3, 2, 1)),
        failure_threshold=pick(draw, (3, 2, 1)),
        **fields,
    )


# ------------------------------------------------------------------ Jobs


def job(draw: Draw, has: Swarm, name: str = "j") -> Job:
    """Its pods have containers of their own names."""
    small = attrs.evolve(has, several=False, liveness_probes=False, readiness_probes=False)
    failure_policy = one_in(draw, 3)
    policies = ("Never",) if failure_policy else ("Never", "OnFailure")
    template = pod_spec(draw, small, policies, f"{name}-")
    template = attrs.evolve(template, active_deadline_seconds=None)
    fields: dict[str, Any] = {"completions": draw.integer(1, 4), "backoff_limit": draw.integer(0, 5)}
    if one_in(draw, 3):
        fields |= _indexed(draw, fields["completions"])
    elif one_in(draw, 4):
        fields["completions"] = None  # JOB-3
    elif one_in(draw, 12):
        fields["completions"] = 0
    if failure_policy:
        fields["pod_failure_policy"] = _failure_policy(draw, template, "backoff_limit_per_index" in fields)
    replacements = ("Failed",) if failure_policy else ("TerminatingOrFailed", "Failed")
    fields["pod_replacement_policy"] = pick(draw, replacements)
    if has.odd_fields:
        if one_in(draw, 3):
            fields["active_deadline_seconds"] = draw.integer(1, 20)
        if one_in(draw, 3):
            fields["ttl_seconds_after_finished"] = draw.integer(0, 5)
        if one_in(draw, 8):
            fields["suspend"] = True
    parallelism = 0 if one_in(draw, 16) else draw.integer(1, 3)
    spec = JobSpec(PodTemplateSpec(template, ObjectMeta(namespace="")), parallelism, **fields)
    return Job(ObjectMeta(name=name), spec)


def _indexed(draw: Draw, completions: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"completion_mode": "Indexed"}
    if one_in(draw, 2):
        fields["backoff_limit_per_index"] = draw.integer(0, 2)
        if but_one_in(draw, 2):
            fields["backoff_limit"] = 2**31 - 1
        if one_in(draw, 2):
            fields["max_failed_indexes"] = draw.integer(0, completions)
    if one_in(draw, 2):
        rules = []
        for _ in some(draw, 1, 2):
            first = draw.integer(0, completions - 1)
            last = draw.integer(first, completions - 1)
            indexes = (None, f"{first}-{last}" if first < last else f"{first}")[draw.integer(0, 1)]
            most = completions if indexes is None else last - first + 1
            count = draw.integer(1, most) if indexes is None or one_in(draw, 2) else None
            rules.append(SuccessPolicyRule(indexes, count))
        fields["success_policy"] = SuccessPolicy(tuple(rules))
    return fields


def _failure_policy(draw: Draw, template: PodSpec, per_index: bool) -> PodFailurePolicy:
    actions = ("Ignore", "Count", "FailJob", "FailIndex") if per_index else ("Ignore", "Count", "FailJob")
    rules = []
    for _ in some(draw, 1, 3):
        action = pick(draw, actions)
        if one_in(draw, 4):
            pattern = PodFailurePolicyOnPodConditionsPattern("DisruptionTarget")
            rules.append(PodFailurePolicyRule(action, on_pod_conditions=(pattern,)))
            continue
        operator = pick(draw, ("In", "NotIn"))
        values = pick(draw, _CODE_LISTS)
        if values == (0,):
            operator = "NotIn"
        names = (None, *template.all_containers)
        on_exit_codes = PodFailurePolicyOnExitCodesRequirement(operator, values, pick(draw, names))
        rules.append(PodFailurePolicyRule(action, on_exit_codes))
    return PodFailurePolicy(tuple(rules))


# ------------------------------------------------------------------ lives

Twist = Callable[[Draw, Lengths, dict[str, Any]], None]
"One way in which a run is not the simplest there is."


def scripts_of(
    draw: Draw, has: Swarm, lengths: Lengths, one: Container, *, is_init: bool = False, at_most: int = 4
) -> tuple[Script, ...]:
    """The runs of a container, one after the other; `is_init` if it is to complete before others start."""
    twists = _twists(has, one)
    endless = one_in(draw, 3) if one.restart_policy != "Always" else but_one_in(draw, 3)
    codes: Sequence[int] = _INIT_EXIT_CODES
    if not is_init:
        codes = () if endless else _EXIT_CODES
    runs = some(draw, 1, at_most, at_most)
    return tuple(_script(draw, lengths, twists, codes, _as_given(one)) for _ in runs)


_EXIT_CODES = (0, 0, 0, 1, 1, 42, 137)
_INIT_EXIT_CODES = (0, 0, 0, 0, 0, 1, 42)


def _as_given(one: Container) -> dict[str, Any]:
    """What the manifest itself says about how things go: a hook that sleeps takes its time."""
    hooks = one.lifecycle or Lifecycle()
    given = {"post_start": hooks.post_start, "pre_stop": hooks.pre_stop}
    return {
        name: HookScript(float(hook.sleep.seconds)) for name, hook in given.items() if hook and hook.sleep
    }


def script(draw: Draw, has: Swarm, one: Container | None = None) -> Script:
    """A single run of a container; without one, of a container that has everything."""
    one = one or _COMPLETE
    lengths = Lengths((PodSpec((one,)),), LifecycleSettings())
    codes = pick(draw, ((), _EXIT_CODES))
    return _script(draw, lengths, _twists(has, one), codes, _as_given(one))


_COMPLETE = Container(
    "main",
    startup_probe=Probe(exec=_PROBE),
    liveness_probe=Probe(exec=_PROBE),
    readiness_probe=Probe(exec=_PROBE),
    lifecycle=Lifecycle(_POST_START, _PRE_STOP),
)


def _script(
    draw: Draw,
    lengths: Lengths,
    twists: Sequence[Twist],
    exit_codes: Sequence[int],
    as_given: Mapping[str, Any],
) -> Script:
    """A run that ends by itself with one of the `exit_codes`, or if there is none goes on for ever."""
    fields: dict[str, Any] = {**as_given}
    if exit_codes:
        fields["lasts"] = lengths.finite(draw)
        fields["exit_code"] = pick(draw, exit_codes)
    if twists:
        for _ in some(draw, 0, 4, 3):
            pick(draw, twists)(draw, lengths, fields)
    return Script(**fields)


def _twists(has: Swarm, one: Container) -> list[Twist]:
    twists: list[Twist] = [_stop]
    if has.slow_ends:
        twists += (_slow_stop, _slow_stop, _lingers, _slow_kill)
    lifecycle = one.lifecycle
    if lifecycle is not None and has.bad_hooks:
        if lifecycle.post_start is not None:
            twists += (_post_start, _post_start)
        if lifecycle.pre_stop is not None:
            twists += (_pre_stop, _pre_stop)
    if one.startup_probe is not None:
        twists += (_starts_up, _starts_up)
    if has.bad_probes:
        if one.liveness_probe is not None:
            twists += (_unhealthy, _unhealthy)
        if one.readiness_probe is not None:
            twists += (_ready, _unready)
        kinds: list[ProbeKind] = [kind for kind in _PROBE_KINDS if one.probe_of(kind) is not None]
        if kinds:
            twists += (_slow_probes, _flapping(kinds))
    if has.bad_starts:
        twists += (_no_start, _no_start)
    if has.odd_fields:
        twists += (_message, _writes)
    return twists


_PROBE_KINDS: tuple[ProbeKind, ...] = ("startup", "liveness", "readiness")


def _stop(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["term_exit_code"] = pick(draw, _CODES)


def _slow_stop(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["term_lasts"] = lengths.any(draw)


def _lingers(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["lingers"] = lengths.any(draw)


def _slow_kill(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["kill_lasts"] = pick(draw, (TICK, 0.25, 1.0, 3.0))


def _starts_up(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["starts_up_after"] = lengths.any(draw)


def _ready(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["ready_after"] = lengths.any(draw)


def _unready(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["unready_after"] = lengths.finite(draw)


def _unhealthy(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["unhealthy_after"] = lengths.finite(draw)
    if one_in(draw, 2):  # stuck, and yet it stops as one that has completed
        fields["term_exit_code"] = 0


def _slow_probes(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["probe_lasts"] = tuple(
        pick(draw, (0.0, TICK, 0.5, 1 - TICK, 1.0, 1 + TICK, 2.0, 5.0)) for _ in some(draw, 1, 4, 3)
    )


def _flapping(kinds: Sequence[ProbeKind]) -> Twist:
    def twist(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
        age, told = 0.0, []
        for _ in some(draw, 1, 6, 4):
            told.append((age, pick(draw, _RESULTS)))
            age += lengths.finite(draw)
        fields["answers"] = {**fields.get("answers", {}), pick(draw, kinds): tuple(told)}

    return twist


_RESULTS: tuple[ProbeResult, ...] = ("success", "failure", "failure", "error")


def _post_start(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["post_start"] = _hook(draw, lengths)


def _pre_stop(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["pre_stop"] = _hook(draw, lengths)


def _hook(draw: Draw, lengths: Lengths) -> HookScript:
    lasts = lengths.any(draw)
    match draw.integer(0, 3):
        case 0:
            return HookScript(lasts)
        case 1 | 2:
            return HookScript(lasts, error="the script says so")
        case _:
            return HookScript(lasts, dies_with=pick(draw, _CODES))


def _no_start(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["start_error"] = pick(draw, START_ERRORS)


START_ERRORS = (
    StartError("RunContainerError", "No such file or directory", recorded=True),
    StartError("CreateContainerError", "Resource temporarily unavailable"),
    StartError("CreateContainerConfigError", 'configmap "settings" not found'),
)
"execve failed, which is an instance with exit code 128 (LOCAL-3); the other two leave nothing (STATUS-9)."


def _message(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["message"] = pick(draw, ("last words", ""))


def _writes(draw: Draw, lengths: Lengths, fields: dict[str, Any]) -> None:
    fields["writes"] = tuple((lengths.finite(draw), f"line {n}\n") for n in some(draw, 1, 3))


# ------------------------------------------------------------------ the world around


def settings(draw: Draw, has: Swarm) -> LifecycleSettings:
    gate = pick(draw, _START_GATES)
    if not has.settings:
        return LifecycleSettings(start_gate=gate)
    base = pick(draw, (1.0, 2.0, 4.0, 8.0))
    return LifecycleSettings(
        backoff_base=base,
        backoff_max=base * pick(draw, (8, 4, 2, 1, 0.5)),
        backoff_reset=pick(draw, (10.0, 5.0, 3.0, 20.0)),
        retry_delay=pick(draw, (10.0, 1.0, 3.0)),
        start_gate=gate,
    )


_START_GATES: tuple[StartGate, ...] = ("ready", "started")


def requests(
    draw: Draw, has: Swarm, lengths: Lengths, pods: Sequence[Pod], jobs: Sequence[Job]
) -> tuple[Request, ...]:
    asked: list[Request] = []
    if has.deletions:
        keys = ("", *(one.key for one in pods), *(one.key for one in jobs))
        for _ in some(draw, 0, 3, 3):
            key = pick(draw, keys)
            grace = pick(draw, (None, None, 0, 1, 2, 5, 30))
            one_pod = any(one.key == key for one in jobs) and one_in(draw, 2)
            number = draw.integer(0, 3) if one_pod else None
            asked.append(Request(_instant(draw, lengths, asked), "delete", key, grace, number=number))
    for one in pods:
        for gate in one.spec.readiness_gates:
            for n in some(draw, 0, 4, 4):
                at = _instant(draw, lengths, asked)
                asked.append(
                    Request(at, "gate", one.key, condition_type=gate.condition_type, status=n % 2 == 0)
                )
    return tuple(asked)


def _instant(draw: Draw, lengths: Lengths, asked: Sequence[Request]) -> float:
    """Of a request: often soon after one before it."""
    at = asked[-1].at if asked and one_in(draw, 2) else 0.0
    for _ in some(draw, 1, 3):
        at += lengths.finite(draw)
    return max(at, 0.0)


def case(draw: Draw) -> Case:
    """A whole world."""
    has = swarm(draw)
    jobs: tuple[Job, ...] = (job(draw, has),) if one_in(draw, 5) else ()
    pods: tuple[Pod, ...] = ()
    if not jobs or one_in(draw, 8):
        pods = (pod(draw, has),)
        if has.several:
            pods = (*pods, *(pod(draw, has, name, f"{name}-") for name in "qr"[: draw.integer(1, 2)]))
    return _recreated(draw, _world(draw, has, pods, jobs))


def _recreated(draw: Draw, world: Case) -> Case:
    """Sometimes a pod is deleted and made again at once, or nearly so."""
    deletions = [one for one in world.requests if one.what == "delete" and one.number is None]
    if not deletions or not world.pods or not one_in(draw, 4):
        return world
    at = pick(draw, deletions).at + pick(draw, (0.0, 1 / 1024, 0.5, 1.0, 3.0, 10.0))
    again = Request(at, "create", pick(draw, world.pods).key)
    if at >= world.ends_at:  # everything has been deleted for good, and nobody would delete this one
        return world
    return attrs.evolve(world, requests=(*world.requests, again))


def case_for(draw: Draw, pods: Sequence[Pod], jobs: Sequence[Job] = ()) -> Case:
    """A world around these pods and Jobs: random are only what their processes do and what happens."""
    return _world(draw, swarm(draw), tuple(pods), tuple(jobs))


def _world(draw: Draw, has: Swarm, pods: tuple[Pod, ...], jobs: tuple[Job, ...]) -> Case:
    specs = [*(one.spec for one in pods), *(one.spec.template.spec for one in jobs)]
    chosen = settings(draw, has)
    lengths = Lengths(specs, chosen)
    scripts: dict[str, tuple[Script, ...]] = {}
    runs = 8 if jobs else 4  # several pods, one after the other, have the containers of a Job's template
    for spec in specs:
        for name, one in spec.all_containers.items():
            if name not in scripts:
                is_init = name in spec.plain_inits
                scripts[name] = scripts_of(draw, has, lengths, one, is_init=is_init, at_most=runs)
    lengths.learn(scripts.values())
    heals_at, ends_at = inf, float(pick(draw, (20, 20, 20, 30, 30, 40, 60, 120)))
    if has.healing:
        heals_at = float(draw.integer(0, 20))
        ends_at = heals_at + pick(draw, (40, 20, 100))
    if jobs:
        ends_at *= 2
    return Case(
        pods,
        jobs,
        scripts,
        requests(draw, has, lengths, pods, jobs),
        chosen,
        priorities=tuple(draw.integer(0, 2) for _ in some(draw, 0, 5)),
        prepare_failures=draw.integer(1, 3) if has.bad_starts and one_in(draw, 4) else 0,
        heals_at=heals_at,
        ends_at=ends_at,
        names=draw.integer(0, 999),
    )
