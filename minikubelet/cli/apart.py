"""A run in a process of its own, for a program that wants what came of it as a value.

The request comes on standard input and the answer goes to a pipe, both pickled: whoever calls has started
us. What `run` would show goes to standard error. Once standard input ends the caller is gone, or has lost
interest, and everything is deleted with the shortest grace.
"""

import os
import pickle
import signal
import sys
import threading
from collections.abc import Sequence

import attrs

from minikubelet.api.errors import FieldError, ManifestError
from minikubelet.assertions.language import ExpressionError
from minikubelet.assertions.run import Run
from minikubelet.cli.options import RunOptions
from minikubelet.invariants.rules import Violation
from minikubelet.invariants.watch import InvariantViolated


@attrs.frozen
class Request:
    options: RunOptions
    until: str | None = None


@attrs.frozen
class Answer:
    """One of the four. Exceptions are kept apart, since they cannot be trusted to survive pickling."""

    run: Run | None = None
    faults: tuple[FieldError, ...] = ()
    misunderstood: tuple[str, int, str] | None = None
    violated: tuple[Sequence[Violation], str] | None = None

    def unwrap(self) -> Run:
        """Raises what was raised over there."""
        if self.run is not None:
            return self.run
        if self.violated is not None:
            raise InvariantViolated(*self.violated)
        if self.misunderstood is not None:
            raise ExpressionError(*self.misunderstood)
        raise ManifestError(self.faults)


def main() -> None:
    """What the process does. Its last argument is the descriptor for the answer."""
    channel = int(sys.argv[-1])
    os.set_inheritable(channel, False)
    request = pickle.loads(_receive(int.from_bytes(_receive(8), "big")))
    answer = pickle.dumps(perform(request))
    with open(channel, "wb") as pipe:
        pipe.write(answer)


def perform(request: Request) -> Answer:
    from minikubelet.cli.run import prepare, tell_notices
    from minikubelet.cli.test import RecordedRun, cast_of, read_until

    try:
        manifest, images = prepare(request.options)
        until = read_until(request.until, cast_of(manifest))
    except ManifestError as error:
        return Answer(faults=error.errors)
    except ExpressionError as error:
        return Answer(misunderstood=(error.text, error.position, error.message))
    tell_notices(manifest)
    run = RecordedRun(request.options, manifest, images, until=until, verbose=True)

    def watch_caller() -> None:
        while os.read(0, 1):
            pass
        for _ in range(2):  # the second one shortens the grace
            run.stops.request(signal.SIGTERM)

    threading.Thread(target=watch_caller, name="minikubelet-caller", daemon=True).start()
    run.run()
    if run.violations:
        return Answer(violated=(run.violations, "\n".join(run.verdict)))
    return Answer(run.recorded())


def _receive(size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            sys.exit("the caller is gone")
        data += piece
    return data
