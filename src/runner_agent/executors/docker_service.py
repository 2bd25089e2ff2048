"""The container that a service's `start` runs in, for its `ready` and `stop`: found by its labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from runner_agent.executors.base import RunRequest
from runner_agent.executors.devcontainer_place import DevContainer, of_container
from runner_agent.executors.docker_config import ENVIRONMENT, REFERENCE, ROLE, RUN, is_ours
from runner_agent.executors.docker_engine import DockerEngine
from runner_agent.model.errors import CannotStart
from runner_agent.model.phases import RunRole


class ServiceContainers:
    """Those of one environment."""

    def __init__(self, engine: DockerEngine, environment_id: str, workspace: Path) -> None:
        """Asks nobody yet."""
        self._engine, self._environment_id, self._workspace = engine, environment_id, workspace

    async def running(self, request: RunRequest) -> DevContainer:
        """The live one of the request's service. Raises CannotStart, Unavailable."""
        labels = {
            ENVIRONMENT: self._environment_id,
            REFERENCE: request.reference,
            ROLE: RunRole.START.value,
        }
        what = "runs"
        for found in await self._engine.containers(*(f"{name}={value}" for name, value in labels.items())):
            run_id = str(cast("Mapping[str, object]", found.get("Labels") or {}).get(RUN, ""))
            if not is_ours(found.get("Names"), run_id):
                continue
            inspected = await self._engine.inspect(str(found.get("Id")))
            if (container := of_container(inspected, self._workspace)) is not None:
                return container
            if found.get("State") == "paused":
                what = "runs: it is paused"
        raise CannotStart(f"no container of {request.reference} {what}")
