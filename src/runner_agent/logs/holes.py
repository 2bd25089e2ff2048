"""Giving the oldest bytes of a file back to the disk by punching a hole, so that no offset moves.

The file itself remembers where its first kept byte is: where SEEK_DATA finds data. That survives restarts,
cannot disagree with the file, and needs no second write to be kept in step.
"""

from __future__ import annotations

import errno
import os

from runner_agent.kit.allocate import KEEP_SIZE, PUNCH_HOLE, fallocate

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
    fallocate()(fd, PUNCH_HOLE | KEEP_SIZE, 0, end)
