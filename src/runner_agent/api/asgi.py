"""HTTP over ASGI, as far as every route needs it: heads and bodies in, answers out.

No web framework: it would route five paths and cost a tenth of the time the agent has to start.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, cast

import anyio

from runner_agent.api.codec import LIMIT, too_large
from runner_agent.api.connect import ENVELOPE, Answer, Head
from runner_agent.api.errors import Code, RpcError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


HEAD_LIMIT = 65536
"""Bytes of a request's address and headers."""
HEAR_OUT = 32 << 20
"""Bytes of a refused body that are read on, only to be dropped."""
HEAR_OUT_TIME = 2.0
"""Seconds that may take."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete. Nobody is left to tell."""


def headers_of(scope: Scope) -> Mapping[str, str]:
    """By name in lower case; of several with one name the last."""
    raw = cast(list[tuple[bytes, bytes]], scope["headers"])
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}


def check_size_of_head(scope: Scope) -> None:
    """Raises RpcError. The server refuses by itself only what comes in pieces."""
    raw = cast(list[tuple[bytes, bytes]], scope["headers"])
    address = len(cast(bytes, scope.get("raw_path", b""))) + len(cast(bytes, scope["query_string"]))
    if address + sum(len(name) + len(value) for name, value in raw) > HEAD_LIMIT:
        raise head_too_large()


def head_too_large() -> RpcError:
    """The refusal of a head that passes the limit."""
    text = f"the request's address and headers are over {HEAD_LIMIT >> 10} KiB: send the message in a POST"
    return RpcError(Code.RESOURCE_EXHAUSTED, text, status=431)


def head_of(scope: Scope) -> Head:
    """The request without its body."""
    query = cast(bytes, scope["query_string"]).decode("latin-1")
    return Head(str(scope["method"]), headers_of(scope), query)


async def read_body(receive: Receive) -> bytes:
    """All of it. Raises RpcError when it grows too large, ClientGone."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = cast(bytes, message.get("body", b""))
        size += len(part)
        if size > LIMIT + ENVELOPE.size:
            raise too_large()
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def hearing_out(
    scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
) -> tuple[Receive, Send]:
    """Where the connection ends with the answer, read what is left of the body before the answer begins.

    Closed with bytes unread it would be reset, and a client that still sends would never see the answer.
    """
    if scope["http_version"] != "1.0" and "close" not in headers.get("connection", "").lower():
        return receive, send
    left = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

    async def hear() -> Message:
        nonlocal left
        message = await receive()
        left = left and bool(message.get("more_body", False))
        return message

    async def hear_rest() -> None:
        nonlocal left
        dropped = 0
        with anyio.move_on_after(HEAR_OUT_TIME):
            while left and dropped < HEAR_OUT:
                dropped += len(cast(bytes, (await hear()).get("body", b"")))
        left = False

    async def answer(message: Message) -> None:
        if left:
            await hear_rest()
        await send(message)

    return hear, answer


async def wait_client_gone(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancel_when(happened: Callable[[], Awaitable[object]], scope: anyio.CancelScope) -> None:
    """Cancel `scope` when what is waited for has happened."""
    await happened()
    scope.cancel()


async def send_head(send: Send, answer: Answer) -> None:
    """Status and headers, at once: a stream's client waits for them."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})


async def send_part(send: Send, part: bytes) -> None:
    """Some of a body that goes on."""
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def send_last(send: Send, part: bytes = b"") -> None:
    """The end of a body."""
    await send({"type": "http.response.body", "body": part})


async def send_answer(scope: Scope, send: Send, answer: Answer) -> None:
    """All of it. Over our own server as one write: the head by itself would wake the client for nothing."""
    join = cast("Callable[[], None] | None", scope["state"].get("join"))
    if join is not None:
        join()
    await send_head(send, answer)
    await send_last(send, answer.body)


async def cut(scope: Scope, receive: Receive) -> None:
    """Break the connection off, so that the client cannot take what it has for the whole."""
    abort = cast("Callable[[], None] | None", scope["state"].get("abort"))
    if abort is not None:
        abort()
        await wait_client_gone(receive)
