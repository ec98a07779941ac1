"""Why a run is over, and the exit code that this amounts to."""

from collections.abc import Mapping
from types import MappingProxyType

from minikubelet.api.values import frozen
from minikubelet.lifecycle.termination import signal_name

SUCCEEDED, FAILED, INVALID, VIOLATED, TIMED_OUT = 0, 1, 2, 3, 124
SIGNALLED = 128  # + the signal's number


@frozen
class Ending:
    """Why a run is over, and what it amounts to."""

    signal: int | None = None
    "The first one that asked for the end."
    timed_out: bool = False
    has_failed: bool = False
    "A pod of its own or a Job failed (a Job's pods are judged by the Job: a retry may have helped)."
    files_failed: bool = False
    "The status or the events file, logs in a `--log-dir` or standard output could not be written."
    lost_logs: Mapping[str, int] = MappingProxyType({})
    "Bytes that are not in the logs, by namespace/pod/container."
    violated: bool = False
    "The lifecycle did not keep an invariant: our fault, whatever became of the pods."

    @property
    def was_cut_short(self) -> bool:
        return self.timed_out or self.signal is not None

    @property
    def exit_code(self) -> int:
        """124 and 128+n as `timeout` and shells have them; otherwise a function of what the containers did
        themselves, since a run that was not cut short has killed none of those it judges."""
        if self.timed_out:
            return TIMED_OUT
        if self.signal is not None:
            return SIGNALLED + self.signal
        if self.violated:
            return VIOLATED
        return FAILED if self.has_failed or self.files_failed else SUCCEEDED

    def __str__(self) -> str:
        """`finished`, `timeout` or the name of a signal."""
        if self.timed_out:
            return "timeout"
        return signal_name(self.signal) if self.signal is not None else "finished"
