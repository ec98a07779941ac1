"""Files of environment variables that containers write for each other (ENV-16, KEP-3721).

An init container leaves such a file in an emptyDir, and `fileKeyRef` takes one variable of it for a container
that need not mount the volume. The format is what every POSIX shell reads in the same way and no more:
`NAME='value'`, always in single quotes, which may span lines. Whatever was planted in the volume, nothing
outside of it is read, nothing is waited for, and not more than `MAX_SIZE`.
"""

import os
from pathlib import Path

from minikubelet.runtime.planted import names_inside, open_beneath, open_regular

MAX_SIZE = 1 << 20
"Bytes; execve(2) takes no single variable of more than 128 KiB."


def read_variable(volume: Path, path: str, key: str) -> str:
    """The value of `key` in the file at `path` in a volume; empty if it is not there.

    Raises `ValueError` for what is not such a file, in words for people, and `OSError`.
    """
    root, (*folders, name) = names_inside(volume, path)
    folder = open_beneath(root, folders)
    try:
        fd = open_regular(f"/proc/self/fd/{folder}/{name}", os.O_RDONLY)
    finally:
        os.close(folder)
    with open(fd, "rb") as file:
        content = file.read(MAX_SIZE + 1)
    if len(content) > MAX_SIZE:
        raise ValueError(f"it is larger than {MAX_SIZE} bytes")
    return find_variable(content.decode(errors="surrogateescape"), key)


def find_variable(text: str, key: str) -> str:
    """The value of `key`, empty if there is none; nothing is looked at beyond. Raises `ValueError`."""
    start = 0
    while start < len(text):
        end = _end_of_line(text, start)
        line = text[start:end].lstrip()
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            opening = end - len(value)
            closing = text.find("'", opening + 1)
            fault = ""
            if not name or not equals:
                fault = "not of the form NAME='value'"
            elif name[-1].isspace():
                fault = "whitespace before '=' is not allowed"
            elif not value.startswith("'"):
                fault = "the value must be enclosed in single quotes"
            elif closing < 0:
                fault = "the quote is never closed"
            else:
                end = _end_of_line(text, closing)
                rest = text[closing + 1 : end]
                if rest.strip() and not (rest[0].isspace() and rest.lstrip().startswith("#")):
                    fault = "unexpected content after the closing quote"
            if fault:
                raise ValueError(f"line {text.count(chr(10), 0, start) + 1}: {fault}")
            if name == key:
                return text[opening + 1 : closing]
        start = end + 1
    return ""


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end
