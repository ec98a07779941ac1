"""How values are made, changed and remembered: `frozen`, `evolve` and `derived`.

To a type checker these are `attrs.frozen`, `attrs.evolve` and `functools.cached_property`. They are ours
because a start makes hundreds of classes and every fact copies some values. A value keeps its fields in its
`__dict__`, so that a changed copy is one dict copied in C, a fifth of what `attrs.evolve` takes; and all
classes share their comparison, hash and text, which halves what attrs takes to make one.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs

__all__ = ["derived", "evolve", "frozen"]

if TYPE_CHECKING:
    from functools import cached_property as derived

    from attrs import evolve, frozen
else:

    def frozen(cls: type) -> type:
        """A class of values that never change, compared by their fields."""
        cls = attrs.frozen(cls, auto_attribs=True, slots=False, eq=False, repr=False)
        cls.__eq__, cls.__hash__, cls.__repr__ = _is_equal, _hash, _text
        return cls

    def evolve(value: Any, /, **changes: Any) -> Any:
        """The value with those fields changed; what was derived from the others is forgotten."""
        cls = value.__class__
        fields = value.__dict__ | changes
        for name in _derived_names.get(cls, ()):
            fields.pop(name, None)
        copy = object.__new__(cls)
        object.__setattr__(copy, "__dict__", fields)
        return copy

    class derived:
        """A property computed once for each value; `cached_property` without the lock of Python 3.11."""

        def __init__(self, compute: Callable[[Any], Any]) -> None:
            self._compute = compute

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name
            _derived_names.setdefault(owner, []).append(name)

        def __get__(self, value: Any, owner: type | None = None) -> Any:
            if value is None:
                return self
            result = value.__dict__[self._name] = self._compute(value)
            return result


_derived_names: dict[type, list[str]] = {}


def _is_equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _compared(self) == _compared(other)


def _hash(self: Any) -> int:
    return hash((self.__class__, *_compared(self)))


def _text(self: Any) -> str:
    shown = (field.name for field in attrs.fields(self.__class__) if field.repr)
    return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


def _compared(value: Any) -> list[Any]:
    fields = value.__dict__
    return [fields[name] for name in _compared_names(value.__class__)]


@cache
def _compared_names(cls: type) -> list[str]:
    return [field.name for field in attrs.fields(cls) if field.eq]
