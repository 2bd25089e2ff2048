"""The canary: proof that keys are taken up, and that no look has been under way for longer than it can be.

A key that is no record's goes the way of all keys: it is queued, and a worker takes it up. That one worker of
many stands still does not keep it from coming back, so what the others hold is watched too, from flight to
flight.
"""

from runner_agent.kit.bell import Bell
from runner_agent.kit.workqueue import WorkQueue
from runner_agent.model.records import Key, Kind

CANARY = Key(Kind.FIRING, "")
"""No record's."""

STUCK_AFTER = 20
"""Flights that a worker may be seen at the same look. At one in 15 seconds that is five minutes; the slowest
honest look waits three times half a minute for the launcher. Counted, not timed: a frozen machine is no stuck
worker.
"""


class Canary:
    """One for a queue."""

    def __init__(self, queue: WorkQueue[Key]) -> None:
        self._queue = queue
        self._back = Bell()
        self._seen: dict[tuple[Key, int], int] = {}

    def took_up(self) -> None:
        """For the worker that has its key in hand."""
        self._back.ring()

    async def fly(self) -> tuple[Key, ...]:
        """Return once a worker has taken up the key; gives the keys that others have held for too long."""
        ear = self._back.listen()
        self._queue.add(CANARY)
        await ear.wait()
        held = self._queue.tickets
        self._seen = {look: self._seen.get(look, 0) + 1 for look in held.items() if look[0] != CANARY}
        return tuple(key for (key, _), flights in self._seen.items() if flights > STUCK_AFTER)
