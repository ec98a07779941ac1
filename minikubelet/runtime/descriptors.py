"""Room for descriptors: a thousand containers need more of them than the customary 1024.

Our own limit is raised only when containers need it, and what we start has the limit that we were started
with: programs size their tables by it, and select(2) ends at 1024. The one idea: the lowest free number is
given to whatever is opened next, so a number tells how many are open, and nothing has to be counted.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

RESERVE = 64
"""Kept free of containers: for what their end takes (to read /proc, and a pidfd for each orphan), for files,
probes and imports."""


class _Raised(NamedTuple):
    """Our soft limit of open files is the hard one now, see getrlimit(2)."""

    given: tuple[int, int]
    "Soft and hard, when we were started."
    null: int
    low: tuple[int, int]
    "Numbers below the limit that we were given, for what a child is to have as its stdout and stderr."


_raised: _Raised | None = None


def make_room(latest: int) -> None:
    """See to it that `RESERVE` descriptors can still be opened after this one, which is the latest.

    Raises `OSError` (EMFILE) when they cannot.
    """
    if latest + RESERVE < os.sysconf("SC_OPEN_MAX"):
        return
    import resource  # needed by few

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        global _raised
        null, *low = (os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC) for _ in range(3))
        _raised = _Raised((soft, hard), null, (low[0], low[1]))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if latest + RESERVE >= hard:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@contextmanager
def given_limit(stdout: int, stderr: int) -> Iterator[tuple[int, int]]:
    """While it lasts a child is started with the limit that we were given; nothing can be opened meanwhile.

    Gives what to pass for `stdout` and `stderr`: posix_spawn(3) refuses numbers that are beyond the limit.
    """
    if _raised is None:
        yield stdout, stderr
        return
    import resource

    _point(_raised.low, (stdout, stderr))
    resource.setrlimit(resource.RLIMIT_NOFILE, _raised.given)
    try:
        yield _raised.low
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_raised.given[1], _raised.given[1]))
        _point(_raised.low, (_raised.null, _raised.null))  # or a pipe would never end


def give_limit(pid: int) -> None:
    """The same for a child that has started nothing yet."""
    if _raised is not None:
        import resource

        resource.prlimit(pid, resource.RLIMIT_NOFILE, _raised.given)


def _point(numbers: Sequence[int], fds: Sequence[int]) -> None:
    for number, fd in zip(numbers, fds, strict=True):
        os.dup2(fd, number, inheritable=False)
