"""Tokens for logs: whom they admit, to what, and for how long."""

import json

import pytest

from runner_agent.api.app import Health, build_app
from runner_agent.api.asgi import App, Receive, Scope, Send, send_answer
from runner_agent.api.auth import BURST, Guard
from runner_agent.api.connect import sized
from runner_agent.api.log_tokens import LIFETIME, LogTokens, Verdict
from runner_agent.api.methods import bound_methods
from runner_agent.kit.virtual import VirtualClock
from tests.api.transcript import Reply, ask_as
from tests.api.world import ABSENT, ENVIRONMENT, TOKEN, World

SERVICE = "/gitpod.v1.EnvironmentService"
CREATE = f"{SERVICE}/CreateEnvironmentLogsToken"
GET = f"{SERVICE}/GetEnvironment"


@pytest.fixture
def app(world: World) -> App:
    """The API with something where the logs are."""
    guard = Guard(TOKEN, frozenset({1000}), world.clock.now, log_tokens=world.log_tokens)

    async def log(scope: Scope, _: Receive, send: Send) -> None:
        await send_answer(scope, send, sized(200, (), b"a log"))

    return build_app(
        bound_methods(world.backend), guard, Health(lambda: True), world.closing, {"/logs/": log}
    )


async def tcp(app: App, path: str, token: str, verb: str = "GET", body: bytes = b"") -> Reply:
    headers = {"host": "localhost", "authorization": f"Bearer {token}", "content_type": "application/json"}
    return await ask_as(None, app, path, body, verb=verb, **headers)


async def created(app: App, environment: str = ENVIRONMENT) -> str:
    asked = json.dumps({"environmentId": environment}).encode()
    token = (await tcp(app, CREATE, TOKEN, "POST", asked)).json()["accessToken"]
    assert isinstance(token, str)
    return token


async def test_it_reads_logs_and_nothing_else(app: App) -> None:
    token = await created(app)
    reply = await tcp(app, "/logs/services/x", token)
    assert (reply.status, reply.body) == (200, b"a log")
    for path, verb in (
        (GET, "POST"),
        (CREATE, "POST"),
        ("/metrics", "GET"),
        ("/", "GET"),
        ("/logs", "GET"),
        ("/logs/services/x", "POST"),
        ("/api/logs/services/x", "GET"),
    ):
        reply = await tcp(app, path, token, verb)
        assert (reply.status, reply.code) == (401, "unauthenticated")
        assert "opens logs only" in reply.json()["message"]


async def test_it_expires(world: World, app: App) -> None:
    token = await created(app)
    world.clock.advance(LIFETIME - 1)
    assert (await tcp(app, "/logs/services/x", token)).status == 200
    world.clock.advance(1)
    reply = await tcp(app, "/logs/services/x", token)
    assert (reply.status, reply.code) == (401, "unauthenticated")
    assert "has expired" in reply.json()["message"]


async def test_wrong_ones_count_as_wrong_tokens(app: App) -> None:
    """A guess at a token for logs is slowed like any other, and a good one always passes."""
    token = await created(app)
    replies = [await tcp(app, "/logs/services/x", f"{token}x") for _ in range(BURST + 1)]
    assert [reply.status for reply in replies] == [401] * BURST + [429]
    assert (await tcp(app, "/logs/services/x", token)).status == 200


async def test_another_environment_gets_none(world: World) -> None:
    of = "gitpod.v1.EnvironmentService"
    for method in ("CreateEnvironmentLogsToken", "GetEnvironment"):
        code, message = await world.refused(method, {"environmentId": ABSENT}, of=of)
        assert code == "not_found"
        assert ENVIRONMENT in message
    told = await world.call("GetEnvironment", {"environmentId": ENVIRONMENT.upper()}, of=of)
    assert told["environment"]["id"] == ENVIRONMENT
    assert told["environment"]["status"] == {"phase": "ENVIRONMENT_PHASE_RUNNING"}


def test_it_outlives_the_process_and_falls_with_the_agents_token() -> None:
    """Nothing is kept: an agent that starts again knows the tokens it gave."""
    clock = VirtualClock()
    token = LogTokens(TOKEN, clock.wall).issue()
    assert LogTokens(TOKEN, clock.wall).judge(token) is Verdict.GOOD
    assert LogTokens("another", clock.wall).judge(token) is Verdict.NONE
    assert TOKEN not in token


def test_a_changed_one_is_none() -> None:
    clock = VirtualClock()
    tokens = LogTokens(TOKEN, clock.wall)
    kind, expiry, mac = tokens.issue().split(".")
    for wrong in (
        f"{kind}.{int(expiry) + 1}.{mac}",
        f"{kind}.{expiry}.{mac[:-1]}",
        f"{kind}.0{expiry}.{mac}",
        f"other.{expiry}.{mac}",
        f"{kind}.{expiry}",
        f"{kind}..{mac}",
        f"{kind}.-1.{mac}",
        f"{kind}.{'9' * 400}.{mac}",
        f"{kind}.²³.{mac}",
        kind,
        "",
    ):
        assert tokens.judge(wrong) is Verdict.NONE
