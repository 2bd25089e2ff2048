"""What measured commands tell: bash puts its clock, in microseconds, into a FIFO as its first instruction.

The commands of the baseline tell by the same line, so that what bash itself takes to start is in both.
"""

import os
import select
from pathlib import Path

PATIENCE_MS = 60_000


class Line:
    """A FIFO that many commands write to and we read."""

    def __init__(self, path: Path) -> None:
        """Makes it."""
        os.mkfifo(path)
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._buffer = b""

    @property
    def tell(self) -> str:
        """The command that tells the time. Written at once: lines of many writers do not mix."""
        return f'echo "$EPOCHREALTIME" > {self.path}'

    def next(self) -> float:
        """The time one more command told, in seconds since the epoch."""
        return self.next_times(1)[0]

    def next_times(self, count: int) -> list[float]:
        """As many."""
        while self._buffer.count(b"\n") < count:
            if not self._poll.poll(PATIENCE_MS):
                told = self._buffer.count(b"\n")
                raise RuntimeError(f"only {told} of {count} commands told the time")
            self._buffer += os.read(self._fd, 1 << 16)
        *lines, self._buffer = self._buffer.split(b"\n", count)
        return [float(line) for line in lines]

    def close(self) -> None:
        os.close(self._fd)
