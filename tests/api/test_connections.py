"""What one connection may cost: late requests, unread answers, and places held for nothing."""

import asyncio
import contextlib
import json
import logging
import resource
import select
import socket
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import h11
import pytest

from runner_agent.api import connections, logs
from runner_agent.api.asgi import App, Receive, Scope, Send
from runner_agent.api.listeners import bind_tcp
from runner_agent.api.rpc import Call, Events, Rpc, StreamMethod
from runner_agent.api.server import Server
from tests.api.requests import create_service
from tests.api.served import GET_AGENT, JSON, WATCH, Served, off_loop, post
from tests.api.served import serving as wholly_served
from tests.api.stub import WatchEventsRequest, WatchEventsResponse
from tests.api.transcript import envelope, envelopes

SHORT = 0.2
"""Seconds, for bounds whose passing is waited for."""

HEAD = f"POST {GET_AGENT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
WHOLE = f"{HEAD}Content-Length: 2\r\n\r\n{{}}".encode()
CHUNKED = f"POST {GET_AGENT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def raw(served: Served) -> socket.socket:
    sock = served.connect_unix().sock
    assert sock is not None
    return sock


def told(answer: bytes) -> tuple[int, Any]:
    """Of an answer that ends its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)


def read_all(sock: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            found += part
    return found


@pytest.mark.parametrize(
    "begun",
    [b"P", HEAD.encode(), f"{HEAD}Content-Length: 9\r\n\r\n".encode(), WHOLE[:-1], WHOLE + b"P"],
    ids=["first byte", "half a head", "no body", "half a body", "half a second request"],
)
async def test_a_request_that_does_not_come_is_given_up(
    served: Served, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """Slow loris: whatever has begun is complete in time, or the client is told and gone."""
    monkeypatch.setattr(connections, "REQUEST_TIME", SHORT)

    def talk() -> bytes:
        sock = raw(served)
        sock.sendall(begun)
        return read_all(sock)

    answers = await off_loop(talk)
    status, error = told(answers[answers.rindex(b"HTTP/1.1") :])
    assert (status, error["code"]) == (408, "deadline_exceeded")
    assert "not complete within 0.2 s" in error["message"]


async def test_bytes_that_trickle_in_buy_no_time(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIME", SHORT)

    def trickle() -> bytes:
        sock = raw(served)
        for byte in HEAD * 20:  # ten seconds and more
            if select.select([sock], [], [], 0.01)[0]:
                break
            sock.sendall(byte.encode())
        return sock.recv(20)

    assert (await off_loop(trickle)).startswith(b"HTTP/1.1 408 ")


async def test_a_late_body_of_an_answered_request_ends_the_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused by its announced size, it is read on, to keep the connection, but not for ever."""
    monkeypatch.setattr(connections, "REQUEST_TIME", SHORT)

    def talk() -> bytes:
        sock = raw(served)
        sock.sendall(f"{HEAD}Content-Length: 20000000\r\n\r\nbegun".encode())
        return read_all(sock)

    assert (await off_loop(talk)).startswith(b"HTTP/1.1 429 ")


async def test_requests_in_time_leave_nothing_behind(served: Served) -> None:
    """Pipelined, cut anywhere: all are answered, and no timer stands."""
    reader, writer = await asyncio.open_unix_connection(str(served.path))
    stream = WHOLE * 3
    for cut in (1, len(HEAD), len(WHOLE) - 1, len(WHOLE) + 7):
        writer.write(stream[:cut])
        await writer.drain()
        await asyncio.sleep(0)
        writer.write(stream[cut:])
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split()[1]))
    loop: Any = asyncio.get_running_loop()
    kept = [one for one in loop._scheduled if not one.cancelled() and "_late" in repr(one)]
    assert kept == []
    writer.close()


async def test_a_silent_connection_is_closed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it ever asked or not."""
    monkeypatch.setattr(connections, "KEEP_ALIVE", SHORT)

    def talk() -> bytes:
        return read_all(raw(served))

    assert await off_loop(talk) == b""


async def test_who_is_silent_longest_makes_room(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 3)

    def talk() -> None:
        asked = [served.connect_unix() for _ in range(3)]
        for one in asked:
            assert post(one)[0] == 200
        assert post(asked[0])[0] == 200  # not the longest silent any more
        newcomer = served.connect_unix()
        assert post(newcomer)[0] == 200
        sock = asked[1].sock
        assert sock is not None
        assert sock.recv(1) == b""
        for one in (asked[0], asked[2], newcomer):
            assert post(one)[0] == 200

    await off_loop(talk)


async def test_where_all_are_busy_a_newcomer_is_refused(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who watches keeps its place."""
    monkeypatch.setattr(connections, "most_connections", lambda: 2)

    def watch() -> Any:
        connection = served.connect_unix()
        connection.request("POST", WATCH, b"{}", JSON)
        response = connection.getresponse()
        assert response.readline()
        return response

    watchers = [await off_loop(watch) for _ in range(2)]
    status, error = told(await off_loop(lambda: read_all(raw(served))))
    assert (status, error["code"]) == (503, "unavailable")
    assert "all 2 connections are in use" in error["message"]
    watchers.pop().close()

    def ask() -> int:
        return post(served.connect_unix())[0]

    served.hang_up()
    assert await off_loop(ask) == 200


async def test_a_body_that_breaks_after_its_answer_is_no_traceback(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is given, so nothing can be told any more: the connection just ends."""

    def talk() -> bytes:
        sock = raw(served)
        sock.sendall(CHUNKED)
        answer = sock.recv(12)
        sock.sendall(b"no chunk\r\n\r\n")
        return answer + read_all(sock)

    with caplog.at_level(logging.ERROR):
        assert (await off_loop(talk)).startswith(b"HTTP/1.1 415 ")
    assert caplog.records == []


def refused(served: Served, first: bytes, *more: bytes) -> socket.socket:
    """Behind the end of all that it is told, and still connected."""
    sock = raw(served)
    sock.sendall(first)
    assert sock.recv(10).startswith(b"HTTP/1.1 4")
    for piece in more:
        sock.sendall(piece)
    read_all(sock)
    return sock


REFUSED = pytest.mark.parametrize(
    "pieces", [[b"HELO mail\r\n\r\n"], [CHUNKED, b"no chunk\r\n\r\n"]], ids=["no HTTP", "no chunk"]
)


@REFUSED
async def test_who_is_refused_is_heard_out_but_not_for_ever(
    served: Served, monkeypatch: pytest.MonkeyPatch, pieces: Sequence[bytes]
) -> None:
    monkeypatch.setattr(connections, "HEAR_OUT_TIME", SHORT)

    def talk() -> float:
        sock = refused(served, *pieces)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < began + 15:
                sock.sendall(b"and more")
                time.sleep(0.01)
        return time.monotonic() - began

    assert await off_loop(talk) < 15


@REFUSED
async def test_who_is_refused_holds_up_no_stop(scratch: Path, pieces: Sequence[bytes]) -> None:
    world = Served(scratch / "api.sock")
    async with wholly_served(world) as task:
        sock = await off_loop(lambda: refused(world, *pieces))
        world.server.stop()
        async with asyncio.timeout(15):
            await task
        sock.close()


def watch_closed(served: Served) -> asyncio.Event:
    """Set when the next subscription is given up."""
    ended = asyncio.Event()
    watch = served.store.watch()
    close = watch.close

    def close_and_tell() -> None:
        close()
        ended.set()

    watch.close = close_and_tell  # type: ignore[method-assign]
    served.store.watch = lambda: watch  # type: ignore[method-assign]
    return ended


def watch(served: Served) -> socket.socket:
    """On a bare socket, behind the status line."""
    sock = raw(served)
    head = f"POST {WATCH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    sock.sendall(f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
    assert sock.recv(12) == b"HTTP/1.1 200"
    return sock


async def test_a_subscription_ends_as_soon_as_its_client_leaves(served: Served) -> None:
    """Trap 3: within turns of the loop, no timer and no write between: far below 50 ms."""
    ended = watch_closed(served)
    sock = await off_loop(lambda: watch(served))
    sock.close()
    turns = 0
    while not ended.is_set():
        await asyncio.sleep(0)
        turns += 1
        assert turns <= 50


@pytest.mark.parametrize("behind", [b"GET / HTTP/1.1\r\n", b"no request", b"x" * 500_000])
async def test_who_sends_more_behind_a_watch_is_still_noticed_when_gone(
    served: Served, behind: bytes
) -> None:
    """Its subscription ends at once, or it is cut off where it sends without end."""
    ended = watch_closed(served)

    def talk() -> None:
        with watch(served) as sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(behind)

    await off_loop(talk)
    async with asyncio.timeout(60):
        await ended.wait()


# ---------------------------------------------------------------- answers that are not read


class Flood:
    """A stream without end."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()
        self.ended = asyncio.Event()
        self.sent = 0
        self.app = Rpc({WATCH: StreamMethod(WatchEventsRequest, self._watch)}, lambda _: None, self.closing)

    async def _watch(self, _: Any, __: Call) -> Events:
        return self._events()

    async def _events(self) -> Events:
        try:
            while True:
                yield [WatchEventsResponse(resource_id="x" * 4000)]
                self.sent += 1
                await asyncio.sleep(0)
        finally:
            self.ended.set()


@contextlib.asynccontextmanager
async def serving(app: App, closing: asyncio.Event) -> AsyncGenerator[tuple[str, int]]:
    """Admits everybody, over TCP."""

    async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["caller"] = None
        await app(scope, receive, send)

    listening = bind_tcp("127.0.0.1", 0)
    server = Server(admitted, [listening], closing)
    task = asyncio.create_task(server.serve())
    try:
        yield listening.getsockname()
    finally:
        server.stop()
        async with asyncio.timeout(60):
            await task


async def test_a_watcher_that_does_not_read_is_cut_off_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It holds nothing up, its subscription ends, and if it wakes in time it learns why."""
    monkeypatch.setattr(connections, "STALL", SHORT)
    flood = Flood()
    async with serving(flood.app, flood.closing) as address:
        reader, writer = await asyncio.open_connection(*address, limit=1024)
        head = f"POST {WATCH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\n"
        body = envelope(b"{}")
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        async with asyncio.timeout(60):
            await flood.ended.wait()
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
    *events, (flags, end) = envelopes(unchunked(answer))
    assert flags == 2
    assert json.loads(end)["error"]["code"] == "resource_exhausted"
    assert abs(len(events) - flood.sent) <= 1, "all that was sent before came"
    assert "cut off" in caplog.text


def unchunked(answer: bytes) -> bytes:
    """The body of a whole chunked answer."""
    rest = answer.partition(b"\r\n\r\n")[2]
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            return body
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]


async def test_one_that_reads_slowly_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some bytes in each interval will do, and are seen, though the kernel hands them on in great steps."""
    blocked: asyncio.Future[connections.Connection] = asyncio.get_running_loop().create_future()
    pause_writing = connections.Connection.pause_writing

    def pause(one: connections.Connection) -> None:
        pause_writing(one)
        if not blocked.done():
            blocked.set_result(one)

    monkeypatch.setattr(connections.Connection, "pause_writing", pause)
    flood = Flood()
    async with serving(flood.app, flood.closing) as address:
        loop = asyncio.get_running_loop()
        with socket.create_connection(address) as sock:
            head = f"POST {WATCH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\n"
            body = envelope(b"{}")
            sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            sock.settimeout(0)
            async with asyncio.timeout(60):
                connection = await blocked
                for _ in range(3):
                    before = connection._untaken()
                    while connection._untaken() >= before:
                        await loop.sock_recv(sock, 4096)
                    connection._look_at_reader(before)
                    assert not flood.ended.is_set()
        async with asyncio.timeout(60):
            await flood.ended.wait()


async def test_an_answer_that_nobody_takes_is_given_up(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that asks on and on and reads nothing."""
    monkeypatch.setattr(connections, "STALL", SHORT)
    await create_service(served)

    def talk() -> bool:
        sock = raw(served)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            while True:
                sock.sendall(WHOLE * 100)
        except (BrokenPipeError, ConnectionResetError):
            return True

    assert await off_loop(talk)


def test_a_few_files_bear_fewer_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other half is for runs."""
    bears = connections.most_connections.__wrapped__
    for files, most in ((100_000, 1024), (1024, 512), (64, 32)):
        limits = {resource.RLIMIT_NOFILE: (files, files)}
        monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
        assert bears() == most


def test_a_log_in_a_pager_may_rest() -> None:
    """What its route asks for is what the connection bears."""
    connection = connections.Connection.__new__(connections.Connection)
    connection.conn = cast("Any", SimpleNamespace(our_state=h11.SEND_BODY))
    for state, patience in (({}, connections.STALL), ({"patience": logs.PATIENCE}, 3600.0)):
        connection.scope = cast("Any", {"state": state})
        assert connection._patience == patience


# ---------------------------------------------------------------- answers as one write


@pytest.mark.parametrize(
    "asked",
    [
        WHOLE,
        b"GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n",
        b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["POST", "1.0", "no body", "refused"],
)
async def test_head_and_body_of_an_answer_go_out_as_one(
    served: Served, monkeypatch: pytest.MonkeyPatch, asked: bytes
) -> None:
    """Two would wake the client for a head that it can do nothing with. Answers that follow
    one another on a connection stay apart, the one that ends it included.
    """
    written: list[bytes] = []
    made = connections.Connection.connection_made

    def watched(self: connections.Connection, transport: Any) -> None:
        def write(data: bytes) -> None:
            written.append(data)
            really(data)

        really = transport.write
        monkeypatch.setattr(transport, "write", write, raising=False)
        made(self, transport)

    monkeypatch.setattr(connections.Connection, "connection_made", watched)
    before = 0 if b"1.0" in asked else 2

    def talk() -> bytes:
        sock = raw(served)
        sock.sendall(asked * before + asked.replace(b"Host", b"Connection: close\r\nHost"))
        return read_all(sock)

    heard = await off_loop(talk)
    answers = [data for data in written if data]
    assert b"".join(answers) == heard
    assert len(answers) == heard.count(b"HTTP/1.1 ") == before + 1
    assert all(data.startswith(b"HTTP/1.1 ") and b"\r\n\r\n" in data for data in answers)
