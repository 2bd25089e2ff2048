"""StartPrebuild, GetPrebuild and CancelPrebuild on the wire (rule 6.5)."""

from __future__ import annotations

import pytest

from runner_agent.core.prebuild import Ending, Over, judge
from tests.api.world import AGENT, World

TASK = {
    "metadata": {"reference": "build", "name": "Build", "triggeredBy": [{"prebuild": True}]},
    "spec": {"command": "make", "prebuildRequiresSuccess": True},
}


async def test_from_its_beginning_to_its_end(world: World) -> None:
    begun = (await world.call("StartPrebuild", {"timeLimit": 600}, of=AGENT))["prebuild"]
    assert (begun["stage"], begun["timeLimit"]) == ("running", 600)
    assert (await world.call("GetPrebuild", {"id": begun["id"]}, of=AGENT))["prebuild"] == begun
    code, message = await world.refused("StartPrebuild", {"timeLimit": 600}, of=AGENT)
    assert code == "failed_precondition"
    assert "--cancel" in message
    code, message = await world.refused("FireTrigger", {"event": "postEnvironmentStart"}, of=AGENT)
    assert code == "failed_precondition"
    assert "a prebuild is under way" in message
    await world.call("CreateTask", TASK)
    stopping = (await world.call("CancelPrebuild", {"id": begun["id"].upper()}, of=AGENT))["prebuild"]
    assert (stopping["stage"], stopping["ending"]) == ("stopping", "cancelled")
    control = world.backend.prebuild
    latest = control.latest()
    assert latest is not None
    await control.move(latest, Over(judge(Ending.CANCELLED, [], world.clock.wall())))
    ended = (await world.call("GetPrebuild", {}, of=AGENT))["prebuild"]
    assert (ended["stage"], ended["exitCode"]) == ("ended", 130)
    assert ended["endedAt"] >= ended["beganAt"]
    control.settling = True
    assert (await world.call("GetPrebuild", {}, of=AGENT))["prebuild"]["stage"] == "stopping"


@pytest.mark.parametrize("limit", [0, 299, 7201, "NaN", "Infinity", -600])
async def test_a_time_limit_out_of_range_is_an_invalid_argument(world: World, limit: object) -> None:
    code, message = await world.refused("StartPrebuild", {"timeLimit": limit}, of=AGENT)
    assert code == "invalid_argument"
    assert "time_limit" in message


@pytest.mark.parametrize("method", ["GetPrebuild", "CancelPrebuild"])
async def test_there_is_none(world: World, method: str) -> None:
    for id_ in ("", "0199a000-0000-7000-8000-000000000009"):
        assert (await world.refused(method, {"id": id_}, of=AGENT))[0] == "not_found"
    assert (await world.refused(method, {"id": "nonsense"}, of=AGENT))[0] == "invalid_argument"
