"""What a recorder takes down of a kubelet's work, in virtual time."""

from typing import Any

import pytest
import trio
import trio.testing

import simulation
from minikubelet.api.job import Job, JobSpec
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Pod, PodSpec, PodTemplateSpec, Probe
from minikubelet.assertions import Run, check
from minikubelet.assertions.recorder import Recorder
from minikubelet.assertions.run import Target
from minikubelet.kubelet.kubelet import Kubelet
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.simulated import HeapScheduler, Script, SimulatedRuntime

NOW = LifecycleSettings(backoff_base=1.0)


def recorded(
    *items: Pod | Job,
    until: float | None = None,
    **scripts: Any,
) -> Run:
    """The run of those pods and Jobs, whose containers play their scripts; deleted after `until` seconds."""

    async def main() -> Run:
        played = {name: [s] if isinstance(s, Script) else s for name, s in scripts.items()}
        kubelet = Kubelet(SimulatedRuntime(played), NOW, epoch=0)
        recorder = Recorder(kubelet)
        for item in items:
            if isinstance(item, Pod):
                kubelet.add_pod(item)
            else:
                kubelet.add_job(item)
        async with trio.open_nursery() as nursery:
            if until is not None:
                nursery.start_soon(delete_later, kubelet)
            await kubelet.run()
        return recorder.run()

    async def delete_later(kubelet: Kubelet) -> None:
        assert until is not None
        await trio.sleep(until)
        kubelet.delete_all()

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


GATED = simulation.pod(
    init=[simulation.sidecar("proxy", readiness_probe=Probe(period_seconds=1))],
    main=[Container("main", readiness_probe=Probe(period_seconds=1))],
    grace=5,
    restart_policy="Never",
)


@pytest.mark.parametrize(
    "assertion",
    [
        "proxy started before proxy ready",
        "proxy ready before main started",
        "main started before pod p Ready",
        "pod p Ready before main exited",
        "main ready within 5s",
        "main unready after main ready",
        "pod p Running before pod p Succeeded",
        "pod p stopping before proxy signalled",
        "proxy signalled before proxy killed",
        "proxy killed at least 5s after main exited",
        "proxy exited before pod p finished",
        "pod p was Initialized",
        "pod p Succeeded",
        "shutdown of pod p >= 5s",
        "event Signalled of proxy happened == 2 times",
    ],
)
def test_a_sidecar_that_has_to_be_killed(assertion: str) -> None:
    """SIDE-4 as `--start-gate ready` has it, TERM-2, SIDE-27: gate, order and the kill are all there."""
    run = recorded(
        GATED,
        proxy=Script(ready_after=2.0, term_lasts=1e9),
        main=Script(lasts=6.0, ready_after=1.0),
    )

    verdict = check(assertion, run)

    assert verdict, str(verdict)


def test_who_obeys_is_not_killed() -> None:
    """TERM-1: the stop signal is an Event, SIGKILL would be one too."""
    run = recorded(GATED, until=4.0, proxy=Script(), main=Script())

    assert check("main signalled before proxy signalled", run)
    assert check("no SIGKILL", run)
    assert check('event Signalled of main containing "Sent SIGTERM to container main" happened', run)


def test_a_stop_signal_of_its_own_is_named() -> None:
    """HOOK-11."""
    from minikubelet.api.pod import Lifecycle

    stubborn = simulation.pod(main=[Container("main", lifecycle=Lifecycle(stop_signal="SIGRTMIN+3"))])
    run = recorded(stubborn, until=1.0, main=Script())

    assert check('event Signalled containing "Sent signal 37 to container main" happened', run)
    assert check("main signalled within 2s", run)


def test_the_pods_of_a_job_and_the_job() -> None:
    """JOB-4, JOB-10: two failed attempts are one too many."""
    job = Job(
        ObjectMeta("work"),
        JobSpec(
            PodTemplateSpec(spec=PodSpec((Container("main"),), restart_policy="Never")),
            parallelism=1,
            completions=1,
            backoff_limit=1,
        ),
    )
    run = recorded(job, main=Script(lasts=1.0, exit_code=1))

    assert [pod.status.phase for pod in run.pods if pod.status] == ["Failed", "Failed"]
    assert check("job work Failed", run)
    assert check("failed pods of work == 2", run)
    assert check("job work Failed after main exited", run)
    assert check("exit code of work/main == 1", run)
    assert check("reason of job work == BackoffLimitExceeded", run)
    assert check("event SuccessfulCreate of job work happened == 2 times", run)


def test_restarts_are_counted_as_published() -> None:
    """STATUS-3."""
    run = recorded(
        simulation.pod(restart_policy="OnFailure"),
        main=[Script(lasts=1.0, exit_code=1), Script(lasts=1.0, exit_code=1), Script(lasts=1.0)],
    )

    assert check("restarts of main == 2", run)
    assert check("main started == 3 times", run)
    assert check("main 3rd started at least 1s after main 2nd exited", run)
    assert check("event BackOff of main happened", run)


def test_a_pod_whose_name_is_used_again_is_the_one_that_is_told_of() -> None:
    scheduler = HeapScheduler()
    kubelet = Kubelet(SimulatedRuntime({"main": [Script(lasts=0.0)]}, scheduler=scheduler), NOW, epoch=0)
    recorder = Recorder(kubelet)
    subject = simulation.pod(main=[Container("main")], restart_policy="Never")
    for _ in range(2):
        kubelet.add_pod(subject)
        kubelet.settle()
        scheduler.run_until(scheduler.now() + 1.0, kubelet.settle)
        kubelet.delete_pod("default/p")

    (told,) = recorder.run().pods
    assert told.metadata.uid == kubelet.pod("default/p").metadata.uid
    assert len(recorder.run().times(Target("Pod", "default/p"), "begun")) == 2
