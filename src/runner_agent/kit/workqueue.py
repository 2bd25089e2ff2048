"""A keyed work queue: a key is never in two hands, and never lost when touched meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from runner_agent.kit.alarms import Alarms
from runner_agent.kit.bell import Bell
from runner_agent.kit.clock import Clock

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Backoff:
    """A key's rest after failures in a row: `first`, doubled each time, never over `longest` (seconds).

    Without random spread: the keys of one agent do not crowd a distant server.
    """

    first: float = 0.05
    longest: float = 30.0

    def delay(self, failures: int) -> float:
        """Seconds to rest after this many failures, counted from 1."""
        # The exponent is bounded, since 2.0 ** 1024 overflows.
        return min(self.longest, self.first * 2.0 ** min(failures - 1, 64))


class WorkQueue(Generic[K]):
    """Keys that want a look, for any number of workers (client-go's rules).

    A key added while it waits is there once. A key added while a worker holds it is handed out again after
    that worker's `done`. Order is first come, first served. Every `get` owes a `done`; `take` sees to it.
    """

    def __init__(self, clock: Clock, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._wanted: set[K] = set()  # to be handed out: waiting in `_ready`, or touched while held
        self._held: dict[K, int] = {}
        self._tickets = 0
        self._failures: dict[K, int] = {}
        self._later: Alarms[K] = Alarms(clock, self.add)
        self._settled = Bell()

    def __len__(self) -> int:
        """How many keys wait to be handed out, those not counted that wait for a time."""
        return len(self._wanted)

    @property
    def held(self) -> frozenset[K]:
        """The keys in workers' hands."""
        return frozenset(self._held)

    @property
    def tickets(self) -> Mapping[K, int]:
        """The keys in workers' hands, each with a number that no other `get` gave."""
        return dict(self._held)

    def add(self, key: K) -> None:
        """Have `key` looked at: soon, or again if a worker holds it just now."""
        if key in self._wanted:
            return
        self._wanted.add(key)
        if key not in self._held:
            self._ready.put_nowait(key)

    def add_after(self, key: K, delay: float) -> None:
        """Add `key` in `delay` seconds; of several such times the earliest counts."""
        if delay <= 0:
            self.add(key)
            return
        at = self._clock.now() + delay
        earlier = self._later.at(key)
        if earlier is None or at < earlier:
            self._later.set(key, at)

    def retry(self, key: K) -> float:
        """Count a failure of `key` and add it once it has rested; gives the seconds of rest."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = self._backoff.delay(failures)
        self.add_after(key, delay)
        return delay

    def failures(self, key: K) -> int:
        """Failures of `key` in a row."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """`key` went well: its next failure counts as the first. Does not take it off the queue."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key, which is in the caller's hand until `done`. Cancellable: no key is lost by it."""
        key = await self._ready.get()
        self._wanted.discard(key)
        self._tickets += 1
        self._held[key] = self._tickets
        return key

    def done(self, key: K) -> None:
        """Give back a key that `get` handed out. KeyError if it is not held."""
        del self._held[key]
        if key in self._wanted:
            self._ready.put_nowait(key)
        elif not self._held and not self._wanted:
            self._settled.ring()

    def take(self) -> Taking[K]:
        """`get` and `done` around a block: `async with queue.take() as key`."""
        return Taking(self)

    async def settle(self) -> None:
        """Return once no key waits and none is held; keys that wait for a time do not count."""
        while self._wanted or self._held:
            await self._settled.wait(self._settled.rings)

    def close(self) -> None:
        """Forget the keys that wait for a time; workers end by being cancelled."""
        self._later.close()


class Taking(Generic[K]):
    """One `take`. A class, since a generator made into a context manager costs ten times as much."""

    __slots__ = ("_key", "_queue")

    _key: K

    def __init__(self, queue: WorkQueue[K]) -> None:
        self._queue = queue

    async def __aenter__(self) -> K:
        self._key = await self._queue.get()
        return self._key

    async def __aexit__(self, *_: object) -> None:
        self._queue.done(self._key)
