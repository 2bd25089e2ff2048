"""YAML text to marked nodes: safe tags only, anchors and merge keys resolved, depth and size bounded.

Some versions of the parser bound the depth too, at another level. Ours is told, whichever version it is.
"""

import re
from typing import Protocol, cast

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

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
    mark_at,
)

_TAG = "tag:yaml.org,2002:"
_SORTS = {
    f"{_TAG}str": Sort.TEXT,
    f"{_TAG}bool": Sort.BOOLEAN,
    f"{_TAG}int": Sort.NUMBER,
    f"{_TAG}float": Sort.NUMBER,
    f"{_TAG}null": Sort.NOTHING,
    f"{_TAG}timestamp": Sort.DATE,
    f"{_TAG}value": Sort.TEXT,  # a plain `=`
}
_MERGE = f"{_TAG}merge"
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7})(?= |$)", re.MULTILINE)
_HINTS = {
    "mapping values are not allowed": "; write a text that has a colon and a space in it in quotes",
    "could not find expected ':'": "; a key lacks its colon, or a line of a script is indented too little",
    "did not find expected key": "; compare the indentation of this line with that of the lines before",
    "expected <block end>": "; compare the indentation of this line with that of the lines before",
    "cannot start any token": "; write a text that begins with it in quotes",
    "unknown escape character": "; write a text with backslashes in single quotes, or after a |",
    "unexpected end of stream": "; a quote or bracket is never closed",
}
_Pairs = tuple[tuple[Node, Node], ...]


def read_yaml(text: str, *, pure: bool = False) -> Node | None:
    """The one document in `text`, None if there is none. Raises Malformed. `pure`: without the C parser."""
    if (bad := yaml.reader.Reader.NON_PRINTABLE.search(text)) is not None:
        raise Malformed(
            mark_at(text, bad.start()),
            f"the character U+{ord(bad.group()):04X} may not stand in a YAML file; remove it",
        )
    try:
        return _Builder(text, pure=pure).document()
    except _ParserTooDeep as error:
        if pure:
            raise Malformed(error.mark, TOO_DEEP) from None
        return read_yaml(text, pure=True)  # it looks less far ahead, and so comes to the place of our limit


def load_yaml(text: str) -> object:
    """Plain values, as `yaml.safe_load` gives them, of a text that `read_yaml` takes: a configuration file.

    Raises ValueError with the place and the reason.
    """
    try:
        read_yaml(text)
        return cast("object", yaml.safe_load(text))
    except Malformed as error:
        raise ValueError(f"line {error.mark.line}, column {error.mark.column}: {error}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


class _ParserTooDeep(Exception):
    """The parser has met its own limit of nesting, before it handed out what is beyond ours."""

    def __init__(self, mark: Mark) -> None:
        super().__init__(TOO_DEEP)
        self.mark = mark


class _Loader(Protocol):
    """What is used of a PyYAML loader, the C one or the other."""

    def get_event(self) -> Event: ...

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str: ...


class _Builder:
    """Builds from parser events rather than with a loader, so that depth and size are bounded before they
    cost anything.
    """

    def __init__(self, text: str, *, pure: bool) -> None:
        self._text = text
        native = None if pure else getattr(yaml, "CSafeLoader", None)
        self._loader = cast("_Loader", (native or yaml.SafeLoader)(text))
        self._anchors: dict[str, Node | None] = {}

    def document(self) -> Node | None:
        self._next(StreamStartEvent)
        if isinstance(self._next(DocumentStartEvent, StreamEndEvent), StreamEndEvent):
            return None
        root = self._node(self._next(), 0)
        self._next(DocumentEndEvent)
        event = self._next()
        if not isinstance(event, StreamEndEvent):
            raise Malformed(_mark(event), "a second document begins here; a file holds one")
        return root

    def _next(self, *expected: type[Event]) -> Event:
        try:
            event = self._loader.get_event()
        except yaml.MarkedYAMLError as error:
            if "maximum nesting" in (error.problem or ""):
                raise _ParserTooDeep(_place(error)) from None
            raise _syntax(error, self._text) from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:  # an escape such as \U00110000
            raise Malformed(Mark(), f"not YAML: {error}") from None
        assert not expected or isinstance(event, expected)
        return event

    def _node(self, event: Event, depth: int) -> Node:
        mark = _mark(event)
        if depth > MAX_DEPTH:
            raise Malformed(mark, TOO_DEEP)
        if isinstance(event, AliasEvent):
            return self._aliased(event.anchor or "", mark)
        assert isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node: Node
        if isinstance(event, ScalarEvent):
            node = self._scalar(event, mark)
        elif isinstance(event, SequenceStartEvent):
            node = self._listing(event, mark, depth)
        else:
            node = self._mapping(event, mark, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _aliased(self, anchor: str, mark: Mark) -> Node:
        if anchor not in self._anchors:
            raise Malformed(
                mark,
                f"*{anchor} has no anchor &{anchor} before it; write a text that begins with * in quotes",
            )
        node = self._anchors[anchor]
        if node is None:
            raise Malformed(mark, f"*{anchor} stands inside its own anchor &{anchor}")
        return node

    def _scalar(self, event: ScalarEvent, mark: Mark) -> Scalar:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag == _MERGE:
            return Scalar(mark, Sort.OTHER, "<<")
        if tag not in _SORTS:
            raise Malformed(mark, f"the tag {tag!r} is not accepted; remove it")
        return Scalar(mark, _SORTS[tag], event.value, block=event.style in {"|", ">"})

    def _listing(self, event: SequenceStartEvent, mark: Mark, depth: int) -> Listing:
        _plain(event.tag, f"{_TAG}seq", mark)
        items: list[Node] = []
        size = 0
        while not isinstance(inner := self._next(), SequenceEndEvent):
            items.append(self._node(inner, depth + 1))
            size = bounded(mark, size + items[-1].size)
        return Listing(mark, tuple(items), size + 1)

    def _mapping(self, event: MappingStartEvent, mark: Mark, depth: int) -> Mapping:
        _plain(event.tag, f"{_TAG}map", mark)
        pairs: list[tuple[Node, Node]] = []
        merged: list[Mapping] = []
        size = 0
        while not isinstance(inner := self._next(), MappingEndEvent):
            key = self._node(inner, depth + 1)
            value = self._node(self._next(), depth + 1)
            size = bounded(mark, size + key.size + value.size)
            if isinstance(key, Scalar) and key.sort is Sort.OTHER and key.text == "<<":
                merged.extend(_sources(value))
            else:
                pairs.append((key, value))
        if merged:
            pairs = _merge(pairs, merged)
            size = bounded(mark, sum(key.size + value.size for key, value in pairs))
        return Mapping(mark, tuple(pairs), size + 1)


def _sources(value: Node) -> tuple[Mapping, ...]:
    """What `<<` names: a map or a list of maps."""
    match value:
        case Mapping():
            return (value,)
        case Listing(items=items) if all(isinstance(item, Mapping) for item in items):
            return tuple(item for item in items if isinstance(item, Mapping))
        case _:
            raise Malformed(value.mark, "<< takes a map or a list of maps, such as *anchor")


def _merge(own: list[tuple[Node, Node]], merged: list[Mapping]) -> list[tuple[Node, Node]]:
    """Own keys win, then earlier maps over later ones."""
    pairs = list(own)
    taken = {key.text for key, _ in own if isinstance(key, Scalar)}
    for source in merged:
        for key, value in source.pairs:
            if not isinstance(key, Scalar) or key.text not in taken:
                pairs.append((key, value))
        taken.update(key.text for key, _ in source.pairs if isinstance(key, Scalar))
    return pairs


def _plain(tag: str | None, accepted: str, mark: Mark) -> None:
    if tag is not None and tag not in {"!", accepted}:
        raise Malformed(mark, f"the tag {tag!r} is not accepted; remove it")


def _mark(event: Event) -> Mark:
    at = event.start_mark
    return Mark(at.line + 1, at.column + 1) if at is not None else Mark()


def _place(error: yaml.MarkedYAMLError) -> Mark:
    at = error.problem_mark or error.context_mark
    return Mark(at.line + 1, at.column + 1) if at is not None else Mark()


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Malformed:
    """The parser's words, at the place it found the trouble; what it was reading then, where that helps."""
    mark = _place(error)
    if (conflict := _CONFLICT.search(text)) is not None:
        message = f"not YAML: '{conflict[0]}' is left of a merge conflict; resolve it"
        return Malformed(mark_at(text, conflict.start()), message)
    problem = error.problem or "unreadable"
    context = f" ({error.context})" if error.context else ""
    line = text.split("\n")[mark.line - 1 : mark.line]
    hint = next((hint for words, hint in _HINTS.items() if words in problem), "")
    if line and line[0][mark.column - 1 :].startswith("\t"):
        hint = "; indent with spaces, not tabs"
    return Malformed(mark, f"not YAML: {problem}{context}{hint}")
