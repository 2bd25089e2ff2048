"""Starts of the dev container, made events: each fires postDevcontainerStart, and the first of a boot then
postEnvironmentStart (rule 6.3).

A start is known by container and time of start, whoever reports it: the key of the firing says so, and an
environment that fires the same event joins.
"""

from collections.abc import Awaitable, Callable

import structlog

from runner_agent.control.triggers import PER_BOOT
from runner_agent.executors.devcontainer_watch import DevContainerWatch
from runner_agent.model.phases import Trigger

Fire = Callable[[Trigger], Awaitable[None]]
log = structlog.get_logger("devcontainer")


class DevContainerStarts:
    """Off without a dev container in the settings: then nothing here is known, or fired."""

    def __init__(self, watch: DevContainerWatch | None) -> None:
        self._watch = watch

    async def key(self, event: Trigger) -> str:
        """What makes a firing one that happened already; "" if nothing does."""
        if self._watch is None:
            return ""
        match event:
            case Trigger.POST_DEVCONTAINER_START:
                found = await self._watch.now()
                return "" if found is None else found.start
            case Trigger.POST_ENVIRONMENT_START:
                return PER_BOOT
            case _:
                return ""

    async def watch(self) -> None:
        """Keep knowing the dev container, until cancelled."""
        if self._watch is not None:
            await self._watch.run()

    async def run(self, fire: Fire) -> None:
        """Fire what each start is to fire, until cancelled; `fire` may decline."""
        if self._watch is None:
            return
        last = ""
        ear = self._watch.changed.listen()
        while True:
            found = self._watch.found
            if found is not None and found.start != last:
                last = found.start
                log.info("the dev container runs", name=found.name, user=found.user, folder=found.folder)
                await fire(Trigger.POST_DEVCONTAINER_START)
                await fire(Trigger.POST_ENVIRONMENT_START)
            await ear.wait()
