"""The writer: everything in order, nobody waited for."""

import os
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_fakes import Pipe
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.cli.writer import Writer, _Backlog

LINES = st.binary(max_size=30).map(lambda text: text.replace(b"\n", b" ") + b"\n")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_writes_in_the_order_given(pipe: Pipe) -> None:
    """What is written before `start` comes first."""
    writer = Writer(pipe.fd)
    writer.write(b"one\n")
    writer.start()
    writer.write(b"two\n")
    writer.close()

    assert pipe.read_all() == b"one\ntwo\n"


def test_a_reader_who_does_not_read_holds_up_nobody(pipe: Pipe) -> None:
    """Far more than fits into a pipe is taken at once, and is all there when somebody reads."""
    writer = Writer(pipe.fd, limit=1000)
    writer.start()
    lines = [b"%d\n" % n for n in range(100_000)]
    for line in lines:
        writer.write(line)

    assert writer._backlog._memory_bytes <= 1000

    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(pipe.source, 4096), b"")))
    reader.start()
    writer.close()
    os.close(pipe.fd)
    pipe.fd = -1
    reader.join()

    assert b"".join(received) == b"".join(lines)


def test_beyond_the_limit_droppable_lines_are_counted_and_the_rest_is_kept(pipe: Pipe) -> None:
    """The remark stands where the lines are missing."""
    writer = Writer(pipe.fd, limit=10, missing=lambda lines: b"(%d missing)\n" % lines)
    writer.queue(b"12345678\n", droppable=True)
    writer.queue(b"a\nb\n", droppable=True)
    writer.queue(b"c\n", droppable=True)
    writer.write(b"an event\n")
    writer.close()

    assert pipe.read_all() == b"12345678\n(3 missing)\nan event\n"


@given(st.lists(LINES | st.none()), st.integers(0, 60))
def test_a_backlog_gives_back_what_it_was_given(steps: list[bytes | None], limit: int) -> None:
    """In order and in whole lines, through memory and file alike; None stands for `take`."""
    backlog = _Backlog(limit)
    taken = []
    for step in steps:
        if step is None:
            taken.append(backlog.take())
        else:
            backlog.append(step)
        assert backlog._memory_bytes <= limit
    while backlog.size:
        taken.append(backlog.take())

    assert b"".join(taken) == b"".join(step for step in steps if step is not None)
    assert all(piece.endswith(b"\n") for piece in taken if piece)


def test_lines_missing_at_the_very_end_are_told_too(pipe: Pipe) -> None:
    """Nothing is lost in silence."""
    writer = Writer(pipe.fd, limit=0, missing=lambda lines: b"(%d missing)\n" % lines)
    writer.queue(b"a\n", droppable=True)
    writer.close()

    assert pipe.read_all() == b"(1 missing)\n"


def test_a_reader_who_left_is_reported_once_and_never_raises(pipe: Pipe) -> None:
    """EPIPE: `| head -1` has seen enough."""
    gone = threading.Semaphore(0)
    writer = Writer(pipe.fd, hung_up=gone.release)
    writer.start()
    os.close(pipe.source)
    pipe.source = -1
    writer.write(b"one\n")

    assert gone.acquire(timeout=10)

    writer.write(b"two\n")
    writer.poke()
    writer.close()

    assert not gone.acquire(blocking=False)


def test_a_pipe_that_somebody_made_non_blocking_still_gets_everything(pipe: Pipe) -> None:
    """EAGAIN is waited out on the writer's thread."""
    os.set_blocking(pipe.fd, False)
    writer = Writer(pipe.fd)
    writer.start()
    writer.write(b"x" * 200_000)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(pipe.source, 4096), b"")))
    reader.start()
    writer.close()
    os.close(pipe.fd)
    pipe.fd = -1
    reader.join()

    assert len(b"".join(received)) == 200_000


def test_a_frame_is_asked_for_without_any_text(pipe: Pipe) -> None:
    """`poke` redraws."""
    asked = threading.Semaphore(0)

    def frame(text: bytes) -> bytes:
        asked.release()
        return text + b"[block]"

    writer = Writer(pipe.fd, frame=frame)
    writer.start()
    writer.poke()
    writer.flush()

    assert asked.acquire(timeout=10)

    writer.close()

    assert pipe.read_all().startswith(b"[block]")


def test_a_regular_file_has_everything_as_soon_as_it_was_written(tmp_path: Path) -> None:
    """There is no reader who could be slow, and so no thread; what is written before `start` comes first."""
    path = tmp_path / "output"
    with open(path, "wb") as file:
        writer = Writer(file.fileno(), limit=8)
        writer.write(b"one\n")
        writer.write(b"too long for memory\n")
        before = path.read_bytes()
        writer.start()
        after_start = path.read_bytes()
        writer.write(b"two\n")

        assert (before, after_start) == (b"", b"one\ntoo long for memory\n")
        assert path.read_bytes() == after_start + b"two\n"

        writer.close()

    assert path.read_bytes() == after_start + b"two\n"


def test_a_full_disk_is_reported_once_and_never_raises(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """ENOSPC, or EFBIG: what comes after it is discarded."""
    failed: list[bool] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open(tmp_path / "output", "wb") as file:
        writer = Writer(file.fileno(), failed=lambda: failed.append(True), name="the disk")
        writer.start()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            writer.write(b"x" * (2 << 20))
            writer.write(b"more\n")
            writer.close()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert failed == [True]
    assert (tmp_path / "output").stat().st_size == 1 << 20
    assert capfd.readouterr().err == "minikubelet: cannot write to the disk: File too large\n"


def test_what_is_queued_is_written_at_the_next_flush_all_at_once(pipe: Pipe) -> None:
    """Until then the thread sleeps, and takes nothing from those who have more to do."""
    frames: list[bytes] = []

    def frame(text: bytes) -> bytes:
        frames.append(text)
        return text

    writer = Writer(pipe.fd, frame=frame)
    writer.start()
    for line in (b"one\n", b"two\n", b"three\n"):
        writer.queue(line)
    writer.flush()
    writer.close()

    assert b"one\ntwo\nthree\n" in frames
    assert pipe.read_all() == b"one\ntwo\nthree\n"


def test_the_thread_takes_no_signals(pipe: Pipe) -> None:
    """They are for the main thread, which they would not wake, only fight with."""
    before = set(threading.enumerate())
    writer = Writer(pipe.fd)
    writer.start()
    (thread,) = set(threading.enumerate()) - before
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    blocked = int(next(line for line in status.splitlines() if line.startswith("SigBlk:")).split()[1], 16)
    writer.close()

    assert blocked & 1 << signal.SIGCHLD - 1
    assert signal.SIGCHLD not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
