"""One wake-up time per key, over one timer of the event loop: a level, not a list of timers."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Hashable
from itertools import count
from typing import Generic, TypeVar

from runner_agent.kit.clock import Clock

K = TypeVar("K", bound=Hashable)


class Alarms(Generic[K]):
    """Hands a key to `on_due` once its time has come. Times are seconds of the clock handed in.

    Truth lives elsewhere: whoever owns the key can set the same alarm again from what is stored, after a
    restart as well. Setting replaces what was set before.
    """

    __slots__ = ("_at", "_clock", "_heap", "_on_due", "_order", "_timer", "_wound_for")

    def __init__(self, clock: Clock, on_due: Callable[[K], None]) -> None:
        self._clock = clock
        self._on_due = on_due
        self._at: dict[K, float] = {}
        # Entries that no longer agree with `_at` are stale, and are passed over when they surface. The number
        # keeps the order of setting, and keeps keys, which need not be comparable, out of comparisons.
        self._heap: list[tuple[float, int, K]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._wound_for = math.inf

    def set(self, key: K, at: float) -> None:
        """Wake `key` at `at`, and at no other time; an instant gone by means as soon as possible."""
        if self._at.get(key) == at:
            return
        self._at[key] = at
        heapq.heappush(self._heap, (at, next(self._order), key))
        self._sweep()
        self._wind()

    def clear(self, key: K) -> None:
        """Do not wake `key`; nothing happens if it was not set."""
        if self._at.pop(key, None) is not None:
            self._sweep()
            self._wind()

    def at(self, key: K) -> float | None:
        """When `key` will be woken, if at all."""
        return self._at.get(key)

    def __len__(self) -> int:
        return len(self._at)

    def close(self) -> None:
        """Forget every key; nothing is handed out any more until something is set again."""
        self._at.clear()
        self._heap.clear()
        self._wind()

    def _wind(self) -> None:
        """Keep the one timer on the earliest alarm."""
        earliest = self._heap[0][0] if self._heap else math.inf
        if earliest == self._wound_for:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wound_for = earliest
        if self._heap:
            delay = max(0.0, earliest - self._clock.now())
            self._timer = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._wound_for = math.inf
        # What a callback sets for "now" waits for the next turn of the loop, lest it hold the loop for ever.
        now, newer = self._clock.now(), next(self._order)
        try:
            while self._heap and self._heap[0][0] <= now and self._heap[0][1] < newer:
                at, _, key = heapq.heappop(self._heap)
                if self._at.get(key) == at:
                    del self._at[key]
                    self._on_due(key)
        finally:
            # Also when a callback failed (the loop reports it): the other keys keep their times.
            self._sweep()
            self._wind()

    def _sweep(self) -> None:
        """Drop stale entries from the top, and all of them once they are the greater part."""
        if len(self._heap) > 2 * len(self._at) + 64:
            self._heap = [entry for entry in self._heap if self._at.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
