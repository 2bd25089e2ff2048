"""What happens from now on: the watch says that something did, the timeline says what.

The timeline is durable, so an agent that is restarted has told everything once it is back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from runner_agent.client.agent import Agent
from runner_agent.client.errors import AgentUnreachable
from runner_agent.client.references import is_id
from runner_agent.client.watch import RETRY, watching

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import TimelineEntry

PATIENCE = 30.0
"""Seconds an agent that went away has to come back."""


def news(
    agent: Agent,
    name: str = "",
    tail: int = 0,
    *,
    on_loss: Callable[[], object] = lambda: None,
    on_return: Callable[[], object] = lambda: None,
) -> Generator[TimelineEntry]:
    """The last `tail` entries, then each one as it comes, oldest first; of what goes by `name`, a
    reference or an id, if there is one.

    `on_loss` and `on_return` are told of an agent that goes away and comes back. Raises AgentUnreachable when
    it stays away, or was never there; and ApiError.
    """
    past = latest(agent, name, max(tail, 1))
    seen = max((place(entry) for entry in past), default=0)
    yield from past[len(past) - tail :] if tail else ()
    lost_at = 0.0
    while True:
        try:
            with watching(agent.transport) as watch:
                if lost_at:
                    lost_at = 0.0
                    on_return()
                while True:
                    fresh = since(agent, name, seen)
                    for entry in fresh:
                        seen = place(entry)
                        yield entry
                    watch.next()
        except AgentUnreachable:
            now = time.monotonic()
            if not lost_at:
                lost_at = now
                on_loss()
            if now - lost_at > PATIENCE:
                raise
            time.sleep(RETRY)


def latest(agent: Agent, name: str, count: int) -> list[TimelineEntry]:
    """The last so many, oldest first."""
    found: list[TimelineEntry] = []
    for entry in _timeline(agent, name):
        if len(found) == count:
            break
        found.append(entry)
    return found[::-1]


def since(agent: Agent, name: str, seen: int) -> list[TimelineEntry]:
    """Those after a place, oldest first."""
    found: list[TimelineEntry] = []
    for entry in _timeline(agent, name):
        if place(entry) <= seen:
            break
        found.append(entry)
    return found[::-1]


def _timeline(agent: Agent, name: str) -> Iterator[TimelineEntry]:
    return agent.timeline(id_=name) if is_id(name) else agent.timeline(name)


def place(entry: TimelineEntry) -> int:
    """Where it stands in the timeline."""
    return int(entry.get("place", "0"))
