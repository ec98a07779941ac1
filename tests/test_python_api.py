"""The Python API, as the README shows it and beyond."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

import pytest
import trio

import minikubelet
from minikubelet.api.event import Event
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Pod, PodSpec
from minikubelet.kubelet.kubelet import Observer
from minikubelet.runtime.mounts import mount_support

ROOT = Path(__file__).parent.parent

SLEEPER = """
apiVersion: v1
kind: Pod
metadata: {name: sleeper}
spec:
  terminationGracePeriodSeconds: 20
  containers:
  - {name: main, image: busybox, command: [sh, -c, "trap 'exit 0' TERM; echo up; sleep 600 & wait"]}
"""


@pytest.fixture
def sleeper(tmp_path: Path) -> minikubelet.Manifest:
    file = tmp_path / "pod.yaml"
    file.write_text(SLEEPER)
    return minikubelet.load([str(file)])


def test_the_readmes_example_runs_and_prints_what_it_says():
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    ended = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert (ended.stdout, ended.stderr) == ("Running [True]\nSucceeded\n", "")


def test_every_public_name_is_there():
    assert all(getattr(minikubelet, name) for name in minikubelet.__all__)


def test_leaving_the_block_deletes_what_still_runs(sleeper):
    async def main() -> minikubelet.Kubelet:
        async with minikubelet.open_kubelet(sleeper) as kubelet:
            await kubelet.wait_for("default/sleeper", "Ready")
        return kubelet

    kubelet = trio.run(main)

    assert kubelet.is_finished
    assert not os.path.exists(kubelet.runtime.run_dir)


def test_a_cancelled_block_is_still_taken_down_in_order(sleeper):
    output: list[bytes] = []

    async def main() -> minikubelet.Kubelet:
        up = trio.Event()

        def show(pod: object, container: str, attempt: int, stream: str, chunk: bytes) -> None:
            output.append(chunk)
            up.set()

        with trio.CancelScope() as scope:
            async with minikubelet.open_kubelet(sleeper, output=show) as kubelet:
                await up.wait()
                scope.cancel()
                await trio.sleep_forever()
        return kubelet

    kubelet = trio.run(main)

    assert b"".join(output) == b"up\n"
    status = kubelet.pod("default/sleeper").status
    assert status is not None
    assert status.phase == "Succeeded"


def test_a_block_in_which_an_observer_fails_ends_with_its_error(sleeper):
    """Nobody would bring about the end that the block waits for."""

    class Clumsy(Observer):
        def event(self, event: Event) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        async with minikubelet.open_kubelet(sleeper) as kubelet:
            kubelet.observers.append(Clumsy())
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        trio.run(main)

    assert raised.group_contains(ZeroDivisionError)


@pytest.mark.parametrize("field", ["working_dir", "termination_message_path", "command"])
def test_a_NUL_in_a_pod_that_was_made_in_python_is_a_start_error(
    field: str, require: Callable[[bool, str], None]
) -> None:
    """No manifest can have one. Without namespaces nothing is made of a message's path."""
    if field == "termination_message_path":
        require(mount_support(Path(gettempdir())).kind != "none", "namespaces")
    fields = {
        "image": "busybox",
        "command": ("true",),
        field: ("true", "a\0b") if field == "command" else "/a\0b",
    }
    made = Pod(ObjectMeta("p"), PodSpec((Container("c", **fields),), restart_policy="Never"))

    async def main() -> Pod:
        async with minikubelet.open_kubelet() as kubelet:
            key = kubelet.add_pod(made)
            await kubelet.wait_until(lambda: kubelet.is_finished)
            return kubelet.pod(key)

    status = trio.run(main).status
    assert status is not None
    ended = status.container_statuses[0].state.terminated
    assert ended is not None
    assert (ended.exit_code, ended.reason) == (128, "StartError")
    assert (ended.message or "").endswith(": embedded null byte")


def test_what_cannot_run_here_is_refused_before_anything_starts(tmp_path):
    file = tmp_path / "pod.yaml"
    file.write_text(
        SLEEPER.replace("image: busybox, command", "image: example.invalid/x, args").replace("[sh, ", "[")
    )

    async def main() -> None:
        async with minikubelet.open_kubelet(minikubelet.load([str(file)])):
            raise AssertionError("not reached")

    with pytest.raises(minikubelet.ManifestError, match=r"spec\.containers\[0\]\.command"):
        trio.run(main)
