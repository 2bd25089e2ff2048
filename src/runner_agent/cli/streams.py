"""The standard streams, made fit for use: they may have come closed, full, or in a narrow encoding.

A closed descriptor would be given to the next thing opened, a socket or the database, which would then be
written to as if it were the terminal.
"""

import codecs
import errno
import io
import os
import select
import stat
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

ESCAPED = "runner-agent-octal"
"""How characters are encoded that the stream's encoding does not have: as `\\ooo`, byte by byte of UTF-8."""

_AT_ONCE = select.PIPE_BUF
"""Bytes: a pipe that takes anything takes as much."""
_LOOK = 200
"""Milliseconds between two looks at whether somebody was told to end meanwhile."""
_PATIENCE = 1.0
"""Seconds that a reader has then."""


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


class _Stream(io.FileIO):
    """One whose reader may leave, or read no more: a pipe that is full, a terminal that was stopped."""

    outlives_reader = False
    _patient = -1  # the descriptor written to then: it never waits
    _hurried: float | None = None
    _stuck = False

    def write(self, data: "Buffer", /) -> int | None:  # type: ignore[override]
        if not self.outlives_reader:
            return super().write(data)
        while self._taken():
            try:
                return os.write(self._patient, memoryview(data)[:_AT_ONCE])
            except BlockingIOError:
                continue
        return memoryview(data).nbytes

    def outlive_reader(self) -> None:
        """See the function of this name."""
        if not self.outlives_reader:
            self._patient, self.outlives_reader = _never_waiting(self.fileno()), True

    def hurry(self) -> None:
        """See the function of this name."""
        if self._hurried is None:
            self._hurried = time.monotonic()

    def _taken(self) -> bool:
        """Once something can be written; False if it is not to be waited for any more."""
        began = time.monotonic()
        poll = select.poll()
        poll.register(self._patient, select.POLLOUT)
        while not poll.poll(0 if self._stuck else _LOOK):
            late = self._hurried is not None and time.monotonic() > max(began, self._hurried) + _PATIENCE
            if self._stuck or late:
                self._stuck = True
                return False
        self._stuck = False
        return True


class _Data(_Stream):
    """Standard output. A reader that has had enough is no trouble (BrokenPipeError); all else is."""

    def write(self, data: "Buffer", /) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:
            if not self.outlives_reader:
                raise
            return memoryview(data).nbytes
        except OSError as error:
            if self.outlives_reader and error.errno == errno.EIO:  # a terminal that is gone
                return memoryview(data).nbytes
            raise OutputLost from error


class _Words(_Stream):
    """Standard error. What is said there is of use to somebody or to nobody; it fails no work."""

    def write(self, data: "Buffer", /) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def outlive_reader() -> None:
    """From now on a reader of ours that leaves ends nothing: there is more to do than to show."""
    for one in _ours():
        one.outlive_reader()


def hurry() -> None:
    """What was told to end waits a second for a reader that does not read, and writes nothing to it then. To
    be called from a signal handler: this may be.
    """
    for one in _ours():
        one.hurry()


def _never_waiting(fd: int) -> int:
    """The pipe or terminal, opened once more so that no write to it waits; who else has it open is not
    touched. Anything else, and what may not be opened, as it is.
    """
    if stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd):
        with suppress(OSError):
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return fd


def _ours() -> list[_Stream]:
    raws = (getattr(getattr(one, "buffer", None), "raw", None) for one in (sys.stdout, sys.stderr))
    return [raw for raw in raws if isinstance(raw, _Stream)]


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
