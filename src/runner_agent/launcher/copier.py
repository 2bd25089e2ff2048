"""The log's only writer while its command runs: what comes out of the command's pipe, and lines of our own.

A command that opens /dev/stderr, truncating, would destroy a log that is its stderr; a pipe it cannot hurt.
A log that cannot be written costs its bytes and nothing else: the command goes on, and how much was lost is
told in the log as soon as it can be.
"""

import errno
import fcntl
import mmap
import os
import time

from runner_agent.launcher import loglines
from runner_agent.launcher.ear import ear
from runner_agent.launcher.redactor import Redactor
from runner_agent.launcher.spread import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner_agent.launcher.order import Order

_USUAL, _LARGEST = 1 << 16, 1 << 20  # bytes a pipe holds: as it is made, and once it proves too small
_LONGEST_REST = 0.002  # seconds; a line gets to its readers later by so much
_LEAST_REST = 0.0001  # of no use below: falling asleep and waking takes as long
_MOST_OWED = 4096
_KEPT_FREE = 2 << 20  # bytes of the disk that no output takes, or a sixteenth of it: ends and stops need them
_MOST_UNASKED = 4 << 20
_SET_SIZE = 1031  # F_SETPIPE_SZ; fcntl names it from Python 3.10 on, and not on every libc
_BUFFER = mmap.mmap(-1, 1 << 19, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # each holder's own once it writes
_INTO = [_BUFFER]
_VIEW = memoryview(_BUFFER)


class Copier:
    """A log and the pipe that is copied to it."""

    # As in Holder: what changes late or never is kept here.
    _open = False  # is there a pipe that somebody may still write to?
    lost = 0
    """Bytes that could not be written and are not told of yet."""
    _why = 0
    _owed = b""
    _redactor: Redactor | None = None
    _size = _USUAL
    _last = 0.0
    _touched = False
    _allowed = 0  # bytes to be written before the disk is asked again how much room it has

    def __init__(self, log: int) -> None:
        """`log` is open for appending."""
        self._log = log

    def open_pipe(self, uid: int | None, gid: int | None, outlet: str) -> int:
        """The end that the command writes to, to be closed by the caller. Raises OSError.

        It belongs to the command's user: scripts open /dev/stderr anew, by the rights of what it is. `outlet`
        is the FIFO to take for it, if any.
        """
        if outlet:
            source = os.open(outlet, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            sink = os.open(outlet, os.O_WRONLY | os.O_CLOEXEC)
        else:
            source, sink = os.pipe()
            os.set_blocking(source, False)
        if uid is not None and gid is not None:
            os.fchown(sink, uid, gid)
        ear.listen(source)
        self._open = True
        return sink

    def hide(self, order: "Order") -> None:
        """Let none of its secrets into the log (rule 5.6)."""
        if order.secrets_in:
            self._redactor = Redactor(shared(order.hidden))
            os.close(order.hidden)
        else:
            self._redactor = Redactor([one.encode("utf-8", "surrogateescape") for one in order.secrets])

    def copy(self) -> float:
        """Write what is in the pipe. Returns the seconds to rest before more is worth a wake-up.

        While we rest a writer need not wake us, which costs a writer of single lines half its time; and it
        need not wait for us: at its pace the pipe is half full by then.
        """
        taken = self.drain()
        if taken > _USUAL:
            self._touched = True
        elif self._touched:
            self._touched = False
            _BUFFER.madvise(mmap.MADV_DONTNEED)
        now = time.monotonic()
        passed, self._last = now - self._last, now
        rest = self._size / 2 / taken * passed if taken else _LONGEST_REST
        if taken > self._size // 2:  # it may have waited for us: its pace is not known
            rest = 0.0
        if rest < _LONGEST_REST / 2 and self._size < _LARGEST:
            self._grow()
        return 0.0 if rest < _LEAST_REST else min(rest, _LONGEST_REST)

    def drain(self) -> int:
        """Write what is in the pipe by now, so many bytes; what is written to it meanwhile may stay."""
        taken, count = 0, len(_BUFFER)
        while count == len(_BUFFER) and taken < self._size:  # less than was asked for: it is empty
            count = self._take()
            taken += count
        return taken

    def finish(self) -> None:
        """Nothing that is to be in the log will be written any more."""
        self.drain()
        self._close()

    def _take(self) -> int:
        """Write what one read gives, so many bytes; lets go of the pipe once it has no writers."""
        try:
            count = os.readv(ear.pipe, _INTO) if self._open else 0
        except BlockingIOError:
            return 0
        if count == 0:
            self._close()
        elif self._redactor is None:
            self._write(_VIEW[:count])
        else:
            self._write(memoryview(self._redactor.feed(_BUFFER[:count])))
        return count

    def _close(self) -> None:
        if self._open:
            self._open = False
            ear.mute()
        if self._redactor is not None:
            self._write(memoryview(self._redactor.finish()))
            self._redactor = None

    def _grow(self) -> None:
        self._size = _LARGEST
        try:
            fcntl.fcntl(ear.pipe, _SET_SIZE, _LARGEST)
        except OSError:  # a user has only so much memory in pipes
            pass

    def _write(self, data: memoryview) -> None:
        """All of it, or count what the disk does not take: the command must not wait for a disk."""
        size, written, why = len(data), 0, errno.ENOSPC
        try:
            if self._allowed < size:
                self._allowed = _allowance(self._log, size)
            if self._allowed and self._settle():
                taken = data[: self._allowed]
                self._allowed -= len(taken)
                while written < len(taken):
                    written += os.write(self._log, taken[written:])
        except OSError as error:
            why = error.errno or 0
        if written < size:
            self._why = why
            self.lost += size - written

    def note(self, made: bytes) -> None:
        """Add a line of ours, on a line by itself; what cannot be written now is owed."""
        if len(self._owed) < _MOST_OWED:
            self._owed += made
        self._settle()

    def settle(self) -> bool:
        """Tell what was lost, and pay what is owed. False if it cannot be written yet."""
        # Else one note after the other would take the room that output is not to take.
        if not self.settled and not _allowance(self._log, 1):
            return False
        return self._settle()

    def _settle(self) -> bool:
        if self.settled:
            return True
        told = b""
        if self.lost:
            told = loglines.line(f"{self.lost} bytes of output lost: {os.strerror(self._why).lower()}")
        if not loglines.write(self._log, told + self._owed):
            return False
        self.lost = 0
        self._owed = b""
        return True

    @property
    def settled(self) -> bool:
        """Is nothing owed?"""
        return not self.lost and not self._owed

    @property
    def size(self) -> int:
        """Bytes in the log."""
        return os.lseek(self._log, 0, os.SEEK_END)

    def close(self) -> None:
        """Let go of all."""
        self.finish()
        os.close(self._log)


def _allowance(log: int, least: int) -> int:
    """How much may be written before this is asked again: a sixteenth of what there is beside what the disk
    is to keep free, but `least` as far as it fits. Other holders write, too.
    """
    try:
        disk = os.fstatvfs(log)
    except OSError:
        return least
    size = disk.f_frsize
    free = (disk.f_bavail if os.geteuid() else disk.f_bfree) * size
    spare = free - min(_KEPT_FREE, disk.f_blocks * size // 16)
    return max(min(spare // 16, _MOST_UNASKED), min(spare, least), 0)
