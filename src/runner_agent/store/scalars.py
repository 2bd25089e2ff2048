"""The leaves of the codec: single values to JSON and back, each strict about its type on both ways."""

import types
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from math import isfinite
from typing import Any, NamedTuple

# Only here does Any occur: what comes from the disk is of no type until it has passed.
Way = Callable[[Any], Any]


class Unreadable(ValueError):
    """JSON that this version cannot read as the type asked for. `path` leads to the place."""

    def __init__(self, problem: str, path: tuple[str, ...] = ()) -> None:
        """Begins at the innermost place."""
        super().__init__(problem, path)
        self.problem = problem
        self.path = path

    def __str__(self) -> str:
        """As `spec.launch: no field "colour"`."""
        return f"{'.'.join(self.path)}: {self.problem}" if self.path else self.problem

    def under(self, name: str) -> "Unreadable":
        """The same, seen from one level up."""
        return Unreadable(self.problem, (name, *self.path))


class Codec(NamedTuple):
    """The two ways of one type."""

    encode: Way
    decode: Way
    reads: type
    """The type JSON parses it as."""
    plain: type
    """A type whose values stand for themselves, both ways, so that nobody need be called; else Never."""


class Never:
    """No value is of this type."""


def must_be(kind: type, value: Any) -> None:
    """Or it is Unreadable."""
    # By __class__: a check by `type()` or `isinstance` would narrow Any to a container of unknown parts.
    if value.__class__ is not kind:
        raise Unreadable(f"{value!r} is no {kind.__name__}")


def _scalar(cls: type) -> Way:
    def check(value: Any) -> Any:
        if value.__class__ is not cls:
            raise Unreadable(f"{value!r} is no {cls.__name__}")
        return value

    return check


def _float(value: Any) -> float:
    if value.__class__ not in {float, int} or not isfinite(value):
        raise Unreadable(f"{value!r} is no finite number")
    return float(value)


def _encode_time(value: Any) -> str:
    if value.__class__ is not datetime or value.tzinfo is None:
        raise Unreadable(f"{value!r} is no time with a zone")
    return (value if value.tzinfo is UTC else value.astimezone(UTC)).isoformat()


def _decode_time(value: Any) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Unreadable(f"{value!r} is no time") from None
    if time.tzinfo is not UTC:
        raise Unreadable(f"{value!r} is no time in UTC")
    return time


def enum_codec(cls: type[Enum]) -> Codec:
    """By value, so that a member may be renamed."""
    members = {member.value: member for member in cls}

    def encode(value: Any) -> Any:
        if value.__class__ is not cls:
            raise Unreadable(f"{value!r} is no {cls.__name__}")
        return value.value

    def decode(value: Any) -> Enum:
        try:
            return members[value]
        except (KeyError, TypeError):
            raise Unreadable(f"{value!r} is no {cls.__name__} known to this version") from None

    return Codec(encode, decode, str, Never)


SCALARS: Mapping[object, Codec] = {
    str: Codec(_scalar(str), _scalar(str), str, str),
    int: Codec(_scalar(int), _scalar(int), int, int),
    bool: Codec(_scalar(bool), _scalar(bool), bool, bool),
    types.NoneType: Codec(_scalar(types.NoneType), _scalar(types.NoneType), types.NoneType, types.NoneType),
    float: Codec(_float, _float, float, Never),
    datetime: Codec(_encode_time, _decode_time, str, Never),
}
