"""Asks the agent what processes use while somebody looks, and turns processor time into a share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runner_agent.cli.board import Board, Used
from runner_agent.client.errors import ClientError

if TYPE_CHECKING:
    from runner_agent.client.agent import Agent
    from runner_agent.client.agent_messages import LiveNow, Usage

EVERY = 2.0
"""Seconds. Measuring costs the agent some 50 microseconds a process."""

Key = str | tuple[str, str]


class Meter:
    """A thread that keeps `board.used` new until `close`."""

    def __init__(self, agent: Agent, board: Board) -> None:
        """Asks nothing yet."""
        self._agent, self._board = agent, board
        self._closed = threading.Event()
        self._before: dict[Key, tuple[float, float]] = {}

    def open(self) -> None:
        """Begins."""
        threading.Thread(target=self._work, name="meter", daemon=True).start()

    def close(self) -> None:
        """Asks no more."""
        self._closed.set()

    def take(self, live: LiveNow, at: float) -> None:
        """What was measured at this monotonic second."""
        used: dict[Key, Used] = {}
        spent: dict[Key, tuple[float, float]] = {}
        for key, usage in _usages(live):
            seconds = usage.get("cpuSeconds", 0.0)
            spent[key] = (at, seconds)
            used[key] = Used(
                self._share(key, at, seconds),
                int(usage.get("memoryBytes", 0)),
                tuple(usage.get("ports", [])),
                int(usage.get("memoryMaxBytes", 0)),
            )
        self._before = spent
        self._board.used = used
        self._board.outdated = outdated(live)

    def _share(self, key: Key, at: float, seconds: float) -> float | None:
        was, before = self._before.get(key, (at, seconds))
        # A new run counts from zero.
        return None if at <= was else 100 * max(seconds - before, 0.0) / (at - was)

    def _work(self) -> None:
        while not self._closed.is_set():
            try:
                self.take(self._agent.live(usage=True), time.monotonic())
            except ClientError:  # the watch tells when the agent is gone
                self.take({"services": [], "steps": []}, time.monotonic())
            self._closed.wait(EVERY)


def outdated(live: LiveNow) -> frozenset[Key]:
    """The services and steps whose live run is of an older definition (rule 2.10)."""
    services = {each.get("serviceId", "") for each in live["services"] if each.get("previousDefinition")}
    steps = {
        (execution, step.get("reference", ""))
        for step in live["steps"]
        if step.get("previousDefinition")
        for execution in step.get("executionIds", [])
    }
    return frozenset(services | steps)


def _usages(live: LiveNow) -> Iterator[tuple[Key, Usage]]:
    for service in live["services"]:
        if usage := service.get("usage"):
            yield service.get("serviceId", ""), usage
    for step in live["steps"]:
        if usage := step.get("usage"):
            for execution in step.get("executionIds", []):
                yield (execution, step.get("reference", "")), usage
