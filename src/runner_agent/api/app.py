"""The whole HTTP surface as one ASGI application: the methods, the logs, health and metrics."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, cast

from runner_agent.api.asgi import (
    App,
    Receive,
    Scope,
    Send,
    check_size_of_head,
    head_of,
    headers_of,
    hearing_out,
    send_answer,
)
from runner_agent.api.auth import Guard, Peer, Reaches
from runner_agent.api.connect import Answer, Head, refusal, sized
from runner_agent.api.negotiate import wrong_verb
from runner_agent.api.rpc import Count, Method, Rpc, tell, uncounted
from runner_agent.api.rulebook import check

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""No credentials asked, nothing told."""

LOGS = "/logs/"
"""Where logs are; see `logs`."""

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health(NamedTuple):
    """What the plain routes ask. `metrics` gives Prometheus text."""

    ready: Callable[[], bool]
    metrics: Callable[[], Awaitable[bytes]] | None = None


Pages = Callable[[str], App | None]
"""What anybody may ask for, by path. It tells no secrets, or looks itself who asks."""


def no_pages(_path: str) -> App | None:
    """The Pages that has none."""
    return None


def build_app(
    methods: Mapping[str, Method],
    guard: Guard,
    health: Health,
    closing: asyncio.Event,
    trees: Mapping[str, App],
    count: Count = uncounted,
    pages: Pages = no_pages,
) -> App:
    """`closing` ends all streams. `trees` are further routes, by the prefix of their paths."""
    rpc = Rpc(methods, check, closing, count)
    paths = _plain_paths(health)

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        path = cast(str, scope["path"])
        app = paths.get(path) or pages(path)
        if app is None:
            app = next((tree for prefix, tree in trees.items() if path.startswith(prefix)), rpc)
        await app(scope, receive, send)

    return _guarded(route, guard, pages)


def _guarded(app: App, guard: Guard, pages: Pages) -> App:
    """Nobody passes without the guard's word."""

    async def gate(scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        receive, send = hearing_out(scope, headers, receive, send)
        peer = cast("Peer | None", scope["state"].get("peer"))
        try:
            check_size_of_head(scope)
            guard.check_site(headers, peer)
            path = cast(str, scope["path"])
            if path not in OPEN_PATHS and pages(path) is None:
                scope["state"]["caller"] = guard.admit(peer, headers, _reached(scope))
        except Exception as error:  # noqa: BLE001  # whatever it is, the client gets an answer
            await send_answer(scope, send, refusal(tell(error)))
            return
        await app(scope, receive, send)

    return gate


def _reached(scope: Scope) -> Reaches:
    logs = scope["method"] == "GET" and cast(str, scope["path"]).startswith(LOGS)
    return Reaches.LOGS if logs else Reaches.ANYTHING


def _plain_paths(health: Health) -> dict[str, App]:
    async def healthz(_: Head) -> Answer:
        return _json(200, {"status": "ok"})

    async def readyz(_: Head) -> Answer:
        return _json(200, {"status": "ready"}) if health.ready() else _json(503, {"status": "starting"})

    paths = {"/healthz": _get(healthz), "/readyz": _get(readyz)}
    tell_metrics = health.metrics
    if tell_metrics is not None:

        async def metrics(_: Head) -> Answer:
            return sized(200, (("content-type", METRICS_TYPE),), await tell_metrics())

        paths["/metrics"] = _get(metrics)
    return paths


def _get(answer: Callable[[Head], Awaitable[Answer]]) -> App:
    async def app(scope: Scope, _: Receive, send: Send) -> None:
        head = head_of(scope)
        try:
            # Some probes look at the status alone; the server cuts the body.
            if head.verb not in ("GET", "HEAD"):
                raise wrong_verb("GET, HEAD")
            told = await answer(head)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client gets an answer
            told = refusal(tell(error))
        await send_answer(scope, send, told)

    return app


def _json(status: int, value: object) -> Answer:
    return sized(status, (("content-type", "application/json"),), json.dumps(value).encode())
