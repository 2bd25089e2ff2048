"""The standard streams, made fit for use: they may have come closed, full, or in a narrow encoding.

A closed descriptor would be given to the next thing opened, a socket or the database, which would then be
written to as if it were the terminal.
"""

import codecs
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

ESCAPED = "runner-agent-octal"
"""How characters are encoded that the stream's encoding does not have: as `\\ooo`, byte by byte of UTF-8."""


class OutputLost(Exception):
    """Standard output does not take what is written to it; the OSError that says why is the cause.

    No OSError itself: whoever expects one of a file or a socket must not take it for his.
    """


def make_usable() -> None:
    """First of all, before anything is opened."""
    for number in range(3):
        _open_if_closed(number)
    codecs.register_error(ESCAPED, _octal)
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _text(_Data(1, "w", closefd=False), sys.stdout, ESCAPED)
    sys.stderr = _text(_Words(2, "w", closefd=False), sys.stderr, "backslashreplace")


class _Data(io.FileIO):
    """Standard output. A reader that has had enough is no trouble (BrokenPipeError); all else is."""

    outlives_reader = False

    def write(self, data: "Buffer", /) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:
            if not self.outlives_reader:
                raise
            return memoryview(data).nbytes
        except OSError as error:
            raise OutputLost from error


class _Words(io.FileIO):
    """Standard error. What is said there is of use to somebody or to nobody; it fails no work."""

    def write(self, data: "Buffer", /) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def outlive_reader() -> None:
    """From now on a reader of standard output that leaves ends nothing: there is more to do than to show."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Data):
        raw.outlives_reader = True


def _text(raw: io.FileIO, before: TextIO | None, errors: str) -> TextIO:
    """In the encoding that Python had found for the stream."""
    try:
        line_by_line = raw.isatty()
    except OSError:
        line_by_line = False
    encoding = before.encoding if before is not None else "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=line_by_line)


def _open_if_closed(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: those below are open
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)  # noqa: FBT003 - it takes no keyword


def _octal(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    bytes_ = lost.encode("utf-8", "surrogateescape" if _escaped_bytes(lost) else "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in bytes_), error.end


def _escaped_bytes(text: str) -> bool:
    return all(not 0xD800 <= ord(char) <= 0xDFFF or 0xDC80 <= ord(char) <= 0xDCFF for char in text)
