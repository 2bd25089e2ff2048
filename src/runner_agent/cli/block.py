"""A block of lines that stays at the bottom of a terminal, under what scrolls.

The cursor rests on the block's first cell. A terminal that is resized breaks its lines anew and keeps the
cursor at the text it stood on, so erasing from there to the end of the screen takes away the block, whole,
and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import termios
from collections.abc import Sequence
from typing import TextIO

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
ERASE = "\r\x1b[K\n\x1b[J\x1b[A"
"""The first line by itself: what is erased from a screen's first cell on, tmux keeps as scrolled by."""
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_LOCAL_MODES = 3
USUAL = os.terminal_size((80, 24))


def drawn(lines: Sequence[str]) -> str:
    """The block, and the cursor back on its first cell. There must be room for all its lines.

    A line that is too long, since the terminal was made narrower this very moment, ends at the margin.
    """
    back = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
    return _NO_WRAP + "\n".join(lines) + _WRAP + "\r" + back if lines else ""


def size_of(stream: TextIO) -> os.terminal_size:
    """Of the terminal as it is now; COLUMNS and LINES are what it was when the shell looked."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return USUAL
    return os.terminal_size((size.columns or USUAL.columns, size.lines or USUAL.lines))


def in_foreground(stream: TextIO) -> bool:
    """Whether the terminal is ours now: in the background it is the shell's. One that controls nobody is."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return True


class Quiet:
    """While it is on, the terminal does not show what is typed: a new line would push the block aside."""

    def __init__(self, stream: TextIO) -> None:
        """`stream` is where the block is drawn."""
        self._stream = stream
        self._before: list[object] | None = None

    def on(self) -> None:
        """Only in the foreground."""
        with contextlib.suppress(OSError, ValueError, termios.error):
            fd = self._stream.fileno()
            if self._before is None and in_foreground(self._stream):
                modes = termios.tcgetattr(fd)
                self._before = list(modes)
                modes[_LOCAL_MODES] &= ~termios.ECHO
                termios.tcsetattr(fd, termios.TCSANOW, modes)

    def off(self) -> None:
        """As it was before."""
        with contextlib.suppress(OSError, ValueError, termios.error):
            fd = self._stream.fileno()
            if self._before is not None and in_foreground(self._stream):
                termios.tcsetattr(fd, termios.TCSANOW, self._before)  # type: ignore[arg-type]
        self._before = None
