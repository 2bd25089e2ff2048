"""Answers put together from pieces: what tells of a record is made once, for as long as it is the same.

A crowd of clients asks for the same few hundred records again and again, and most of them have not changed
since. A record is never changed in place, so the very same object means the very same words.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeGuard, TypeVar, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from runner_agent.api.schema import message_type
from runner_agent.api.tree_json import json_name, to_json
from runner_agent.api.wire_out import Outward, Tree
from runner_agent.model.records import Execution, Service, Task

MOST = 1_000
"""Pieces kept, an execution counted as one for each of its steps and one more: a megabyte or two."""

R = TypeVar("R", Service, Task, Execution)


class Piece:
    """A message within an answer. Its tree is made when it is wanted, its JSON once."""

    __slots__ = ("_json", "_kind", "_tree")

    def __init__(self, kind: type[Message], tree: Callable[[], Tree]) -> None:
        """`tree` gives the same each time."""
        self._kind = kind
        self._tree = tree
        self._json = b""

    def tree(self) -> Tree:
        """For whoever wants the message."""
        return self._tree()

    def json(self) -> bytes:
        """For whoever wants the text."""
        if not self._json:
            self._json = json_text(to_json(_descriptor(self._kind), self._tree()))
        return self._json


Parts = dict[str, object]
"""A tree of an answer whose fields may also be pieces, or lists of pieces."""


class Composed(NamedTuple):
    """An answer of the type `kind`, in parts."""

    kind: type[Message]
    parts: Parts

    def message(self) -> Message:
        """All of it."""
        return self.kind(**{name: _plain(part) for name, part in self.parts.items()})

    def json(self) -> bytes:
        """All of it: the pieces as they are kept, after what is told anew."""
        kind = _descriptor(self.kind)
        anew: Tree = {}
        kept: list[bytes] = []
        for name, part in self.parts.items():
            if isinstance(part, Piece):
                kept.append(b'"%b":%b' % (json_name(kind, name).encode(), part.json()))
            elif _are_pieces(part):
                items = b",".join([piece.json() for piece in part])
                kept.append(b'"%b":[%b]' % (json_name(kind, name).encode(), items))
            else:
                anew[name] = part
        text = json_text(to_json(kind, anew))
        if not kept:
            return text
        begun = [] if text == b"{}" else [text[1:-1]]
        return b"{%b}" % b",".join([*begun, *kept])


def json_text(value: object) -> bytes:
    """As every answer is written: no blanks, and text as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _descriptor(kind: type[Message]) -> Descriptor:
    return cast(Descriptor, kind.DESCRIPTOR)


def _are_pieces(part: object) -> TypeGuard[list[Piece]]:
    """A list of them has nothing else; an empty one is like any other."""
    return isinstance(part, list) and isinstance(next(iter(cast(list[object], part)), None), Piece)


def _plain(part: object) -> object:
    if isinstance(part, Piece):
        return part.tree()
    return [piece.tree() for piece in part] if _are_pieces(part) else part


class Shown:
    """Records as pieces, the latest asked for kept."""

    def __init__(self, outward: Outward) -> None:
        """Nothing kept yet."""
        self._outward = outward
        self._kept: dict[str, _Kept] = {}
        self._weight = 0

    def service(self, service: Service) -> Piece:
        """`gitpod.v1.Service`."""
        return self._piece(service, "gitpod.v1.Service", self._outward.service)

    def task(self, task: Task) -> Piece:
        """`gitpod.v1.Task`."""
        return self._piece(task, "gitpod.v1.Task", self._outward.task)

    def execution(self, execution: Execution) -> Piece:
        """`gitpod.v1.TaskExecution`."""
        return self._piece(execution, "gitpod.v1.TaskExecution", self._outward.execution)

    def _piece(self, record: R, kind: str, tree: Callable[[R], Tree]) -> Piece:
        kept = self._kept.pop(record.id, None)
        if kept is None or kept.record is not record:
            weight = _weight(record)
            self._weight += weight - (0 if kept is None else kept.weight)
            kept = _Kept(record, Piece(message_type(kind), partial(tree, record)), weight)
        self._kept[record.id] = kept  # at the end: the first is the one not asked for longest
        while self._weight > MOST:
            self._weight -= self._kept.pop(next(iter(self._kept))).weight
        return kept.piece


def _weight(record: Service | Task | Execution) -> int:
    return 1 + len(record.plan.steps()) if isinstance(record, Execution) else 1


class _Kept(NamedTuple):
    record: Service | Task | Execution
    piece: Piece
    weight: int
