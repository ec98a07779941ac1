"""Does anything survive? Random lives, random deaths, minikubelet's own included, round after round.

    python -m benchmarks.chaos [--time 60] [--pods 200] [--seed N]

A round is one `minikubelet run --check` of pods and Jobs with random lives (children, daemons that hide, who
ignores SIGTERM or stops itself, probes, hooks, sidecars, volumes), in which processes are killed and stopped
and pods deleted at random, until it is told to end, or killed: alone, with its process group, or with its
guardian, and then the next start has to clean up. After each round /proc, the mounts, the directories, the
cgroups and our own descriptors are looked at: nothing may be left, and no invariant violated. Exit code 1,
and the round's directory is kept, if that does not hold. `--seed` draws the same rounds again; what the
machine makes of them is another matter.
"""

import argparse
import itertools
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import yaml

from minikubelet.cli.run import Run

ENDS = ("SIGTERM", "SIGINT twice", "SIGKILL", "SIGKILL of the group", "SIGKILL with the guardian")
PATIENCE = 60.0
"Seconds for a run that was told to end, and for what has to be gone after a SIGKILL, on a loaded machine."

Random = random.Random
Object = dict[str, Any]


# ------------------------------------------------------------------ random pods


def daemon(place: Path) -> str:
    return f"(env -i setsid sh -c '({place}/sleep 600 &) </dev/null >/dev/null 2>&1' &)"


def life(draw: Random, place: Path) -> str:
    sleep = f"{place}/sleep"
    beginning = draw.choice(
        [
            *("", ""),
            *(daemon(place), daemon(place)),
            f"{sleep} 600 &",
            f"(setsid {sleep} 600 &)",
            f"({sleep} 0.2 &)",
            "trap '' TERM;",
        ]
    )
    end = draw.choice(
        [
            f"{sleep} 600",
            f"exec {sleep} 600",
            f"{sleep} {draw.uniform(0, 2):.2f}; exit {draw.choice((0, 0, 1, 7))}",
            f"{sleep} {draw.uniform(0, 2):.2f}; kill -{draw.choice((9, 11, 15))} $$",
            f"kill -STOP $$; {sleep} 600",
            f"while :; do {sleep} 0.3; echo line; done",
            f"exit {draw.choice((0, 1))}",
        ]
    )
    return f"{beginning}\n{end}"


def command(draw: Random, place: Path) -> Object:
    """For a probe or a hook."""
    script = draw.choice(
        [
            f"{place}/sleep 0.05",
            f"{place}/sleep 600",
            f"{daemon(place)}; exit 0",
            f"{daemon(place)}; {place}/sleep 600",
            f"{place}/sleep 600 & exit 1",
        ]
    )
    return {"exec": {"command": ["sh", "-c", script]}}


def container(draw: Random, place: Path, name: str) -> Object:
    made: Object = {"name": name, "image": "chaos", "command": ["sh", "-c", life(draw, place)]}
    if draw.random() < 0.2:
        kind = draw.choice(("livenessProbe", "readinessProbe", "startupProbe"))
        made[kind] = {**command(draw, place), "periodSeconds": 1, "failureThreshold": draw.choice((1, 3))}
    if draw.random() < 0.2:
        made["lifecycle"] = {draw.choice(("postStart", "preStop")): command(draw, place)}
    return made


def pod_spec(draw: Random, place: Path, number: int, volumes: bool) -> Object:
    containers = [container(draw, place, f"c{n}") for n in range(draw.choice((1, 1, 2)))]
    spec: Object = {
        "restartPolicy": draw.choice(("Always", "OnFailure", "Never")),
        "terminationGracePeriodSeconds": draw.choice((0, 1, 2)),
        "containers": containers,
    }
    if draw.random() < 0.2:
        sidecar = container(draw, place, "sidecar")
        spec["initContainers"] = [{**sidecar, "restartPolicy": "Always"}]
    elif draw.random() < 0.1:
        init = {"name": "init", "image": "chaos", "command": ["sh", "-c", f"{place}/sleep 0.1"]}
        spec["initContainers"] = [init]
    if volumes and draw.random() < 0.1:
        spec["volumes"] = [{"name": "v", "emptyDir": {}}]
        containers[0]["volumeMounts"] = [{"name": "v", "mountPath": f"{place}/mnt/{number}"}]
    return spec


def manifest(draw: Random, place: Path, pods: int, volumes: bool) -> str:
    objects = []
    for number in range(pods):
        spec = pod_spec(draw, place, number, volumes)
        if draw.random() < 0.1:
            spec["restartPolicy"] = "Never"
            job = {"completions": 2, "parallelism": 2, "backoffLimit": 2, "template": {"spec": spec}}
            objects.append(_object("batch/v1", "Job", f"job-{number}", job))
        else:
            objects.append(_object("v1", "Pod", f"pod-{number}", spec))
    return yaml.safe_dump_all(objects)


def _object(version: str, kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


# ------------------------------------------------------------------ the run that suffers


class Suffering(Run):
    """`minikubelet run`, with pods deleted at random."""

    seed = 0

    def tasks(self) -> Iterator[Callable[[], Awaitable[None]]]:
        yield from super().tasks()
        yield self._delete_at_random

    async def _delete_at_random(self) -> None:
        import trio

        draw = Random(self.seed)
        while True:
            await trio.sleep(draw.uniform(0.02, 0.3))
            keys = [pod.key for pod in self.kubelet.pods()]
            if keys:
                self.kubelet.delete_pod(draw.choice(keys), draw.choice((None, None, 0, 1)))


def suffer(arguments: list[str]) -> int:
    from minikubelet.cli import main, run

    Suffering.seed = int(arguments[0])
    run.Run = Suffering  # type: ignore[misc]
    return main.main(["run", *arguments[1:]])


# ------------------------------------------------------------------ a round


class Trouble(Exception):
    """Something is left, or was violated."""


@attrs.define
class Tally:
    """What happened in all rounds."""

    counts: Counter[str] = attrs.Factory(Counter)
    lasted: dict[str, list[float]] = attrs.Factory(dict)
    "Seconds from the death of minikubelet, or its next start, to that of the last process of its pods."


class Round:
    """One run and its end, in a directory whose name stands in the command line of all that it starts."""

    def __init__(self, place: Path, draw: Random, pods: int, tally: Tally) -> None:
        self.place = place
        self.draw = draw
        self.tally = tally
        self.runs = place / "tmp"
        self.names: set[str] = set()
        "Of the run directories, and the cgroups."
        for folder in (self.runs, place / "mnt"):
            folder.mkdir(parents=True)
        sleep = shutil.which("sleep")
        assert sleep is not None
        shutil.copy(sleep, place / "sleep")
        place.chmod(0o755)
        self.isolation = draw.choice(("none", "none", "auto", "auto", "auto", "pod"))
        (place / "manifest.yaml").write_text(manifest(draw, place, pods, self.isolation != "none"))

    def go(self) -> None:
        descriptors = len(os.listdir("/proc/self/fd"))
        end, lasts = self.draw.choice(ENDS), self.draw.uniform(0.05, 4)
        is_early = self.draw.random() < 0.25  # when it may not have started anything yet
        self.tally.counts[f"{self.isolation} isolation"] += 1
        self.tally.counts[end] += 1
        with open(self.place / "out", "wb") as out, open(self.place / "err", "wb") as err:
            options = [
                "--check",
                "--isolation",
                self.isolation,
                "--backoff-base",
                "0.2",
                "--backoff-max",
                "1",
            ]
            options += [
                "--log-dir",
                str(self.place / "logs"),
                "--status-file",
                str(self.place / "status.json"),
            ]
            suffer = ["-m", "benchmarks.chaos", "--suffer", str(self.draw.getrandbits(32))]
            process = subprocess.Popen(
                [sys.executable, *suffer, str(self.place / "manifest.yaml"), *options, "-o", "json"],
                env={**os.environ, "TMPDIR": str(self.runs)},
                stdout=out,
                stderr=err,
                process_group=0,
            )
        try:
            if not is_early:
                self.wait(lambda: self.has_begun or process.poll() is not None, "it does not begin")
            self.harass(process, time.monotonic() + lasts)
            self.end(process, end)
        finally:
            process.kill()
            process.wait()
        self.look_for_mounts_and_the_like()
        if len(os.listdir("/proc/self/fd")) != descriptors:
            raise Trouble("we have other descriptors than before")

    def harass(self, process: subprocess.Popen[bytes], until: float) -> None:
        while time.monotonic() < until and process.poll() is None:
            self.names |= set(os.listdir(self.runs))
            victims = self.processes(process.pid)
            for pid in self.draw.sample(victims, min(len(victims), 3)):
                number = self.draw.choice((signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT, signal.SIGTERM))
                self.tally.counts[f"containers' processes: {number.name}"] += self.send(pid, number)
            time.sleep(self.draw.uniform(0, 0.1))

    def end(self, process: subprocess.Popen[bytes], how: str) -> None:
        self.names |= set(os.listdir(self.runs))
        if how.startswith("SIGKILL"):
            if how == "SIGKILL of the group":
                os.killpg(process.pid, signal.SIGKILL)
            elif how == "SIGKILL with the guardian":
                process.send_signal(signal.SIGSTOP)  # or it would replace it
                for pid in self.guardians():
                    self.send(pid, signal.SIGKILL)
            process.kill()
            process.wait()
            died_at = time.monotonic()
            if how == "SIGKILL with the guardian":
                self.wait(lambda: not self.guardians(), "the guardian is still there")
                died_at = time.monotonic()
                self.start_again()
            self.wait(lambda: not self.processes(), "processes are left")
            self.tally.lasted.setdefault(f"{how}, {self.isolation}", []).append(time.monotonic() - died_at)
        else:
            self.wait(lambda: bool(os.listdir(self.runs)) or process.poll() is not None, "it does not begin")
            process.send_signal(signal.SIGINT if how == "SIGINT twice" else signal.SIGTERM)
            if how == "SIGINT twice":
                time.sleep(self.draw.uniform(0, 1))
                process.send_signal(signal.SIGINT)
            try:
                code = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                raise Trouble(f"it does not end, {how}") from None
            if left := self.processes():
                raise Trouble(f"processes are left after an orderly end: {describe(left)}")
            told = (self.place / "err").read_text(errors="replace")
            self.tally.counts[f"exit code {code}"] += 1
            if (code in (1, 2, 3) and "violated" in told) or code in (2, 3) or "Traceback" in told:
                raise Trouble(f"exit code {code}: {told[-3000:]}")
        self.wait(lambda: not self.guardians(), "a guardian is left")
        if os.listdir(self.runs) and not self.has_begun:
            self.start_again()  # it died before it had a guardian
            self.tally.counts["died before it began"] += 1
        self.wait(lambda: not os.listdir(self.runs), "run directories are left")

    def start_again(self) -> None:
        """The next start is to clean up."""
        pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "chaos", "command": ["true"]}]}
        again = subprocess.run(
            [sys.executable, "-m", "minikubelet", "run", "-"],
            input=yaml.safe_dump(_object("v1", "Pod", "again", pod)).encode(),
            env={**os.environ, "TMPDIR": str(self.runs)},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        if again.returncode:
            raise Trouble(f"the next start failed: {again.stderr.decode(errors='replace')}")

    # -------------------------------------------------------------- what there is

    @property
    def has_begun(self) -> bool:
        return (self.place / "out").stat().st_size > 0

    def command_lines(self) -> Iterator[tuple[int, bytes]]:
        """Of all processes that have to do with the round, zombies not counted."""
        token = os.fsencode(self.place)
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            line = read(f"/proc/{pid}/cmdline")
            if token in line and pid != os.getpid():
                yield pid, line

    def processes(self, but: int = 0) -> list[int]:
        """Those of the pods."""
        ours = (b"guardian.py", b"benchmarks.chaos", b"clean_up")
        lines = self.command_lines()
        return [pid for pid, line in lines if pid != but and not any(word in line for word in ours)]

    def guardians(self) -> list[int]:
        return [pid for pid, line in self.command_lines() if b"guardian.py" in line or b"clean_up" in line]

    def send(self, pid: int, number: int) -> bool:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            if os.fsencode(self.place) in read(f"/proc/{pid}/cmdline"):
                signal.pidfd_send_signal(pidfd, number)
                return True
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)
        return False

    def wait(self, condition: Callable[[], bool], trouble: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                left = [pid for pid, _ in self.command_lines()]
                raise Trouble(f"{trouble}: {describe(left)} {os.listdir(self.runs)}")
            time.sleep(0.01)

    def look_for_mounts_and_the_like(self) -> None:
        if os.fsencode(self.place) in read("/proc/self/mountinfo"):
            raise Trouble("something is mounted")
        if left := list((self.place / "mnt").iterdir()):
            raise Trouble(f"mount points are left: {left}")
        for directory, folders, _ in os.walk("/sys/fs/cgroup"):
            if left_behind := [name for name in folders if any(run in name for run in self.names)]:
                raise Trouble(f"cgroups are left in {directory}: {left_behind}")


def describe(pids: list[int]) -> str:
    return "; ".join(f"{pid} {read(f'/proc/{pid}/cmdline').replace(bytes(1), b' ').decode()}" for pid in pids)


def read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


# ------------------------------------------------------------------ rounds


def main() -> int:
    if sys.argv[1:2] == ["--suffer"]:
        return suffer(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__.splitlines()[0])
    until = "seconds after which no round begins; default: 60"
    parser.add_argument("--time", type=float, default=60.0, metavar="S", help=until)
    parser.add_argument("--pods", type=int, default=200, metavar="N", help="in a round; default: 200")
    seed = random.randrange(1 << 32)
    parser.add_argument("--seed", type=int, default=seed, metavar="N", help="default: told at the start")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which background jobs ignore
    began, tally, rounds = time.monotonic(), Tally(), 0
    print(f"seed {given.seed}", flush=True)
    for number in itertools.count():
        if time.monotonic() - began > given.time:
            break
        place = Path(tempfile.mkdtemp(prefix=f"chaos-{number}-"))
        try:
            Round(place, Random(f"{given.seed}-{number}"), given.pods, tally).go()
        except Trouble as trouble:
            print(f"round {number} of seed {given.seed}, kept in {place}: {trouble}")
            return 1
        shutil.rmtree(place)
        rounds += 1
    print(f"{rounds} rounds of {given.pods} pods in {time.monotonic() - began:.0f} s, nothing left")
    for what, count in sorted(tally.counts.items()):
        print(f"  {what}: {count}")
    for what, seconds in sorted(tally.lasted.items()):
        print(f"  all gone after {what}: {statistics.median(seconds):.2f} s, at most {max(seconds):.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
