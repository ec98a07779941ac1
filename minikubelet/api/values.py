"""How values are made, changed and remembered: `frozen`, `evolve` and `derived`.

To a type checker these are `attrs.frozen`, `attrs.evolve` and `functools.cached_property`. They are ours
because a start makes hundreds of classes and every fact copies some values. A value keeps its fields in its
`__dict__`, so that a changed copy is one dict copied in C, a fifth of what `attrs.evolve` takes; and all
classes share their comparison, hash and text, which halves what attrs takes to make one. That `__dict__` is
made as a whole: filled name by name it would be of the kind whose names are shared by all values of a class,
in which CPython finds a field four times as slowly.
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
    _new, _set = object.__new__, object.__setattr__

    def frozen(cls: type) -> type:
        """A class of values that never change, compared by their fields."""
        cls = attrs.frozen(cls, auto_attribs=True, slots=False, eq=False, repr=False, init=False)
        cls.__init__ = _first_initializer(cls)
        cls.__eq__, cls.__hash__, cls.__repr__ = _is_equal, _hash, _text
        return cls

    def _first_initializer(cls: type) -> Callable[..., None]:
        """Makes the other one when the first value is made, which of most classes never is."""

        def __init__(self: Any, *arguments: Any, **fields: Any) -> None:
            cls.__init__ = _initializer(cls)
            cls.__init__(self, *arguments, **fields)

        return __init__

    def _initializer(cls: type) -> Callable[..., None]:
        """`__init__` as attrs would make it, for what our classes have: defaults and factories."""
        names: dict[str, Any] = {"_set": _set, "_NOTHING": attrs.NOTHING}
        parameters, items = ["self"], []
        for field in sorted(attrs.fields(cls), key=lambda field: field.kw_only):
            name, default = field.name, field.default
            if field.kw_only and "*" not in parameters:
                parameters.append("*")
            item = name
            if default is attrs.NOTHING:
                parameters.append(name)
            elif isinstance(default, attrs.Factory):
                names[f"_make_{name}"] = default.factory
                parameters.append(f"{name}=_NOTHING")
                item = f"_make_{name}() if {name} is _NOTHING else {name}"
            else:
                names[f"_default_{name}"] = default
                parameters.append(f"{name}=_default_{name}")
            items.append(f"{name!r}: {item}")
        arguments, display = ", ".join(parameters), ", ".join(items)
        exec(f"def __init__({arguments}):\n _set(self, '__dict__', {{{display}}})", names)
        return names["__init__"]

    def evolve(value: Any, /, **changes: Any) -> Any:
        """The value with those fields changed; what was derived from the others is forgotten."""
        cls = value.__class__
        fields = value.__dict__ | changes
        if cls in _derived_names:
            for name in _derived_names[cls]:
                fields.pop(name, None)
        copy = _new(cls)
        _set(copy, "__dict__", fields)
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
