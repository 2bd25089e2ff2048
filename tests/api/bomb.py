"""A hundred megabytes of zeros in a hundred kilobytes."""

import zlib
from functools import cache


@cache
def gzip_bomb() -> bytes:
    """Made once: the making takes most of a second."""
    zipper = zlib.compressobj(wbits=31)
    return b"".join(zipper.compress(bytes(1 << 20)) for _ in range(100)) + zipper.flush()
