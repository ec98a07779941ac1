"""A real process that lives a `Script`: what a container runs in `fuzz --real`.

It is run as a file, `python -I -S life.py PID_FILE LASTS CODE TERM_LASTS TERM_CODE WITH_CHILD SIGNAL=CODE…`,
and imports next to nothing, to be up in a few milliseconds. All signals are blocked and waited for, so that
nothing comes between it and its clock. Those named at the end make it exit at once; others ask it to stop.
"""

import _signal  # type: ignore[import-not-found]  # what `signal` is made of, without the enums
import os
import sys
import time

LEFT_BEHIND_FOR = 60
"Seconds that a child lives which is never killed."

LONGEST = 1e6
"Seconds; instead of for ever."


def live(
    lasts: float,
    code: int,
    term_lasts: float,
    term_code: int | None,
    with_child: bool,
    deadly: dict[int, int],
) -> None:
    signals = _signal.valid_signals() - {_signal.SIGCHLD, _signal.SIGKILL, _signal.SIGSTOP}
    ends_at, killer = time.monotonic() + lasts, None
    if with_child:
        leave_a_child_behind()
    while (left := ends_at - time.monotonic()) > 0:
        came = _signal.sigtimedwait(signals, min(left, LONGEST))
        if came is None:
            continue
        if came.si_signo in deadly:
            os._exit(deadly[came.si_signo])
        stops_at = time.monotonic() + term_lasts
        if stops_at < ends_at:
            ends_at, killer = stops_at, came.si_signo
    if killer is not None:
        code = term_code if term_code is not None else die_of(killer)
    os._exit(code)


def die_of(signal: int) -> int:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {signal})
    return 99  # not reached


def leave_a_child_behind() -> None:
    """Its parent is gone, its session is its own, it ignores what it can, and it holds our output open."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(LEFT_BEHIND_FOR)
        os._exit(0)
    os.wait()


if __name__ == "__main__":
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    pid_file, lasts, code, term_lasts, term_code, with_child, *deadly = sys.argv[1:]
    with open(pid_file + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(pid_file + ".new", pid_file)
    live(
        float(lasts),
        int(code),
        float(term_lasts),
        int(term_code) if term_code else None,
        with_child == "True",
        {int(signal): int(code) for signal, _, code in (word.partition("=") for word in deadly)},
    )
