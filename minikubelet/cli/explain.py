"""`minikubelet explain`: what will happen, why, and what to watch out for, before anything is started.

Loads as `validate` does; what to say comes from `lifecycle.explain` and `lifecycle.lints`. Here it gets its
layout, its place in the file and, where another place for a container would mend it, a diff of that file.
"""

import io
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TextIO

from minikubelet.api.codec import to_wire
from minikubelet.api.cron_job import CronJobSpec
from minikubelet.api.errors import ManifestError, Origin
from minikubelet.api.job import JobSpec
from minikubelet.api.manifest import Manifest, load
from minikubelet.api.nodes import (
    MappingNode,
    Node,
    Positions,
    ScalarNode,
    SequenceNode,
    SyntaxFault,
    key_text,
    parse,
    resolve,
)
from minikubelet.api.pod import PodSpec
from minikubelet.api.values import evolve, frozen
from minikubelet.lifecycle.explain import Explanation, Row, Sentence, WorstCase, explain, spoken
from minikubelet.lifecycle.lints import Lint, lints

EXPLAINED, TRAPS, INVALID = 0, 1, 2
WIDTH = 100  # columns
STDIN = "<stdin>"  # as `load` calls it


@frozen
class Subject:
    """A pod spec to explain, however many pods are made from it."""

    origin: Origin
    spec: PodSpec
    job: JobSpec | None = None
    cron_job: CronJobSpec | None = None
    pods: int = 1


@frozen
class Finding:
    """A lint in its place. `line` counts from 1; 0 where it is not known."""

    name: str
    file: str
    line: int
    path: str
    happens: str
    change: str
    rules: tuple[str, ...]
    diff: str = ""


@frozen
class Report:
    object: str
    file: str
    pods: int
    explanation: Explanation
    watch_out: tuple[Finding, ...]


def explain_files(
    files: Sequence[str], *, output: str, strict: bool, color: bool, stdout: TextIO, stderr: TextIO
) -> int:
    """Print the story of every pod and Job of the files; `output` is `text` or `json`.

    Answers with the exit code: 2 for manifests that are not valid, 1 for lints if `strict`, else 0.
    """
    given = sys.stdin.read() if "-" in files and sys.stdin is not None else ""
    try:
        manifest = load(files, stdin=io.StringIO(given))
    except ManifestError as error:
        stderr.writelines(f"{fault}\n" for fault in error.errors)
        return INVALID
    stderr.writelines(f"{notice}\n" for notice in manifest.notices)
    reports = [report_on(subject, given) for subject in subjects(manifest)]
    if output == "json":
        import json

        items = [to_wire(report) for report in reports]
        stdout.write(json.dumps({"explanations": items}, indent=2, ensure_ascii=False) + "\n")
    else:
        look = Look(color)
        stdout.write(
            "\n\n".join("\n".join(lines_of(report, look)) for report in reports) + "\n" * bool(reports)
        )
    return TRAPS if strict and any(report.watch_out for report in reports) else EXPLAINED


def subjects(manifest: Manifest) -> list[Subject]:
    """One for each object of the files that makes pods, in their order, the pods of a controller together."""
    found: dict[int, Subject] = {}
    for pod in manifest.pods:
        known = found.get(id(pod.origin))
        found[id(pod.origin)] = Subject(pod.origin, pod.obj.spec, pods=known.pods + 1 if known else 1)
    for job in manifest.jobs:
        found[id(job.origin)] = Subject(job.origin, job.obj.spec.template.spec, job.obj.spec)
    for cron_job in manifest.cron_jobs:
        spec = cron_job.obj.spec.job_template.spec
        found[id(cron_job.origin)] = Subject(cron_job.origin, spec.template.spec, spec, cron_job.obj.spec)
    order = {document.origin.object: position for position, document in enumerate(manifest.documents)}
    return sorted(found.values(), key=lambda subject: order.get(subject.origin.object, 0))


def report_on(subject: Subject, given: str) -> Report:
    origin = subject.origin
    findings = [
        _finding(lint, origin, lambda: _text_of(origin.file, given))
        for lint in lints(subject.spec, subject.job)
    ]
    story = explain(subject.spec, subject.job, subject.cron_job)
    return Report(origin.object, origin.file, subject.pods, story, tuple(findings))


def _text_of(file: str, given: str) -> str:
    if file == STDIN:
        return given
    with open(file, "rb") as stream:
        return stream.read().decode().removeprefix("\ufeff")


def _finding(lint: Lint, origin: Origin, text: Callable[[], str]) -> Finding:
    here = origin
    if lint.of_job:
        here = evolve(origin, prefix=origin.prefix.removesuffix("spec.template."))
    place = here.error(lint.path, "")
    diff = "" if lint.make_sidecar is None else sidecar_diff(text(), origin, lint.make_sidecar)
    return Finding(lint.name, place.file, place.line, place.path, lint.happens, lint.change, lint.rules, diff)


# ------------------------------------------------------------------ layout


@frozen
class Look:
    color: bool

    def bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self.color else text

    def rules(self, text: str) -> str:
        """Rule ids in brackets step back."""
        return _RULES.sub("\x1b[2m\\g<0>\x1b[0m", text) if self.color else text

    def diff(self, line: str) -> str:
        if not self.color or line[:1] not in _DIFF_COLORS:
            return line
        return f"{_DIFF_COLORS[line[0]]}{line}\x1b[0m"


_RULES = re.compile(r"\[[A-Z]+-\d+[^\]]*(\]|$)|^ *([A-Z]+-\d+(, )?)+\]$")
_DIFF_COLORS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}


def lines_of(report: Report, look: Look) -> Iterator[str]:
    story = report.explanation
    pods = f", {report.pods} pods" if report.pods > 1 else ""
    yield look.bold(f"{report.object}{pods}") + f"  ({report.file})"
    if story.cron_job:
        yield from _section("The CronJob", story.cron_job, look)
    if story.job:
        yield from _section("Each of its Jobs" if story.cron_job else "The Job", story.job, look)
        yield ""
        yield look.bold("Each of its pods")
    told: dict[tuple[str, tuple[Sentence, ...]], str] = {}
    for position, container in enumerate(story.containers, 1):
        rows = [
            Row(row.label, (Sentence(f"as with {told[row.label, row.sentences]}"),))
            if (row.label, row.sentences) in told and _is_long(row)
            else row
            for row in container.rows
        ]
        for row in container.rows:
            told.setdefault((row.label, row.sentences), container.name)
        yield from _section(f"{position}. {container.name}, {container.role}", rows, look)
    yield from _section("The pod's end", story.ending, look)
    yield from _section("How it is stopped", story.shutdown, look)
    yield ""
    yield look.bold("At worst")
    yield from _worst_cases(story.worst_cases, look)
    if report.watch_out:
        yield ""
        yield look.bold("Watch out")
        for number, finding in enumerate(report.watch_out, 1):
            if number > 1:
                yield ""
            yield from _finding_lines(number, finding, look)


def _is_long(row: Row) -> bool:
    """Too long to be read once more for the next container."""
    return sum(len(sentence.text) for sentence in row.sentences) > WIDTH


def _section(title: str, rows: Sequence[Row], look: Look) -> Iterator[str]:
    yield ""
    yield look.bold(title)
    width = max((len(row.label) for row in rows), default=0)
    for row in rows:
        label = row.label
        for sentence in row.sentences:
            yield from _wrapped(f"  {label:{width}}  ", sentence, look)
            label = ""


def _wrapped(start: str, sentence: Sentence, look: Look) -> Iterator[str]:
    for line in _folded(sentence.text, sentence.rules, start):
        yield look.rules(line)


def _folded(text: str, rules: Sequence[str], start: str) -> list[str]:
    """Text and its rule ids, of which no list is torn apart, behind `start`."""
    cited = f" [{', '.join(rules)}]".replace(", ", ",\N{NO-BREAK SPACE}") if rules else ""
    return [
        line.replace("\N{NO-BREAK SPACE}", " ")
        for line in textwrap.wrap(
            text + cited,
            WIDTH,
            initial_indent=start,
            subsequent_indent=" " * len(start),
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def _worst_cases(cases: Iterable[WorstCase], look: Look) -> Iterator[str]:
    rows = [(spoken(case.seconds), case) for case in cases]
    width = max(len(length) for length, _ in rows)
    for length, case in rows:
        yield from _wrapped(f"  {length:>{width}}  ", Sentence(case.what, case.rules), look)


def _finding_lines(number: int, finding: Finding, look: Look) -> Iterator[str]:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    start = f"  {number}. "
    indent = " " * len(start)
    yield f"{start}{look.bold(finding.name)}  {place}: {finding.path}"
    for line in _folded(f"{finding.happens}.", finding.rules, indent):
        yield look.rules(line)
    yield from _folded(f"Instead: {finding.change}.", (), indent)
    if finding.diff:
        yield ""
        for line in finding.diff.splitlines():
            yield f"{indent}{look.diff(line)}".rstrip()


# ------------------------------------------------------------------ the change that mends it


def sidecar_diff(text: str, origin: Origin, path: str) -> str:
    """A unified diff that makes the container at `path`, relative to the pod, a native sidecar.

    It is one of the file as it is written where that can be kept (block style); otherwise of the object
    written out in block style. Whichever it is, the result has been read again and compared.
    """
    import difflib

    text += "" if text.endswith("\n") else "\n"
    roots = [root for root in parse(text) if not isinstance(root, SyntaxFault)]
    assert isinstance(origin.positions, Positions)
    target = origin.positions.root
    here = next(n for root in roots for n in _walk(root) if _place(n) == _place(target))
    pod_spec = _at(here, f"{origin.prefix}spec")
    assert isinstance(here, MappingNode) and isinstance(pod_spec, MappingNode)
    edited = _edited(text, pod_spec, path)
    before = _plain(here)
    _make_sidecar(pod_spec, path)
    name = origin.file
    if edited is None or [_plain(root) for root in parse(edited)] != [_plain(root) for root in roots]:
        import yaml

        text, edited = (yaml.safe_dump(data, sort_keys=False, width=WIDTH) for data in (before, _plain(here)))
        name = f"{origin.object} (written out)"
    lines = difflib.unified_diff(text.splitlines(), edited.splitlines(), name, name, lineterm="")
    return "\n".join(lines) + "\n"


def _edited(text: str, pod_spec: MappingNode, path: str) -> str | None:
    """The text with that change and no other; None where it is not written in block style."""
    field, index = _field_and_index(path)
    lines = text.splitlines(keepends=True)
    container = _at(pod_spec, f"{field}[{index}]")
    block = _block(lines, container)
    if block is None or not isinstance(container, MappingNode):
        return None
    first, end, dash = block
    changed = _with_restart_policy(lines[first:end], container, first)
    if changed is None:
        return None
    if field == "initContainers":
        return "".join((*lines[:first], *changed, *lines[end:]))
    inits = _child(pod_spec, "initContainers")
    if inits is None:
        key = next(key for key, _ in pod_spec.pairs if key_text(key) == "containers")
        at, moved = key.line - 1, [" " * (key.column - 1) + "initContainers:\n", *changed]
    else:
        last = _block(lines, inits.items[-1]) if isinstance(inits, SequenceNode) and inits.items else None
        if last is None:
            return None
        at, moved = last[1], [_shifted(line, last[2] - dash) for line in changed]
    del lines[first:end]
    at -= (end - first) * (at > first)
    lines[at:at] = moved
    return "".join(lines)


def _block(lines: Sequence[str], item: Node | None) -> tuple[int, int, int] | None:
    """A list item's lines (0-based, the end exclusive) and its dash's column, if it is in block style."""
    if item is None:
        return None
    first = item.line - 1
    match = re.fullmatch(r"( *)- +", lines[first][: item.column - 1])
    if match is None:
        return None
    dash = len(match[1])
    end = first + 1
    for position in range(end, len(lines)):
        line = lines[position].strip()
        if not line or line.startswith("#"):
            continue
        if len(lines[position]) - len(lines[position].lstrip(" ")) <= dash:
            break
        end = position + 1
    return first, end, dash


def _with_restart_policy(block: Sequence[str], container: MappingNode, first: int) -> list[str] | None:
    lines = list(block)
    policy, name = _child(container, "restartPolicy"), _child(container, "name")
    if isinstance(policy, ScalarNode):
        row, start = policy.line - 1 - first, policy.column - 1
        lines[row] = re.sub(rf"^(.{{{start}}})\S+", r"\g<1>Always", lines[row])
    elif isinstance(name, ScalarNode):
        lines.insert(name.line - first, " " * (container.column - 1) + "restartPolicy: Always\n")
    else:
        return None
    return lines


def _shifted(line: str, columns: int) -> str:
    if not line.strip():
        return line
    return " " * columns + line if columns >= 0 else line[-columns:]


def _make_sidecar(pod_spec: MappingNode, path: str) -> None:
    """The same change to the nodes."""
    field, index = _field_and_index(path)
    containers = _child(pod_spec, field)
    assert isinstance(containers, SequenceNode)
    container = containers.items[index]
    assert isinstance(container, MappingNode)
    line, column = _place(container)
    container.pairs = [pair for pair in container.pairs if key_text(pair[0]) != "restartPolicy"]
    after_name = 1 + next(i for i, (key, _) in enumerate(container.pairs) if key_text(key) == "name")
    container.pairs.insert(
        after_name, (_scalar("restartPolicy", line, column), _scalar("Always", line, column))
    )
    if field == "initContainers":
        return
    del containers.items[index]
    inits = _child(pod_spec, "initContainers")
    if not isinstance(inits, SequenceNode):
        inits = SequenceNode(line, column)
        pod_spec.pairs = [pair for pair in pod_spec.pairs if key_text(pair[0]) != "initContainers"]
        position = next(i for i, (key, _) in enumerate(pod_spec.pairs) if key_text(key) == "containers")
        pod_spec.pairs.insert(position, (_scalar("initContainers", line, column), inits))
    inits.items.append(container)


def _scalar(text: str, line: int, column: int) -> ScalarNode:
    return ScalarNode(text, None, True, line, column)


def _field_and_index(path: str) -> tuple[str, int]:
    match = re.fullmatch(r"spec\.(\w+)\[(\d+)\]", path)
    assert match is not None
    return match[1], int(match[2])


def _place(node: Node) -> tuple[int, int]:
    return node.line, node.column


def _walk(node: Node) -> Iterator[Node]:
    """Objects first, so that a list is not taken for the object that it begins with."""
    if isinstance(node, MappingNode):
        yield node
        for _, value in node.pairs:
            yield from _walk(value)
    elif isinstance(node, SequenceNode):
        for item in node.items:
            yield from _walk(item)


def _at(node: Node, path: str) -> Node | None:
    found: Node | None = node
    for name, index in re.findall(r"\.?([^.\[\]]+)|\[(\d+)\]", path):
        if found is None:
            return None
        if index:
            found = found.items[int(index)] if isinstance(found, SequenceNode) else None
        else:
            found = _child(found, name)
    return found


def _child(node: Node, name: str) -> Node | None:
    if not isinstance(node, MappingNode):
        return None
    return next((value for key, value in node.pairs if key_text(key) == name), None)


def _plain(node: Node | SyntaxFault) -> Any:
    """What a node says, without its places."""
    if isinstance(node, MappingNode):
        return {key_text(key): _plain(value) for key, value in node.pairs}
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.items]
    return resolve(node) if isinstance(node, ScalarNode) else node
