"""One connection: who its peer is, and how long it may keep us waiting.

Nobody holds a place for ever: a request must be whole within its time, an answer must be taken, and of those
who hold a place without asking anything the one that has been silent longest makes room.
"""

import asyncio
import fcntl
import logging
import resource
import socket
import struct
import sys
import termios
from collections.abc import Callable
from functools import cache
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from runner_agent.api.asgi import HEAR_OUT_TIME, head_too_large
from runner_agent.api.auth import Peer
from runner_agent.api.connect import invalid, refusal
from runner_agent.api.errors import Code, RpcError

KEEP_ALIVE = 60
"""Seconds an idle connection is kept. Longer than any client keeps one, so that the client closes first."""
REQUEST_TIME = 30.0
"""Seconds from the first byte of a request to its last. Four MiB take less over any line an agent is on."""
STALL = 30.0
"""Seconds in which a client that has bytes waiting for it must take some, unless the answer's `patience` is
another.
"""
LINGER = 5.0
"""Seconds to take what is left, and the reason, once it was cut."""
AHEAD = 65536
"""Bytes that may come while an answer goes out."""
WHY = 200
"""Characters of what the parser has to say of bytes that are no request: it may quote them all."""
MOST = 1024
"""Connections at a time, or half of what files the process may open, if that is less."""

_UCRED = struct.Struct("3i")
_COUNT = struct.Struct("i")

log = logging.getLogger(__name__)


class _Joined:
    """What a cycle of uvicorn's writes its answer to: the first of two writes waits for the second."""

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = b""

    def write(self, data: bytes) -> None:
        """The head, then the body, then an end that is empty where the length was told."""
        if self._head == b"":
            self._head = data
        elif self._head is None:
            if data:
                self._transport.write(data)
        else:
            self._flush(data)

    def close(self) -> None:
        """What was written goes out first."""
        if self._head:
            self._flush(b"")
        self._transport.close()

    def is_closing(self) -> bool:
        """Of the transport."""
        return self._transport.is_closing()

    def _flush(self, body: bytes) -> None:
        head, self._head = self._head or b"", None
        self._transport.write(head + body)


@cache
def most_connections() -> int:
    """What this process bears."""
    return min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


class Connection(H11Protocol):
    """Uvicorn's, with a peer, bounds, and JSON for whatever it has to say."""

    _since = 0.0
    _end_timer: asyncio.TimerHandle | None = None  # set once it hangs up
    _request_timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------ coming and going

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._since = self.loop.time()
        self.app_state = {**self.app_state, "abort": transport.abort, "join": self._join}
        connection = transport.get_extra_info("socket")
        if connection.family == socket.AF_UNIX:
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            self.app_state["peer"] = Peer(*_UCRED.unpack(credentials))
        self.timeout_keep_alive_task = self.loop.call_later(KEEP_ALIVE, self.timeout_keep_alive_handler)
        if len(self.connections) > most_connections():
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timers()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        # The state names the connection that names the state, and nobody looks for such circles often.
        del self.app_state["join"]
        if self.scope is not None:  # pyright: ignore[reportUnnecessaryComparison]  # before the first request
            self.scope.get("state", {}).pop("join", None)

    @property
    def idle(self) -> bool:
        """Nothing is being answered."""
        return self.conn.our_state not in {h11.SEND_RESPONSE, h11.SEND_BODY}

    def _make_room(self) -> None:
        """Of the idle the one silent longest goes; if there is none, so do we."""
        others = cast("set[Connection]", self.connections) - {self}
        idle = [one for one in others if one.idle and not one.transport.is_closing()]
        if idle:
            oldest = min(idle, key=lambda one: one._since)  # noqa: SLF001  # our own class
            self.connections.discard(oldest)
            oldest.transport.close()
            return
        text = f"all {most_connections()} connections are in use: close some, or ask again later"
        self._end(RpcError(Code.UNAVAILABLE, text))

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()

    def _join(self) -> None:
        """Of the answer under way, head and body go out as one."""
        self.cycle.transport = _Joined(self.transport)  # type: ignore[assignment]  # as far as a cycle uses it

    # ------------------------------------------------------------ requests that do not come

    def data_received(self, data: bytes) -> None:
        if self._end_timer is None:
            super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        state = self.conn.their_state
        awaited = state is h11.SEND_BODY or (state is h11.IDLE and bool(self.conn.trailing_data[0]))
        if awaited and self._request_timer is None:
            self._request_timer = self.loop.call_later(REQUEST_TIME, self._request_is_late)
        elif not awaited and self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None
        if self.flow.read_paused and state is h11.DONE:
            self._hear_on()

    def _hear_on(self) -> None:
        """The next request is here and this one's answer is not over. Uvicorn would read no more until it is,
        and never learn that the client is gone.
        """
        if len(self.conn.trailing_data[0]) <= AHEAD:
            self.flow.resume_reading()
        elif not self.idle and self.cycle.response_started:
            self.transport.close()

    def _request_is_late(self) -> None:
        text = f"the request was not complete within {REQUEST_TIME:g} s of its beginning: send it faster"
        if self.idle or not self.cycle.response_started:
            self._end(RpcError(Code.DEADLINE_EXCEEDED, text, status=408))
        else:
            self.transport.close()

    # ------------------------------------------------------------ answers that are not taken

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _watch_reader(self) -> None:
        self._reader_timer = self.loop.call_later(self._patience, self._look_at_reader, self._untaken())

    @property
    def _patience(self) -> float:
        return STALL if self.idle else cast("float", self.scope.get("state", {}).get("patience", STALL))

    def _look_at_reader(self, before: int) -> None:
        if self._untaken() < before:
            self._watch_reader()
            return
        self._reader_timer = None
        log.warning("a client is cut off: it has taken nothing for %g s", self._patience)
        state = {} if self.idle else self.scope.get("state", {})
        tell = cast("Callable[[], None] | None", state.get("stalled"))
        if tell is None:
            self.transport.abort()
            return
        self.cycle.keep_alive = False
        self._reader_timer = self.loop.call_later(LINGER, self.transport.abort)
        self.flow.resume_writing()
        tell()

    def _untaken(self) -> int:
        """Bytes that wait for the client, here and in the kernel, which hands them on in great steps."""
        connection = self.transport.get_extra_info("socket")
        (queued,) = _COUNT.unpack(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_COUNT.size)))
        return int(queued) + self.transport.get_write_buffer_size()

    # ------------------------------------------------------------ the end

    def send_400_response(self, msg: str) -> None:
        """Even to what is not HTTP we answer in JSON. Called where h11 has refused what came."""
        refused = sys.exception()
        if isinstance(refused, h11.RemoteProtocolError) and refused.error_status_hint == 431:
            self._end(head_too_large(), hear_out=True)
        else:
            why = str(refused)[:WHY] if refused else msg
            self._end(invalid(f"this is not HTTP/1.1 as it is served here: {why}"), hear_out=True)

    def shutdown(self) -> None:
        if self._end_timer is None:
            super().shutdown()
        else:
            self.transport.abort()

    def _end(self, error: RpcError, *, hear_out: bool = False) -> None:
        """Say why, past the application, and close. With `hear_out` drop what the client still sends, for a
        while: closed with bytes unread, the connection would be reset, and the reason lost.
        """
        if not self.idle:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._forget_timers()
        answer = refusal(error)
        headers = [(name.encode(), value.encode()) for name, value in answer.headers]
        head = h11.Response(status_code=answer.status, headers=[*headers, (b"connection", b"close")])
        try:
            for event in (head, h11.Data(data=answer.body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # an answer has begun: this one would be taken for part of it
            pass
        if hear_out:
            self.transport.write_eof()
            self._end_timer = self.loop.call_later(HEAR_OUT_TIME, self.transport.abort)
        else:
            self.transport.close()

    def _forget_timers(self) -> None:
        for timer in (self._request_timer, self._reader_timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        self._request_timer = self._reader_timer = None
