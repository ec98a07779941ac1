"""Starts runs of the manifests of `specs/` and ends them."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from spec_run import SPECS, RunSpec, SpecRun


@pytest.fixture
def run_spec(tmp_path: Path, free_port: Callable[[int], None]) -> Iterator[RunSpec]:
    """Starts `minikubelet run specs/NAME ARGUMENTS...`, on a terminal of its own where asked for.

    What it has started ends before `free_port` gives ports to others.
    """
    runs: list[SpecRun] = []

    def start(name: str, *arguments: str, terminal: bool = False) -> SpecRun:
        folder = tmp_path / str(len(runs))
        folder.mkdir()
        runs.append(SpecRun(SPECS / name, arguments, folder, terminal=terminal))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SpecRun]:
    """The run of `specs/NAME`, which succeeds by itself: one for all who only look at what came of it."""
    runs: dict[str, SpecRun] = {}

    def run(name: str) -> SpecRun:
        if name not in runs:
            runs[name] = SpecRun(SPECS / name, (), tmp_path_factory.mktemp("ended"), terminal=False)
            try:
                code = runs[name].exit_code()
            finally:
                runs[name].close()
            assert code == 0, runs[name].output
        return runs[name]

    return run


def port_is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture
def free_port() -> Iterator[Callable[[int], None]]:
    """`free_port(5432)` fails the test where something listens there: pods share this network (LOCAL-4).

    Other runs of these tests on this machine wait until the test is over: whoever holds the name of an
    abstract socket, unix(7), may use the port.
    """
    with ExitStack() as held:

        def check(port: int) -> None:
            name = held.enter_context(socket.socket(socket.AF_UNIX))
            deadline = time.monotonic() + 120
            while True:
                try:
                    name.bind(f"\0minikubelet-tests-{port}")
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        pytest.fail(f"port {port} is in use by other tests for too long")
                    time.sleep(0.1)
            if not port_is_free(port):
                pytest.fail(f"port {port} of 127.0.0.1 is taken by another program; this test needs it")

        yield check
