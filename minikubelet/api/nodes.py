"""YAML text as a tree of nodes that know their place; plain scalars mean what they mean to Kubernetes.

Composes the parser's events itself: that keeps line and column of every key and value at little cost,
and bounds what hostile input can ask for (nesting, aliases that multiply) before anything recurses.
Scalars resolve as sigs.k8s.io/yaml resolves them (goyaml v2), not as PyYAML does: `22:22` and dates are
strings, `0400` and `0o400` are octal, `yes` and `on` are booleans. Knows nothing of the API.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from minikubelet.api.errors import shown
from minikubelet.api.libyaml import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    MarkedYAMLError,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    YAMLError,
    new_parser,
)
from minikubelet.api.patterns import pattern
from minikubelet.api.values import field, frozen

MAX_DEPTH = 100
"Levels of nesting; manifests stay below thirty."
MAX_EXPANSION = 250_000
"Values that aliases may add to a document."
MAX_FAULTS = 20
"Documents of a file that are no YAML, until the rest is not read; each of them costs another look at it."

Scalar = str | int | float | bool | None


class ScalarNode:
    __slots__ = ("column", "line", "plain", "tag", "text")

    def __init__(self, text: str, tag: str | None, plain: bool, line: int, column: int) -> None:
        self.text = text
        self.tag = tag
        self.plain = plain
        "Written without quotes, and not as a block."
        self.line = line
        self.column = column


class SequenceNode:
    __slots__ = ("column", "items", "line")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column
        self.items: list[Node] = []


class MappingNode:
    __slots__ = ("column", "line", "pairs")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column
        self.pairs: list[tuple[Node, Node]] = []


Node = ScalarNode | SequenceNode | MappingNode


@frozen
class SyntaxFault:
    """A document that is no YAML. `line` and `column` count from 1."""

    line: int
    column: int
    message: str


# ------------------------------------------------------------------ text to nodes


def parse(text: str, skipped_lines: int = 0) -> Iterator[Node | SyntaxFault]:
    """The root of each document that has content, or what is wrong with it; goes on after a fault.

    `skipped_lines` are those of the whole text that stand before this one.
    """
    start, first_line = 0, skipped_lines
    for _ in range(MAX_FAULTS):
        composer = _Composer(_join_surrogates(text[start:] if start else text), skipped_lines)
        try:
            yield from composer.documents()
            return
        except _Refused as refused:
            yield refused.fault
        except YAMLError as error:
            values = _json_values(text) if not start and "<document start>" in str(error) else []
            if len(values) > 1:
                yield from _parse_each(text, values[1:], first_line)
                return
            yield _syntax_fault(error, composer)
        # The next document may be fine: a line `---` starts one whatever came before.
        rest = _line_start(text, composer.document_line - first_line + 1)
        match = _DOCUMENT_START.search(text, rest)
        if match is None:
            return
        start, skipped_lines = match.start(), first_line + text.count("\n", 0, match.start())
    yield SyntaxFault(skipped_lines + 1, 1, "too many documents that are no YAML, the rest was not read")


def _json_values(text: str) -> list[int]:
    """Where each JSON value begins of those that stand one after another, and what is none, if anything is.

    `jq .items[]` writes objects so, and kubectl reads them; YAML wants `---` between them.
    """
    import json

    decode = json.JSONDecoder().raw_decode
    starts: list[int] = []
    end = 0
    while (match := _NOT_SPACE.search(text, end)) is not None:
        starts.append(match.start())
        try:
            _, end = decode(text, match.start())
        except (ValueError, RecursionError):
            break
    return starts


def _parse_each(text: str, starts: list[int], line: int) -> Iterator[Node | SyntaxFault]:
    """Columns count from the line's beginning, or from the value's if another one stands before it."""
    last = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        newline = text.rfind("\n", last, start)
        begin = start if newline < 0 or text[newline + 1 : start].strip() else newline + 1
        line += text.count("\n", last, begin)
        last = begin
        yield from parse(text[begin:end], line)


_NOT_SPACE = pattern(r"\S")
_DOCUMENT_START = pattern(r"^---(?=\s|\Z)", re.MULTILINE)


class _Refused(Exception):
    def __init__(self, node: Node | Any, message: str) -> None:
        self.fault = SyntaxFault(node.line, node.column, message)


class _Composer:
    def __init__(self, text: str, skipped_lines: int) -> None:
        self.text = text
        self.skipped_lines = skipped_lines
        self.document_line = skipped_lines
        "0-based line in the whole text where the document being read starts."

    def documents(self) -> Iterator[Node]:
        first_line = self.skipped_lines + 1
        next_event = new_parser(self.text).get_event
        anchors: dict[str, Node] = {}
        opened: list[SequenceNode | MappingNode] = []
        children: list[list[Node]] = []
        closed: list[SequenceNode | MappingNode] = []
        aliased = False
        root: Node | None = None
        while True:
            event = next_event()
            kind = type(event)
            mark = event.start_mark
            node: Node
            if kind is ScalarEvent:
                line, column = mark.line + first_line, mark.column + 1
                node = ScalarNode(event.value, event.tag, event.implicit[0], line, column)
                if event.anchor:
                    anchors[event.anchor] = node
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                make = MappingNode if kind is MappingStartEvent else SequenceNode
                collection = make(mark.line + first_line, mark.column + 1)
                if event.anchor:
                    anchors[event.anchor] = collection
                opened.append(collection)
                children.append([])
                if len(opened) > MAX_DEPTH:
                    raise _Refused(collection, f"nested deeper than {MAX_DEPTH} levels")
                continue
            elif kind is MappingEndEvent:
                items = children.pop()
                node = mapping = opened.pop()
                assert isinstance(mapping, MappingNode)
                mapping.pairs = list(zip(items[::2], items[1::2], strict=True))
                closed.append(mapping)
            elif kind is SequenceEndEvent:
                node = sequence = opened.pop()
                assert isinstance(sequence, SequenceNode)
                sequence.items = children.pop()
                closed.append(sequence)
            elif kind is AliasEvent:
                aliased = True
                place = SyntaxFault(mark.line + first_line, mark.column + 1, "")
                if event.anchor not in anchors:
                    raise _Refused(place, f"the alias *{event.anchor} has no anchor before it")
                node = anchors[event.anchor]
                if any(node is one for one in opened):
                    raise _Refused(place, f"the anchor &{event.anchor} contains itself")
            elif kind is DocumentStartEvent:
                self.document_line = mark.line + self.skipped_lines
                anchors, closed, aliased, root = {}, [], False, None
                continue
            elif kind is DocumentEndEvent:
                if aliased:
                    _bound_expansion(closed)
                if root is not None and not (isinstance(root, ScalarNode) and resolve(root) is None):
                    yield root
                continue
            elif kind is StreamEndEvent:
                return
            else:
                continue
            if children:
                children[-1].append(node)
            else:
                root = node


def _bound_expansion(closed: list[SequenceNode | MappingNode]) -> None:
    """Refuses a document whose aliases stand for absurdly many values or levels.

    Collections are in the order in which they closed, so children come before their parents.
    """
    weights: dict[int, int] = {}
    depths: dict[int, int] = {}
    for node in closed:
        parts = node.items if isinstance(node, SequenceNode) else [p for pair in node.pairs for p in pair]
        weight = weights[id(node)] = 1 + sum(weights.get(id(part), 1) for part in parts)
        depth = depths[id(node)] = 1 + max((depths.get(id(part), 0) for part in parts), default=0)
        if depth > MAX_DEPTH:
            raise _Refused(node, f"nested deeper than {MAX_DEPTH} levels through aliases")
        if weight > len(closed) * 50 + MAX_EXPANSION:
            raise _Refused(node, "aliases expand to too many values")


def _syntax_fault(error: YAMLError, composer: _Composer) -> SyntaxFault:
    if not isinstance(error, MarkedYAMLError):  # the reader's: a character that YAML does not allow
        found = re.search(_NOT_PRINTABLE, composer.text)
        index = found.start() if found else 0
        line = composer.skipped_lines + composer.text.count("\n", 0, index) + 1
        reason = getattr(error, "reason", None) or str(error)
        return SyntaxFault(line, index - composer.text.rfind("\n", 0, index), f"not valid YAML: {reason}")
    mark, began = error.problem_mark or error.context_mark, error.context_mark
    context = error.context
    if context and began and mark and began.line != mark.line:
        context += f" from line {began.line + composer.skipped_lines + 1} on"
    message = ", ".join(part for part in (context, error.problem) if part)
    hint = _hint(error.problem or "", context or "", _character_at(composer.text, mark))
    if hint is not None:
        message += f" ({hint})"
    line = (
        (mark.line if mark else composer.document_line - composer.skipped_lines) + composer.skipped_lines + 1
    )
    return SyntaxFault(line, mark.column + 1 if mark else 1, f"not valid YAML: {message}")


def _character_at(text: str, mark: Any) -> str:
    if mark is None:
        return ""
    index = _line_start(text, mark.line) + mark.column
    return text[index : index + 1]


def _hint(problem: str, context: str, character: str) -> str | None:
    """What the parser's words usually come from."""
    if "cannot start any token" in problem:
        if character == "\t":
            return "a tab; YAML is indented with spaces"
        return f"a value that begins with {shown(character)} must be quoted"
    if "mapping values are not allowed" in problem:
        return "a line that is indented too far, or a value with ': ' in it that must be quoted"
    if "tab character" in problem:
        return "YAML is indented with spaces"
    if "quoted scalar" in context and "unexpected" in problem:
        return "the quote that opens there is never closed"
    if "expected ','" in problem:
        return "a missing comma, or a bracket that is never closed"
    if "expected ':'" in problem:
        return "neither `name: value` nor a `- ` item"
    if "did not find expected key" in problem or "'-' indicator" in problem:
        return "a line that is not indented like those above it"
    return None


_NOT_PRINTABLE = "[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"


def _line_start(text: str, line: int) -> int:
    """Index of the first character of a 0-based line."""
    index = 0
    for _ in range(line):
        index = text.find("\n", index) + 1
        if not index:
            return len(text)
    return index


_SURROGATES = (
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"  # rarely needed
)


def _join_surrogates(text: str) -> str:
    """JSON escapes astral characters as two UTF-16 halves, which YAML has no notion of."""
    if "\\u" not in text:
        return text

    def join(match: re.Match[str]) -> str:
        high, low = int(match[2], 16), int(match[3], 16)
        return f"{match[1]}\\U{0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00:08x}"

    return re.sub(_SURROGATES, join, text)


# ------------------------------------------------------------------ scalars

_NAMED: dict[str, Scalar] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_SPECIAL_FIRST = frozenset("+-.0123456789yYnNtTfFoO~")
_INTEGER = pattern(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]?([0-7]+)|0[bB]([01]+)|(0|[1-9][0-9]*))")
_FLOAT = pattern(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_TAGS = {f"tag:yaml.org,2002:{name}": name for name in ("str", "null", "bool", "int", "float", "binary")}


def resolve(node: ScalarNode) -> Scalar:
    """The value of a scalar."""
    if node.tag is None:
        return resolve_plain(node.text) if node.plain else node.text
    match _TAGS.get(node.tag):
        case "null":
            return None
        case "bool" | "int" | "float":
            return resolve_plain(node.text)
        case "binary":
            return _binary_text(node.text)
        case _:
            return node.text


def resolve_plain(text: str) -> Scalar:
    """What text without quotes means (goyaml v2, resolve.go)."""
    if text and text[0] not in _SPECIAL_FIRST:
        return text
    if text in _NAMED:
        return _NAMED[text]
    if text[0] in "yYnNtTfFoO~":
        return text
    digits = text.replace("_", "")
    match = _INTEGER.fullmatch(digits)
    if match is not None:
        sign, hexadecimal, octal, binary, decimal = match.groups()
        if len(digits) > 400:  # no number that any field could hold
            return text
        if hexadecimal or octal or binary:
            number = int(hexadecimal or octal or binary, 16 if hexadecimal else 8 if octal else 2)
        else:
            number = int(decimal)
        return -number if sign == "-" else number
    if _FLOAT.fullmatch(digits):
        return float(digits)
    return text


def _binary_text(text: str) -> str:
    import binascii

    try:
        return binascii.a2b_base64(text).decode("utf-8", "replace")
    except ValueError:
        return text


def key_text(node: Node) -> str | None:
    """A mapping key as JSON would have it: everything becomes a string. None where that cannot be."""
    if not isinstance(node, ScalarNode):
        return None
    value = resolve(node)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return None
    return repr(value).removesuffix(".0")


def is_merge(key: Node) -> bool:
    """Whether a key is `<<`, whose value lends its own keys."""
    return (
        isinstance(key, ScalarNode)
        and key.text == "<<"
        and (key.plain or key.tag == "tag:yaml.org,2002:merge")
    )


# ------------------------------------------------------------------ places


@frozen(eq=False)
class Positions(Mapping[str, tuple[int, int]]):
    """Field path to (line, column) below a node, found when asked for.

    A scalar is where it is written, a list or an object where its key is.
    """

    root: Node
    _names: dict[int, dict[str, tuple[Node, Node]]] = field(factory=dict, init=False, repr=False)
    "Of large mappings: what each name stands for."

    def __getitem__(self, path: str) -> tuple[int, int]:
        place: Node = self.root
        node: Node | None = self.root
        for step in _STEP.finditer(path):
            name, index = step.groups()
            found = self._child(node, name if name is not None else index)
            if found is None:
                raise KeyError(path)
            key, node = found
            place = node if isinstance(node, ScalarNode) and node.text else key
        return place.line, place.column

    def __iter__(self) -> Iterator[str]:
        return _paths(self.root, "")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _child(self, node: Node | None, step: str) -> tuple[Node, Node] | None:
        if not isinstance(node, MappingNode) or len(node.pairs) < _LARGE:
            return _child(node, step)
        names = self._names.get(id(node))
        if names is None:
            keyed = ((key_text(key), key, value) for key, value in reversed(node.pairs))
            names = {name: (key, value) for name, key, value in keyed if name is not None}
            self._names[id(node)] = names
        return names.get(step) or _lent(node, step)


_LARGE = 50
"Pairs of a mapping from which on it is worth the memory to know each by its name."


_STEP = pattern(r"\.?([^.\[\]]+)|\[([^\]]*)\]")


def _child(node: Node | None, step: str) -> tuple[Node, Node] | None:
    if isinstance(node, SequenceNode):
        if step.isdecimal() and int(step) < len(node.items):
            item = node.items[int(step)]
            return item, item
        return None
    if not isinstance(node, MappingNode):
        return None
    for key, value in node.pairs:
        if key_text(key) == step:
            return key, value
    return _lent(node, step)


def _lent(node: MappingNode, step: str) -> tuple[Node, Node] | None:
    """What merge keys lend."""
    for key, value in node.pairs:
        if is_merge(key):
            for lender in value.items if isinstance(value, SequenceNode) else [value]:
                if (found := _child(lender, step)) is not None:
                    return found
    return None


def _paths(node: Node, path: str) -> Iterator[str]:
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield f"{path}[{index}]"
            yield from _paths(item, f"{path}[{index}]")
    elif isinstance(node, MappingNode):
        for key, value in node.pairs:
            name = key_text(key)
            if name is not None and not is_merge(key):
                below = f"{path}.{name}" if path else name
                yield below
                yield from _paths(value, below)
