"""Uvicorn as we need it: sockets of our own, no signals, no polling, a bounded end."""

import asyncio
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from uvicorn.config import Config
from uvicorn.server import Server as UvicornServer

from runner_agent.api.asgi import HEAD_LIMIT, App
from runner_agent.api.connections import KEEP_ALIVE, Connection

GRACE = 2
"""Seconds that answers under way get when the server stops. Streams end themselves, at once."""


class _Uvicorn(UvicornServer):
    """Uvicorn less its signal handlers and its ten looks a second at whether to go on."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.leave = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.leave.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and let in who was accepted: asyncio would lose whom it has half let in."""
        loop = asyncio.get_running_loop()
        for listening in sockets or ():
            loop.remove_reader(listening)
        for _ in range(3):  # turns: its task begins, its protocol is told, and one to spare
            await asyncio.sleep(0)
        await super().shutdown(sockets)


class Server:
    """Serves `app` on listening sockets until told to stop."""

    def __init__(self, app: App, sockets: Sequence[socket.socket], closing: asyncio.Event) -> None:
        """`closing` is set first of all when the server stops: streams watch it and end."""
        config = Config(
            app,
            http=Connection,
            ws="none",
            loop="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            h11_max_incomplete_event_size=HEAD_LIMIT,
            timeout_graceful_shutdown=GRACE,
        )
        self._sockets = list(sockets)
        self._closing = closing
        self._uvicorn = _Uvicorn(config)

    async def serve(self) -> None:
        """Until `stop`; then no longer than GRACE. The sockets are closed at the end."""
        await self._uvicorn.serve(sockets=self._sockets)

    def stop(self) -> None:
        """Accept nothing new, end all streams, finish answers under way."""
        self._closing.set()
        self._uvicorn.leave.set()
