"""What a container leaves as its last words (TMSG-1..3).

Each instance gets a fresh empty file at its `terminationMessagePath`: a mount where the container has a
mount namespace anyway or asks for a path of its own, so that pods do not meet in one file.
"""

import os
import posixpath
from pathlib import Path

import attrs

from minikubelet.api.pod import Container
from minikubelet.runtime.logs import tail

DEFAULT_PATH = "/dev/termination-log"
MAX_BYTES = 4096  # TMSG-2
MAX_LOG_LINES, MAX_LOG_BYTES = 80, 2048  # TMSG-3


@attrs.frozen
class TerminationMessage:
    file: Path
    "Where the file is on the host."
    container: Container

    @property
    def path(self) -> str:
        """Where the container finds it."""
        return posixpath.normpath("/" + self.container.termination_message_path.lstrip("/"))

    @property
    def wants_mount(self) -> bool:
        """Is it worth a mount namespace of its own? The default path is, if the manifest speaks of it."""
        words = (*self.container.command, *self.container.args)
        return self.path != DEFAULT_PATH or any(DEFAULT_PATH in word for word in words)

    def renew(self) -> None:
        """An empty file that the container may write whoever it runs as; the same one for every instance,
        since the mount namespace that is kept over restarts has it mounted."""
        fd = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        os.fchmod(fd, 0o666)
        os.close(fd)

    def read(self, exit_code: int, log: str) -> str | None:
        """The message of an instance that has ended; `log` is the path of its log."""
        text = self._from_file()
        if text or exit_code == 0 or self.container.termination_message_policy != "FallbackToLogsOnError":
            return text or None
        return tail(log, MAX_LOG_LINES, MAX_LOG_BYTES) or None

    def _from_file(self) -> str:
        try:
            fd = os.open(self.file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return ""
        with open(fd, "rb") as file:
            size = os.fstat(fd).st_size
            file.seek(max(size - MAX_BYTES, 0))
            return file.read(MAX_BYTES).decode(errors="replace")
