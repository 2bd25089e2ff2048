"""The server over real sockets: peers, keep-alive, floods, and how it ends."""

import asyncio
import contextlib
import gzip
import http.client
import json
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runner_agent.api import asgi
from runner_agent.api.app import Health, build_app
from runner_agent.api.auth import Guard
from runner_agent.api.listeners import CannotListen, bind_tcp, bind_unix
from runner_agent.api.methods import bound_methods
from runner_agent.api.server import Server
from tests.api.bomb import gzip_bomb
from tests.api.requests import create_service
from tests.api.served import GET_AGENT, JSON, WATCH, Served, off_loop, post, serving
from tests.api.world import TOKEN


async def test_the_peer_of_the_unix_socket_is_known(served: Served) -> None:
    """Trap 10: our own uid may enter without a token, if it is on the list."""
    allowed = os.getuid() in {0, 1000}
    status, told = await off_loop(lambda: post(served.connect_unix()))
    assert status == (200 if allowed else 403)
    assert "agent" in told or f"uid {os.getuid()}" in told["message"]


async def test_a_peer_that_is_not_on_the_list_is_refused(scratch: Path) -> None:
    world = Served(scratch / "api.sock")
    guard = Guard(TOKEN, frozenset({os.getuid() + 1}), world.clock.now)
    app = build_app(bound_methods(world.backend), guard, Health(lambda: True), world.closing, {})
    server = Server(app, [world.unix, world.tcp], world.closing)
    async with serving(world, server):
        status, told = await off_loop(lambda: post(world.connect_unix()))
        assert (status, told["code"]) == (403, "permission_denied")


async def test_tcp_asks_for_the_token_and_a_name_of_ours(served: Served) -> None:
    assert (await off_loop(lambda: post(served.connect_tcp())))[0] == 401
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert (await off_loop(lambda: post(served.connect_tcp(), b"{}", **bearer)))[0] == 200
    foreign = {**bearer, "Host": "evil.example"}
    assert (await off_loop(lambda: post(served.connect_tcp(), b"{}", **foreign)))[0] == 403


async def test_a_connection_survives_malformed_bodies(served: Served) -> None:
    """Trap 4: JSON, proto and gzip that are none, a wrong type, a wrong path; then all is well."""

    def talk() -> list[int]:
        connection = served.connect_unix()
        found = [
            post(connection, b"{")[0],
            post(connection, b"\xff", Content_Type="application/proto")[0],
            post(connection, b"x", Content_Encoding="gzip")[0],
            post(connection, b"x", Content_Type="text/plain")[0],
        ]
        connection.request("GET", "/nothing")
        response = connection.getresponse()
        response.read()
        found += [response.status, post(connection)[0]]
        return found

    assert await off_loop(talk) == [400, 400, 400, 415, 404, 200]


async def test_a_body_of_20_mb_is_refused_and_the_connection_lives(served: Served) -> None:
    """Trap 5."""

    def talk() -> list[tuple[int, str]]:
        connection = served.connect_unix()
        found: list[tuple[int, str]] = []
        for body in (bytes(20 << 20), b"{}"):
            status, told = post(connection, body)
            found.append((status, told.get("code", "")))
        return found

    assert await off_loop(talk) == [(429, "resource_exhausted"), (200, "")]


@pytest.mark.parametrize("token", [TOKEN, "guess"])
async def test_a_refused_client_that_still_sends_gets_its_answer(served: Served, token: str) -> None:
    """Trap 5: closed with bytes unread, the connection would be reset, and the answer lost with it."""

    def talk() -> int:
        connection = served.connect_tcp()
        headers = {**JSON, "Authorization": f"Bearer {token}", "Connection": "close"}
        connection.request("POST", GET_AGENT, bytes(20 << 20), headers)
        response = connection.getresponse()
        assert json.loads(response.read())["code"]
        return response.status

    assert await off_loop(talk) == (429 if token == TOKEN else 401)


async def test_a_refused_client_is_not_heard_for_ever(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that stalls holds its connection no longer than the bound."""
    monkeypatch.setattr(asgi, "HEAR_OUT_TIME", 0.2)

    def talk() -> bytes:
        connection = served.connect_unix()
        sock = connection.sock
        assert sock is not None
        head = f"POST {GET_AGENT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9999999\r\n"
        sock.sendall(f"{head}Content-Type: application/json\r\n\r\nbegun".encode())
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while part := sock.recv(65536):
                answer += part
        return answer

    assert b"429" in (await off_loop(talk)).splitlines()[0]


async def test_an_endless_body_is_refused(served: Served) -> None:
    """Trap 5: nothing announced, and it never ends."""

    def talk() -> bytes:
        connection = served.connect_unix()
        sock = connection.sock
        assert sock is not None
        head = f"POST {GET_AGENT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        sock.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        with contextlib.suppress(BlockingIOError):
            for _ in range(80):
                sock.sendall(chunk)
        return bytes(sock.recv(65536))

    assert b"429" in (await off_loop(talk)).splitlines()[0]


async def test_a_gzip_bomb_costs_nothing(served: Served) -> None:
    """Trap 5."""
    bomb = gzip_bomb()
    status, told = await off_loop(lambda: post(served.connect_unix(), bomb, Content_Encoding="gzip"))
    assert (status, told["code"]) == (429, "resource_exhausted")
    fine = gzip.compress(b"{}")
    assert (await off_loop(lambda: post(served.connect_unix(), fine, Content_Encoding="gzip")))[0] == 200


def last_answer(served: Served, pieces: Sequence[bytes]) -> bytes:
    """What comes until the server closes."""
    sock = served.connect_unix().sock
    assert sock is not None
    for piece in pieces:
        sock.sendall(piece)
    answer = b""
    while part := sock.recv(4096):
        answer += part
    return answer


async def test_what_is_not_http_is_answered_in_json(served: Served) -> None:
    answer = await off_loop(lambda: last_answer(served, [b"HELO mail\r\n\r\n"]))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["code"] == "invalid_argument"
    assert "not HTTP/1.1" in json.loads(body)["message"]


async def test_what_is_not_http_is_not_quoted_at_length(served: Served) -> None:
    answer = await off_loop(lambda: last_answer(served, [b"GET / HTTP/1.1\r\n" + b"x" * 5000 + b"\r\n\r\n"]))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert len(answer) < 1000


@pytest.mark.parametrize("size", [70_000, 1_000_000])
@pytest.mark.parametrize("piece", [1 << 30, 10_000], ids=["whole", "in pieces"])
async def test_a_head_that_is_too_large_is_refused_by_name(served: Served, size: int, piece: int) -> None:
    """However it comes, and the client sees the reason though it has not sent all of it."""
    target = f"{GET_AGENT}?message={'a' * size}"
    sent = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    pieces = [sent[at : at + piece] for at in range(0, len(sent), piece)]
    head, _, body = (await off_loop(lambda: last_answer(served, pieces))).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert json.loads(body)["code"] == "resource_exhausted"
    assert "over 64 KiB: send the message in a POST" in json.loads(body)["message"]


async def test_events_reach_a_watcher_line_by_line(served: Served) -> None:
    """Traps 1 and 2 on a real connection."""

    def subscribe() -> http.client.HTTPResponse:
        connection = served.connect_unix()
        connection.request("POST", WATCH, b"{}", {**JSON, "Accept": "application/jsonl"})
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.readline())["resourceType"] == "RESOURCE_TYPE_ENVIRONMENT"
        return response

    response = await off_loop(subscribe)
    id_ = await create_service(served)
    event = json.loads(await off_loop(response.readline))
    assert (event["operation"], event["resourceId"]) == ("RESOURCE_OPERATION_CREATE", id_)
    response.close()


async def test_it_ends_with_streams_open_and_connections_idle(scratch: Path) -> None:
    """Trap 3: streams and the whole, though nobody hangs up."""
    world = Served(scratch / "api.sock")

    def subscribe() -> http.client.HTTPResponse:
        watcher = world.connect_unix()
        watcher.request("POST", WATCH, b"{}", JSON)
        response = watcher.getresponse()
        response.readline()
        return response

    async with serving(world) as task:
        idle = world.connect_unix()
        await off_loop(lambda: post(idle))
        response = await off_loop(subscribe)
        world.server.stop()
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(response.read) == b""
        async with asyncio.timeout(20):
            await task
        with pytest.raises(OSError, match="refused"):
            await off_loop(world.connect_unix)
        response.close()


@pytest.mark.parametrize("turns", range(5))
async def test_who_comes_while_it_ends_is_hung_up_on(scratch: Path, turns: int) -> None:
    """Whatever state of being let in a client is in: none is left hanging, and none holds the end up."""
    world = Served(scratch / "api.sock")
    async with serving(world) as task:
        await off_loop(lambda: post(world.connect_unix()))
        clients = [world.connect_unix() for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        world.server.stop()
        async with asyncio.timeout(20):
            await task
        for client in clients:
            assert client.sock is not None
            with contextlib.suppress(ConnectionResetError):
                assert client.sock.recv(1) == b""


async def test_an_idle_server_sleeps(served: Served) -> None:
    """Trap 10: no timer ticks while nobody asks."""
    await off_loop(lambda: post(served.connect_unix()))
    loop: Any = asyncio.get_running_loop()
    soon = [timer for timer in loop._scheduled if not timer.cancelled() and timer.when() < loop.time() + 2]
    assert soon == []


# ---------------------------------------------------------------- listeners


def test_the_socket_is_the_owners_from_the_first_moment(scratch: Path) -> None:
    """Trap 10: 0600 whatever the umask, which stays what it was."""
    before = os.umask(0)
    try:
        listener = bind_unix(scratch / "api.sock")
        assert stat.S_IMODE((scratch / "api.sock").stat().st_mode) == 0o600
        assert os.umask(0) == 0
        listener.close()
    finally:
        os.umask(before)


def test_a_path_that_cannot_be_bound_is_explained(scratch: Path) -> None:
    bound = bind_unix(scratch / "api.sock")
    for path, told in (
        (scratch / "api.sock", "the address is in use; stop what listens there or choose another"),
        (scratch / "missing" / "api.sock", "its directory does not exist; create it or choose another path"),
        (scratch / ("x" * 120), "the path is longer than 107 bytes; choose a shorter one"),
    ):
        with pytest.raises(CannotListen) as caught:
            bind_unix(path)
        assert str(caught.value) == f"cannot listen on {path}: {told}"
    bound.close()


def test_a_port_that_cannot_be_bound_is_explained() -> None:
    taken = bind_tcp("127.0.0.1", 0)
    port = taken.getsockname()[1]
    for host, told in (("127.0.0.1", "the address is in use"), ("192.0.2.1", "address")):
        with pytest.raises(CannotListen, match=f"cannot listen on {host}:{port}: .*{told}"):
            bind_tcp(host, port)
    with pytest.raises(CannotListen, match="cannot listen on no.such.host.invalid:1: ".replace(".", r"\.")):
        bind_tcp("no.such.host.invalid", 1)
    taken.close()


def test_ipv6_is_bound_too() -> None:
    with contextlib.closing(bind_tcp("::1", 0)) as listener:
        assert listener.family == socket.AF_INET6


def test_accepted_connections_inherit_the_search_for_dead_peers() -> None:
    """Trap 10."""
    listener = bind_tcp("127.0.0.1", 0)
    client = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    for one in (accepted, client, listener):
        one.close()
