"""How values are made, changed and remembered: `frozen`, `evolve`, `derived` and their kin.

To a type checker these are attrs' own and `functools.cached_property`, and to attrs (`attrs.fields`,
`attrs.evolve`, `attrs.asdict`) the classes are its classes. They are ours because of what they cost: a start
makes hundreds of classes, of which it uses few, and every fact copies some values. So a class costs next to
nothing until it is used, attrs is not loaded for it, and a value keeps its fields in its `__dict__`: a
changed copy is one dict copied in C, a fifth of what `attrs.evolve` takes. That `__dict__` is made as a
whole: filled name by name it would be of the kind whose names are shared by all values of a class, in which
CPython finds a field four times as slowly.
"""

import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

__all__ = ["Factory", "complete_classes", "define", "derived", "evolve", "field", "fields", "frozen", "has"]

if TYPE_CHECKING:
    from functools import cached_property as derived

    from attrs import Factory, define, evolve, field, fields, frozen, has
else:

    def frozen(cls: type | None = None, /, *, eq: bool = True, order: bool = False) -> Any:
        """A class of values that never change, compared by their fields; with `order` also sorted by them."""
        if cls is None:
            return lambda cls: frozen(cls, eq=eq, order=order)
        _prepare(cls, eq, _hash)
        cls.__setattr__ = cls.__delattr__ = _refuse
        if order:
            cls.__lt__, cls.__le__, cls.__gt__, cls.__ge__ = map(_ordering, ("lt", "le", "gt", "ge"))
        return cls

    def define(cls: type | None = None, /, *, eq: bool = True) -> Any:
        """The same for what does change, and so has no hash, unless it is compared by identity."""
        if cls is None:
            return lambda cls: define(cls, eq=eq)
        _prepare(cls, eq, None)
        return cls

    def evolve(value: Any, /, **changes: Any) -> Any:
        """The value with those fields changed; what was derived from the others is forgotten."""
        cls = type(value)
        fields = value.__dict__ | changes
        if cls in _derived_names:
            for name in _derived_names[cls]:
                if name in fields:
                    del fields[name]
        copy = _new(cls)
        cls.__values_fill__(copy, fields)
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

    class field:
        """What a class says of a field beyond its default: how to make that, and what it counts for."""

        def __init__(self, **said: Any) -> None:
            self.said = said

    def Factory(make: Callable[[], Any]) -> field:
        """A default made anew for each value."""
        return field(factory=make)

    def has(cls: Any) -> bool:
        return hasattr(cls, "__values_form__")

    def fields(cls: Any) -> "tuple[_Field, ...]":
        return cls.__values_form__


_NOTHING: Any = object()
_new = object.__new__


class _Field:
    __slots__ = ("declared", "default", "eq", "factory", "name", "repr", "type")

    def __init__(self, name: str, kind: Any, namespace: Mapping[str, Any]) -> None:
        self.name, self.type = name, kind
        self.declared: Any = namespace.get(name, _NOTHING)
        said = self.declared.said if type(self.declared) is field else {"default": self.declared}
        self.default: Any = said.get("default", _NOTHING)
        self.factory: Any = said.get("factory")
        self.eq: bool = said.get("eq", True)
        self.repr: bool = said.get("repr", True)


def _prepare(cls: Any, eq: bool, hashed: Callable[[Any], int] | None) -> None:
    """All that a class costs which is never used."""
    own = cls.__dict__
    if "__dict__" in own:  # what sets it, found once; a subclass has its base's
        cls.__values_fill__ = own["__dict__"].__set__
    _incomplete[cls] = None
    for late in _LATE:
        setattr(cls, late.name, late)
    cls.__attrs_attrs__ = _ATTRS_VIEW
    cls.__init__, cls.__repr__ = _first_init, _text
    if eq:
        cls.__eq__, cls.__hash__ = _is_equal, hashed


_incomplete: dict[Any, None] = {}


def complete_classes() -> None:
    """All at once, for those who have the time now: the first value of a class would have to wait for it."""
    for cls in tuple(_incomplete):
        _complete(cls)


def _complete(cls: Any) -> None:
    """Harmless for one that is; another thread may have been as fast."""
    own = cls.__dict__
    form = tuple(_Field(name, kind, own) for name, kind in own.get("__annotations__", {}).items())
    cls.__values_form__ = form
    cls.__match_args__ = tuple(one.name for one in form)  # type: ignore[misc] # PEP 634
    cls.__values_compared__ = tuple(one.name for one in form if one.eq)
    cls.__init__ = _generic_init(cls, form)
    _incomplete.pop(cls, None)


def _with_form(cls: type) -> Any:
    """The class, or the one that it has its fields from."""
    return next(base for base in cls.__mro__ if "__values_form__" in vars(base))


def _first_init(self: Any, /, *given: Any, **named: Any) -> None:
    cls = _with_form(type(self))
    _complete(cls)
    cls.__init__(self, *given, **named)


class _Late:
    """What a class knows of its fields; found out when somebody asks."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, value: Any, owner: Any) -> Any:
        _complete(_with_form(owner))
        return getattr(owner, self.name)


_LATE = [_Late(name) for name in ("__values_form__", "__match_args__", "__values_compared__")]


class _AttrsView:
    """`__attrs_attrs__`, what attrs knows a class of its own by; made when somebody asks."""

    def __get__(self, value: Any, owner: Any) -> Any:
        import attrs

        twin: dict[str, Any] = {"__annotations__": {one.name: one.type for one in owner.__values_form__}}
        for one in owner.__values_form__:
            if type(one.declared) is field:
                twin[one.name] = attrs.field(**one.declared.said)
            elif one.declared is not _NOTHING:
                twin[one.name] = one.declared
        owner.__attrs_attrs__ = attrs.fields(attrs.frozen(type(owner.__name__, (), twin)))
        return owner.__attrs_attrs__


_ATTRS_VIEW = _AttrsView()


# ------------------------------------------------------------------ making a value

_MANY = 64
"Values of one class that are made before an `__init__` is compiled for it, which costs about as much."


def _generic_init(cls: Any, form: tuple[_Field, ...]) -> Callable[..., None]:
    """An `__init__` that costs no compilation."""
    names = tuple(one.name for one in form)
    defaults = {one.name: one.default for one in form if one.default is not _NOTHING}
    factories = [(one.name, one.factory) for one in form if one.factory is not None]
    made = 0

    def __init__(self: Any, /, *given: Any, **named: Any) -> None:
        nonlocal made
        made += 1
        if made == _MANY:
            cls.__init__ = _compiled_init(cls, form)
        fields = defaults.copy()
        fields.update(zip(names, given, strict=False))
        fields.update(named)
        for name, make in factories:
            if name not in fields:
                fields[name] = make()
        if len(fields) != len(names) or len(given) > len(names):
            raise TypeError(f"{cls.__name__}({', '.join(names)}) was given {given} and {named}")
        cls.__values_fill__(self, fields)

    return __init__


def _compiled_init(cls: Any, form: tuple[_Field, ...]) -> Any:
    """The same as a Python function with those parameters."""
    known: dict[str, Any] = {"_fill": cls.__values_fill__, "_NOTHING": _NOTHING}
    parameters, items = ["self"], []
    for one in form:
        name, item = one.name, one.name
        if one.factory is not None:
            known[f"_make_{name}"] = one.factory
            parameters.append(f"{name}=_NOTHING")
            item = f"_make_{name}() if {name} is _NOTHING else {name}"
        elif one.default is not _NOTHING:
            known[f"_default_{name}"] = one.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        items.append(f"{name!r}: {item}")
    arguments, display = ", ".join(parameters), ", ".join(items)
    exec(f"def __init__({arguments}):\n _fill(self, {{{display}}})", known)
    return known["__init__"]


def _refuse(self: Any, name: str, *value: Any) -> None:
    from attrs.exceptions import FrozenInstanceError

    raise FrozenInstanceError


# ------------------------------------------------------------------ what all classes share

_derived_names: dict[type, list[str]] = {}


def _is_equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _compared(self) == _compared(other)


def _hash(self: Any) -> int:
    return hash((self.__class__, *_compared(self)))


def _ordering(name: str) -> Callable[[Any, Any], Any]:
    def compare(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return getattr(operator, name)(_compared(self), _compared(other))

    return compare


def _text(self: Any) -> str:
    shown = (one.name for one in self.__values_form__ if one.repr)
    return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


def _compared(value: Any) -> list[Any]:
    fields = value.__dict__
    return [fields[name] for name in value.__values_compared__]
