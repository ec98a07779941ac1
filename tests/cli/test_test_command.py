"""`minikubelet test` as a user starts it: real processes, a report, and an exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

LIMIT = 60  # seconds for anything that is waited for; all of it takes a few

MAIN = "echo accepting films; sleep 0.3"
PROXY = "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done"
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.02; done"


def manifest(main: str = MAIN, proxy: str = PROXY, **spec: object) -> str:
    """A pod `web` with a sidecar `proxy` and a container `main`."""

    def container(name: str, script: str, **fields: object) -> dict[str, object]:
        return {"name": name, "image": "busybox", "command": ["sh", "-c", script], **fields}

    body = {
        "restartPolicy": "Never",
        "initContainers": [container("proxy", proxy, restartPolicy="Always")],
        "containers": [container("main", main)],
        **spec,
    }
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": body})


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "minikubelet", "test", *arguments]


def run(folder: Path, text: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `minikubelet test web.yaml ARGUMENTS...`."""
    (folder / "web.yaml").write_text(text)
    process = subprocess.run(
        command(folder, "web.yaml", *arguments),
        cwd=folder,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    return process.returncode, process.stdout, process.stderr


def until_up(folder: Path, proxy: str = PROXY) -> dict[str, str]:
    """Scripts of a main container that waits for its sidecar's first word, and of that."""
    main = f"echo accepting films; until [ -e {folder}/up ]; do sleep 0.02; done"
    return {"main": main, "proxy": proxy.replace("echo up;", f"echo up; touch {folder}/up;")}


def asserted(*assertions: str) -> list[str]:
    return [word for assertion in assertions for word in ("--assert", assertion)]


# ------------------------------------------------------------------------------------ holds, or not


def test_what_holds_is_ok(tmp_path: Path) -> None:
    """Exit code 0, a line each, and nothing of the run itself."""
    assertions = (
        "proxy started before main",
        "main exited before proxy signalled",
        "pod web Succeeded",
        "restarts of main == 0",
        "shutdown of web < 10s",
        "main ready within 10s after main started",
        "no SIGKILL",
        'log of main contains "films"',
        'proxy logged "up"',
        "event BackOff never happened",
    )
    code, out, err = run(tmp_path, manifest(**until_up(tmp_path)), *asserted(*assertions))

    expected = "".join(f"ok      {one}\n" for one in assertions)
    assert (code, out, err) == (0, f"{expected}\n10 assertions, none failed\n", "")


def test_what_does_not_hold_is_shown_with_its_moments(tmp_path: Path) -> None:
    """Exit code 1; how the run ended comes with it."""
    code, out, _ = run(
        tmp_path,
        manifest(main="exit 3"),
        *asserted("pod web Succeeded", "proxy signalled before main exited"),
    )

    assert code == 1
    assert "FAILED  pod web Succeeded\n        pod web is Failed, " in out
    assert "main exited (code 3) at " in out
    assert "Pod web failed: its main containers have ended, " in out
    assert "\n  main: exit code 3\n" in out
    assert out.endswith("2 assertions, 2 failed\n")


def test_the_pods_may_fail_if_that_is_what_is_asserted(tmp_path: Path) -> None:
    """Only assertions count."""
    assert run(tmp_path, manifest(main="exit 3"), *asserted("exit code of main == 3"))[0] == 0


def test_a_kill_that_was_needed_is_seen(tmp_path: Path) -> None:
    """TERM-2: two seconds after a signal that was ignored."""
    code, out, _ = run(
        tmp_path,
        manifest(**until_up(tmp_path, STUBBORN), terminationGracePeriodSeconds=1),
        *asserted("no SIGKILL", "proxy killed at least 1900ms after proxy signalled"),
    )

    assert code == 1
    assert "        proxy was sent SIGKILL at " in out
    assert "1 failed" in out


# ------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (asserted("prxy started before main"), 'did you mean "proxy"?\n  prxy started before main\n  ^\n'),
        (asserted("main startd"), "\n  main startd\n       ^\n"),
        (["--until", "main started before proxy", *asserted("no SIGKILL")], "--until: expected the end"),
        (["--until", "nobody ready", *asserted("no SIGKILL")], "--until: there is no container"),
        (["--assertions", "nowhere.yaml"], "nowhere.yaml: no such file"),
        ([], "nothing to check"),
        ([*asserted("no SIGKILL"), "--output", "no/such/folder"], "cannot be written"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    """Exit code 2."""
    code, out, err = run(tmp_path, manifest(main=f"touch {tmp_path}/ran"), *arguments)

    assert (code, out) == (2, "")
    assert said in err
    assert not (tmp_path / "ran").exists()


def test_all_faults_of_all_assertions_are_told_at_once(tmp_path: Path) -> None:
    """Those of files with their place."""
    (tmp_path / "a.yaml").write_text("- main startd\n- name: x\n  assert: proxy exitd\n")
    code, _, err = run(tmp_path, manifest(), *asserted("main redy"), "--assertions", "a.yaml")

    assert code == 2
    assert [line.split(": ")[0] for line in err.splitlines() if not line.startswith(" ")] == [
        "--assert",
        "a.yaml:1:3",
        "a.yaml:3:11",
    ]


# ------------------------------------------------------------------------------------ options


def test_until_deletes_what_would_run_for_ever(tmp_path: Path) -> None:
    """A server's shutdown can be tested; that it was deleted is no failure."""
    code, out, err = run(
        tmp_path,
        manifest(main=PROXY),
        *("--until", 'main logged "up"'),
        *asserted("main signalled", "main exited before proxy signalled", "no SIGKILL"),
    )

    assert (code, err) == (0, "")
    assert "3 assertions, none failed" in out


def test_until_may_be_a_time(tmp_path: Path) -> None:
    """Seconds from the start."""
    code, _, _ = run(
        tmp_path, manifest(main=PROXY), "--until", "400ms", *asserted("pod web stopping within 20s")
    )

    assert code == 0


def test_until_that_never_comes_is_told(tmp_path: Path) -> None:
    """It is not an error of its own."""
    code, _, err = run(tmp_path, manifest(), "--until", "main killed", *asserted("no SIGKILL"))

    assert code == 0
    assert "--until: main killed never came" in err


def test_a_timeout_is_exit_code_124_and_still_reported(tmp_path: Path) -> None:
    """As with run; it outweighs what the assertions came to."""
    code, out, err = run(
        tmp_path, manifest(main=PROXY), "--timeout", "0.5", *asserted("main started", "main never exited")
    )

    assert code == 124
    assert out.endswith("2 assertions, 1 failed; the run was cut short: its time was over\n")
    assert "timeout: 0.5 s are over" in err


def test_a_signal_is_exit_code_128_and_more(tmp_path: Path) -> None:
    """128+n."""
    (tmp_path / "web.yaml").write_text(manifest(main=PROXY))
    process = subprocess.Popen(
        command(tmp_path, "web.yaml", "-v", "--format", "tap", *asserted("main started")),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if line.startswith("web/main | up"):
                break
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=LIMIT)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()

    assert process.returncode == 143
    assert out == (
        "TAP version 14\n1..1\nok 1 - main started\nBail out! The run was cut short: stopped by SIGTERM\n"
    )


def test_a_report_in_a_file_leaves_text_on_stdout(tmp_path: Path) -> None:
    """The file is for the CI system, the text for whoever reads its log."""
    (tmp_path / "a.yaml").write_text("- name: it ends well\n  assert: pod web Succeeded\n")
    code, out, _ = run(
        tmp_path, manifest(), "--assertions", "a.yaml", "--format", "junit", "--output", "report.xml"
    )

    assert (code, out) == (0, "ok      it ends well\n\n1 assertion, none failed\n")
    root = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert [case.attrib["name"] for case in root.iter("testcase")] == ["it ends well"]


def test_verbose_shows_the_run_on_stderr(tmp_path: Path) -> None:
    """So that stdout stays a report."""
    code, out, err = run(tmp_path, manifest(), "-v", "--format", "tap", *asserted("no SIGKILL"))

    assert (code, out) == (0, "TAP version 14\n1..1\nok 1 - no SIGKILL\n")
    assert "web/main | accepting films\n" in err
    assert "Killing: Stopping container proxy" in err
    assert "Signalled" not in err


def test_the_grammar_is_printed_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    """Where a user finds it."""
    from minikubelet.cli.main import main

    assert main(["test", "--grammar"]) == 0
    assert capsys.readouterr().out.startswith("assertion = happening | order")


def test_run_options_are_those_of_run(tmp_path: Path) -> None:
    """Back-off, gate and log directory reach the kubelet."""
    once = f"mkdir {tmp_path}/once && exit 1; exit 0"
    code, out, _ = run(
        tmp_path,
        manifest(main=once, restartPolicy="OnFailure"),
        *("--backoff-base", "0.1", "--backoff-max", "0.1", "--log-dir", "logs", "--start-gate", "started"),
        *asserted("restarts of main == 1", "main 2nd started within 5s"),
    )

    assert code == 0, out
    assert list((tmp_path / "logs").glob("*/main/*.log"))


def test_a_job_and_its_pods_are_known_by_its_name(tmp_path: Path) -> None:
    """Before its pods exist, and after."""
    pod = json.loads(manifest())
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work"},
        "spec": {"template": {"spec": pod["spec"]}},
    }
    code, out, _ = run(
        tmp_path,
        json.dumps(job),
        *asserted("job work Complete", "pod work Succeeded", "work/proxy started before work/main"),
    )

    assert code == 0, out
