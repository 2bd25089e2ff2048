"""What a run that is promised and not started waits for: the last word on it is noted, at a reader's pace."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from runner_agent.kit.bell import Bell
from runner_agent.model.errors import RunnerError

PACE = 0.25
"""Seconds between two notes, however fast the words change (the progress of a pull does)."""
FIRST, LONGEST = 0.1, 10.0
"""Seconds before what could not be done is tried again: doubled, up to the longest."""


class Waiting:
    """To be entered for as long as a run is being started."""

    def __init__(self, note: Callable[[str], Awaitable[object]]) -> None:
        self._note = note
        self._text = self._noted = ""
        self._bell = Bell()
        self._pump: asyncio.Task[None] | None = None  # most runs wait for nothing, and need none
        self._rest = FIRST

    def say(self, text: str) -> None:
        """What it waits for now; "" for nothing."""
        if text != self._text:
            self._text = text
            self._bell.ring()
            if self._pump is None:
                self._pump = asyncio.get_running_loop().create_task(self._go_on(), name="waiting")

    async def once_more(self, why: RunnerError) -> None:
        """It cannot be started now: wait a little, longer each time."""
        self.say(str(why))
        await asyncio.sleep(self._rest)
        self._rest = min(2 * self._rest, LONGEST)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _go_on(self) -> None:
        ear = self._bell.listen()
        while True:
            if self._text != self._noted:
                text = self._text
                with suppress(RunnerError):  # a full disk, say: the next word may find room
                    await self._note(text)
                    self._noted = text
            await asyncio.sleep(PACE)
            if self._text == self._noted:
                await ear.wait()
