"""`minikubelet validate`: what is wrong with manifests, or what will become of their fields.

Reads and checks, as `run` does before it starts anything, and stops there.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from minikubelet.api import schema
from minikubelet.api.errors import ManifestError
from minikubelet.api.manifest import Document, Manifest, load

VALID, INVALID = 0, 2

_BOLD, _RESET = "\x1b[1m", "\x1b[0m"
_COLORS = {"honoured": "\x1b[32m", "emulated": "\x1b[36m", "ignored": "\x1b[33m", "refused": "\x1b[31m"}


def validate(files: Sequence[str], *, fields: bool, color: bool, stdout: TextIO, stderr: TextIO) -> int:
    """Print one line per fault, or one per object; notices go to `stderr`. Answers with the exit code.

    `fields` prints, for every field that occurs, its path, what is done with it, and why; and for everything
    that makes pods, what each of them requests altogether (KEP-753).
    """
    try:
        manifest = load(files, stdin=sys.stdin, to_run=False)
    except ManifestError as error:
        stderr.writelines(f"{fault}\n" for fault in error.errors)
        return INVALID
    for notice in manifest.notices:
        stderr.write(f"{notice}\n")
    if fields:
        stdout.writelines(_field_lines(manifest, color))
    else:
        for document in manifest.documents:
            name = document.origin.object
            stdout.write(f"{document.origin.file}: {name} is valid\n")
    return VALID


def _field_lines(manifest: Manifest, color: bool) -> list[str]:
    lines = []
    for document in manifest.documents:
        found = list(schema.occurring(document.type_name, document.data))
        width = max(len(one.path) for one in found)
        title = f"{document.origin.object} ({document.origin.file})"
        lines.append(f"{_BOLD}{title}{_RESET}\n" if color else f"{title}\n")
        for one in found:
            ruling = f"{one.verdict.ruling:8}"
            if color:
                ruling = f"{_COLORS[one.verdict.ruling]}{ruling}{_RESET}"
            lines.append(f"  {one.path:{width}}  {ruling}  {one.verdict.reason}".rstrip() + "\n")
        lines += [f"  {line}\n" for line in _request_lines(document, manifest)]
    return lines


def _request_lines(document: Document, manifest: Manifest) -> Iterator[str]:
    """The same for all pods of one document, so that the first will do."""
    from minikubelet.api.effective_resources import amount_text, effective_requests
    from minikubelet.runtime.feasibility import pod_specs

    for spec, origin in pod_specs(manifest):
        if origin.positions is document.origin.positions:
            for name, found in sorted(effective_requests(spec).items()):
                amount = amount_text(name, found.amount)
                yield f"a scheduler counts {name} {amount}: {found.decided_by}"
            return
