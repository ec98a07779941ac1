"""The attrs classes of `api` to plain data as the API publishes it, and back.

This says how names are spelled (`host_ip` is `hostIP`) and what is left out; the types of the fields say the
rest. What reads and writes a class is made when it is first met, so that importing this costs nothing per
class.
"""

import binascii
from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from minikubelet.api import schema_table
from minikubelet.api.values import fields, has

T = TypeVar("T")

_IRREGULAR = {"ip": "IP", "ips": "IPs", "id": "ID", "pid": "PID", "ipc": "IPC", "api": "API", "fqdn": "FQDN"}


def wire_name(attribute: str) -> str:
    """`host_ip` as the API spells it: `hostIP`."""
    first, *rest = attribute.split("_")
    return first + "".join(_IRREGULAR.get(word) or word.capitalize() for word in rest)


def from_wire(data: Mapping[str, Any], cls: type[T]) -> T:
    """An object of an API class. `data` is of the right form, as `check.decode` makes sure."""
    kind: Any = cls
    obj: T = _reader(kind)(data)
    return obj


def to_wire(obj: Any) -> dict[str, Any]:
    """An object as the API publishes it.

    Left out are None, empty strings, lists and maps, and zeros that only repeat the default; but not the
    fields that the API always shows (`ready`, `restartCount`), and never an object (`lastState: {}`).
    """
    wire: dict[str, Any] = _written(obj)
    return wire


# ------------------------------------------------------------------ types

_SCALARS = frozenset((str, int, float, bool, type(None)))


def _is_scalar(kind: Any) -> bool:
    """Whether data of a type is kept as it is: scalars, unions of them, anything."""
    if kind is Any or kind in _SCALARS:
        return True
    return get_origin(kind) in _UNIONS and _SCALARS.issuperset(get_args(kind))


_UNIONS = (UnionType, Union)


# ------------------------------------------------------------------ reading


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """What makes a field of that type out of plain data."""
    if _is_scalar(kind):
        return lambda value: value
    if kind is bytes:
        return binascii.a2b_base64
    if has(kind):
        return _object_reader(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in _UNIONS:
        (kind,) = (argument for argument in arguments if argument is not type(None))
        return _reader(kind)
    read = _reader(arguments[0] if origin is tuple else arguments[1])
    if origin is tuple:
        return lambda values: tuple(map(read, values))
    assert origin is Mapping, f"no field of the API has type {kind}"
    return lambda values: {key: read(value) for key, value in values.items()}


def _object_reader(cls: Any) -> Callable[[Mapping[str, Any]], Any]:
    attributes = {wire_name(attribute.name): attribute for attribute in fields(cls)}

    def read(data: Mapping[str, Any]) -> Any:
        known = ((attributes[name], value) for name, value in data.items() if name in attributes)
        return cls(**{attribute.name: _reader(attribute.type)(value) for attribute, value in known})

    return read


# ------------------------------------------------------------------ writing


def _written(value: Any) -> Any:
    cls: Any = type(value)
    if has(cls):
        return _object_writer(cls)(value)
    if isinstance(value, Mapping):
        return {key: _written(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [*map(_written, value)]
    if isinstance(value, bytes):
        return binascii.b2a_base64(value, newline=False).decode()
    return value


@cache
def _object_writer(cls: type) -> Callable[[Any], dict[str, Any]]:
    required = {
        word.split("!")[0] for word in schema_table.TYPES.get(cls.__name__, "").split() if "!" in word
    }
    plan = [
        (one.name, wire_name(one.name), _is_scalar(one.type), wire_name(one.name) in required, one.default)
        for one in fields(cls)
    ]

    def write(obj: Any) -> dict[str, Any]:
        wire = {}
        for attribute, name, is_scalar, always, default in plan:
            value = getattr(obj, attribute)
            if value is None:
                continue
            if not value and not always and (value == default or isinstance(value, str) or not is_scalar):
                continue
            wire[name] = value if is_scalar else _written(value)
        return wire

    return write
