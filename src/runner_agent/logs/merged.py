"""The merged text of an execution: the lines of its steps, each with its step's label, in one stable order.

The order is fixed line by line when somebody first reads that far, and written down before it is shown; from
then on offsets of the merged text mean the same bytes for every reader, after a restart as well (rule 5.5).
While nobody reads, nothing is merged.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from runner_agent.kit.inotify import Inotify, Subscription
from runner_agent.logs.order import Order, Shape
from runner_agent.logs.reader import CHUNK, Extent, Gone, file_extent, gap_line, read_file
from runner_agent.model.frozen import dataclass

_LONGEST_ESCAPE = 256
"""Bytes; a control sequence of a terminal that is longer may be cut."""
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[P\]X^_][^\x07\x1b]*\x1b?|[ -/]*)\Z")
"""A control sequence whose last byte is yet to come: CSI, a string such as OSC, or another."""


@dataclass(frozen=True, slots=True)
class Part:
    """One step of the merged text: its id, the label its lines carry, and its log file."""

    id: str
    label: str
    path: Path

    @property
    def prefix(self) -> bytes:
        """What each of its lines begins with."""
        return f"{self.label} | ".encode()


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a pass over the parts owes one of them: merge up to `stop`, and the last line too if `ended`."""

    part: int
    stop: int
    ended: bool


class MergedLog:
    """A `Log` over several log files. All its readers share one object, so that they see one order.

    A line is merged when its end has been written or its step has ended; a line longer than 64 KiB comes in
    pieces, each as a line of its own.
    """

    def __init__(
        self, order: Path, parts: Sequence[Part], inotify: Inotify, ended: Callable[[str], bool]
    ) -> None:
        """`ended(part id)`: nothing more will be added to that part's last line. Raises OSError."""
        self._parts = tuple(parts)
        self._order = Order(order, [(part.id, part.label) for part in parts])
        self._inotify = inotify
        self._ended = ended
        self._turns: deque[_Turn] = deque()
        self._readers: set[Callable[[], None]] = set()

    async def extent(self) -> Extent:
        await self._catch_up()
        return Extent(self._first_kept(), self._order.end)

    async def tail(self, lines: int) -> int:
        extent = await self.extent()
        index = len(self._order)
        while lines > 0 and index > 0 and self._order.begin(index - 1) >= extent.first:
            index -= 1
            within = self._count_lines(index)
            if within >= lines:
                return self._start_of_last(index, lines)
            lines -= within
        return self._order.begin(index)

    def read(self, offset: int) -> bytes | Gone:
        while offset >= self._order.end:
            new_pass = not self._turns
            if new_pass:
                self._begin_pass()
            if not self._merge_one() and new_pass:
                return b""
        index = self._order.find(offset)
        text = self._render(index)
        if text is None:
            # At least one piece on, whatever the files say: a reader must get ahead.
            return Gone(max(self._first_kept(), self._order[index].end))
        return text[offset - self._order.begin(index) :]

    def subscribe(self, on_change: Callable[[], None]) -> Subscription:
        stack = ExitStack()
        for part in self._parts:
            stack.enter_context(self._inotify.subscribe(part.path, on_change))
        self._readers.add(on_change)
        stack.callback(self._readers.discard, on_change)
        return Subscription(on_change, lambda _: stack.close())

    def look_again(self) -> None:
        """A step has ended: its last line may be merged though its end was never written."""
        for on_change in tuple(self._readers):
            on_change()

    async def _catch_up(self) -> None:
        """Merge all that was written when this began; a writer that never rests does not hold it up."""
        await self._finish_pass()
        self._begin_pass()
        await self._finish_pass()

    async def _finish_pass(self) -> None:
        merged = True
        while merged:
            merged = self._merge_one()
            await asyncio.sleep(0)

    def _begin_pass(self) -> None:
        for number, part in enumerate(self._parts):
            ended = self._ended(part.id)  # asked before the size: what is there then, is all
            try:
                size = part.path.stat().st_size
            except FileNotFoundError:
                continue
            if size > self._order.position(number):
                self._turns.append(_Turn(number, size, ended))

    def _merge_one(self) -> bool:
        """Give one more piece its place. False at the end of the pass: nothing is left of what it found."""
        while self._turns:
            if self._merge(self._turns[0]):
                return True
            self._turns.popleft()
        return False

    def _merge(self, turn: _Turn) -> bool:
        part, position = self._parts[turn.part], self._order.position(turn.part)
        if position >= turn.stop:
            return False
        prefix = len(part.prefix)
        data = read_file(part.path, position, min(CHUNK, turn.stop - position))
        if isinstance(data, Gone):
            if data.resume <= position:  # truncated; what has its place keeps it
                return False
            gap = len(gap_line(position, data.resume))
            self._order.append(turn.part, Shape.GAP, data.resume, prefix + gap)
        elif newlines := data.count(b"\n"):
            whole = data.rindex(b"\n") + 1
            self._order.append(turn.part, Shape.LINES, position + whole, whole + newlines * prefix)
        elif len(data) == CHUNK or (turn.ended and data):
            size = _cut(data) if len(data) == CHUNK else len(data)
            self._order.append(turn.part, Shape.PIECE, position + size, prefix + size + 1)
        else:
            return False
        return True

    def _render(self, index: int) -> bytes | None:
        """The text of a piece; None if its bytes are gone."""
        piece = self._order[index]
        part = self._parts[piece.part]
        if piece.shape == Shape.GAP:
            text = part.prefix + gap_line(piece.start, piece.stop)
        else:
            data = read_file(part.path, piece.start, piece.stop - piece.start)
            if isinstance(data, Gone):
                return None
            line_end = b"\n" if piece.shape == Shape.PIECE else b""
            text = part.prefix + data[:-1].replace(b"\n", b"\n" + part.prefix) + data[-1:] + line_end
        # A log that somebody truncated and that grew again holds other bytes than were shown here.
        return text if len(text) == piece.end - self._order.begin(index) else None

    def _count_lines(self, index: int) -> int:
        piece = self._order[index]
        if piece.shape != Shape.LINES:
            return 1
        added = piece.end - self._order.begin(index) - (piece.stop - piece.start)
        return added // len(self._parts[piece.part].prefix)

    def _start_of_last(self, index: int, lines: int) -> int:
        text = self._render(index)
        if text is None:
            return self._order[index].end
        start = len(text) - 1
        for _ in range(lines):
            start = text.rfind(b"\n", 0, start)
        return self._order.begin(index) + start + 1

    def _first_kept(self) -> int:
        """Where the merged text begins that can still be read without a gap."""
        lost = [self._lost(number) for number in range(len(self._parts))]
        if not any(lost):
            return 0
        for index in range(len(self._order) - 1, -1, -1):
            piece = self._order[index]
            if piece.shape != Shape.GAP and piece.start < lost[piece.part]:
                return piece.end
        return 0

    def _lost(self, number: int) -> int:
        """How much of the beginning of a part cannot be read any more."""
        extent, position = file_extent(self._parts[number].path), self._order.position(number)
        return position if extent.end < position else extent.first


def _cut(data: bytes) -> int:
    """Where to end a piece of an overlong line: after a carriage return, or at least between characters, and
    not within what colours a terminal.
    """
    after_return = data.rfind(b"\r") + 1
    if after_return:
        return after_return
    begun = _BEGUN.search(data, len(data) - min(_LONGEST_ESCAPE, len(data) // 2))
    return begun.start() if begun else _between_characters(data)


def _between_characters(data: bytes) -> int:
    for back in range(1, 4):
        if data[-back] & 0xC0 == 0xC0:  # the first byte of a character of `needed` bytes
            needed = 2 + (data[-back] >= 0xE0) + (data[-back] >= 0xF0)
            return len(data) - back if needed > back else len(data)
        if data[-back] < 0x80:
            break
    return len(data)
