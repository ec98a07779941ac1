"""Nodes to data: one pass, guided by the API's types, that finds every fault of form.

Decodes as strictly as the API server does with fieldValidation=Strict: unknown fields, fields given
twice and wrong types are faults (VALID-25), each with its place. Where something is wrong the data goes on
as if the field were absent (a required one: empty), so that whatever else is wrong can be found as well.
Whether values make sense is for `validation` to say.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from minikubelet.api import schema
from minikubelet.api.errors import shown
from minikubelet.api.nodes import (
    MappingNode,
    Node,
    Scalar,
    ScalarNode,
    SequenceNode,
    is_merge,
    key_text,
    resolve,
    resolve_plain,
)
from minikubelet.api.patterns import pattern
from minikubelet.api.quantity import parse_quantity
from minikubelet.api.values import frozen


@frozen
class Fault:
    """What is wrong at a field path. `line` and `column` count from 1; 0: where the field is."""

    path: str
    message: str
    line: int = 0
    column: int = 0
    meant: str = ""
    "Path of the field that an unknown one probably stands for, so that nobody need miss it."


def decode(node: Node, type_name: str) -> tuple[dict[str, Any], list[Fault]]:
    """An object of an API type as plain data, camelCase as on the wire, and all that is wrong with it."""
    decoder = _Decoder()
    data = decoder.object(node, type_name, None)
    return ({} if data is None else data), decoder.faults


@frozen(eq=False)
class _Step:
    """One step of a field path; text is made of it only when there is something to complain about."""

    above: "_Step | None"
    part: str
    type_name: str = ""
    "Of the object that has this field."
    in_map: bool = False
    "Its value is data, and not told to the system."

    def __str__(self) -> str:
        return f"{self.above}{self.part}" if self.above is not None else self.part.removeprefix(".")


_SUGGESTIONS = 100
"Faults of an object up to which it is worth the time to look for the field that was meant."
_LONGEST_NAME = 100
"Characters of a name that could be a field's."
_LIMITS = {"i": 2**31, "l": 2**63}
_TIME = pattern(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class _Decoder:
    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def complain(self, node: Node, path: "_Step | None", message: str) -> None:
        self.faults.append(Fault("" if path is None else str(path), message, node.line, node.column))

    # -------------------------------------------------------------- collections

    def object(self, node: Node, type_name: str, path: _Step | None) -> dict[str, Any] | None:
        if not isinstance(node, MappingNode):
            self.mismatch(node, path, "an object", schema.Type("object", type_name))
            return None
        known = schema.fields(type_name)
        data: dict[str, Any] = {}
        for name, key, value_node in self.entries(node, path):
            field = known.get(name)
            step = _Step(path, f".{name}", type_name)
            if field is None:
                words, meant = ("", "")
                if len(self.faults) < _SUGGESTIONS and len(name) <= _LONGEST_NAME:
                    words, meant = suggestion(name, type_name, path)
                self.faults.append(Fault(str(step), f"unknown field{words}", key.line, key.column, meant))
                continue
            value = self.value(value_node, field.type, step)
            if value is not None:
                data[name] = value
        for field in required_fields(type_name):
            if field.name not in data:
                data[field.name] = zero(field.type)
        return data

    def list(self, node: Node, of: schema.Type, path: _Step | None) -> list[Any] | None:
        if not isinstance(node, SequenceNode):
            self.mismatch(node, path, "a list", of)
            return None
        values = []
        for index, item in enumerate(node.items):
            value = self.value(item, of, _Step(path, f"[{index}]"))
            values.append(zero(of) if value is None else value)
        return values

    def map(self, node: Node, of: schema.Type, path: _Step | None) -> dict[str, Any] | None:
        if not isinstance(node, MappingNode):
            self.mismatch(node, path, "an object")
            return None
        data = {}
        for name, _, value_node in self.entries(node, path, brackets=True):
            value = self.value(value_node, of, _Step(path, f"[{name}]", in_map=True))
            data[name] = zero(of) if value is None else value
        return data

    def entries(
        self, node: MappingNode, path: _Step | None, brackets: bool = False
    ) -> Iterator[tuple[str, Node, Node]]:
        """Key as text, its node and the value's: a mapping's own entries, then what `<<` lends it."""
        seen: dict[str, Node] = {}
        lent: list[Node] = []
        for key, value in node.pairs:
            name = key_text(key)
            if name == "<<" and is_merge(key):
                lent += value.items if isinstance(value, SequenceNode) else [value]
            elif name is None:
                self.complain(key, path, "a field name must be a string")
            elif name in seen:
                step = _Step(path, f"[{name}]" if brackets else f".{name}")
                self.complain(key, step, f"given twice, first in line {seen[name].line}")
            else:
                seen[name] = key
                yield name, key, value
        for lender in lent:
            if not isinstance(lender, MappingNode):
                self.complain(lender, path, "a merge key (<<) takes an object or a list of objects")
                continue
            for name, key, value in self.entries(lender, path, brackets):
                if name not in seen:
                    seen[name] = key
                    yield name, key, value

    # -------------------------------------------------------------- values

    def value(self, node: Node, kind: schema.Type, path: _Step) -> Any:
        """A value of a type; None if it is null or wrong."""
        if isinstance(node, ScalarNode):
            value = resolve(node)
            if value is None:
                return None
            letter = kind.kind
            if letter == "s":
                return self.string(node, value, path)
            check = _SCALAR_CHECKS.get(letter)
            if check is not None:
                return check(self, node, value, path, letter)
        if kind.kind == "object":
            return self.object(node, kind.name, path)
        if kind.kind == "j":
            return self.json(node, path)
        if kind.of is None:
            return self.mismatch(node, path, _EXPECTED[kind.kind])
        return self.list(node, kind.of, path) if kind.kind == "list" else self.map(node, kind.of, path)

    def string(self, node: ScalarNode, value: Scalar, path: _Step) -> Any:
        if not isinstance(value, str):
            return self.mismatch(node, path, "a string")
        if "\0" in value and not path.in_map:
            self.complain(node, path, f"Invalid value: {quoted(value)}: must not contain a NUL character")
            return None
        return value

    def boolean(self, node: ScalarNode, value: Scalar, path: _Step, letter: str) -> Any:
        return value if isinstance(value, bool) else self.mismatch(node, path, "true or false")

    def integer(self, node: ScalarNode, value: Scalar, path: _Step, letter: str) -> Any:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return self.mismatch(node, path, "an integer")
        if not -_LIMITS[letter] <= value < _LIMITS[letter]:
            bits = 32 if letter == "i" else 64
            self.complain(node, path, f"Invalid value: {value}: does not fit into {bits} bits")
            return None
        return value

    def integer_or_string(self, node: ScalarNode, value: Scalar, path: _Step, letter: str) -> Any:
        return value if isinstance(value, str) else self.integer(node, value, path, "i")

    def quantity(self, node: ScalarNode, value: Scalar, path: _Step, letter: str) -> Any:
        try:
            if isinstance(value, bool) or value is None:
                return self.mismatch(node, path, "a quantity")
            parse_quantity(value)
        except ValueError:
            example = 'such as "500m", "1.5" or "64Mi"'
            self.complain(node, path, f"Invalid value: {quoted(node.text)}: must be a quantity, {example}")
            return None
        return value

    def time(self, node: ScalarNode, value: Scalar, path: _Step, letter: str) -> Any:
        if isinstance(value, str) and _TIME.fullmatch(value):
            return value
        return self.mismatch(node, path, "a time such as 2006-01-02T15:04:05Z")

    def base64(self, node: ScalarNode, value: Scalar, path: _Step, letter: str) -> Any:
        import binascii

        if not isinstance(value, str):
            return self.mismatch(node, path, "a string")
        try:
            binascii.a2b_base64(value.replace("\n", "").replace("\r", "").encode(), strict_mode=True)
        except ValueError as error:
            hint = " (plain text belongs into stringData)" if "data[" in str(path) else ""
            self.complain(node, path, f"illegal base64 data: {str(error).lower()}{hint}")
            return None
        return value

    def json(self, node: Node, path: _Step) -> Any:
        if isinstance(node, SequenceNode):
            return [self.json(item, path) for item in node.items]
        if isinstance(node, MappingNode):
            return {name: self.json(value, path) for name, _, value in self.entries(node, path)}
        return resolve(node)

    def mismatch(self, node: Node, path: _Step | None, expected: str, of: schema.Type | None = None) -> None:
        message = f"expected {expected}, got {_described(node)}{_remedy(node, expected, of)}"
        if isinstance(node, ScalarNode) or path is None:
            self.complain(node, path, message)
        else:  # told at its key
            self.faults.append(Fault(str(path), message))


_SCALAR_CHECKS = {
    "b": _Decoder.boolean,
    "i": _Decoder.integer,
    "l": _Decoder.integer,
    "p": _Decoder.integer_or_string,
    "q": _Decoder.quantity,
    "t": _Decoder.time,
    "y": _Decoder.base64,
}
_EXPECTED = {
    "s": "a string",
    "b": "true or false",
    "i": "an integer",
    "l": "an integer",
    "p": "an integer or a string",
    "q": "a quantity",
    "t": "a time",
    "y": "a string",
}

# ------------------------------------------------------------------ what is absent


_REQUIRED: dict[str, tuple[schema.Field, ...]] = {}


def required_fields(type_name: str) -> tuple[schema.Field, ...]:
    if type_name not in _REQUIRED:
        _REQUIRED[type_name] = tuple(field for field in schema.fields(type_name).values() if field.required)
    return _REQUIRED[type_name]


def zero(kind: schema.Type) -> Any:
    """What Go has where nothing was given."""
    if kind.kind == "object":
        return {field.name: zero(field.type) for field in required_fields(kind.name)}
    return {"list": [], "map": {}, "b": False, "i": 0, "l": 0, "p": 0, "q": "0"}.get(kind.kind, "")


# ------------------------------------------------------------------ wording


def quoted(text: object) -> str:
    """A value as error messages show it."""
    value = str(text)
    if len(value) > 80:
        value = value[:77] + "..."
    return '"' + shown(value.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _described(node: Node) -> str:
    if isinstance(node, SequenceNode):
        return "a list"
    if isinstance(node, MappingNode):
        if any(isinstance(key, MappingNode) for key, _ in node.pairs):
            return "a template in {{ }}"
        return "an object"
    value = resolve(node)
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {shown(node.text, 80)}"
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    return f"the number {shown(node.text, 80)}"


def _remedy(node: Node, expected: str, of: schema.Type | None) -> str:
    """How to mend it, where that is plain to see. `of` is the object that is expected, or a list's items."""
    better = ""
    if not isinstance(node, ScalarNode):
        if expected == "a list" and isinstance(node, MappingNode) and of is not None:
            better = _as_list(node, of)
        return f"; {better}" if better else ""
    value = resolve(node)
    if expected == "a string" and value is not None:
        better = f'quote it: "{node.text}"' if len(node.text) <= 80 and node.text.isprintable() else ""
    elif expected == "a list" and of is not None and of.kind == "s" and isinstance(value, str):
        better = f"write it as a list: [{', '.join(quoted(word) for word in value.split()[:8])}]"
    elif expected == "an object" and of is not None:
        better = _as_object(value, of)
    elif isinstance(value, str) and not node.plain:
        bare = resolve_plain(value)
        if (expected == "true or false" and isinstance(bare, bool)) or (
            expected == "an integer" and type(bare) is int
        ):
            better = "remove the quotes"
    return f"; {better}" if better else ""


def _as_list(node: MappingNode, of: schema.Type) -> str:
    """An object in the place of a list: its only item, or its entries as items."""
    names = [key_text(key) or "" for key, _ in node.pairs]
    if of.kind == "object" and names and schema.fields(of.name).keys() >= set(names):
        return f"put '- ' in front of {quoted(names[0])}"
    if of.name == "EnvVar" and node.pairs and isinstance(node.pairs[0][1], ScalarNode):
        first = shown(names[0], 80)
        return f"write it as a list: [{{name: {first}, value: {quoted(node.pairs[0][1].text)}}}, ...]"
    return ""


def _as_object(value: Scalar, of: schema.Type) -> str:
    """A scalar in the place of an object that people write short elsewhere."""
    if of.name == "EnvVar" and isinstance(value, str) and "=" in value:
        name, _, text = value.partition("=")
        return f"write it as {{name: {shown(name, 80)}, value: {quoted(text)}}}"
    if of.name == "ContainerPort" and type(value) is int:
        return f"write it as {{containerPort: {value}}}"
    return ""


_OTHER_NAMES = {
    "cmd": "command",
    "entrypoint": "command",
    "environment": "env",
    "env_file": "envFrom",
    "expose": "ports",
    "healthcheck": "livenessProbe",
    "restart": "restartPolicy",
    "working_dir": "workingDir",
    "sidecars": "initContainers",
}
"What other tools call a field, or what people call it."


def suggestion(name: str, type_name: str, path: _Step | None) -> tuple[str, str]:
    """`; did you mean "command"?`, or where a field of that name belongs; and the path of that field."""
    known = schema.fields(type_name)
    near = _same_field(name, known)
    if near is None:
        step = path
        while step is not None:  # a level too deep
            if step.type_name and name in schema.fields(step.type_name):
                owner = str(step.above or "")
                return f"; it belongs to {owner or 'the object itself'}", _joined(owner, name)
            step = step.above
        for below in _paths_to(name, type_name, 4):  # not deep enough
            owner = _joined(str(path or ""), below)
            return f"; it belongs to {owner}", _joined(owner, name)
        near = _similar_field(name, known)
    if near is None:
        amounts = type_name == "ResourceRequirements" and name in ("cpu", "memory", "ephemeral-storage")
        return ("; it belongs to limits or requests" if amounts else ""), ""
    return f'; did you mean "{near}"?', _joined(str(path or ""), near)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _same_field(name: str, known: Mapping[str, schema.Field]) -> str | None:
    """The field that was certainly meant: in other letters, by another name, or by the end of its own."""
    lower = name.lower()
    for other in known:
        if other.lower() == lower:
            return other
    if (other := _OTHER_NAMES.get(lower, "")) in known:
        return other
    ends = [other for other in known if other.endswith(name[:1].upper() + name[1:])]  # `port`: containerPort
    required = [other for other in ends if known[other].required]
    likely = required or [other for other in ends if len(name) > len(other) / 3]
    return likely[0] if len(likely) == 1 else None


def _similar_field(name: str, known: Mapping[str, schema.Field]) -> str | None:
    import difflib

    by_lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name, known, 1, 0.75) or difflib.get_close_matches(
        name.lower(), (*by_lower, *(other for other in _OTHER_NAMES if _OTHER_NAMES[other] in known)), 1
    )
    return by_lower.get(near[0]) or _OTHER_NAMES.get(near[0], near[0]) if near else None


def _paths_to(name: str, type_name: str, depth: int) -> Iterator[str]:
    """Paths from a type down to an object that has the field, nearest first.

    Of lists only the containers count: what is written into a pod often belongs into one of them.
    """
    inner = {
        field.name: field.type
        for field in schema.fields(type_name).values()
        if field.name in _FIELDS_THAT_NEST or (type_name, field.name) in _PLACES_TO_FORGET
    }
    for field, kind in inner.items():
        below = kind.of or kind
        if below.kind == "object" and name in schema.fields(below.name):
            yield field if kind.of is None else f"{field}[0]"
    if depth > 1:
        for field, kind in inner.items():
            if kind.kind == "object":
                for below_it in _paths_to(name, kind.name, depth - 1):
                    yield f"{field}.{below_it}"


_FIELDS_THAT_NEST = frozenset(("spec", "template", "jobTemplate", "metadata"))
_PLACES_TO_FORGET = frozenset(
    (
        ("EnvVar", "valueFrom"),
        ("PodSpec", "containers"),
        ("PodSpec", "securityContext"),
        ("Container", "securityContext"),
        ("Container", "lifecycle"),
        ("ResourceRequirements", "limits"),
        ("Probe", "httpGet"),
    )
)
