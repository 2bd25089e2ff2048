"""Calls: the handler of a method runs within the deadline, and the client gets its answer or the error.

What needs waiting is here; what the bytes mean is in `negotiate` and `connect`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import NamedTuple, assert_never, cast

import anyio
from google.protobuf.message import Message

from runner_agent.api.asgi import (
    ClientGone,
    Receive,
    Scope,
    Send,
    cancel_when,
    head_of,
    read_body,
    send_answer,
    send_head,
    send_last,
    send_part,
    wait_client_gone,
)
from runner_agent.api.auth import Caller
from runner_agent.api.codec import Sendable
from runner_agent.api.connect import Stream, refusal
from runner_agent.api.errors import Code, RpcError, rpc_error
from runner_agent.api.negotiate import check_length, negotiate_stream, negotiate_unary

log = logging.getLogger(__name__)

_STOPPING = RpcError(Code.UNAVAILABLE, "the agent is stopping: ask again when it is back")
_STALLED = RpcError(Code.RESOURCE_EXHAUSTED, "cut off, since events were not read: ask again, and read on")

PREFIX = "/api"
"""Clients whose base address carries a path put this one before every method."""


class Call(NamedTuple):
    """What a handler may know besides the request. `read_timeout`: seconds of silence the client bears."""

    caller: Caller
    read_timeout: float | None = None


Handler = Callable[[Message, Call], Awaitable[Sendable]]
Events = AsyncGenerator[Sequence[Sendable]]
"""What goes out together comes together."""
StreamHandler = Callable[[Message, Call], Awaitable[Events]]
"""Awaiting it checks the arguments and subscribes: once the answer has begun, an error is hard to tell."""


class UnaryMethod(NamedTuple):
    """`reads`: no side effects, so GET will do."""

    request: type[Message]
    handler: Handler
    reads: bool


class StreamMethod(NamedTuple):
    """Answers with a stream."""

    request: type[Message]
    handler: StreamHandler


Method = UnaryMethod | StreamMethod

Count = Callable[[str, str], None]
"""Told of each answer: the path of the method, and `ok` or the code of the error."""

OK = "ok"


def uncounted(_path: str, _code: str) -> None:
    """The Count that does nothing."""


class Rpc:
    """The ASGI application of all methods by path (`/package.Service/Method`), prefixed or not."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        check: Callable[[Message], None],
        closing: asyncio.Event,
        count: Count = uncounted,
    ) -> None:
        """`check` raises InvalidArgument. Streams end when `closing` is set. `count` is told of each call."""
        self._methods = methods
        self._check = check
        self._closing = closing
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        path = str(scope["path"])
        name = path.removeprefix(PREFIX)
        method = self._methods.get(name)
        caller = cast(Caller, scope["state"]["caller"])
        try:
            match method:
                case UnaryMethod():
                    self._count(name, await self._unary(method, scope, caller, receive, send))
                case StreamMethod():
                    self._count(name, await self._stream(method, scope, caller, receive, send))
                case None:
                    await send_answer(scope, send, refusal(_unknown(path)))
                case _:
                    assert_never(method)
        except ClientGone:
            pass

    async def _unary(
        self, method: UnaryMethod, scope: Scope, caller: Caller, receive: Receive, send: Send
    ) -> str:
        code, head = OK, head_of(scope)
        try:
            check_length(head)
            how = negotiate_unary(head, reads=method.reads)
            async with _deadline(how.terms.deadline):
                request = how.request(await read_body(receive), method.request)
                self._check(request)
                answer = how.answer(await method.handler(request, Call(caller, how.terms.read_timeout)))
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the client gets an answer
            told = tell(error)
            answer, code = refusal(told), told.code.value
        await send_answer(scope, send, answer)
        return code

    async def _stream(
        self, method: StreamMethod, scope: Scope, caller: Caller, receive: Receive, send: Send
    ) -> str:
        head = head_of(scope)
        try:
            check_length(head)
            how = negotiate_stream(head)
        except RpcError as error:
            await send_answer(scope, send, refusal(error))
            return error.code.value
        try:
            async with _deadline(how.terms.deadline):
                request = how.request(await read_body(receive), method.request)
                self._check(request)
                events = await method.handler(request, Call(caller, how.terms.read_timeout))
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the client gets an answer
            told = tell(error)
            await send_answer(scope, send, how.refusal(told))
            return told.code.value
        async with aclosing(events):
            return await self._send_stream(events, how, scope, receive, send)

    async def _send_stream(
        self, events: Events, how: Stream, scope: Scope, receive: Receive, send: Send
    ) -> str:
        """Until there are no more, the deadline passes, the agent stops, or the client is gone or asleep."""
        sending = anyio.CancelScope()
        scope["state"]["stalled"] = sending.cancel
        error: RpcError | None = RpcError(Code.CANCELED, "the client is gone")
        async with anyio.create_task_group() as group:
            group.start_soon(cancel_when, partial(wait_client_gone, receive), group.cancel_scope)
            group.start_soon(cancel_when, self._closing.wait, sending)
            await send_head(send, how.head())
            with sending:
                error = await _send_events(events, how, send)
            if sending.cancelled_caught:
                error = _STOPPING if self._closing.is_set() else _STALLED
            await send_last(send, how.end(error))
            group.cancel_scope.cancel()
        return OK if error is None else error.code.value


async def _send_events(events: Events, how: Stream, send: Send) -> RpcError | None:
    """The error they ended with, if any."""
    try:
        async with _deadline(how.terms.deadline):
            async for some in events:
                await send_part(send, b"".join([how.message(event) for event in some]))
    except Exception as error:  # noqa: BLE001  # whatever it is, the client gets an answer
        return tell(error)
    return None


@asynccontextmanager
async def _deadline(seconds: float | None) -> AsyncGenerator[None]:
    """Raises RpcError after so many seconds; a TimeoutError of the handler's own stays one."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        message = f"not done within the {seconds:g} s the client gave; what was asked for may still happen"
        raise RpcError(Code.DEADLINE_EXCEEDED, message) from None


def tell(error: Exception) -> RpcError:
    """What the client hears. A defect's own words go to the log only."""
    told = rpc_error(error)
    if told is not None:
        # Kept, they would keep in a circle the frames they came through, and the bodies those hold.
        told.__context__ = told.__cause__ = told.__traceback__ = None
        return told
    log.error("a call failed unexpectedly", exc_info=error)
    return RpcError(Code.INTERNAL, "the agent failed at this unexpectedly: its log says more")


def _unknown(path: str) -> RpcError:
    return RpcError(Code.UNIMPLEMENTED, f"there is nothing at {path[:200]}", status=404)
