"""Reconciling executions: one pure step of `core.execution` per look, written with all it touches in one
write.
"""

from collections.abc import Sequence
from functools import partial
from typing import Generic

from runner_agent.core import execution as rules
from runner_agent.core.execution import World
from runner_agent.kit.clock import Clock
from runner_agent.model.records import Execution, Key, Record, Service, Step
from runner_agent.model.runs import Moment
from runner_agent.store.base import R, Reader, Store, Transaction


class Executions:
    """Advances executions."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def reconcile(self, key: Key) -> None:
        """Look at one execution, and do for it all that can be done now.

        Looks before it writes: most looks find nothing to do, and only an execution's end and a service's
        wish have to
        be on disk before anybody may see them (rule 1.5).
        """
        durable = False
        while moved := self._moved(self._store, key):
            durable = durable or _weighty(moved)
            if await self._store.write(
                partial(self._write, key=key, durable=durable), durable=durable, hidden=durable
            ):
                return
            durable = True  # between looking and writing it came to more

    def _write(self, tx: Transaction, *, key: Key, durable: bool) -> bool:
        moved = self._moved(tx, key)
        if _weighty(moved) and not durable:
            return False
        for record in moved:
            tx.put(record)
        return True

    def _moved(self, reader: Reader, key: Key) -> list[Record]:
        """The records that are to change."""
        execution = reader.get(Execution, key.id)
        if execution is None or execution.status.phase.terminal:
            return []
        world = World(_Lookup(reader, Step), _Lookup(reader, Service))
        after, moved = rules.advance(execution, world, Moment.of(self._clock))
        return [after, *moved] if after != execution else [*moved]


def _weighty(moved: Sequence[Record]) -> bool:
    """It must survive a power loss: a wish, or an execution's end."""
    return any(
        isinstance(one, Service) or (isinstance(one, Execution) and one.status.phase.terminal)
        for one in moved
    )


class _Lookup(Generic[R]):
    """The records of one kind, read when asked for."""

    def __init__(self, reader: Reader, kind: type[R]) -> None:
        self._reader, self._kind = reader, kind

    def get(self, id_: str, /) -> R | None:
        return self._reader.get(self._kind, id_)
