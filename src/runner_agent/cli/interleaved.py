"""Several logs as they come, each read by a thread of its own: whole lines, and what rests without end."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from runner_agent.client.errors import ClientError
from runner_agent.kit.prefixes import steady

ROOM = 256
"""Pieces read ahead of whoever shows them."""
LINE_LIMIT = 1 << 16
"""Bytes of a line that are waited for."""
REST = 0.2
"""Seconds an unfinished line waits for its end, as in the agent's merged logs."""

Reader = Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class _Piece:
    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _End:
    at: int
    error: ClientError | None


@dataclass(slots=True)
class Unfinished:
    """What was read of a line whose end has not come."""

    rest: bytes = b""
    due: float = field(default=float("inf"))

    def take(self, data: bytes, now: float) -> bytes:
        """What can be shown at once: whole lines, or a line that goes on and on."""
        data = self.rest + data
        cut = data.rfind(b"\n") + 1 or (steady(data) if len(data) > LINE_LIMIT else 0)
        if cut or self.due == float("inf"):
            self.due = now + REST
        self._keep(data[cut:])
        return data[:cut]

    def rested(self, now: float) -> bytes:
        """What has waited long enough."""
        if now < self.due:
            return b""
        cut = steady(self.rest)
        data = self.rest[:cut]
        self._keep(self.rest[cut:])
        self.due = float("inf")
        return data

    def _keep(self, rest: bytes) -> None:
        self.rest = rest
        if not rest:
            self.due = float("inf")


def interleaved(readers: Sequence[Reader], *, at_once: bool) -> Iterator[tuple[int, bytes]]:
    """Which reader, and bytes of its. Raises the first ClientError, when all have ended.

    `at_once` reads all side by side, otherwise one after the other.
    """
    if not at_once:
        for at, reader in enumerate(readers):
            for data in reader():
                yield at, data
        return
    items: queue.Queue[_Piece | _End] = queue.Queue(ROOM)
    for at, reader in enumerate(readers):
        threading.Thread(target=_read, args=(at, reader, items), daemon=True).start()
    lines = [Unfinished() for _ in readers]
    first: ClientError | None = None
    left = len(readers)
    while left:
        match _next(items, min(line.due for line in lines)):
            case _Piece(at, data):
                if shown := lines[at].take(data, time.monotonic()):
                    yield at, shown
            case _End(at, error):
                if lines[at].rest:
                    yield at, lines[at].rest
                lines[at] = Unfinished()
                first = first or error
                left -= 1
            case None:
                pass
        now = time.monotonic()
        for at, line in enumerate(lines):
            if shown := line.rested(now):
                yield at, shown
    if first is not None:
        raise first


def _next(items: queue.Queue[_Piece | _End], until: float) -> _Piece | _End | None:
    """The next one; None if there is none by then."""
    if until == float("inf"):
        return items.get()
    try:
        return items.get(timeout=max(0.0, until - time.monotonic()))
    except queue.Empty:
        return None


def _read(at: int, reader: Reader, items: queue.Queue[_Piece | _End]) -> None:
    error: ClientError | None = None
    try:
        for data in reader():
            items.put(_Piece(at, data))
    except ClientError as found:
        error = found
    items.put(_End(at, error))
