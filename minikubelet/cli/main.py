"""The way in: reads the command line and hands over to the command.

What a command needs is imported by the command, so that `--help` and the first container do not wait
for what they have no use for.
"""

import errno
import gc
import os
import sys
from _frozen_importlib_external import PathFinder
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from signal import SIGINT, SIGPIPE
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn, TextIO

STOPPED_BY_INTERRUPT = 128 + SIGINT
STOPPED_BY_PIPE = 128 + SIGPIPE


class CannotStart(Exception):
    """There is no room for a run: no directory, no descriptor, no process, no thread."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; usage errors are 2, as argparse has it."""
    _open_standard_streams()
    try:
        try:
            code = _command(argv)
        except SystemExit as end:  # --help, --version, usage errors
            code = end.code if isinstance(end.code, int) else 2
        sys.stdout.flush()
        return code
    except CannotStart as error:
        sys.stderr.write(f"minikubelet: cannot start: {error}\n")
        return 1
    except KeyboardInterrupt:  # before anything was started; later the run command sees to it
        return STOPPED_BY_INTERRUPT
    except BrokenPipeError:
        _forget_output()
        return STOPPED_BY_PIPE
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        _forget_output()
        sys.stderr.write(f"minikubelet: cannot write to standard output: {error.strerror}\n")
        return 1


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"What write(2) says; an open(2) that fails names the file."


def _forget_output() -> None:
    """What is still buffered must not complain again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def command() -> NoReturn:
    """`main`, and the end of the process.

    All that was started is over, all that was opened is closed: the interpreter need not be taken apart,
    which would take longer than to stop a hundred containers.
    """
    gc.disable()  # until the first containers run: next to nothing that is made for them is garbage
    for name in ("ssl", "hmac"):  # trio's, for TLS and DTLS: with OpenSSL a sixth of our memory
        sys.modules.setdefault(name, stand_in(name))
    # argparse's, for translations that our own words have not either
    sys.modules.setdefault("gettext", stand_in("gettext", gettext=str, ngettext=_one_or_many))
    sys.modules.setdefault("yaml", stand_in("yaml", **_known_of_yaml()))
    code = main()
    sys.stderr.flush()
    os._exit(code)


def _one_or_many(one: str, many: str, number: int) -> str:
    return one if number == 1 else many


def _known_of_yaml() -> Mapping[str, Any]:
    """Where its parts are, for its own code, which loads all of them, need not run to read YAML.

    Of some parts libyaml wants to know no more than what they raise, and that only to write YAML.
    """
    spec = PathFinder.find_spec("yaml")
    assert spec is not None
    parts = {"Constructor", "Emitter", "Representer", "Serializer"}
    unused = SimpleNamespace(**{f"{part}Error": Exception for part in parts})
    return {"__path__": spec.submodule_search_locations, **{part.lower(): unused for part in parts}}


def stand_in(name: str, **known: Any) -> ModuleType:
    """For a module that is loaded when something not `known` is asked of it, and then takes its own place.

    What was loaded of a package before stays a part of it.
    """
    module = ModuleType(name)
    vars(module).update(known)

    def ask(attribute: str) -> Any:
        if attribute.startswith("__"):  # asked of all modules alike, by the import system or `inspect`
            raise AttributeError(attribute)
        if sys.modules.get(name) is module:
            del sys.modules[name]
            for part, value in vars(module).items():
                if not part.startswith("__"):
                    vars(__import__(name)).setdefault(part, value)
        return getattr(__import__(name), attribute)

    module.__getattr__ = ask  # type: ignore[method-assign] # PEP 562
    return module


def _command(argv: Sequence[str] | None) -> int:
    from minikubelet.cli.options import bench_options, fuzz_options, parser, run_options

    given = parser().parse_args(argv)
    if given.command == "run":
        from minikubelet.cli.run import run

        return run(run_options(given))
    gc.enable()
    if given.command == "test":
        from minikubelet.cli.test import check_run, options_of

        return check_run(options_of(given))
    if given.command == "fuzz":
        from minikubelet.cli.fuzz import fuzz

        return fuzz(fuzz_options(given))
    if given.command == "bench":
        from minikubelet.cli.bench import bench

        return bench(bench_options(given))

    color = not given.no_color and wants_color(sys.stdout)
    if given.command == "explain":
        from minikubelet.cli.explain import explain_files

        return explain_files(
            given.files,
            output=given.output,
            strict=given.strict,
            color=color,
            stdout=sys.stdout,
            stderr=sys.stderr,
        )

    from minikubelet.cli.validate import validate

    return validate(given.files, fields=given.fields, color=color, stdout=sys.stdout, stderr=sys.stderr)


def wants_color(stream: TextIO) -> bool:
    """On a terminal that can, unless NO_COLOR is set (and not empty)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _open_standard_streams() -> None:
    """Make sure that 0, 1 and 2 are open, lest a file opened later becomes standard output.

    What their encoding has no characters for is escaped: it is no reason to stop.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
