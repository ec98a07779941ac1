"""A mark on every process of a run that does not come off: which run it is of, and of which container.

Responsible for two numbers on what is spawned, and for reading them off any process. Refuses to know what is
done about it. The one idea: Linux keeps the limits of file locks and of resident memory, and hands them on to
every child, but heeds neither of them (setrlimit(2)). So they have room for two numbers, as soft limits that
are huge instead of infinite. A session of its own, a cleaned environment, closed descriptors, another user
do not take them off; only who sets these very limits does. They cost a microsecond, and no privilege.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

RUN, CONTAINER = 10, resource.RLIMIT_RSS
"The limits: RLIMIT_LOCKS, which the standard library has no name for, says the run, RLIMIT_RSS the rest."

_HUGE = 1 << 62
"Whatever a limit is compared with, it is as good as infinite."

_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Brand:
    """The brand of a run. `run` is its number; 0 where there can be none, because somebody limits us.

    In a container of another minikubelet the brand is that one's, and stays so: for us there is none.
    """

    def __init__(self) -> None:
        is_free = all(resource.getrlimit(limit) == _UNLIMITED for limit in (RUN, CONTAINER))
        self.run = _HUGE | int.from_bytes(os.urandom(7), "big") if is_free else 0

    @contextmanager
    def on(self, mark: int) -> Iterator[None]:
        """What this process spawns within the block, by whatever thread, has the mark, below 2**62."""
        if self.run:
            _set(self.run, _HUGE | mark)
        try:
            yield
        finally:
            if self.run:
                _set(*_UNLIMITED)

    def read(self, pid: int) -> int:
        """The mark of a process of this run; 0 for others, those we may not look at, and the dead."""
        try:
            if not self.run or resource.prlimit(pid, RUN)[0] != self.run:
                return 0
            return resource.prlimit(pid, CONTAINER)[0] & ~_HUGE
        except (PermissionError, ProcessLookupError):
            return 0


def pass_on(pid: int) -> None:
    """Within a block of `Brand.on`: what the process `pid` makes from now on has the mark, too, if it may."""
    try:
        for limit in (RUN, CONTAINER):
            resource.prlimit(pid, limit, resource.getrlimit(limit))
    except (PermissionError, ProcessLookupError):
        pass


def _set(run: int, mark: int) -> None:
    resource.setrlimit(RUN, (run, resource.RLIM_INFINITY))
    resource.setrlimit(CONTAINER, (mark, resource.RLIM_INFINITY))
