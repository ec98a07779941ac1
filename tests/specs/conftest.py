"""Starts runs of the manifests of `specs/` and ends them."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from spec_run import SPECS, RunSpec, SpecRun


@pytest.fixture
def run_spec(tmp_path: Path) -> Iterator[RunSpec]:
    """Starts `minikubelet run specs/NAME ARGUMENTS...`, on a terminal of its own where asked for."""
    runs: list[SpecRun] = []

    def start(name: str, *arguments: str, terminal: bool = False) -> SpecRun:
        folder = tmp_path / str(len(runs))
        folder.mkdir()
        runs.append(SpecRun(SPECS / name, arguments, folder, terminal=terminal))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def port_is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture
def free_port() -> Callable[[int], None]:
    """`free_port(5432)` fails the test where something listens there: pods share this network (LOCAL-4)."""

    def check(port: int) -> None:
        if not port_is_free(port):
            pytest.fail(f"port {port} of 127.0.0.1 is taken by another program; this test needs it")

    return check
