"""Log files: format, splitting, rotation, losses, and the end of a log read back."""

import gzip
import os
import re
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.runtime import logs
from minikubelet.runtime.logs import (
    LINE_LIMIT,
    ContainerLog,
    CriEncoder,
    log_directory,
    tail,
    tidy_rotated,
)

NOW = b"2024-05-06T07:08:09.000000001Z"

ENTRY = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) ([FP]) ([^\n]*)\n",
)


def encoded(chunks: list[bytes]) -> bytes:
    encoder = CriEncoder("stdout")
    return b"".join(b"".join(encoder.encode(chunk, NOW)) for chunk in chunks) + b"".join(encoder.finish(NOW))


def entries(log: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """(stream, tag, content) of every entry; fails if anything is not an entry."""
    found = list(ENTRY.finditer(log))
    assert b"".join(match[0] for match in found) == log
    return [(match[1], match[2], match[3]) for match in found]


def content(log: bytes) -> bytes:
    return b"".join(text + (b"\n" if tag == b"F" else b"") for _, tag, text in entries(log))


chunks = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=60),
        st.lists(st.sampled_from([b"\n", b"a", b"bc"]), min_size=1).map(b"".join),
        st.integers(LINE_LIMIT - 2, LINE_LIMIT + 2).map(lambda size: b"x" * size),
        st.integers(1, 5).map(lambda lines: (b"y" * 16000 + b"\n") * lines),
        st.just(b"z" * 65536),
    ),
    max_size=8,
)


@given(chunks)
def test_any_chunking_of_any_bytes_keeps_them_all(chunks: list[bytes]) -> None:
    """LOG-2, LOG-3: the content of the entries is the output, to the byte."""
    assert content(encoded(chunks)) == b"".join(chunks)


@given(chunks)
def test_entries_do_not_depend_on_the_chunking(chunks: list[bytes]) -> None:
    """LOG-3: lines are cut by their length, not by how they came out of the pipe."""
    assert encoded(chunks) == encoded([b"".join(chunks)])


@given(chunks)
def test_no_entry_is_longer_than_the_limit_and_only_full_pieces_are_partial(chunks: list[bytes]) -> None:
    """LOG-3: pieces tagged P have the limit's length; the last one of a complete line is tagged F."""
    for _, tag, text in entries(encoded([*chunks, b"\n"])):
        assert len(text) == LINE_LIMIT if tag == b"P" else len(text) <= LINE_LIMIT


@pytest.mark.parametrize(
    ("length", "pieces"),
    [
        (LINE_LIMIT, [(b"F", LINE_LIMIT)]),
        (LINE_LIMIT + 1, [(b"P", LINE_LIMIT), (b"F", 1)]),
        (2 * LINE_LIMIT, [(b"P", LINE_LIMIT), (b"F", LINE_LIMIT)]),
        (0, [(b"F", 0)]),
    ],
)
def test_over_long_lines_are_cut(length: int, pieces: list[tuple[bytes, int]]) -> None:
    """LOG-3: what has exactly the limit is one entry; an empty line is one."""
    log = encoded([b"x" * length + b"\n"])

    assert [(tag, len(text)) for _, tag, text in entries(log)] == pieces


def test_an_unfinished_line_waits_for_its_end() -> None:
    encoder = CriEncoder("stderr")
    first = b"".join(encoder.encode(b"wait", NOW))
    second = b"".join(encoder.encode(b" for it\nand", NOW))

    assert (first, second) == (b"", NOW + b" stderr F wait for it\n")


def test_a_last_line_without_newline_stays_partial() -> None:
    """As containerd writes it (not F as LOG-3 has it), so that the log tells every byte of the output."""
    assert encoded([b"no newline"]) == NOW + b" stdout P no newline\n"


def test_time_is_rfc3339_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOG-2; across the turn of a second."""
    times = iter([1_700_000_000_000_000_007, 1_700_000_000_999_999_999, 1_700_000_001_000_000_000])
    monkeypatch.setattr(logs, "time_ns", lambda: next(times))

    assert [logs._now() for _ in range(3)] == [
        b"2023-11-14T22:13:20.000000007Z",
        b"2023-11-14T22:13:20.999999999Z",
        b"2023-11-14T22:13:21.000000000Z",
    ]


# ------------------------------------------------------------------ files


def test_each_instance_has_its_own_file(tmp_path: Path) -> None:
    """LOG-1: ROOT/NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log, made with its directories."""
    log = ContainerLog(log_directory(str(tmp_path), "default", "web", "123", "app"), 4)
    log.close()

    assert log.path == f"{tmp_path}/default_web_123/app/4.log"
    assert os.path.isfile(log.path)


def test_streams_are_kept_apart(tmp_path: Path) -> None:
    """LOG-4: half a line of each does not mix."""
    log = ContainerLog(str(tmp_path), 0)
    log.write("stdout", b"out ")
    log.write("stderr", b"err ")
    log.write("stdout", b"put\n")
    log.write("stderr", b"or\n")
    log.close()

    assert entries(Path(log.path).read_bytes()) == [
        (b"stdout", b"F", b"out put"),
        (b"stderr", b"F", b"err or"),
    ]


def test_the_sink_is_shown_every_chunk_as_it_came(tmp_path: Path) -> None:
    shown: list[tuple[str, bytes]] = []
    log = ContainerLog(str(tmp_path), 0, sink=lambda stream, chunk: shown.append((stream, chunk)))
    log.write("stdout", b"ha")
    log.write("stderr", b"lf\n")
    log.close()

    assert shown == [("stdout", b"ha"), ("stderr", b"lf\n")]


def test_the_current_and_the_previous_attempt_are_kept(tmp_path: Path) -> None:
    """LOG-7: with whatever belongs to them; foreign files are left alone."""
    for name in ("0.log", "0.log.20240101-000000.gz", "1.log", "1.log.20240101-000000", "notes.txt"):
        (tmp_path / name).touch()
    ContainerLog(str(tmp_path), 2).close()

    assert sorted(os.listdir(tmp_path)) == ["1.log", "1.log.20240101-000000", "2.log", "notes.txt"]


# ------------------------------------------------------------------ rotation


def wait_for_tidying() -> None:
    for thread in threading.enumerate():
        if thread.name == logs.TIDY_THREAD:
            thread.join(10)


def test_a_log_that_has_reached_its_size_is_rotated(tmp_path: Path) -> None:
    """LOG-5, LOG-6: size is a floor; the old file has the time in its name, nothing is lost."""
    log = ContainerLog(str(tmp_path), 0, max_bytes=100)
    log.write("stdout", b"x" * 99 + b"\n")
    log.write("stdout", b"after\n")
    log.close()
    wait_for_tidying()
    rotated = [name for name in os.listdir(tmp_path) if name != "0.log"]

    assert len(rotated) == 1
    assert re.fullmatch(r"0\.log\.\d{8}-\d{6}", rotated[0])
    assert content((tmp_path / rotated[0]).read_bytes()) == b"x" * 99 + b"\n"
    assert content((tmp_path / "0.log").read_bytes()) == b"after\n"


def test_a_negative_size_never_rotates(tmp_path: Path) -> None:
    """LOG-5."""
    log = ContainerLog(str(tmp_path), 0, max_bytes=-1)
    log.write("stdout", b"x" * 1000 + b"\n")
    log.close()

    assert os.listdir(tmp_path) == ["0.log"]


def test_two_rotations_in_a_second_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LOG-5, LOG-6: names have the second only; the file overshoots rather than replacing another."""
    monkeypatch.setattr(logs, "gmtime", lambda *seconds: time.gmtime(0))
    log = ContainerLog(str(tmp_path), 0, max_bytes=10)
    for line in (b"one\n", b"two\n", b"three\n"):
        log.write("stdout", line)
    log.close()
    wait_for_tidying()

    assert content((tmp_path / "0.log.19700101-000000").read_bytes()) == b"one\n"
    assert content((tmp_path / "0.log").read_bytes()) == b"two\nthree\n"


def test_older_files_are_compressed_and_the_oldest_deleted(tmp_path: Path) -> None:
    """LOG-6: five files with the active one; the newest rotated stays plain. Other logs are not touched."""
    for day in range(1, 7):
        (tmp_path / f"0.log.2024010{day}-000000").write_text(f"day {day}")
    (tmp_path / "0.log").write_text("active")
    (tmp_path / "0.log.20240103-000000.tmp").write_text("interrupted")
    (tmp_path / "10.log.20240101-000000").write_text("other")
    tidy_rotated(str(tmp_path / "0.log"), 5)

    assert sorted(os.listdir(tmp_path)) == [
        "0.log",
        "0.log.20240103-000000.gz",
        "0.log.20240104-000000.gz",
        "0.log.20240105-000000.gz",
        "0.log.20240106-000000",
        "10.log.20240101-000000",
    ]
    assert gzip.decompress((tmp_path / "0.log.20240104-000000.gz").read_bytes()) == b"day 4"


def test_a_removed_log_is_begun_anew_when_it_would_be_rotated(tmp_path: Path) -> None:
    log = ContainerLog(str(tmp_path), 0, max_bytes=100)
    os.unlink(log.path)
    log.write("stdout", b"x" * 100 + b"\n")
    log.write("stdout", b"after\n")
    log.close()
    wait_for_tidying()

    assert content(Path(log.path).read_bytes()) == b"after\n"


# ------------------------------------------------------------------ losses


def test_a_full_disk_is_counted_and_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container goes on; what is lost is told at the beginning and at the end."""
    told: list[str] = []
    monkeypatch.setattr(logs, "open_regular", lambda path, flags, mode: os.open("/dev/full", os.O_WRONLY))
    log = ContainerLog(str(tmp_path), 0, on_loss=told.append)
    log.write("stdout", b"first\n")
    log.write("stdout", b"second\n")
    log.close()
    lost = len(b"".join((NOW, b" stdout F first\n", NOW, b" stdout F second\n")))

    assert log.lost_bytes == lost
    assert told == [
        f"{log.path}: No space left on device: output is being lost",
        f"{log.path}: {lost} bytes of output were lost",
    ]


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_what_is_lost_is_the_same_in_one_piece_or_in_many(tmp_path: Path) -> None:
    """The newline that would mend a torn entry is none of the container's bytes."""
    lost = []
    for name, chunks in (("one", [b"a\nb\nc\n"]), ("many", [b"a\n", b"b\n", b"c\n"])):
        log = ContainerLog(str(tmp_path / name), 0)
        with file_size_limit(20):
            for chunk in chunks:
                log.write("stdout", chunk)
        log.close()
        lost.append(log.lost_bytes)
    assert lost == [3 * len(NOW + b" stdout F x\n") - 20] * 2


def test_a_torn_entry_does_not_spoil_the_next(tmp_path: Path) -> None:
    """A disk that gets full within an entry, and then has room again."""
    told: list[str] = []
    log = ContainerLog(str(tmp_path), 0, on_loss=told.append)
    with file_size_limit(60):
        log.write("stdout", b"x" * 100 + b"\n")
    log.write("stdout", b"after\n")
    log.close()
    torn, *rest = Path(log.path).read_bytes().splitlines(keepends=True)

    assert len(torn) == 60 + 1
    assert content(b"".join(rest)) == b"after\n"
    assert log.lost_bytes == len(NOW + b" stdout F ") + 101 - 60
    assert len(told) == 2


def test_a_log_that_cannot_be_made_loses_until_it_can(tmp_path: Path) -> None:
    """A file is in the place of the directory; later it is not."""
    told: list[str] = []
    (tmp_path / "pod").touch()
    log = ContainerLog(f"{tmp_path}/pod/app", 0, on_loss=told.append)
    log.write("stdout", b"lost\n")
    (tmp_path / "pod").unlink()
    log.write("stdout", b"kept\n")
    log.close()

    assert content(Path(log.path).read_bytes()) == b"kept\n"
    assert told[0].endswith("Not a directory: output is being lost")
    assert told[1:] == [f"{log.path}: {len(NOW) + len(' stdout F lost') + 1} bytes of output were lost"]


# ------------------------------------------------------------------ the end of a log


def written(tmp_path: Path, *chunks: bytes) -> str:
    log = ContainerLog(str(tmp_path), 0)
    for chunk in chunks:
        log.write("stdout", chunk)
    log.close()
    return log.path


def test_tail_gives_the_last_lines_without_prefixes(tmp_path: Path) -> None:
    """TMSG-3: 80 lines."""
    path = written(tmp_path, b"".join(b"%d\n" % number for number in range(100)))

    assert tail(path) == "".join(f"{number}\n" for number in range(20, 100))


def test_tail_gives_the_last_bytes(tmp_path: Path) -> None:
    """TMSG-3: of those lines at most 2048 bytes, from the end."""
    lines = [b"%03d" % number + b"x" * 96 + b"\n" for number in range(500)]
    path = written(tmp_path, *lines)

    assert tail(path) == b"".join(lines)[-2048:].decode()


def test_tail_joins_cut_lines(tmp_path: Path) -> None:
    path = written(tmp_path, b"x" * 40000 + b"!\nlast")

    assert tail(path) == "x" * (2048 - 6) + "!\nlast"


def test_tail_is_text(tmp_path: Path) -> None:
    """TMSG-5."""
    assert tail(written(tmp_path, b"\xff\xfe ok\n")) == "\ufffd\ufffd ok\n"


def test_tail_of_nothing_is_empty(tmp_path: Path) -> None:
    assert tail(str(tmp_path / "missing")) == ""
    assert tail(written(tmp_path)) == ""


@given(st.lists(st.binary(max_size=300)), st.integers(1, 10), st.integers(1, 400))
def test_tail_is_the_end_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], max_lines: int, max_bytes: int
) -> None:
    """TMSG-3: reading only the end of the file makes no difference."""
    output = b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines)
    path = written(tmp_path_factory.mktemp("log"), output)
    last_lines = b"".join([line + b"\n" for line in output.split(b"\n")[:-1]][-max_lines:])

    assert tail(path, max_lines, max_bytes) == last_lines[-max_bytes:].decode(errors="replace")
