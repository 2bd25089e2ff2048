"""WatchEvents over the memory store: what is told of which change, and signs of life."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from runner_agent.api import watch
from runner_agent.control.drafts import ServicePatch
from runner_agent.store.base import Transaction, Watch
from tests.api.requests import bring_up, create_service, create_task
from tests.api.transcript import Conversation, Reply, ask_json, talking
from tests.api.world import ABSENT, AGENT, ENVIRONMENT, World

PATH = "/gitpod.v1.EventService/WatchEvents"
SIGN_OF_LIFE = {
    "operation": "RESOURCE_OPERATION_UPDATE_STATUS",
    "resourceType": "RESOURCE_TYPE_ENVIRONMENT",
    "resourceId": ENVIRONMENT,
}


class Watching:
    """A watch that stands."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.lines: list[bytes] = []

    async def next(self) -> dict[str, str]:
        """The next event, whole; more may have come with it."""
        if not self.lines:
            self.lines = (await self.conversation.next())["body"].splitlines()
        event: dict[str, str] = json.loads(self.lines.pop(0))
        return event

    async def told(self) -> tuple[str, str, str]:
        """The next event in short."""
        event = await self.next()
        operation = event["operation"].removeprefix("RESOURCE_OPERATION_")
        return operation, event["resourceType"].removeprefix("RESOURCE_TYPE_"), event["resourceId"]


@asynccontextmanager
async def watching(world: World, **headers: str) -> AsyncGenerator[Watching]:
    """Over JSON Lines, behind the first sign of life."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = {"content-type": "application/json", "accept": "application/jsonl", **named}
    async with talking(world.app, PATH, request, b"{}") as conversation:
        assert (await conversation.next())["status"] == 200
        stream = Watching(conversation)
        assert await stream.next() == SIGN_OF_LIFE
        yield stream


async def refuse(world: World, request: Any) -> Reply:
    return await ask_json(world.app, PATH, request)


async def test_a_sign_of_life_comes_at_once(world: World) -> None:
    """Trap 1: once it came the watch stands, so a get after it misses nothing."""
    async with watching(world) as stream:
        id_ = await create_service(world)
        assert await stream.told() == ("CREATE", "SERVICE", id_)


async def test_what_is_told_of_a_service(world: World) -> None:
    id_ = await create_service(world)
    async with watching(world) as stream:
        await world.call("UpdateService", {"id": id_, "metadata": {"name": "New"}})
        assert await stream.told() == ("UPDATE", "SERVICE", id_)
        await world.call("StartService", {"id": id_})
        assert await stream.told() == ("UPDATE", "SERVICE", id_)
        await bring_up(world, id_)
        assert await stream.told() == ("UPDATE_STATUS", "SERVICE", id_)
        service = world.store.services()[0]
        await world.store.write(lambda tx: tx.delete(service.key), durable=False)
        assert await stream.told() == ("DELETE", "SERVICE", id_)


async def test_what_is_told_of_tasks_and_executions(world: World) -> None:
    """Steps and firings are the agent's own affair."""
    async with watching(world) as stream:
        task = await create_task(world)
        assert await stream.told() == ("CREATE", "TASK", task)
        execution = (await world.call("StartTask", {"id": task}))["taskExecution"]["id"]
        assert await stream.told() == ("CREATE", "TASK_EXECUTION", execution)
        await world.call("FireTrigger", {"event": "prebuild"}, of=AGENT)
        await world.call("StopTaskExecution", {"id": execution})
        assert await stream.told() == ("UPDATE", "TASK_EXECUTION", execution)


async def test_a_slow_watcher_sees_the_latest_only(world: World) -> None:
    """Trap 3: a hundred changes of one thing that nobody looked at are one event."""
    id_ = await create_service(world)
    async with watching(world) as stream:
        stream.conversation.reading.clear()
        for number in range(100):
            await world.commands.services.update(id_, ServicePatch(name=f"n{number}"))
        stream.conversation.reading.set()
        other = await create_service(world, "other")
        told = [await stream.told()]
        while told[-1] != ("CREATE", "SERVICE", other):
            told.append(await stream.told())
        assert 1 <= told.count(("UPDATE", "SERVICE", id_)) <= 2


async def test_what_happened_in_one_moment_goes_out_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And however much it is, in portions."""
    monkeypatch.setattr(watch, "AT_ONCE", 3)
    services = [await create_service(world, f"s{number}") for number in range(5)]
    async with watching(world) as stream:

        def change(tx: Transaction) -> None:
            for service in world.store.services():
                tx.delete(service.key)

        await world.store.write(change, durable=False)
        portions: list[int] = []
        told: list[tuple[str, str, str]] = []
        while len(told) < len(services):
            told.append(await stream.told())
            portions.append(len(stream.lines))
        assert told == [("DELETE", "SERVICE", id_) for id_ in services]
        assert portions == [2, 1, 0, 1, 0]


async def test_signs_of_life_go_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 1."""
    monkeypatch.setattr(watch, "HEARTBEAT", 0.01)
    monkeypatch.setattr(watch, "QUICKEST", 0.0)
    async with watching(world) as stream:
        for _ in range(3):
            assert await stream.next() == SIGN_OF_LIFE
        id_ = await create_service(world)
        while (event := await stream.told())[1] == "ENVIRONMENT":
            pass
        assert event == ("CREATE", "SERVICE", id_)


async def test_signs_of_life_come_as_often_as_the_client_needs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap 1: a third of what silence it bears."""
    monkeypatch.setattr(watch, "QUICKEST", 0.0)
    loop = asyncio.get_running_loop()
    async with watching(world, x_stainless_read_timeout="0.3") as stream:
        since = loop.time()
        assert await stream.next() == SIGN_OF_LIFE
        assert 0.05 < loop.time() - since < watch.HEARTBEAT / 2


async def test_a_watch_ends_with_the_store(world: World) -> None:
    async with watching(world) as stream:
        await world.store.aclose()
        last = await stream.conversation.next()
        assert (last["body"], last.get("more_body", False)) == (b"", False)


async def test_a_watcher_that_leaves_is_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap 3."""
    stand: list[Watch] = []
    closed: list[Watch] = []
    subscribe = world.store.watch

    def seen() -> Watch:
        stand.append(subscribe())
        monkeypatch.setattr(stand[-1], "close", lambda: closed.append(stand[-1]))
        return stand[-1]

    monkeypatch.setattr(world.store, "watch", seen)
    async with watching(world):
        assert (len(stand), closed) == (1, [])
    assert closed == stand


async def test_the_scope_is_this_environment(world: World) -> None:
    for scope in ({}, {"environmentId": ""}, {"environmentId": ENVIRONMENT.upper()}):
        body = json.dumps(scope).encode()
        headers = {"content-type": "application/json"}
        async with talking(world.app, PATH, headers, body) as conversation:
            assert (await conversation.next())["status"] == 200


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"organization": True}, 400, "invalid_argument"),
        ({"organization": False}, 400, "invalid_argument"),
        ({"environmentId": ABSENT}, 404, "not_found"),
        (
            {"environmentId": "", "resourceTypeFilters": [{"resourceType": "RESOURCE_TYPE_SERVICE"}]},
            400,
            "invalid_argument",
        ),
        ({"resourceTypeFilters": [{"resourceType": "RESOURCE_TYPE_UNSPECIFIED"}]}, 400, "invalid_argument"),
    ],
)
async def test_other_scopes_are_refused_before_the_head(
    world: World, request_: object, status: int, code: str
) -> None:
    """Trap 2."""
    reply = await refuse(world, request_)
    assert (reply.status, reply.code) == (status, code)
