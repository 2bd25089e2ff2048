"""Requests of every kind: of all methods, in all ways of speaking, whole, bent and broken."""

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from runner_agent.api.methods import METHODS, Row
from runner_agent.api.schema import message_type, request_type, service
from tests.api.transcript import envelope

UUID = "0199a000-0000-7000-8000-00000000000a"
TEXTS = st.sampled_from(
    [
        *("", UUID, UUID.upper(), UUID[:-1], f"{{{UUID}}}", UUID.replace("-", ""), UUID + "\n"),
        *("web", "a b", "web\n", "wéb", "a" * 128, "a" * 129, "x" * 4096, "x" * 4097, "ü" * 4096, "ü" * 128),
        *("manual", "postEnvironmentStart", "postDevcontainerStart", "prebuild", "Manual", "beforeSnapshot"),
        *("postMachineStart", "default", "editor", "ai-agent", "security-agent", " ", "\0"),
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters='"'), max_size=4)
NUMBERS = st.sampled_from([-1, 0, 1, 25, 99, 100, 101, 2**31 - 1, -(2**31)])
ENUMS = st.integers(-1, 9) | st.just(77)
COUNTS = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 25, 26])

Texts = SearchStrategy[str]


# ---------------------------------------------------------------- messages


@st.composite
def messages(draw: DrawFn, kind: str, texts: Texts = TEXTS) -> Message:
    """Of one of our types, each field absent, plain or at the edge of its rule."""
    message: Any = message_type(kind)()
    fill(draw, message, texts)
    return message  # type: ignore[no-any-return]


def fill(draw: DrawFn, message: Any, texts: Texts) -> None:
    for field in message.DESCRIPTOR.fields:
        nested = field.message_type
        if nested is not None and nested.GetOptions().map_entry:
            fill_map(draw, getattr(message, field.name), nested, texts)
        elif isinstance(field.default_value, list) or (nested is not None and not field.has_presence):
            fill_list(draw, getattr(message, field.name), field, texts)
        elif not draw(st.booleans()):
            continue
        elif nested is not None:
            getattr(message, field.name).SetInParent()
            fill_one(draw, getattr(message, field.name), texts)
        else:
            setattr(message, field.name, draw(scalar(field, texts)))


def fill_one(draw: DrawFn, message: Any, texts: Texts) -> None:
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Duration":
            message.seconds = draw(st.sampled_from([-1, 0, 1, 86399, 86400, 86401]))
            nanos = draw(st.sampled_from([0, 0, 1, 500_000_000]))
            message.nanos = -nanos if message.seconds < 0 else nanos
        case "google.protobuf.Timestamp":
            message.seconds = 1
        case _:
            fill(draw, message, texts)


def fill_list(draw: DrawFn, items: Any, field: Any, texts: Texts) -> None:
    count = draw(COUNTS)
    if field.message_type is None:
        drawn = [draw(scalar(field, texts)) for _ in range(min(count, 3))]
        items.extend((drawn * count)[:count])
    else:
        for _ in range(min(count, 2)):
            fill_one(draw, items.add(), texts)


def fill_map(draw: DrawFn, entries: Any, nested: Any, texts: Texts) -> None:
    value = nested.fields_by_name["value"]
    for key in draw(st.lists(texts, max_size=2)):
        if value.message_type is None:
            entries[key] = draw(scalar(value, texts))
        else:
            fill_one(draw, entries[key], texts)


def scalar(field: Any, texts: Texts) -> SearchStrategy[Any]:
    if field.enum_type is not None:
        return ENUMS
    match field.cpp_type:
        case field.CPPTYPE_STRING:
            return texts
        case field.CPPTYPE_BOOL:
            return st.booleans()
        case field.CPPTYPE_UINT64 | field.CPPTYPE_UINT32:
            return st.integers(0, 3)
        case _:
            return NUMBERS


# ---------------------------------------------------------------- requests


class Sent(NamedTuple):
    """A request that HTTP allows, whatever it means."""

    verb: str
    target: str
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Cut where it is long: Hypothesis makes one of each example."""
        fields = (self.verb, self.target, self.headers, self.body)
        return f"Sent({', '.join(repr(each)[:1000] for each in fields)})"

    def on_the_wire(self) -> bytes:
        """As bytes; the length is always right."""
        headers = {"host": "localhost", **self.headers, "content-length": str(len(self.body))}
        lines = [
            f"{self.verb} {self.target} HTTP/1.1",
            *(f"{name}: {text}" for name, text in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1s", UUID]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "metadata", "spec", "filter", "name", "x", "pagination"]), inner
        )
    ),
    max_leaves=6,
)
ODD = st.sampled_from(
    ["", "0", "1", "-1", "2", "x", "99999999999", "1e3", "²", "nan", "inf", "0.001", "5000"]
)
PREFIXES = st.sampled_from(["", "", "", "/api", "/api/api", "/", "/x"])
VERBS = st.sampled_from(["POST", "POST", "POST", "POST", "GET", "HEAD", "PUT", "OPTIONS", "BREW"])
TYPES = (
    *("application/proto", "application/json", "application/jsonl", "application/connect+proto"),
    *("application/connect+json", "application/json; charset=utf-8", "APPLICATION/JSON", "text/plain", ""),
    *("application/json; charset=latin-1", "application/grpc", "application/proto;x", "multipart/form-data"),
)
NAMES = {
    "connect-timeout-ms": ODD,
    "connect-protocol-version": ODD,
    "x-stainless-read-timeout": ODD,
    "accept-encoding": st.sampled_from(["gzip", "gzip;q=0", "br, gzip", "*", ";;,", "identity"]),
    "accept": st.sampled_from(["application/jsonl", "*/*", "x"]),
    "content-encoding": st.sampled_from(["gzip", "identity", "br", "GZIP", "gzip, gzip"]),
    "connect-content-encoding": st.sampled_from(["gzip", "identity", "br"]),
    "range": st.sampled_from(
        ["bytes=0-", "bytes=-1", "bytes=5-2", "bytes=0-0,2-3", "lines=1-", "bytes=-", "²"]
    ),
    "origin": st.sampled_from(["http://evil.example", "null"]),
}


@st.composite
def requests(draw: DrawFn, ids: Sequence[str] = (), without: frozenset[str] = frozenset()) -> Sent:
    """To any address of ours; `ids` exist there. Methods named in `without` are spared."""
    headers = {
        name: draw(NAMES[name])
        for name in draw(st.lists(st.sampled_from(sorted(NAMES)), max_size=3, unique=True))
    }
    if draw(st.integers(0, 5)) == 0:
        return Sent(draw(VERBS | st.just("GET")), draw(log_targets(ids)), headers, b"")
    texts = st.sampled_from([*ids, UUID]) | TEXTS
    row = draw(st.sampled_from([row for row in METHODS if row.name not in without]))
    kind = request_type(service(row.service).methods_by_name[row.name]).DESCRIPTOR.full_name
    message = draw(messages(kind, texts))
    if draw(st.integers(0, 7)) == 0:
        return Sent("GET", draw(gets(row, message)), headers, b"")
    headers["content-type"] = draw(st.sampled_from(TYPES))
    body = draw(bodies(message, headers))
    return Sent(draw(VERBS), f"{draw(PREFIXES)}/{row.service}/{row.name}", headers, body)


@st.composite
def log_targets(draw: DrawFn, ids: Sequence[str]) -> str:
    """Of logs, and of what only looks so."""
    kind = draw(st.sampled_from(["services", "executions", "tasks", "", "..", "%2e%2e", "%00", "%ff"]))
    query = "&".join(
        f"{name}={quote(draw(ODD | st.sampled_from(['start', 'ready', 'stop', 'false', UUID])))}"
        for name in draw(
            st.lists(st.sampled_from(["offset", "tail", "role", "step", "follow", "x", "offset"]), max_size=4)
        )
    )
    return f"/logs/{kind}/{draw(st.sampled_from([*ids, UUID, '', 'x/y', '%2F']))}?follow=false&{query}"


@st.composite
def gets(draw: DrawFn, row: Row, message: Message) -> str:
    """Connect GET, its parts present or not."""
    encoding = draw(st.sampled_from(["json", "proto", "", "xml"]))
    data = message.SerializeToString() if encoding == "proto" else json_format.MessageToJson(message).encode()
    parts = {"encoding": encoding, "message": quote(data), "connect": draw(st.sampled_from(["v1", "v2", ""]))}
    if draw(st.booleans()):
        parts |= {"message": base64.urlsafe_b64encode(data).decode(), "base64": quote(draw(ODD))}
    if draw(st.booleans()):
        parts |= {"compression": draw(st.sampled_from(["gzip", "", "br"]))}
    left = draw(st.lists(st.sampled_from(sorted(parts)), unique=True, max_size=2))
    query = "&".join(f"{name}={text}" for name, text in parts.items() if name not in left)
    return f"{draw(PREFIXES)}/{row.service}/{row.name}?{query}"


@st.composite
def bodies(draw: DrawFn, message: Message, headers: dict[str, str]) -> bytes:
    """A message as its headers say; then perhaps not quite."""
    kind = headers["content-type"].lower()
    match draw(st.integers(0, 5)):
        case 0:
            body = draw(st.binary(max_size=60))
        case 1:
            body = json.dumps(draw(TREES)).encode()
        case _ if "proto" in kind:
            body = message.SerializeToString()
        case _:
            body = json_format.MessageToJson(message).encode()
    zipped = "gzip" in (headers.get("content-encoding", "") + headers.get("connect-content-encoding", ""))
    if zipped and draw(st.booleans()):
        body = gzip.compress(body)
    if "connect+" in kind and draw(st.integers(0, 5)):
        body = envelope(body, flags=draw(st.sampled_from([0, 0, 0, 1, 2, 0x80])))
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(max_size=4)) + body[at + draw(st.integers(0, 4)) :]
    return body
