"""Container output to log files in the CRI layout and format, and the end of them back.

A file holds one instance (LOG-1); `CriEncoder` knows the format, `ContainerLog` the files, their
rotation and their ends. Neither knows where the output comes from. The one idea: a chunk as it came
from the pipe is prefixed with a single `bytes.replace` and a single reading of the clock, so a line
costs no Python of its own.
"""

import os
import threading
from collections.abc import Callable, Sequence
from time import gmtime, strftime, time_ns
from typing import Literal

from minikubelet.api.patterns import pattern
from minikubelet.runtime.planted import open_regular

StreamName = Literal["stdout", "stderr"]
Sink = Callable[[StreamName, bytes], None]
"""Is shown every chunk as it came. Must not block: what is slow (a terminal) queues for itself."""

LINE_LIMIT = 16384
"Bytes of content in one entry; longer lines are cut into entries tagged P before the last one (LOG-3)."
ROTATE_BYTES = 10 * 1024 * 1024
ROTATE_FILES = 5
"LOG-5: `containerLogMaxSize` and `containerLogMaxFiles`, the active file included."


_ATTEMPT = pattern("[0-9]{1,18}")


def log_directory(root: str, namespace: str, pod_name: str, uid: str, container: str) -> str:
    """Where the instances of a container have their logs (LOG-1)."""
    return f"{root}/{namespace}_{pod_name}_{uid}/{container}"


def log_path(directory: str, attempt: int) -> str:
    """The log of the instance with that restart count (LOG-1)."""
    return f"{directory}/{attempt}.log"


class CriEncoder:
    """Turns the bytes of one stream into log entries (LOG-2, LOG-3). Pure: the time is given.

    A line is written when it is complete or over-long; until then at most one chunk of it is kept.
    """

    __slots__ = ("_full", "_partial", "_rest")

    def __init__(self, stream: StreamName) -> None:
        self._full = b" %b F " % stream.encode()
        self._partial = b" %b P " % stream.encode()
        self._rest = b""

    def encode(self, chunk: bytes, now: bytes) -> Sequence[bytes | memoryview]:
        """Whole entries, as pieces to be written one after another. `now` is their RFC 3339 time."""
        last = chunk.rfind(b"\n")
        if last < 0:
            rest = self._rest + chunk
            if len(rest) > LINE_LIMIT:
                return self._encode_long(rest, now)
            self._rest = rest
            return ()
        if len(self._rest) + chunk.find(b"\n") > LINE_LIMIT or _has_long_line(chunk):
            return self._encode_long(self._rest + chunk, now)
        prefix = now + self._full
        entries = chunk.replace(b"\n", b"\n" + prefix)
        begun, self._rest = self._rest, chunk[last + 1 :]
        return prefix, begun, memoryview(entries)[: len(entries) - len(prefix) - len(self._rest)]

    def finish(self, now: bytes) -> Sequence[bytes]:
        """The stream has ended. A last line without newline stays a partial one, as containerd and conmon
        write it: so the file tells every byte of the output (TMSG-3)."""
        rest, self._rest = self._rest, b""
        return (now + self._partial, rest, b"\n") if rest else ()

    def _encode_long(self, data: bytes, now: bytes) -> Sequence[bytes]:
        partial, full = now + self._partial, now + self._full
        pieces: list[bytes] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            line = _cut(line, partial, pieces)
            pieces += (full, line, b"\n")
        self._rest = _cut(rest, partial, pieces)
        return pieces


def _cut(line: bytes, partial: bytes, pieces: list[bytes]) -> bytes:
    """Move all of an over-long line but its last piece to `pieces`; the last piece."""
    start = 0
    while len(line) - start > LINE_LIMIT:
        pieces += (partial, line[start : start + LINE_LIMIT], b"\n")
        start += LINE_LIMIT
    return line[start:]


def _has_long_line(chunk: bytes) -> bool:
    """Hop from newline to newline in the longest strides that are allowed: four or five in 64 KiB."""
    start = 0
    while len(chunk) - start > LINE_LIMIT:
        start = chunk.rfind(b"\n", start, start + LINE_LIMIT + 1) + 1
        if not start:
            return True
    return False


class ContainerLog:
    """The log of one instance. Never fails its container: what cannot be written is counted and told.

    `on_loss` gets a sentence for people when output begins to be lost and when that has ended.
    `max_bytes` and `max_files` are LOG-5's; a negative size never rotates. `sink` is shown every chunk.
    """

    __slots__ = (
        "_encoders",
        "_fd",
        "_losing_since",
        "_max_bytes",
        "_max_files",
        "_on_loss",
        "_rotated_in",
        "_sink",
        "_size",
        "_torn",
        "lost_bytes",
        "path",
        "trouble",
    )

    def __init__(
        self,
        directory: str,
        attempt: int,
        *,
        max_bytes: int = ROTATE_BYTES,
        max_files: int = ROTATE_FILES,
        on_loss: Callable[[str], None] = lambda message: None,
        sink: Sink | None = None,
    ) -> None:
        self.path = log_path(directory, attempt)
        self.lost_bytes = 0
        "Bytes of log entries that were not written."
        self.trouble = ""
        "Why not, the last time."
        self._fd = -1
        self._size = 0
        self._encoders: dict[StreamName, CriEncoder] = {}
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._on_loss = on_loss
        self._sink = sink
        self._losing_since: int | None = None
        "`lost_bytes` before the loss under way; None while all is well."
        self._rotated_in = 0
        "The second of the last rotation, by the wall clock."
        self._torn = False
        "The file ends inside an entry, because the disk was full."
        if attempt >= 2:
            remove_attempts(directory, attempt - 2)
        try:
            self._open()
        except OSError as error:
            self._lose(0, error)

    def write(self, stream: StreamName, chunk: bytes) -> None:
        """Append what one read of a pipe gave."""
        encoder = self._encoders.get(stream)
        if encoder is None:
            encoder = self._encoders[stream] = CriEncoder(stream)
        self._append(encoder.encode(chunk, _now()))
        if self._sink is not None:
            self._sink(stream, chunk)

    def close(self) -> None:
        """Both streams have ended."""
        for encoder in self._encoders.values():
            self._append(encoder.finish(_now()))
        self._encoders.clear()
        self._report_end_of_loss()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            self._fd = open_regular(self.path, flags, 0o640)
        except FileNotFoundError:
            _make_directories(os.path.dirname(self.path))
            self._fd = open_regular(self.path, flags, 0o640)
        self._size = os.lseek(self._fd, 0, os.SEEK_END)

    def _append(self, pieces: Sequence[bytes | memoryview]) -> None:
        if not pieces:
            return
        mending = int(self._torn)  # by a newline of our own, which is no loss
        if mending or len(pieces) > 1000:  # IOV_MAX is 1024
            pieces = [b"\n" * mending + b"".join(pieces)]
        length = sum(map(len, pieces))
        written = 0
        try:
            if self._fd < 0:
                self._open()
            written = os.writev(self._fd, pieces)
            while written < length:  # a disk that is full takes what fits, and says why the next time
                written += os.write(self._fd, b"".join(pieces)[written:])
        except OSError as error:
            self._torn = self._torn or written > 0
            self._size += written
            self._lose(length - max(written, mending), error)
            return
        self._torn = False
        self._size += written
        self._report_end_of_loss()
        if 0 <= self._max_bytes <= self._size:
            self._rotate()

    def _lose(self, count: int, error: OSError) -> None:
        if self._losing_since is None:
            self._losing_since = self.lost_bytes
            self.trouble = error.strerror or str(error)
            self._on_loss(f"{self.path}: {error.strerror}: output is being lost")
        self.lost_bytes += count

    def _report_end_of_loss(self) -> None:
        if self._losing_since is not None:
            lost = self.lost_bytes - self._losing_since
            self._losing_since = None
            self._on_loss(f"{self.path}: {lost} bytes of output were lost")

    def _rotate(self) -> None:
        """LOG-6. At most once a second, because of the names; LOG-5 allows files to overshoot."""
        second = time_ns() // 1_000_000_000
        if second == self._rotated_in:
            return
        self._rotated_in = second
        rotated = f"{self.path}.{strftime('%Y%m%d-%H%M%S', gmtime(second))}"
        try:
            if os.path.exists(rotated):
                return
            os.rename(self.path, rotated)
        except FileNotFoundError:
            pass  # somebody removed the log: begin a new one
        except OSError as error:
            self._on_loss(f"{self.path}: cannot be rotated: {error.strerror}")
            self._max_bytes = -1
            return
        os.close(self._fd)
        self._fd = -1
        try:
            self._open()
        except OSError as error:
            self._lose(0, error)
        arguments = self.path, self._max_files
        try:
            threading.Thread(target=tidy_rotated, name=TIDY_THREAD, args=arguments, daemon=True).start()
        except RuntimeError:
            pass  # no room for a thread (RLIMIT_NPROC); the next rotation has more to tidy then


def _make_directories(path: str) -> None:
    """As open as the log files in them (LOG-1), whatever the umask is."""
    try:
        try:
            os.mkdir(path, 0o750)
        except FileNotFoundError:
            above = os.path.dirname(path)
            if not above:
                raise
            _make_directories(above)
            os.mkdir(path, 0o750)
    except FileExistsError:
        pass  # somebody was faster; if it is no directory, opening the log will say so


class _Second:
    """The part of a timestamp that stays the same for a second."""

    number = -1
    text = b""


def _now() -> bytes:
    """RFC 3339 with nanoseconds, UTC (LOG-2)."""
    second, fraction = divmod(time_ns(), 1_000_000_000)
    if second != _Second.number:
        _Second.number = second
        _Second.text = strftime("%Y-%m-%dT%H:%M:%S.", gmtime(second)).encode()
    return b"%b%09dZ" % (_Second.text, fraction)


TIDY_THREAD = "tidy rotated logs"
_tidying = threading.Lock()


def tidy_rotated(path: str, max_files: int) -> None:
    """Of the rotated files of `path` delete the oldest and compress all but the newest (LOG-6).

    Runs in a thread of its own, one at a time (LOG-5); what one call leaves behind the next one finds.
    """
    directory, name = os.path.split(path)
    with _tidying:
        try:
            rotated = sorted(entry for entry in os.listdir(directory) if entry.startswith(name + "."))
            for entry in rotated[:]:
                if entry.endswith(".tmp"):  # a compression that was interrupted
                    os.unlink(f"{directory}/{entry}")
                    rotated.remove(entry)
            surplus = len(rotated) - (max_files - 1)
            for entry in rotated[: max(0, surplus)]:
                os.unlink(f"{directory}/{entry}")
            for entry in rotated[max(0, surplus) : -1]:
                if not entry.endswith(".gz"):
                    import gzip  # not before there is something to compress: loading it takes 10 ms
                    import shutil

                    plain = f"{directory}/{entry}"
                    written = open_regular(plain + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
                    with (
                        open(written, "wb") as file,
                        open(open_regular(plain, os.O_RDONLY), "rb") as source,
                        gzip.open(file, "wb", 1) as target,
                    ):
                        shutil.copyfileobj(source, target, 1 << 18)
                    os.rename(plain + ".tmp", plain + ".gz")
                    os.unlink(plain)
        except OSError:
            pass  # the next rotation finds what was left undone; nobody's output is lost by it


def remove_attempts(directory: str, newest: int) -> None:
    """Remove the logs of the instances up to `newest`; only the last dead instance's are kept (LOG-7)."""
    try:
        entries = os.listdir(directory)
    except OSError:
        return  # no log was ever written there, or none can be
    for entry in entries:
        attempt, _, suffix = entry.partition(".")
        if suffix.startswith("log") and _ATTEMPT.fullmatch(attempt) and int(attempt) <= newest:
            try:
                os.unlink(f"{directory}/{entry}")
            except OSError:
                pass  # somebody was faster; or the directory is not ours, and a new log will fail, too


def tail(path: str, max_lines: int = 80, max_bytes: int = 2048) -> str:
    """What the last `max_lines` entries of a log say, of that the last `max_bytes` bytes (TMSG-3, TMSG-5).

    Empty when there is no log.
    """
    window = max_bytes + max_lines * 64 + LINE_LIMIT + 64  # enough without the first entry, which may be cut
    try:
        with open(open_regular(path, os.O_RDONLY), "rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - window))
            entries = log.read().split(b"\n")[:-1]
    except OSError:
        return ""
    content = b""
    for entry in entries[-max_lines:]:
        fields = entry.split(b" ", 3)  # time, stream, tag, content
        if len(fields) == 4:
            content += fields[3] + (b"" if fields[2].startswith(b"P") else b"\n")
    return content[-max_bytes:].decode(errors="replace")
