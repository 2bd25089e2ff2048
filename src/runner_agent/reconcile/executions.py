"""Reconciling executions: one pure step of `core.execution` per look, written with all it touches in one
write.
"""

from collections.abc import Sequence
from functools import partial

from runner_agent.core import execution as rules
from runner_agent.core.execution import World
from runner_agent.kit.clock import Clock
from runner_agent.model.plans import ServiceWork, TaskWork
from runner_agent.model.records import Execution, Key, Record, Service, Step
from runner_agent.store.base import Reader, Store, Transaction


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
        world = _world(reader, execution)
        after, world_after = rules.advance(execution, world, self._clock.wall())
        moved: list[Record] = [after] if after != execution else []
        moved += [one for one in world_after.steps.values() if one is not world.steps[one.id]]
        moved += [one for one in world_after.services.values() if one is not world.services[one.id]]
        return moved


def _weighty(moved: Sequence[Record]) -> bool:
    """It must survive a power loss: a wish, or an execution's end."""
    return any(
        isinstance(one, Service) or (isinstance(one, Execution) and one.status.phase.terminal)
        for one in moved
    )


def _world(reader: Reader, execution: Execution) -> World:
    works = [step.work for step in execution.plan.steps()]
    steps = (reader.get(Step, work.step) for work in works if isinstance(work, TaskWork))
    services = (reader.get(Service, work.service_id) for work in works if isinstance(work, ServiceWork))
    return World(
        {step.id: step for step in steps if step}, {service.id: service for service in services if service}
    )
