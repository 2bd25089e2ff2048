"""UpsertAutomationsFile over the memory store."""

from typing import Any

import pytest

from tests.api.world import World


async def test_a_file_is_applied(world: World) -> None:
    """Rule 2.7."""
    file: dict[str, Any] = {
        "services": {
            "web": {
                "name": "Web",
                "description": "D",
                "commands": {"start": "serve", "ready": "r", "stop": "s"},
                "triggeredBy": ["postDevcontainerStart", "postMachineStart"],
                "runsOn": {"machine": {}},
                "role": "ai-agent",
                "readinessTimeout": "60s",
            }
        },
        "tasks": {
            "build": {
                "name": "Build",
                "command": "make",
                "dependsOn": ["web"],
                "triggeredBy": ["prebuild", "beforeSnapshot"],
                "prebuildRequiresSuccess": True,
            }
        },
    }
    answer = await world.call("UpsertAutomationsFile", {"automationsFile": file})
    (web,), (build,) = answer["updatedServiceIds"], answer["updatedTaskIds"]
    service = (await world.call("GetService", {"id": web}))["service"]
    assert service["metadata"]["role"] == "SERVICE_ROLE_AI_AGENT"
    assert service["metadata"]["triggeredBy"] == [{"postDevcontainerStart": True}, {"postMachineStart": True}]
    assert service["spec"]["readinessTimeout"] == "60s"
    task = (await world.call("GetTask", {"id": build}))["task"]
    assert (task["dependsOn"], task["spec"]) == ([web], {"command": "make", "prebuildRequiresSuccess": True})
    assert await world.call("UpsertAutomationsFile", {"automationsFile": file}) == {}


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ({"services": {"a b": {"name": "x", "commands": {"start": "x"}}}}, 'services["a b"] key'),
        ({"services": {"web": {"name": "Web", "commands": {}}}}, "start"),
        ({"services": {"web": {"name": "", "commands": {"start": "x"}}}}, 'services["web"].name'),
        (
            {"services": {"web": {"name": "x", "commands": {"start": "x"}, "role": "boss"}}},
            'services["web"].role',
        ),
        (
            {"tasks": {"t": {"name": "x", "command": "x", "triggeredBy": ["never"]}}},
            'tasks["t"].triggered_by[0]',
        ),
        ({"tasks": {"t": {"name": "x", "command": ""}}}, 'tasks["t"].command'),
        ({"tasks": {"t": {"name": "x", "command": "x", "dependsOn": ["nothing"]}}}, "nothing"),
        ({"tasks": {"t": {"name": "x", "command": "x", "dependsOn": ["t"]}}}, "itself"),
    ],
)
async def test_a_file_with_an_error_changes_nothing(world: World, file: object, path: str) -> None:
    """Rules 2.5, 2.6."""
    code, message = await world.refused("UpsertAutomationsFile", {"automationsFile": file})
    assert code == "invalid_argument"
    assert path in message
    assert (world.store.services(), world.store.tasks()) == ([], [])
