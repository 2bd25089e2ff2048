"""Our border before handlers that fail as told: errors which a healthy agent never has, and calls counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runner_agent.api.app import Health, build_app
from runner_agent.api.auth import Guard
from runner_agent.api.errors import RpcError
from runner_agent.api.listeners import bind_tcp
from runner_agent.api.rpc import Call, Events, Method, StreamMethod, UnaryMethod
from runner_agent.api.schema import message_type
from runner_agent.api.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

TOKEN = "t0ken"
ENVIRONMENT = "0199e000-0000-7000-8000-0000000000ee"
SERVICE = "0199a000-0000-7000-8000-000000000001"

GetServiceRequest = message_type("gitpod.v1.GetServiceRequest")
GetServiceResponse = message_type("gitpod.v1.GetServiceResponse")
WatchEventsRequest = message_type("gitpod.v1.WatchEventsRequest")
WatchEventsResponse = message_type("gitpod.v1.WatchEventsResponse")


class Border:
    """What the next calls of GetService meet is in `troubles`: an error each, then none."""

    def __init__(self) -> None:
        self.troubles: list[RpcError] = []
        self.asked = 0
        self.slow = False
        self.cancelled = threading.Event()
        self.stream_ended = threading.Event()
        self.address = ""
        self.started = threading.Event()
        self._closing = asyncio.Event()
        self.stop: Callable[[], object] = bool

    async def get_service(self, _: Message, __: Call) -> Message:
        """As told."""
        self.asked += 1
        if self.troubles:
            raise self.troubles.pop(0)
        try:
            if self.slow:
                await self._closing.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return GetServiceResponse(service={"id": SERVICE, "environment_id": ENVIRONMENT})

    async def watch_events(self, _: Message, __: Call) -> Events:
        """One event, then silence."""
        return self._events()

    async def _events(self) -> Events:
        try:
            yield [WatchEventsResponse(operation="RESOURCE_OPERATION_UPDATE", resource_id=SERVICE)]
            await asyncio.Event().wait()
        finally:
            self.stream_ended.set()

    def serve(self) -> None:
        """In this thread, until `stop` is called in another."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        closing = self._closing = asyncio.Event()
        methods: dict[str, Method] = {
            "/gitpod.v1.EnvironmentAutomationService/GetService": UnaryMethod(
                GetServiceRequest, self.get_service, reads=True
            ),
            "/gitpod.v1.EventService/WatchEvents": StreamMethod(WatchEventsRequest, self.watch_events),
        }
        guard = Guard(TOKEN, frozenset(), time.monotonic)
        app = build_app(methods, guard, Health(lambda: True), closing, {})
        listening = bind_tcp("127.0.0.1", 0)
        self.address = f"127.0.0.1:{listening.getsockname()[1]}"
        server = Server(app, [listening], closing)
        loop = asyncio.get_running_loop()
        self.stop = lambda: loop.call_soon_threadsafe(server.stop)
        self.started.set()
        await server.serve()
        self.stop = bool


@contextmanager
def serving() -> Generator[Border]:
    """A border on a free port."""
    border = Border()
    thread = threading.Thread(target=border.serve)
    thread.start()
    assert border.started.wait(60)
    try:
        yield border
    finally:
        border.stop()
        thread.join(60)
    assert not thread.is_alive()
