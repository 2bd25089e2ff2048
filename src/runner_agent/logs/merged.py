"""The merged text of an execution: the lines of its steps, each with its step's label, in one stable order.

The order is fixed when somebody first reads that far, line by line, or piece by piece where a line rests
without its end; it is written down before it is shown. From then on offsets of the merged text mean the same
bytes for every reader, after a restart as well (rule 5.5). While nobody reads, nothing is merged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from runner_agent.kit.inotify import Inotify, Subscription
from runner_agent.kit.prefixes import LINE_END, prefixed, steady
from runner_agent.logs.order import Order, Piece, Shape
from runner_agent.logs.reader import CHUNK, Extent, Gone, file_extent, gap_line, read_file
from runner_agent.logs.rests import Rests
from runner_agent.model.frozen import dataclass


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

    A line is merged when its end has been written or its step has ended, and what there is of it when it has
    rested. Its next piece goes on behind it, or, if another step's line came between, on a line of its own.
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
        self._rests = Rests(len(self._parts), self.look_again)
        self._readers: set[Callable[[], None]] = set()

    async def extent(self) -> Extent:
        """With unfinished lines too, once they have rested."""
        await self._catch_up()
        if await self._rests.wait():
            await self._catch_up()
        return Extent(self._first_kept(), self._order.end)

    async def tail(self, lines: int) -> int:
        extent = await self.extent()
        index, end = len(self._order), self._order.end
        while lines > 0 and index > 0 and self._order.begin(index - 1) >= extent.first:
            text = self._render(index - 1)
            if text is None:
                break
            index -= 1
            if self._order[index].end == end:
                text = text[:-1]  # a newline at the very end begins no line
            within = text.count(b"\n")
            if within >= lines:
                start = len(text)
                for _ in range(lines):
                    start = text.rindex(b"\n", 0, start)
                return self._order.begin(index) + start + 1
            lines -= within
            await asyncio.sleep(0)
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
        """A step has ended, or rested: its last line may be merged though its end was not written."""
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
            if size > self._order.position(number) or (ended and self._open_line() == number):
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
            if unended := turn.ended and self._open_line() == turn.part:
                self._place(turn.part, Shape.LAST, position, b"")
            return unended
        data = read_file(part.path, position, min(CHUNK, turn.stop - position))
        if isinstance(data, Gone):
            if data.resume <= position:  # truncated; what has its place keeps it
                return False
            self._place(turn.part, Shape.GAP, data.resume, gap_line(position, data.resume))
        elif whole := data.rfind(b"\n") + 1 or (_cut(data) if len(data) == CHUNK else 0):
            self._place(turn.part, Shape.of(data[:whole]), position + whole, data[:whole])
        elif turn.ended and data:
            self._place(turn.part, Shape.LAST, position + len(data), data)
        elif data and self._rests.over(turn.part) and (size := steady(data)):
            self._place(turn.part, Shape.of(data[:size]), position + size, data[:size])
        else:
            return False
        return True

    def _open_line(self) -> int | None:
        """Whose line the text ends in, if it does not end with a line."""
        last = self._order[len(self._order) - 1] if len(self._order) else None
        return last.part if last and last.shape in {Shape.OPEN, Shape.RETURN} else None

    def _place(self, number: int, shape: Shape, stop: int, data: bytes) -> None:
        self._rests.moved(number)
        text = self._compose(len(self._order), number, shape, data)
        self._order.append(number, shape, stop, len(text))

    def _compose(self, index: int, number: int, shape: Shape, data: bytes) -> bytes:
        """The text of a piece at this place of the order."""
        prefix, before, broken = self._parts[number].prefix, LINE_END, b""
        if index and (last := self._order[index - 1]).shape in {Shape.OPEN, Shape.RETURN}:
            if last.part == number and shape != Shape.GAP:
                before = Shape(last.shape).last
            else:
                broken = b"\n"
        if shape == Shape.LINES:
            return broken + prefix + data[:-1].replace(b"\n", b"\n" + prefix) + data[-1:]
        if shape == Shape.PIECE:
            return broken + prefix + data + b"\n"
        text = prefixed(data, prefix, before) if data else b""
        return broken + text + (b"\n" if shape == Shape.LAST else b"")

    def _render(self, index: int) -> bytes | None:
        """The text of a piece; None if its bytes are gone."""
        piece = self._order[index]
        data = self._bytes_of(piece)
        if data is None:
            return None
        text = self._compose(index, piece.part, Shape(piece.shape), data)
        # A log that somebody truncated and that grew again holds other bytes than were shown here.
        return text if len(text) == piece.end - self._order.begin(index) else None

    def _bytes_of(self, piece: Piece) -> bytes | None:
        if piece.shape == Shape.GAP:
            return gap_line(piece.start, piece.stop)
        data = read_file(self._parts[piece.part].path, piece.start, piece.stop - piece.start)
        return None if isinstance(data, Gone) else data

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
    """Where to end a piece of an overlong line: after a carriage return, or where nothing is cut in two."""
    return data.rfind(b"\r") + 1 or steady(data) or len(data)
