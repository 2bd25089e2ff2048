"""Streams as transcripts: Connect's envelopes and JSON Lines; how they begin, go on and end."""

import asyncio
import gzip
import json

import pytest

from runner_agent.api.codec import LIMIT
from runner_agent.model.errors import InvalidArgument, Unavailable, Violation
from tests.api.stub import UUID, WATCH, Stub, WatchEventsRequest, WatchEventsResponse
from tests.api.transcript import Reply, ask, envelope, envelopes, talking

EVENT = {
    "operation": "RESOURCE_OPERATION_UPDATE",
    "resourceType": "RESOURCE_TYPE_SERVICE",
    "resourceId": UUID,
}
JSON_STREAM = {"content-type": "application/connect+json"}
LINES = {"content-type": "application/json", "accept": "application/jsonl"}
REQUEST = b'{"environmentId":""}'


async def watch(stub: Stub, body: bytes, **headers: str) -> Reply:
    """A stream that ends by itself."""
    stub.more.set()
    return await ask(stub.app, WATCH, body, **headers)


def error_of(reply: Reply) -> dict[str, object]:
    """Of a Connect stream: status 200, and the error in the last envelope."""
    assert reply.status == 200
    flags, data = envelopes(reply.body)[-1]
    assert flags == 2
    error: dict[str, object] = json.loads(data).get("error", {})
    return error


# ---------------------------------------------------------------- ways of speaking


async def test_a_connect_stream_in_json(stub: Stub) -> None:
    reply = await watch(stub, envelope(REQUEST), content_type="application/connect+json")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/connect+json")
    (event, end) = envelopes(reply.body)
    assert (event[0], json.loads(event[1])) == (0, EVENT)
    assert end == (2, b"{}")


async def test_a_connect_stream_in_proto(stub: Stub) -> None:
    body = envelope(WatchEventsRequest(environment_id="").SerializeToString())
    reply = await watch(stub, body, content_type="application/connect+proto")
    (event, end) = envelopes(reply.body)
    assert WatchEventsResponse.FromString(event[1]) == WatchEventsResponse(
        operation=2, resource_type=6, resource_id=UUID
    )
    assert end == (2, b"{}")


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "application/json", "accept": "application/jsonl"},
        {"content_type": "application/jsonl", "accept": "application/jsonl"},
        {"content_type": "application/json"},
    ],
)
async def test_json_lines(stub: Stub, headers: dict[str, str]) -> None:
    """Trap 1: every line is a multiple of 64 bytes, and no line is blank."""
    stub.events = (UUID, UUID)
    reply = await watch(stub, REQUEST, **headers)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/jsonl")
    lines = reply.body.splitlines(keepends=True)
    assert [json.loads(line) for line in lines] == [EVENT, EVENT]
    assert {len(line) % 64 for line in lines} == {0}


async def test_json_lines_without_a_body(stub: Stub) -> None:
    assert (await watch(stub, b"")).status == 200
    assert stub.asked == [WatchEventsRequest()]


@pytest.mark.parametrize(
    "kind", ["application/proto", "text/plain", "application/connect+xml", "text/event-stream"]
)
async def test_other_content_types_are_refused(stub: Stub, kind: str) -> None:
    reply = await watch(stub, REQUEST, content_type=kind)
    assert (reply.status, reply.code) == (415, "invalid_argument")


async def test_a_stream_is_not_asked_by_get(stub: Stub) -> None:
    reply = await ask(stub.app, WATCH, verb="GET", query="encoding=json&message={}")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


async def test_a_compressed_envelope(stub: Stub) -> None:
    body = envelope(gzip.compress(REQUEST), flags=1)
    reply = await watch(stub, body, content_type="application/connect+json", connect_content_encoding="gzip")
    assert error_of(reply) == {}


# ---------------------------------------------------------------- malformed requests


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0",
        envelope(REQUEST)[:-1],
        envelope(REQUEST) + b"x",
        envelope(REQUEST) * 2,
        envelope(REQUEST, flags=1),
        envelope(REQUEST, flags=2),
        envelope(b"{"),
        envelope(b'{"resourceTypeFilters":[{"resourceType":"RESOURCE_TYPE_UNICORN"}]}'),
        envelope(b'{"organization":true,"environmentId":"x"}'),
    ],
    ids=["none", "short", "cut off", "more", "two", "unnamed gzip", "end", "json", "enum", "oneof"],
)
async def test_a_malformed_request_is_told_in_the_last_envelope(stub: Stub, body: bytes) -> None:
    """Connect clients expect status 200 and look nowhere else."""
    reply = await watch(stub, body, content_type="application/connect+json")
    assert error_of(reply)["code"] == "invalid_argument"
    assert stub.asked == []


async def test_a_malformed_request_for_lines_is_told_by_the_status(stub: Stub) -> None:
    """Trap 2: later such a client only sees an empty 200."""
    reply = await watch(stub, b"{", content_type="application/json")
    assert (reply.status, reply.code) == (400, "invalid_argument")


async def test_a_request_over_the_limit_is_refused(stub: Stub) -> None:
    body = envelope(b" " * (LIMIT + 1))
    reply = await watch(stub, body, content_type="application/connect+json", content_length="")
    assert error_of(reply)["code"] == "resource_exhausted"
    bomb = envelope(gzip.compress(bytes(LIMIT + 1)), flags=1)
    reply = await watch(stub, bomb, content_type="application/connect+json", connect_content_encoding="gzip")
    assert error_of(reply)["code"] == "resource_exhausted"


async def test_refused_arguments_come_before_the_head(stub: Stub) -> None:
    """Trap 2."""
    stub.refuse_stream = InvalidArgument(Violation("organization", "not here"))
    reply = await watch(stub, envelope(REQUEST), content_type="application/connect+json")
    assert error_of(reply) == {
        "code": "invalid_argument",
        "message": "organization: not here",
        "details": [],
    }
    reply = await watch(stub, REQUEST, content_type="application/json")
    assert (reply.status, reply.code) == (400, "invalid_argument")


# ---------------------------------------------------------------- beginning, going on, ending


async def test_the_head_is_sent_before_the_first_event(stub: Stub) -> None:
    """Trap 2."""
    stub.events = ()
    async with talking(stub.app, WATCH, LINES, REQUEST) as conversation:
        head = await conversation.next()
        assert (head["type"], head["status"]) == ("http.response.start", 200)


@pytest.mark.parametrize("headers", [LINES, JSON_STREAM], ids=["lines", "connect"])
async def test_a_client_that_leaves_is_noticed_at_once(stub: Stub, headers: dict[str, str]) -> None:
    """Trap 3: its subscription ends with it."""
    body = REQUEST if headers is LINES else envelope(REQUEST)
    async with talking(stub.app, WATCH, headers, body) as conversation:
        await conversation.next()
        await conversation.next()
        assert stub.closed_streams == 0
        conversation.leave()
        await conversation.done()
    assert stub.closed_streams == 1


async def test_a_stopping_agent_says_unavailable(stub: Stub) -> None:
    """Trap 3, though the handler would go on."""
    async with talking(stub.app, WATCH, JSON_STREAM, envelope(REQUEST)) as conversation:
        await conversation.next()
        await conversation.next()
        stub.closing.set()
        async with asyncio.timeout(20):
            last = await conversation.next()
            await conversation.done()
        (end,) = envelopes(last["body"])
        assert json.loads(end[1])["error"]["code"] == "unavailable"
        assert not last.get("more_body", False)
    assert stub.closed_streams == 1


async def test_lines_of_a_stopping_agent_just_end(stub: Stub) -> None:
    """A line that is no event would be read as one."""
    async with talking(stub.app, WATCH, LINES, REQUEST) as conversation:
        await conversation.next()
        await conversation.next()
        stub.closing.set()
        last = await conversation.next()
        assert (last["body"], last.get("more_body", False)) == (b"", False)


async def test_the_deadline_ends_a_stream(stub: Stub) -> None:
    """The SDK 1.2 sends it and leaves it to the server."""
    reply = await ask(
        stub.app, WATCH, envelope(REQUEST), content_type="application/connect+json", connect_timeout_ms="20"
    )
    assert error_of(reply)["code"] == "deadline_exceeded"
    assert len(envelopes(reply.body)) == 2
    assert stub.closed_streams == 1


async def test_an_error_on_the_way_ends_a_stream(stub: Stub) -> None:
    stub.events = (UUID, Unavailable("the agent is stopping"))
    reply = await watch(stub, envelope(REQUEST), content_type="application/connect+json")
    assert error_of(reply) == {"code": "unavailable", "message": "the agent is stopping", "details": []}
    assert len(envelopes(reply.body)) == 2


async def test_a_defect_on_the_way_tells_nothing_of_itself(
    stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap 5."""
    stub.events = (ValueError("password=hunter2"),)
    reply = await watch(stub, envelope(REQUEST), content_type="application/connect+json")
    assert error_of(reply)["code"] == "internal"
    assert b"hunter2" not in reply.body
    assert "hunter2" in caplog.text


async def test_the_handler_hears_what_silence_the_client_bears(stub: Stub) -> None:
    """Trap 1."""
    for told, heard in (("60", 60.0), ("1.5", 1.5), ("", None), ("soon", None), ("0", None), ("inf", None)):
        await watch(stub, REQUEST, content_type="application/json", x_stainless_read_timeout=told)
        assert stub.calls[-1].read_timeout == heard
