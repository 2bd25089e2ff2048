"""A coalescing wake-up, "something changed since you last looked", from many ringers to many waiters."""

from __future__ import annotations

import asyncio


class Bell:
    """Rung when something changed; says nothing about what, so that who wakes looks at the truth itself.

    Ring it on the event loop's thread (from elsewhere: `loop.call_soon_threadsafe(bell.ring)`). A hundred
    rings between two looks are one wake-up, and no ring is lost: listen first, look, then wait.
    """

    __slots__ = ("_event", "_rings")

    def __init__(self) -> None:
        self._rings = 0
        self._event = asyncio.Event()

    @property
    def rings(self) -> int:
        """How often it rang; only grows."""
        return self._rings

    def ring(self) -> None:
        self._rings += 1
        rung, self._event = self._event, asyncio.Event()
        rung.set()

    async def wait(self, after: int) -> int:
        """Return once it has rung more than `after` times; gives the number to pass next. Cancellable."""
        while self._rings <= after:
            await self._event.wait()
        return self._rings

    def listen(self) -> Listener:
        """A waiter's own ear, that hears what is rung from now on."""
        return Listener(self)


class Listener:
    """One waiter's memory of what it has heard from one bell."""

    __slots__ = ("_bell", "_heard")

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._heard = bell.rings

    async def wait(self) -> None:
        """Return at once if it rang since the last return (or since `listen`), else at the next ring."""
        self._heard = await self._bell.wait(self._heard)
