"""A journal as text: one JSON object a line, the same bytes wherever and whenever the same happened.

Objects of the API are written as the API publishes them, seconds as the shortest decimal number that means
them. So two logs can be compared as text, and a digest stands for a whole run.
"""

import json
from collections.abc import Iterator
from typing import Any

import attrs

from minikubelet.api.codec import to_wire
from minikubelet.invariants.journal import Entry, Journal


def lines(journal: Journal) -> Iterator[str]:
    """Each entry, in order, without an end of line."""
    for entry in journal.entries:
        yield json.dumps(_plain(entry), ensure_ascii=True, separators=(", ", ": "))


def digest(journal: Journal) -> str:
    """SHA-256 of the whole log, hexadecimal."""
    import hashlib

    return hashlib.sha256("".join(f"{line}\n" for line in lines(journal)).encode()).hexdigest()


def _plain(entry: Entry) -> dict[str, Any]:
    """Without what an entry of its kind does not have."""
    data: dict[str, Any] = {"at": entry.at, "what": entry.what}
    if entry.key:
        data["key"] = entry.key
    if entry.container:
        data["container"] = entry.container
        data["attempt"] = entry.attempt
    if entry.detail is not None:
        data["detail"] = to_wire(entry.detail) if attrs.has(type(entry.detail)) else entry.detail
    return data
