"""Every order that the API tells follows the store's counter, whatever the time of day was (rule 4.9)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.api.requests import a_service, a_task
from tests.api.world import AGENT, AUTOMATION, World

YEARS = (0, 30, -30, 15, -15, 0)
"""By which the time of day is stepped before each thing is made."""


@pytest.fixture
def noon(world: World) -> Callable[[int], None]:
    began = world.clock.wall()

    def step(years: int) -> None:
        world.clock.set_wall(began + timedelta(days=365 * years))

    return step


async def pages(world: World, method: str, items: str, of: str = AUTOMATION) -> list[str]:
    """The ids, or the references, two at a time."""
    found: list[str] = []
    token = ""
    while True:
        asked = {"pagination": {"pageSize": 2, "token": token}}
        told = await world.call(method, asked, of=of)
        found += [one.get("text") or one["id"] for one in told.get(items, [])]
        token = told.get("pagination", {}).get("nextToken", "")
        if not token:
            return found


async def test_services_and_tasks_oldest_first(world: World, noon: Callable[[int], None]) -> None:
    services: list[str] = []
    tasks: list[str] = []
    for number, years in enumerate(YEARS):
        noon(years)
        services.append((await world.call("CreateService", a_service(f"s{number}")))["service"]["id"])
        tasks.append((await world.call("CreateTask", a_task(f"t{number}")))["task"]["id"])
    assert await pages(world, "ListServices", "services") == services
    assert await pages(world, "ListTasks", "tasks") == tasks


async def test_executions_firings_and_what_happened_newest_first(
    world: World, noon: Callable[[int], None]
) -> None:
    task = (await world.call("CreateTask", a_task("build")))["task"]["id"]
    executions: list[str] = []
    firings: list[str] = []
    for years in YEARS:
        noon(years)
        executions.append((await world.call("StartTask", {"id": task}))["taskExecution"]["id"])
        fired = await world.call("FireTrigger", {"event": "postEnvironmentStart"}, of=AGENT)
        firings.append(fired["firing"]["id"])
    assert await pages(world, "ListTaskExecutions", "taskExecutions") == executions[::-1]
    assert await pages(world, "ListFirings", "firings", AGENT) == firings[::-1]
    told = await pages(world, "ListTimeline", "entries", AGENT)
    assert [text for text in told if "fired" in text] == [told[0]] * len(YEARS)
    assert told[-1] == "created"
    latest = await world.call("ExplainAutomation", {"reference": "build"}, of=AGENT)
    assert latest["executionId"] == executions[-1]
