"""What is measured: minikubelet itself, and the floors, the least code that could do the same.

A subject turns services into files and a command line; whatever is timed is outside of it and the same for
all. Peers, the products of others, are in `peers`.
"""

import json
import os
import shutil
import signal
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from minikubelet.bench.supervised import Service, Supervised
from minikubelet.bench.tools import PROGRAMS, Tools

GRACE = 30
"Seconds, where nothing depends on it."

Kind = Literal["ours", "floor", "peer"]


class Subject:
    """A supervisor, with the least delay it can be configured to wherever it has a delay of its own."""

    name: ClassVar[str]
    kind: ClassVar[Kind] = "peer"
    configuration: ClassVar[str]
    "What was chosen, for people."
    most: ClassVar[int] = 1000
    "So many services at a time at most: more would take it minutes."
    restarts: ClassVar[bool] = True
    kills: ClassVar[bool] = True
    "It can be told after how long who ignores SIGTERM is killed."
    stamps: ClassVar[bool] = True
    "Its log files can have the time of each line."
    rests: ClassVar[float] = 0.0
    "Seconds between the writing of its configuration and its start."

    def __init__(self, tools: Tools) -> None:
        self.tools = tools

    def version(self) -> str:
        return ""

    def prepare(self) -> None:
        """Once, before the first run. Raises `Failed` where it cannot be measured here."""

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        """Write its configuration; the command line to start it with, in the foreground."""
        raise NotImplementedError

    def child(self) -> Sequence[str]:
        """How the command lines of what it supervises begin."""
        return self.tools.child

    def environment(self, folder: Path) -> Mapping[str, str]:
        """Variables besides our own."""
        return {}

    def stop(self, run: Supervised) -> None:
        run.signal(signal.SIGTERM)

    def clean_up(self, folder: Path) -> None:
        """After a run: what is no process."""

    def log_files(self, folder: Path) -> list[Path]:
        return [path for path in (folder / "log").rglob("*") if path.is_file()]


# ------------------------------------------------------------------ minikubelet


class Minikubelet(Subject):
    name = "minikubelet"
    kind = "ours"
    configuration = "`minikubelet run --log-dir DIR pod.yaml`: one Pod with all the containers"

    def environment(self, folder: Path) -> Mapping[str, str]:
        """A place of its own, or it would clean up after the one that was killed before it."""
        return {"TMPDIR": str(folder)}

    def version(self) -> str:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("minikubelet")
        except PackageNotFoundError:
            return "not installed"

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        return self.command(folder, pod("bench", services, grace=grace))

    @staticmethod
    def command(folder: Path, manifest: str) -> list[str]:
        path = folder / "pod.yaml"
        path.write_text(manifest)
        return [*_our_program(), "run", "--log-dir", str(folder / "log"), str(path)]


class MinikubeletPods(Minikubelet):
    name = "minikubelet, pods"
    configuration = "the same, with one Pod for each container"

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        pods = (pod(service.name, [service], grace=grace) for service in services)
        return self.command(folder, "---\n".join(pods))


def pod(
    name: str,
    services: Sequence[Service],
    *,
    init: Sequence[Service] = (),
    restart_policy: str = "Always",
    grace: int = GRACE,
    fields: Mapping[str, object] | None = None,
    init_fields: Mapping[str, object] | None = None,
) -> str:
    """A manifest as people write them. `fields` are the containers' own, beside their command."""
    lines = [
        "apiVersion: v1",
        "kind: Pod",
        "metadata:",
        f"  name: {name}",
        "spec:",
        f"  restartPolicy: {restart_policy}",
        f"  terminationGracePeriodSeconds: {grace}",
    ]
    for key, members, more in (("initContainers", init, init_fields), ("containers", services, fields)):
        if members:
            lines.append(f"  {key}:")
        for service in members:
            lines += [
                f"  - name: {service.name}",
                "    image: bench",
                f"    command: {json.dumps(service.argv)}",
                *(f"    {field}: {json.dumps(value)}" for field, value in (more or {}).items()),
            ]
    return "\n".join(lines) + "\n"


def _our_program() -> list[str]:
    """The command of this installation, as a user starts it."""
    script = Path(sysconfig.get_path("scripts")) / "minikubelet"
    return [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-m", "minikubelet"]


# ------------------------------------------------------------------ floors


class Floor(Subject):
    kind = "floor"

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        (folder / "log").mkdir()
        rows = ("\t".join([str(folder / "log" / service.name), *service.argv]) + "\n" for service in services)
        config = folder / "config"
        config.write_text("".join(rows))
        return self.program(str(config), str(grace))

    def program(self, config: str, grace: str) -> list[str]:
        raise NotImplementedError


class FloorC(Floor):
    name = "floor-c"
    configuration = "C: posix_spawn, epoll, signalfd, one thread"

    def program(self, config: str, grace: str) -> list[str]:
        assert self.tools.floor is not None
        return [self.tools.floor, "run", config, grace]


class PythonFloor(Floor):
    mode: ClassVar[str]

    def program(self, config: str, grace: str) -> list[str]:
        return bare_floor(self.mode, config, grace)

    def environment(self, folder: Path) -> Mapping[str, str]:
        return BARE

    def version(self) -> str:
        return sys.version.split()[0]


class FloorLean(PythonFloor):
    name = "floor-lean"
    mode = "lean"
    configuration = "python -S: posix_spawn before `import trio`, then a pidfd and a task each"


class FloorTrio(PythonFloor):
    name = "floor-trio"
    mode = "trio"
    configuration = "python -S: trio as its manual has it, `open_process`"


class FloorPod(Subject):
    """How soon a program that reads manifests can have started something."""

    name = "floor-pod"
    kind = "floor"
    configuration = "python: reads the Pod (libyaml), posix_spawn, then `import trio`; no restarts, no logs"
    restarts = kills = stamps = False

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        (folder / "pod.yaml").write_text(pod("bench", services, grace=grace))
        return [sys.executable, str(PROGRAMS / "floor.py"), "pod", str(folder / "pod.yaml")]


class FloorCat(Subject):
    """The log's floor: nobody supervises, nobody stamps."""

    name = "floor-cat"
    kind = "floor"
    configuration = "sh -c 'child | cat > log'"
    most = 1
    restarts = kills = stamps = False

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        (folder / "log").mkdir()
        (service,) = services
        return ["sh", "-c", '"$@" | cat > "$0"', str(folder / "log" / service.name), *service.argv]


def bare_floor(mode: str, *arguments: str) -> list[str]:
    """A Python floor without `site`; it finds its libraries by `BARE`."""
    return [sys.executable, "-S", str(PROGRAMS / "floor.py"), mode, *arguments]


def _libraries() -> str:
    """Where trio is, without importing it."""
    from importlib.util import find_spec

    spec = find_spec("trio")
    assert spec is not None and spec.origin is not None
    return str(Path(spec.origin).parent.parent)


BARE = {"PYTHONPATH": _libraries()}

FLOORS: Sequence[type[Subject]] = (FloorC, FloorLean, FloorTrio, FloorPod, FloorCat)


def program_version(*argv: str) -> str:
    """The first number with a dot in what a program says of itself; empty if it says none."""
    import re
    import subprocess

    if shutil.which(argv[0]) is None:
        return ""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    found = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else ""
