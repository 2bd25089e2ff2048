"""Listings: pages and filters."""

from tests.api.requests import WEB, create_service, create_task
from tests.api.world import ABSENT, ENVIRONMENT, World


async def test_lists_come_in_pages(world: World) -> None:
    """API: 25 by default, 100 at most, next_token empty on the last page."""
    for number in range(30):
        world.clock.advance(1.0)
        await create_service(world, f"s{number:02}")
        await create_task(world, f"t{number:02}")
    for method, items, prefix in (("ListServices", "services", "s"), ("ListTasks", "tasks", "t")):
        first = await world.call(method)
        second = await world.call(method, {"pagination": {"token": first["pagination"]["nextToken"]}})
        names = [one["metadata"]["reference"] for one in (*first[items], *second[items])]
        assert (len(first[items]), names) == (25, [f"{prefix}{number:02}" for number in range(30)])
        assert second["pagination"] == {}
        assert len((await world.call(method, {"pagination": {"pageSize": 100}}))[items]) == 30
        assert (await world.refused(method, {"pagination": {"token": "x"}}))[0] == "invalid_argument"
        assert (await world.refused(method, {"pagination": {"pageSize": 101}}))[0] == "invalid_argument"


async def test_filters_narrow_a_list(world: World) -> None:
    web = (await world.call("CreateService", WEB))["service"]["id"]
    db = await create_service(world, "db")
    cases: list[tuple[dict[str, object], set[str]]] = [
        ({}, {web, db}),
        ({"references": ["db", "nothing"]}, {db}),
        ({"serviceIds": [web.upper()]}, {web}),
        ({"roles": ["SERVICE_ROLE_EDITOR"]}, {web}),
        ({"roles": ["SERVICE_ROLE_UNSPECIFIED"]}, {db}),
        ({"environmentIds": [ENVIRONMENT.upper(), ABSENT]}, {web, db}),
        ({"environmentIds": [ABSENT]}, set()),
        ({"references": ["web"], "serviceIds": [db]}, set()),
    ]
    for wanted, found in cases:
        answer = await world.call("ListServices", {"filter": wanted})
        assert {service["id"] for service in answer.get("services", [])} == found
    too_many = {"filter": {"serviceIds": [ABSENT] * 26}}
    assert (await world.refused("ListServices", too_many))[0] == "invalid_argument"


async def test_executions_are_listed_newest_first(world: World) -> None:
    build, test = await create_task(world), await create_task(world, "test")
    ids: list[str] = []
    for task in (build, test, build):
        world.clock.advance(1.0)
        ids.append((await world.call("StartTask", {"id": task}))["taskExecution"]["id"])
    for wanted, found in (
        ({}, ids[::-1]),
        ({"taskIds": [build.upper()]}, [ids[2], ids[0]]),
        ({"taskReferences": ["test"]}, [ids[1]]),
        ({"phases": ["TASK_EXECUTION_PHASE_PENDING"]}, ids[::-1]),
        ({"phases": ["TASK_EXECUTION_PHASE_FAILED"]}, []),
        ({"environmentIds": [ABSENT]}, []),
    ):
        answer = await world.call("ListTaskExecutions", {"filter": wanted})
        assert [execution["id"] for execution in answer.get("taskExecutions", [])] == found
    assert (await world.refused("ListTaskExecutions", {"filter": {"phases": [99]}}))[0] == "invalid_argument"
    page = await world.call("ListTaskExecutions", {"pagination": {"pageSize": 2}})
    token = page["pagination"]["nextToken"]
    rest = await world.call("ListTaskExecutions", {"pagination": {"pageSize": 2, "token": token}})
    assert [one["id"] for one in (*page["taskExecutions"], *rest["taskExecutions"])] == ids[::-1]
