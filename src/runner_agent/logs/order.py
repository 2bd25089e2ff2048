"""The order of a merged text, kept on disk: which piece of which part came next (rule 5.5).

A file of one JSON line, which names the parts, and records of fixed size, only ever appended. Once a record
was shown to a reader its text never moves. What is torn or senseless at the end of the file is cut off, and
those pieces are put in order anew.
"""

from __future__ import annotations

import bisect
import errno
import json
import logging
import os
import struct
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

_RECORD = struct.Struct("<IIQQQ")
_FORMAT = 1

_log = logging.getLogger(__name__)


class Shape(IntEnum):
    """How a piece is written into the merged text. The numbers stand on disk."""

    LINES = 0  # whole lines, as 0.1 wrote them: nothing stands behind carriage returns
    PIECE = 1  # a line without its end, as 0.1 wrote it: an end was added
    GAP = 2  # bytes that were gone when their turn came
    TEXT = 3  # bytes that end with a line
    OPEN = 4  # bytes that end within a line
    RETURN = 5  # bytes that end within a line, with a carriage return
    LAST = 6  # what a step left without an end, perhaps nothing: an end is added

    @classmethod
    def of(cls, data: bytes) -> Shape:
        """How these bytes end."""
        return {b"\n": cls.TEXT, b"\r": cls.RETURN}.get(data[-1:], cls.OPEN)

    @property
    def last(self) -> bytes:
        """The last byte of such a piece, any that is no end if the line goes on."""
        match self:
            case Shape.OPEN:
                return b" "
            case Shape.RETURN:
                return b"\r"
            case _:
                return b"\n"


class Piece(NamedTuple):
    """Bytes `start` to `stop` of one part; their text ends at `end` of the merged text."""

    part: int
    shape: Shape
    start: int
    stop: int
    end: int


class Order:
    """The pieces so far. Kept in memory as they stand on disk, 32 bytes each."""

    def __init__(self, path: Path, parts: Sequence[tuple[str, str]]) -> None:
        """`parts`: id and label of each. An order of other parts at `path` is replaced. Raises OSError."""
        self._path = path
        self._header = json.dumps({"format": _FORMAT, "parts": parts}).encode() + b"\n"
        self._positions = [0] * len(parts)
        self._data = bytearray()
        self._written = 0  # bytes of header and data that are on disk; what is beyond is cut off
        self._ragged = True
        self._complained = False
        try:
            stored = path.read_bytes()
        except FileNotFoundError:
            return
        if stored.startswith(self._header):
            self._load(stored[len(self._header) :])

    @property
    def end(self) -> int:
        """The length of the merged text so far."""
        return self[len(self) - 1].end if self._data else 0

    def position(self, part: int) -> int:
        """How much of a part has its place in the order."""
        return self._positions[part]

    def begin(self, index: int) -> int:
        """Where the text of a piece begins."""
        return self[index - 1].end if index else 0

    def find(self, offset: int) -> int:
        """The index of the piece that holds this byte of the merged text; `offset` lies below `end`."""
        return bisect.bisect_right(self, offset, key=lambda piece: piece.end)

    def append(self, part: int, shape: Shape, stop: int, length: int) -> None:
        """Give the bytes of a part up to `stop` their place, as `length` bytes of text; written at once."""
        self._data += _RECORD.pack(part, shape, self._positions[part], stop, self.end + length)
        self._positions[part] = stop
        try:
            self._write()
        except OSError as error:
            # The order holds for as long as somebody reads; the next piece tries again.
            self._ragged = True
            if not self._complained:
                self._complained = True
                _log.warning("cannot write down the order of a merged log to %s: %s", self._path, error)

    def __len__(self) -> int:
        return len(self._data) // _RECORD.size

    def __getitem__(self, index: int) -> Piece:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return Piece._make(_RECORD.unpack_from(self._data, index * _RECORD.size))

    def _load(self, records: bytes) -> None:
        end = good = 0
        for piece in map(
            Piece._make, _RECORD.iter_unpack(records[: len(records) // _RECORD.size * _RECORD.size])
        ):
            if not self._follows(piece, end):
                break
            self._positions[piece.part], end = piece.stop, piece.end
            good += _RECORD.size
        self._data += records[:good]
        self._written = len(self._header) + good

    def _follows(self, piece: Piece, end: int) -> bool:
        return (
            piece.part < len(self._positions)
            and piece.shape in tuple(Shape)
            and self._positions[piece.part] == piece.start <= piece.stop
            and piece.end > end
        )

    def _write(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if self._ragged:
                os.ftruncate(fd, self._written)
                self._ragged = False
            missing = (
                self._data[self._written - len(self._header) :]
                if self._written
                else self._header + self._data
            )
            if os.pwrite(fd, missing, self._written) < len(missing):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._written += len(missing)
        finally:
            os.close(fd)
