"""Reading a log by byte offset: a piece, a tail, a range, or for as long as it grows (rules 5.4, 5.5).

Readers keep nothing open and hold no lock, so a writer cannot feel them. A log is anything that answers to
`Log`: a file, or the merged text of several.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

from runner_agent.kit.bell import Bell
from runner_agent.kit.inotify import Inotify, Subscription
from runner_agent.logs.files import MARK
from runner_agent.logs.holes import first_kept
from runner_agent.model.frozen import dataclass

CHUNK = 65536
"""Bytes read in one go: small enough that a hundred readers in turn do not hold up the event loop."""

_TAIL_REACH = 64 * 1024 * 1024
"""How far back from the end a tail looks for the beginning of its lines."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The offsets a log has: from the first byte kept to the end of what is written."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The bytes at an offset were given back (or the log was truncated); it can be read on at `resume`."""

    resume: int


class Log(Protocol):
    """A text that grows at its end and is counted in bytes. Errors are OSError, when the disk fails."""

    async def extent(self) -> Extent:
        """What can be read now. Both are 0 for a log that does not exist yet."""
        ...

    async def tail(self, lines: int) -> int:
        """The offset where the last `lines` lines begin; an unfinished last line counts as one."""
        ...

    def read(self, offset: int) -> bytes | Gone:
        """Some bytes from `offset` on, as many as are cheap; none at the end. Never zeros for bytes gone."""
        ...

    def subscribe(self, on_change: Callable[[], None]) -> Subscription:
        """Call `on_change` whenever there may be more to read."""
        ...


class FileLog:
    """One log file; it need not exist yet.

    Readers of one object share what was read last: a hundred of them that keep up with a fast writer
    would else take memory bandwidth from it.
    """

    def __init__(self, path: Path, inotify: Inotify) -> None:
        self.path = path
        self._inotify = inotify
        self._last = (0, b"")  # offset and bytes of the whole chunk read last

    async def extent(self) -> Extent:
        return file_extent(self.path)

    async def tail(self, lines: int) -> int:
        extent = file_extent(self.path)
        if lines <= 0 or extent.end == 0:
            return extent.end
        with self.path.open("rb", buffering=0) as file:
            return await _start_of_last(file.fileno(), extent, lines)

    def read(self, offset: int) -> bytes | Gone:
        start, data = self._last
        if start <= offset < start + len(data):
            return data[offset - start :]
        # To the next multiple of CHUNK: there readers who began at different places meet.
        read = read_file(self.path, offset, CHUNK - offset % CHUNK)
        if isinstance(read, bytes) and len(read) == CHUNK:
            self._last = (offset, read)
        return read

    def subscribe(self, on_change: Callable[[], None]) -> Subscription:
        return self._inotify.subscribe(self.path, on_change)


def file_extent(path: Path) -> Extent:
    """First kept byte and size of a log file; zeros if there is none."""
    try:
        fd = _open(path)
    except FileNotFoundError:
        return Extent(0, 0)
    try:
        # In this order the first cannot lie beyond the end.
        first = first_kept(fd)
        return Extent(first, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def read_file(path: Path, offset: int, size: int = CHUNK) -> bytes | Gone:
    """Up to `size` bytes of a log file; none at its end, or if there is no such file."""
    try:
        fd = _open(path)
    except FileNotFoundError:
        return b""
    try:
        data = os.pread(fd, size, offset)
        if not data:
            return Gone(0) if os.fstat(fd).st_size < offset else data
        # A hole reads as zeros, also one that is cut during the read. Text has none: who sees one asks.
        if b"\0" in data:
            first = first_kept(fd)
            if first > offset:
                return Gone(first)
        return data
    finally:
        os.close(fd)


def gap_line(offset: int, resume: int) -> bytes:
    """The line that stands for bytes that are gone. It is not part of the text: offsets do not count it."""
    if resume < offset:
        return f"{MARK}the log was truncated; going on at offset {resume}\n".encode()
    lost = resume - offset
    return f"{MARK}{lost} bytes are gone, the log is over its cap; going on at offset {resume}\n".encode()


async def follow(
    log: Log, offset: int, ended: Callable[[], Awaitable[object]]
) -> AsyncGenerator[bytes, None]:
    """What a log holds from `offset` on, and what it comes to hold, until `ended` returns and all was read.

    `ended` is called once and awaited for as long as this runs; an error of it is raised after the last byte.
    Where bytes are gone, a gap line stands for them. Use `contextlib.aclosing`, so that a reader who leaves
    early is let go of at once.
    """
    bell = Bell()
    ear = bell.listen()
    end = asyncio.ensure_future(ended())
    end.add_done_callback(lambda _: bell.ring())
    try:
        with log.subscribe(bell.ring):
            extent = await log.extent()
            if offset < extent.first:
                yield gap_line(offset, extent.first)
            # An offset that lies beyond the end, of a state that was lost perhaps, waits for what comes.
            offset = min(max(offset, extent.first), extent.end)
            finished_line = True
            while True:
                # Asked before reading: what was written until then is read below.
                over = end.done()
                match log.read(offset):
                    case Gone(resume):
                        yield (b"" if finished_line else b"\n") + gap_line(offset, resume)
                        offset, finished_line = resume, True
                    case b"" if over:
                        await end
                        return
                    case b"":
                        await ear.wait()
                    case data:
                        yield data
                        offset, finished_line = offset + len(data), data.endswith(b"\n")
                        # A consumer that never has to wait would keep the loop from everybody else.
                        await asyncio.sleep(0)
    finally:
        end.cancel()


async def copy(log: Log, offset: int, end: int) -> AsyncGenerator[bytes, None]:
    """The bytes from `offset` up to `end`, or fewer: cut where they have gone meanwhile, never filled up."""
    while offset < end:
        data = log.read(offset)
        if isinstance(data, Gone) or not data:
            return
        yield data[: end - offset]
        offset += len(data)
        await asyncio.sleep(0)


async def _start_of_last(fd: int, extent: Extent, lines: int) -> int:
    position, floor = extent.end, max(extent.first, extent.end - _TAIL_REACH)
    wanted = lines
    while position > floor:
        start = max(floor, position - CHUNK)
        data = os.pread(fd, position - start, start)
        if position == extent.end:
            data = data[:-1]  # a newline at the very end begins no line
        newlines = data.count(b"\n")
        if newlines >= wanted:
            index = len(data)
            for _ in range(wanted):
                index = data.rindex(b"\n", 0, index)
            return start + index + 1
        wanted -= newlines
        position = start
        await asyncio.sleep(0)
    return floor


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
