"""Logs by GET: followed to the object's end, or a piece of fixed length (rule 5.5)."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import NamedTuple, cast
from urllib.parse import parse_qs

import anyio

from runner_agent.api.app import LOGS
from runner_agent.api.asgi import (
    App,
    Receive,
    Scope,
    Send,
    cancel_when,
    cut,
    head_of,
    send_answer,
    send_head,
    send_last,
    send_part,
    wait_client_gone,
)
from runner_agent.api.connect import Answer, Head, Headers, refusal
from runner_agent.api.errors import Code, RpcError
from runner_agent.api.log_subjects import Subject, Subjects
from runner_agent.api.negotiate import wrong_verb
from runner_agent.api.rpc import tell
from runner_agent.logs.logbook import Logbook
from runner_agent.logs.reader import Extent, copy, follow, gap_line
from runner_agent.model.errors import InvalidArgument, NotFound, Violation
from runner_agent.model.phases import RunRole
from runner_agent.store.base import Store

log = logging.getLogger(__name__)

PATIENCE = 3600.0
"""Seconds a follower may rest: people read logs in a pager. It holds up nobody, and no more than a buffer."""

_ROLES = {role.value: role for role in (RunRole.START, RunRole.READY, RunRole.STOP)}
_BOOLEANS = {"": True, "true": True, "1": True, "false": False, "0": False}
_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")
_TYPE = (("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff"))


class Query(NamedTuple):
    """What the address asks for. `tail` counts lines, `offset` bytes."""

    follow: bool = True
    tail: int | None = None
    offset: int | None = None
    role: RunRole | None = None
    step: str = ""


class Piece(NamedTuple):
    """An answer about to be sent. `length` None: until the log ends."""

    head: Answer
    chunks: AsyncGenerator[bytes]
    length: int | None = None


def log_routes(store: Store, logbook: Logbook, closing: asyncio.Event) -> dict[str, App]:
    """By prefix, as `build_app` takes them."""
    return {LOGS: LogApp(Subjects(store, logbook), closing)}


class LogApp:
    """The routes below /logs/."""

    def __init__(self, subjects: Subjects, closing: asyncio.Event) -> None:
        """Followed logs are cut off when `closing` is set, so that their readers come back."""
        self._subjects = subjects
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One log."""
        head = head_of(scope)
        try:
            if head.verb != "GET":
                raise wrong_verb("GET")
            query = parse_query(head.query)
            subject = self._subject(cast(str, scope["path"]), query)
            piece = await _piece(subject, query, head)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client gets an answer
            await send_answer(scope, send, refusal(tell(error)))
            return
        scope["state"]["patience"] = PATIENCE
        async with aclosing(piece.chunks):
            if not await self._send(piece, receive, send):
                await cut(scope, receive)

    def _subject(self, path: str, query: Query) -> Subject:
        kind, _, id_ = path.removeprefix(LOGS).partition("/")
        id_ = id_.lower()
        match kind:
            case "services":
                _refuse(bool(query.step), "step", "is for executions; a service has roles")
                return self._subjects.service(id_, query.role or RunRole.START)
            case "executions":
                _refuse(query.role is not None, "role", "is for services; an execution has steps")
                return self._subjects.step(id_, query.step) if query.step else self._subjects.execution(id_)
            case _:
                raise NotFound(f"there is nothing at {path[:200]}: logs are of services or executions")

    async def _send(self, piece: Piece, receive: Receive, send: Send) -> bool:
        """False if the client got less than there is."""
        complete = False
        async with anyio.create_task_group() as group:
            group.start_soon(cancel_when, partial(wait_client_gone, receive), group.cancel_scope)
            if piece.length is None:
                group.start_soon(cancel_when, self._closing.wait, group.cancel_scope)
            await send_head(send, piece.head)
            complete = await _send_chunks(piece, send)
            if complete:
                await send_last(send)
            group.cancel_scope.cancel()
        return complete


async def _send_chunks(piece: Piece, send: Send) -> bool:
    sent = 0
    try:
        async for chunk in piece.chunks:
            await send_part(send, chunk)
            sent += len(chunk)
    except OSError:
        log.exception("a log cannot be read any further")
        return False
    return piece.length in {None, sent}


def parse_query(text: str) -> Query:
    """Raises InvalidArgument."""
    given = {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}
    following = _BOOLEANS.get(given.get("follow", "").lower())
    _refuse(following is None, "follow", "must be true or false")
    tail, offset = _number(given, "tail"), _number(given, "offset")
    _refuse(tail is not None and offset is not None, "tail", "cannot be given together with offset")
    role = given.get("role", "")
    _refuse(bool(role) and role not in _ROLES, "role", "must be start, ready or stop")
    return Query(bool(following), tail, offset, _ROLES.get(role), given.get("step", "").lower())


async def _piece(subject: Subject, query: Query, head: Head) -> Piece:
    """Errors of the disk are raised here, before the answer begins."""
    extent = await subject.log.extent()
    wanted = _RANGE.fullmatch(head.headers.get("range", ""))
    if wanted is not None and subject.single:
        return _range(subject, extent, wanted)
    if query.tail is None:
        asked = query.offset or 0
        start = max(asked, extent.first)
    else:
        asked = start = await subject.log.tail(query.tail)
    headers: Headers = (*_head(subject), ("x-log-start", str(start)))
    if query.follow:
        return Piece(Answer(200, headers), follow(subject.log, asked, subject.ended))
    gap = gap_line(asked, start) if asked < start else b""
    length = len(gap) + max(0, extent.end - start)
    headers = (*headers, ("content-length", str(length)))
    return Piece(Answer(200, headers), _after(gap, copy(subject.log, start, extent.end)), length)


def _range(subject: Subject, extent: Extent, wanted: re.Match[str]) -> Piece:
    """What of the range there is. Raises RpcError with status 416 if there is nothing."""
    first, last, suffix = wanted.groups()
    start = max(0, extent.end - int(suffix)) if suffix else int(first)
    end = min(extent.end, int(last) + 1 if last else extent.end)
    start = max(start, extent.first)
    if start >= end:
        raise RpcError(
            Code.OUT_OF_RANGE,
            f"the log has bytes {extent.first} to {extent.end}, none of those asked for",
            status=416,
            headers=(("content-range", f"bytes */{extent.end}"),),
        )
    headers = (
        *_head(subject),
        ("accept-ranges", "bytes"),
        ("content-range", f"bytes {start}-{end - 1}/{extent.end}"),
        ("content-length", str(end - start)),
        ("x-log-start", str(start)),
    )
    return Piece(Answer(206, headers), copy(subject.log, start, end), end - start)


def _head(subject: Subject) -> Headers:
    return (*_TYPE, ("cache-control", "no-store"), ("x-log-id", subject.id))


async def _after(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(rest):
        if first:
            yield first
        async for chunk in rest:
            yield chunk


def _number(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    _refuse(not text.isdecimal() or len(text) > 18, name, "must be a number, 0 or more")
    return int(text)


def _refuse(wrong: bool, name: str, message: str) -> None:
    if wrong:
        raise InvalidArgument(Violation(name, message))
