"""A case in words: what the processes do, and what happens to them. What goes as usual is not told."""

from collections.abc import Iterator, Sequence
from math import inf

from minikubelet.fuzz.case import Case, Request
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.simulated import HookScript, Script

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def manifests(case: Case) -> str:
    """The pods and Jobs as YAML, without what is as it would be anyway."""
    from minikubelet.fuzz.replay import Replay, dumps

    _, _, text = dumps(Replay(case)).partition("\n---\n")
    return text


def behaviours(case: Case) -> Iterator[str]:
    """One line for each run of a container, each request, each setting that is not the usual one."""
    for name, scripts in case.scripts.items():
        for who, script in _runs(scripts):
            yield f"{name}{who}: {'; '.join(_script(script))}"
    for request in sorted(case.requests, key=lambda one: one.at):
        yield f"at {_seconds(request.at)} {_request(request)}"
    if case.prepare_failures:
        times = "once" if case.prepare_failures == 1 else f"{case.prepare_failures} times"
        yield f"preparing a pod fails {times} before it works"
    if case.heals_at < inf:
        yield f"at {_seconds(case.heals_at)} the world heals: what begins then goes well"
    yield f"at {_seconds(case.ends_at)} everything is deleted that is still there"
    usual = LifecycleSettings()
    for name in ("start_gate", "backoff_base", "backoff_max", "backoff_reset", "retry_delay"):
        chosen = getattr(case.settings, name)
        if chosen != getattr(usual, name):
            yield f"{name.replace('_', '-')}: {chosen if isinstance(chosen, str) else _seconds(chosen)}"


def _runs(scripts: Sequence[Script]) -> Iterator[tuple[str, Script]]:
    """Equal ones that follow each other are told once."""
    first = 0
    while first < len(scripts):
        last = first
        while last + 1 < len(scripts) and scripts[last + 1] == scripts[first]:
            last += 1
        if last == len(scripts) - 1:
            who = "" if first == 0 else f", {_ordinal(first)} run and later"
        else:
            who = f", {_ordinal(first)} run" + ("" if first == last else f" to {_ordinal(last)}")
        yield who, scripts[first]
        first = last + 1


def _ordinal(index: int) -> str:
    return ORDINALS[index] if index < len(ORDINALS) else f"{index + 1}th"


def _script(script: Script) -> Iterator[str]:
    if script.start_error is not None:
        error = script.start_error
        kind = "as an instance that ends with code 128" if error.recorded else "with nothing to show for it"
        yield f"cannot be started, {kind} ({error.message})"
        return
    if script.lasts < inf:
        yield f"exits with code {script.exit_code} after {_seconds(script.lasts)}"
    else:
        yield "runs until it is stopped"
    if script.term_lasts == inf:
        yield "ignores its stop signal"
    elif script.term_lasts or script.term_exit_code is not None:
        code = "" if script.term_exit_code is None else f" with code {script.term_exit_code}"
        yield f"ends{code} {_seconds(script.term_lasts)} after its stop signal"
    if script.lingers == inf:
        yield "leaves processes behind that never end by themselves"
    elif script.lingers:
        yield f"leaves processes behind that end {_seconds(script.lingers)} later"
    if script.kill_lasts:
        yield f"takes {_seconds(script.kill_lasts)} to die of SIGKILL"
    if script.starts_up_after:
        yield _when("its startupProbe succeeds", script.starts_up_after)
    if script.ready_after:
        yield _when("its readinessProbe succeeds", script.ready_after)
    if script.unready_after < inf:
        yield f"its readinessProbe fails from {_seconds(script.unready_after)} on"
    if script.unhealthy_after < inf:
        yield f"its livenessProbe fails from {_seconds(script.unhealthy_after)} on"
    for kind, answers in script.answers.items():
        told = ", ".join(f"{result} from {_seconds(since)} on" for since, result in answers)
        yield f"its {kind}Probe is told {told}"
    if any(script.probe_lasts):
        yield f"its probes take {', '.join(map(_seconds, script.probe_lasts))} in turn"
    yield from _hook("postStart", script.post_start)
    yield from _hook("preStop", script.pre_stop)
    if script.message is not None:
        yield f"its termination message is {script.message!r}"
    for at, text in script.writes:
        yield f"writes {text!r} after {_seconds(at)}"


def _when(what: str, after: float) -> str:
    never = what.replace("succeeds", "never succeeds")
    return never if after == inf else f"{what} from {_seconds(after)} on"


def _hook(kind: str, hook: HookScript) -> Iterator[str]:
    if hook == HookScript():
        return
    if hook.lasts == inf:
        yield f"its {kind} hook never returns"
    elif hook.dies_with is not None:
        yield f"it exits with code {hook.dies_with} {_seconds(hook.lasts)} into its {kind} hook"
    elif hook.error is not None:
        yield f"its {kind} hook fails after {_seconds(hook.lasts)}"
    else:
        yield f"its {kind} hook takes {_seconds(hook.lasts)}"


def _request(request: Request) -> str:
    whom = request.key.partition("/")[2] if request.key else "everything"
    if request.what == "gate":
        return f"readinessGate {request.condition_type} of {whom} is set to {request.status}"
    if request.what == "create":
        return f"{whom} is made once more"
    grace = "" if request.grace_seconds is None else f" with {request.grace_seconds} s of grace"
    return f"{whom} is deleted{grace}"


def _seconds(length: float) -> str:
    """Exactly: multiples of 1/1024 have ten digits at most."""
    return "for ever" if length == inf else f"{length:.10f}".rstrip("0").rstrip(".") + " s"
