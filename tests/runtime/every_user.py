"""Tests of what depends on who we are: each runs in a child process, as root and as an unprivileged user."""

import ctypes
import functools
import grp  # noqa: F401 - the child may not be able to load it
import os
import pwd  # noqa: F401
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

NOBODY = 65534
PR_SET_DUMPABLE = 4

Test = Callable[[Path], None]
"""Gets a directory of its own."""


class Unsupported(Exception):
    """This machine does not let us."""


def as_every_user(test: Test) -> Callable[..., None]:
    return _in_child(test, ("root", "user"))


def as_root(test: Test) -> Callable[..., None]:
    return _in_child(test, ("root",))


def as_user(test: Test) -> Callable[..., None]:
    return _in_child(test, ("user",))


def _in_child(test: Test, kinds: Sequence[str]) -> Callable[..., None]:
    @pytest.mark.parametrize("kind", kinds)
    def wrapper(kind: str, require: Callable[[bool, str], None]) -> None:
        if kind == "root" and os.geteuid() != 0:
            pytest.skip("needs root")
        directory = Path(tempfile.mkdtemp(prefix="every-user-"))
        try:
            drops = kind == "user" and os.geteuid() == 0
            if drops:
                os.chown(directory, NOBODY, NOBODY)
            message = run_in_child(functools.partial(_run_test, test, directory), drops)
            require(not message.startswith("unsupported: "), message.removeprefix("unsupported: "))
            if message:
                pytest.fail(message, pytrace=False)
        finally:
            shutil.rmtree(directory)

    wrapper.__name__ = test.__name__
    wrapper.__doc__ = test.__doc__
    return wrapper


def _run_test(test: Test, directory: Path) -> str:
    try:
        test(directory)
    except Unsupported as missing:
        return f"unsupported: {missing}"
    return ""


def run_in_child(body: Callable[[], str], drop_privileges: bool) -> str:
    """What `body` returns, or the traceback of what it raised."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(100)  # a test that hangs fails
        try:
            if drop_privileges:
                _become_nobody()
            message = body()
        except BaseException:
            message = traceback.format_exc()
        os.write(writer, message.encode(errors="replace")[:60000])
        os._exit(0)
    os.close(writer)
    with open(reader) as output:
        message = output.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return f"ended by signal {os.WTERMSIG(status)} {message}"
    return message


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # As for a process that was this user's from its execve on.
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)
    os.environ["HOME"] = "/"
    _forget_what_root_found_out()
    if not os.access(sys.executable, os.X_OK):  # it lies in root's home
        sys.executable = "/usr/bin/python3"


def _forget_what_root_found_out() -> None:
    """Tests that ran before in this process have asked what the machine allows, and it is remembered."""
    modules = [module for name, module in sys.modules.items() if name.startswith("minikubelet.runtime.")]
    for found in (value for module in modules for value in vars(module).values()):
        if hasattr(found, "cache_clear"):
            found.cache_clear()
