"""What assertions came to, as text for people, as TAP 14, and as JUnit's XML."""

import re
from collections.abc import Callable, Iterator
from typing import Literal

import attrs

from minikubelet.assertions.judge import Verdict
from minikubelet.assertions.run import Run

Format = Literal["text", "tap", "junit"]
FORMATS: tuple[Format, ...] = ("text", "tap", "junit")


@attrs.frozen
class Report:
    """Everything that is reported. `suite` names the manifests."""

    suite: str
    run: Run
    results: tuple[tuple[str, Verdict], ...]
    "Each with its title."
    properties: tuple[tuple[str, str], ...] = ()
    "How the run was made."

    @property
    def failed(self) -> int:
        return sum(not verdict.holds for _, verdict in self.results)

    @property
    def cut_short(self) -> str | None:
        """Why the run did not come to its own end."""
        ending = self.run.ending
        if ending == "finished":
            return None
        return "its time was over" if ending == "timeout" else f"stopped by {ending}"


def report_text(report: Report, form: Format, *, color: bool = False) -> str:
    """The whole report, with its last newline."""
    makers: dict[Format, Callable[[], str]] = {
        "text": lambda: "".join(f"{line}\n" for line in _text(report, color)),
        "tap": lambda: "".join(f"{line}\n" for line in _tap(report)),
        "junit": lambda: _junit(report),
    }
    return makers[form]()


# ------------------------------------------------------------------------------------ text

_GREEN, _RED, _RESET = "\x1b[32m", "\x1b[31m", "\x1b[0m"


def _text(report: Report, color: bool) -> Iterator[str]:
    for name, verdict in report.results:
        word = "ok" if verdict.holds else "FAILED"
        space = " " * (8 - len(word))
        if color:
            word = f"{_GREEN if verdict.holds else _RED}{word}{_RESET}"
        yield f"{word}{space}{name}"
        if not verdict.holds:
            if name != " ".join(verdict.text.split()):
                yield f"        {verdict.text}"
            yield from (f"        {line}" for text in verdict.evidence for line in text.splitlines())
    if report.failed and report.run.summary:
        yield ""
        yield from report.run.summary.strip("\n").splitlines()
    yield ""
    count = len(report.results)
    told = f"{count} assertion{'s' * (count != 1)}, {report.failed or 'none'} failed"
    if report.cut_short:
        told += f"; the run was cut short: {report.cut_short}"
    yield told


# ------------------------------------------------------------------------------------ TAP


def _tap(report: Report) -> Iterator[str]:
    """https://testanything.org/tap-version-14-specification.html"""
    yield "TAP version 14"
    yield f"1..{len(report.results)}"
    for number, (name, verdict) in enumerate(report.results, 1):
        title = name.replace("\\", "\\\\").replace("#", "\\#")
        yield f"{'ok' if verdict.holds else 'not ok'} {number} - {title}"
        if not verdict.holds:
            yield from (f"  {line}" for line in _diagnostics(verdict))
    if report.failed:
        yield from (f"# {line}".rstrip() for line in report.run.summary.strip("\n").splitlines())
    if report.cut_short:
        yield f"Bail out! The run was cut short: {report.cut_short}"


def _diagnostics(verdict: Verdict) -> list[str]:
    """A YAML block."""
    import yaml

    told = {
        "assertion": verdict.text,
        "evidence": [_printable(text) for text in verdict.evidence],
        "duration_ms": round(verdict.seconds * 1000, 3),
    }
    dumped = yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=10_000)
    return ["---", *dumped.splitlines(), "..."]


# ------------------------------------------------------------------------------------ JUnit

_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"XML 1.0, production 2: what cannot be in a document at all."


def _printable(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _junit(report: Report) -> str:
    """One suite, one case for each assertion. A run that was cut short adds a case that is an error."""
    from datetime import UTC, datetime
    from platform import node
    from xml.etree import ElementTree

    def add(parent: ElementTree.Element, tag: str, text: str = "", **attributes: str) -> ElementTree.Element:
        safe = {name: _printable(value) for name, value in attributes.items()}
        element = ElementTree.SubElement(parent, tag, safe)
        element.text = _printable(text) or None
        return element

    began = report.run.events[0].wall_time if report.run.events else 0.0
    totals = {
        "tests": str(len(report.results) + bool(report.cut_short)),
        "failures": str(report.failed),
        "errors": str(int(bool(report.cut_short))),
        "time": f"{report.run.seconds:.3f}",
    }
    root = ElementTree.Element("testsuites", {"name": "minikubelet", **totals})
    suite = add(
        root,
        "testsuite",
        name=report.suite,
        timestamp=datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        hostname=node(),
        skipped="0",
        **totals,
    )
    properties = add(suite, "properties")
    for name, value in report.properties:
        add(properties, "property", name=name, value=value)
    for name, verdict in report.results:
        case = add(suite, "testcase", classname=report.suite, name=name, time=f"{verdict.seconds:.3f}")
        if not verdict.holds:
            first = verdict.evidence[0].splitlines()[0] if verdict.evidence else "it does not hold"
            add(case, "failure", str(verdict), message=first, type="AssertionError")
            add(case, "system-out", report.run.summary.strip("\n"))
    if report.cut_short:
        case = add(suite, "testcase", classname=report.suite, name="the run", time=totals["time"])
        add(case, "error", message=f"cut short: {report.cut_short}", type=report.run.ending)
        add(case, "system-out", report.run.summary.strip("\n"))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'
