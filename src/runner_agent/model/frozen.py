"""Frozen slotted dataclasses as the standard library has them, defined in a tenth of the time.

It compiles six functions for each class from text, which for our two hundred classes was two fifths of the
daemon's start. Here what is often called is compiled when it is first called, and the rest is the same for
all.
"""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from typing import TYPE_CHECKING, ClassVar, NoReturn, TypeVar, cast

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen, slots):
        """The standard library's. Fields may have a default or a factory, and be hidden or not compared."""
        assert frozen
        assert slots
        return _define


__all__ = ["dataclass"]

T = TypeVar("T")


def _define(cls: type[T]) -> type[T]:
    if any(map(dataclasses.is_dataclass, cls.__mro__)):  # an heir; they are few
        return dataclasses.dataclass(frozen=True, slots=True)(cls)
    own = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    params = vars(own)["__dataclass_params__"]
    params.frozen = params.eq = True
    for name in _METHODS.keys() - vars(cls).keys():
        setattr(own, name, _METHODS[name])
    return own


class _Frozen:
    """The methods of all. Those that are compiled put themselves in the place of these."""

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]

    def __init__(self, *args: object, **named: object) -> None:
        _compile(type(self), *_init(fields(self)))(self, *args, **named)

    def __eq__(self, other: object) -> object:  # type: ignore[override]
        same = f"{_tuple('self', fields(self))} == {_tuple('other', fields(self))}"
        text = f"__eq__(self, other): return {same} if other.__class__ is self.__class__ else NotImplemented"
        return _compile(type(self), text, {})(self, other)

    def __hash__(self) -> int:
        text = f"__hash__(self): return hash({_tuple('self', fields(self))})"
        return cast("int", _compile(type(self), text, {})(self))

    def __repr__(self) -> str:
        shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __setattr__(self, name: str, _: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __getstate__(self) -> list[object]:
        return [getattr(self, one.name) for one in fields(self)]

    def __setstate__(self, state: list[object]) -> None:
        for one, value in zip(fields(self), state, strict=True):
            object.__setattr__(self, one.name, value)


_METHODS = {name: method for name, method in vars(_Frozen).items() if callable(method)}
_MAKE = object()


def _tuple(instance: str, all_: Iterable[Field[object]]) -> str:
    return f"({''.join(f'{instance}.{one.name}, ' for one in all_ if one.compare)})"


def _init(all_: Iterable[Field[object]]) -> tuple[str, dict[str, object]]:
    known: dict[str, object] = {"_set": object.__setattr__, "_MAKE": _MAKE}
    parameters, body = ["self"], ["pass"]
    for name, default, factory in ((one.name, one.default, one.default_factory) for one in all_):
        given, value = name, name
        if default is not MISSING:
            known[f"_{name}"] = default
            given = f"{name}=_{name}"
        elif factory is not MISSING:
            known[f"_{name}"] = factory
            given, value = f"{name}=_MAKE", f"_{name}() if {name} is _MAKE else {name}"
        parameters.append(given)
        body.append(f"_set(self, {name!r}, {value})")
    return f"__init__({', '.join(parameters)}): {'; '.join(body)}", known


def _compile(own: type, text: str, known: dict[str, object]) -> Callable[..., object]:
    """A method in the place of what stood in for it."""
    exec(f"def {text}", known)  # noqa: S102  as they do
    name = text.partition("(")[0]
    method = cast("Callable[..., object]", known[name])
    method.__qualname__ = f"{own.__qualname__}.{name}"
    setattr(own, name, method)
    return method
