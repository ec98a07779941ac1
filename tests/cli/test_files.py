"""What a run leaves behind for programs."""

import json
import os
from pathlib import Path

import pytest
from cli_fakes import make_event, make_pod

from minikubelet.cli.files import EventsFile, write_status_file
from minikubelet.runtime.private import try_file


def test_each_event_is_in_the_file_when_it_was_told(tmp_path: Path) -> None:
    """Whoever follows the file is never behind; `sequence` counts from 1."""
    path = tmp_path / "events"
    path.write_text("of an earlier run\n")
    events = EventsFile(str(path))
    events.event(make_event("Started", "Started container main"))

    (first,) = map(json.loads, path.read_text().splitlines())

    events.event(make_event("Killing", "Stopping container main"))
    second = json.loads(path.read_text().splitlines()[1])
    events.close()

    assert (first["sequence"], first["reason"], first["kind"]) == (1, "Started", "Event")
    assert (second["sequence"], second["reason"]) == (2, "Killing")


def test_a_pipe_nobody_reads_does_not_hold_up_the_events(tmp_path: Path) -> None:
    """More than a pipe holds; all of it arrives once somebody reads."""
    source, target = os.pipe()
    events = EventsFile(f"/dev/fd/{target}")
    os.close(target)
    for _ in range(1000):
        events.event(make_event("Started", "x" * 100))
    with open(source) as stream:
        lines = [json.loads(stream.readline()) for _ in range(1000)]
    events.close()

    assert [line["sequence"] for line in lines] == list(range(1, 1001))


def test_a_full_disk_is_told_once_and_remembered(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on; `failed` makes its exit code 1."""
    monkeypatch.setattr("minikubelet.cli.writer._is_regular", lambda fd: True)
    events = EventsFile("/dev/full")
    events.event(make_event("Started"))
    events.event(make_event("Started"))
    events.close()

    assert events.failed
    assert capfd.readouterr().err.count("/dev/full") == 1


def test_a_device_that_takes_nothing_is_told_by_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    """It is written by the writer's thread, which is not to blame standard output."""
    events = EventsFile("/dev/full")
    events.event(make_event("Started"))
    events.close()

    assert events.failed
    assert capfd.readouterr().err == "minikubelet: cannot write to /dev/full: No space left on device\n"


def test_the_status_file_is_a_list_of_the_final_objects(tmp_path: Path) -> None:
    """A v1 List, and nothing else is left in its directory."""
    path = tmp_path / "status.json"
    try_file(str(path))

    assert list(tmp_path.iterdir()) == []

    write_status_file(str(path), [make_pod("a"), make_pod("b")])
    written = json.loads(path.read_text())

    assert (written["apiVersion"], written["kind"]) == ("v1", "List")
    assert [item["metadata"]["name"] for item in written["items"]] == ["a", "b"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    """What it points to is replaced."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_status_file(str(tmp_path / "link"), [])

    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "target").read_text())["items"] == []


def test_a_device_is_written_to_not_replaced() -> None:
    """/dev/null stays what it is."""
    try_file("/dev/null")
    write_status_file("/dev/null", [])

    assert not os.path.isfile("/dev/null")


def test_a_status_file_that_cannot_be_written_is_noticed_beforehand(tmp_path: Path) -> None:
    """Nothing has been started yet."""
    with pytest.raises(FileNotFoundError):
        try_file(str(tmp_path / "missing" / "status.json"))
    with pytest.raises(IsADirectoryError):
        try_file(str(tmp_path))
