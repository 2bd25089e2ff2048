"""Clears away the folders of runs that are over, on a thread, and many at a time where many end.

Where a filesystem tells its disk of every block that it frees, to remove a folder takes 0.2 to 2 ms. Nobody
is to wait for that: not the loop, and not a hundred runs that end together.
"""

import asyncio
import shutil
from collections.abc import Sequence

from runner_agent.launcher import records

REST = 0.05
"""Seconds in which folders gather where many go: each time a thread wants the interpreter, a busy loop has to
lend it.
"""


class Sweeper:
    """Belongs to the loop that it is first used on."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []
        self._sweeping: asyncio.Task[None] | None = None

    async def clear(self, folder: str) -> None:
        """Return once it is gone, with all that is in it; what cannot be removed stays."""
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()
        self._waiting.append((folder, gone))
        if self._sweeping is None:
            self._sweeping = loop.create_task(self._sweep(), name="sweeper")
        await gone

    async def _sweep(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                cleared = asyncio.to_thread(_clear, [folder for folder, _ in batch])
                (error,) = await asyncio.gather(cleared, return_exceptions=True)
                for _, gone in batch:
                    if gone.done():  # who waited has gone
                        continue
                    if error is None:
                        gone.set_result(None)
                    else:
                        gone.set_exception(error)
                if self._waiting:  # many end: more will follow
                    await asyncio.sleep(REST)
        finally:
            self._sweeping = None


def _clear(folders: Sequence[str]) -> None:
    for folder in folders:
        try:
            records.clear(folder)
        except OSError:  # more than records
            shutil.rmtree(folder, ignore_errors=True)
