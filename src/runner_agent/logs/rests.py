"""How long unfinished last lines have waited for their ends: what has rested is shown without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

REST = 0.2
"""Seconds an unfinished line waits for its end. Long enough for a line that is written in pieces, as most
libraries do, and for few pieces of what grows all the time; short enough to be seen as at once."""
_SLACK = 0.01
"""Seconds a timer may come too early."""


class Rests:
    """Counts from when bytes were first seen, not last: what grows all the time is shown too."""

    def __init__(self, count: int, wake: Callable[[], None]) -> None:
        """`wake` is called when the next of them has rested."""
        self._due: list[float | None] = [None] * count
        self._wake = wake
        self._timer: asyncio.TimerHandle | None = None

    def over(self, number: int) -> bool:
        """Whether this one has rested. If it is seen for the first time, its rest begins."""
        loop = asyncio.get_running_loop()
        due = self._due[number]
        if due is None:
            due = self._due[number] = loop.time() + REST
        if loop.time() >= due - _SLACK:
            return True
        if self._timer is None or self._timer.when() > due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(due, self._ring)
        return False

    def moved(self, number: int) -> None:
        """Its bytes have their place; those that come begin a rest of their own."""
        self._due[number] = None

    async def wait(self) -> bool:
        """Until all that rest now have rested; False if none did."""
        now = asyncio.get_running_loop().time()
        due = max((due for due in self._due if due is not None), default=now)
        if due <= now:
            return False
        await asyncio.sleep(due - now)
        return True

    def _ring(self) -> None:
        self._timer = None
        self._wake()
