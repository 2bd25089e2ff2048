"""Ways of speaking, without input or output: how the body of a call is read and how the call is answered.

Three of them: unary (POST, or GET for methods without side effects), Connect's enveloped streams, and JSON
Lines, which older SDKs watch by. Which one a call uses is settled by `negotiate`.
"""

import json
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from google.protobuf.message import Message

from runner_agent.api.codec import JSON, WORTH_GZIP, Codec, Sendable, gunzip, squeeze
from runner_agent.api.errors import Code, RpcError

M = TypeVar("M", bound=Message)

LINES = "application/jsonl"
LINE_UNIT = 64
"""Bytes. The 0.x SDK for Python reads lines in chunks of this size, so only a full chunk arrives at once."""

ENVELOPE = struct.Struct(">BI")
_COMPRESSED, _END = 1, 2


Headers = tuple[tuple[str, str], ...]


class Head(NamedTuple):
    """A request without its body. Header names are in lower case."""

    verb: str
    headers: Mapping[str, str]
    query: str = ""


class Answer(NamedTuple):
    """An HTTP answer, or the beginning of one."""

    status: int
    headers: Headers
    body: bytes = b""


class Terms(NamedTuple):
    """What the head says for all ways of speaking.

    `deadline`: seconds until the client gives up; `read_timeout`: seconds of silence it bears; `page`: what
    the address says of paging.
    """

    deadline: float | None = None
    read_timeout: float | None = None
    page: Mapping[str, str] = MappingProxyType({})


# ---------------------------------------------------------------- unary


class Unary(NamedTuple):
    """One message in, one out. `inline` is the message of a GET."""

    codec: Codec
    terms: Terms
    gzipped: bool = False
    accepts_gzip: bool = False
    inline: bytes | None = None

    def request(self, body: bytes, kind: type[M]) -> M:
        """The message sent. Raises RpcError."""
        data = body if self.inline is None else self.inline
        message = self.codec.decode(gunzip(data) if self.gzipped else data, kind)
        _turn_page(message, self.terms.page)
        return message

    def answer(self, message: Sendable) -> Answer:
        """The whole answer."""
        body = self.codec.encode(message)
        kind = ("content-type", f"application/{self.codec.name}")
        if self.accepts_gzip and len(body) >= WORTH_GZIP:
            return sized(200, (kind, ("content-encoding", "gzip")), squeeze(body))
        return sized(200, (kind,), body)


def refusal(error: RpcError) -> Answer:
    """An error of a call not answered yet. Always JSON: a bare 404 would be read as unimplemented."""
    headers = (("content-type", "application/json"), ("x-should-retry", str(error.retry).lower()))
    return sized(error.status, (*headers, *error.headers), error.body())


def invalid(why: str) -> RpcError:
    """The request is malformed."""
    return RpcError(Code.INVALID_ARGUMENT, why)


def sized(status: int, headers: Headers, body: bytes) -> Answer:
    """A whole answer, never to be stored on the way."""
    sized = (*headers, ("content-length", str(len(body))), ("cache-control", "no-store"))
    return Answer(status, sized, body)


def _turn_page(message: Message, page: Mapping[str, str]) -> None:
    """The 0.x SDKs ask for page 2 in the address and repeat the old body beside it, so the address wins."""
    if not page or "pagination" not in message.DESCRIPTOR.fields_by_name:
        return
    pagination = getattr(message, "pagination")  # noqa: B009  # known by its descriptor, not by its type
    if "token" in page:
        pagination.token = page["token"]
    if "pageSize" in page:
        if not page["pageSize"].isdecimal() or len(page["pageSize"]) > 6:
            raise invalid(f"pageSize must be a small number, not {page['pageSize'][:20]!r}")
        pagination.page_size = int(page["pageSize"])


# ---------------------------------------------------------------- streams


class Enveloped(NamedTuple):
    """Connect's own streams: every message in an envelope, and how it ended in the last one."""

    codec: Codec
    terms: Terms
    gzip: bool = False

    def request(self, body: bytes, kind: type[M]) -> M:
        """The one message sent. Raises RpcError."""
        if len(body) < ENVELOPE.size:
            raise invalid("the body ends before the first envelope does")
        flags, size = ENVELOPE.unpack_from(body)
        data = body[ENVELOPE.size :]
        if len(data) != size:
            raise invalid(f"the body must be one envelope: it announces {size} bytes and {len(data)} follow")
        if flags & ~_COMPRESSED:
            raise invalid(f"flags {flags:#04x} of the envelope are unknown")
        if not flags & _COMPRESSED:
            return self.codec.decode(data, kind)
        if not self.gzip:
            raise invalid("the envelope is compressed, but connect-content-encoding does not say how")
        return self.codec.decode(gunzip(data), kind)

    def head(self) -> Answer:
        """What goes out before the first message."""
        headers = (("content-type", f"application/connect+{self.codec.name}"), ("cache-control", "no-store"))
        return Answer(200, headers)

    def message(self, message: Sendable) -> bytes:
        """One message."""
        return self._envelope(0, self.codec.encode(message))

    def end(self, error: RpcError | None) -> bytes:
        """The last bytes."""
        told = {} if error is None else {"error": error.told()}
        return self._envelope(_END, json.dumps(told).encode())

    def refusal(self, error: RpcError) -> Answer:
        """A stream that never began: clients expect status 200 and look for errors in the last envelope."""
        return Answer(200, self.head().headers, self.end(error))

    @staticmethod
    def _envelope(flags: int, data: bytes) -> bytes:
        return ENVELOPE.pack(flags, len(data)) + data


class Lines(NamedTuple):
    """JSON Lines: one message a line, padded. An error can only be told before the first line."""

    terms: Terms
    gzipped: bool = False

    def request(self, body: bytes, kind: type[M]) -> M:
        """The one message sent. Raises RpcError."""
        return JSON.decode(gunzip(body) if self.gzipped else body, kind)

    def head(self) -> Answer:
        """What goes out before the first line."""
        return Answer(200, (("content-type", LINES), ("cache-control", "no-store")))

    def message(self, message: Sendable) -> bytes:
        """One line, padded with spaces, which JSON does not mind."""
        line = JSON.encode(message)
        return line + b" " * (-(len(line) + 1) % LINE_UNIT) + b"\n"

    def end(self, error: RpcError | None) -> bytes:  # noqa: ARG002  # the same face as Enveloped
        """Nothing: a line that is no event would be read as one."""
        return b""

    def refusal(self, error: RpcError) -> Answer:
        """As a unary call has it."""
        return refusal(error)


Stream = Enveloped | Lines
