"""Nothing of a container is left when its end is told, nor of a command when its time is over (TERM-17).

What is left behind on purpose are daemons that hide: their parents are dead, their session, environment and
descriptors are their own. Each is a copy of sleep(1) under a name that is found in /proc whatever it does.
"""

import io
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from minikubelet.api.event import Event
from minikubelet.api.manifest import load
from minikubelet.kubelet.kubelet import Kubelet, Observer
from minikubelet.runtime.isolation import Wish
from minikubelet.runtime.sandbox import sandbox_trouble
from minikubelet.session import open_kubelet

PATIENCE = 60
HEADLESS = """
import ctypes, os, sys, threading, time

def live_on():
    while open(f"/proc/{os.getpid()}/stat").read().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    held = open(sys.argv[1], "wb", buffering=0)
    held.write(b"headless")
    while True:
        time.sleep(1)

threading.Thread(target=live_on).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)  # exit, of a thread
"""
NAMES = ("ends", "killed", "stubborn", "probed", "by-probe", "by-hook")


def hide(directory: Path, name: str) -> str:
    """Shell words that leave a daemon behind."""
    return f"(env -i setsid sh -c '({directory}/{name} 600 &) </dev/null >/dev/null 2>&1' &)"


def alive(directory: Path, name: str) -> list[int]:
    """Pids of the processes that execute a copy, zombies not counted."""
    program, found = os.fsencode(directory / name), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] == program:
                found.append(int(pid))
        except OSError:
            continue
    return found


def manifest(directory: Path) -> str:
    """One container for each way to end, and one whose probe and hook hide something."""
    wait = "sleep 600 & wait"
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: ends
    image: busybox
    command: [sh, -c, "{hide(directory, "ends")}; until [ -e {directory}/go ]; do sleep 0.05; done"]
  - name: killed
    image: busybox
    command: [sh, -c, "{hide(directory, "killed")}; exec {directory}/main 600"]
  - name: stubborn
    image: busybox
    command: [sh, -c, "trap '' TERM; {hide(directory, "stubborn")}; {wait}; {wait}; {wait}"]
  - name: probed
    image: busybox
    command: [sh, -c, "{hide(directory, "probed")}; exec sleep 600"]
    readinessProbe:
      exec: {{command: [sh, -c, "{hide(directory, "by-probe")}; sleep 600"]}}
      periodSeconds: 1000
    lifecycle: {{preStop: {{exec: {{command: [sh, -c, "{hide(directory, "by-hook")}; sleep 600"]}}}}}}
"""


class Witness(Observer):
    """Who was alive when the end of a container was told."""

    def __init__(self, kubelet: Kubelet, directory: Path) -> None:
        self.directory = directory
        self.left: dict[str, list[int]] = {}
        kubelet.observers.append(self)

    def event(self, event: Event) -> None:
        if event.reason == "Exited":
            name = (event.involved_object.field_path or "").partition("{")[2].rstrip("}")
            names = (name, "by-probe", "by-hook") if name == "probed" else (name,)
            self.left[name] = [pid for one in names for pid in alive(self.directory, one)]


async def until(condition: Callable[[], object], what: str) -> None:
    with trio.move_on_after(PATIENCE):
        while not condition():
            await trio.sleep(0.02)
        return
    pytest.fail(f"{what} did not happen")


@pytest.mark.parametrize("isolation", ["none", "pod"])
def test_TERM_17_whoever_hides_is_dead_when_the_end_is_told(
    tmp_path: Path, isolation: Wish, require: Callable[[bool, str], None]
) -> None:
    """A main process that ends, is killed, or outlives its grace; a probe and a hook whose time is over.

    What the probe hid is gone while the container lives on, and what that has hidden itself is not.
    """
    if isolation == "pod":
        trouble = sandbox_trouble()
        require(not trouble, f"namespaces ({trouble})")
    sleep = shutil.which("sleep")
    assert sleep is not None
    for name in (*NAMES, "main"):
        shutil.copy(sleep, tmp_path / name)

    async def main() -> dict[str, list[int]]:
        loaded = load(["-"], stdin=io.StringIO(manifest(tmp_path)))
        async with open_kubelet(loaded, isolation=isolation) as kubelet:
            witness = Witness(kubelet, tmp_path)
            for name in ("ends", "killed", "stubborn", "probed", "by-probe"):
                await until(lambda name=name: alive(tmp_path, name), f"{name} hides")
            (main_of_killed,) = alive(tmp_path, "main")
            os.kill(main_of_killed, signal.SIGKILL)
            (tmp_path / "go").touch()
            await until(lambda: {"ends", "killed"} <= witness.left.keys(), "the first two ends")
            await until(lambda: not alive(tmp_path, "by-probe"), "the end of the probe")
            assert alive(tmp_path, "probed")
            kubelet.delete_pod("default/p")
            await until(lambda: alive(tmp_path, "by-hook"), "the hook hides")
        return witness.left

    left = trio.run(main)

    assert left == {"ends": [], "killed": [], "stubborn": [], "probed": []}
    assert [name for name in NAMES if alive(tmp_path, name)] == []


def test_TERM_17_a_daemon_whose_first_thread_is_gone_is_dead_when_the_end_is_told(tmp_path: Path) -> None:
    """/proc shows it as a zombie, so it was taken for dead while its other threads lived on."""
    held = tmp_path / "held"
    os.mkfifo(held)
    (tmp_path / "headless.py").write_text(HEADLESS)
    daemon = f"(setsid {sys.executable} {tmp_path}/headless.py {held} </dev/null >/dev/null 2>&1 &)"
    script = f"{daemon}; until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    pod = f"""
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  restartPolicy: Never
  containers:
  - {{name: main, image: busybox, command: [sh, -c, "{script}"]}}
"""
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)

    class Reader(Observer):
        told: bytes | None = None
        "What a read gives when the end is told: nothing, for nobody can write any more."

        def event(self, event: Event) -> None:
            if event.reason == "Exited":
                try:
                    self.told = os.read(reader, 100)
                except BlockingIOError:
                    self.told = b"somebody lives"

    def has_begun() -> bool:
        try:
            return os.read(reader, 100) == b"headless"
        except BlockingIOError:
            return False

    async def main() -> bytes | None:
        async with open_kubelet(load(["-"], stdin=io.StringIO(pod)), isolation="none") as kubelet:
            kubelet.observers.append(witness := Reader())
            await until(has_begun, "the daemon goes on without its first thread")
            (tmp_path / "go").touch()
            await until(lambda: witness.told is not None, "the end")
        return witness.told

    try:
        assert trio.run(main) == b""
    finally:
        os.close(reader)
