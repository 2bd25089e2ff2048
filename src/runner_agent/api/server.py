"""Uvicorn as we need it: sockets of our own, no signals, no polling, peers known by uid, a bounded end."""

import asyncio
import socket
import struct
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from runner_agent.api.asgi import App
from runner_agent.api.auth import Peer
from runner_agent.api.connect import invalid, refusal

GRACE = 2
"""Seconds that answers under way get when the server stops. Streams end themselves, at once."""
KEEP_ALIVE = 60
"""Seconds an idle connection is kept. Longer than any client keeps one, so that the client closes first."""

_UCRED = struct.Struct("3i")


class _Protocol(H11Protocol):
    """Tells the application whose unix socket it is, and lets it break the connection off."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.app_state = {**self.app_state, "abort": transport.abort}
        connection = transport.get_extra_info("socket")
        if connection.family == socket.AF_UNIX:
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            self.app_state["peer"] = Peer(*_UCRED.unpack(credentials))

    def send_400_response(self, msg: str) -> None:
        """Even to what is not HTTP we answer in JSON."""
        answer = refusal(invalid(msg))
        headers = [(name.encode(), value.encode()) for name, value in answer.headers]
        head = h11.Response(
            status_code=400, headers=[*headers, (b"connection", b"close")], reason=b"Bad Request"
        )
        for event in (head, h11.Data(data=answer.body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Uvicorn(uvicorn.Server):
    """Uvicorn less its signal handlers and its ten looks a second at whether to go on."""

    def __init__(self, config: uvicorn.Config) -> None:
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
        config = uvicorn.Config(
            app,
            http=_Protocol,
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
