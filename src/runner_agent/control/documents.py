"""A document as a tree of marked nodes: what the YAML and JSON readers produce and the schema consumes."""

from dataclasses import dataclass
from enum import Enum

MAX_DEPTH = 32
"""Levels of nesting. An automations file needs six."""
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
MAX_NODES = 200_000
"""Nodes counted as written out, every use of an anchor again, so that aliases cannot blow a small file up."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file; both count from 1."""

    line: int = 1
    column: int = 1


class Sort(Enum):
    """What a scalar is; the value is the word for it in messages."""

    TEXT = "text"
    BOOLEAN = "boolean"
    NUMBER = "number"
    NOTHING = "nothing"
    DATE = "date"
    OTHER = "value"
    """The key of a merge."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value. `text` is how it is written, less quotes. `block`: after a | or >, so that its lines
    are those behind its mark.
    """

    mark: Mark
    sort: Sort
    text: str
    size: int = 1
    block: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A list."""

    mark: Mark
    items: tuple["Node", ...]
    size: int = 1


@dataclass(frozen=True, slots=True)
class Mapping:
    """A map, in the order written. A key may occur twice: that is for the schema to refuse."""

    mark: Mark
    pairs: tuple[tuple["Node", "Node"], ...]
    size: int = 1


Node = Scalar | Listing | Mapping
"""`size` counts the nodes in it, itself included."""


class Malformed(Exception):
    """Not a document at all. There is one such error in a file, since nothing behind it can be told."""

    def __init__(self, mark: Mark, message: str) -> None:
        """Where, and what is wrong."""
        super().__init__(message)
        self.mark = mark
        self.message = message


def bounded(mark: Mark, parts: int) -> int:
    """The size of the parts of a node at `mark` so far. Raises Malformed beyond MAX_NODES."""
    if parts >= MAX_NODES:
        raise Malformed(mark, f"more than {MAX_NODES} values, counting every use of an anchor; write less")
    return parts


def mark_at(text: str, offset: int) -> Mark:
    """The place of a character."""
    start = text.rfind("\n", 0, offset) + 1
    return Mark(text.count("\n", 0, offset) + 1, offset - start + 1)


def describe(node: Node) -> str:
    """What was found, for messages: `the number 8080`, `a list`, `nothing`."""
    match node:
        case Listing():
            return "a list"
        case Mapping():
            return "a map"
        case Scalar(sort=Sort.NOTHING):
            return "nothing"
        case Scalar(sort=Sort.TEXT, text=text):
            return f"the text '{shorten(text)}'"
        case Scalar(sort=sort, text=text):
            return f"the {sort.value} {shorten(text)}"


def shorten(text: str) -> str:
    """At most 60 characters of it, fit to be shown."""
    return printable(text if len(text) <= 60 else f"{text[:57]}...")


def printable(text: str) -> str:
    """On one line and harmless to a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
