"""Run a pod in virtual time: the shipped kubelet over scripted containers, under trio's MockClock."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

import attrs
import trio
import trio.testing

from minikubelet.api.event import Event
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Lifecycle, LifecycleHandler, Pod, PodSpec, Probe, SleepAction
from minikubelet.api.pod_status import ContainerStatus, PodCondition
from minikubelet.kubelet.kubelet import Kubelet, Observer
from minikubelet.lifecycle.clock import Clock
from minikubelet.lifecycle.plan import plan
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.simulated import Script, SimulatedRuntime, Trace

PROBE = Probe(period_seconds=1)
KUBELET_GATE = LifecycleSettings(start_gate="started")


def container(name: str, *, post_start: bool = False, pre_stop: bool = False, **fields: Any) -> Container:
    """A container with hooks whose length its script says."""
    if post_start or pre_stop:
        fields["lifecycle"] = Lifecycle(_hook() if post_start else None, _hook() if pre_stop else None)
    return Container(name, **fields)


def _hook() -> LifecycleHandler:
    return LifecycleHandler(sleep=SleepAction(0))


def sidecar(name: str, **fields: Any) -> Container:
    return container(name, restart_policy="Always", **fields)


def pod(
    *, init: Sequence[Container] = (), main: Sequence[Container] = (), grace: int = 30, **spec: Any
) -> Pod:
    return Pod(
        ObjectMeta(name="p"),
        PodSpec(
            containers=tuple(main) or (Container("main"),),
            init_containers=tuple(init),
            termination_grace_period_seconds=grace,
            **spec,
        ),
    )


@attrs.define
class Recording:
    """Everything that one simulated pod did."""

    pod: Pod = attrs.field(repr=False)
    trace: list[Trace]
    events: list[Event] = attrs.field(repr=False)
    statuses: list[tuple[float, Pod]] = attrs.field(repr=False)
    "The published pod after every change, with its time."

    def times(self, what: str, name: str = "", detail: object = None) -> list[float]:
        """When `start`, `exit`, `signal`, `preStop`, `postStart` or `probe` happened, in seconds."""
        return [
            round(t.at, 6)
            for t in self.trace
            if t.what == what and t.container == name and (detail is None or t.detail == detail)
        ]

    def signals(self, name: str) -> list[tuple[float, object]]:
        return [(round(t.at, 6), t.detail) for t in self.trace if t.what == "signal" and t.container == name]

    def order(self, what: str) -> list[str]:
        return [t.container for t in self.trace if t.what == what]

    def reasons(self, name: str | None = None) -> list[str]:
        return [
            e.reason
            for e in self.events
            if name is None or (e.involved_object.field_path or "").endswith(f"{{{name}}}")
        ]

    def messages(self, reason: str) -> list[str]:
        return [e.message for e in self.events if e.reason == reason]

    @property
    def phase(self) -> str:
        assert self.pod.status is not None
        return self.pod.status.phase

    def phases(self) -> list[str]:
        """The phases that were published, without repetitions."""
        seen: list[str] = []
        for _, published in self.statuses:
            assert published.status is not None
            if not seen or seen[-1] != published.status.phase:
                seen.append(published.status.phase)
        return seen

    def at(self, instant: float) -> Pod:
        """The pod as published at that instant."""
        return [published for when, published in self.statuses if when <= instant][-1]

    def status(self, name: str, instant: float = inf) -> ContainerStatus:
        published = self.pod if instant == inf else self.at(instant)
        assert published.status is not None
        all_statuses = (*published.status.init_container_statuses, *published.status.container_statuses)
        return next(s for s in all_statuses if s.name == name)

    def condition(self, kind: str, instant: float = inf) -> PodCondition:
        published = self.pod if instant == inf else self.at(instant)
        assert published.status is not None
        return next(c for c in published.status.conditions if c.type == kind)


Step = Callable[[Kubelet], None]


def delete(grace: int | None = None) -> Step:
    return lambda kubelet: kubelet.delete_all(grace)


def run(
    subject: Pod,
    scripts: Mapping[str, Sequence[Script] | Script] | None = None,
    steps: Mapping[float, Step] | None = None,
    *,
    settings: LifecycleSettings | None = None,
    until: float = 20_000,
    prepare_failures: int = 0,
) -> Recording:
    """Run `subject` until it is over, or until that many seconds; `steps` happen at their instants."""
    played = {name: [s] if isinstance(s, Script) else s for name, s in (scripts or {}).items()}
    events: list[Event] = []
    statuses: list[tuple[float, Pod]] = []

    class Watcher(Observer):
        def event(self, event: Event) -> None:
            events.append(event)

        def changed(self, key: str) -> None:
            now = trio.current_time()
            assert not list(plan(kubelet.worker(key).record, Clock(now))), "CORE-3: planning again changes it"
            statuses.append((now - began, kubelet.pod(key)))

    async def main() -> Recording:
        nonlocal began, kubelet
        began = trio.current_time()
        runtime = SimulatedRuntime(played, prepare_failures=prepare_failures)
        kubelet = Kubelet(runtime, settings, epoch=1_700_000_000 - began)
        kubelet.observers.append(Watcher())
        key = kubelet.add_pod(subject)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow, nursery.cancel_scope)
            for instant, step in sorted((steps or {}).items()):
                nursery.start_soon(do, instant, step)
        trace = [attrs.evolve(t, at=t.at - began) for t in runtime.trace]
        return Recording(kubelet.pod(key), trace, events, statuses)

    async def follow(scope: trio.CancelScope) -> None:
        with trio.move_on_at(began + until):
            await kubelet.run()
        scope.cancel()

    async def do(instant: float, step: Step) -> None:
        await trio.sleep_until(began + instant)
        step(kubelet)

    began = 0.0
    kubelet: Kubelet
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
