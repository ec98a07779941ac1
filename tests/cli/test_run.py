"""`minikubelet run` as a user starts it: a process with streams, signals and an exit code."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

LIMIT = 60  # seconds for anything that is waited for; all of it takes a few

FOREVER = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.05; done"


def pod(script: str, name: str = "web", policy: str = "Never", **spec: Any) -> str:
    """A Pod with one busybox container `main`, as text."""
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script]}
    body = {"restartPolicy": policy, "containers": [container], **spec}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body})


def job(script: str, **spec: Any) -> str:
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    body = {"template": template, **spec}
    return json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": body})


class Run:
    """A run under way. Its output is read as it comes."""

    def __init__(self, folder: Path, *arguments: str, **popen: Any) -> None:
        command = [sys.executable, "-m", "minikubelet", "run", *arguments]
        environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), **popen.pop("env", {})}
        popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
        self.process = subprocess.Popen(command, cwd=folder, env=environment, **popen)
        self.seen = b""

    def wait_for(self, text: str) -> None:
        """Read until `text` was printed."""
        assert self.process.stdout
        deadline = time.monotonic() + LIMIT
        while text.encode() not in self.seen:
            ready, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert data, f"never printed {text!r} but {self.seen.decode()!r}"
            self.seen += data

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, (self.seen + (out or b"")).decode(), (err or b"").decode()


Start = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(manifest, *arguments)`; what is still running at the end is killed, and that is a failure."""
    runs: list[Run] = []

    def begin(manifest: str, *arguments: str, **popen: Any) -> Run:
        (tmp_path / "manifest.yaml").write_text(manifest)
        runs.append(Run(tmp_path, "manifest.yaml", *arguments, **popen))
        return runs[-1]

    yield begin
    left = [run for run in runs if run.process.poll() is None]
    for run in left:
        run.process.kill()
        run.process.wait()
    assert not left


# ------------------------------------------------------------------------------------ to the end


def test_a_pod_that_succeeds(start: Start) -> None:
    """Exit code 0; log, events, table, and not a word on stderr."""
    code, out, err = start(pod("echo hello; printf world")).end()

    assert code == 0
    assert re.sub(r"\d+s$", "AGE", out, flags=re.M).splitlines() == [
        "web/main * Started",
        "web/main | hello",
        "web/main | world",
        "web/main * Exited: code 0",
        "web * Succeeded",
        "",
        "NAME   READY   STATUS      RESTARTS   AGE",
        "web    0/1     Completed   0          AGE",
    ]
    assert err == ""


def test_a_pod_that_fails_is_explained(start: Start) -> None:
    """Exit code 1; which container, how, the rule that decided, and its last words."""
    code, out, _ = start(pod("echo no database; kill -9 $$$$")).end()  # ENV-4: $$$$ is a $$

    assert code == 1
    assert (
        "Pod web failed: its main containers have ended, and not all with exit code 0 [PHASE-7]\n"
        "  main: exit code 137: killed by SIGKILL "
        "(not by minikubelet: by itself, by somebody, or by the kernel for want of memory)\n"
        "    not started again: the pod's restartPolicy is Never [RESTART-4]\n"
        "    | no database\n"
    ) in out


def test_a_job_that_gets_there_in_the_end_has_succeeded(start: Start, tmp_path: Path) -> None:
    """The failed pods of a Job do not count, the Job does."""
    manifest = job(f"mkdir {tmp_path}/once && exit 1; exit 0", backoffLimit=3)
    code, out, _ = start(manifest, "--backoff-base", "0.1", "--backoff-max", "0.1").end()

    assert "Complete" in out
    assert code == 0


def test_a_job_that_failed(start: Start) -> None:
    """Exit code 1."""
    code, out, _ = start(job("exit 3", backoffLimit=0)).end()

    assert code == 1
    assert re.search(r"^work +Failed +0/1", out, flags=re.M)


def test_manifests_may_come_from_stdin(start: Start, tmp_path: Path) -> None:
    """`-`."""
    (tmp_path / "in.yaml").write_text(pod("echo hello"))
    with open(tmp_path / "in.yaml") as stdin:
        run = Run(tmp_path, "-", stdin=stdin)
        code, out, _ = run.end()

    assert code == 0
    assert "web/main | hello" in out


def test_json_is_all_there_is_on_stdout(start: Start) -> None:
    """-o json: every line an object, the summary last, with the exit code."""
    code, out, err = start(pod("echo hello; exit 7"), "-o", "json").end()
    objects = [json.loads(line) for line in out.splitlines()]

    assert {next(iter(entry)) for entry in objects} == {"log", "event", "summary"}
    assert [entry["log"]["line"] for entry in objects if "log" in entry] == ["hello"]
    assert objects[-1]["summary"]["exitCode"] == code == 1
    assert objects[-1]["summary"]["ending"] == "finished"
    assert err == ""


def test_status_and_events_files(start: Start, tmp_path: Path) -> None:
    """The final objects and each event."""
    start(pod("exit 3"), "--status-file", "status.json", "--events-file", "events.jsonl").end()
    (item,) = json.loads((tmp_path / "status.json").read_text())["items"]
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]

    assert item["status"]["phase"] == "Failed"
    assert item["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert {"Created", "Started"} <= {event["reason"] for event in events}


def test_a_status_file_that_vanished_under_way_makes_the_run_a_failure(start: Start, tmp_path: Path) -> None:
    """Whoever asked for it would otherwise read an old one."""
    folder = tmp_path / "out"
    folder.mkdir()
    run = start(
        pod(f"echo up; while [ -d {folder} ]; do sleep 0.05; done"), "--status-file", "out/status.json"
    )
    run.wait_for("| up")
    folder.rmdir()
    code, _, err = run.end()

    assert code == 1
    assert "No such file or directory" in err


# ------------------------------------------------------------------------------------ before it begins


@pytest.mark.parametrize(
    ("manifest", "arguments", "said"),
    [
        (pod("exit", containerz=[]), (), "manifest.yaml:1:"),
        ("{", (), "manifest.yaml:"),
        (pod("exit"), ("missing.yaml",), "missing.yaml"),
        (pod("exit"), ("--status-file", "no/where"), "no/where"),
        (pod("exit"), ("--events-file", "no/where"), "no/where"),
        (pod("exit"), ("--image", "nonsense"), "--image"),
        (pod("exit"), ("--images", "missing-images.yaml"), "missing-images.yaml"),
        (
            '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},'
            ' "spec": {"containers": [{"name": "c", "image": "acme/thing:1"}]}}',
            (),
            "spec.containers[0]",
        ),
    ],
)
def test_bad_input_is_exit_code_2_and_nothing_is_started(
    start: Start, manifest: str, arguments: tuple[str, ...], said: str
) -> None:
    """Told on stderr, by file and field, without a traceback."""
    code, out, err = start(manifest, *arguments).end()

    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_places_that_cannot_be_written_are_all_told_before_anything_is_started(start: Start) -> None:
    """By the names they were given on the command line."""
    code, out, err = start(
        pod("echo hello"), "--log-dir", "/proc/l", "--status-file", "/no/s", "--events-file", "/no/e"
    ).end()

    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"{path}: cannot be written: No such file or directory" for path in ("/proc/l", "/no/s", "/no/e")
    ]


def test_jobs_that_their_ttl_removed_are_in_the_summary_and_the_status_file(
    start: Start, tmp_path: Path
) -> None:
    """JOB-28: nobody could read their outcome anywhere else."""
    code, out, _ = start(job("exit 3", ttlSecondsAfterFinished=0, backoffLimit=0), "--status-file", "s").end()

    items = json.loads((tmp_path / "s").read_text())["items"]
    assert [(item["kind"], item["status"].get("failed")) for item in items] == [("Pod", None), ("Job", 1)]
    assert "Job work failed: BackoffLimitExceeded" in out
    assert "main: exit code 3" in out
    assert code == 1


def test_faults_of_images_files_and_manifests_are_told_together(start: Start, tmp_path: Path) -> None:
    """One round of mending for both."""
    (tmp_path / "images.yaml").write_text("busybox: {entrypiont: [sh]}")
    code, _, err = start(pod("echo hello", policy="Sometimes"), "--image", "nonsense").end()

    assert code == 2
    assert [line.split(": ")[0] for line in err.splitlines()] == [
        "--image",
        "images.yaml:1:11",
        "manifest.yaml:1:92",
    ]


def test_every_unknown_image_is_told_at_once(start: Start) -> None:
    """Of every container of every pod and Job."""
    broken = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "NAME"}, "spec": {"containers": CS}}'
    containers = '[{"name": "a", "image": "acme/one"}, {"name": "b", "image": "acme/two"}]'
    text = "\n---\n".join(broken.replace("NAME", name).replace("CS", containers) for name in ("p", "q"))
    code, _, err = start(text).end()

    assert code == 2
    assert [err.count(image) > 0 for image in ("acme/one", "acme/two")] == [True, True]
    assert err.count("names no program") == 4


def test_a_terminal_without_unicode_is_no_reason_to_stop(start: Start) -> None:
    """What its encoding lacks is escaped."""
    code, out, err = start(pod("echo \u00e9"), "--dry-run", env={"PYTHONIOENCODING": "ascii"}).end()

    assert (code, err) == (0, "")
    assert "echo \\xe9" in out


def test_dry_run_starts_nothing(start: Start, tmp_path: Path) -> None:
    """It shows the words that would be run and who said so."""
    code, out, _ = start(pod(f"touch {tmp_path}/made"), "--dry-run").end()

    assert code == 0
    assert "container main" in out
    assert "built in: shell family" in out
    assert f"sh -c 'touch {tmp_path}/made'" in out
    assert not (tmp_path / "made").exists()


# ------------------------------------------------------------------------------------ cut short


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_deletes_the_pods_gracefully(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 128+n although the pod then succeeded; the status file is written all the same."""
    run = start(pod(FOREVER), "--status-file", "status.json")
    run.wait_for("| up")
    run.process.send_signal(number)
    code, out, _ = run.end()
    (item,) = json.loads((tmp_path / "status.json").read_text())["items"]

    assert code == 128 + number
    assert "web/main | bye" in out
    assert item["status"]["phase"] == "Succeeded"
    assert "deletionTimestamp" in item["metadata"]


def test_a_signal_at_any_moment_of_the_start_is_not_lost(start: Start) -> None:
    """Before the first process, while trio is being imported, after: always 143, never a hang."""
    for delay in (0.0, 0.1, 0.2, 0.3, 0.4):
        run = start(pod(FOREVER))
        try:
            run.process.wait(delay)
        except subprocess.TimeoutExpired:
            pass
        run.process.send_signal(signal.SIGTERM)
        code, _, err = run.end()

        assert code in (143, -15), err  # -15: it was not even reading its manifest


def test_signals_that_nobody_obeys_end_the_run_all_the_same() -> None:
    """Whatever keeps the supervisor busy: the third one interrupts it."""
    code = """
import os, signal
from minikubelet.cli.run import StopRequests
stops = StopRequests()
stops.install()
for _ in range(2):
    os.kill(os.getpid(), signal.SIGTERM)
try:
    os.kill(os.getpid(), signal.SIGTERM)
except KeyboardInterrupt:
    print(stops.received)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT)

    assert done.stdout == "[15, 15, 15]\n"


def test_a_second_signal_shortens_the_grace(start: Start) -> None:
    """30 s of grace, yet over as soon as the minimum is."""
    run = start(pod(STUBBORN))
    run.wait_for("| up")
    run.process.send_signal(signal.SIGTERM)
    run.wait_for("* Killing")
    began = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    code, out, err = run.end()

    assert code == 143  # the first one
    assert "code 137: killed by SIGKILL" in out
    assert time.monotonic() - began < 25
    assert "SIGINT: stopping at once" in err


def test_grace_period_replaces_the_pods_own(start: Start) -> None:
    """--grace-period: for a stubborn container the time from SIGTERM to SIGKILL."""
    run = start(pod(STUBBORN), "--grace-period", "1")
    run.wait_for("| up")
    began = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    code, _, _ = run.end()

    assert code == 143
    assert time.monotonic() - began < 25


def test_an_ignored_signal_stays_ignored(start: Start) -> None:
    """nohup: SIGHUP was ignored when we were started."""
    run = start(pod(FOREVER), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    run.wait_for("| up")
    run.process.send_signal(signal.SIGHUP)
    run.process.send_signal(signal.SIGTERM)
    code, _, _ = run.end()

    assert code == 143


def test_the_time_limit_deletes_and_tells_what_was_not_done(start: Start) -> None:
    """Exit code 124."""
    for seconds in (1, 4, 16):  # until it is enough for the container to be up
        code, out, err = start(pod(FOREVER), "--timeout", str(seconds)).end()
        if "web/main | up" in out:
            break

    assert code == 124
    assert "web/main | bye" in out
    assert err.splitlines() == [
        f"minikubelet: timeout: {seconds} s are over, stopping",
        "minikubelet: pod web is Running: main is running",
    ]


def test_a_time_limit_that_is_not_reached_changes_nothing(start: Start) -> None:
    """The run ends when its last container does."""
    code, _, err = start(pod("exit 0"), "--timeout", "60").end()

    assert (code, err) == (0, "")


def test_a_reader_who_has_seen_enough_ends_the_run(start: Start, tmp_path: Path) -> None:
    """`| head -1`: as SIGPIPE would, but gracefully."""
    said_bye = tmp_path / "bye"
    script = f"trap 'touch {said_bye}; exit 0' TERM; while :; do echo tick; sleep 0.05; done"
    run = start(pod(script))
    run.wait_for("tick")
    assert run.process.stdout
    run.process.stdout.close()
    run.process.wait(LIMIT)

    assert run.process.returncode == 141
    assert said_bye.exists()


def test_without_a_standard_output_the_run_goes_on(start: Start, tmp_path: Path) -> None:
    """`>&-`: nobody wanted to look; no file of ours becomes standard output."""
    manifest = pod("echo hello")
    run = start(manifest, "--events-file", "events", stdout=None, preexec_fn=lambda: os.close(1))
    code, _, err = run.end()

    assert (code, err) == (0, "")
    assert all(line.startswith("{") for line in (tmp_path / "events").read_text().splitlines())


# ------------------------------------------------------------------------------------ on a terminal


def on_a_terminal(folder: Path, script: str, **env: str) -> str:
    """Everything that a run of that pod shows on a terminal."""
    (folder / "manifest.yaml").write_text(pod(script))
    master, terminal = pty.openpty()
    env = {"TERM": "xterm", "NO_COLOR": "", **env}
    run = Run(folder, "manifest.yaml", stdout=terminal, stderr=terminal, env=env)
    os.close(terminal)
    shown = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # EIO: everybody has closed it
            break
        shown += data
    os.close(master)
    run.process.wait(LIMIT)

    assert run.process.returncode == 0
    return shown.decode()


def test_a_terminal_has_a_status_block_and_colours(tmp_path: Path) -> None:
    """The table of kubectl under the log while the pod runs."""
    shown = on_a_terminal(tmp_path, "echo hello; sleep 1")

    assert re.search(r"NAME +READY +STATUS +RESTARTS +AGE.*\r\n.*web +1/1 +Running", shown)
    assert "\x1b[2mweb/main * Started\x1b[0m" in shown
    assert shown.removesuffix("\x1b[?2026l").splitlines()[-1].split()[:3] == ["web", "0/1", "Completed"]


def test_no_color_is_respected(tmp_path: Path) -> None:
    """NO_COLOR: the block, but no colours."""
    shown = on_a_terminal(tmp_path, "printf '\\033[31mred\\033[0m\\n'; sleep 0.3", NO_COLOR="1")

    assert "NAME" in shown
    assert "web/main | red" in shown
    assert not re.search(r"\x1b\[[0-9;]*m", shown)


def test_a_dumb_terminal_is_only_written_to(tmp_path: Path) -> None:
    """No escape sequence at all."""
    assert "\x1b" not in on_a_terminal(tmp_path, "echo hello", TERM="dumb")


def test_the_garbage_collector_rests_until_the_first_containers_run_and_no_longer(tmp_path: Path) -> None:
    """It would look through all that is being loaded. A program that calls `main` keeps it in any case."""
    (tmp_path / "pod.json").write_text(pod("exit 0"))
    program = """
import gc, os, sys
from minikubelet.cli.main import command, main
from minikubelet.cli.run import Run
from minikubelet.kubelet.kubelet import Kubelet

settle, serve_at_first, told = Kubelet.settle, Run._serve_at_first, []
Kubelet.settle = lambda self: (told.append(gc.isenabled()), settle(self))
Run._serve_at_first = lambda self: (told.append(gc.isenabled()), serve_at_first(self))
main(["run", "pod.json"])
main(["run", "nowhere.json"])
as_library, told = {*told, gc.isenabled()}, []
os._exit = lambda code: None
sys.argv[1:] = ["run", "pod.json"]
command()
sys.exit(f"{as_library} {told[:2]}")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)

    assert done.stderr.splitlines()[-1] == "{True} [False, True]"
