"""What every measurement needs in place: a folder in memory, a child to be supervised, the floors in C.

Compiled where there is a compiler, and told where there is none: then the child is a Python program, which
starts slower and is larger, and the floors in C are left out.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

PROGRAMS = Path(__file__).parent / "programs"
MEMORY = "/dev/shm"

_COMPILE = ("-O2", "-w")
_WITHOUT_LIBC = (
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-builtin",
    "-fno-asynchronous-unwind-tables",
)


@attrs.frozen
class Tools:
    """Where things are, for as long as the bench lasts."""

    folder: Path
    child: Sequence[str]
    "Begins the command line of a supervised child."
    floor: str | None
    "The floor in C; None without a compiler."
    descriptors: int
    "That a process may have open."
    notes: Sequence[str]
    "What is not as it should be, for people."

    @property
    def is_child_compiled(self) -> bool:
        return len(self.child) == 1


@contextmanager
def tools() -> Iterator[Tools]:
    place = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="minikubelet-bench-", dir=place))
    folder.chmod(0o755)
    try:
        notes = [] if place else [f"{MEMORY} cannot be written: what is timed includes writing to a disk"]
        child = _compiled(folder, "child", _WITHOUT_LIBC)
        floor = _compiled(folder, "floor", ())
        if child is None:
            notes.append(
                "no C compiler (cc) that works: the children are Python programs, whose own start of some "
                "10 ms is in every figure, and the floors in C are left out"
            )
        yield Tools(
            folder=folder,
            child=(child,) if child else (sys.executable, "-I", "-S", str(PROGRAMS / "child.py")),
            floor=floor,
            descriptors=_raise_limit(notes),
            notes=notes,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _compiled(folder: Path, name: str, options: Sequence[str]) -> str | None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    target = str(folder / name)
    command = [compiler, *_COMPILE, *options, "-o", target, str(PROGRAMS / f"{name}.c")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    return target if done.returncode == 0 else None


def _raise_limit(notes: list[str]) -> int:
    """Let us, and all that we start, have as many descriptors as we are allowed to ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            notes.append(f"the limit of open files stays at {soft}: {error}")
            return soft
    return hard if hard != resource.RLIM_INFINITY else sys.maxsize
