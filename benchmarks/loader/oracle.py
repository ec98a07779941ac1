"""Whether an input went as it should: it loads, or is refused with our errors, each in its place.

Responsible for everything that happens to a manifest before a process is started: reading, decoding,
validating, templates, and then what `explain` and `run --dry-run` say. Whatever comes out of `examine`
as an exception is a defect. Refuses to know where inputs come from.
"""

import io
import random
from typing import Literal

from minikubelet.api.errors import FieldError, ManifestError
from minikubelet.api.manifest import Manifest, load
from minikubelet.cli.dry_run import dry_run_text
from minikubelet.cli.explain import Look, lines_of, report_on, subjects
from minikubelet.runtime.feasibility import faults, isolation_for, remarks
from minikubelet.runtime.images import ImageResolver

Stage = Literal["text", "yaml", "object", "schema", "validation", "loaded"]
"What stopped an input; `loaded` if nothing did."

STAGES: tuple[Stage, ...] = ("text", "yaml", "object", "schema", "validation", "loaded")

LONGEST_LINE = 2_000
"Characters of an error, whatever it quotes."

_names = random.Random(0)
_images = ImageResolver.load([], None, [], stub_missing=True)


class Misplaced(AssertionError):
    """An error that does not say what is wrong where."""


class _Given(io.StringIO):
    """Standard input that holds bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.buffer = io.BytesIO(data)


def examine(data: bytes, *, carry_on: bool = True) -> Stage:
    """How far an input gets. Raises whatever the loader should not have raised, and `Misplaced`.

    What loads is explained and planned with `carry_on` only, which takes ten times as long as loading.
    """
    try:
        manifest = load(["-"], stdin=_Given(data), run_now=bool(len(data) & 1), random=_names, now=1e9)
    except ManifestError as refusal:
        return _judged(refusal.errors, data)
    if carry_on:
        _carry_on(manifest, data)
    return "loaded"


def _carry_on(manifest: Manifest, data: bytes) -> None:
    """What else looks at manifests that are valid."""
    given = data.decode().removeprefix("\ufeff")
    for subject in subjects(manifest)[:20]:
        for line in lines_of(report_on(subject, given), Look(False)):
            line.encode()
    for notice in manifest.notices:
        str(notice).encode()
    isolation = isolation_for(manifest, "none")
    for fault in faults(manifest, _images, isolation):
        str(fault).encode()
    for notice in remarks(manifest, isolation):
        str(notice).encode()
    dry_run_text(manifest, _images).encode()


# ------------------------------------------------------------------ errors

_NO_YAML = ("not valid YAML", "nested deeper", "aliases expand", "the alias", "the anchor", "too many")
_OF_THE_FORM = (
    "unknown field",
    "expected ",
    "given twice",
    "a field name",
    "a merge key",
    "illegal base64",
)


def _judged(errors: tuple[FieldError, ...], data: bytes) -> Stage:
    lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\xe2\x80") + data.count(b"\xc2\x85") + 2
    for error in errors:
        _check(error, lines)
    if any(error.message.startswith(("not UTF-8", "larger than")) for error in errors):
        return "text"
    fields = [error for error in errors if error.path]
    if any(error.message.startswith(_NO_YAML) for error in errors) and not fields:
        return "yaml"
    if not any(error.object for error in fields):
        return "object"
    if any(error.message.startswith(_OF_THE_FORM) or " bits" in error.message[-8:] for error in fields):
        return "schema"
    return "validation"


def _check(error: FieldError, lines: int) -> None:
    text = str(error)
    if error.file != "<stdin>":
        raise Misplaced(f"not told which file: {error!r}")
    if not error.message:
        raise Misplaced(f"nothing told: {error!r}")
    if (error.path or error.object) and not (0 < error.line <= lines and error.column > 0):
        raise Misplaced(f"not told where: {error!r}"[:500])
    if not text.isprintable():
        raise Misplaced(f"not fit for a terminal: {error!r}"[:500])
    if len(text) > LONGEST_LINE:
        raise Misplaced(f"{len(text)} characters: {text[:500]}")
