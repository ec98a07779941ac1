"""Columns of text, spaced as kubectl spaces them."""

from collections.abc import Iterable, Sequence

from minikubelet.api.values import fields
from minikubelet.lifecycle.printing import CronJobRow, JobRow, PodRow

PADDING = 3  # spaces between columns


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Header and rows as lines of equal columns, without trailing spaces."""
    lines = [headers, *rows]
    widths = [max(map(len, column)) + PADDING for column in zip(*lines, strict=True)]
    return ["".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def rows_table(
    rows: Sequence[PodRow] | Sequence[JobRow] | Sequence[CronJobRow], namespaces: Sequence[str] = ()
) -> list[str]:
    """What `kubectl get` prints; with a NAMESPACE column where namespaces are given (`get -A`)."""
    if not rows:
        return []
    headers = [field.name.upper().replace("_", " ") for field in fields(type(rows[0]))]
    cells = [[getattr(row, field.name) for field in fields(type(row))] for row in rows]
    if namespaces:
        headers = ["NAMESPACE", *headers]
        cells = [[namespace, *row] for namespace, row in zip(namespaces, cells, strict=True)]
    return table(headers, cells)
