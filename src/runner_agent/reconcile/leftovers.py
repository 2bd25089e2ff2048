"""Runs that no record knows: of an agent that did not live to clean up, or of a state that was lost. Ended if
they live, and cleared away, once recovery is complete.
"""

import asyncio
from collections.abc import Callable, Collection
from itertools import count

import structlog

from runner_agent.executors.base import Executor
from runner_agent.kit.workqueue import Backoff
from runner_agent.model.errors import RunnerError
from runner_agent.model.ids import RunId
from runner_agent.model.runs import Handle
from runner_agent.reconcile.means import Means

log = structlog.get_logger("leftovers")


class Leftovers:
    """`known` tells the runs that may exist by the records."""

    def __init__(self, means: Means, known: Callable[[], Collection[RunId]]) -> None:
        self._executors, self._evidence, self._known = means.executors, means.evidence, known

    async def clear(self) -> None:
        """What cannot be cleared now, as without a launcher, is told of and cleared later."""
        pause, told = Backoff(), ""
        for failures in count(1):
            try:
                await self._clear()
            except (RunnerError, OSError) as error:
                if told != (told := str(error)):
                    log.warning("cannot clean up after runs that no record knows; trying again", error=told)
                await asyncio.sleep(pause.delay(failures))
            else:
                return

    async def _clear(self) -> None:
        # First what is seen, then what is known: a run is on record before anybody can see it.
        seen: list[tuple[RunId, Executor, Handle]] = [
            (handle.run_id, executor, handle)
            for executor in self._executors.all()
            for handle in await executor.survey()
        ]
        traces = {*self._evidence.traces(), *(run_id for run_id, _, _ in seen)}
        for executor in self._executors.all():
            traces |= {*await executor.traces()}
        unknown = traces.difference(self._known())
        for run_id, executor, handle in seen:
            if run_id in unknown:
                await _end(executor, handle)
        for run_id in sorted(unknown):
            for executor in reversed(self._executors.all()):
                await executor.clean(run_id)
            self._evidence.clean(run_id)


async def _end(executor: Executor, handle: Handle) -> None:
    processes = await executor.survivors(handle)
    if processes:
        named = ", ".join(f"{one.pid} ({one.command})" for one in processes)
        log.warning("killing a run that no record knows", run_id=handle.run_id, processes=named)
    await executor.kill(handle)
    await executor.wait_empty(handle)
