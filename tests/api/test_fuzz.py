"""Whatever HTTP allows to be sent gets an answer in our words, and the connection lives on."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from runner_agent.api.app import Health, build_app
from runner_agent.api.auth import Guard
from runner_agent.api.logs import log_routes
from runner_agent.api.methods import bound_methods
from runner_agent.api.server import Server
from runner_agent.kit.inotify import Inotify
from runner_agent.logs.logbook import Logbook
from runner_agent.model.ids import ServiceId
from runner_agent.model.phases import RunRole
from tests.api.arbitrary import Sent, requests
from tests.api.line import Line
from tests.api.requests import create_service, create_task
from tests.api.served import Served, serving
from tests.api.world import TOKEN, some_metrics

IDS = tuple(f"00000000-0000-0000-0000-{number:012x}" for number in range(1, 7))
"""The first ids that the world gives."""


class Fuzzed:
    """The whole API with logs, on a loop of its own, and one line to it."""

    def __init__(self, base: Path) -> None:
        self.runner = asyncio.Runner()
        self._base, self._stack = base, AsyncExitStack()
        self.line = Line(self._connect)

    async def open(self) -> None:
        world = Served(self._base / "api.sock")
        inotify = Inotify()
        self._stack.callback(inotify.close)
        routes = log_routes(world.store, Logbook(world.log_files, inotify), world.closing)
        guard = Guard(TOKEN, frozenset({0, 1000}), world.clock.now, log_tokens=world.log_tokens)
        health = Health(lambda: True, some_metrics)
        app = build_app(bound_methods(world.backend), guard, health, world.closing, routes)
        await self._stack.enter_async_context(
            serving(world, Server(app, [world.unix, world.tcp], world.closing))
        )
        service = await create_service(world)
        log = world.log_files.service(ServiceId(service), RunRole.START)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"a line\n" * 100)
        task = await create_task(world)
        await world.call("StartTask", {"id": task})

    async def _connect(self) -> Any:
        return await asyncio.open_unix_connection(str(self._base / "api.sock"))

    async def close(self) -> None:
        await self.line.close()
        await self._stack.aclose()


@pytest.fixture
def fuzzed(scratch: Path) -> Iterator[Fuzzed]:
    fuzzed = Fuzzed(scratch)
    with fuzzed.runner:
        fuzzed.runner.run(fuzzed.open())
        yield fuzzed
        fuzzed.runner.run(fuzzed.close())


def test_every_request_is_answered_and_the_connection_lives(
    fuzzed: Fuzzed, caplog: pytest.LogCaptureFixture
) -> None:
    """Trap 4, on everything at once: no 500, no `internal`, nothing in the log, and one line for all."""

    @settings(
        max_examples=200,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        database=None,
    )
    @given(sent=requests(IDS))
    def ask(sent: Sent) -> None:
        fuzzed.runner.run(fuzzed.line.ask(sent))

    with caplog.at_level(logging.ERROR):
        ask()
    assert [record.getMessage() for record in caplog.records] == []
    assert {200, 400, 404, 415} <= set(fuzzed.line.statuses), fuzzed.line.statuses
