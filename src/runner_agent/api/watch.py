"""WatchEvents: what changed in the environment, the latest only, with signs of life in between."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence

from runner_agent.api.backend import Backend
from runner_agent.api.rpc import Call
from runner_agent.api.wire_in import Request
from runner_agent.api.wire_out import Tree
from runner_agent.model.errors import InvalidArgument, Unavailable, Violation
from runner_agent.model.records import Key, Kind
from runner_agent.store.base import Change

HEARTBEAT = 15.0
"""Seconds without an event before a sign of life, for clients that do not say what they bear."""
QUICKEST = 0.2
"""Seconds: no client needs signs of life closer together."""

AT_ONCE = 64
"""Events that go out as one write. What happens in one moment is told in one, and wakes a watcher once."""

_TYPES = {
    Kind.SERVICE: "RESOURCE_TYPE_SERVICE",
    Kind.TASK: "RESOURCE_TYPE_TASK",
    Kind.EXECUTION: "RESOURCE_TYPE_TASK_EXECUTION",
}


async def watch_events(backend: Backend, request: Request, call: Call) -> AsyncGenerator[Sequence[Tree]]:
    """The scope is this environment. Raises InvalidArgument, NotFound."""
    if request.WhichOneof("scope") == "organization":
        message = "cannot be watched here: this agent serves one environment; name it or leave the scope out"
        raise InvalidArgument(Violation("organization", message))
    backend.check_environment(request.environment_id)
    if request.resource_type_filters:
        raise InvalidArgument(
            Violation("resource_type_filters", "goes with the organization scope only; leave it out")
        )
    third = HEARTBEAT if call.read_timeout is None else call.read_timeout / 3
    return _events(backend, max(QUICKEST, min(HEARTBEAT, third)))


async def _events(backend: Backend, heartbeat: float) -> AsyncGenerator[Sequence[Tree]]:
    """Begins with a sign of life: whoever gets after that misses nothing, since the watch stands."""
    sign_of_life = (_event("UPDATE_STATUS", "RESOURCE_TYPE_ENVIRONMENT", backend.outward.environment_id),)
    watch = backend.store.watch()
    try:
        yield sign_of_life
        while True:
            try:
                async with asyncio.timeout(heartbeat):
                    changes = await watch.changes()
            except TimeoutError:
                yield sign_of_life
                continue
            if not changes:
                raise Unavailable("the agent is stopping: watch again when it is back")
            told = [event for key, change in changes.items() for event in _told(key, change)]
            for first in range(0, len(told), AT_ONCE):
                yield told[first : first + AT_ONCE]
    finally:
        watch.close()


def _told(key: Key, change: Change) -> Iterator[Tree]:
    """Nothing of what is only the agent's own: steps, firings, and runs that look the same from outside."""
    resource_type = _TYPES.get(key.kind)
    if resource_type is None:
        return
    if change.deleted:
        yield _event("DELETE", resource_type, key.id)
    elif change.created:
        yield _event("CREATE", resource_type, key.id)
    else:
        if change.spec_moved:
            yield _event("UPDATE", resource_type, key.id)
        if change.status_moved:
            yield _event("UPDATE_STATUS", resource_type, key.id)


def _event(operation: str, resource_type: str, id_: str) -> Tree:
    return {
        "operation": f"RESOURCE_OPERATION_{operation}",
        "resource_type": resource_type,
        "resource_id": id_,
    }
