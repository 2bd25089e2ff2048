"""The last line a command wrote: the evidence that failure messages quote (rules 3.4, 4.4)."""

import os
from pathlib import Path

from runner_agent.logs.files import MARK

_TAIL = 8192
"""Bytes looked at: what is quoted has to be short anyway."""
_LONGEST = 300
"""Characters quoted."""


def last_line(path: Path) -> str:
    """Without the agent's own lines; of a progress bar its latest state; "" if there is none or it cannot be
    read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        end = os.fstat(fd).st_size
        data = os.pread(fd, _TAIL, max(0, end - _TAIL))
    except OSError:
        return ""
    finally:
        os.close(fd)
    for line in reversed(data.decode("utf-8", "replace").split("\n")):
        text = line.rstrip("\r").rpartition("\r")[2].strip().strip("\0")
        if text and not text.startswith(MARK):
            return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return ""
