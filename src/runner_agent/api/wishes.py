"""Wishes at the door: held back until the agent has recovered, refused once it goes down."""

import asyncio
from collections.abc import Mapping

from google.protobuf.message import Message

from runner_agent.api.codec import Sendable
from runner_agent.api.rpc import Call, Method, StreamMethod
from runner_agent.model.errors import Unavailable

ALWAYS_TAKEN = frozenset({"StopService", "StopTaskExecution", "UpdateService", "CreateEnvironmentLogsToken"})
"""What a stop command may ask for, what an agent that goes down does anyhow, and what changes nothing."""


class Wishes:
    """Whether what changes something is taken now. Questions always pass."""

    def __init__(self) -> None:
        """Held back."""
        self._decided = asyncio.Event()
        self._refused = False

    def take(self) -> None:
        """Recovery is complete. Before, a wish could be mistaken for one of an earlier boot (rule 6.6)."""
        self._decided.set()

    def refuse(self) -> None:
        """The agent goes down: nothing is promised that cannot be kept."""
        self._refused = True
        self._decided.set()

    def guard(self, methods: Mapping[str, Method]) -> dict[str, Method]:
        """The same methods, by path, with this in front of those that change something."""
        return {path: self._guarded(path.rpartition("/")[2], method) for path, method in methods.items()}

    def _guarded(self, name: str, method: Method) -> Method:
        if isinstance(method, StreamMethod) or method.reads or name in ALWAYS_TAKEN:
            return method

        async def respond(message: Message, call: Call) -> Sendable:
            await self._decided.wait()
            if self._refused:
                raise Unavailable(f"{name} is refused: the agent is stopping; ask again once it is back")
            return await method.handler(message, call)

        return method._replace(handler=respond)
