"""The containers that this agent made, known by id, or by mark and name where an id was not written down."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

import structlog

from runner_agent.executors.docker_config import ENVIRONMENT, RUN, is_ours
from runner_agent.executors.docker_engine import DockerEngine
from runner_agent.kit.reading import value_of
from runner_agent.launcher.attend_container import PLAN
from runner_agent.launcher.engine import Away, Engine, Refusal
from runner_agent.model.errors import CannotStart, Unavailable
from runner_agent.model.ids import RunId

ASK_WITHIN = 5.0
"""Seconds for an Engine to tell, when the agent starts, what an agent before left there."""
PAUSE, LONGEST = 0.1, 10.0
log = structlog.get_logger("docker")


class OwnContainers:
    """Those of one environment. A name alone may be another's by now."""

    def __init__(self, engine: DockerEngine, environment_id: str, folder: Callable[[RunId], Path]) -> None:
        """`folder` is where a run's records are. Asks nobody yet."""
        self._engine, self._environment_id, self._folder = engine, environment_id, folder

    def seen(self) -> set[RunId]:
        """The runs whose containers the Engine has now; none if it does not tell soon. Blocks."""
        filters = json.dumps({"label": [f"{ENVIRONMENT}={self._environment_id}"]})
        try:
            listed = Engine(self._engine.address).fetch(
                "GET", f"/containers/json?{urlencode({'all': 1, 'filters': filters})}", within=ASK_WITHIN
            )
            those = cast("list[dict[str, dict[str, str]]]", value_of(listed))
            found = [(one["Names"], RunId(one["Labels"][RUN])) for one in those]
            return {run_id for names, run_id in found if is_ours(names, run_id)}
        except (CannotStart, Away, Refusal, ValueError, LookupError, TypeError):
            return set()

    async def end(self, run_id: RunId) -> None:
        """Until it does not run, however long the Engine is away: what it holds is not to be forgotten."""
        pause = PAUSE
        while True:
            try:
                if not [one for one in await self._ids(run_id) if await self._engine.kill(one)]:
                    return
            except (Unavailable, CannotStart) as error:
                log.warning("cannot end a container yet; trying again", run=run_id, error=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST)

    async def remove(self, run_id: RunId) -> None:
        """With all that is in it. Raises Unavailable, CannotStart."""
        for one in await self._ids(run_id):
            await self._engine.remove(one)

    async def _ids(self, run_id: RunId) -> list[str]:
        try:
            plan = cast("dict[str, object]", value_of((self._folder(run_id) / PLAN).read_bytes()))
            return [str(plan["id"])]
        except (OSError, ValueError, LookupError, TypeError):
            listed = await self._engine.containers(f"{RUN}={run_id}")
            return [str(one.get("Id")) for one in listed if is_ours(one.get("Names"), run_id)]
