"""The output file of a command in a container, kept the same outside of it, where the agent reads it.

Followed by change notification, not by looking again and again; a file that was replaced or cut is taken
anew.
"""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_MODIFY, _MOVED_TO, _CREATE = 0x2, 0x80, 0x100
_CLOEXEC, _NONBLOCK = 0o2000000, 0o4000
_MOST = 16 << 20
"""Bytes: what is longer than this is no list of values (rule 5.3), and is not copied on."""


class Mirror:
    """`name` in an open folder, copied to a path; `descriptor` is readable when there may be news."""

    def __init__(self, folder: int, name: str, target: str) -> None:
        """`name` exists. Without notification (-1) `copy` must be called every now and then."""
        self._folder = folder
        self._name = name
        self._target = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._file = (0, 0)
        self._at = 0
        self.descriptor: int = _libc.inotify_init1(_CLOEXEC | _NONBLOCK)
        place = b"/proc/self/fd/%d" % folder
        if self.descriptor >= 0 and (
            _libc.inotify_add_watch(self.descriptor, place, _MODIFY | _MOVED_TO | _CREATE) < 0
        ):
            os.close(self.descriptor)
            self.descriptor = -1

    def copy(self) -> None:
        """What is new in the file. A full disk here costs nothing but the delay: it is tried again."""
        if self.descriptor >= 0:
            try:
                while os.read(self.descriptor, 1 << 16):
                    pass
            except BlockingIOError:
                pass
        try:
            source = os.open(
                self._name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder
            )
        except OSError:  # just being replaced, or taken away
            return
        try:
            self._copy(source)
        except OSError:
            pass
        finally:
            os.close(source)

    def _copy(self, source: int) -> None:
        seen = os.fstat(source)
        if (seen.st_dev, seen.st_ino) != self._file or seen.st_size < self._at:
            os.ftruncate(self._target, 0)
            self._file, self._at = (seen.st_dev, seen.st_ino), 0
        while self._at < _MOST and (data := os.pread(source, 1 << 16, self._at)):
            self._at += os.pwrite(self._target, data, self._at)

    def close(self) -> None:
        """Let go of all but the folder."""
        os.close(self._target)
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
