"""The examples beside the articles' manifests show what their first lines say they show."""

import json
import subprocess
from collections.abc import Callable

import pytest
from spec_run import RunSpec, SpecRun, condition, container_status

HURRY = ("--backoff-base", "0.2", "--backoff-max", "0.8")


def assert_in_this_order(run: SpecRun, *wanted: tuple[str, str]) -> None:
    """Each of these (container, line) was logged, one after the other."""
    logged = [(line.container, line.text) for line in run.logs()]
    places = [logged.index(entry) if entry in logged else None for entry in wanted]

    assert None not in places and places == sorted(places), logged  # type: ignore[type-var]


# ------------------------------------------------------------------ sidecars


def test_a_readiness_probe_holds_up_the_main_until_the_sidecar_is_ready(
    ended: Callable[[str], SpecRun],
) -> None:
    """--start-gate ready is the default."""
    run = ended("readiness-gated-sidecar.yaml")

    assert_in_this_order(run, ("proxy", "open for business"), ("app", "started"))


def test_the_event_of_a_held_up_start_names_the_option(ended: Callable[[str], SpecRun]) -> None:
    """Nobody shall take the default gate for what a cluster does (SIDE-4)."""
    (told,) = ended("readiness-gated-sidecar.yaml").events("StartGate", "proxy")
    assert "--start-gate" in told["message"]


def test_the_kubelet_s_gate_does_not_wait_for_readiness(run_spec: RunSpec) -> None:
    """SIDE-4, with --start-gate started."""
    for _ in range(3):  # on a machine that stood still the app may be over before the proxy is open
        run = run_spec("readiness-gated-sidecar.yaml", "--start-gate", "started")
        assert run.exit_code() == 0, run.output
        if any(line.container == "proxy" for line in run.logs()):
            break

    assert_in_this_order(run, ("app", "started"), ("proxy", "open for business"))


@pytest.mark.parametrize("gate", ["ready", "started"])
def test_a_startup_probe_holds_up_whatever_comes_next(run_spec: RunSpec, gate: str) -> None:
    """SIDE-3: the same under both gates."""
    for _ in range(3):  # on a machine that stood still the first probe may find the sidecar up
        run = run_spec("startup-gated-sidecar.yaml", "--start-gate", gate)
        assert run.exit_code() == 0, run.output
        if run.events("Unhealthy"):
            break

    assert_in_this_order(
        run,
        ("database", "accepting connections"),
        ("migrate", "schema is up to date"),
        ("app", "working"),
    )
    assert "not accepting yet" in run.events("Unhealthy", "database")[0]["message"]  # EVENT-3
    assert not run.events("StartGate")


def test_sidecars_stop_one_by_one_in_reverse_order(run_spec: RunSpec) -> None:
    """SIDE-26, SIDE-27: each is signalled when the one after it is gone."""
    run = run_spec("reverse-shutdown.yaml")

    assert run.exit_code() == 0, run.output
    assert_in_this_order(
        run,
        ("app", "done"),
        *((name, word) for name in ("proxy", "logs", "secrets") for word in ("stopping", "stopped")),
    )
    assert run.pod()["status"]["phase"] == "Succeeded"  # SIDE-17: they exit 1
    assert [container_status(run.pod(), name)["restartCount"] for name in ("secrets", "logs", "proxy")] == [
        0
    ] * 3


# ------------------------------------------------------------------ restarts


def test_a_crash_looping_main_is_held_back_and_its_sidecar_left_alone(run_spec: RunSpec) -> None:
    """BACKOFF-2, BACKOFF-9, MAIN-5; a pending restart does not hold up the end (TERM-8)."""
    run = run_spec("crash-looping-main.yaml", *HURRY)

    run.wait_for_event("Started", "app", times=4)
    run.interrupt()

    assert run.exit_code() == 130, run.output
    delays = run.events("BackOff", "app")
    assert delays
    _, second, third = (event["monotonicSeconds"] for event in run.events("Started", "app")[:3])
    assert second < delays[0]["monotonicSeconds"] < third  # the first restart is immediate
    pod = run.pod()
    assert container_status(pod, "app")["restartCount"] >= 3
    assert container_status(pod, "metrics")["restartCount"] == 0
    assert container_status(pod, "metrics")["state"]["terminated"]["exitCode"] == 0


def test_an_init_container_is_tried_until_it_succeeds(run_spec: RunSpec) -> None:
    """INIT-4: the ones after it wait; INIT-6: they run once."""
    run = run_spec("init-fails-twice.yaml", *HURRY)

    assert run.exit_code() == 0, run.output
    assert_in_this_order(
        run,
        ("wait-for-schema", "attempt 2"),  # the log of the first is gone (LOG-7)
        ("wait-for-schema", "attempt 3"),
        ("load-data", "loaded"),
        ("app", "working"),
    )
    restarts = [
        container_status(run.pod(), name)["restartCount"] for name in ("wait-for-schema", "load-data", "app")
    ]
    assert restarts == [2, 0, 0]


def test_a_rule_for_an_exit_code_beats_restart_policy_never(run_spec: RunSpec) -> None:
    """RESTART-6, RESTART-8; any other code is final."""
    run = run_spec("restart-rules.yaml", *HURRY)

    assert run.exit_code() == 0, run.output
    assert_in_this_order(run, ("trainer", "interrupted"), ("trainer", "going on from the checkpoint"))
    trainer = container_status(run.pod(), "trainer")
    assert (trainer["restartCount"], trainer["state"]["terminated"]["exitCode"]) == (1, 0)
    assert trainer["lastState"]["terminated"]["exitCode"] == 42


def test_the_deadline_ends_a_pod_in_good_order(run_spec: RunSpec) -> None:
    """TERM-10, SIDE-36: Failed, whatever the exit codes say."""
    run = run_spec("deadline.yaml")

    assert run.exit_code() == 1, run.output
    assert_in_this_order(run, ("app", "stopping"), ("logs", "stopping"))
    status = run.pod()["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert container_status(run.pod(), "app")["state"]["terminated"]["exitCode"] == 0


# ------------------------------------------------------------------ probes and hooks


def test_liveness_restarts_and_the_second_life_stays(run_spec: RunSpec) -> None:
    """PROBE-7, PROBE-14, PROBE-16."""
    run = run_spec("probes.yaml", *HURRY)

    run.wait_for_log("app", "started, life 2")
    run.interrupt()

    assert run.exit_code() == 130, run.output
    assert_in_this_order(run, ("app", "started, life 1"), ("app", "stuck"), ("app", "started, life 2"))
    assert (
        run.events("Killing", "app")[0]["message"] == "Container app failed liveness probe, will be restarted"
    )
    failures = [event["message"] for event in run.events("Unhealthy", "app")]
    assert sum("the file healthy is gone" in text for text in failures) == 2
    assert container_status(run.pod(), "app")["restartCount"] == 1


def test_probes_reach_a_server_through_the_name_of_its_port(
    run_spec: RunSpec, free_port: Callable[[int], None]
) -> None:
    """PROBE-23, PROBE-27, PROBE-29."""
    free_port(18099)
    run = run_spec("http-probes.yaml", terminal=True)

    run.wait_for_output(r"http-probes +1/1 +Running +0 ")
    run.interrupt()

    assert run.exit_code() == 130, run.output
    assert '"GET / HTTP/1.1" 200' in run.log_text("web")


def test_hooks_come_before_the_next_start_and_before_the_signal(run_spec: RunSpec) -> None:
    """HOOK-2: postStart holds up the next container; HOOK-7: SIGTERM waits for preStop."""
    run = run_spec("hooks.yaml")

    run.wait_for_log("helper", "started")
    run.interrupt()

    assert run.exit_code() == 130, run.output
    assert_in_this_order(
        run, ("app", "registered"), ("helper", "started"), ("app", "SIGTERM, drained before")
    )


# ------------------------------------------------------------------ volumes


@pytest.fixture
def run_with_mounts(run_spec: RunSpec, require: Callable[[bool, str], None]) -> RunSpec:
    """`run_spec`, on a machine that allows a mount namespace of one's own."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    allowed = subprocess.run(command, capture_output=True, check=False).returncode == 0
    require(allowed, "namespaces")
    return run_spec


def test_configuration_arrives_as_environment_and_as_files(run_with_mounts: RunSpec) -> None:
    """ENV-6, ENV-7, VOL-3."""
    run = run_with_mounts("config-and-secret.yaml")

    assert run.exit_code() == 0, run.output
    assert [line.text for line in run.logs("greeter")] == [
        "hello, world",
        "language = en",
        "token of 6 bytes, mode 400",
    ]


def test_containers_share_a_volume_at_different_paths(run_with_mounts: RunSpec) -> None:
    """VOL-1, VOL-6."""
    run = run_with_mounts("shared-volume.yaml")

    assert run.exit_code() == 0, run.output
    assert run.log_text("reader") == "page written by prepare"


# ------------------------------------------------------------------ several pods


def test_an_indexed_job_does_every_part_once(run_spec: RunSpec) -> None:
    """JOB-2, JOB-21, JOB-22."""
    run = run_spec("indexed-job.yaml")

    assert run.exit_code() == 0, run.output
    lines = sorted(line.text for line in run.logs("worker"))
    assert lines == [f"indexed-{n} does part {n} of 4" for n in range(4)]
    assert run.job()["status"]["completedIndexes"] == "0-3"
    assert condition(run.job(), "Complete")["status"] == "True"
    assert most_at_once(run, "worker") == 2


def most_at_once(run: SpecRun, container: str) -> int:
    steps = [(event["monotonicSeconds"], 1) for event in run.events("Started", container)]
    steps += [(event["monotonicSeconds"], -1) for event in run.events("Exited", container)]
    running = [sum(step for _, step in sorted(steps)[: n + 1]) for n in range(len(steps))]
    return max(running)


def test_a_job_gives_up_after_its_backoff_limit(run_spec: RunSpec) -> None:
    """JOB-10, JOB-15: the third failure is one too many for a limit of two."""
    run = run_spec("failing-job.yaml", *HURRY)

    assert run.exit_code() == 1, run.output
    assert [pod["status"]["phase"] for pod in run.objects("Pod")] == ["Failed"] * 3
    failed = condition(run.job(), "Failed")
    assert (failed["status"], failed["reason"]) == ("True", "BackoffLimitExceeded")


def test_a_deployment_is_run_as_its_pods(run_spec: RunSpec) -> None:
    """Each replica knows its own name (ENV-9), and all are deleted together (LOCAL-9)."""
    run = run_spec("deployment.yaml")

    run.wait_until(lambda: len(run.logs("server")) == 2, "both replicas")
    run.interrupt()

    assert run.exit_code() == 130, run.output
    names = {pod["metadata"]["name"] for pod in run.objects("Pod")}
    assert {line.text for line in run.logs("server")} == {f"serving as {name}" for name in names}
    assert all(name.startswith("web-") for name in names) and len(names) == 2
    assert json.dumps(run.objects("Pod")).count('"exitCode": 0') == 2
