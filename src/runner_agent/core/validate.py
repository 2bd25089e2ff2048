"""Rules on values: what a message must satisfy, as a table, and a checker naming all violations (rule 1.3).

The checker knows no message library: it walks whatever structure `read` can look into. So one table serves
wire messages and plain data alike, and nothing here depends on how either is built.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from enum import Enum
from typing import NamedTuple, Protocol, cast

from runner_agent.model.errors import Violation

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SHOWN = 40


class Rule(NamedTuple):
    """One demand on one value. `id` is its name among validation rules, `wants` says it to a person."""

    id: str
    wants: str
    holds: Callable[[object], bool]

    def broken_by(self, value: object) -> str:
        """Why `value` does not do. Long texts are cut: they may be whole scripts."""
        shown = str(len(value)) if isinstance(value, Sized) and not isinstance(value, str) else repr(value)
        return f"{self.wants} ({self.id}), not {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '…'}"


# ---------------------------------------------------------------- the kinds


def _rule(id_: str, wants: str, holds: Callable[[object], bool]) -> Rule:
    """A rule. By way of a function, since type checkers look for the types of a lambda there."""
    return Rule(id_, wants, holds)


def uuid() -> Rule:
    """Text: a UUID, in either case."""
    return _rule(
        "string.uuid", "must be a UUID", lambda value: isinstance(value, str) and bool(_UUID.fullmatch(value))
    )


def pattern(expression: str) -> Rule:
    """Text: matches `expression`, which is anchored at both ends, as a whole."""
    match = re.compile(expression).fullmatch
    return _rule(
        "string.pattern",
        f"must match {expression}",
        lambda value: isinstance(value, str) and bool(match(value)),
    )


def min_len(least: int) -> Rule:
    """Text: at least so many characters."""
    wants = "must not be empty" if least == 1 else f"must have at least {least} characters"
    return _rule("string.min_len", wants, lambda value: isinstance(value, str) and len(value) >= least)


def max_len(most: int) -> Rule:
    """Text: at most so many characters."""
    return _rule(
        "string.max_len",
        f"must have at most {most} characters",
        lambda value: isinstance(value, str) and len(value) <= most,
    )


def one_of(*texts: str) -> Rule:
    """Text: one of these."""
    accepted = frozenset(texts)
    wants = "must be one of " + ", ".join(text or '""' for text in texts)
    return _rule("string.in", wants, lambda value: value in accepted)


def not_in(*numbers: int) -> Rule:
    """Enum: none of these numbers."""
    refused = frozenset(numbers)
    wants = "must not be " + " or ".join(str(number) for number in numbers)
    return _rule("enum.not_in", wants, lambda value: isinstance(value, int) and value not in refused)


def defined(*numbers: int) -> Rule:
    """Enum: a number that has a name."""
    known = frozenset(numbers)
    return _rule("enum.defined_only", "must be a value the enum defines", lambda value: value in known)


def at_least(least: int) -> Rule:
    """Number, or a duration in seconds."""
    return _rule(
        "gte", f"must be at least {least}", lambda value: isinstance(value, int | float) and value >= least
    )


def at_most(most: int) -> Rule:
    """Number, or a duration in seconds."""
    return _rule(
        "lte", f"must be at most {most}", lambda value: isinstance(value, int | float) and value <= most
    )


def min_items(least: int) -> Rule:
    """List or map: at least so many items."""
    wants = f"must have at least {least} items"
    return _rule("repeated.min_items", wants, lambda value: isinstance(value, Sized) and len(value) >= least)


def max_items(most: int) -> Rule:
    """List or map: at most so many items."""
    wants = f"must have at most {most} items"
    return _rule("repeated.max_items", wants, lambda value: isinstance(value, Sized) and len(value) <= most)


def or_empty(rule: Rule) -> Rule:
    """`rule`, with the empty text accepted too."""
    return _rule(rule.id, f"{rule.wants} or empty", lambda value: value == "" or rule.holds(value))


REQUIRED = "must be present (required)"
ONE_REQUIRED = "must have one of {} (oneof.required)"


# ---------------------------------------------------------------- the table


class Shape(Enum):
    """How many values a field has."""

    ONE = "one"
    LIST = "list"
    MAP = "map"


class Field(NamedTuple):
    """What is demanded of one field.

    `rules` bind the value as a whole, `items` each item of a list or value of a map. `of` names the message
    type of the value or item, if that has rules itself. A field with `presence` can be absent; then only
    `required` binds.
    """

    name: str
    shape: Shape = Shape.ONE
    rules: tuple[Rule, ...] = ()
    keys: tuple[Rule, ...] = ()
    items: tuple[Rule, ...] = ()
    of: str = ""
    presence: bool = False
    required: bool = False


class Message(NamedTuple):
    """What is demanded of a message type. Each of `oneofs` names members of which one must be present."""

    fields: tuple[Field, ...] = ()
    oneofs: tuple[tuple[str, tuple[str, ...]], ...] = ()


Table = Mapping[str, Message]


class Read(Protocol):
    """How to look into a message."""

    def __call__(self, message: object, name: str, *, presence: bool) -> object | None:
        """The field's value, durations in seconds; None if it is absent, which takes `presence`."""
        ...


# ---------------------------------------------------------------- the checker


class Validator:
    """Checks messages of the types in `table`; types that are not in it have no rules."""

    def __init__(self, table: Table, read: Read) -> None:
        """`read` looks into a message."""
        self._table = table
        self._read = read

    def violations(self, type_name: str, message: object) -> tuple[Violation, ...]:
        """Every broken rule, each with the path of its field; empty if the message will do."""
        return tuple(self._message(type_name, message, ""))

    def _message(self, type_name: str, message: object, path: str) -> Iterator[Violation]:
        demands = self._table.get(type_name)
        if demands is None:
            return
        for field in demands.fields:
            value = self._read(message, field.name, presence=field.presence)
            if value is not None:
                yield from self._field(field, value, path + field.name)
            elif field.required:
                yield Violation(path + field.name, REQUIRED)
        for name, members in demands.oneofs:
            if all(self._read(message, member, presence=True) is None for member in members):
                yield Violation(path + name, ONE_REQUIRED.format(", ".join(members)))

    def _field(self, field: Field, value: object, path: str) -> Iterator[Violation]:
        yield from _broken(field.rules, value, path)
        match field.shape:
            case Shape.ONE:
                if field.of:
                    yield from self._message(field.of, value, f"{path}.")
            case Shape.LIST:
                for index, item in enumerate(cast(Iterable[object], value)):
                    yield from self._item(field, item, f"{path}[{index}]")
            case Shape.MAP:
                for key, item in cast(Mapping[str, object], value).items():
                    yield from _broken(field.keys, key, f'{path}["{key}"] key')
                    yield from self._item(field, item, f'{path}["{key}"]')

    def _item(self, field: Field, item: object, path: str) -> Iterator[Violation]:
        yield from _broken(field.items, item, path)
        if field.of:
            yield from self._message(field.of, item, f"{path}.")


def _broken(rules: tuple[Rule, ...], value: object, path: str) -> Iterator[Violation]:
    for rule in rules:
        if not rule.holds(value):
            yield Violation(path, rule.broken_by(value))
