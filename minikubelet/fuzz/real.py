"""The third engine: a case lived by real processes, on this machine and in its time.

`shortened` makes a case of a few seconds of any case; `run_real` has its containers, hooks and probes done by
programs that live their scripts (see `life`). Then not only the invariants have to hold: what
happened must also be what happens in the simulation of the same case (see `agreement`).
"""

import random
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path
from signal import SIGURG, SIGWINCH
from typing import Any

import attrs

from minikubelet.api.job import Job
from minikubelet.api.pod import Container, ExecAction, LifecycleHandler, Pod, PodSpec, Probe
from minikubelet.fuzz import agreement
from minikubelet.fuzz.case import Case, Request
from minikubelet.fuzz.engines import LookOn, World
from minikubelet.invariants.journal import Journal
from minikubelet.invariants.rules import Violation
from minikubelet.kubelet.kubelet import Kubelet
from minikubelet.lifecycle.facts import ProbeKind
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import (
    Cancel,
    ContainerExit,
    ContainerProcess,
    HookAnswer,
    Output,
    PrepareError,
    ProbeAnswer,
    Runtime,
    StartError,
)
from minikubelet.runtime.simulated import HookScript, Script

ENDS_AT = 4.125
"Seconds after which everything is deleted: off the beat of everything that is counted in whole seconds."

HEALS_AT = 2.125

PATIENCE = 20.0
"Seconds after that until a world that has not ended is given up."


# ------------------------------------------------------------------ short worlds


def shortened(case: Case) -> Case:
    """The same world in seconds instead of minutes. Nobody dies slowly of SIGKILL: no process can do that."""
    pods = tuple(attrs.evolve(pod, spec=_short_spec(pod.spec)) for pod in case.pods)
    return Case(
        pods,
        tuple(map(_short_job, case.jobs)),
        {name: tuple(map(_short_script, scripts)) for name, scripts in case.scripts.items()},
        tuple(_short_request(request) for request in case.requests),
        _short_settings(case.settings),
        prepare_failures=case.prepare_failures,
        heals_at=min(case.heals_at, HEALS_AT) if case.heals_at < inf else inf,
        ends_at=ENDS_AT,
        names=case.names,
    )


def _short(length: float) -> float:
    """Never on a whole or half second, where probes, back-offs and graces end; up to 2.75 s, or for ever."""
    return length if length in (0, inf) else 0.25 + 0.5 * (int(length) % 6)


def _short_spec(spec: PodSpec) -> PodSpec:
    deadline = spec.active_deadline_seconds
    return attrs.evolve(
        spec,
        init_containers=tuple(map(_short_container, spec.init_containers)),
        containers=tuple(map(_short_container, spec.containers)),
        termination_grace_period_seconds=min(spec.termination_grace_period_seconds, 2),
        active_deadline_seconds=None if deadline is None else min(deadline, 4),
    )


def _short_container(container: Container) -> Container:
    probes: dict[str, Any] = {
        f"{kind}_probe": _short_probe(one)
        for kind in ("startup", "liveness", "readiness")
        if (one := getattr(container, f"{kind}_probe")) is not None
    }
    return attrs.evolve(container, **probes)


def _short_probe(probe: Probe) -> Probe:
    grace = probe.termination_grace_period_seconds
    return attrs.evolve(
        probe,
        initial_delay_seconds=min(probe.initial_delay_seconds, 1),
        period_seconds=1,
        timeout_seconds=1,
        success_threshold=min(probe.success_threshold, 2),
        failure_threshold=min(probe.failure_threshold, 2),
        termination_grace_period_seconds=None if grace is None else min(grace, 2),
    )


def _short_job(job: Job) -> Job:
    spec = job.spec
    template = attrs.evolve(spec.template, spec=_short_spec(spec.template.spec))
    deadline, ttl = spec.active_deadline_seconds, spec.ttl_seconds_after_finished
    spec = attrs.evolve(
        spec,
        template=template,
        parallelism=None if spec.parallelism is None else min(spec.parallelism, 2),
        active_deadline_seconds=None if deadline is None else min(deadline, 4),
        ttl_seconds_after_finished=None if ttl is None else min(ttl, 1),
    )
    return attrs.evolve(job, spec=spec)


def _short_script(script: Script) -> Script:
    return Script(
        lasts=_short(script.lasts),
        exit_code=script.exit_code,
        term_lasts=_short(script.term_lasts),
        term_exit_code=script.term_exit_code,
        lingers=LEAVES_CHILDREN if script.lingers else 0.0,
        starts_up_after=_short(script.starts_up_after),
        ready_after=_short(script.ready_after),
        unready_after=_short(script.unready_after),
        unhealthy_after=_short(script.unhealthy_after),
        probe_lasts=tuple(map(_short, script.probe_lasts)),
        answers={
            kind: tuple((_short(since), result) for since, result in answers)
            for kind, answers in script.answers.items()
        },
        post_start=_short_hook(script.post_start),
        pre_stop=_short_hook(script.pre_stop),
        start_error=script.start_error,
    )


LEAVES_CHILDREN = 1 / 1024
"Seconds that they linger: they are killed at once (TERM-17)."


def _short_hook(hook: HookScript) -> HookScript:
    return attrs.evolve(hook, lasts=_short(hook.lasts))


def _short_request(request: Request) -> Request:
    grace = request.grace_seconds
    short = None if grace is None else min(grace, 2)
    return attrs.evolve(request, at=0.125 + 0.5 * (int(request.at) % 7), grace_seconds=short)


def _short_settings(settings: LifecycleSettings) -> LifecycleSettings:
    return attrs.evolve(
        settings,
        backoff_base=0.5,
        backoff_max=min(settings.backoff_max / settings.backoff_base / 2, 2.0),
        backoff_reset=2.0,
        retry_delay=0.5,
        minimum_kill_grace=1.0,
    )


def stretched(case: Case, factor: int) -> Case:
    """The same world, with all lengths so many times as long."""
    pods = tuple(attrs.evolve(pod, spec=_times(pod.spec, factor)) for pod in case.pods)
    scripts = {name: tuple(_times(one, factor) for one in scripts) for name, scripts in case.scripts.items()}
    jobs = tuple(attrs.evolve(job, spec=_times(job.spec, factor)) for job in case.jobs)
    requests = tuple(_times(request, factor) for request in case.requests)
    return attrs.evolve(
        case,
        pods=pods,
        jobs=jobs,
        scripts=scripts,
        requests=requests,
        settings=_times(case.settings, factor),
        heals_at=case.heals_at * factor,
        ends_at=case.ends_at * factor,
    )


_LENGTHS = frozenset(
    (
        *(
            "lasts",
            "term_lasts",
            "lingers",
            "starts_up_after",
            "ready_after",
            "unready_after",
            "unhealthy_after",
        ),
        *("at", "backoff_base", "backoff_max", "backoff_reset", "retry_delay", "minimum_kill_grace"),
    )
)


def _times(value: Any, factor: int) -> Any:
    """Every length in it, and in what it consists of."""
    if isinstance(value, tuple):
        return tuple(_times(one, factor) for one in value)
    if not attrs.has(type(value)):
        return value
    changed = {}
    for field in attrs.fields(type(value)):
        old = getattr(value, field.name)
        if field.name in _LENGTHS or field.name.endswith("_seconds"):
            new = None if old is None else old * factor
        elif field.name == "probe_lasts":
            new = tuple(one * factor for one in old)
        elif field.name == "answers":
            new = {kind: tuple((at * factor, good) for at, good in told) for kind, told in old.items()}
        else:
            new = _times(old, factor)
        if new is not old:
            changed[field.name] = new
    return attrs.evolve(value, **changed) if changed else value


# ------------------------------------------------------------------ processes that live scripts


class Stage:
    """A runtime that has real processes live `scripts`, whatever their containers are said to run.

    Which script is whose turn, and what a probe is to be told, is decided as in the simulation; the answer
    is given by a process.
    """

    def __init__(self, runtime: Runtime, case: Case) -> None:
        self._runtime = runtime
        self._case = case
        self._runs: Counter[str] = Counter()
        self._prepare_failures = case.prepare_failures
        self._began = runtime.now()
        self.now = runtime.now
        self.run = runtime.run

    @property
    def until_healed(self) -> float:
        """Seconds until nothing new goes wrong and no hook hangs any more."""
        return max(self._began + self._case.heals_at - self.now(), 0.0)

    @property
    def is_healed(self) -> bool:
        return self.until_healed == 0

    def prepare_pod(self, pod: Pod) -> None:
        if self._prepare_failures and not self.is_healed:
            self._prepare_failures -= 1
            raise PrepareError("the script says so")
        self._runtime.prepare_pod(_bare(pod))

    def start_container(
        self, pod: Pod, container: Container, attempt: int, exited: Callable[[ContainerExit], None]
    ) -> ContainerProcess:
        number = self._runs[container.name]
        self._runs[container.name] += 1
        scripts = self._case.scripts.get(container.name) or (Script(),)
        script = scripts[min(number, len(scripts) - 1)]
        if self.is_healed:
            script = script.healed()
        if script.start_error is not None and not script.start_error.recorded:
            raise StartError(script.start_error.reason, script.start_error.message)
        pid_file = f"pid-{number}"
        command = _life(script, pid_file) if script.start_error is None else ("/nonexistent/program",)
        dressed = Container(container.name, image="busybox", command=command)
        process = self._runtime.start_container(_bare(pod), dressed, attempt, exited)
        return _Actor(self, container, script, process, pid_file)

    def remove_pod(self, pod: Pod) -> None:
        self._runtime.remove_pod(_bare(pod))


class _Actor:
    def __init__(
        self, stage: Stage, container: Container, script: Script, process: ContainerProcess, pid_file: str
    ) -> None:
        self._stage = stage
        self._container = container
        self._script = script
        self._process = process
        self._pid_file = pid_file
        self._started_at = stage.now()
        self._questions = 0
        self.signal = process.signal

    def run_hook(self, handler: LifecycleHandler, done: Callable[[HookAnswer], None]) -> Cancel:
        lifecycle = self._container.lifecycle
        is_post_start = lifecycle is not None and handler is lifecycle.post_start
        script = self._script.post_start if is_post_start else self._script.pre_stop
        lasts = min(script.lasts, self._stage.until_healed, LONGEST)
        lines = [f"sleep {lasts}"] if lasts else []
        if script.dies_with is not None:
            signal = POST_START_KILLS if is_post_start else PRE_STOP_KILLS
            file = self._pid_file
            lines += [f"until [ -e {file} ]; do sleep 0.01; done; kill -s {signal} $(cat {file}); sleep 60"]
        lines += [f"exit {int(script.error is not None)}"]
        return self._process.run_hook(LifecycleHandler(exec=ExecAction(("sh", "-c", "\n".join(lines)))), done)

    def ask_probe(self, kind: ProbeKind, probe: Probe, done: Callable[[ProbeAnswer], None]) -> Cancel:
        result = self._script.answer(kind, self._stage.now() - self._started_at)
        latencies = self._script.probe_lasts or (0.0,)
        lasts = latencies[self._questions % len(latencies)]
        self._questions += 1
        if self._stage.is_healed:
            result, lasts = "success", 0.0
        if result == "error":
            command: tuple[str, ...] = ("/nonexistent/program",)
        elif not lasts:
            command = ("true",) if result == "success" else ("false",)
        else:
            command = "sh", "-c", f"sleep {min(lasts, LONGEST)}; exit {int(result != 'success')}"
        asked = attrs.evolve(probe, exec=ExecAction(command), http_get=None, tcp_socket=None, grpc=None)
        return self._process.ask_probe(kind, asked, done)


def _bare(pod: Pod) -> Pod:
    """What there is to prepare for processes that need nothing."""
    names = [Container(name) for name in pod.spec.all_containers]
    return attrs.evolve(pod, spec=PodSpec(containers=tuple(names)))


def _life(script: Script, pid_file: str) -> tuple[str, ...]:
    deadly = [
        f"{int(signal)}={hook.dies_with}"
        for signal, hook in ((SIGWINCH, script.post_start), (SIGURG, script.pre_stop))
        if hook.dies_with is not None
    ]
    code = "" if script.term_exit_code is None else script.term_exit_code
    words = (script.lasts, script.exit_code, script.term_lasts, code, script.lingers > 0)
    return (sys.executable, "-I", "-S", LIFE, pid_file, *map(str, words), *deadly)


LIFE = str(Path(__file__).with_name("life.py"))
LONGEST = 1e6  # seconds, instead of for ever
POST_START_KILLS, PRE_STOP_KILLS = "WINCH", "URG"  # which nobody uses to stop a container


# ------------------------------------------------------------------ run


def run_real(case: Case, output: Output | None = None, look_on: LookOn | None = None) -> Journal:
    """Live through a case; takes as long as it says. Nothing of it is left, however this ends.

    There can be one such run in a process at a time, since a supervisor adopts and reaps what it started.
    """
    import trio

    from minikubelet.invariants.watch import watched
    from minikubelet.runtime.isolation import Isolation
    from minikubelet.runtime.local import LocalRuntime

    runtime = LocalRuntime(isolation=Isolation("none"), output=output)
    try:
        journal, stage = watched(Stage(runtime, case))
        kubelet = Kubelet(stage, case.settings, random=random.Random(case.names))
        journal.follow(kubelet)
        world = World(case, kubelet, journal)
        if look_on is not None:
            look_on(world)

        async def main() -> None:
            began = runtime.now()
            world.begin()

            async def ask(at: float, act: Any) -> None:
                await trio.sleep(max(began + at - runtime.now(), 0))
                act()

            async with trio.open_nursery() as nursery:
                for request in case.requests:
                    nursery.start_soon(ask, request.at, partial(world.do, request))
                nursery.start_soon(ask, case.ends_at, kubelet.delete_all)
                with trio.move_on_after(case.ends_at + PATIENCE):
                    await kubelet.run()
                nursery.cancel_scope.cancel()

        trio.run(main)
        journal.close()
    finally:
        runtime.close()
    return journal


def disagreements(case: Case, journal: Journal) -> list[Violation] | None:
    """What happened otherwise than in the simulation; None if the case hangs on too little time to tell.

    A busy machine can be later than anybody thinks. So what differs has to differ in slower worlds, too.
    """
    found = agreement.disagreements(case, journal)
    for factor in SLOWER if found else ():
        slower = stretched(case, factor)
        if not agreement.disagreements(slower, run_real(slower)):
            return []
    return found


SLOWER = 2, 4
"How many times as slow."
