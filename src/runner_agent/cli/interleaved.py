"""Lines of several logs as they come, each log read by a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from runner_agent.client.errors import ClientError

ROOM = 256
"""Lines read ahead of whoever shows them."""
LINE_LIMIT = 1 << 16
"""Bytes of a line that are shown as one."""

Reader = Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class _Line:
    at: int
    text: bytes


@dataclass(frozen=True, slots=True)
class _End:
    error: ClientError | None


def interleaved(readers: Sequence[Reader], *, at_once: bool) -> Iterator[tuple[int, bytes]]:
    """Which reader, and a line of its without the end. Raises the first ClientError, when all have ended.

    `at_once` reads all side by side, otherwise one after the other.
    """
    if not at_once:
        for at, reader in enumerate(readers):
            for line in lines_of(reader()):
                yield at, line
        return
    items: queue.Queue[_Line | _End] = queue.Queue(ROOM)
    for at, reader in enumerate(readers):
        threading.Thread(target=_read, args=(at, reader, items), daemon=True).start()
    first: ClientError | None = None
    left = len(readers)
    while left:
        match items.get():
            case _Line(at, text):
                yield at, text
            case _End(error):
                first = first or error
                left -= 1
    if first is not None:
        raise first


def lines_of(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Without their ends. A line that goes on and on is cut, a last one without an end is one too."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > LINE_LIMIT:
            yield rest
            rest = b""
    if rest:
        yield rest


def _read(at: int, reader: Reader, items: queue.Queue[_Line | _End]) -> None:
    error: ClientError | None = None
    try:
        for line in lines_of(reader()):
            items.put(_Line(at, line))
    except ClientError as found:
        error = found
    items.put(_End(error))
