"""Methods on services over the memory store: what a request becomes, what is answered, what is refused."""

from typing import Any

import pytest

from runner_agent.model.records import Service
from tests.api.requests import WEB, a_service, a_task, bring_up, create_service
from tests.api.world import ABSENT, AGENT, ENVIRONMENT, World


async def test_a_service_comes_back_as_it_was_sent(world: World) -> None:
    """Rule 1.2, field by field."""
    created = (await world.call("CreateService", WEB))["service"]
    got = (await world.call("GetService", {"id": created["id"]}))["service"]
    assert got == created
    assert got["environmentId"] == ENVIRONMENT
    assert got["metadata"] == {
        **WEB["metadata"],
        "createdAt": "2026-01-01T00:00:00Z",
        "creator": {"principal": "PRINCIPAL_USER"},
    }
    assert int(got["spec"].pop("specVersion")) > 10**12
    assert got["spec"] == {**WEB["spec"], "desiredPhase": "SERVICE_PHASE_STOPPED"}
    assert int(got["status"].pop("statusVersion")) > 10**12
    assert got["status"] == {"phase": "SERVICE_PHASE_STOPPED"}


async def test_versions_creator_and_times_of_a_client_are_ignored(world: World) -> None:
    """Rule 1.6."""
    sent = a_service()
    sent["metadata"] |= {"createdAt": "1999-01-01T00:00:00Z", "creator": {"id": ABSENT}}
    sent["spec"] |= {"specVersion": "5", "session": "mine"}
    got = (await world.call("CreateService", sent))["service"]
    assert got["metadata"]["createdAt"] == "2026-01-01T00:00:00Z"
    assert "id" not in got["metadata"]["creator"]
    assert int(got["spec"]["specVersion"]) > 10**12
    assert "session" not in got["spec"]


IMPOSSIBLE: list[tuple[Any, str]] = [
    ({}, "metadata.reference"),
    ({"metadata": {"reference": "web", "name": "Web"}, "spec": {"commands": {}}}, "spec.commands.start"),
    ({**a_service(), "metadata": {"reference": "web"}}, "metadata.name"),
    (a_service(desiredPhase="SERVICE_PHASE_DELETED"), "spec.desired_phase"),
    ({**a_service(), "metadata": {**WEB["metadata"], "triggeredBy": [{}]}}, "triggered_by[0]"),
    ({**a_service(), "metadata": {**WEB["metadata"], "triggeredBy": [{"prebuild": False}]}}, "prebuild"),
    ({**a_service(), "metadata": {**WEB["metadata"], "role": 77}}, "metadata.role"),
    (
        {**a_service(), "metadata": {**WEB["metadata"], "triggeredBy": [{"beforeSnapshot": True}]}},
        "before",
    ),
    (a_service(env=[{"name": "A=B", "value": ""}]), "spec.env[0].name"),
    (a_service(env=[{"name": "A", "valueFrom": {"secretRef": {"id": "x"}}}]), "secret_ref.id"),
    (a_service(readinessTimeout="-1s"), "spec.readiness_timeout"),
    (a_service(runsOn={"docker": {"image": ""}}), "spec.runs_on.docker.image"),
]


@pytest.mark.parametrize(("request_", "path"), IMPOSSIBLE)
async def test_a_service_that_cannot_be_is_refused(world: World, request_: object, path: str) -> None:
    """Rule 1.3: with the path of the field, and nothing stored."""
    code, message = await world.refused("CreateService", request_)
    assert code == "invalid_argument"
    assert path in message
    assert world.store.services() == []


async def test_desired_phase_running_starts_a_new_service(world: World) -> None:
    """Rule 1.6. The status, its log included, moves when the session is taken up, and its version then."""
    id_ = await create_service(world, desiredPhase="SERVICE_PHASE_RUNNING")
    got = (await world.call("GetService", {"id": id_}))["service"]
    assert got["spec"]["desiredPhase"] == "SERVICE_PHASE_RUNNING"
    assert got["spec"]["session"]
    assert "logUrl" not in got["status"]


async def test_an_unset_log_url_is_absent(world: World) -> None:
    """Rule 1.7."""
    id_ = await create_service(world)
    assert "logUrl" not in (await world.call("GetService", {"id": id_}))["service"]["status"]


async def test_a_reference_is_taken_once(world: World) -> None:
    """Rule 1.2. And 409 is not to be retried."""
    await create_service(world)
    assert (await world.refused("CreateTask", a_task("web")))[0] == "already_exists"
    reply = await world.try_call("CreateService", a_service("web"))
    assert (reply.status, reply.headers["x-should-retry"]) == (409, "false")


async def test_start_and_stop_change_the_wish(world: World) -> None:
    """Rules 1.7, 3.6."""
    id_ = await create_service(world)
    assert await world.call("StartService", {"id": id_}) == {}
    assert (await world.call("GetService", {"id": id_}))["service"]["spec"][
        "desiredPhase"
    ] == "SERVICE_PHASE_RUNNING"
    assert await world.call("StopService", {"id": id_.upper()}) == {}
    assert (await world.call("GetService", {"id": id_}))["service"]["spec"][
        "desiredPhase"
    ] == "SERVICE_PHASE_STOPPED"


async def test_a_restart_changes_the_session_and_never_the_wish(world: World) -> None:
    """Rule 3.6. What does not run is started."""
    id_ = await create_service(world)
    assert await world.call("RestartService", {"id": id_}, of=AGENT) == {}
    first = (await world.call("GetService", {"id": id_}))["service"]["spec"]
    assert first["desiredPhase"] == "SERVICE_PHASE_RUNNING"
    assert await world.call("RestartService", {"id": id_}, of=AGENT) == {}
    assert (await world.call("GetService", {"id": id_}))["service"]["spec"] == first, "it is still pending"
    await bring_up(world, id_)
    assert await world.call("RestartService", {"id": id_.upper()}, of=AGENT) == {}
    again = (await world.call("GetService", {"id": id_}))["service"]["spec"]
    assert again["desiredPhase"] == "SERVICE_PHASE_RUNNING"
    assert again["session"] != first["session"]
    nobody = "00000000-0000-4000-8000-000000000000"
    assert (await world.refused("RestartService", {"id": nobody}, of=AGENT))[0] == "not_found"
    assert (await world.refused("RestartService", {"id": "web"}, of=AGENT))[0] == "invalid_argument"


async def test_an_update_changes_what_was_sent_only(world: World) -> None:
    """Rules 1.6, 3.11."""
    id_ = (await world.call("CreateService", WEB))["service"]["id"]
    before = (await world.call("GetService", {"id": id_}))["service"]
    assert await world.call("UpdateService", {"id": id_}) == {}
    await world.call(
        "UpdateService", {"id": id_, "metadata": {"name": "New"}, "spec": {"commands": {"ready": ""}}}
    )
    after = (await world.call("GetService", {"id": id_}))["service"]
    assert after["metadata"] == {**before["metadata"], "name": "New"}
    assert after["spec"]["commands"] == {"start": "serve", "stop": "serve --stop"}
    assert after["spec"]["env"] == before["spec"]["env"]
    assert after["spec"]["readinessTimeout"] == before["spec"]["readinessTimeout"]


async def test_an_empty_trigger_list_is_not_an_absent_one(world: World) -> None:
    """API: absent, "" and an empty trigger list mean different things."""
    id_ = (await world.call("CreateService", WEB))["service"]["id"]
    await world.call("UpdateService", {"id": id_, "metadata": {"description": ""}})
    metadata = (await world.call("GetService", {"id": id_}))["service"]["metadata"]
    assert "description" not in metadata
    assert len(metadata["triggeredBy"]) == 2
    await world.call("UpdateService", {"id": id_, "metadata": {"triggeredBy": {}}})
    assert "triggeredBy" not in (await world.call("GetService", {"id": id_}))["service"]["metadata"]


async def test_an_update_may_change_every_field(world: World) -> None:
    id_ = await create_service(world)
    metadata = {
        "name": "N",
        "description": "D",
        "role": "SERVICE_ROLE_AI_AGENT",
        "triggeredBy": {"trigger": [{"prebuild": True}]},
    }
    spec: dict[str, Any] = {
        "commands": {"start": "s", "ready": "r", "stop": "t"},
        "runsOn": {"machine": {}},
        "env": [{"name": "A", "value": "1"}],
        "readinessTimeout": "5s",
    }
    await world.call("UpdateService", {"id": id_, "metadata": metadata, "spec": spec})
    got = (await world.call("GetService", {"id": id_}))["service"]
    assert {key: got["spec"][key] for key in spec} == spec
    assert got["metadata"]["triggeredBy"] == [{"prebuild": True}]
    assert {key: got["metadata"][key] for key in ("name", "description", "role")} == {
        key: metadata[key] for key in ("name", "description", "role")
    }
    await world.call("UpdateService", {"id": id_, "spec": {"runsOn": {}}})
    assert "runsOn" not in (await world.call("GetService", {"id": id_}))["service"]["spec"]


DEAD_ENDS: list[tuple[Any, str]] = [
    ({"metadata": {"name": ""}}, "metadata.name"),
    ({"spec": {"commands": {"start": ""}}}, "spec.commands.start"),
    ({"spec": {"readinessTimeout": "86401s"}}, "spec.readiness_timeout"),
    ({"metadata": {"triggeredBy": {"trigger": [{}]}}}, "metadata.triggered_by.trigger[0]"),
    ({"metadata": {"role": 9}}, "metadata.role"),
]


@pytest.mark.parametrize(("update", "path"), DEAD_ENDS)
async def test_an_update_that_leads_nowhere_is_refused(
    world: World, update: dict[str, object], path: str
) -> None:
    id_ = await create_service(world)
    code, message = await world.refused("UpdateService", {"id": id_, **update})
    assert code == "invalid_argument"
    assert path in message


async def test_the_spec_of_a_running_service_stays(world: World) -> None:
    """Rule 3.11."""
    id_ = await create_service(world, desiredPhase="SERVICE_PHASE_RUNNING")
    await bring_up(world, id_)
    await world.call("UpdateService", {"id": id_, "metadata": {"name": "New"}})
    code, message = await world.refused("UpdateService", {"id": id_, "spec": {"commands": {"start": "x"}}})
    assert code == "failed_precondition"
    assert "stop it first" in message


async def test_outputs_may_be_sent_and_nothing_else_of_the_status(world: World) -> None:
    """Rule 3.12."""
    id_ = await create_service(world, desiredPhase="SERVICE_PHASE_RUNNING")
    await bring_up(world, id_)
    await world.call("UpdateService", {"id": id_, "status": {"output": {"port": "80", "url": ""}}})
    got = (await world.call("GetService", {"id": id_}))["service"]
    assert got["status"]["output"] == {"port": "80"}
    for status in (
        {"phase": "SERVICE_PHASE_FAILED"},
        {"failureMessage": ""},
        {"logUrl": "x"},
        {"session": "x"},
    ):
        assert (await world.refused("UpdateService", {"id": id_, "status": status}))[
            0
        ] == "failed_precondition"


async def test_a_service_is_deleted(world: World) -> None:
    """Rule 3.13: asked for at once, gone when the reconciler has stopped it."""
    id_ = await create_service(world)
    assert await world.call("DeleteService", {"id": id_}) == {}
    service = world.store.get(Service, id_)
    assert service is None or (service.deletion is not None and not service.deletion.force)
    id_ = await create_service(world, "other", desiredPhase="SERVICE_PHASE_RUNNING")
    await bring_up(world, id_)
    await world.call("DeleteService", {"id": id_, "force": True})
    service = world.store.get(Service, id_)
    assert service is not None
    assert service.deletion is not None
    assert service.deletion.force


@pytest.mark.parametrize(
    "method",
    [
        "GetService",
        "StartService",
        "StopService",
        "DeleteService",
        "UpdateService",
        "GetTask",
        "StartTask",
        "DeleteTask",
        "UpdateTask",
        "GetTaskExecution",
        "StopTaskExecution",
    ],
)
async def test_what_is_not_there_is_not_found(world: World, method: str) -> None:
    code, message = await world.refused(method, {"id": ABSENT})
    assert code == "not_found"
    assert ABSENT in message
    assert (await world.refused(method, {"id": "web"}))[0] == "invalid_argument"
    assert (await world.refused(method, {}))[0] == "invalid_argument"


async def test_another_environment_is_not_found(world: World) -> None:
    """Rule 1.1: an empty one means ours."""
    for method, request in (
        ("CreateService", a_service()),
        ("CreateTask", a_task()),
        ("UpsertAutomationsFile", {}),
    ):
        assert (await world.refused(method, {**request, "environmentId": ABSENT}))[0] == "not_found"
        await world.call(method, {**request, "environmentId": ENVIRONMENT.upper()})
    await world.call("UpsertAutomationsFile", {"environmentId": ""})
