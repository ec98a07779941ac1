"""The log of a container holds every byte that it wrote before it died, once, in order per stream."""

import os
import signal
from pathlib import Path

import pytest
from foreground import container, logged, pod, run, run_to_end

ALL_BYTES = bytes(range(256))

WRITER = """
import os, sys
for number in range({lines}):
    os.write(1 + number % 2, b"%d and some more\\n" % number)
{end}
"""

OUTLIVED = """
if os.fork() == 0:
    os.write(1, b'child')
    os.kill(os.getppid(), 9)
    while True:
        os.write(1, b'.')  # what lives on writes as well, up to its death
os.wait()
"""

ON_TERM = """
import os, signal, sys

def write_more(*_):
    for number in range(200):
        sys.stdout.buffer.write(b''.join(b'%09d\\n' % (1000 * number + i) for i in range(1000)))
    sys.stdout.buffer.flush()  # which writes all of it, also when a signal comes in between
    os._exit(0)

signal.signal(signal.SIGTERM, write_more)
os.write(1, b'up\\n')
while True:
    signal.pause()
"""

BURSTS = """
import os, time
for _ in range(4):
    for number in range(50000):
        os.write(1, b'%06d\\n' % number)
    time.sleep(1)
"""

KEEP_ALL = """
import minikubelet.runtime.logs as logs
logs.tidy_rotated = lambda path, files: None
"""

SMALL_FILES = "logs.ContainerLog.__init__.__kwdefaults__['max_bytes'] = 300_000"

PEAK = """
import atexit, sys
status = lambda: open("/proc/self/status").read()
atexit.register(lambda: print(status().partition("VmHWM:")[2].split()[0], file=sys.stderr))
"""


def python(script: str, folder: Path) -> str:
    """A shell command that runs it."""
    (folder / "program.py").write_text(script)
    return f"exec python3 {folder}/program.py"


def difference(said: bytes, expected: bytes) -> str | None:
    """Where they differ. (pytest would compare megabytes for minutes.)"""
    if said == expected:
        return None
    at = next((i for i, (a, b) in enumerate(zip(said, expected, strict=False)) if a != b), -1)
    return f"{len(said)} bytes, not {len(expected)}; {said[at:][:40]!r} at {at}, not {expected[at:][:40]!r}"


def numbered(lines: int) -> dict[str, bytes]:
    entries = [b"%d and some more\n" % number for number in range(lines)]
    return {"stdout": b"".join(entries[::2]), "stderr": b"".join(entries[1::2])}


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("os.kill(os.getpid(), 9)", 137),
        ("os._exit(0)", 0),
        ("os.abort()", 134),
        (OUTLIVED, 137),
    ],
    ids=["SIGKILL", "exit", "abort", "a child outlives it"],
)
def test_however_it_ends_every_byte_is_in_the_log(tmp_path: Path, end: str, code: int) -> None:
    """LOG-1, LOCAL-2: written by both streams up to the last moment."""
    script = WRITER.format(lines=20001, end=end)
    _, out, _ = run_to_end(tmp_path, pod(container(python(script, tmp_path))), "--log-dir", "logs")
    said = logged(tmp_path)

    assert f"Exited: code {code}" in out
    said["stdout"] = said["stdout"].rstrip(b".").removesuffix(b"child")
    for stream, expected in numbered(20001).items():
        assert difference(said[stream], expected) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_written_while_everything_ends_is_in_the_log(tmp_path: Path, number: int) -> None:
    """A container that is told to stop writes 2 MB more; then minikubelet ends."""
    with run(tmp_path, pod(container(python(ON_TERM, tmp_path))), "--log-dir", "logs") as under_way:
        under_way.wait_for("| up")
        under_way.process.send_signal(number)
        code, _, _ = under_way.end()

    assert code == 128 + number
    expected = b"up\n" + b"".join(b"%09d\n" % i for i in range(200000))
    assert difference(logged(tmp_path)["stdout"], expected) is None


def test_rotation_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """LOG-5, LOG-6: at full speed, three times."""
    manifest = pod(container(python(BURSTS, tmp_path)))
    code, _, _ = run_to_end(tmp_path, manifest, "--log-dir", "logs", prelude=KEEP_ALL + SMALL_FILES)

    assert code == 0
    assert len(list((tmp_path / "logs").glob("*/main/0.log.*"))) >= 3
    assert difference(logged(tmp_path)["stdout"], b"".join(b"%06d\n" % i for i in range(50000)) * 4) is None


def test_lines_of_a_hundred_megabytes_take_no_memory(tmp_path: Path) -> None:
    """LOG-3: without a newline from beginning to end, and the supervisor stays below 150 MB."""
    script = "import os\nfor _ in range(1600): os.write(1, b'x' * 65536)\n"
    manifest = pod(container(python(script, tmp_path)))
    with open(os.devnull, "wb") as null:
        code, _, err = run_to_end(
            tmp_path, manifest, "--log-dir", "logs", prelude=PEAK + KEEP_ALL, stdout=null
        )

    assert code == 0
    assert difference(logged(tmp_path)["stdout"], b"x" * 65536 * 1600) is None
    assert int(err.split()[-1]) < 150 * 1024


def test_binary_output_is_kept_and_shown_harmlessly(tmp_path: Path) -> None:
    """Every byte there is, NUL and invalid UTF-8 included; `-o json` stays JSON."""
    (tmp_path / "bytes").write_bytes(ALL_BYTES * 3)
    manifest = pod(container(f"cat {tmp_path}/bytes; cat {tmp_path}/bytes >&2"))
    code, out, _ = run_to_end(tmp_path, manifest, "--log-dir", "logs", "-o", "json")

    assert code == 0
    assert logged(tmp_path) == {"stdout": ALL_BYTES * 3, "stderr": ALL_BYTES * 3}
    assert all(line.startswith("{") and line.endswith("}") for line in out.splitlines())
