"""Texts of several writers in one: a prefix begins each line, and stands again where a line is written over.

Pure. A carriage return sends a terminal back to the first column, where the prefix stands; so after one the
prefix is written again, and what the program draws over is its own text only.
"""

from __future__ import annotations

import re

_BEGINNINGS = re.compile(rb"(?:\n|\r+(?![\r\n]))(?!\Z)")
"""After these something is written from the first column on; `\\r\\n` is the end of a line, no more."""

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
