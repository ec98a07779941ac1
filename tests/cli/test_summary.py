"""How a run ended, in words and as a code."""

from typing import Any

import attrs
import pytest
from cli_fakes import WALL, main_status, make_pod, with_status

from minikubelet.api.job import Job, JobCondition, JobSpec, JobStatus
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Pod, PodSpec, PodTemplateSpec, Probe
from minikubelet.api.pod_status import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    PodStatus,
)
from minikubelet.cli.ending import Ending
from minikubelet.cli.summary import (
    MOST_FAILURES,
    failure_lines,
    job_failure_lines,
    result_lines,
    stopped_lines,
    unfinished_lines,
)

RUNNING = ContainerState(running=ContainerStateRunning())


def exited(code: int, **fields: Any) -> ContainerState:
    fields.setdefault("reason", "Error" if code else "Completed")
    return ContainerState(terminated=ContainerStateTerminated(code, **fields))


FAILED = "Pod web failed: its main containers have ended, and not all with exit code 0 [PHASE-7]"
NEVER = "    not started again: the pod's restartPolicy is Never [RESTART-4]"


def failed_pod(state: ContainerState, **fields: Any) -> Pod:
    return with_status(make_pod(restart_policy="Never"), main_status(state, **fields), phase="Failed")


def ended_pod(phase: str, code: int = 0) -> Pod:
    return with_status(make_pod(restart_policy="Never"), main_status(exited(code)), phase=phase)


def make_job(*types: str) -> Job:
    spec = JobSpec(PodTemplateSpec(PodSpec((Container("c"),))), completions=1)
    status = JobStatus(conditions=tuple(JobCondition(name, "True") for name in types))
    return Job(ObjectMeta("j", creation_timestamp="2023-11-14T22:13:15Z"), spec, status)


def no_tail(pod: str, container: str) -> list[bytes]:
    return []


# ------------------------------------------------------------------------------------ exit code


@pytest.mark.parametrize(
    ("ending", "code", "word"),
    [
        (Ending(), 0, "finished"),
        (Ending(has_failed=True), 1, "finished"),
        (Ending(files_failed=True), 1, "finished"),
        (Ending(signal=2), 130, "SIGINT"),
        (Ending(signal=15, has_failed=True), 143, "SIGTERM"),
        (Ending(timed_out=True, has_failed=True), 124, "timeout"),
    ],
)
def test_exit_code(ending: Ending, code: int, word: str) -> None:
    """What cut the run short wins; else what the containers made of it."""
    assert (ending.exit_code, str(ending)) == (code, word)


# ------------------------------------------------------------------------------------ tables


def test_pods_and_jobs_each_have_their_table() -> None:
    """As `kubectl get pods` and `kubectl get jobs` print them."""
    assert result_lines([ended_pod("Succeeded")], [make_job("Complete")], WALL) == [
        "",
        "NAME   READY   STATUS      RESTARTS   AGE",
        "web    0/1     Completed   0          5s",
        "",
        "NAME   STATUS     COMPLETIONS   DURATION   AGE",
        "j      Complete   0/1                      5s",
    ]


def test_namespaces_have_a_column_where_there_are_several() -> None:
    """As `kubectl get -A`."""
    other = ended_pod("Succeeded")
    other = attrs.evolve(other, metadata=attrs.evolve(other.metadata, namespace="prod"))
    lines = result_lines([ended_pod("Succeeded"), other], [], WALL)

    assert [line.split()[0] for line in lines[1:]] == ["NAMESPACE", "default", "prod"]


# ------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (exited(3), "  main: exit code 3"),
        (exited(137, reason="OOMKilled"), "  main: exit code 137: killed by SIGKILL, OOMKilled"),
        (exited(139), "  main: exit code 139: ended by SIGSEGV"),
        (exited(127), "  main: exit code 127 (a shell's word for: command not found)"),
        (exited(128, reason="StartError"), "  main: exit code 128, StartError"),
    ],
)
def test_a_failed_container_is_explained(state: ContainerState, expected: str) -> None:
    """Code, signal, reason; and the rule that decided."""
    assert failure_lines([failed_pod(state)], no_tail) == ["", FAILED, expected, NEVER]


def test_the_termination_message_is_told_unless_the_log_says_it() -> None:
    """TMSG-3: a message that is the log's tail is not told twice."""
    pod = failed_pod(exited(1, message="disk\nfull\n"))

    assert failure_lines([pod], no_tail)[4:] == ["    message: disk", "    message: full"]
    assert failure_lines([pod], lambda *_: [b"disk", b"full"])[4:] == ["    | disk", "    | full"]


def test_a_container_that_was_killed_tells_why() -> None:
    """Exit code 143 alone says only that somebody sent SIGTERM."""
    pod = ended_pod("Failed", 143)
    lines = failure_lines([pod], no_tail, lambda pod, container: f"{container} failed liveness probe")

    assert lines[2] == "  main: exit code 143: ended by SIGTERM (main failed liveness probe)"


def test_a_sigkill_that_we_did_not_send_is_told_from_ours() -> None:
    """Without a cgroup nobody says OOMKilled (LOCAL-5), so that people have to think of it."""
    pod = failed_pod(exited(137))

    def told(why: str | None, pod: Pod) -> str:
        return failure_lines([pod], no_tail, None if why is None else lambda *_: why)[2]

    assert told("", pod) == (
        "  main: exit code 137: killed by SIGKILL "
        "(not by minikubelet: by itself, by somebody, or by the kernel for want of memory)"
    )
    assert told("its grace was over", pod).endswith("SIGKILL (its grace was over)")
    assert told("", failed_pod(exited(137, reason="OOMKilled"))).endswith("SIGKILL, OOMKilled")
    assert told(None, pod).endswith("killed by SIGKILL"), "nobody knows"


def test_a_sidecar_is_never_to_blame() -> None:
    """SIDE-17."""
    pod = Pod(
        ObjectMeta("web"),
        PodSpec((Container("main"),), (Container("proxy", restart_policy="Always"),)),
        PodStatus(
            phase="Failed",
            reason="DeadlineExceeded",
            message="too long",
            init_container_statuses=(ContainerStatus("proxy", exited(143)),),
            container_statuses=(main_status(exited(0)),),
        ),
    )

    expected = "Pod web failed: DeadlineExceeded: too long [TERM-10, PHASE-11]"
    assert failure_lines([pod], no_tail) == ["", expected]


def test_a_pod_that_we_deleted_needs_no_explanation() -> None:
    """Its end is ours, not its own."""
    pod = ended_pod("Failed", 143)
    pod = attrs.evolve(pod, metadata=attrs.evolve(pod.metadata, deletion_timestamp="2023-11-14T22:13:15Z"))

    assert failure_lines([pod], no_tail) == []


def test_failures_in_several_namespaces_are_told_apart() -> None:
    """Two pods may have one name."""
    pod = ended_pod("Failed", 1)
    other = attrs.evolve(pod, metadata=attrs.evolve(pod.metadata, namespace="prod"))

    names = [line.split()[1] for line in failure_lines([pod, other], no_tail)[1::4]]
    assert names == ["default/web", "prod/web"]


def test_hundreds_of_failures_are_not_all_explained() -> None:
    """A Job with a high backoffLimit leaves many behind."""
    lines = failure_lines([ended_pod("Failed", 1)] * (MOST_FAILURES + 7), no_tail)

    assert lines.count(FAILED) == MOST_FAILURES
    assert lines[-1] == "7 more pods failed."


def test_a_failed_job_tells_by_what_rule() -> None:
    """JOB-10, JOB-13: the table only says Failed."""
    condition = JobCondition("Failed", "True", "BackoffLimitExceeded", "Job has reached the limit")
    failed = attrs.evolve(make_job(), status=JobStatus(conditions=(condition,)))

    assert job_failure_lines([make_job("Complete"), failed]) == [
        "",
        "Job j failed: BackoffLimitExceeded: Job has reached the limit",
        "  more pods failed than backoffLimit allows, which is 6 [JOB-10]",
    ]


def test_job_12_a_failed_job_tells_what_kept_crashing_in_the_pods_it_deleted() -> None:
    """Of a crash loop that reached the backoffLimit, nothing else would tell."""
    condition = JobCondition("Failed", "True", "BackoffLimitExceeded")
    failed = attrs.evolve(make_job(), status=JobStatus(conditions=(condition,)))
    template = PodTemplateSpec(PodSpec((Container("c"),), restart_policy="OnFailure"))
    failed = attrs.evolve(failed, metadata=attrs.evolve(failed.metadata, uid="u"))
    failed = attrs.evolve(failed, spec=JobSpec(template, backoff_limit=2))
    status = main_status(exited(143), last_state=exited(4), restart_count=2)
    pod = with_status(make_pod("j-x", owner="j"), status, phase="Failed")
    deleted = attrs.evolve(pod, metadata=attrs.evolve(pod.metadata, deletion_timestamp="t"))

    assert job_failure_lines([failed], [pod, deleted], lambda *_: [b"trying"])[2:] == [
        "  with OnFailure each restart of a container counts against backoffLimit, which is 2 [JOB-12]",
        "  j-x/main: restarted 2 times, before that exit code 4",
        "    | trying",
    ]


# ------------------------------------------------------------------------------------ stopped by us


def stopped(pod: Pod) -> Pod:
    """Deleted at 22:13:30 with a grace of 30 s."""
    meta = attrs.evolve(
        pod.metadata, deletion_timestamp="2023-11-14T22:14:00Z", deletion_grace_period_seconds=30
    )
    return attrs.evolve(pod, metadata=meta)


BEFORE, AFTER = "2023-11-14T22:13:29Z", "2023-11-14T22:13:31Z"


def test_BACKOFF_1_a_pod_that_was_stopped_in_a_crash_loop_tells_of_it() -> None:
    """Or its log would be all that tells, somewhere far up."""
    pod = stopped(failed_pod(exited(3, finished_at=BEFORE), restart_count=4))
    pod = attrs.evolve(pod, spec=attrs.evolve(pod.spec, restart_policy="Always"))

    assert stopped_lines([pod], [], lambda *_: [b"no database"]) == [
        "",
        "Pod web was stopped while it failed:",
        "  main (attempt 5): exit code 3",
        "    always started again: the pod's restartPolicy is Always [RESTART-4]",
        "    | no database",
    ]


@pytest.mark.parametrize(
    ("code", "finished_at", "restarts"), [(3, AFTER, 4), (143, BEFORE, 4), (0, BEFORE, 4), (3, BEFORE, 0)]
)
def test_what_ended_because_it_was_stopped_is_no_failure(code: int, finished_at: str, restarts: int) -> None:
    """Whatever it made of its signal; nor is a single crash a loop."""
    pod = stopped(failed_pod(exited(code, finished_at=finished_at), restart_count=restarts))

    assert stopped_lines([pod], [], no_tail) == []


def test_STATUS_9_a_pod_that_was_stopped_waiting_for_its_configuration_tells_of_it() -> None:
    """There is no attempt, and no log."""
    missing = ContainerState(waiting=ContainerStateWaiting("CreateContainerConfigError", 'no secret "s"'))
    blocked = ContainerState(waiting=ContainerStateWaiting("PodInitializing"))
    pod = with_status(make_pod(), main_status(missing), main_status(blocked), phase="Failed")

    assert stopped_lines([stopped(pod)], [], no_tail) == [
        "",
        "Pod web was stopped while it failed:",
        '  main: CreateContainerConfigError: no secret "s"',
        "    tried again until it can be made, whatever the restartPolicy [STATUS-9, BACKOFF-13]",
    ]


def test_VOL_6_a_pod_that_was_stopped_without_its_volumes_tells_of_it() -> None:
    """Its containers only say ContainerCreating."""
    waiting = ContainerState(waiting=ContainerStateWaiting("ContainerCreating"))
    pod = stopped(with_status(make_pod(), main_status(waiting), phase="Failed"))

    assert stopped_lines([pod], [], no_tail, {"default/web": "no such volume"})[1:] == [
        "Pod web was stopped while it failed:",
        "  no such volume",
        "    tried again until the volumes are there, before anything is started [VOL-6]",
    ]


# ------------------------------------------------------------------------------------ timeouts


def test_a_timeout_tells_what_was_not_done_and_why() -> None:
    """Which check never passed."""
    probed = make_pod("web", Container("main", readiness_probe=Probe()))
    waiting = ContainerState(waiting=ContainerStateWaiting("CrashLoopBackOff", "back-off 10s restarting"))
    missing = ContainerState(waiting=ContainerStateWaiting("CreateContainerConfigError", 'no secret "s"'))
    blocked = ContainerState(waiting=ContainerStateWaiting("PodInitializing"))
    pods = [
        with_status(probed, main_status(RUNNING)),
        with_status(make_pod("db", Container("main", startup_probe=Probe())), main_status(RUNNING)),
        with_status(make_pod("loop"), main_status(waiting, last_state=exited(3))),
        with_status(make_pod("config"), main_status(missing)),
        with_status(
            make_pod("init", init_containers=(Container("setup"),)),
            main_status(blocked),
            init_container_statuses=(ContainerStatus("setup", RUNNING),),
        ),
        ended_pod("Succeeded"),
    ]

    assert unfinished_lines(pods, [make_job(), make_job("Complete")], WALL) == [
        "pod web is Running: main is running, not ready",
        "pod db is Running: main is running, its startupProbe has not succeeded",
        "pod loop is CrashLoopBackOff: main waits (CrashLoopBackOff), after exit code 3",
        'pod config is CreateContainerConfigError: main waits (CreateContainerConfigError): no secret "s"',
        "pod init is Init:0/1: setup is running",
        "job j is Running, 0/1 completions",
    ]
