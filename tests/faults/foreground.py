"""`minikubelet run` in a process of its own, in a world where something is wrong.

What is wrong is said in Python (`prelude`), which runs in that process before minikubelet is loaded: it sets
limits for real, or makes a function of the operating system fail where that cannot be had for real.
"""

import json
import os
import select
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIMIT = 60  # seconds for anything that is waited for; all of it takes a few

RETRY_SOON = """
from functools import partial
import minikubelet.cli.options as options
options.LifecycleSettings = partial(options.LifecycleSettings, retry_delay=0.1, backoff_base=0.1)
"""

MAIN = "import sys; from minikubelet.cli.main import main; sys.exit(main())"


def container(script: str, name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox", "command": ["sh", "-c", script], **fields}


def pod(*containers: dict[str, Any], policy: str = "Never", **spec: Any) -> str:
    body = {"restartPolicy": policy, "containers": list(containers), **spec}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": body})


class Run:
    """A run under way. Its output is read only when it is asked for."""

    def __init__(self, folder: Path, manifest: str, *arguments: str, prelude: str = "", **popen: Any) -> None:
        (folder / "manifest.yaml").write_text(manifest)
        (folder / "started.py").write_text(f"{textwrap.dedent(prelude)}\n{MAIN}\n")
        command = [sys.executable, "started.py", "run", "manifest.yaml", *arguments]
        root = Path(__file__).parent.parent.parent
        environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), "PYTHONPATH": str(root)}
        popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
        self.process = subprocess.Popen(command, cwd=folder, env=environment, **popen)
        self.seen = b""

    def wait_for(self, text: str) -> None:
        """Read until `text` was printed."""
        while text.encode() not in self.seen:
            self.wait_for_more()

    def wait_for_more(self) -> None:
        """Read what is printed next."""
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], LIMIT)
        data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
        assert data, f"nothing more was printed than {self.seen.decode()!r}"
        self.seen += data

    def end(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr; no traceback in either."""
        out, err = self.process.communicate(timeout=LIMIT)
        out, err = self.seen + (out or b""), err or b""
        assert b"Traceback" not in out + err, err.decode(errors="replace")
        return self.process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


@contextmanager
def run(folder: Path, manifest: str, *arguments: str, prelude: str = "", **popen: Any) -> Iterator[Run]:
    """What is still running at the end is killed; its guardian sees to the rest."""
    under_way = Run(folder, manifest, *arguments, prelude=prelude, **popen)
    try:
        yield under_way
    finally:
        if under_way.process.poll() is None:
            under_way.process.kill()
        under_way.process.communicate()


def run_to_end(
    folder: Path, manifest: str, *arguments: str, prelude: str = "", **popen: Any
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    with run(folder, manifest, *arguments, prelude=prelude, **popen) as under_way:
        return under_way.end()


def logged(folder: Path, name: str = "main", attempt: int = 0) -> dict[str, bytes]:
    """What a container's log says it wrote, by stream; of `--log-dir folder/logs`, rotated files included."""
    (last,) = (folder / "logs").glob(f"*/{name}/{attempt}.log")
    said: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    for file in [*sorted(last.parent.glob(f"{attempt}.log.*")), last]:
        for entry in file.read_bytes().split(b"\n")[:-1]:
            _, stream, tag, content = entry.split(b" ", 3)
            said[stream.decode()].append(content + (b"\n" if tag == b"F" else b""))
    return {stream: b"".join(pieces) for stream, pieces in said.items()}
