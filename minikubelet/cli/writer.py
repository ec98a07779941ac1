"""Bytes to a file descriptor without ever waiting for whoever reads them.

A supervisor must not stand still because somebody pressed Ctrl-S or piped it into a slow program, so
a thread of its own does the writing. What is waiting to be written is bounded; beyond that, output
marked as droppable is counted instead of kept, and the reader is told how much is missing. A thread,
because setting a shared terminal or pipe non-blocking would change it for the shell and for every
other process that has it open.
"""

import errno
import os
import select
import threading
from collections.abc import Callable

PENDING_LIMIT = 16 << 20  # bytes
_PIECE = 1 << 16  # bytes for one write(2)


class Writer:
    """Writes in the order given, until the reader goes away. Nothing is written before `start`.

    `frame` turns the text that is due into the bytes to write, on the writer's thread: a terminal puts
    its status block under the text there, once per write however many lines there are. `missing` words
    the remark about dropped lines. `hung_up` is called once, from the writer's thread, when the reader
    is gone (EPIPE, EIO); everything after that is discarded silently.
    """

    def __init__(
        self,
        fd: int,
        *,
        frame: Callable[[bytes], bytes] = bytes,
        missing: Callable[[int], bytes] = lambda lines: b"",
        hung_up: Callable[[], None] = lambda: None,
        limit: int = PENDING_LIMIT,
    ) -> None:
        self._fd = fd
        self._frame = frame
        self._missing = missing
        self._hung_up = hung_up
        self._limit = limit
        self._changed = threading.Condition()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._dropped_lines = 0
        self._is_poked = False
        self._is_closing = False
        self._is_broken = False
        self._thread = threading.Thread(target=self._run, name="minikubelet-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def write(self, data: bytes, *, droppable: bool = False) -> None:
        """Queue whole lines. Only droppable ones are held to the limit."""
        with self._changed:
            if self._is_broken:
                return
            if droppable and self._pending_bytes + len(data) > self._limit:
                self._dropped_lines += data.count(b"\n")
                return
            self._tell_missing()
            self._pending.append(data)
            self._pending_bytes += len(data)
            self._changed.notify()

    def poke(self) -> None:
        """Have `frame` called soon even if there is no text."""
        with self._changed:
            self._is_poked = True
            self._changed.notify()

    def close(self) -> None:
        """Wait until everything is written or the reader is gone; a KeyboardInterrupt ends the wait."""
        if self._thread.ident is None:
            self._thread.start()
        with self._changed:
            self._tell_missing()
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _tell_missing(self) -> None:
        if self._dropped_lines:
            remark = self._missing(self._dropped_lines)
            self._dropped_lines = 0
            self._pending.append(remark)
            self._pending_bytes += len(remark)

    # -------------------------------------------------------------------- on the thread

    def _run(self) -> None:
        is_last = False
        while not is_last:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._is_poked or self._is_closing)
                due, self._pending, self._pending_bytes = b"".join(self._pending), [], 0
                is_last, self._is_poked = self._is_closing, False
            try:
                self._write_all(self._frame(due))
            except OSError as error:
                self._give_up(error)
                return

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view[:_PIECE]) :]
            except BlockingIOError:  # somebody else made it non-blocking
                select.select([], [self._fd], [])

    def _give_up(self, error: OSError) -> None:
        with self._changed:
            self._is_broken = True
            self._pending.clear()
        if error.errno in (errno.EPIPE, errno.EIO):
            self._hung_up()
        else:  # a full disk is no reason to end the run
            tell_stderr(f"cannot write to standard output: {error.strerror}")


def tell_stderr(message: str) -> None:
    """One line on standard error, if there is one."""
    try:
        os.write(2, f"minikubelet: {message}\n".encode(errors="backslashreplace"))
    except OSError:
        pass
