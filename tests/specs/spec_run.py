"""One `minikubelet run` of a manifest of `specs/`, as a user would start it, and what came of it.

Only what the command line promises is looked at: exit code, output, status file, events file and the CRI
logs. Whoever waits for something does so with a limit, and hears at once when the program ended without it.
"""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs
import pytest

SPECS = Path(__file__).parents[2] / "specs"
LIMIT = 60  # seconds for anything that is waited for; all of it takes a few

T = TypeVar("T")


@attrs.frozen
class LogLine:
    time: str
    "RFC 3339 with nanoseconds: compares like the instants do (LOG-2)."
    container: str
    text: str


class SpecRun:
    """One `minikubelet run` and what it has told so far."""

    def __init__(self, manifest: Path, arguments: tuple[str, ...], folder: Path, *, terminal: bool) -> None:
        self.status_file = folder / "status.json"
        self.events_file = folder / "events.jsonl"
        self.log_dir = folder / "logs"
        command = [sys.executable, "-m", "minikubelet", "run", str(manifest), *arguments]
        command += ["--status-file", str(self.status_file), "--events-file", str(self.events_file)]
        command += ["--log-dir", str(self.log_dir)]
        environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), "TERM": "xterm", "NO_COLOR": "1"}
        self._screen = bytearray()
        self._terminal: int | None = None
        if terminal:
            self._terminal, end = pty.openpty()
            fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
            command = ["setsid", "--ctty", *command]
            self.process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment)
            os.close(end)
        else:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        source = self._terminal if self._terminal is not None else self.process.stdout.fileno()  # type: ignore[union-attr]
        while True:
            try:
                data = os.read(source, 65536)
            except OSError:  # EIO: a terminal nobody holds open any more
                return
            if not data:
                return
            self._screen += data

    @property
    def output(self) -> str:
        """Everything that was printed, stdout and stderr together."""
        return self._screen.decode(errors="replace")

    def events(self, reason: str, container: str | None = None) -> list[dict[str, Any]]:
        """The events of that reason, about that container; one line of the file each."""
        try:
            lines = self.events_file.read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        parsed = [json.loads(line) for line in lines if line.endswith("\n")]
        return [
            event
            for event in parsed
            if event["reason"] == reason
            and (
                container is None or event["involvedObject"].get("fieldPath", "").endswith(f"{{{container}}}")
            )
        ]

    def logs(self, container: str | None = None) -> list[LogLine]:
        """What the containers printed, oldest first, over all pods and restarts."""
        lines = []
        for path in self.log_dir.glob("*/*/*.log"):
            name = path.parent.name
            if container in (None, name):
                for line in path.read_text().splitlines():
                    stamp, _, _, text = line.split(" ", 3)
                    lines.append(LogLine(stamp, name, text))
        return sorted(lines, key=lambda line: line.time)

    def log_text(self, container: str) -> str:
        return "\n".join(line.text for line in self.logs(container))

    def wait_until(self, look: Callable[[], T], what: str) -> T:
        """What `look` returns, once that is true."""
        deadline = time.monotonic() + LIMIT
        while True:
            ended = self.process.poll() is not None
            found = look()
            if found:
                return found
            if ended or time.monotonic() > deadline:
                state = f"ended with {self.process.returncode}" if ended else f"did not in {LIMIT} s"
                pytest.fail(f"waited for {what}; the program {state}. It printed:\n{self.output}")
            time.sleep(0.02)

    def wait_for_event(
        self, reason: str, container: str | None = None, times: int = 1
    ) -> list[dict[str, Any]]:
        """The events of that kind, once there are so many."""

        def enough() -> list[dict[str, Any]]:
            events = self.events(reason, container)
            return events if len(events) >= times else []

        return self.wait_until(enough, f"{times} {reason} of {container or 'anything'}")

    def wait_for_log(self, container: str, text: str) -> None:
        self.wait_until(lambda: text in self.log_text(container), f"{text!r} from {container}")

    def wait_for_output(self, pattern: str) -> None:
        self.wait_until(lambda: re.search(pattern, self.output), f"{pattern!r} on the screen")

    def interrupt(self) -> None:
        """Ctrl-C, typed where there is a terminal."""
        if self._terminal is not None:
            os.write(self._terminal, b"\x03")
        else:
            self.process.send_signal(signal.SIGINT)

    def exit_code(self) -> int:
        """Waits for the end. 128+n where a signal ended the program itself (it should not)."""
        try:
            code = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {LIMIT} s. It printed:\n{self.output}")
        self._reader.join()
        return code

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """The final objects of that kind, from the status file."""
        items = json.loads(self.status_file.read_text())["items"]
        return [item for item in items if item["kind"] == kind]

    def pod(self) -> dict[str, Any]:
        (pod,) = self.objects("Pod")
        return pod

    def job(self) -> dict[str, Any]:
        (job,) = self.objects("Job")
        return job

    def close(self) -> None:
        """Ends the program, however the test went; twice SIGTERM leaves its containers two seconds."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                continue
        self._reader.join()
        if self._terminal is not None:
            os.close(self._terminal)
        elif self.process.stdout is not None:
            self.process.stdout.close()


def container_status(pod: dict[str, Any], name: str) -> dict[str, Any]:
    status = pod["status"]
    every: list[dict[str, Any]] = [
        *status.get("initContainerStatuses", ()),
        *status.get("containerStatuses", ()),
    ]
    (found,) = (entry for entry in every if entry["name"] == name)
    return found


def condition(thing: dict[str, Any], kind: str) -> dict[str, Any]:
    """The condition of that type; its status is `Absent` where there is none."""
    have = (entry for entry in thing["status"].get("conditions", ()) if entry["type"] == kind)
    return next(have, {"type": kind, "status": "Absent"})


class RunSpec(Protocol):
    def __call__(self, name: str, *arguments: str, terminal: bool = False) -> SpecRun: ...
