"""A pytest fixture that runs pods: `pod("manifest.yaml")` runs it to its end and hands out what came of it.

    def test_the_proxy_goes_last(pod):
        result = pod("job.yaml")

        assert result.phase == "Succeeded"
        result.assert_that("main exited before proxy signalled")

Each run is a process of its own, because a supervisor adopts and reaps processes, and those of a test
suite are none of its business. That process deletes everything and ends when it loses its caller, so
nothing survives a test, however it or pytest itself ends. This module is imported by every pytest where
minikubelet is installed; it therefore imports nothing but pytest until the fixture is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pytest

if TYPE_CHECKING:
    import subprocess

    from minikubelet.api.event import Event
    from minikubelet.api.job import Job
    from minikubelet.api.pod import Pod
    from minikubelet.api.pod_status import ContainerStatus
    from minikubelet.assertions.judge import Verdict
    from minikubelet.assertions.run import Run

T = TypeVar("T")

DEFAULT_TIMEOUT = 60.0  # seconds

_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from minikubelet.cli.apart import main; main()"
_PATIENCE = 10.0  # seconds, for a supervisor that was told to stop with the shortest grace


class PodTimeout(AssertionError):
    """The pods did not end in time and were deleted. `result` is what came of them until then."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


class Result:
    """A finished run."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __repr__(self) -> str:
        pods = ", ".join(f"{p.metadata.name} {p.status.phase}" for p in self.pods if p.status)
        return f"<Result: {pods or 'no pods'}, {self.run.ending}>"

    @property
    def pods(self) -> tuple[Pod, ...]:
        """Every pod as last published, those of Jobs included, in the order in which they began."""
        return self.run.pods

    @property
    def jobs(self) -> tuple[Job, ...]:
        return self.run.jobs

    @property
    def pod(self) -> Pod:
        """The only pod. Raises ValueError if there are several."""
        return _only(self.pods, "pod")

    @property
    def job(self) -> Job:
        """The only Job. Raises ValueError if there are several."""
        return _only(self.jobs, "Job")

    @property
    def phase(self) -> str:
        """Of the only pod."""
        status = self.pod.status
        assert status is not None
        return status.phase

    @property
    def exit_code(self) -> int:
        """What `minikubelet run` would have exited with."""
        return self.run.exit_code

    @property
    def events(self) -> tuple[Event, ...]:
        return self.run.events

    def container(self, name: str) -> ContainerStatus:
        """The status of `container` or `pod/container`. Raises KeyError; ValueError if several are meant."""
        found = []
        for pod, container in self._containers(name):
            assert pod.status is not None
            statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
            found += [status for status in statuses if status.name == container]
        return _only(found, f"container {name}")

    def log(self, name: str) -> str:
        """What a container wrote, all its instances one after the other. Raises as `container` does."""
        pod, container = _only(self._containers(name), f"container {name}")
        log = self.run.logs.get((pod.key, container))
        return log.text if log else ""

    def check(self, assertion: str) -> Verdict:
        """Judge one assertion; the verdict is true if it holds. Raises ExpressionError."""
        from minikubelet.assertions.judge import check

        return check(assertion, self.run)

    def assert_that(self, *assertions: str) -> None:
        """Fail the test with what speaks against each assertion that does not hold."""
        __tracebackhide__ = True
        failed = [verdict for verdict in map(self.check, assertions) if not verdict.holds]
        if failed:
            raise AssertionError("\n".join(map(str, failed)))

    def _containers(self, name: str) -> list[tuple[Pod, str]]:
        pod_name, _, container = name.rpartition("/")
        found = [
            (pod, container)
            for pod in self.pods
            if container in pod.spec.all_containers and pod_name in ("", pod.metadata.name)
        ]
        if not found:
            raise KeyError(f"no container {name}")
        return found


def _only(found: Iterable[T], what: str) -> T:
    items = list(found)
    if len(items) != 1:
        raise ValueError(f"there is not one {what} but {len(items)}")
    return items[0]


class PodRunner:
    """What the fixture `pod` is: call it with manifests."""

    def __init__(self, directory: str, scratch: Callable[[], str]) -> None:
        self._directory = directory
        self._scratch = scratch

    def __call__(
        self,
        *manifests: str | os.PathLike[str] | Mapping[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        until: str | None = None,
        grace_period: int | None = None,
        start_gate: Literal["ready", "started"] = "ready",
        backoff_base: float | None = None,
        backoff_max: float | None = None,
        images: str | os.PathLike[str] | None = None,
        image: str | Iterable[str] = (),
        stub_missing: bool = False,
        env_from_host: bool = False,
        isolation: Literal["auto", "none", "mounts", "pod"] = "auto",
        run_now: bool = False,
        log_dir: str | os.PathLike[str] | None = None,
        check: bool = False,
    ) -> Result:
        """Run manifests until everything in them has ended, and return what came of it.

        A manifest is a file or directory, looked for beside the test; YAML text, if it has more than one
        line; or an object as a dict. The options are those of `minikubelet test`: `until` deletes everything
        gracefully after a time (`"5s"`) or once something has happened (`"pod web Ready"`).

        What the run has to say goes to standard error, where pytest shows it if the test fails. Raises
        `PodTimeout` after `timeout` seconds, ManifestError if the input cannot be run, ExpressionError if
        `until` cannot be understood, and with `check` InvariantViolated if the lifecycle broke its own rules.
        """
        from minikubelet.cli.apart import Request
        from minikubelet.cli.options import RunOptions
        from minikubelet.lifecycle.settings import LifecycleSettings

        defaults = LifecycleSettings()
        settings = LifecycleSettings(
            backoff_base=defaults.backoff_base if backoff_base is None else backoff_base,
            backoff_max=defaults.backoff_max if backoff_max is None else backoff_max,
            start_gate=_one_of("start_gate", start_gate, ("ready", "started")),
        )
        options = RunOptions(
            files=tuple(map(self._file, manifests)),
            timeout=timeout,
            grace_period=grace_period,
            log_dir=None if log_dir is None else os.path.abspath(log_dir),
            images=None if images is None else os.path.join(self._directory, images),
            image=(image,) if isinstance(image, str) else tuple(image),
            stub_missing=stub_missing,
            settings=settings,
            env_from_host=env_from_host,
            isolation=_one_of("isolation", isolation, ("auto", "none", "mounts", "pod")),
            run_now=run_now,
            check=check,
        )
        run = _run_apart(Request(options, until))
        result = Result(run)
        if run.ending == "timeout":
            raise PodTimeout(f"not over after {timeout:g} s\n{run.summary}", result)
        return result

    def _file(self, manifest: str | os.PathLike[str] | Mapping[str, Any]) -> str:
        if isinstance(manifest, Mapping):
            import json

            text = json.dumps(manifest)
        elif isinstance(manifest, str) and "\n" in manifest:
            text = manifest
        else:
            return os.path.join(self._directory, manifest)
        path = os.path.join(self._scratch(), "manifest.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


def _one_of(option: str, value: T, known: tuple[str, ...]) -> T:
    if value not in known:
        raise ValueError(f"{option} is one of {', '.join(known)}, not {value!r}")
    return value


@pytest.fixture
def pod(request: pytest.FixtureRequest) -> PodRunner:
    """Run Pod and Job manifests as real processes: `result = pod("manifest.yaml", timeout=30)`."""

    def scratch() -> str:
        factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        return str(factory.mktemp("pod"))

    return PodRunner(str(request.path.parent), scratch)


# ------------------------------------------------------------------------------------ the other process


def _run_apart(request: object) -> Run:
    """Have a process of its own perform the request. It is gone when this returns, or raises."""
    import pickle
    import subprocess

    import minikubelet

    root = os.path.dirname(os.path.dirname(os.path.abspath(minikubelet.__file__)))
    answer_fd, end = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, root, str(end)],
            stdin=subprocess.PIPE,
            pass_fds=[end],
            start_new_session=True,  # Ctrl-C is for pytest; what it means to the pods is said below
        )
    except BaseException:
        os.close(answer_fd)
        raise
    finally:
        os.close(end)
    try:
        with open(answer_fd, "rb") as answer:
            _send(process, pickle.dumps(request))
            data = answer.read()
        process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        _hang_up(process)
    if not data:
        raise RuntimeError(f"the supervisor ended with {process.returncode} and without an answer")
    run: Run = pickle.loads(data).unwrap()
    return run


def _send(process: subprocess.Popen[bytes], data: bytes) -> None:
    """The pipe stays open: its end would mean that we are gone."""
    assert process.stdin is not None
    process.stdin.write(len(data).to_bytes(8, "big") + data)
    process.stdin.flush()


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.close()
    except BrokenPipeError:
        pass


def _end(process: subprocess.Popen[bytes]) -> None:
    """Hanging up makes the supervisor delete everything with the shortest grace, two seconds."""
    import subprocess

    _hang_up(process)
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
