"""ListTimeline and SetAutomationsFile over the memory store."""

from base64 import urlsafe_b64encode
from typing import Any

import pytest

from tests.api.requests import create_service, create_task
from tests.api.world import AGENT, World


async def timeline(world: World, **request: object) -> dict[str, Any]:
    answer: dict[str, Any] = await world.call("ListTimeline", request, of=AGENT)
    return answer


async def test_what_happened_is_told_newest_first_with_who_did_it(world: World) -> None:
    id_ = await create_service(world)
    world.clock.advance(1.0)
    await world.call("StartService", {"id": id_})
    service = (await world.call("GetService", {"id": id_}))["service"]
    session = service["spec"]["session"]
    assert (await timeline(world))["entries"] == [
        {
            "at": "2026-01-01T00:00:01Z",
            "kind": "service",
            "id": id_,
            "reference": "web",
            "version": service["spec"]["specVersion"],
            "text": f"start asked for, session {session}",
            "cause": "uid 1000",
            "place": "2",
        },
        {
            "at": "2026-01-01T00:00:00Z",
            "kind": "service",
            "id": id_,
            "reference": "web",
            "version": service["status"]["statusVersion"],
            "phase": "STOPPED",
            "text": "created",
            "cause": "uid 1000",
            "place": "1",
        },
    ]


async def test_it_is_narrowed_to_one_thing(world: World) -> None:
    web, build = await create_service(world), await create_task(world)
    execution = (await world.call("StartTask", {"id": build}))["taskExecution"]["id"]
    for filter_, ids in (
        ({"reference": "web"}, {web}),
        ({"reference": "build"}, {build, execution}),
        ({"id": execution.upper()}, {execution}),
        ({}, {web, build, execution}),
    ):
        found = (await timeline(world, filter=filter_))["entries"]
        assert {entry["id"] for entry in found} == ids
    assert "entries" not in await timeline(world, filter={"reference": "other"})


async def test_it_comes_in_pages(world: World) -> None:
    for number in range(5):
        await create_service(world, f"s{number}")
    found: list[str] = []
    token = ""
    for size in (2, 2, 1):
        answer = await timeline(world, pagination={"pageSize": 2, "token": token})
        assert len(answer["entries"]) == size
        found += [entry["reference"] for entry in answer["entries"]]
        token = answer["pagination"].get("nextToken", "")
    assert (found, token) == (["s4", "s3", "s2", "s1", "s0"], "")


def token(text: str) -> dict[str, object]:
    return {"pagination": {"token": urlsafe_b64encode(text.encode()).decode()}}


@pytest.mark.parametrize(
    "request_",
    [
        {"filter": {"id": "web"}},
        {"pagination": {"token": "???"}},
        token("2026-01-01T00:00:00 some-firing"),
        token(f"2026-01-01T00:00:00 {10**40}"),
    ],
)
async def test_nonsense_is_refused(world: World, request_: object) -> None:
    assert (await world.refused("ListTimeline", request_, of=AGENT))[0] == "invalid_argument"


async def test_a_file_is_made_the_default(world: World) -> None:
    """Rule 2.9: what may be wrong with it, the daemon knows."""
    assert await world.call("SetAutomationsFile", {"path": "/w/a.yaml"}, of=AGENT) == {}
    assert world.default_files == ["/w/a.yaml"]
    code, message = await world.refused("SetAutomationsFile", {"path": "a.yaml"}, of=AGENT)
    assert (code, message) == ("invalid_argument", "path: a.yaml is not absolute")
    assert (await world.refused("SetAutomationsFile", {}, of=AGENT))[0] == "invalid_argument"
