"""A small reader of shell scripts: words, lists, loops and groups, and nothing that would have to be run.

For those who have to guess what a `sh -c` in a manifest will do. Arbitrary text is taken; what is not
understood is left out.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from posixpath import basename
from typing import NamedTuple

from minikubelet.api.values import evolve, frozen

SHELLS = frozenset(("sh", "bash", "dash", "ash", "ksh", "zsh"))


class ScriptInArgv(NamedTuple):
    shell: str
    script: str


def script_in(argv: Sequence[str]) -> ScriptInArgv | None:
    """The script of `sh -c SCRIPT`, `bash -euo pipefail -c SCRIPT`, `busybox sh -c SCRIPT`."""
    words = list(argv)
    if words and basename(words[0]) == "busybox":
        del words[0]
    if not words or basename(words[0]) not in SHELLS:
        return None
    shell = basename(words.pop(0))
    has_script = False
    while words and words[0][:1] in "-+" and len(words[0]) > 1:
        option = words.pop(0)
        letters = "" if option.startswith("--") else option[1:]
        has_script = has_script or (option[0] == "-" and "c" in letters)
        if letters.endswith(("o", "O")) and words:
            del words[0]
    return ScriptInArgv(shell, words[0]) if has_script and words else None


@frozen
class Command:
    """A simple command of a script."""

    words: tuple[str, ...]
    "Without quotes and redirections; expansions are left as they are."
    end: str = ""
    "What comes after it: `;` (also a new line), `&`, `&&`, `||`, `|`, or nothing: it is the last."
    inside: tuple[str, ...] = ()
    "The groups around it, outermost first: `while` (its condition), `while do`, `if`, `(`, `{`, `function`."


def commands_of(script: str) -> list[Command]:
    """The simple commands of a script in order; here-documents and comments are passed over."""
    found: list[Command] = []
    inside: list[str] = []
    words: list[str] = []

    def flush(end: str) -> None:
        while len(words) > 1 and re.match(r"[A-Za-z_]\w*=", words[0]):  # NAME=value program
            del words[0]
        if words:
            found.append(Command(tuple(words), end, tuple(inside)))
            words.clear()
        elif found and end in ("&", "|"):  # after `done` or `)`
            found[-1] = evolve(found[-1], end=end)

    tokens = [*_tokens(script), (True, ";")]
    for (is_operator, text), following in pairwise(tokens):
        if words[:1] == ["[["] and words[-1] != "]]":  # bash's own test: no operators in it
            words.append(text)
        elif is_operator:
            if text == "(" and words:
                if following == (True, ")"):  # name() { ...; }
                    words.clear()
                    inside.append("function")
            elif text == "(":
                inside.append("(")
            elif text == ")":
                flush(";")
                if inside and inside[-1] == "(":
                    inside.pop()
            else:
                flush(text)
        elif words:
            words.append(text)
        elif text in ("while", "until", "if", "for", "case", "{"):
            if inside[-1:] == ["function"] and text == "{":
                continue
            inside.append(text)
        elif text == "do" and inside:
            inside[-1] += " do"
        elif text in ("done", "fi", "esac", "}"):
            if inside:
                inside.pop()
        elif text not in ("then", "else", "elif", "do", "in", "!", "time"):
            words.append(text)
    flush("")
    if found and found[-1].end == ";" and not found[-1].inside:
        found[-1] = evolve(found[-1], end="")  # a new line at the end of a block of text
    return found


def loops_forever(script: str) -> bool:
    """`while true`, `while :`, `until false`, `for ((;;))`, `while sleep 5`, and no way out."""
    if re.search(r"\bfor\s*\(\(\s*;\s*;", script):
        return True
    commands = commands_of(script)
    for position, command in enumerate(commands):
        loop = command.inside[-1:]
        is_endless = (loop == ("while",) and _is_true(command.words)) or (
            loop == ("until",) and command.words == ("false",)
        )
        if is_endless:
            depth = len(command.inside)
            ways_out = ("break", "exit", "return", "exec")
            body = []
            for later in commands[position + 1 :]:
                if len(later.inside) < depth or not later.inside[depth - 1].endswith(" do"):
                    break
                body.append(later)
            if not any(later.words[0] in ways_out for later in body):
                return True
    return False


def _is_true(words: Sequence[str]) -> bool:
    return tuple(words) in (("true",), (":",), ("[", "1", "]"), ("1",)) or words[0] == "sleep"


def sleep_seconds(words: Sequence[str]) -> float | None:
    """The length of `sleep N`, with coreutils' units; None for any other command."""
    if len(words) < 2 or basename(words[0]) != "sleep":
        return None
    total = 0.0
    for word in words[1:]:
        match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+|inf|infinity)([smhd]?)", word)
        if match is None:
            return None
        total += float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
    return total


_OPERATOR = re.compile(r"&&|\|\||;;|[;&|()\n]")
_REDIRECTION = re.compile(r"\d*(?:<<<|<<-?|<>|>>|>\||[<>]&?|&>>?)")


def _tokens(script: str) -> Iterator[tuple[bool, str]]:
    """(is an operator, its text); `;` stands for the end of a line and for `;;` too."""
    position, size = 0, len(script)
    documents: list[str] = []
    while position < size:
        char = script[position]
        redirection = _REDIRECTION.match(script, position)
        operator = _OPERATOR.match(script, position)
        if char in " \t\r" or script.startswith("\\\n", position):
            position += 1 + (char == "\\")
        elif char == "#":
            position = _end_of_line(script, position)
        elif redirection is not None:
            position = redirection.end()
            while position < size and script[position] in " \t":
                position += 1
            target, position = _word(script, position)
            if redirection[0].lstrip("0123456789") in ("<<", "<<-"):
                documents.append(target)
        elif operator is not None:
            position = operator.end()
            if operator[0] == "\n":
                for delimiter in documents:
                    position = _after_document(script, position, delimiter)
                documents.clear()
            yield True, ";" if operator[0] in ("\n", ";;") else operator[0]
        else:
            word, position = _word(script, position)
            yield False, word


def _word(script: str, position: int) -> tuple[str, int]:
    """A word without its quotes, and where it ends."""
    parts: list[str] = []
    size = len(script)
    while position < size and script[position] not in " \t\r\n;&|<>()":
        char = script[position]
        end = position + 1
        if char == "'":
            end = _find(script, "'", end)
            parts.append(script[position + 1 : end - 1])
        elif char == '"':
            while end < size and script[end] != '"':
                end += 2 if script[end] == "\\" else 1
            parts.append(script[position + 1 : end])
            end += 1
        elif char == "\\":
            end += 1
            parts.append(script[position + 1 : end])
        elif char == "`":
            end = _find(script, "`", end)
            parts.append(script[position:end])
        elif script.startswith(("$(", "${"), position):
            end = _closing(script, position + 1)
            parts.append(script[position:end])
        else:
            parts.append(char)
        position = end
    return "".join(parts), position


def _find(script: str, what: str, position: int) -> int:
    """Just after the next `what`, or the end."""
    found = script.find(what, position)
    return len(script) if found < 0 else found + 1


def _closing(script: str, position: int) -> int:
    """Just after the parenthesis or brace that closes the one at `position`."""
    depth = 0
    while position < len(script):
        depth += (script[position] in "({") - (script[position] in ")}")
        position += 1
        if depth == 0:
            break
    return position


def _end_of_line(script: str, position: int) -> int:
    found = script.find("\n", position)
    return len(script) if found < 0 else found


def _after_document(script: str, position: int, delimiter: str) -> int:
    while position < len(script):
        end = _end_of_line(script, position)
        line = script[position:end]
        position = end + 1
        if line.strip() == delimiter:
            break
    return position
