"""What is left when minikubelet itself is killed: nothing (LOCAL-9)."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE = 20

# The container, a child that cleans its environment, and a daemon in a session of its own.
SCRIPT = """
env -i sleep 600 &
setsid sh -c 'echo $$ >{dir}/daemon; exec sleep 600' &
echo $! >{dir}/child; echo $$ >{dir}/main; mkfifo {dir}/never; echo up; read x <{dir}/never
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  containers:
  - name: main
    image: busybox
    command: [sh, {dir}/script]
{mounts}
"""
MOUNTS = """
    volumeMounts: [{{name: v, mountPath: {dir}/made/for/it}}]
  volumes: [{{name: v, emptyDir: {{}}}}]
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    readable, _, _ = select.select([pidfd], [], [], PATIENCE)
    os.close(pidfd)
    assert readable, f"process {pid} lives on"


def guardian_of(pid: int) -> int:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"guardian.py" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise AssertionError("no guardian")


@pytest.mark.parametrize("mounts", [False, True], ids=["plain", "mounts"])
def test_LOCAL_9_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path, mounts: bool, require) -> None:
    """No process of a pod, no mount point and no directory of the run."""
    if mounts:
        from minikubelet.runtime.mounts import mount_support

        require(mount_support(tmp_path).kind != "none", "namespaces")
    runs = tmp_path / "runs"
    runs.mkdir()
    (tmp_path / "script").write_text(SCRIPT.format(dir=tmp_path))
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(POD.format(dir=tmp_path, mounts=(MOUNTS if mounts else "").format(dir=tmp_path)))
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "minikubelet", "run", str(manifest)],
        env={**os.environ, "TMPDIR": str(runs)},
        stdout=subprocess.PIPE,
    )
    assert supervisor.stdout is not None
    while b"| up" not in (line := supervisor.stdout.readline()):
        assert line, "it never came up"
    pids = [int((tmp_path / name).read_text()) for name in ("main", "child")]
    guardian = guardian_of(supervisor.pid)
    assert all(map(is_alive, pids))

    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait(PATIENCE)
    supervisor.stdout.close()

    for pid in (*pids, int((tmp_path / "daemon").read_text()), guardian):
        wait_until_gone(pid)
    assert list(runs.iterdir()) == []
    assert not (tmp_path / "made").exists()


def test_a_run_that_ends_in_order_leaves_no_guardian(tmp_path: Path) -> None:
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(POD.format(dir=tmp_path, mounts="  restartPolicy: Never"))
    (tmp_path / "script").write_text("exit 0")

    ended = subprocess.run(
        [sys.executable, "-m", "minikubelet", "run", str(manifest)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith("minikubelet-")]
    guardians = [
        entry
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and str(tmp_path).encode() in _command_line(entry)
    ]
    assert guardians == []


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
