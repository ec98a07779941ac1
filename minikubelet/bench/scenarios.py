"""How figures are taken: what is made to happen to a subject, and what is read off.

A scenario is the same for every subject it applies to, and gives samples of one or more metrics. It knows
services, marks and usage; how a supervisor is told of its services is the subject's affair.
"""

import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import ClassVar

from minikubelet.bench.metrics import PROBE_KINDS
from minikubelet.bench.servers import serve_probes
from minikubelet.bench.subjects import (
    GRACE,
    FloorC,
    FloorCat,
    FloorLean,
    FloorPod,
    FloorTrio,
    Minikubelet,
    MinikubeletPods,
    Subject,
    bare_floor,
    pod,
)
from minikubelet.bench.supervised import (
    Failed,
    Mark,
    Service,
    Supervised,
    bystander,
    memory,
    supervised,
    usage,
)

Figures = dict[str, list[float]]
"""Samples by metric."""

SETTLE = 1.3
"Seconds until what a start leaves to be done is done; some peers delay the restart of who lived for less."

PATIENCE = 100
"Seconds until a start is given up."

STOP_PATIENCE = 30
"Seconds until a stop is."

_numbers = count()


class Scenario:
    title: str
    metrics: Sequence[str]
    rounds: int
    "Of minikubelet and the floors."
    peer_rounds: int
    "Of each peer."

    def __init__(self, rounds: int, peer_rounds: int = 0) -> None:
        self.rounds, self.peer_rounds = rounds, peer_rounds

    def rounds_of(self, subject: Subject) -> int:
        if not self.applies_to(subject):
            return 0
        return self.peer_rounds if subject.kind == "peer" else self.rounds

    def applies_to(self, subject: Subject) -> bool:
        raise NotImplementedError

    def measure(self, subject: Subject) -> Figures:
        """Take one round's samples. Raises `Failed`."""
        raise NotImplementedError


@contextmanager
def folder_of(subject: Subject) -> Iterator[Path]:
    """A new one; what is in it is left to the end, for removing is work, too."""
    folder = subject.tools.folder / f"{next(_numbers)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        subject.clean_up(folder)


@contextmanager
def run_of(
    subject: Subject, services: Sequence[Service], folder: Path, *, grace: int = GRACE, logs: bool = False
) -> Iterator[Supervised]:
    argv = subject.write(folder, services, grace=grace, logs=logs)
    time.sleep(subject.rests)
    with supervised(argv, folder, subject.child(), subject.environment(folder)) as run:
        yield run


def services_of(subject: Subject, folder: Path, mode: str, number: int, *more: object) -> list[Service]:
    names = [f"s{n:04}" for n in range(number)]
    return [
        Service(name, [*subject.tools.child, mode, name, str(folder / "marks"), *map(str, more)])
        for name in names
    ]


def milliseconds(later: int, earlier: int) -> float:
    return (later - earlier) / 1e6


def started(run: Supervised, number: int) -> Figures:
    """Wait until so many services run; how long that took."""
    instants = [mark.instant for mark in run.wait_for_marks("m", number, seconds=PATIENCE)]
    key = "cold" if number == 1 else f"start-{number}"
    return {key: [milliseconds(max(instants), run.began)]}


# ------------------------------------------------------------------ lives


class Start(Scenario):
    """So many containers are started, and killed."""

    def __init__(self, number: int, rounds: int, peer_rounds: int = 0) -> None:
        super().__init__(rounds, peer_rounds)
        self.number = number
        self.title = f"start of {number:,}"
        self.metrics = ("cold" if number == 1 else f"start-{number}",)

    def applies_to(self, subject: Subject) -> bool:
        if isinstance(subject, FloorCat) or (isinstance(subject, MinikubeletPods) and self.number == 1):
            return False
        return subject.most >= self.number and (not isinstance(subject, FloorPod) or self.number == 1)

    def measure(self, subject: Subject) -> Figures:
        with folder_of(subject) as folder:
            services = services_of(subject, folder, "idle", self.number)
            with run_of(subject, services, folder) as run:
                return started(run, self.number)


class Life(Scenario):
    """So many containers are started, exit, one here and one there, idle for a while, and are stopped."""

    RESTARTED: ClassVar[int] = 4

    def __init__(self, number: int, rounds: int, peer_rounds: int = 0, *, idle: float = 0) -> None:
        """`idle` is the length of the window, in seconds; 0: none."""
        super().__init__(rounds, peer_rounds)
        self.number, self.idle = number, idle
        self.title = f"life of {number:,}"
        self.metrics = [
            f"restart-{number - 1}",
            f"stop-{number}",
            f"rss-{number}",
            f"pss-{number}",
        ]
        if number > 10:  # fewer are started more often by `Start`, and count here by the way
            self.metrics.append(f"start-{number}")
        if idle:
            self.metrics += [f"idle-cpu-{number}", f"idle-wakes-{number}"]

    def applies_to(self, subject: Subject) -> bool:
        if isinstance(subject, FloorCat | FloorPod):
            return False
        return subject.most >= self.number and not (isinstance(subject, MinikubeletPods) and self.number == 1)

    def measure(self, subject: Subject) -> Figures:
        n = self.number
        with folder_of(subject) as folder:
            services = services_of(subject, folder, "idle", n)
            with run_of(subject, services, folder) as run:
                figures = started(run, n)
                run.settle(SETTLE)
                own, children = run.processes()
                if len(children) != n:
                    raise Failed(f"{len(children)} run, not {n}")
                rss, pss = memory(own)
                figures |= {f"rss-{n}": [rss / 1024], f"pss-{n}": [pss / 1024]}
                if subject.restarts:
                    figures[f"restart-{n - 1}"] = self._restarts(run)
                    run.settle(SETTLE)
                if self.idle:
                    figures |= self._idle(own)
                since = time.monotonic_ns()
                subject.stop(run)
                try:
                    figures[f"stop-{n}"] = [run.wait_until_gone(since, seconds=STOP_PATIENCE + n / 20)]
                except Failed as failed:
                    raise Failed(str(failed), figures) from None
                return figures

    def _idle(self, own: Sequence[int]) -> Figures:
        before, began = usage(own), time.monotonic()
        time.sleep(self.idle)
        used, minutes = usage(own).since(before), (time.monotonic() - began) / 60
        return {
            f"idle-cpu-{self.number}": [used.cpu_seconds * 1000 / minutes],
            f"idle-wakes-{self.number}": [used.switches / minutes],
        }

    def _restarts(self, run: Supervised) -> list[float]:
        """Each container exits once at most, so that no back-off is due."""
        latest = {mark.tag: mark for mark in run.marks.of("m")}
        tags = sorted(latest)[:: max(1, len(latest) // self.RESTARTED)][: self.RESTARTED]
        return [restart(run, latest[tag]) for tag in tags]


def restart(run: Supervised, running: Mark) -> float:
    """Have one service exit; milliseconds until it runs again."""

    def again() -> list[Mark]:
        marks = run.marks.of("m")
        return [mark for mark in marks if mark.tag == running.tag and mark.instant > running.instant]

    os.kill(child_pid(run, running), signal.SIGUSR1)
    run.wait_until(lambda: bool(again()), "a restart", seconds=15, step=0.002)
    exits = [mark.instant for mark in run.marks.of("x") if mark.tag == running.tag]
    return milliseconds(again()[0].instant, exits[-1])


def child_pid(run: Supervised, mark: Mark) -> int:
    """Outside of a process namespace of its own a child knows its pid itself."""
    if mark.pid > 1:
        return mark.pid
    for pid in run.processes()[1]:
        if mark.tag.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    raise Failed(f"{mark.tag} does not run")


class Ignore(Scenario):
    """Twenty containers that do not obey."""

    title = "20 that ignore SIGTERM"
    metrics = ("ignore",)
    NUMBER: ClassVar[int] = 20
    GRACE: ClassVar[int] = 2

    def applies_to(self, subject: Subject) -> bool:
        enough = subject.kills and subject.most >= self.NUMBER
        return enough and not isinstance(subject, MinikubeletPods)

    def measure(self, subject: Subject) -> Figures:
        with folder_of(subject) as folder:
            services = services_of(subject, folder, "ignore", self.NUMBER)
            with run_of(subject, services, folder, grace=self.GRACE) as run:
                started(run, self.NUMBER)
                run.settle(SETTLE)
                since = time.monotonic_ns()
                subject.stop(run)
                taken = run.wait_until_gone(since, seconds=STOP_PATIENCE) / 1000
                if not run.marks.of("i"):
                    raise Failed("nobody was sent SIGTERM")
                return {"ignore": [taken - self.GRACE]}


# ------------------------------------------------------------------ pods


class Sidecar(Scenario):
    """Pods whose main container exits, one after another."""

    title = "main's exit to the sidecar's SIGTERM"
    metrics = ("sidecar",)
    PODS: ClassVar[int] = 5

    def applies_to(self, subject: Subject) -> bool:
        return type(subject) in (Minikubelet, FloorLean)

    def measure(self, subject: Subject) -> Figures:
        with folder_of(subject) as folder:
            if isinstance(subject, Minikubelet):
                names = [f"p{n}" for n in range(self.PODS)]
                argv = subject.command(folder, "---\n".join(self._pod(subject, folder, one) for one in names))
            else:
                names = [""]
                argv = bare_floor("sidecar", *subject.tools.child, "idle", str(folder / "marks"))
            with supervised(argv, folder, subject.child(), subject.environment(folder)) as run:
                marks = run.wait_for_marks("m", 2 * len(names), seconds=PATIENCE)
                pids = {mark.tag: mark.pid for mark in marks}
                run.settle(SETTLE)
                return {"sidecar": [self._one(run, pids, f"{name}main", f"{name}sidecar") for name in names]}

    @staticmethod
    def _pod(subject: Subject, folder: Path, name: str) -> str:
        main, sidecar = (
            Service(what, [*subject.tools.child, "idle", f"{name}{what}", str(folder / "marks")])
            for what in ("main", "sidecar")
        )
        native = {"restartPolicy": "Always"}
        return pod(name, [main], init=[sidecar], restart_policy="Never", init_fields=native)

    @staticmethod
    def _one(run: Supervised, pids: Mapping[str, int], main: str, sidecar: str) -> float:
        os.kill(pids[main], signal.SIGUSR1)

        def instants(kind: str, tag: str) -> list[int]:
            return [mark.instant for mark in run.marks.of(kind) if mark.tag == tag]

        run.wait_until(lambda: bool(instants("t", sidecar)), "SIGTERM", seconds=10, step=0.002)
        return milliseconds(instants("t", sidecar)[0], instants("x", main)[0])


class InitChain(Scenario):
    """Three init containers that end at once, and a main one."""

    title = "three init containers"
    metrics = ("init",)

    def applies_to(self, subject: Subject) -> bool:
        return type(subject) is Minikubelet

    def measure(self, subject: Subject) -> Figures:
        assert isinstance(subject, Minikubelet)
        with folder_of(subject) as folder:
            init = services_of(subject, folder, "once", 3)
            main = Service("main", [*subject.tools.child, "idle", "main", str(folder / "marks")])
            argv = subject.command(folder, pod("bench", [main], init=init))
            with supervised(argv, folder, subject.child(), subject.environment(folder)) as run:
                at = {mark.tag: mark.instant for mark in run.wait_for_marks("m", 4, seconds=PATIENCE)}
                return {"init": [milliseconds(at["main"], at["s0000"])]}


class Probes(Scenario):
    """A hundred containers with a readiness probe each."""

    NUMBER: ClassVar[int] = 100
    WINDOW: ClassVar[float] = 4.0
    "Seconds."

    def __init__(self, kind: str, rounds: int) -> None:
        super().__init__(rounds)
        self.kind = kind
        self.title = f"{kind} probes"
        self.metrics = (f"probe-{kind}", f"probed-{kind}")

    def applies_to(self, subject: Subject) -> bool:
        return type(subject) in ((Minikubelet,) if self.kind == "grpc" else (Minikubelet, FloorTrio))

    def measure(self, subject: Subject) -> Figures:
        with serve_probes() as servers, bystander(servers.serve), folder_of(subject) as folder:
            port = servers.ports.get(self.kind, 0)
            if isinstance(subject, FloorTrio):
                return self._figures(self._floor(subject, port) * self.NUMBER * self.WINDOW, None)
            assert isinstance(subject, Minikubelet)
            handler: Mapping[str, object] = {
                "exec": {"command": ["/bin/true"]},
                "httpGet": {"host": "127.0.0.1", "port": port, "path": "/healthz"},
                "tcpSocket": {"host": "127.0.0.1", "port": port},
                "grpc": {"port": port},
            }[self.kind]  # type: ignore[assignment]
            probe = {self.kind: handler, "periodSeconds": 1}
            services = services_of(subject, folder, "idle", self.NUMBER)
            argv = subject.command(folder, pod("bench", services, fields={"readinessProbe": probe}))
            with supervised(argv, folder, subject.child(), subject.environment(folder)) as run:
                started(run, self.NUMBER)
                time.sleep(SETTLE + 1)
                own, _ = run.processes()
                before, answered, began = usage(own), servers.answered(), time.monotonic()
                time.sleep(self.WINDOW)
                used, answered = usage(own).since(before), servers.answered() - answered
                seconds = time.monotonic() - began
                if self.kind != "exec" and answered < 0.8 * self.NUMBER * self.WINDOW:
                    raise Failed(f"{answered} probes in {seconds:.1f} s, not {self.NUMBER} a second")
                return self._figures(used.cpu_seconds, answered if self.kind != "exec" else None)

    def _figures(self, cpu_seconds: float, probes: int | None) -> Figures:
        probes = probes or int(self.NUMBER * self.WINDOW)
        each = cpu_seconds / probes
        return {
            f"probe-{self.kind}": [each * 1000],
            f"probed-{self.kind}": [each * self.NUMBER * 100],
        }

    def _floor(self, subject: Subject, port: int) -> float:
        """CPU seconds of one probe."""
        argv = bare_floor("probes", self.kind, str(self.WINDOW), str(port), "/bin/true")
        return float(output_of(argv, subject.environment(subject.tools.folder)))


def output_of(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Raises `Failed` with what it says when it fails."""
    done = subprocess.run(
        argv,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode:
        raise Failed(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


# ------------------------------------------------------------------ logs


class Log(Scenario):
    """A container that writes as fast as it may."""

    MOST: ClassVar[int] = 1_000_000_000
    "Bytes."
    EXACT: ClassVar[int] = 20_000_000
    "Bytes of which a log that is rotated still keeps every one."
    LINE: ClassVar[bytes] = (b"0123456789abcdefghijklmnopqrstuvwxyz" * 3)[:99] + b"\n"

    def __init__(self, name: str, write_size: int, rounds: int, peer_rounds: int, *, seconds: float) -> None:
        super().__init__(rounds, peer_rounds)
        self.write_size = write_size
        self.milliseconds = round(seconds * 1000)
        self.title = f"log, writes of {write_size:,} bytes"
        self.metrics = (f"log-{name}", f"log-{name}-cpu")

    def applies_to(self, subject: Subject) -> bool:
        return not isinstance(subject, FloorPod | MinikubeletPods)

    def measure(self, subject: Subject) -> Figures:
        megabytes_per_second, cpu_per_gigabyte = self._run(subject, self.MOST, verify=False)
        if subject.kind == "ours":
            self._run(subject, self.EXACT, verify=True)
        return {self.metrics[0]: [megabytes_per_second], self.metrics[1]: [cpu_per_gigabyte]}

    def _run(self, subject: Subject, most: int, *, verify: bool) -> tuple[float, float]:
        with folder_of(subject) as folder:
            services = services_of(subject, folder, "spew", 1, self.write_size, self.milliseconds, most)
            with run_of(subject, services, folder, logs=True) as run:
                started(run, 1)
                run.settle(SETTLE)
                own, children = run.processes()
                before = usage(own)
                os.kill(children[0], signal.SIGUSR1)
                (written,) = run.wait_for_marks("w", 1, seconds=PATIENCE)
                (began,) = run.marks.of("s")
                finished = self._last_growth(subject, folder)
                used = usage(own).since(before)
                if verify:
                    self._verify(subject, folder, written.number)
            for path in subject.log_files(folder):
                path.unlink()
        took = max(finished, written.instant) - began.instant
        return written.number * 1e3 / took, used.cpu_seconds / written.number * 1e9

    @staticmethod
    def _last_growth(subject: Subject, folder: Path) -> int:
        """When the last byte came: nanoseconds of CLOCK_MONOTONIC, as exact as a file's time of change."""
        sizes, since = [-1], time.monotonic()
        while time.monotonic() - since < 0.3:
            stats = [path.stat() for path in subject.log_files(folder)]
            if sizes != (sizes := [stat.st_size for stat in stats]):
                since = time.monotonic()
            time.sleep(0.02)
        offset = time.time_ns() - time.monotonic_ns()
        return max(stat.st_mtime_ns for stat in stats) - offset

    def _verify(self, subject: Subject, folder: Path, written: int) -> None:
        """Every line is there, whole, once, and nothing else."""
        whole = total = 0
        for path in subject.log_files(folder):
            with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
                for line in file:
                    whole += line.endswith(b" stdout F " + self.LINE)
                    total += 1
        expected = written // len(self.LINE)
        if (whole, total) != (expected, expected):
            raise Failed(f"of {expected} lines {whole} are whole, among {total}")


# ------------------------------------------------------------------ without supervision


class Program(Scenario):
    """Something that one program measures by itself and prints."""

    def __init__(self, metric: str, rounds: int, *pure: str) -> None:
        super().__init__(rounds)
        self.title = self.metric = metric
        self.metrics = (metric,)
        self.pure = pure

    def applies_to(self, subject: Subject) -> bool:
        return type(subject) in (
            (Minikubelet, FloorC, FloorLean) if self.metric == "spawn" else (Minikubelet,)
        )

    def measure(self, subject: Subject) -> Figures:
        program = subject.tools.child[0] if subject.tools.is_child_compiled else "/bin/true"
        if isinstance(subject, FloorC):
            assert subject.tools.floor is not None
            argv = [subject.tools.floor, "spawn", "300", program]
        elif isinstance(subject, FloorLean):
            argv = bare_floor("spawn", "300", program)
        else:
            argv = [sys.executable, "-m", "minikubelet.bench.pure", *self.pure]
            argv += [program] if self.metric == "spawn" else []
        return {self.metric: [float(output_of(argv, subject.environment(subject.tools.folder)))]}


FULL: Sequence[Scenario] = (
    Start(1, 7, 4),
    Start(10, 2, 1),
    Life(1, 3, 1),
    Life(100, 2, 1, idle=5),
    Life(1000, 2, 1, idle=10),
    Sidecar(4),
    InitChain(5),
    Ignore(2, 1),
    *(Probes(kind, 2) for kind in PROBE_KINDS),
    Log("100", 100, 3, 2, seconds=1),
    Log("64k", 65500, 3, 2, seconds=1),
    Program("spawn", 5, "spawn"),
    Program("core-3", 3, "core", "3"),
    Program("core-30", 3, "core", "30"),
    Program("heap", 3, "heap"),
    Program("trio", 3, "trio"),
    Program("simulation", 3, "simulation"),
)
"A quarter of an hour on a quiet machine with all the peers."

QUICK: Sequence[Scenario] = (
    Start(1, 3, 1),
    Life(1, 1),
    Life(100, 1, 1),
    Sidecar(1),
    InitChain(2),
    Ignore(1),
    Probes("httpGet", 1),
    Log("100", 100, 1, 1, seconds=0.5),
    Log("64k", 65500, 1, 0, seconds=0.5),
    Program("spawn", 1, "spawn"),
    Program("core-3", 1, "core", "3"),
    Program("heap", 1, "heap", "100"),
    Program("trio", 1, "trio", "100"),
    Program("simulation", 1, "simulation", "100"),
)
"A minute, and as much again with all the peers."
