"""Limits that the kernel keeps, where a cgroup is delegated to us: memory, cpu, and the pids of a pod.

Responsible for finding out what we may do in the cgroup v2 hierarchy (cgroups(7)), for one cgroup for each
instance that has limits, and for one around all instances of a pod that has. Refuses to know what becomes of
a container that ran out of memory. The one idea: whether limits can be kept is found out by making a cgroup
and moving a process into it, not by looking at versions; and a container without limits costs nothing.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from minikubelet.api.pod import IntOrString
from minikubelet.api.quantity import parse_quantity
from minikubelet.api.values import evolve, frozen
from minikubelet.runtime.proc import descendants, own_cgroup

CPU_PERIOD = 100_000
"Microseconds; `QuotaPeriod` of the kubelet, and its smallest quota is 1000 (`MilliCPUToQuota`)."
MINIMUM_QUOTA = 1000

ADVICE = "`systemd-run --scope -p Delegate=yes minikubelet run ...` (--user, unless as root) changes that"


# ------------------------------------------------------------------ what limits are


@frozen
class Limits:
    """`None`: not limited."""

    memory: int | None = None
    "Bytes."
    cpu: int | None = None
    "Thousandths of a core."
    pids: int | None = None
    "Processes and threads. No manifest can say so: it is a setting of nodes (`podPidsLimit`)."

    @classmethod
    def of(cls, limits: Mapping[str, IntOrString | float]) -> "Limits":
        """Those of `resources.limits` that a cgroup can keep."""
        memory, cpu = limits.get("memory"), limits.get("cpu")
        return cls(
            None if memory is None else parse_quantity(memory).units,
            None if cpu is None else parse_quantity(cpu).milli,
        )

    def settings(self) -> Iterator[tuple[str, str, str]]:
        """Controller, file and value."""
        if self.memory is not None:
            yield "memory", "memory.max", str(self.memory)
            yield "memory", "memory.swap.max", "0"  # as on a node without swap, or the limit would be none
            yield "memory", "memory.oom.group", "1"  # as the kubelet does: all of the container or nothing
        if self.cpu is not None:
            quota = max(self.cpu * CPU_PERIOD // 1000, MINIMUM_QUOTA)
            yield "cpu", "cpu.max", f"{quota} {CPU_PERIOD}"
        if self.pids is not None:
            yield "pids", "pids.max", str(self.pids)

    @property
    def controllers(self) -> frozenset[str]:
        return frozenset(controller for controller, _, _ in self.settings())


_OURS = ("pids", "memory", "cpu")
"The controllers that `Limits` can need."

_OPTIONAL = ("memory.swap.max", "memory.oom.group")
"Not there without swap accounting, or before Linux 4.19."


# ------------------------------------------------------------------ where they are kept


@frozen
class Delegation:
    """A cgroup in which we may make others; or, without `directory`, the reason why there is none."""

    directory: Path | None = None
    controllers: frozenset[str] = frozenset()
    reason: str = ""

    def lacks(self, limits: Limits) -> str:
        """Why some of the limits cannot be kept; empty if all can."""
        if not limits.controllers:
            return ""
        if self.directory is None:
            return self.reason
        missing = sorted(limits.controllers - self.controllers)
        return f"no {' or '.join(missing)} controller has been delegated to us" if missing else ""


@cache
def find_delegation() -> Delegation:
    """Find out by doing, once; we may be moved into a cgroup below our own for it."""
    try:
        return _find(Path("/proc/self"))
    except OSError as error:
        return Delegation(reason=f"{error.filename}: {error.strerror}")


def _find(proc: Path) -> Delegation:
    own = own_cgroup(str(proc))
    if own is None:
        return Delegation(reason="there is no cgroup v2 hierarchy")
    here = Path(own)
    best = Delegation(reason=f"no controller has been delegated to us in {here}")
    for directory in (here, *here.parents):
        trouble = _try_out(directory)
        if trouble:
            best = best if best.directory else evolve(best, reason=trouble)
            break
        controllers = _controllers(directory)
        if directory == here and not controllers:
            controllers = _make_room(directory)
        if controllers > best.controllers:
            best = Delegation(directory, controllers)
        if not (directory.parent / "cgroup.procs").exists():
            break
    return best


def _try_out(directory: Path) -> str:
    """Make a cgroup and move a process from here into it; why that cannot be done, or nothing."""
    trial = directory / f"minikubelet-{os.getpid()}-trial"
    try:
        trial.mkdir()
    except OSError as error:
        return f"{directory}: {error.strerror}"
    ready, let_go = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, ready, 0), (os.POSIX_SPAWN_CLOSE, let_go)]
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "read _"], {}, file_actions=actions)
    os.close(ready)
    try:
        (trial / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        return f"{directory}: {error.strerror}"
    finally:
        os.close(let_go)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        _remove(trial)
    return ""


def _controllers(directory: Path) -> frozenset[str]:
    """What cgroups below it can limit."""
    words = (directory / "cgroup.subtree_control").read_text().split()
    return frozenset(word.lstrip("+") for word in words)


def _make_room(directory: Path) -> frozenset[str]:
    """Pass controllers on, which a cgroup with processes in it may not: if they are ours alone, move them."""
    if (directory / "cgroup.procs").read_text().split() == [str(os.getpid())]:
        leaf = directory / "minikubelet"
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
    return _pass_on(directory)


def _pass_on(directory: Path) -> frozenset[str]:
    """Let cgroups below have what we can use of its controllers; those that they have then."""
    there = (directory / "cgroup.controllers").read_text().split()
    for controller in [name for name in _OURS if name in there]:
        try:
            (directory / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:
            continue  # others are in it: what can be passed on is seen below
    return _controllers(directory)


# ------------------------------------------------------------------ one container, one pod


@frozen
class Cgroup:
    """The cgroup of one instance, or of a pod."""

    directory: Path

    @classmethod
    def make(
        cls, delegation: Delegation, name: str, limits: Limits, *, even_if_idle: bool = False
    ) -> "Cgroup | None":
        """With the limits that can be kept; None if that is none of them, unless `even_if_idle`.

        Raises `OSError`.
        """
        settings = [one for one in limits.settings() if one[0] in delegation.controllers]
        if delegation.directory is None or not (settings or even_if_idle):
            return None
        made = cls(delegation.directory / name)
        made.directory.mkdir()
        for _, file, value in settings:
            try:
                (made.directory / file).write_text(value)
            except OSError:
                if file not in _OPTIONAL:
                    made.remove()
                    raise
        return made

    def pass_on(self) -> Delegation:
        """Of a pod, for the cgroups of its containers: processes may be in leaves only. Raises `OSError`."""
        return Delegation(self.directory, _pass_on(self.directory))

    def adopt(self, pid: int) -> None:
        """Move a process that has just been started, and what it may have started since. Raises `OSError`."""
        procs = self.directory / "cgroup.procs"
        moved = {pid}
        procs.write_text(str(pid))
        while left := descendants(pid).keys() - moved:
            for child in left:
                try:
                    procs.write_text(str(child))
                except ProcessLookupError:
                    pass
            moved |= left

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed in it."""
        return self._count("memory.events", "oom_kill") > 0

    @property
    def ran_out_of_pids(self) -> bool:
        """Whether a fork has failed in it or below, for it had as many processes as it may."""
        return self._count("pids.events", "max") > 0

    def _count(self, file: str, event: str) -> int:
        try:
            lines = (self.directory / file).read_text().splitlines()
        except OSError:  # not limited
            return 0
        counts = dict(line.split() for line in lines)
        return int(counts.get(event, 0))

    def remove(self) -> None:
        """To be called when the last process is gone."""
        _remove(self.directory)


def _remove(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        pass  # somebody whom we may not kill is still in it; an empty cgroup is no burden
