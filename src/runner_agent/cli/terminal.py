"""The two streams: data on stdout, everything else on stderr; colours only where somebody can see them."""

import json
import os
import sys
from dataclasses import dataclass
from typing import TextIO

_COLOURS = {
    "RUNNING": "32",
    "SUCCEEDED": "32",
    "STARTING": "33",
    "PENDING": "33",
    "STOPPING": "33",
    "FAILED": "31;1",
    "STOPPED": "2",
    "DELETED": "2",
}
PREFIX_COLOURS = ("36", "35", "34", "33", "32", "96", "95", "94")


def coloured(stream: TextIO) -> bool:
    """Whether this stream takes colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_screen(stream: TextIO) -> bool:
    """Whether lines on it can be drawn over."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def paint(text: str, code: str, stream: TextIO) -> str:
    """`text` in an SGR colour, where the stream takes it."""
    return f"\x1b[{code}m{text}\x1b[0m" if code and text and coloured(stream) else text


def wrapped(text: str, stream: TextIO) -> str:
    """Broken between words where the stream is a screen; a program gets it as it is."""
    if not is_screen(stream):
        return text
    import textwrap

    try:
        width = os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        width = 80
    # A command or an address that is broken cannot be copied.
    shaped = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False, drop_whitespace=True)
    return "\n".join("\n".join(shaped.wrap(line)) for line in text.split("\n"))


def phase_colour(phase: str) -> str:
    """The SGR code for a phase, "" for none."""
    return _COLOURS.get(phase, "")


def out(text: str = "") -> None:
    """A line of data."""
    print(text, flush=True)


def fits(text: str) -> bool:
    """Whether standard output has all its characters. What a program is to read must not be escaped there."""
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def json_text(data: object, indent: int | None = None) -> str:
    """`data` as JSON; what the stream's encoding does not have, by JSON's own escapes."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    return text if fits(text) else json.dumps(data, indent=indent)


def note(text: str) -> None:
    """A line for people, on standard error."""
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def out_bytes(data: bytes) -> None:
    """Data as it is."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@dataclass(frozen=True, slots=True)
class Marks:
    """One character for a phase; what is on its way turns."""

    fancy: bool

    def of(self, phase: str, frame: int) -> str:
        """The mark at a frame of the animation."""
        if phase in _ON_ITS_WAY:
            turns = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if self.fancy else "|/-\\"
            return turns[frame % len(turns)]
        fancy, plain = _MARKS.get(phase, ("○", "-"))
        return fancy if self.fancy else plain


_ON_ITS_WAY = frozenset({"STARTING", "STOPPING"})
_MARKS = {"RUNNING": ("●", "*"), "SUCCEEDED": ("✓", "+"), "FAILED": ("✗", "!"), "PENDING": ("○", ".")}


def marks(stream: TextIO) -> Marks:
    """Those that the stream's encoding has."""
    return Marks("utf" in (stream.encoding or "").lower())
