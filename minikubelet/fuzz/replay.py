"""A case as one YAML file that people read, edit, run again and keep.

The first document, of a kind of our own, says what the processes do, what happens to them and what was found;
the others are the manifests, which `minikubelet run` and kubectl would take as they stand. What is as it
always is stays unwritten. A file that is wrong is told about as manifests are: every fault, with its place.
"""

import difflib
import random
import types
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from minikubelet.api import manifest
from minikubelet.api.check import quoted
from minikubelet.api.codec import wire_name
from minikubelet.api.errors import FieldError, ManifestError
from minikubelet.api.job import Job
from minikubelet.api.nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    SyntaxFault,
    key_text,
    parse,
    resolve,
    resolve_plain,
)
from minikubelet.api.pod import Pod
from minikubelet.fuzz.case import Case, Request
from minikubelet.invariants.rules import Violation
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.base import StartError
from minikubelet.runtime.private import write_file
from minikubelet.runtime.simulated import Script

API_VERSION = "minikubelet/v1"
KIND = "Replay"


@attrs.frozen
class Replay:
    """A case and what is known about it."""

    case: Case
    violated: Violation | None = None
    seed: int | None = None
    "Of the search that found it."
    example: int | None = None
    "Its number in that search; from these two the case was drawn before it was made smaller."
    real: bool = False
    "Found with real processes."


def save(replay: Replay, file: str) -> None:
    """Raises OSError."""
    text = dumps(replay)
    write_file(file, text.encode(), mode=0o666)


def load(file: str) -> Replay:
    """Raises ManifestError with every fault of the file, one that cannot be read included."""
    reader = _Reader(file)
    world = reader.world()
    loaded, errors = _manifests(file, world.names)
    errors = [*reader.errors, *errors]
    if loaded is not None and not errors:
        pods = tuple(one.obj for one in loaded.pods)
        jobs = tuple(one.obj for one in loaded.jobs)
        reader.check_names(pods, jobs)
        errors = reader.errors
        if not errors:
            return world.replay(pods, jobs)
    raise ManifestError(sorted(errors, key=lambda error: (error.line, error.column)))


def dumps(replay: Replay) -> str:
    """The text that `load` takes for the same."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes what our reader would not take for text."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text_of(dumper: Any, text: str) -> Any:
        style = None if text and resolve_plain(text) is text else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, text_of)
    case = replay.case
    documents = [_object(API_VERSION, KIND, _sparse(_World.of(replay)))]
    documents += (_object(pod.api_version, pod.kind, _sparse(pod)) for pod in case.pods)
    documents += (_object(job.api_version, job.kind, _sparse(job)) for job in case.jobs)
    text: str = yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, width=100, default_flow_style=None)
    return f"# Run it again: minikubelet fuzz --replay FILE\n{text}"


# ------------------------------------------------------------------ the first document


@attrs.frozen
class _World:
    """Its fields, in order. The reader goes by their types."""

    violated: Violation | None = None
    seed: int | None = None
    example: int | None = None
    real: bool = False
    settings: LifecycleSettings = attrs.Factory(LifecycleSettings)
    behaviours: Mapping[str, tuple[Script, ...]] = attrs.Factory(dict)
    requests: tuple[Request, ...] = ()
    priorities: tuple[int, ...] = ()
    prepare_failures: int = 0
    heals_at: float = inf
    ends_at: float = Case().ends_at
    names: int = 0

    @staticmethod
    def of(replay: Replay) -> "_World":
        case = replay.case
        shared = {name: getattr(case, name) for name in _SHARED}
        found = replay.violated, replay.seed, replay.example, replay.real
        return _World(*found, behaviours=case.scripts, **shared)

    def replay(self, pods: tuple[Pod, ...], jobs: tuple[Job, ...]) -> Replay:
        shared = {name: getattr(self, name) for name in _SHARED}
        case = Case(pods, jobs, scripts=self.behaviours, **shared)
        return Replay(case, self.violated, self.seed, self.example, self.real)


_SHARED = ("requests", "settings", "priorities", "prepare_failures", "heals_at", "ends_at", "names")


def _object(api_version: str, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, **fields}


def _sparse(value: Any) -> Any:
    """Plain data without the fields that have their default."""
    if isinstance(value, StartError):
        told = {"reason": value.reason, "message": value.message}
        return {**told, "recorded": True} if value.recorded else told
    if attrs.has(type(value)):
        data = {}
        for field in attrs.fields(type(value)):
            given = getattr(value, field.name)
            default = field.default
            if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
                default = default.factory()
            if given != default and (given != "" or field.name != "namespace"):
                data[wire_name(field.name)] = _sparse(given)
        return data
    if isinstance(value, Mapping):
        return {name: _sparse(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_sparse(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# ------------------------------------------------------------------ reading


def _manifests(file: str, names: int) -> tuple[manifest.Manifest | None, Sequence[FieldError]]:
    try:
        loaded = manifest.load([file], random=random.Random(names))
    except ManifestError as error:
        return None, error.errors
    foreign = [f"{doc.type_name}" for doc in loaded.documents if doc.type_name == "CronJob"]
    if foreign:
        return None, [FieldError(file, 0, 0, "", "", "a CronJob cannot be replayed, a Job of it can")]
    return loaded, []


_ABSENT: Any = object()
"In the place of a value that is null or wrong."


class _Reader:
    """Reads the first document, and remembers what is wrong with it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[FieldError] = []
        self.places: dict[str, Node] = {}

    def complain(self, node: Node | None, path: str, message: str) -> None:
        line, column = (0, 0) if node is None else (node.line, node.column)
        self.errors.append(FieldError(self.file, line, column, KIND, path, message))

    def world(self) -> _World:
        """What cannot be read at all, and what is no YAML, is for the manifests' loader to tell."""
        try:
            with open(self.file, encoding="utf-8-sig") as stream:
                roots = list(parse(stream.read()))
        except (OSError, UnicodeDecodeError):
            return _World()
        ours = [root for root in roots if isinstance(root, MappingNode) and _text(root, "kind") == KIND]
        if not ours:
            if not any(isinstance(root, SyntaxFault) for root in roots):
                wanted = f"a document with apiVersion: {API_VERSION} and kind: {KIND} is missing"
                self.errors.append(FieldError(self.file, 0, 0, "", "", f"not a replay: {wanted}"))
            return _World()
        for other in ours[1:]:
            self.complain(other, "kind", f"there can be one {KIND} in a file")
        root = ours[0]
        if (version := _text(root, "apiVersion")) != API_VERSION:
            message = f"Unsupported value: {quoted(version or '')}: expected {quoted(API_VERSION)}"
            self.complain(root, "apiVersion", message)
            return _World()
        inner = MappingNode(root.line, root.column)
        inner.pairs = [p for p in root.pairs if key_text(p[0]) not in ("apiVersion", "kind")]
        world = self.object(inner, _World, "")
        return _World() if world is _ABSENT else world

    def check_names(self, pods: Sequence[Pod], jobs: Sequence[Job]) -> None:
        """What is told by name has to exist."""
        specs = [*(pod.spec for pod in pods), *(job.spec.template.spec for job in jobs)]
        names = {name for spec in specs for name in spec.all_containers}
        pod_keys = {pod.key for pod in pods}
        for path, node in self.places.items():
            field, _, rest = path.partition(".")
            if field == "behaviours" and rest and not set(rest) & set(".[") and rest not in names:
                self.complain(node, path, f"there is no container {quoted(rest)}{_hint(rest, names)}")
            elif field.startswith("requests[") and not rest:
                assert isinstance(node, MappingNode)
                key, is_deletion = _text(node, "key") or "", _text(node, "what") == "delete"
                known = {"", *pod_keys, *(job.key for job in jobs)} if is_deletion else pod_keys
                if key not in known:
                    what = "pod or Job" if is_deletion else "pod"
                    self.complain(node, f"{path}.key", f"there is no {what} {quoted(key)}{_hint(key, known)}")

    # -------------------------------------------------------------- by type

    def value(self, node: Node, kind: Any, path: str) -> Any:
        """A value of a type, `_ABSENT` if it is null or wrong."""
        self.places[path] = node
        options = [one for one in _options(kind) if one is not types.NoneType]
        if isinstance(node, ScalarNode) and resolve(node) is None:
            return _ABSENT
        origin, arguments = get_origin(options[0]), get_args(options[0])
        if origin is tuple and arguments[-1] is not ...:
            return self.pair(node, arguments, path)
        if origin in (tuple, Sequence):
            return self.list(node, arguments[0], path)
        if origin is Mapping:
            return self.map(node, arguments, path)
        if origin is None and (attrs.has(options[0]) or options[0] is StartError):
            return self.object(node, options[0], path)
        return self.scalar(node, options[0], path)

    def object(self, node: Node, cls: type, path: str) -> Any:
        known = {wire_name(name): field for name, field in _fields(cls).items()}
        given = {}
        before = len(self.errors)
        for name, key, value in self.entries(node, path):
            inner = _join(path, name)
            if name not in known:
                self.complain(key, inner, f"unknown field{_hint(name, known)}")
            elif (read := self.value(value, known[name][1], inner)) is not _ABSENT:
                given[known[name][0]] = read
        missing = [name for name, (attribute, _, must) in known.items() if must and attribute not in given]
        if len(self.errors) == before:
            for name in missing:
                self.complain(node, _join(path, name), "Required value")
        return _ABSENT if len(self.errors) > before else cls(**given)

    def map(self, node: Node, arguments: tuple[Any, ...], path: str) -> Any:
        read = {}
        before = len(self.errors)
        for name, key, value in self.entries(node, path):
            if arguments[0] is not str and name not in get_args(arguments[0]):
                wanted = ", ".join(map(quoted, get_args(arguments[0])))
                self.complain(key, f"{path}.{name}", f"Unsupported value: {quoted(name)}: one of {wanted}")
                continue
            read[name] = self.value(value, arguments[1], f"{path}.{name}")
            self.places[f"{path}.{name}"] = key
        return _ABSENT if len(self.errors) > before else read

    def list(self, node: Node, kind: Any, path: str) -> Any:
        if not isinstance(node, SequenceNode):
            self.complain(node, path, "expected a list")
            return _ABSENT
        read = (self.value(one, kind, f"{path}[{index}]") for index, one in enumerate(node.items))
        return tuple(one for one in read if one is not _ABSENT)

    def pair(self, node: Node, kinds: tuple[Any, ...], path: str) -> Any:
        if not isinstance(node, SequenceNode) or len(node.items) != len(kinds):
            self.complain(node, path, f"expected a list of {len(kinds)}")
            return _ABSENT
        read = [
            self.value(one, kind, f"{path}[{index}]")
            for index, (one, kind) in enumerate(zip(node.items, kinds, strict=True))
        ]
        return _ABSENT if _ABSENT in read else tuple(read)

    def entries(self, node: Node, path: str) -> Iterator[tuple[str, Node, Node]]:
        if not isinstance(node, MappingNode):
            self.complain(node, path, "expected an object")
            return
        seen: dict[str, Node] = {}
        for key, value in node.pairs:
            name = key_text(key)
            if name is None:
                self.complain(key, path, "a field name must be a string")
            elif name in seen:
                self.complain(key, _join(path, name), f"given twice, first in line {seen[name].line}")
            else:
                seen[name] = key
                yield name, key, value

    def scalar(self, node: Node, kind: Any, path: str) -> Any:
        value = resolve(node) if isinstance(node, ScalarNode) else _ABSENT
        if get_origin(kind) is Literal:
            if value in get_args(kind):
                return value
            shown = quoted(node.text) if isinstance(node, ScalarNode) else "something else"
            wanted = ", ".join(map(quoted, get_args(kind)))
            self.complain(node, path, f"Unsupported value: {shown}: expected one of {wanted}")
            return _ABSENT
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            if kind is float:
                return float(value)
            if kind is int and value < inf and value == int(value):
                return int(value)
        if kind in (str, bool) and isinstance(value, kind):
            return value
        self.complain(node, path, f"expected {_EXPECTED[kind]}")
        return _ABSENT


_EXPECTED = {
    float: "a number of seconds, not negative (.inf for never)",
    int: "a whole number, not negative",
    str: "a string",
    bool: "true or false",
}


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _fields(cls: type) -> dict[str, tuple[str, Any, bool]]:
    """By name: the name again, the type, and whether it must be given."""
    if cls is StartError:
        return {
            "reason": ("reason", str, True),
            "message": ("message", str, True),
            "recorded": ("recorded", bool, False),
        }
    return {f.name: (f.name, f.type, f.default is attrs.NOTHING) for f in attrs.fields(cls)}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _text(node: MappingNode, name: str) -> str | None:
    for key, value in node.pairs:
        if key_text(key) == name and isinstance(value, ScalarNode):
            found = resolve(value)
            return found if isinstance(found, str) else None
    return None


def _hint(name: str, known: Mapping[str, Any] | set[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {quoted(near[0])}?" if near else ""
