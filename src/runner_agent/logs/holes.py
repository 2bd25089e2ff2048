"""Giving the oldest bytes of a file back to the disk by punching a hole, so that no offset moves.

The file itself remembers where its first kept byte is: where SEEK_DATA finds data. That survives restarts,
cannot disagree with the file, and needs no second write to be kept in step.
"""

from __future__ import annotations

import errno
import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
GRAIN = 65536
"""Holes end at multiples of this, which every block size in use divides: else a hole's last block would stay,
as zeros that read like data."""

UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""Errors of `punch` that mean: not on this filesystem."""


def first_kept(fd: int) -> int:
    """The offset of the first byte not given back; the file's size if none is left. Raises OSError."""
    try:
        return os.lseek(fd, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return os.fstat(fd).st_size
        raise


def punch(fd: int, end: int) -> None:
    """Give the bytes below `end`, a multiple of GRAIN, back to the disk. Raises OSError, see UNSUPPORTED."""
    _fallocate()(fd, _PUNCH_HOLE | _KEEP_SIZE, 0, end)


@cache
def _fallocate() -> Callable[[int, int, int, int], None]:
    import ctypes  # late: it costs 5 ms, and most daemons never see a log that is too large

    libc = ctypes.CDLL(None, use_errno=True)
    # glibc has a 64-bit variant under a name of its own; musl's plain one is 64-bit everywhere.
    function = getattr(libc, "fallocate64", None) or libc.fallocate
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)

    def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
        if function(fd, mode, offset, length) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    return fallocate
