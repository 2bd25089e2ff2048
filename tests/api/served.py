"""The API on real sockets, and blocking clients beside its loop."""

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from runner_agent.api.listeners import bind_tcp, bind_unix
from runner_agent.api.server import Server
from tests.api.world import AGENT, World

GET_AGENT = f"/{AGENT}/GetAgent"
WATCH = "/gitpod.v1.EventService/WatchEvents"
JSON = {"Content-Type": "application/json"}

T = TypeVar("T")


class Served(World):
    """The API on a unix socket and on TCP."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.unix = bind_unix(path)
        self.tcp = bind_tcp("127.0.0.1", 0)
        self.port: int = self.tcp.getsockname()[1]
        self.server = Server(self.app, [self.unix, self.tcp], self.closing)

        self._connections: list[http.client.HTTPConnection] = []

    def connect_unix(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", timeout=30)
        self._connections.append(connection)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        connection.sock.connect(str(self.path))
        return connection

    def connect_tcp(self) -> http.client.HTTPConnection:
        self._connections.append(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30))
        return self._connections[-1]

    def hang_up(self) -> None:
        """Of all clients."""
        for connection in self._connections:
            connection.close()


@asynccontextmanager
async def serving(world: Served, server: Server | None = None) -> AsyncGenerator[asyncio.Task[None]]:
    """Until the block ends, or it was stopped before."""
    running = server or world.server
    task = asyncio.create_task(running.serve())
    try:
        yield task
    finally:
        world.hang_up()
        running.stop()
        async with asyncio.timeout(30):
            await task
        await world.store.aclose()


async def off_loop(work: Callable[[], T]) -> T:
    """Blocking clients, beside the server's loop."""
    async with asyncio.timeout(20):
        return await asyncio.to_thread(work)


def post(connection: http.client.HTTPConnection, body: bytes = b"{}", **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", GET_AGENT, body, {**JSON, **named})
    response = connection.getresponse()
    return response.status, json.loads(response.read())
