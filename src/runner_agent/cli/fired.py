"""What an `up` has started by firing events, whether all of it is done, and what of it failed."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner_agent.cli.board import Board, Row
from runner_agent.cli.words import FINISHED, execution_phase

if TYPE_CHECKING:
    from runner_agent.client.agent import Agent
    from runner_agent.client.agent_messages import FireResult

UP = frozenset({"RUNNING", "STOPPED", "FAILED"})
"""Phases in which nothing more is to be waited for of a service."""
PROVES_UP = 1.0
"""Seconds that a service without `ready` must be RUNNING before it counts as up: it is RUNNING as soon as its
process exists, and a mistaken command ends within a moment.
"""


@dataclass(slots=True)
class Fired:
    """Executions and services by id, with their references."""

    tasks: dict[str, str] = field(default_factory=dict[str, str])
    services: dict[str, str] = field(default_factory=dict[str, str])
    skipped: list[str] = field(default_factory=list[str])
    _wishes: dict[str, int] = field(default_factory=dict[str, int])
    """Of each service the version of its spec once it was fired: what was seen before says nothing."""

    def add(self, result: FireResult, agent: Agent) -> None:
        """What one firing started, and what it left as it was and still runs. Raises ClientError."""
        firing = result.get("firing", {})
        # Rule 2.11: a service without commands fails nothing.
        refused = (each for each in result.get("skipped", []) if each.get("kind") != "service")
        self.skipped += [each.get("reference", "") for each in refused]
        for started in firing.get("executions", []):
            self.tasks[started.get("id", "")] = started.get("reference", "")
        for started in firing.get("services", []):
            self.services[started.get("id", "")] = started.get("reference", "")
        for kept in result.get("kept", []):
            key, name = kept.get("id", ""), kept.get("reference", "")
            if "taskId" not in kept:
                self.services[key] = name
            elif execution_phase(agent.get_execution(key)) not in FINISHED:
                self.tasks[key] = name
        fresh = self.services.keys() - self._wishes.keys()
        for service in agent.services() if fresh else ():
            if service["id"] in fresh:
                self._wishes[service["id"]] = int(service.get("spec", {}).get("specVersion", "0"))

    def done(self, board: Board, gone: Collection[str]) -> bool:
        """Whether every task has ended, and every service is up or has ended."""
        tasks = all(
            key in gone or (key in board.tasks and board.tasks[key].phase in FINISHED) for key in self.tasks
        )
        return tasks and all(
            key in gone or self._came_to_rest(key, board.services.get(key)) for key in self.services
        )

    def failures(self, board: Board) -> list[str]:
        """The references of the tasks that did not succeed and of the services that failed."""
        failed = [
            name
            for key, name in self.tasks.items()
            if key not in board.tasks or board.tasks[key].phase != "SUCCEEDED"
        ]
        failed += [
            name
            for key, name in self.services.items()
            if key not in board.services or board.services[key].phase not in {"RUNNING", "STOPPED"}
        ]
        return list(dict.fromkeys(self.skipped + failed))

    def _came_to_rest(self, key: str, row: Row | None) -> bool:
        return (
            row is not None
            and row.spec_version >= self._wishes.get(key, 0)
            and row.settled
            and row.phase in UP
            and (row.phase != "RUNNING" or row.has_ready or time.monotonic() - row.since >= PROVES_UP)
        )
