"""Forgetting in time: finished executions go when they are too many or too old, and their logs with them
(rule 4.9).
"""

import asyncio
from datetime import timedelta

import structlog

from runner_agent.control.pruning import prune
from runner_agent.daemon.parts import Parts
from runner_agent.model.errors import RunnerError

EVERY = 600.0
"""Seconds between two looks."""

log = structlog.get_logger("housekeeping")


class Housekeeping:
    """Looks once at start and then now and again: what is kept a little longer does no harm."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.tidy()
            except (RunnerError, OSError) as error:
                log.warning("cannot forget old executions; trying again later", error=str(error))
            await asyncio.sleep(EVERY)

    async def tidy(self) -> None:
        """Once."""
        store, settings, clock = self._parts.store, self._parts.settings, self._parts.clock
        gone = await prune(store, clock, settings.executions_kept, timedelta(seconds=settings.executions_age))
        for execution in gone.executions:
            self._parts.logs.forget_execution(execution)
        for step in gone.steps:
            self._parts.logs.forget_run(step)
