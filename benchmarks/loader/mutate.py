"""Bytes to other bytes: the mutations of a fuzzer that has read YAML before.

Half of them keep lines and indentation, so that enough of what comes out is still YAML.
"""

from collections.abc import Sequence
from random import Random

from benchmarks.loader.generate import ODD

TOKENS = (
    *(word.encode() for word in ODD),
    b"---\n",
    b"...\n",
    b"- ",
    b": ",
    b"? ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"|\n",
    b">-\n",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!binary ",
    b"!<",
    b"%YAML 1.1\n",
    b"%TAG ! x\n",
    b"#",
    b"'",
    b'"',
    b"\\u",
    b"\\ud800",
    b"\t",
    b"\r",
    b"\r\n",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\xf4\x90\x80\x80",
    b"{{ x }}",
)


def mutated(data: bytes, random: Random, corpus: Sequence[bytes], max_size: int) -> bytes:
    """`data` with one to four changes; `corpus` is where other pieces come from."""
    for _ in range(random.choice((1, 1, 2, 4))):
        data = _by_lines(data, random, corpus) if random.random() < 0.55 else _by_bytes(data, random)
    return data[:max_size]


def _by_lines(data: bytes, random: Random, corpus: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    line = lines[at]
    match random.randrange(8):
        case 0:
            del lines[at]
        case 1:
            lines.insert(random.randrange(len(lines) + 1), line)
        case 2:
            lines[at] = b" " * random.randrange(5) + line.lstrip()
        case 3 | 4:
            head, colon, _ = line.partition(b": ")
            lines[at] = (head + colon if colon else b"") + random.choice(TOKENS)
        case 5:
            head, colon, rest = line.partition(b":")
            lines[at] = head + random.choice(TOKENS) + colon + rest
        case 6:
            other = random.choice(corpus).split(b"\n")
            start = random.randrange(len(other))
            lines[at:at] = other[start : start + random.randrange(1, 6)]
        case _:
            last = random.randrange(at, min(len(lines), at + 8)) + 1
            block, lines[at:last] = lines[at:last], []
            place = random.randrange(len(lines) + 1)
            lines[place:place] = block
    return b"\n".join(lines)


def _by_bytes(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    end = at + random.choice((0, 1, 1, 2, 4, 16))
    match random.randrange(5):
        case 0:
            new = random.choice(TOKENS)
        case 1:
            new = random.randbytes(random.choice((1, 2, 4)))
        case 2:
            new = data[at:end] * random.choice((2, 3, 50))
        case 3:
            new = bytes(byte ^ (1 << random.randrange(8)) for byte in data[at:end])
        case _:
            new = b""
    return data[:at] + new + data[end:]
