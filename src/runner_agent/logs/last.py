"""The last lines a command wrote: evidence for failure messages and explanations (rules 3.4, 4.4)."""

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
    for text in reversed(_tail(path)):
        if not text.startswith(MARK):
            return text
    return ""


def last_lines(path: Path, count: int, *, notes: bool = True) -> tuple[str, ...]:
    """Up to so many, the agent's own `notes` among them or left out; none if it cannot be read."""
    return tuple([text for text in _tail(path) if notes or not text.startswith(MARK)][-count:])


def last_attempt(path: Path, reference: str, count: int, *, under_way: bool) -> tuple[str, ...]:
    """As `last_lines` without notes, of the newest run of `ready` alone; if that is `under_way`, of the one
    before.
    """
    attempts: list[list[str]] = [[]]
    for text in _tail(path):
        if text == f"{MARK}{reference}: ready":
            attempts.append([])
        elif not text.startswith(MARK):
            attempts[-1].append(text)
    return tuple(attempts[-2 if under_way and len(attempts) > 1 else -1][-count:])


def _tail(path: Path) -> list[str]:
    """Lines with something in them, each short enough to be quoted."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return []
    try:
        end = os.fstat(fd).st_size
        data = os.pread(fd, _TAIL, max(0, end - _TAIL))
    except OSError:
        return []
    finally:
        os.close(fd)
    _, *whole = lines = data.decode("utf-8", "replace").split("\n")
    shown = (_shown(line) for line in (whole if whole and end > _TAIL else lines))
    return [line for line in shown if line]


def _shown(line: str) -> str:
    text = line.rstrip("\r").rpartition("\r")[2].strip().strip("\0")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
