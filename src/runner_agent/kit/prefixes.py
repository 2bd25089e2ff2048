"""Texts of several writers in one: a prefix begins each line, and stands again where a line is written over.

Pure. A carriage return sends a terminal back to the first column, where the prefix stands; so after one the
prefix is written again, and what the program draws over is its own text only.
"""

from __future__ import annotations

import re

_BEGINNINGS = re.compile(rb"(?:\n|\r+(?![\r\n]))(?!\Z)")
"""After these something is written from the first column on; `\\r\\n` is the end of a line, no more."""

_LONGEST_ESCAPE = 256
"""Bytes; a control sequence of a terminal that is longer may be cut."""
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[P\]X^_][^\x07\x1b]*\x1b?|[ -/]*)\Z")
"""A control sequence whose last byte is yet to come: CSI, a string such as OSC, or another."""

LINE_END = b"\n"


def prefixed(data: bytes, prefix: bytes, before: bytes = LINE_END) -> bytes:
    """`data` with `prefix` wherever a line begins or is drawn anew, and not behind its last byte.

    `before` is the byte that the same writer wrote before, if its line goes on; LINE_END if a line begins.
    """
    goes_on = before != LINE_END and (before != b"\r" or data[:1] in {b"\r", b"\n"})
    begin = b"" if goes_on else prefix
    if b"\r" in data:
        return begin + _BEGINNINGS.sub(lambda found: found[0] + prefix, data)
    return begin + data[:-1].replace(b"\n", b"\n" + prefix) + data[-1:]


class Weaver:
    """Keeps who wrote last, and puts an end to a line of theirs before another writer's begins."""

    def __init__(self) -> None:
        """Nothing was written yet."""
        self._writer: object = None
        self._last = LINE_END

    def add(self, writer: object, prefix: bytes, data: bytes) -> bytes:
        """What to write, for `data` that this writer wrote."""
        if not data:
            return b""
        broken = b"" if writer == self._writer else self.end()
        text = broken + prefixed(data, prefix, self._last)
        self._writer, self._last = writer, data[-1:]
        return text

    def is_open(self, writer: object) -> bool:
        """Whether a line of this writer's is the last, and has no end."""
        return writer == self._writer and self._last != LINE_END

    def end(self) -> bytes:
        """What to write before anything that has no prefix: the end of a line, if it is missing."""
        broken = b"" if self._last == LINE_END else LINE_END
        self._last = LINE_END
        return broken


def steady(data: bytes) -> int:
    """Up to where another line may come between: not within a character, nor in what colours a terminal."""
    begun = _BEGUN.search(data, max(0, len(data) - _LONGEST_ESCAPE))
    return begun.start() if begun else _between_characters(data)


def _between_characters(data: bytes) -> int:
    for back in range(1, min(3, len(data)) + 1):
        if data[-back] & 0xC0 == 0xC0:  # the first byte of a character of `needed` bytes
            needed = 2 + (data[-back] >= 0xE0) + (data[-back] >= 0xF0)
            return len(data) - back if needed > back else len(data)
        if data[-back] < 0x80:
            break
    return len(data)
