"""The status file and the events file: what a run leaves behind for programs.

Both are tried out before anything is started, so that a typing error in a path costs nothing.
"""

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minikubelet.api.event import Event
from minikubelet.api.job import Job
from minikubelet.api.pod import Pod
from minikubelet.cli.writer import Writer
from minikubelet.kubelet.kubelet import Observer
from minikubelet.runtime.private import open_file, write_file

if TYPE_CHECKING:
    from minikubelet.api.cron_job import CronJob


class EventsFile(Observer):
    """One v1 Event per line, written as it happens. An observer of the kubelet.

    `failed` is set when something could not be written; the rest is not tried then.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self.failed = False
        self._sequence = 0
        self._fd = open_file(path)
        self._writer = Writer(self._fd, hung_up=self._fail, failed=self._fail, name=path)
        self._writer.start()

    def event(self, event: Event) -> None:
        self._sequence += 1
        text = json.dumps(event.as_wire(self._sequence), ensure_ascii=False, separators=(",", ":"))
        self._writer.write(text.encode(errors="replace") + b"\n")

    def close(self) -> None:
        self._writer.close()
        os.close(self._fd)

    def _fail(self) -> None:
        self.failed = True


def write_status_file(path: str, objects: "Sequence[Pod | Job | CronJob]") -> None:
    """A v1 List of the final objects, there completely or not at all. Raises OSError."""
    from minikubelet.api.codec import to_wire

    items = [to_wire(item) for item in objects]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2, ensure_ascii=False)
    data = text.encode(errors="replace") + b"\n"
    write_file(path, data)
