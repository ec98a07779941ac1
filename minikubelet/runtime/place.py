"""Where a container's processes run, and what it takes to start them there.

Responsible for choosing among the ways that there are: a plain process, one that enters a mount namespace
or changes its privileges first, one in a pod sandbox. The one idea: `Place.spawn` stands in for `spawn`,
for the container itself as for its hooks and exec probes (PROBE-22, HOOK-8), so that whoever starts
processes need not know where they go.
"""

import os
import signal
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from minikubelet.api.values import frozen
from minikubelet.runtime.environment import ContainerEnvironment
from minikubelet.runtime.images import Resolution
from minikubelet.runtime.security import Security
from minikubelet.runtime.spawn import Spawn, Spawned, User, spawn

if TYPE_CHECKING:
    from minikubelet.runtime.cgroups import Cgroup
    from minikubelet.runtime.mounts import MountNamespace
    from minikubelet.runtime.sandbox import Sandbox


@frozen
class Place:
    """The context that a container shares with its hooks and exec probes."""

    resolution: Resolution
    env: ContainerEnvironment
    working_dir: str
    security: Security
    namespace: "MountNamespace | None" = None
    sandbox: "Sandbox | None" = None
    cgroup: "Cgroup | None" = None

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdout: int,
        stderr: int,
        user: User | None = None,
        umask: int = 0o022,
        joins: int | None = None,
    ) -> Spawned:
        """`spawn` in this place; who the process is comes from `security`. Raises `OSError` (LOCAL-3).

        `joins` is the pidfd of the container's main process, for a command beside it.
        """
        process = self._spawn(argv, env=env, cwd=cwd, stdout=stdout, stderr=stderr, umask=umask, joins=joins)
        if self.cgroup is not None:
            try:
                self.cgroup.adopt(process.pid)
            except ProcessLookupError:
                pass  # it was quick
            except OSError:
                os.kill(process.pid, signal.SIGKILL)
                os.waitpid(process.pid, 0)
                os.close(process.pidfd)
                raise
        return process

    def _spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        stdout: int,
        stderr: int,
        umask: int,
        joins: int | None,
    ) -> Spawned:
        if self.sandbox is not None:
            start = partial(self.sandbox.spawn, env=env, stdout=stdout, stderr=stderr, umask=umask)
            if joins is not None:
                return start(argv, cwd=cwd, security=self.security, joins=joins)
            mounts = None if self.namespace is None else self.namespace.fd
            return start(argv, cwd=cwd, security=self.security, mounts=mounts)
        plain = partial(spawn, env=env, stdout=stdout, stderr=stderr, umask=umask)
        if not self._has_helper:
            return plain(argv, cwd=cwd, user=self.security.user)
        self._check_program(argv[0], cwd)
        if self.namespace is None:
            return plain([*self.security.setpriv, *argv], cwd=cwd)
        return plain(self.namespace.command(argv, cwd, self.security.setpriv), cwd="/")

    def spawn_beside(self, pidfd: int) -> Spawn:
        """For commands in the context of a running container, whose main process it is."""
        return partial(self.spawn, joins=pidfd)

    def was_executed(self, pid: int) -> bool:
        """False when a process that is dead, but not reaped, never became the program that was meant."""
        if not self._has_helper:
            return True
        from minikubelet.runtime.mounts import was_executed

        return was_executed(pid)

    @property
    def _has_helper(self) -> bool:
        """Whether another program comes first, and executes the one that is meant."""
        return self.sandbox is None and (self.namespace is not None or self.security.needs_setpriv)

    def _check_program(self, name: str, cwd: str) -> None:
        """Helpers could not tell what is wrong with it."""
        from minikubelet.runtime.mounts import find_program

        find = find_program if self.namespace is None else self.namespace.find_program
        try:
            find(name, self.env["PATH"], cwd)
        except OSError as error:
            raise OSError(error.errno, error.strerror or os.strerror(error.errno or 0), name) from error
