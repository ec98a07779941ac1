"""Random worlds: pods, lives, faults, interruptions and settings, all of one stream of choices.

First a configuration is drawn: which kinds of things this world has at all (swarm testing); within it
everything else. Whatever is drawn first is simplest, so that what is left after shrinking is small.
"""

from math import inf
from typing import Any

import attrs

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Lifecycle, LifecycleHandler, Pod, PodSpec, Probe, SleepAction
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.draw import Draw, one_in, pick
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.simulated import HookScript, Script


@attrs.frozen
class Swarm:
    """What this world has."""

    sidecars: bool
    inits: bool
    probes: bool
    hooks: bool
    start_failures: bool
    deletions: bool


def swarm(draw: Draw) -> Swarm:
    return Swarm(*(not one_in(draw, 3) for _ in attrs.fields(Swarm)))


def seconds(draw: Draw) -> float:
    """A length of some use: often short, sometimes a whole number, sometimes for ever."""
    match draw.integer(0, 9):
        case 0:
            return 0.0
        case 1 | 2 | 3:
            return float(draw.integer(1, 12))
        case 4 | 5 | 6:
            return draw.integer(1, 20 * 1024) / 1024
        case 7:
            return float(pick(draw, (30, 60, 300, 600, 601)))
        case _:
            return inf


def probe(draw: Draw) -> Probe:
    return Probe(
        initial_delay_seconds=draw.integer(0, 3),
        period_seconds=draw.integer(1, 3),
        failure_threshold=draw.integer(1, 3),
    )


def container(draw: Draw, has: Swarm, name: str, **fields: Any) -> Container:
    sleep = LifecycleHandler(sleep=SleepAction(0))
    if has.hooks and one_in(draw, 3):
        fields["lifecycle"] = Lifecycle(pick(draw, (None, sleep)), pick(draw, (None, sleep)))
    if has.probes:
        for kind in ("startup_probe", "liveness_probe", "readiness_probe"):
            if one_in(draw, 4):
                fields[kind] = probe(draw)
    return Container(name, **fields)


def pod(draw: Draw, has: Swarm) -> Pod:
    inits = []
    for n in range(draw.integer(0, 3)):
        if has.sidecars and one_in(draw, 2):
            inits.append(container(draw, has, f"side{n}", restart_policy="Always"))
        elif has.inits:
            inits.append(Container(f"init{n}"))
    mains = [container(draw, has, f"main{n}") for n in range(draw.integer(1, 2))]
    return Pod(
        ObjectMeta(name="p"),
        PodSpec(
            containers=tuple(mains),
            init_containers=tuple(inits),
            restart_policy=pick(draw, ("Never", "OnFailure", "Always")),
            termination_grace_period_seconds=draw.integer(0, 10),
        ),
    )


def script(draw: Draw) -> Script:
    return Script(
        lasts=seconds(draw),
        exit_code=pick(draw, (0, 1, 42)),
        term_lasts=seconds(draw),
        starts_up_after=draw.integer(0, 5),
        ready_after=draw.integer(0, 5),
        post_start=HookScript(pick(draw, (0.0, 0.5, 3.0, inf))),
        pre_stop=HookScript(pick(draw, (0.0, 0.5, 3.0, inf))),
    )


def case(draw: Draw) -> Case:
    has = swarm(draw)
    subject = pod(draw, has)
    scripts = {
        name: tuple(script(draw) for _ in range(draw.integer(1, 3))) for name in subject.spec.all_containers
    }
    requests = []
    if has.deletions:
        for _ in range(draw.integer(0, 2)):
            grace = pick(draw, (None, 0, 1, 5))
            requests.append(Request(draw.integer(0, 60 * 1024) / 1024, "delete", grace_seconds=grace))
    settings = LifecycleSettings(start_gate=pick(draw, ("ready", "started")))
    return Case((subject,), scripts=scripts, requests=tuple(requests), settings=settings)
