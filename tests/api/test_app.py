"""The whole surface: who is let in where, health, metrics, and what lies beside the methods."""

import pytest

from runner_agent.api.app import Health, build_app
from runner_agent.api.auth import Guard, Peer
from runner_agent.api.methods import Row, Write, bound_methods
from runner_agent.model.errors import Unavailable
from tests.api.transcript import OWNER, Reply, ask_as, ask_json
from tests.api.world import AGENT, TOKEN, World

STRANGER = Peer(pid=1, uid=1001, gid=1001)
METHOD = f"/{AGENT}/GetAgent"
BEARER = {"authorization": f"Bearer {TOKEN}"}


async def tcp(world: World, path: str, verb: str = "POST", **headers: str) -> Reply:
    named = {"host": "127.0.0.1:7780", "content_type": "application/json", **headers}
    return await ask_as(None, world.app, path, b"", verb=verb, **named)


async def test_the_socket_is_the_owners(world: World) -> None:
    assert (await ask_as(OWNER, world.app, METHOD)).status == 200
    reply = await ask_as(STRANGER, world.app, METHOD)
    assert (reply.status, reply.code) == (403, "permission_denied")


async def test_tcp_takes_the_token(world: World) -> None:
    assert (await tcp(world, METHOD, **BEARER)).status == 200
    for path in (METHOD, f"/api{METHOD}", "/metrics", "/logs/services/x", "/", "/nothing"):
        reply = await tcp(world, path, "GET")
        assert (reply.status, reply.code) == (401, "unauthenticated")


async def test_the_bearer_of_the_token_acts_for_the_environment(world: World) -> None:
    reply = await ask_as(
        None,
        world.app,
        "/gitpod.v1.EnvironmentAutomationService/CreateService",
        b'{"metadata":{"reference":"web","name":"Web"},"spec":{"commands":{"start":"x"}}}',
        host="localhost",
        content_type="application/json",
        **BEARER,
    )
    creator = reply.json()["service"]["metadata"]["creator"]
    assert creator["principal"] == "PRINCIPAL_ENVIRONMENT"
    assert world.store.services()[0].cause.by == "a client with the API token"


async def test_foreign_names_and_pages_are_refused_even_with_the_token(world: World) -> None:
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        reply = await tcp(world, METHOD, **BEARER, **headers)
        assert (reply.status, reply.code) == (403, "permission_denied")
    assert (await tcp(world, METHOD, **BEARER, origin="http://127.0.0.1:7780")).status == 200


async def test_health_asks_for_no_token_and_tells_nothing(world: World) -> None:
    for ready, status, told in ((True, 200, "ready"), (False, 503, "starting")):
        world.ready = ready
        health = await tcp(world, "/healthz", "GET")
        assert (health.status, health.json()) == (200, {"status": "ok"})
        readiness = await tcp(world, "/readyz", "GET")
        assert (readiness.status, readiness.json()) == (status, {"status": told})
    reply = await tcp(world, "/healthz", "GET", host="evil.example")
    assert reply.status == 403


async def test_metrics_are_prometheus_text(world: World) -> None:
    reply = await tcp(world, "/metrics", "GET", **BEARER)
    assert (reply.status, reply.body) == (200, b"# metrics\n")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_plain_pages_are_for_get(world: World, path: str) -> None:
    reply = await tcp(world, path, "POST", **BEARER)
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "unimplemented", "GET, HEAD")
    assert (await tcp(world, path, "HEAD", **BEARER)).status == 200


async def test_without_metrics_there_is_no_such_page(world: World) -> None:
    guard = Guard(TOKEN, frozenset({1000}), world.clock.now)
    app = build_app({}, guard, Health(lambda: True), world.closing, {})
    reply = await ask_as(OWNER, app, "/metrics", verb="GET")
    assert (reply.status, reply.code) == (404, "unimplemented")


async def test_calls_may_be_refused_before_they_are_heard(world: World) -> None:
    """So an agent that goes down answers questions and takes no more wishes."""

    def admit(row: Row) -> None:
        if isinstance(row, Write):
            raise Unavailable("the agent is stopping")

    guard = Guard(TOKEN, frozenset({1000}), world.clock.now)
    app = build_app(bound_methods(world.backend, admit), guard, Health(lambda: True), world.closing, {})
    assert (await ask_json(app, METHOD)).status == 200
    reply = await ask_json(app, f"/{AGENT}/FireTrigger", {"event": "prebuild"})
    assert (reply.status, reply.code, reply.headers["x-should-retry"]) == (503, "unavailable", "true")


async def test_a_failing_page_tells_nothing_of_itself(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Trap 5."""

    async def broken() -> bytes:
        raise ValueError("password=hunter2")

    guard = Guard(TOKEN, frozenset({1000}), world.clock.now)
    app = build_app({}, guard, Health(lambda: True, broken), world.closing, {})
    reply = await ask_as(OWNER, app, "/metrics", verb="GET")
    assert (reply.status, reply.code) == (500, "internal")
    assert b"hunter2" not in reply.body
    assert "hunter2" in caplog.text
