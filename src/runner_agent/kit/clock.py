"""Time as something handed in: a monotonic clock for deadlines, a wall clock for display, a mark per boot."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

_PROC = Path("/proc")


class Clock(Protocol):
    """All that the agent knows about time; handed in, never read from the system by those who reason."""

    def now(self) -> float:
        """Seconds of CLOCK_MONOTONIC: comparable within one boot, for deadlines and durations."""
        ...

    def wall(self) -> datetime:
        """The date, aware, in UTC: for display only, as it may jump."""
        ...

    def boot_id(self) -> str:
        """The kernel's boot id; in a container this is the host's."""
        ...

    def boot_mark(self) -> str:
        """Names one boot of this machine or container: boot id and start time of PID 1 (rule 6.3)."""
        ...


class SystemClock:
    """The machine's own clock. Reads the boot's names once, since they cannot change under a live process."""

    __slots__ = ("_boot_id", "_boot_mark")

    def __init__(self, proc: Path = _PROC) -> None:
        self._boot_id = (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        self._boot_mark = f"{self._boot_id}:{_start_time_of_init(proc)}"

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def boot_id(self) -> str:
        return self._boot_id

    def boot_mark(self) -> str:
        return self._boot_mark


def _start_time_of_init(proc: Path) -> str:
    """Field 22 of /proc/1/stat, in clock ticks since the kernel's boot.

    "?" where /proc hides other users' processes (hidepid): then the mark is only as good as the boot id.
    """
    try:
        stat = (proc / "1/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "?"
    # The command's name stands in brackets and may hold spaces and brackets itself.
    return stat.rpartition(")")[2].split()[19]
