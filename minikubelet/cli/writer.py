"""Bytes to a file descriptor without ever waiting for whoever reads them.

A supervisor must not stand still because somebody pressed Ctrl-S or piped it into a slow program, so
a thread of its own does the writing. What is waiting to be written is in memory up to a limit and beyond
that in a temporary file, so nothing need be lost; a caller who would rather lose lines than lag behind
says so, and the reader is told how many are missing. A thread, because setting a shared terminal or pipe
non-blocking would change it for the shell and for every other process that has it open.

A regular file has no reader who could be slow, and is written to at once: a thread that takes turns with us
at the interpreter for every chunk would more than double what the output costs.
"""

import errno
import os
import select
import stat
import threading
import time
from collections.abc import Callable
from typing import IO

from minikubelet.runtime.spawn import start_deaf

LINGER = 0.002
"""Seconds in which more may come to be written with what there is: for every turn of the thread at the
interpreter we wait, and it. Into a pipe a container's output goes twice as fast so, for half of the CPU."""

PENDING_LIMIT = 16 << 20  # bytes
_READ_BACK = 1 << 20  # bytes at a time from the temporary file


class Writer:
    """Writes in the order given, until the reader goes away. Nothing is written before `start`.

    `frame` turns the text that is due into the bytes to write, on the writer's thread: a terminal puts
    its status block under the text there, once per write however many lines there are. `missing` words
    the remark about lost lines. `hung_up` is called once, from the writer's thread, when the reader
    is gone (EPIPE, EIO), and `failed` for any other error; everything after that is discarded silently.
    For a regular file all that is done by the calls themselves.
    """

    def __init__(
        self,
        fd: int,
        *,
        frame: Callable[[bytes], bytes] = bytes,
        missing: Callable[[int], bytes] = lambda lines: b"",
        hung_up: Callable[[], None] = lambda: None,
        failed: Callable[[], None] = lambda: None,
        name: str = "standard output",
        limit: int = PENDING_LIMIT,
    ) -> None:
        self._fd = fd
        self._name = name
        self._frame = frame
        self._missing = missing
        self._hung_up = hung_up
        self._failed = failed
        self._limit = limit
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._backlog = _Backlog(limit)
        self._lost_lines = 0
        self._is_poked = False
        self._is_closing = False
        self._is_broken = False
        self._is_direct = False
        self._wants_thread = False
        self._thread = threading.Thread(target=self._run, name="minikubelet-writer", daemon=True)

    def start(self) -> None:
        """Without room for a thread (RLIMIT_NPROC) text waits until there is, at the latest for `close`."""
        if _is_regular(self._fd):
            self._is_direct = True
            self.flush()
            return
        try:
            start_deaf(self._thread)
            self._wants_thread = False
        except RuntimeError:
            self._wants_thread = True

    def write(self, data: bytes) -> None:
        """Whole lines."""
        self.queue(data)
        self.flush()

    def queue(self, data: bytes, *, droppable: bool = False) -> None:
        """Whole lines, for the next `flush`; droppable ones only while there is room for them in memory.

        For those who have more to do than to write: the thread would compete with them for the interpreter.
        """
        with self._lock:
            if self._is_broken:
                return
            if droppable and self._backlog.size + len(data) > self._limit:
                self._lost_lines += data.count(b"\n")
                return
            try:
                self._tell_missing()
                self._backlog.append(data)
            except OSError:  # no room for the temporary file either
                self._lost_lines += data.count(b"\n")

    def flush(self) -> None:
        """Have what is queued written, and what was poked drawn, without waiting for it."""
        if self._is_direct:
            while self._backlog.size:
                self._write_due()
        elif self._backlog.size or self._is_poked:
            with self._lock:
                self._changed.notify()
            if self._wants_thread:
                self.start()

    def poke(self) -> None:
        """Have `frame` called at the next `flush` even if there is no text."""
        self._is_poked = True

    def close(self) -> None:
        """Wait until everything is written or the reader is gone; a KeyboardInterrupt ends the wait."""
        with self._lock:
            try:
                self._tell_missing()
            except OSError:
                pass
            self._is_closing = True
            self._changed.notify()
        if self._thread.ident is None:
            self._run()
        else:
            self._thread.join()

    def _tell_missing(self) -> None:
        if self._lost_lines:
            self._backlog.append(self._missing(self._lost_lines))
            self._lost_lines = 0

    # -------------------------------------------------------------------- on the thread, if there is one

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            with self._lock:
                self._changed.wait_for(lambda: self._backlog.size or self._is_poked or self._is_closing)
            if not self._is_closing:
                time.sleep(LINGER)
            goes_on = self._write_due()

    def _write_due(self) -> bool:
        """Write what waits, or the oldest of it; whether something may come after it."""
        with self._lock:
            due = self._backlog.take()
            goes_on = not self._is_closing or self._backlog.size > 0
            self._is_poked = False
        try:
            self._write_all(self._frame(due))
        except OSError as error:
            self._give_up(error)
            return False
        return goes_on

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:  # somebody else made it non-blocking
                select.select([], [self._fd], [])

    def _give_up(self, error: OSError) -> None:
        with self._lock:
            self._is_broken = True
            self._backlog = _Backlog(0)
        if error.errno in (errno.EPIPE, errno.EIO):
            self._hung_up()
        else:  # a full disk is no reason to end the run
            tell_stderr(f"cannot write to {self._name}: {error.strerror}")
            self._failed()


def _is_regular(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False  # it is closed, as whoever writes to it will be told


class _Backlog:
    """Whole lines that wait, oldest first. What is in memory is always older than what is in the file."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._memory: list[bytes] = []
        self._memory_bytes = 0
        self._file: IO[bytes] | None = None
        self._written = 0
        self._read = 0

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._memory_bytes + self._written - self._read

    def append(self, data: bytes) -> None:
        """Raises OSError when memory is full and a temporary file cannot be written."""
        if self._read == self._written and self._memory_bytes + len(data) <= self._limit:
            self._memory.append(data)
            self._memory_bytes += len(data)
            return
        if self._file is None:
            from tempfile import TemporaryFile

            self._file = TemporaryFile(prefix="minikubelet-")  # noqa: SIM115
        view, at = memoryview(data), self._written
        while view:
            count = os.pwrite(self._file.fileno(), view, at)
            view, at = view[count:], at + count
        self._written = at  # only now: of a failure nothing is left

    def take(self) -> bytes:
        """The oldest of it, in whole lines."""
        if self._memory:
            data = b"".join(self._memory)
            self._memory, self._memory_bytes = [], 0
            return data
        if self._file is None or self._read == self._written:
            return b""
        data = os.pread(self._file.fileno(), min(_READ_BACK, self._written - self._read), self._read)
        if self._read + len(data) < self._written:
            data = data[: data.rfind(b"\n") + 1] or data
        self._read += len(data)
        if self._read == self._written:
            self._file.truncate(0)
            self._read = self._written = 0
        return data


def tell_stderr(message: str) -> None:
    """One line on standard error, if there is one."""
    try:
        os.write(2, f"minikubelet: {message}\n".encode(errors="backslashreplace"))
    except OSError:
        pass
