"""Blocking work on a thread of its own, waited for only so long: a mount that hangs must not take the loop,
nor the end of the agent, with it.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeVar

T = TypeVar("T")

LIMIT = 5.0
"""Seconds that one reading may take."""
AT_ONCE = 4
"""Readings under way at once; so many that hang are the last, until one of them comes back."""


class TookTooLong(Exception):
    """It was not done in time; it may still be going on."""


class Reading(Protocol):
    """How blocking work is waited for."""

    def __call__(self, work: Callable[[], T]) -> Awaitable[T]:
        """What `work` returns. Raises what it raises, and TookTooLong."""
        ...


class Patience:
    """A `Reading`.

    The threads are daemons, unlike those of an executor: the interpreter does not wait for them at its end.
    """

    def __init__(self, limit: float = LIMIT) -> None:
        """`limit` is in seconds."""
        self._limit = limit
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._hanging = 0

    async def __call__(self, work: Callable[[], T]) -> T:
        async with self._turn:
            if self._hanging >= AT_ONCE:
                raise TookTooLong
            return await self._wait(work)

    async def _wait(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        given_up = False

        def settle(take: Callable[[], None]) -> None:
            if given_up:
                self._hanging -= 1
            elif not done.done():
                take()

        def run() -> None:
            try:
                result = work()
                take = lambda: done.set_result(result)  # noqa: E731
            except Exception as error:  # noqa: BLE001  it is the caller's to judge
                failure = error
                take = lambda: done.set_exception(failure)  # noqa: E731
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, take)

        threading.Thread(target=run, name="patience", daemon=True).start()
        try:
            async with asyncio.timeout(self._limit):
                return await asyncio.shield(done)
        except TimeoutError:
            raise TookTooLong from None
        finally:
            if not done.done():
                given_up = True
                self._hanging += 1
