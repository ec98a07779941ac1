"""What is ours is private, and nobody else makes us write somewhere."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from every_user import NOBODY, as_root

from minikubelet.runtime import private
from minikubelet.runtime.local import LocalRuntime
from minikubelet.runtime.private import check_directory, open_file, try_file, write_file

POD = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
    "spec: {restartPolicy: Never, containers: [{name: c, command: [echo, hello]}]}\n"
)


def mode(path: Path | str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def written(path: str) -> None:
    write_file(path, b"new")


def opened(path: str) -> None:
    with open(open_file(path), "w") as file:
        file.write("new")


WAYS = pytest.mark.parametrize("write", [written, opened])
Write = Callable[[str], None]


# ------------------------------------------------------------------ modes


@WAYS
def test_a_new_file_is_private_whatever_the_umask(write: Write, tmp_path: Path, no_umask: object) -> None:
    write(str(tmp_path / "file"))

    assert mode(tmp_path / "file") == 0o600


@WAYS
def test_a_file_that_was_there_keeps_its_mode(write: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o644)

    write(str(tmp_path / "file"))

    assert ((tmp_path / "file").read_text(), mode(tmp_path / "file")) == ("new", 0o644)


def test_the_run_directory_can_be_looked_into_by_nobody_else(no_umask: object) -> None:
    """Searched only, so that a container that runs as somebody else gets to its own files; below it volumes
    and logs are closed."""
    runtime = LocalRuntime()
    try:
        assert mode(runtime.run_dir) == 0o711
    finally:
        runtime.close()


def test_all_that_a_run_leaves_is_private_whatever_the_umask(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(POD)
    words = ["--log-dir", "logs", "--status-file", "status.json", "--events-file", "events.jsonl"]
    argv = [sys.executable, "-m", "minikubelet", "run", "pod.yaml", *words]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    subprocess.run(argv, cwd=tmp_path, env=environment, check=True, capture_output=True, umask=0)
    places = [place for place in tmp_path.rglob("*") if place.name != "pod.yaml"]

    assert len(places) > 5
    assert [place for place in places if mode(place) & 0o027] == []


# ------------------------------------------------------------------ places


@WAYS
def test_our_own_symlink_is_followed_and_stays(write: Write, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")

    write(str(tmp_path / "link"))

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_a_file_is_replaced_not_written_over(tmp_path: Path) -> None:
    """A hard link that somebody made beforehand keeps what it had."""
    (tmp_path / "file").write_text("old")
    os.link(tmp_path / "file", tmp_path / "other")

    write_file(str(tmp_path / "file"), b"new")

    assert (tmp_path / "other").read_text() == "old"


def test_the_name_of_the_temporary_file_cannot_be_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And if it were, what is there would not be followed."""
    (tmp_path / "target").write_text("precious")
    monkeypatch.setattr(private, "_temporary", lambda path: str(tmp_path / "known"))
    (tmp_path / "known").symlink_to("target")

    with pytest.raises(FileExistsError):
        write_file(str(tmp_path / "file"), b"new")
    with pytest.raises(FileExistsError):
        try_file(str(tmp_path / "file"))
    assert (tmp_path / "target").read_text() == "precious"


@as_root
def test_a_symlink_of_somebody_else_is_not_followed(directory: Path) -> None:
    (directory / "target").write_text("precious")
    (directory / "link").symlink_to("target")
    os.chown(directory / "link", NOBODY, NOBODY, follow_symlinks=False)
    for write in (written, opened, try_file):
        with pytest.raises(PermissionError, match="belongs to another user"):
            write(str(directory / "link"))

    assert (directory / "target").read_text() == "precious"


@as_root
def test_a_file_that_somebody_else_has_put_into_a_shared_directory_is_not_written(directory: Path) -> None:
    directory.chmod(0o1777)
    (directory / "file").touch()
    os.chown(directory / "file", NOBODY, NOBODY)
    for write in (written, opened, try_file):
        with pytest.raises(PermissionError, match="belongs to another user"):
            write(str(directory / "file"))


@as_root
def test_a_directory_of_somebody_else_is_refused(directory: Path) -> None:
    os.chown(directory, NOBODY, NOBODY)

    with pytest.raises(PermissionError, match="belongs to another user"):
        check_directory(str(directory))


@as_root
def test_a_run_directory_is_not_made_where_somebody_else_could_exchange_it(directory: Path) -> None:
    os.chown(directory, NOBODY, NOBODY)
    (directory / "pod.yaml").write_text(POD)
    done = subprocess.run(
        [sys.executable, "-m", "minikubelet", "run", str(directory / "pod.yaml")],
        env={**os.environ, "TMPDIR": str(directory)},
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert "it belongs to another user" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(directory) == ["pod.yaml"]


@as_root
def test_a_log_directory_of_somebody_else_is_refused_in_one_line(directory: Path) -> None:
    (directory / "logs").mkdir()
    os.chown(directory / "logs", NOBODY, NOBODY)
    (directory / "pod.yaml").write_text(POD)
    argv = [sys.executable, "-m", "minikubelet", "run", str(directory / "pod.yaml")]
    done = subprocess.run([*argv, "--log-dir", str(directory / "logs")], capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr == f"{directory}/logs: cannot be written: it belongs to another user\n"
