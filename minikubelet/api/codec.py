"""The attrs classes of `api` to plain data as the API publishes it, and back.

cattrs does the work; this says how names are spelled (`host_ip` is `hostIP`) and what is left out. Hooks
are made for each class when it is first met, so that importing this costs nothing per class.
"""

import binascii
from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter

from minikubelet.api import schema_table

T = TypeVar("T")

_IRREGULAR = {"ip": "IP", "ips": "IPs", "id": "ID", "pid": "PID", "ipc": "IPC", "api": "API", "fqdn": "FQDN"}


def wire_name(attribute: str) -> str:
    """`host_ip` as the API spells it: `hostIP`."""
    first, *rest = attribute.split("_")
    return first + "".join(_IRREGULAR.get(word) or word.capitalize() for word in rest)


def from_wire(data: Mapping[str, Any], cls: type[T]) -> T:
    """An object of an API class. `data` is of the right form, as `check.decode` makes sure."""
    return _converter().structure(data, cls)


def to_wire(obj: Any) -> dict[str, Any]:
    """An object as the API publishes it.

    Left out are None, empty strings, lists and maps, and zeros that only repeat the default; but not the
    fields that the API always shows (`ready`, `restartCount`), and never an object (`lastState: {}`).
    """
    wire: dict[str, Any] = _converter().unstructure(obj)
    return wire


@cache
def _converter() -> Converter:
    converter = Converter(detailed_validation=False)
    converter.register_structure_hook_func(_is_scalar, lambda value, _: value)
    converter.register_structure_hook_func(_is_map_of_scalars, lambda value, _: value)
    converter.register_structure_hook(bytes, lambda value, _: binascii.a2b_base64(value))
    converter.register_unstructure_hook(
        bytes, lambda value: binascii.b2a_base64(value, newline=False).decode()
    )
    converter.register_structure_hook_factory(attrs.has, lambda cls: _structure_hook(converter, cls))
    converter.register_unstructure_hook_factory(attrs.has, lambda cls: _unstructure_hook(converter, cls))
    return converter


_SCALARS = frozenset((str, int, float, bool, type(None)))


def _is_scalar(kind: Any) -> bool:
    """Whether data of a type is kept as it is: scalars, unions of them, anything."""
    if kind is Any or kind in _SCALARS:
        return True
    return get_origin(kind) in _UNIONS and _SCALARS.issuperset(get_args(kind))


_UNIONS = (UnionType, Union)


def _is_map_of_scalars(kind: Any) -> bool:
    return get_origin(kind) is Mapping and all(map(_is_scalar, get_args(kind)))


def _structure_hook(converter: Converter, cls: Any) -> Callable[[Mapping[str, Any], Any], Any]:
    attributes = {wire_name(attribute.name): attribute for attribute in attrs.fields(cls)}
    plain = {name: one.name for name, one in attributes.items() if _is_scalar(one.type)}
    nested: dict[str, tuple[str, Callable[..., Any], Any]] = {}  # filled as fields are met: most never are

    def structure(data: Mapping[str, Any], _: Any) -> Any:
        arguments = {}
        for name, value in data.items():
            if name in plain:
                arguments[plain[name]] = value
                continue
            if name not in nested:
                if name not in attributes:
                    continue
                one = attributes[name]
                nested[name] = one.name, converter.get_structure_hook(one.type), one.type
            attribute, hook, kind = nested[name]
            arguments[attribute] = hook(value, kind)
        return cls(**arguments)

    return structure


def _unstructure_hook(converter: Converter, cls: type) -> Callable[[Any], dict[str, Any]]:
    required = {
        word.split("!")[0] for word in schema_table.TYPES.get(cls.__name__, "").split() if "!" in word
    }
    plan = []
    for attribute in attrs.fields(cls):
        name = wire_name(attribute.name)
        hook = None if _is_scalar(attribute.type) else converter.unstructure
        plan.append((attribute.name, name, hook, name in required, attribute.default))

    def unstructure(obj: Any) -> dict[str, Any]:
        wire = {}
        for attribute, name, hook, always, default in plan:
            value = getattr(obj, attribute)
            if value is None:
                continue
            if not value and not always and (value == default or isinstance(value, str) or hook is not None):
                continue
            wire[name] = value if hook is None else hook(value)
        return wire

    return unstructure
