"""Waiting for a change by WatchEvents: subscribe, look, and look again when told; never by polling.

There is no replay, so the look comes after the subscription stands. An agent that is restarted keeps its runs
(it adopts them), so a watch that breaks is taken up again for a few seconds before the agent counts as gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from runner_agent.client.errors import AgentLeft, AgentUnreachable, WaitTimedOut
from runner_agent.client.transport import SILENCE, Stream, Transport, decoded

if TYPE_CHECKING:
    from runner_agent.client.messages import Event

COMEBACK = 3.0
"""Seconds an agent that went away has to come back."""
RETRY = 0.1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pending:
    """Not yet: look again at the next change."""


class Everything:
    """The container that every id is in."""

    def __contains__(self, item: object) -> bool:
        """Yes."""
        return True


class Watch:
    """A subscription that stands: what changes from now on is told."""

    def __init__(self, stream: Stream) -> None:
        """Made by `watching`."""
        self._stream = stream

    def next(self, timeout: float | None = None) -> Event:
        """The next event, heartbeats too. Raises TimeoutError after `timeout` seconds, AgentUnreachable, and
        AgentLeft where the agent ends it in order.
        """
        patience = SILENCE if timeout is None else min(SILENCE, timeout)
        self._stream.patience(max(patience, 0.001))
        try:
            line = self._stream.line()
        except TimeoutError:
            if patience < SILENCE:
                raise
            raise AgentUnreachable(f"The agent has said nothing for {SILENCE:.0f} s.") from None
        if not line.endswith(b"\n"):
            raise AgentLeft("The agent ended the watch: it is stopping or being restarted.")
        return cast("Event", decoded(line))

    def abort(self) -> None:
        """End it from another thread."""
        self._stream.abort()


@contextmanager
def watching(transport: Transport) -> Generator[Watch]:
    """Subscribe to all changes of the environment. Once the block runs, none is missed."""
    headers = {"Content-Type": "application/json", "Accept": "application/jsonl"}
    path = "/gitpod.v1.EventService/WatchEvents"
    with transport.stream("POST", path, headers, b'{"environmentId":""}') as stream:
        watch = Watch(stream)
        watch.next()  # the heartbeat that says the subscription stands
        yield watch


def wait_for(
    transport: Transport,
    look: Callable[[], T | Pending],
    ids: Container[str] = Everything(),
    timeout: float | None = None,
) -> T:
    """What `look` finds once it is not Pending; it looks at first and after each change of one of `ids`.

    `timeout` is in seconds. Raises WaitTimedOut, AgentUnreachable, and what `look` raises.
    """
    return _attend(transport, lambda _: look(), ids, timeout)


def wait_for_each(
    transport: Transport,
    looks: Mapping[str, Callable[[], T | Pending]],
    timeout: float | None = None,
    pace: float | None = None,
) -> Mapping[str, T]:
    """By the id that a look is about, what it finds once it is not Pending: of all, or of those that came
    within `timeout` seconds. One subscription serves all; each looks at first and when its id changes; and
    every `pace` seconds, for what no event tells of.

    Raises AgentUnreachable, and what a look raises.
    """
    found: dict[str, T] = {}

    def look(changed: str) -> bool | Pending:
        for key in [changed] if changed else looks:
            if key not in found and not isinstance(now := looks[key](), Pending):
                found[key] = now
        return True if len(found) == len(looks) else Pending()

    with suppress(WaitTimedOut):
        _attend(transport, look, looks, timeout, pace)
    return found


def _attend(
    transport: Transport,
    look: Callable[[str], T | Pending],
    ids: Container[str],
    timeout: float | None,
    pace: float | None = None,
) -> T:
    """`look` is told the id that changed, "" for any of them: at first, after a gap, and at each `pace`."""
    deadline = None if timeout is None else time.monotonic() + timeout
    connected = False
    lost_at = 0.0
    while True:
        try:
            with watching(transport) as watch:
                connected, lost_at = True, 0.0
                changed = ""
                while isinstance(found := look(changed), Pending):
                    changed = _next_of(watch, ids, deadline, pace)
                return found
        except AgentUnreachable:
            now = time.monotonic()
            lost_at = lost_at or now
            if not connected or now - lost_at > COMEBACK:
                raise
            if deadline is not None and now > deadline:
                raise WaitTimedOut("timed out") from None
            time.sleep(RETRY)


def _next_of(watch: Watch, ids: Container[str], deadline: float | None, pace: float | None) -> str:
    """The one of `ids` that the next event is of, "" once `pace` seconds have gone by."""
    due = None if pace is None else time.monotonic() + pace
    while True:
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            raise WaitTimedOut("timed out")
        ends = [each for each in (deadline, due) if each is not None]
        try:
            event = watch.next(max(min(ends) - now, 0) if ends else None)
        except TimeoutError:
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimedOut("timed out") from None
            return ""
        changed = event.get("resourceId", "")
        if changed in ids:
            return changed
