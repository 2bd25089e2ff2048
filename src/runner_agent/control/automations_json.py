"""JSON text to marked nodes: the standard decoder reads the scalars, this one knows where they stand.

YAML is no superset in practice: tabs between tokens and surrogate pairs are JSON, and YAML parsers refuse
them.
"""

import re
from bisect import bisect_right
from json import JSONDecodeError, JSONDecoder

from runner_agent.control.documents import (
    MAX_DEPTH,
    TOO_DEEP,
    Listing,
    Malformed,
    Mapping,
    Mark,
    Node,
    Scalar,
    Sort,
    bounded,
)

_SPACE = re.compile(r"[ \t\n\r]*")


class _NumberText(str):
    """A number as it is written."""

    __slots__ = ()


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_SCALARS = JSONDecoder(parse_int=_NumberText, parse_float=_NumberText, parse_constant=_no_constant)


def read_json(text: str) -> Node | None:
    """The value in `text`, None if there is only white space. Raises Malformed."""
    return _Reader(text).document()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def document(self) -> Node | None:
        if not self._peek():
            return None
        root = self._node(0)
        if self._peek():
            raise self._malformed("something follows the end of the document")
        return root

    def _peek(self) -> str:
        """The next character that is not white space, "" at the end."""
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]

    def _mark(self, at: int) -> Mark:
        line = bisect_right(self._lines, at)
        return Mark(line, at - self._lines[line - 1] + 1)

    def _malformed(self, message: str, at: int | None = None) -> Malformed:
        return Malformed(self._mark(self._at if at is None else at), f"not JSON: {message}")

    def _node(self, depth: int) -> Node:
        first = self._peek()
        mark = self._mark(self._at)
        if depth > MAX_DEPTH:
            raise Malformed(mark, TOO_DEEP)
        if first == "{":
            return self._mapping(mark, depth)
        if first == "[":
            return self._listing(mark, depth)
        return self._scalar(mark)

    def _listing(self, mark: Mark, depth: int) -> Listing:
        items: list[Node] = []
        size = 0
        while self._more("]", first=not items):
            items.append(self._node(depth + 1))
            size = bounded(mark, size + items[-1].size)
        return Listing(mark, tuple(items), size + 1)

    def _mapping(self, mark: Mark, depth: int) -> Mapping:
        pairs: list[tuple[Node, Node]] = []
        size = 0
        while self._more("}", first=not pairs):
            if self._peek() in {"/", "#"}:
                raise self._malformed("it has no comments; remove this one, or name the file .yaml")
            if self._peek() != '"':
                raise self._malformed("expected a key in double quotes")
            key = self._scalar(self._mark(self._at))
            if self._peek() != ":":
                raise self._malformed("expected ':' after the key")
            self._at += 1
            value = self._node(depth + 1)
            pairs.append((key, value))
            size = bounded(mark, size + 1 + value.size)
        return Mapping(mark, tuple(pairs), size + 1)

    def _more(self, closing: str, *, first: bool) -> bool:
        """Step over the opening bracket or the comma; False, past the closing bracket, when there is no
        further item.
        """
        if first:
            self._at += 1
        found = self._peek()
        if found == closing:
            self._at += 1
            return False
        if not first:
            if found != ",":
                raise self._malformed(f"expected ',' or '{closing}'")
            self._at += 1
            if self._peek() == closing:
                raise self._malformed(f"a comma before '{closing}'; remove it")
        return True

    def _scalar(self, mark: Mark) -> Scalar:
        start = self._at
        try:
            value, self._at = _SCALARS.raw_decode(self._text, start)
        except JSONDecodeError as error:
            message = error.msg[:1].lower() + error.msg[1:].removesuffix(" at")
            raise self._malformed(message, min(error.pos, len(self._text))) from None
        except ValueError as error:
            raise self._malformed(str(error)) from None
        match value:
            case _NumberText():
                return Scalar(mark, Sort.NUMBER, value)
            case str():
                return Scalar(mark, Sort.TEXT, value)
            case None:
                return Scalar(mark, Sort.NOTHING, "null")
            case _:
                return Scalar(mark, Sort.BOOLEAN, self._text[start : self._at])
