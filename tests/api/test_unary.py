"""Unary calls as transcripts: content types, sizes, deadlines, paging, and every class of error."""

import base64
import gzip
import json
import zlib
from urllib.parse import quote

import pytest

from runner_agent.api.codec import LIMIT
from runner_agent.api.errors import CODES, STATUS, Code, RpcError
from runner_agent.model import errors
from runner_agent.model.errors import InvalidArgument, NotFound, RunnerError, Unavailable, Violation
from tests.api.bomb import gzip_bomb
from tests.api.stub import (
    CREATE,
    GET,
    LIST,
    UUID,
    GetServiceRequest,
    GetServiceResponse,
    ListServicesRequest,
    Stub,
)
from tests.api.transcript import Reply, ask, ask_json

GET_JSON = json.dumps({"id": UUID}).encode()
GET_PROTO = GetServiceRequest(id=UUID).SerializeToString()
ZIPPED = base64.urlsafe_b64encode(gzip.compress(GET_PROTO)).decode()


def service_of(reply: Reply) -> dict[str, object]:
    assert reply.status == 200
    service: dict[str, object] = reply.json()["service"]
    return service


# ---------------------------------------------------------------- content types


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
async def test_json_is_answered_in_json(stub: Stub, kind: str) -> None:
    reply = await ask(stub.app, GET, GET_JSON, content_type=kind)
    assert reply.headers["content-type"] == "application/json"
    assert service_of(reply)["id"] == UUID


async def test_proto_is_answered_in_proto(stub: Stub) -> None:
    reply = await ask(stub.app, GET, GET_PROTO, content_type="application/proto")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/proto")
    answer = GetServiceResponse.FromString(reply.body)
    assert answer == GetServiceResponse(
        service={"id": UUID, "environment_id": UUID, "metadata": {"name": "Web", "reference": "web"}}
    )


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/grpc",
        "application/connect+json",
        "application/jsonl",
        "*/*",
    ],
)
async def test_other_content_types_are_refused(stub: Stub, kind: str) -> None:
    """Trap 7: text/plain above all, since a foreign page may send it without asking first."""
    reply = await ask(stub.app, GET, GET_JSON, content_type=kind)
    assert (reply.status, reply.code) == (415, "invalid_argument")
    assert reply.headers["accept-post"] == "application/json, application/proto"
    assert stub.asked == []


async def test_a_body_without_a_content_type_is_refused(stub: Stub) -> None:
    reply = await ask(stub.app, GET, GET_JSON)
    assert (reply.status, reply.code) == (415, "invalid_argument")


async def test_no_body_and_no_content_type_is_an_empty_message(stub: Stub) -> None:
    """So the SDK for TypeScript calls a method without arguments."""
    reply = await ask(stub.app, LIST)
    assert (reply.status, reply.body) == (200, b"{}")
    assert stub.asked == [ListServicesRequest()]


@pytest.mark.parametrize("body", [b"", b"{}", b" {} "])
async def test_an_empty_json_body_is_an_empty_message(stub: Stub, body: bytes) -> None:
    assert (await ask(stub.app, LIST, body, content_type="application/json")).status == 200
    assert stub.asked == [ListServicesRequest()]


# ---------------------------------------------------------------- Connect GET


@pytest.mark.parametrize(
    "query",
    [
        f"connect=v1&encoding=json&message={quote(GET_JSON)}",
        f"encoding=json&message={quote(GET_JSON)}",
        f"encoding=json&base64=1&message={base64.urlsafe_b64encode(GET_JSON).decode().rstrip('=')}",
        f"encoding=proto&base64=1&message={base64.urlsafe_b64encode(GET_PROTO).decode()}",
        f"encoding=proto&message={quote(GET_PROTO)}",
        f"encoding=proto&compression=gzip&base64=1&message={ZIPPED}",
    ],
)
async def test_a_read_may_be_asked_by_get(stub: Stub, query: str) -> None:
    reply = await ask(stub.app, GET, verb="GET", query=query)
    assert reply.status == 200
    assert stub.asked == [GetServiceRequest(id=UUID)]
    kind = "application/json" if "encoding=json" in query else "application/proto"
    assert reply.headers["content-type"] == kind


async def test_nothing_changes_by_get(stub: Stub) -> None:
    reply = await ask(stub.app, CREATE, verb="GET", query="encoding=json&message={}")
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "unimplemented", "POST")
    assert stub.asked == []


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "OPTIONS", "HEAD"])
async def test_other_verbs_are_refused(stub: Stub, verb: str) -> None:
    reply = await ask(stub.app, GET, verb=verb, content_type="application/json")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("encoding=json&base64=1&message=%%%", 400),
        ("encoding=json&base64=1&message=a", 400),
        ("encoding=xml&message={}", 415),
        ("message={}", 415),
        ("connect=v2&encoding=json&message={}", 400),
        ("encoding=json&compression=br&message={}", 501),
    ],
)
async def test_a_malformed_get_is_refused(stub: Stub, query: str, status: int) -> None:
    reply = await ask(stub.app, GET, verb="GET", query=query)
    assert reply.status == status
    assert reply.code


# ---------------------------------------------------------------- malformed messages


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"pagination":' + b"[" * 100_000,
        b'{"pagination":5}',
        b'{"pagination":{"pageSize":"many"}}',
        b'{"pagination":{"pageSize":NaN}}',
        b'{"pagination":{"pageSize":1e400}}',
        b'{"pagination":{"pageSize":99999999999}}',
        b'{"pagination":{"token":5}}',
        b'{"pagination":{"token":"\\ud800"}}',
        b'{"filter":{"references":"web"}}',
        b'{"filter":{"references":[5]}}',
        b'{"filter":{"roles":["SERVICE_ROLE_CLOWN"]}}',
    ],
    ids=lambda body: str(body[:24]),
)
async def test_malformed_json_is_the_clients_fault(stub: Stub, body: bytes) -> None:
    """Trap 4."""
    reply = await ask(stub.app, LIST, body, content_type="application/json")
    assert (reply.status, reply.code) == (400, "invalid_argument")
    assert stub.asked == []


async def test_malformed_proto_is_the_clients_fault(stub: Stub) -> None:
    for body in (b"\xff", b"\x0a\xff", b"\x0a\x02\xff\xff"):
        reply = await ask(stub.app, GET, body, content_type="application/proto")
        assert (reply.status, reply.code) == (400, "invalid_argument")


async def test_unknown_json_fields_are_ignored(stub: Stub) -> None:
    """Trap 4: a newer client may send what we do not know yet, at any depth."""
    body = {"id": UUID, "new": {"a": [1]}, "metadata": {"name": "x"}}
    assert (await ask_json(stub.app, GET, body)).status == 200
    nested = {"filter": {"references": ["web"], "since": "now"}, "pagination": {"pageSize": 5, "sort": "age"}}
    assert (await ask_json(stub.app, LIST, nested)).status == 200
    expected = ListServicesRequest(filter={"references": ["web"]}, pagination={"page_size": 5})
    assert stub.asked[1] == expected


async def test_unknown_enum_names_are_not_ignored(stub: Stub) -> None:
    """Trap 4: leaving out what was asked for would do something else."""
    metadata = {"reference": "web", "name": "Web", "role": "SERVICE_ROLE_CLOWN"}
    reply = await ask_json(stub.app, CREATE, {"metadata": metadata})
    assert (reply.status, reply.code) == (400, "invalid_argument")
    assert "SERVICE_ROLE_CLOWN" in reply.json()["message"]


async def test_both_members_of_a_oneof_are_refused(stub: Stub) -> None:
    """Trap 4."""
    runs_on = {"machine": {}, "docker": {"image": "alpine"}}
    reply = await ask_json(stub.app, CREATE, {"spec": {"runsOn": runs_on}})
    assert (reply.status, reply.code) == (400, "invalid_argument")
    assert "target" in reply.json()["message"]


async def test_both_spellings_of_a_field_are_known(stub: Stub) -> None:
    for body in ({"pagination": {"pageSize": 7}}, {"pagination": {"page_size": 7}}):
        await ask_json(stub.app, LIST, body)
    assert stub.asked == [ListServicesRequest(pagination={"page_size": 7})] * 2


async def test_every_broken_rule_is_named_with_its_field(stub: Stub) -> None:
    """Rule 1.3."""
    request = {
        "environmentId": "here",
        "metadata": {"reference": "a b", "name": ""},
        "spec": {"desiredPhase": 99, "readinessTimeout": "90000s"},
    }
    reply = await ask_json(stub.app, CREATE, request)
    assert (reply.status, reply.code) == (400, "invalid_argument")
    message = reply.json()["message"]
    for told in (
        "environment_id: must be a UUID or empty (string.uuid), not 'here'",
        "metadata.reference: must match ^[a-zA-Z0-9_-]{1,128}$ (string.pattern), not 'a b'",
        "metadata.name: must not be empty (string.min_len), not ''",
        "spec.desired_phase: must be a value the enum defines (enum.defined_only), not 99",
        "spec.readiness_timeout: must be at most 86400 (lte), not 90000.0",
    ):
        assert told in message
    assert stub.asked == []


# ---------------------------------------------------------------- compression and size


async def test_gzip_is_understood_and_answered_when_it_pays(stub: Stub) -> None:
    """Trap 11."""
    packed = gzip.compress(GET_JSON)
    small = await ask(
        stub.app,
        GET,
        packed,
        content_type="application/json",
        content_encoding="gzip",
        accept_encoding="gzip",
    )
    assert "content-encoding" not in small.headers
    assert service_of(small)["id"] == UUID
    stub.service_name = "Web " * 1000
    for accepted in ("gzip", "br;q=1, gzip;q=0.5", "deflate, GZIP"):
        large = await ask_json(stub.app, GET, {"id": UUID}, accept_encoding=accepted)
        assert large.headers["content-encoding"] == "gzip"
        assert len(large.body) < 400
        assert service_of(large)["metadata"] == {"name": stub.service_name, "reference": "web"}
    for refused in ("", "identity", "gzip;q=0", "gzip; q=0.0", "br"):
        assert (
            "content-encoding"
            not in (await ask_json(stub.app, GET, {"id": UUID}, accept_encoding=refused)).headers
        )


@pytest.mark.parametrize(
    "body",
    [
        b"not gzip",
        gzip.compress(GET_JSON)[:-4],
        gzip.compress(GET_JSON) + b"more",
        gzip.compress(GET_JSON) * 2,
        zlib.compress(GET_JSON),
        b"",
    ],
    ids=["plain", "cut off", "trailing", "two", "zlib", "nothing"],
)
async def test_malformed_gzip_is_the_clients_fault(stub: Stub, body: bytes) -> None:
    """Trap 4."""
    reply = await ask(stub.app, GET, body, content_type="application/json", content_encoding="gzip")
    assert (reply.status, reply.code) == (400, "invalid_argument")


async def test_an_unknown_compression_is_named(stub: Stub) -> None:
    reply = await ask(stub.app, GET, b"x", content_type="application/json", content_encoding="br")
    assert (reply.status, reply.code) == (501, "unimplemented")
    assert "gzip" in reply.json()["message"]


async def test_a_gzip_bomb_costs_no_more_than_the_limit(stub: Stub) -> None:
    """Trap 5: 100 MB of zeros in 100 kB."""
    bomb = gzip_bomb()
    assert len(bomb) < 200_000
    reply = await ask(stub.app, GET, bomb, content_type="application/json", content_encoding="gzip")
    assert (reply.status, reply.code, reply.headers["x-should-retry"]) == (429, "resource_exhausted", "false")


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_refused(stub: Stub, announced: bool) -> None:
    """Trap 5, whether or not the client says beforehand how much it is going to send."""
    body = b" " * (LIMIT + 100)
    length = (
        {"content_length": str(len(body))}
        if announced
        else {"content_length": "", "transfer_encoding": "chunked"}
    )
    reply = await ask(stub.app, LIST, body, content_type="application/json", **length)
    assert (reply.status, reply.code) == (429, "resource_exhausted")


async def test_a_body_of_the_limit_is_accepted(stub: Stub) -> None:
    body = b"{}" + b" " * (LIMIT - 2)
    assert (await ask(stub.app, LIST, body, content_type="application/json")).status == 200


# ---------------------------------------------------------------- deadline


async def test_the_deadline_is_kept(stub: Stub) -> None:
    stub.delay = 30.0
    reply = await ask_json(stub.app, GET, {"id": UUID}, connect_timeout_ms="10")
    assert (reply.status, reply.code, reply.headers["x-should-retry"]) == (504, "deadline_exceeded", "false")


async def test_a_timeout_of_the_handlers_own_is_no_deadline(stub: Stub) -> None:
    stub.fail = TimeoutError("inner workings")
    reply = await ask_json(stub.app, GET, {"id": UUID}, connect_timeout_ms="10000")
    assert (reply.status, reply.code) == (500, "internal")


@pytest.mark.parametrize("deadline", ["soon", "-1", "1.5", "12345678901", "١"])
async def test_a_malformed_deadline_is_refused(stub: Stub, deadline: str) -> None:
    scope_safe = deadline.encode("utf-8").decode("latin-1")
    reply = await ask_json(stub.app, GET, {"id": UUID}, connect_timeout_ms=scope_safe)
    assert (reply.status, reply.code) == (400, "invalid_argument")


async def test_another_protocol_version_is_refused(stub: Stub) -> None:
    assert (await ask_json(stub.app, GET, {"id": UUID}, connect_protocol_version="1")).status == 200
    reply = await ask_json(stub.app, GET, {"id": UUID}, connect_protocol_version="2")
    assert (reply.status, reply.code) == (400, "invalid_argument")


# ---------------------------------------------------------------- paging in the address


async def test_the_page_of_the_address_wins(stub: Stub) -> None:
    """The 0.x SDKs ask for page 2 in the address, with the body of page 1 beside it: else they never end."""
    body = json.dumps({"pagination": {"token": "one", "pageSize": 5}}).encode()
    reply = await ask(stub.app, LIST, body, query="token=two&pageSize=9", content_type="application/json")
    assert reply.status == 200
    assert stub.asked == [ListServicesRequest(pagination={"token": "two", "page_size": 9})]


@pytest.mark.parametrize("size", ["101", "-1", "many", "99999999999", ""])
async def test_a_page_size_of_the_address_obeys_the_rules(stub: Stub, size: str) -> None:
    reply = await ask(
        stub.app, LIST, b"{}", query=f"token=t&pageSize={size}", content_type="application/json"
    )
    expected = 200 if size == "" else 400
    assert reply.status == expected


async def test_a_method_without_pages_ignores_the_address(stub: Stub) -> None:
    reply = await ask(stub.app, GET, GET_JSON, query="token=two", content_type="application/json")
    assert reply.status == 200


# ---------------------------------------------------------------- addresses


async def test_methods_are_served_with_and_without_the_prefix(stub: Stub) -> None:
    for prefix in ("", "/api"):
        assert (await ask_json(stub.app, prefix + GET, {"id": UUID})).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/favicon.ico",
        "/api",
        "/api/api" + GET,
        GET + "/",
        GET.lower(),
        GET[1:],
        "/gitpod.v1.Nothing/Get",
    ],
)
async def test_an_unknown_address_is_unimplemented(stub: Stub, path: str) -> None:
    """Trap 6: in JSON; clients take a bare 404 for the same."""
    reply = await ask_json(stub.app, path, {"id": UUID})
    assert (reply.status, reply.code) == (404, "unimplemented")


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("code", list(Code), ids=lambda code: str(code.value))
async def test_a_code_has_its_status(stub: Stub, code: Code) -> None:
    """Trap 6."""
    stub.fail = RpcError(code, "because")
    reply = await ask_json(stub.app, GET, {"id": UUID})
    assert reply.status == STATUS[code]
    assert reply.code == code.value
    assert reply.json() == {"code": code.value, "message": "because", "details": []}
    assert reply.headers["x-should-retry"] == ("true" if code is Code.UNAVAILABLE else "false")


def kinds_of_error() -> list[type[RunnerError]]:
    return [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RunnerError)
    ]


def test_every_error_of_the_model_has_a_code() -> None:
    assert {kind for kind in kinds_of_error() if kind is not RunnerError} == set(CODES)


async def test_errors_of_the_model_are_told_in_their_words(stub: Stub) -> None:
    stub.fail = NotFound("no service has the id 5")
    reply = await ask_json(stub.app, GET, {"id": UUID})
    assert (reply.status, reply.code) == (404, "not_found")
    assert reply.json()["message"] == "no service has the id 5"
    stub.fail = InvalidArgument(
        Violation("spec.commands.start", "must not be empty"), Violation("", "and so on")
    )
    reply = await ask_json(stub.app, GET, {"id": UUID})
    assert reply.json()["message"] == "spec.commands.start: must not be empty; and so on"
    stub.fail = Unavailable("starting")
    assert (await ask_json(stub.app, GET, {"id": UUID})).status == 503


async def test_a_defect_tells_nothing_of_itself(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    """Trap 5: the client hears `internal`, the log has the rest."""
    stub.fail = ValueError("password=hunter2")
    reply = await ask_json(stub.app, GET, {"id": UUID})
    assert (reply.status, reply.code) == (500, "internal")
    assert b"hunter2" not in reply.body
    assert "hunter2" in caplog.text


async def test_answers_are_never_stored_on_the_way(stub: Stub) -> None:
    assert (await ask_json(stub.app, GET, {"id": UUID})).headers["cache-control"] == "no-store"
    assert (await ask_json(stub.app, GET, {"id": "x"})).headers["cache-control"] == "no-store"
