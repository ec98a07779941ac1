"""What a container leaves as its last words (TMSG-1..3).

Each instance gets a fresh empty file at its `terminationMessagePath`: a mount where the container has a
mount namespace anyway or asks for a path of its own, so that pods do not meet in one file.
"""

import os
import posixpath

from minikubelet.api.pod import Container
from minikubelet.api.values import frozen
from minikubelet.runtime.logs import tail
from minikubelet.runtime.planted import open_regular
from minikubelet.runtime.removal import remove_tree

DEFAULT_PATH = "/dev/termination-log"
MAX_BYTES = 4096  # TMSG-2
MAX_LOG_LINES, MAX_LOG_BYTES = 80, 2048  # TMSG-3


@frozen
class TerminationMessage:
    file: str
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
        since the mount namespace that is kept over restarts has it mounted. Raises `OSError`."""
        try:
            fd = open_regular(self.file, os.O_WRONLY)
        except OSError:
            fd = self._replace()
        else:
            if os.fstat(fd).st_nlink > 1:  # somebody else's file, by another name
                os.close(fd)
                fd = self._replace()
        os.ftruncate(fd, 0)
        os.fchmod(fd, 0o666)
        os.close(fd)

    def _replace(self) -> int:
        """Whatever is there instead, if anything is, goes."""
        remove_tree(self.file)
        return open_regular(self.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def read(self, exit_code: int, log: str) -> str | None:
        """The message of an instance that has ended; `log` is the path of its log."""
        text = self._from_file()
        if text or exit_code == 0 or self.container.termination_message_policy != "FallbackToLogsOnError":
            return text or None
        return tail(log, MAX_LOG_LINES, MAX_LOG_BYTES) or None

    def _from_file(self) -> str:
        try:
            fd = open_regular(self.file, os.O_RDONLY)
        except OSError:
            return ""
        with open(fd, "rb") as file:
            size = os.fstat(fd).st_size
            file.seek(max(size - MAX_BYTES, 0))
            return file.read(MAX_BYTES).decode(errors="replace")
