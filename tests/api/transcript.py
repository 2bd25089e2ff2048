"""Calls to an ASGI application without sockets: what was asked, and all that was answered."""

import asyncio
import gzip
import json
import struct
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

from runner_agent.api.asgi import App
from runner_agent.api.auth import LocalCaller, Peer

OWNER = Peer(pid=4711, uid=1000, gid=1000)
PATIENCE = 5.0
"""Seconds before a test gives up on the next part of a stream."""

_ENVELOPE = struct.Struct(">BI")


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, unzipped if it says so."""
        packed = self.headers.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)

    @property
    def code(self) -> str:
        """Of an error. It must be JSON, with all three members, and say whether to retry (traps 3 and 6)."""
        assert self.headers["content-type"] == "application/json"
        assert self.headers["x-should-retry"] in {"true", "false"}
        told = self.json()
        assert set(told) == {"code", "message", "details"}
        return str(told["code"])


def scope_of(
    verb: str,
    path: str,
    headers: Mapping[str, str],
    peer: Peer | None = OWNER,
    query: str = "",
) -> dict[str, Any]:
    """As uvicorn gives it."""
    state: dict[str, object] = {"caller": LocalCaller(1000)}
    if peer is not None:
        state["peer"] = peer
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {
        "type": "http",
        "method": verb,
        "path": path,
        "http_version": "1.1",
        "query_string": query.encode(),
        "headers": raw,
        "state": state,
    }


class Conversation:
    """One call under way: parts of the body go in, messages come out."""

    def __init__(self, app: App, scope: dict[str, Any], body: bytes) -> None:
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "http.request", "body": body, "more_body": False})
        self.reading = asyncio.Event()
        """While it is clear the client takes nothing more in."""
        self.reading.set()
        self._sending = asyncio.Event()
        self.task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: App, scope: dict[str, Any]) -> None:
        async def send(message: Any) -> None:
            self._sending.set()
            await self.reading.wait()
            self._outbox.put_nowait(dict(message))

        await app(scope, self._inbox.get, send)

    async def next(self) -> dict[str, Any]:
        """The next message sent."""
        async with asyncio.timeout(PATIENCE):
            return await self._outbox.get()

    async def started(self) -> None:
        """The application tries to answer."""
        async with asyncio.timeout(PATIENCE):
            await self._sending.wait()

    def sent(self) -> list[dict[str, Any]]:
        """What was sent and not looked at."""
        return [self._outbox.get_nowait() for _ in range(self._outbox.qsize())]

    def leave(self) -> None:
        """The client closes the connection."""
        self._inbox.put_nowait({"type": "http.disconnect"})

    async def done(self) -> None:
        """The application has returned."""
        async with asyncio.timeout(PATIENCE):
            await self.task


@asynccontextmanager
async def talking(
    app: App,
    path: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    verb: str = "POST",
    query: str = "",
) -> AsyncGenerator[Conversation]:
    """A conversation that is over when the block ends."""
    conversation = Conversation(app, scope_of(verb, path, headers, query=query), body)
    try:
        yield conversation
    finally:
        conversation.leave()
        await conversation.done()


async def ask(
    app: App, path: str, body: bytes = b"", *, verb: str = "POST", query: str = "", **headers: str
) -> Reply:
    """A call by the owner, from beginning to end; header names with underscores."""
    return await ask_as(OWNER, app, path, body, verb=verb, query=query, **headers)


async def ask_as(
    peer: Peer | None,
    app: App,
    path: str,
    body: bytes = b"",
    *,
    verb: str = "POST",
    query: str = "",
    **headers: str,
) -> Reply:
    """A call by somebody; no peer means over TCP."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body and "content-length" not in named:
        named["content-length"] = str(len(body))
    conversation = Conversation(app, scope_of(verb, path, named, peer, query), body)
    await conversation.done()
    start, *parts = conversation.sent()
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    assert [part.get("more_body", False) for part in parts] == [True] * (len(parts) - 1) + [False]
    whole = b"".join(cast(bytes, part.get("body", b"")) for part in parts)
    if "content-length" in told:
        assert int(told["content-length"]) == len(whole)
    return Reply(start["status"], told, whole)


async def ask_json(app: App, path: str, value: object = None, **headers: str) -> Reply:
    """A call as plain JSON."""
    body = b"" if value is None else json.dumps(value).encode()
    return await ask(app, path, body, content_type="application/json", **headers)


def envelope(data: bytes, flags: int = 0) -> bytes:
    """One message of a Connect stream."""
    return _ENVELOPE.pack(flags, len(data)) + data


def envelopes(body: bytes) -> list[tuple[int, bytes]]:
    """All messages of a Connect stream: flags and contents."""
    found: list[tuple[int, bytes]] = []
    while body:
        flags, size = _ENVELOPE.unpack_from(body)
        found.append((flags, body[_ENVELOPE.size : _ENVELOPE.size + size]))
        body = body[_ENVELOPE.size + size :]
    return found
