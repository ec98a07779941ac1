"""The pytest plugin, as somebody else's test suite uses it."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
LIMIT = 60  # seconds for anything that is waited for; all of it takes a few

MANIFEST = """\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  restartPolicy: Never
  initContainers:
    - name: proxy
      image: busybox
      restartPolicy: Always
      command: [sh, -c, "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done"]
  containers:
    - name: main
      image: busybox
      command: [sh, -c, "%s"]
"""
ENDS = MANIFEST % "echo done"
STAYS = MANIFEST % "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], pytest.RunResult]:
    """Runs a test file beside `ends.yaml` and `stays.yaml` in a pytest of its own."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (pytester.path / "ends.yaml").write_text(ENDS)
    (pytester.path / "stays.yaml").write_text(STAYS)

    def run(text: str) -> pytest.RunResult:
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess("-p", "minikubelet.pytest_plugin", timeout=LIMIT)

    return run


def test_a_pod_runs_to_its_end(suite: Callable[[str], pytest.RunResult]) -> None:
    """Status, phase, exit code, events, logs and assertions, without a word of trio."""
    result = suite(
        """
        import pytest
        from minikubelet.assertions import ExpressionError, check

        def test_web(pod):
            result = pod("ends.yaml", timeout=30)

            assert result.phase == "Succeeded"
            assert result.exit_code == 0
            assert result.pod.metadata.name == "web"
            assert result.container("main").state.terminated.exit_code == 0
            assert result.container("web/proxy").restart_count == 0
            assert result.log("main") == "done\\n"
            assert "Started" in [event.reason for event in result.events]
            result.assert_that("main exited before proxy signalled", "no SIGKILL")
            assert check("pod web Succeeded", result.run)
            with pytest.raises(AssertionError, match="restarts of main: 0"):
                result.assert_that("restarts of main == 3")
            with pytest.raises(ExpressionError):
                result.assert_that("mian started")
            with pytest.raises(KeyError):
                result.log("nobody")
            with pytest.raises(ValueError):
                result.job
        """
    )

    result.assert_outcomes(passed=1)


def test_until_deletes_a_server(suite: Callable[[str], pytest.RunResult]) -> None:
    """TERM-4: gracefully."""
    result = suite(
        """
        def test_web(pod):
            result = pod("stays.yaml", until='main logged "ready"')

            assert result.exit_code == 0
            result.assert_that("main exited before proxy signalled", "no SIGKILL")
        """
    )

    result.assert_outcomes(passed=1)


def test_manifests_may_be_text_or_objects(suite: Callable[[str], pytest.RunResult]) -> None:
    """For what is short enough to stand in the test."""
    result = suite(
        """
        MAIN = {"name": "main", "image": "busybox", "command": ["sh", "-c", "exit 3"]}
        SPEC = {"restartPolicy": "Never", "containers": [MAIN]}

        def test_object(pod):
            manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": SPEC}
            result = pod(manifest)

            assert (result.phase, result.exit_code) == ("Failed", 1)

        def test_text(pod):
            text = open("ends.yaml").read()

            assert pod(text).phase == "Succeeded"
        """
    )

    result.assert_outcomes(passed=2)


def test_a_timeout_fails_the_test(suite: Callable[[str], pytest.RunResult]) -> None:
    """Loudly, and with what the run printed; the result can still be looked at."""
    result = suite(
        """
        import pytest
        from minikubelet.pytest_plugin import PodTimeout

        def once_it_is_up(pod):
            for seconds in (0.5, 4, 16):
                try:
                    pod("stays.yaml", timeout=seconds)
                except PodTimeout as timeout:
                    if "ready" in timeout.result.log("main"):
                        raise

        def test_fails(pod):
            once_it_is_up(pod)

        def test_looks(pod):
            with pytest.raises(PodTimeout) as caught:
                once_it_is_up(pod)
            assert caught.value.result.exit_code == 124
            caught.value.result.assert_that("main signalled")
        """
    )

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*PodTimeout: not over after * s*", "*web/main | ready*"])


def test_what_cannot_be_run_is_raised(suite: Callable[[str], pytest.RunResult]) -> None:
    """As exceptions with every fault."""
    result = suite(
        """
        import pytest
        from minikubelet.api.errors import ManifestError
        from minikubelet.assertions import ExpressionError

        def test_manifest(pod):
            with pytest.raises(ManifestError, match="nowhere.yaml: no such file"):
                pod("nowhere.yaml")

        def test_until(pod):
            with pytest.raises(ExpressionError, match="did you mean"):
                pod("ends.yaml", until="mian ready")

        def test_option(pod):
            with pytest.raises(ValueError):
                pod("ends.yaml", start_gate="never")
        """
    )

    result.assert_outcomes(passed=3)


def test_nothing_is_left_when_a_test_is_interrupted(suite: Callable[[str], pytest.RunResult]) -> None:
    """An exception out of nowhere, as Ctrl-C or a time limit of the suite raises it."""
    result = suite(
        """
        import os, signal, threading, time
        import pytest

        STAYS = open("stays.yaml").read()

        def test_web(pod, tmp_path):
            marker = tmp_path / "pid"
            text = STAYS.replace("echo ready", f"echo $$$$ >{marker}")

            def interrupt(number, frame):
                raise RuntimeError("enough")

            signal.signal(signal.SIGALRM, interrupt)

            def watch():
                while not (marker.exists() and marker.read_text().strip()):
                    time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGALRM)

            threading.Thread(target=watch, daemon=True).start()
            with pytest.raises(RuntimeError):
                pod(text)
            with pytest.raises(ProcessLookupError):
                os.kill(int(marker.read_text()), 0)
        """
    )

    result.assert_outcomes(passed=1)


def test_nothing_is_left_when_pytest_is_killed(pytester: pytest.Pytester) -> None:
    """The supervisor sees that nobody waits for it."""
    marker = pytester.path / "pid"
    (pytester.path / "stays.yaml").write_text(STAYS.replace("echo ready", f"echo $$$$ >{marker}"))
    pytester.makepyfile('def test_web(pod):\n    pod("stays.yaml")\n')
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "minikubelet.pytest_plugin", str(pytester.path)],
        cwd=pytester.path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(
            lambda: process.poll() is not None or (marker.exists() and marker.read_text().strip() != "")
        )
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    wait_until(lambda: not Path(f"/proc/{marker.read_text().strip()}").exists())


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_other_peoples_pytest_pays_nothing() -> None:
    """The plugin is imported by every pytest where minikubelet is installed."""
    code = (
        "import sys, pytest; before = set(sys.modules); import minikubelet.pytest_plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=LIMIT
    )

    assert found.stdout.strip() == "['minikubelet', 'minikubelet.pytest_plugin']"


def test_pytest_finds_the_plugin_by_itself() -> None:
    """The entry point names this module."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["pytest11"] == {"minikubelet": "minikubelet.pytest_plugin"}
