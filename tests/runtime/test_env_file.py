"""Variables from files that containers leave in a volume (ENV-16)."""

import os
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minikubelet.runtime.env_file import MAX_SIZE, find_variable, read_variable


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A='1'\nKEY='two words'\n", "two words"),
        ("  \t KEY='x'", "x"),
        ("# KEY='no'\n\n \nKEY='x'\n", "x"),
        ("KEY='a#b=c\\n$HOME\"'\n", 'a#b=c\\n$HOME"'),
        ("KEY='x' # a comment", "x"),
        ("KEY='x'  \t", "x"),
        ("A='1\n2'\nKEY='\n 1\n\n 2 '\n", "\n 1\n\n 2 "),
        ("KEY='first'\nKEY='second'", "first"),
        ("KEY='x'\nnot such a line", "x"),
        ("KEYS='x'\nOTHER='KEY='", ""),
        ("KEY=''\n", ""),
        ("", ""),
    ],
)
def test_env_16_what_a_file_says(text: str, value: str) -> None:
    assert find_variable(text, "KEY") == value


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("A='1'\nB\nKEY='x'", "line 2: not of the form NAME='value'"),
        ("='x'", "line 1: not of the form NAME='value'"),
        ("A='1\n2'\n\nKEY ='x'", "line 4: whitespace before '=' is not allowed"),
        ("KEY= 'x'", "line 1: the value must be enclosed in single quotes"),
        ("KEY=x", "line 1: the value must be enclosed in single quotes"),
        ('KEY="x"', "line 1: the value must be enclosed in single quotes"),
        ("KEY='x\nKEY=", "line 1: the quote is never closed"),
        ("A='1'\nKEY='x''y'", "line 2: unexpected content after the closing quote"),
        ("KEY='x'#y", "line 1: unexpected content after the closing quote"),
    ],
)
def test_env_16_what_no_such_file_says(text: str, fault: str) -> None:
    with pytest.raises(ValueError) as caught:
        find_variable(text, "KEY")

    assert str(caught.value) == fault


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.text("'\"$`\\# \n=ab", max_size=6)), max_size=4))
@example([("A", "1"), ("B", "a\n# b")])
def test_env_16_a_shell_reads_the_same(lines: list[tuple[str, str]]) -> None:
    """Whatever we accept."""
    text = "".join(f"{name}='{value}'\n" for name, value in lines)
    try:
        found = [find_variable(text, name) for name in "ABC"]
    except ValueError:
        return
    if len({name for name, _ in lines}) < len(lines):
        return  # in a shell the last one counts

    script = f'{text}printf "%s|" "$A" "$B" "$C"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env={}, check=True).stdout
    assert said == "".join(f"{value}|" for value in found)


@given(st.text(string.ascii_uppercase + "=' #\n\0é", max_size=40))
def test_env_16_whatever_is_in_the_file_is_an_answer_or_a_fault(text: str) -> None:
    try:
        assert isinstance(find_variable(text, "A"), str)
    except ValueError as error:
        assert str(error).startswith("line ")


# ------------------------------------------------------------------ in a volume


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    place = tmp_path / "volume"
    place.mkdir()
    return place


def test_env_16_a_link_within_the_volume_is_followed(volume: Path) -> None:
    (volume / "a").mkdir()
    (volume / "a" / "real").write_text("KEY='x'")
    (volume / "link").symlink_to("a/real")

    assert read_variable(volume, "link", "KEY") == read_variable(volume, "a/real", "KEY") == "x"


def test_env_16_names_may_begin_with_dots(volume: Path) -> None:
    """As those of what an atomic writer makes; only `..` itself leads out."""
    (volume / "..data").mkdir()
    (volume / "..data" / "f").write_text("KEY='x'")

    assert read_variable(volume, "..data/f", "KEY") == "x"


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd"])
def test_env_16_a_link_out_of_the_volume_is_not(volume: Path, target: str) -> None:
    (volume.parent / "secret").write_text("KEY='outside'")
    (volume / "link").symlink_to(target)

    with pytest.raises(ValueError, match="link is not within the volume"):
        read_variable(volume, "link", "KEY")


def test_env_16_nothing_else_is_waited_for(volume: Path) -> None:
    """Neither for the writer of a pipe nor for the end of what has none."""
    os.mkfifo(volume / "pipe")
    (volume / "large").write_text("#" * (MAX_SIZE + 1))
    (volume / "folder").mkdir()

    for path in ("pipe", "folder", ".", "nothing", "nothing/else"):
        with pytest.raises(OSError):
            read_variable(volume, path, "KEY")
    with pytest.raises(ValueError, match="larger than 1048576 bytes"):
        read_variable(volume, "large", "KEY")


def test_env_16_bytes_reach_the_process_as_they_are(volume: Path) -> None:
    (volume / "f").write_bytes(b"KEY='\xff\xc3\xa9'")

    assert os.fsencode(read_variable(volume, "f", "KEY")) == b"\xff\xc3\xa9"
