"""The loop around the workers, in virtual time: several pods, Jobs, waiting and deleting."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from minikubelet.api.defaults import with_defaults
from minikubelet.api.job import Job, JobSpec
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Pod, PodTemplateSpec
from minikubelet.kubelet.kubelet import Kubelet, Observer, PodEnded
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.simulated import Script, SimulatedRuntime
from simulation import PROBE, container, pod, sidecar


def named(name: str, subject: Pod) -> Pod:
    return attrs.evolve(subject, metadata=ObjectMeta(name=name))


def job(subject: Pod, **spec: Any) -> Job:
    return with_defaults(Job(ObjectMeta(name="j"), JobSpec(PodTemplateSpec(subject.spec), **spec)))


def play(
    scripts: dict[str, Sequence[Script]], story: Callable[[Kubelet], Awaitable[None]], **options: Any
) -> SimulatedRuntime:
    """Run `story` beside a serving kubelet."""

    async def main() -> SimulatedRuntime:
        runtime = SimulatedRuntime(scripts)
        kubelet = Kubelet(runtime, **options, epoch=0.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kubelet.serve)
            await story(kubelet)
            nursery.cancel_scope.cancel()
        return runtime

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_pods_of_one_run_do_not_wait_for_each_other():
    async def story(kubelet: Kubelet) -> None:
        kubelet.add_pod(named("a", pod(restart_policy="Never")))
        kubelet.add_pod(named("b", pod(restart_policy="Never")))
        began = trio.current_time()
        await kubelet.wait_until(lambda: kubelet.is_finished)
        assert trio.current_time() - began == pytest.approx(5)
        assert not kubelet.has_failed

    play({"main": [Script(lasts=5)]}, story)


def test_wait_for_returns_the_pod_once_the_condition_holds():
    async def story(kubelet: Kubelet) -> None:
        key = kubelet.add_pod(pod(main=[container("main", readiness_probe=PROBE)]))
        began = trio.current_time()
        ready = await kubelet.wait_for(key, "Ready")
        assert trio.current_time() - began == pytest.approx(3)
        assert ready.status is not None and ready.status.container_statuses[0].ready

    play({"main": [Script(ready_after=2.5)]}, story)


def test_wait_for_raises_when_the_pod_is_over():
    async def story(kubelet: Kubelet) -> None:
        key = kubelet.add_pod(pod(main=[container("main", readiness_probe=PROBE)], restart_policy="Never"))
        with pytest.raises(PodEnded, match="Failed"):
            await kubelet.wait_for(key, "Ready")

    play({"main": [Script(lasts=3, exit_code=1, ready_after=9)]}, story)


def test_a_second_pod_of_the_same_name_is_refused():
    async def story(kubelet: Kubelet) -> None:
        kubelet.add_pod(pod())
        with pytest.raises(ValueError, match="default/p exists"):
            kubelet.add_pod(pod())

    play({}, story)


def test_JOB_30_a_job_with_a_sidecar_completes_when_the_sidecar_is_gone():
    async def story(kubelet: Kubelet) -> None:
        key = kubelet.add_job(job(pod(init=[sidecar("s")], restart_policy="Never")))
        began = trio.current_time()
        await kubelet.wait_until(lambda: kubelet.is_finished)
        assert trio.current_time() - began == pytest.approx(7)
        status = kubelet.job(key).status
        assert status is not None
        assert status.succeeded == 1
        assert [c.type for c in status.conditions] == ["SuccessCriteriaMet", "Complete"]
        assert not kubelet.has_failed

    runtime = play({"main": [Script(lasts=5)], "s": [Script(term_lasts=2)]}, story)
    assert [t.container for t in runtime.trace if t.what == "signal"] == ["s"]


def test_JOB_8_JOB_10_failed_pods_are_replaced_with_back_off_up_to_the_limit():
    async def story(kubelet: Kubelet) -> None:
        key = kubelet.add_job(job(pod(restart_policy="Never"), backoff_limit=2))
        await kubelet.wait_until(lambda: kubelet.is_finished)
        status = kubelet.job(key).status
        assert status is not None
        assert status.failed == 3
        assert kubelet.has_failed
        assert len(kubelet.pods()) == 3

    runtime = play({"main": [Script(lasts=1, exit_code=1)]}, story)
    starts = [t.at for t in runtime.trace if t.what == "start"]
    assert [round(t - starts[0], 3) for t in starts] == [0, 11, 32]


def test_LOCAL_9_delete_all_ends_jobs_without_replacement():
    async def story(kubelet: Kubelet) -> None:
        kubelet.add_job(job(pod(restart_policy="Never"), parallelism=3, completions=9))
        kubelet.add_pod(named("solo", pod()))
        await trio.sleep(2)
        kubelet.delete_all(5)
        began = trio.current_time()
        await kubelet.wait_until(lambda: kubelet.is_finished)
        assert trio.current_time() - began == pytest.approx(5)

    runtime = play({"main": [Script(term_lasts=1000)]}, story)
    assert len([t for t in runtime.trace if t.what == "start"]) == 4
    assert not runtime.live


def test_JOB_28_ttl_removes_the_job_but_not_its_outcome():
    async def story(kubelet: Kubelet) -> None:
        kubelet.add_job(job(pod(restart_policy="Never"), backoff_limit=0, ttl_seconds_after_finished=5))
        await kubelet.wait_until(lambda: not kubelet.jobs())
        assert kubelet.pods() == []
        assert kubelet.has_failed
        assert [pod.status and pod.status.phase for pod in kubelet.removed_pods] == ["Failed"]
        (removed,) = kubelet.removed_jobs
        assert removed.status is not None and removed.status.failed == 1

    play({"main": [Script(lasts=1, exit_code=1)]}, story)


def test_JOB_28_observers_see_the_end_of_a_job_that_does_not_outlive_it():
    """Its last status is there to look at, even if the Job goes in the moment that it ends."""

    class Told(Observer):
        def job_changed(self, key: str) -> None:
            status = kubelets[0].job(key).status
            conditions.append([one.type for one in status.conditions] if status else [])

    kubelets: list[Kubelet] = []
    conditions: list[list[str]] = []

    async def story(kubelet: Kubelet) -> None:
        kubelets.append(kubelet)
        kubelet.observers.append(Told())
        kubelet.add_job(job(pod(restart_policy="Never"), ttl_seconds_after_finished=0))
        await kubelet.wait_until(lambda: not kubelet.jobs())

    play({"main": [Script(lasts=1)]}, story)
    assert "Complete" in conditions[-1]


def test_settings_reach_pods_and_jobs():
    """The flags of the back-off scale crash loops and pod replacement alike."""

    async def story(kubelet: Kubelet) -> None:
        kubelet.add_job(job(pod(restart_policy="Never"), backoff_limit=3))
        await kubelet.wait_until(lambda: kubelet.is_finished)

    settings = LifecycleSettings(backoff_base=1, backoff_max=3)
    runtime = play({"main": [Script(lasts=0.5, exit_code=1)]}, story, settings=settings)
    starts = [t.at for t in runtime.trace if t.what == "start"]
    assert [round(b - a, 3) for a, b in pairwise(starts)] == [1.5, 2.5, 3.5]


def test_alarms_that_no_longer_count_do_not_pile_up():
    """While it is probed a pod's next alarm is its deadline, again and again, behind that of another pod."""

    async def story(kubelet: Kubelet) -> None:
        kubelet.add_pod(named("still", pod(active_deadline_seconds=900)))
        kubelet.add_pod(pod(main=[container("main", readiness_probe=PROBE)], active_deadline_seconds=1000))
        for _ in range(500):
            await trio.sleep(1)
            assert len(kubelet._alarms) < 100
        await kubelet.wait_until(lambda: kubelet.is_finished)

    play({"main": [Script(probe_lasts=(0.5,))]}, story)
