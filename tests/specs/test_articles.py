"""The manifests of the two articles, and the two ways to get the second one wrong."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from spec_run import RunSpec, SpecRun, condition, container_status


def test_the_sidecar_of_the_first_article_lives_exactly_as_long_as_it_is_needed(
    run_spec: RunSpec, ended: Callable[[str], SpecRun]
) -> None:
    """It starts before the main task, and is stopped within 50 ms after the task exits (SIDE-2, SIDE-21)."""
    took = time_to_stop_the_sidecar(ended("native-sidecar-job.yaml"))
    for _ in range(2):  # this machine may stand still for as long; minikubelet may not, each time
        if took >= 0.05:
            took = time_to_stop_the_sidecar(run_spec("native-sidecar-job.yaml"))

    assert took < 0.05


def time_to_stop_the_sidecar(run: SpecRun) -> float:
    """Seconds, in a run in which everything came in its order."""
    assert run.exit_code() == 0, run.output
    (shipper_started,) = run.events("Started", "log-shipper")
    (task_started,) = run.events("Started", "main-task")
    (task_exited,) = run.events("Exited", "main-task")
    (shipper_stopped,) = run.events("Killing", "log-shipper")
    (shipper_exited,) = run.events("Exited", "log-shipper")
    moments = [
        event["monotonicSeconds"]
        for event in (shipper_started, task_started, task_exited, shipper_stopped, shipper_exited)
    ]
    assert moments == sorted(moments)
    return float(shipper_stopped["monotonicSeconds"] - task_exited["monotonicSeconds"])


def test_the_first_article_s_pod_and_job_complete(ended: Callable[[str], SpecRun]) -> None:
    """Exit codes of sidecars do not count (SIDE-17), the Job completes with the pod (JOB-16, JOB-30)."""
    run = ended("native-sidecar-job.yaml")
    pod, job = run.pod(), run.job()
    assert pod["status"]["phase"] == "Succeeded"
    assert container_status(pod, "main-task")["state"]["terminated"]["reason"] == "Completed"
    assert container_status(pod, "log-shipper")["state"]["terminated"]["exitCode"] == 143
    assert container_status(pod, "log-shipper")["restartCount"] == 0
    assert condition(job, "Complete")["status"] == "True"
    assert job["status"]["succeeded"] == 1
    assert re.search(r"^sidecar-job-\w{5} +0/2 +Completed +0 ", run.output, re.MULTILINE), run.output
    assert re.search(r"^sidecar-job +Complete +1/1 ", run.output, re.MULTILINE), run.output
    # Which of them writes first is the kernel's affair: the main waits for the other's start, not its word.
    lines = [line.text for line in run.logs()]
    assert lines.index("task done") < len(lines) - 1  # the other logs on while it runs
    assert run.log_text("log-shipper").count("shipping logs...") >= 3  # at 0, 2 and 4 of five seconds


# ------------------------------------------------------------------ with a real PostgreSQL


@pytest.fixture
def run_with_postgresql(
    run_spec: RunSpec, require: Callable[[bool, str], None], free_port: Callable[[int], None]
) -> RunSpec:
    """`run_spec`, on a machine that has the server and its clients, and nothing on its port."""
    server = shutil.which("initdb") or next(Path("/usr/lib/postgresql").glob("*/bin/initdb"), None)
    clients = shutil.which("psql") and shutil.which("pg_isready")
    require(bool(server and clients), "PostgreSQL")
    free_port(5432)
    return run_spec


def assert_database_was_closed(run: SpecRun) -> None:
    """The server's last word: it was shut down, not killed."""
    assert run.logs("side-car")[-1].text.endswith("LOG:  database system is shut down"), run.log_text(
        "side-car"
    )


def test_the_second_article_s_job_makes_its_table_in_a_real_database(run_with_postgresql: RunSpec) -> None:
    """The main finds the server, makes the table and lists it; then the server is told to stop (SIDE-21)."""
    run = run_with_postgresql("cy-job.yaml")

    assert run.exit_code() == 0, run.output
    text = run.log_text("main-container")
    assert "CREATE TABLE" in text
    assert re.search(r"^ public +\| films$", text, re.MULTILINE), text
    assert_database_was_closed(run)
    pod = run.pod()
    assert pod["status"]["phase"] == "Succeeded"
    assert container_status(pod, "side-car")["state"]["terminated"]["exitCode"] == 0
    assert condition(run.job(), "Complete")["status"] == "True"


def test_a_server_as_plain_init_container_makes_the_main_wait_for_ever(run_with_postgresql: RunSpec) -> None:
    """INIT-1, PRINT-3: the pod shows `Init:0/1`, and Ctrl-C ends everything well (TERM-7)."""
    run = run_with_postgresql("cy-job-sidecar-as-init.yaml", terminal=True)

    run.wait_for_output(r"my-job-init-\w{5} +0/1 +Init:0/1 +0 ")
    run.wait_for_log("side-car", "database system is ready to accept connections")
    run.interrupt()

    assert run.exit_code() == 130, run.output
    assert_database_was_closed(run)
    assert not run.events("Started", "main-container")
    assert container_status(run.pod(), "main-container")["state"]["waiting"]["reason"] == "PodInitializing"
    assert condition(run.job(), "Complete")["status"] != "True"


def test_a_server_as_second_main_container_keeps_the_job_from_ending(run_with_postgresql: RunSpec) -> None:
    """MAIN-2, PRINT-5: the main is done, the pod shows `NotReady`, and Ctrl-C ends everything well."""
    run = run_with_postgresql("cy-job-sidecar-as-container.yaml", terminal=True)

    run.wait_for_event("Exited", "main-container")
    run.wait_for_output(r"my-job-container-\w{5} +1/2 +NotReady +0 ")
    run.interrupt()

    assert run.exit_code() == 130, run.output
    assert re.search(r"^ public +\| films$", run.log_text("main-container"), re.MULTILINE)
    assert_database_was_closed(run)
    assert container_status(run.pod(), "main-container")["state"]["terminated"]["exitCode"] == 0
    assert condition(run.job(), "Complete")["status"] != "True"
