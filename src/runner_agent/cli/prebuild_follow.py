"""Following a prebuild to its end: each change of phase as a line, Ctrl-C as a wish to end it, an agent that
is killed and restarted meanwhile waited for.
"""

from __future__ import annotations

import queue
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from runner_agent.cli.exits import FAILED, UNREACHABLE, Quit
from runner_agent.cli.prebuild_reports import plain
from runner_agent.cli.terminal import note, paint, phase_colour
from runner_agent.client.errors import AgentUnreachable, ApiError

if TYPE_CHECKING:
    from runner_agent.client.agent import Agent
    from runner_agent.client.agent_messages import Prebuild, PrebuildItem

TICK = 0.2
"""Seconds between two looks."""
RETURN_WITHIN = 60.0
"""Seconds an agent that went away may take to come back."""
STOPPING = {
    "done": "all done; stopping services",
    "timed out": "out of time; stopping everything",
    "cancelled": "cancelled; stopping everything in order, Ctrl-C again kills it",
}


class Signals:
    """SIGINT and SIGTERM, from now on, as a queue."""

    def __init__(self) -> None:
        """Takes them over."""
        self._told: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda told, _: self._told.put(told))

    def next(self, timeout: float) -> int | None:
        """The next one, None if none comes within `timeout` seconds."""
        try:
            return self._told.get(timeout=timeout)
        except queue.Empty:
            return None


class Follower:
    """Of one prebuild. `find` gives the agent anew: one that was restarted may have another address."""

    def __init__(self, find: Callable[[], Agent], id_: str, signals: Signals) -> None:
        """Nothing is told yet."""
        self._find, self._id, self._signals = find, id_, signals
        self._agent = find()
        self._told: dict[tuple[str, str, str], str] = {}
        self._stage = ""
        self._cancelled = 0

    def follow(self, gone: Callable[[], str | None]) -> Prebuild:
        """Until it has ended. `gone` tells why the agent will not come back, None while it may.

        Raises Quit.
        """
        lost_at: float | None = None
        while True:
            try:
                now = self._agent.get_prebuild(self._id)
                lost_at = None
            except AgentUnreachable as error:
                if lost_at is None:
                    lost_at = time.monotonic()
                    note("The agent went away; waiting for it to come back.")
                self._come_back(lost_at, gone, str(error))
                continue
            except ApiError as error:
                if error.code == "not_found":
                    raise Quit(
                        FAILED, "The prebuild has ended with its agent, or with the machine."
                    ) from None
                raise
            self._tell(now)
            if now.get("stage") == "ended":
                return now
            if (number := self._signals.next(TICK)) is not None:
                self._interrupt(number)

    @property
    def cancelled(self) -> bool:
        """By a signal to us."""
        return self._cancelled > 0

    def _come_back(self, lost_at: float, gone: Callable[[], str | None], reason: str) -> None:
        if (why := gone()) is not None:
            raise Quit(FAILED, why)
        late = time.monotonic() - lost_at > RETURN_WITHIN
        if late or self._signals.next(TICK) is not None:
            raise Quit(UNREACHABLE, f"{reason} The prebuild goes on if the agent comes back.")
        try:
            self._agent = self._find()
        except AgentUnreachable:
            pass

    def _interrupt(self, number: int) -> None:
        self._cancelled += 1
        hasten = self._cancelled > 1 and number == signal.SIGINT
        if hasten:
            note("Killing everything.")
        try:
            self._agent.cancel_prebuild(self._id, now=hasten)
        except AgentUnreachable:
            pass  # the next look finds out

    def _tell(self, now: Prebuild) -> None:
        for item in now.get("items", []):
            self._tell_item(item)
        stage = now.get("stage", "")
        if stage != self._stage and stage == "stopping":
            note(STOPPING.get(now.get("ending", ""), "stopping everything"))
        self._stage = stage

    def _tell_item(self, item: PrebuildItem) -> None:
        key = item.get("kind", ""), item.get("event", ""), item.get("reference", "")
        phase = item.get("phase", "")
        if not phase or self._told.get(key) == phase or (self._stage == "stopping" and key[0] == "service"):
            return
        if key[0] == "service" and phase == "STOPPED" and key not in self._told:
            return  # about to be started
        self._told[key] = phase
        message = item.get("message", "")
        tail = f": {plain(message)}" if message and phase in {"FAILED", "STOPPED"} else ""
        note(f"{key[1]} {key[0]} {key[2]}: {paint(phase, phase_colour(phase), sys.stderr)}{tail}")
