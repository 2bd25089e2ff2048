"""fallocate(2) with its modes, which Python's own call does not offer."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

KEEP_SIZE, PUNCH_HOLE = 0x01, 0x02


@cache
def fallocate() -> Callable[[int, int, int, int], None]:
    """Of a descriptor, with a mode, from an offset, so many bytes. What it gives raises OSError."""
    import ctypes  # late: it costs 3 ms, and the command line never needs it

    libc = ctypes.CDLL(None, use_errno=True)
    # glibc has a 64-bit variant under a name of its own; musl's plain one is 64-bit everywhere.
    function = getattr(libc, "fallocate64", None) or libc.fallocate
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)

    def call(fd: int, mode: int, offset: int, length: int) -> None:
        if function(fd, mode, offset, length) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    return call
