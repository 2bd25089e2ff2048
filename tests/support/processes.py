"""What is alive, seen from outside: /proc scans that find every process of a test, and waiting with a bound.

A process is known by pid and kernel start time, so that a reused pid is never mistaken for an old one, and is
signalled through a pidfd after that has been checked.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

POLL = 0.01  # seconds between two looks at a condition
PATIENCE = 45.0
"""Seconds that a condition is given at least, whatever its test would be content with: a machine with much
else to do is no defect, and only a failure waits so long.
"""


@dataclass(frozen=True, slots=True)
class Process:
    """One incarnation of a pid: `started` is field 22 of /proc/PID/stat, in clock ticks since boot.

    Two looks at one incarnation are equal, whatever it did in between.
    """

    pid: int
    started: int
    parent: int = field(compare=False)
    state: str = field(compare=False)
    name: str = field(compare=False)

    @property
    def alive(self) -> bool:
        """True while this incarnation runs; a zombie has ended and only waits to be read."""
        now = look(self.pid)
        return now is not None and now.started == self.started and now.state not in "ZX"


def look(pid: int) -> Process | None:
    """The process that has `pid` now, zombies included; None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    name = stat[stat.index("(") + 1 : stat.rindex(")")]  # a name may hold spaces and parentheses
    fields = stat[stat.rindex(")") + 2 :].split()
    return Process(pid=pid, started=int(fields[19]), parent=int(fields[1]), state=fields[0], name=name)


def everything() -> list[Process]:
    """Every process that is alive now."""
    found = (look(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process for process in found if process is not None and process.state not in "ZX"]


def subtree(pid: int) -> list[Process]:
    """The living descendants of `pid`, without itself. What lost its parent is not found: see `tied_to`."""
    return _descendants({pid}, everything())


def tied_to(directory: Path) -> list[Process]:
    """Every living process that has to do with `directory`, and all their descendants.

    A process is tied by an environment variable or argument that holds the path, by its working directory or
    by an open file. This test process and its ancestors are left out.
    """
    alive = everything()
    own = _ancestors(os.getpid(), alive)
    tied = [process for process in alive if process.pid not in own and _mentions(process.pid, str(directory))]
    return tied + _descendants({process.pid for process in tied}, alive)


def end(processes: Iterable[Process]) -> None:
    """SIGKILL each, if it still is what it was. Returns without waiting for their ends."""
    for process in processes:
        try:
            pidfd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        try:
            if process.alive:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended by itself between the look and the signal
        finally:
            os.close(pidfd)


def end_all_tied_to(directory: Path, timeout: float = 10.0) -> None:
    """SIGKILL whatever `tied_to` finds until nothing is found. AssertionError after `timeout` seconds."""

    def gone() -> bool:
        left = tied_to(directory)
        end(left)
        return not left

    wait_until(gone, timeout, f"nothing tied to {directory} is left")


def wait_until(condition: Callable[[], object], timeout: float = 10.0, what: str = "") -> None:
    """Look until `condition()` is truthy; AssertionError, naming `what`, after PATIENCE or more seconds."""
    patience = max(timeout, PATIENCE)
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience} s: {what or condition}"
        time.sleep(POLL)


async def eventually(condition: Callable[[], object], timeout: float = 10.0, what: str = "") -> None:
    """`wait_until` for a test that runs in the event loop."""
    patience = max(timeout, PATIENCE)
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience} s: {what or condition}"
        await asyncio.sleep(POLL)


def _mentions(pid: int, text: str) -> bool:
    proc = Path(f"/proc/{pid}")
    needle = text.encode()
    try:
        if needle in (proc / "environ").read_bytes() or needle in (proc / "cmdline").read_bytes():
            return True
        links = [proc / "cwd", *(proc / "fd").iterdir()]
    except OSError:
        return False
    return any(text in _target(link) for link in links)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _ancestors(pid: int, alive: list[Process]) -> set[int]:
    parents = {process.pid: process.parent for process in alive}
    found: set[int] = set()
    while pid and pid not in found:
        found.add(pid)
        pid = parents.get(pid, 0)
    return found


def _descendants(roots: set[int], alive: list[Process]) -> list[Process]:
    known, found = set(roots), list[Process]()
    while new := [process for process in alive if process.parent in known and process.pid not in known]:
        known.update(process.pid for process in new)
        found.extend(new)
    return found
