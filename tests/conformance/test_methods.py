"""Every published method, asked through each SDK and answered by the real agent (rule 1.2)."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.conformance.agents import await_execution, await_gone, await_phase, ids, new
from tests.conformance.environments import PYTHON_1_2
from tests.conformance.sdk import METHODS, Json, Refused, Sdk

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(240)]


def test_a_services_life(sdk: Sdk) -> None:
    """Rules 1.6, 3.2, 3.6, 3.7, 3.11, 3.13: created, started, changed, stopped and deleted."""
    reference = new("web")
    metadata: Json = {
        "reference": reference,
        "name": "Web",
        "description": "serves",
        "triggeredBy": [{"postDevcontainerStart": True}, {"manual": True}],
        "role": "SERVICE_ROLE_EDITOR",
    }
    spec: Json = {
        "commands": {"start": "echo up; sleep 1000", "ready": "true", "stop": "kill $PPID; true"},
        "runsOn": {"machine": {}},
        "env": [{"name": "COLOUR", "value": "blue"}],
        "readinessTimeout": "30s",
    }
    sent = {"environmentId": sdk.environment_id, "metadata": metadata, "spec": spec}
    created = sdk.call("CreateService", sent)["service"]
    assert created["environmentId"] == sdk.environment_id
    assert created["metadata"].items() >= metadata.items()
    assert created["spec"].items() >= spec.items()
    assert created["status"]["phase"] == "SERVICE_PHASE_STOPPED"
    assert "logUrl" not in created["status"], "an unset log_url is absent (rule 1.7)"

    id_ = created["id"]
    assert sdk.call("GetService", {"id": id_})["service"] == created
    wanted = {"references": [reference], "roles": ["SERVICE_ROLE_EDITOR"], "serviceIds": [id_]}
    with sdk.list("ListServices", {"filter": wanted}) as listed:
        assert listed.rest() == [created]

    assert sdk.call("StartService", {"id": id_}) == {}
    running = await_phase(sdk, id_, "RUNNING")
    assert running["status"]["logUrl"].endswith(f"/logs/services/{id_}")
    assert running["status"]["session"] == running["spec"]["session"] != ""
    assert int(running["status"]["statusVersion"]) > int(created["status"]["statusVersion"])

    assert sdk.call("UpdateService", {"id": id_, "status": {"output": {"port": "8080"}}}) == {}
    assert sdk.call("GetService", {"id": id_})["service"]["status"]["output"] == {"port": "8080"}
    assert sdk.call("UpdateService", {"id": id_, "metadata": {"name": "Site"}}) == {}

    assert sdk.call("StopService", {"id": id_}) == {}
    stopped = await_phase(sdk, id_, "STOPPED")
    assert stopped["metadata"]["name"] == "Site"
    assert sdk.call("StopService", {"id": id_}) == {}, "a stop is idempotent (rule 3.6)"
    assert sdk.call("DeleteService", {"id": id_, "force": True}) == {}
    await_gone(sdk, "GetService", id_)


def test_a_tasks_life(sdk: Sdk) -> None:
    """Rules 4.1 to 4.8: planned, run with what it depends on, its outputs told, stopped, deleted."""
    first, second = new("first"), new("second")
    needed = sdk.call(
        "CreateTask",
        {
            "metadata": {"reference": first, "name": "First"},
            "spec": {"command": "echo word=hi >> $GITPOD_OUTPUT"},
        },
    )["task"]
    metadata: Json = {"reference": second, "name": "Second", "triggeredBy": [{"prebuild": True}]}
    spec: Json = {"command": "echo hello; sleep ${SLEEP:-0}", "env": [{"name": "A", "value": ""}]}
    sent = {
        "environmentId": sdk.environment_id,
        "metadata": metadata,
        "spec": spec,
        "dependsOn": [needed["id"]],
    }
    created = sdk.call("CreateTask", sent)["task"]
    assert created["metadata"].items() >= metadata.items()
    assert (created["spec"], created["dependsOn"]) == (spec, [needed["id"]])
    assert sdk.call("GetTask", {"id": created["id"]})["task"] == created
    with sdk.list("ListTasks", {"filter": {"references": [first, second]}}) as listed:
        assert listed.rest() == [needed, created], "oldest first"

    started = sdk.call("StartTask", {"id": created["id"]})["taskExecution"]
    assert started["status"]["phase"] == "TASK_EXECUTION_PHASE_PENDING"
    steps = [step for group in started["spec"]["plan"] for step in group["steps"]]
    assert [step["label"] for step in steps] == [first, second]
    assert steps[1]["dependsOn"] == [steps[0]["id"]]
    ended = await_execution(sdk, started["id"], "SUCCEEDED")
    assert ended["metadata"]["startedBy"] == "manual"
    assert ended["metadata"]["taskId"] == created["id"]
    assert (
        ended["metadata"]["createdAt"] <= ended["metadata"]["startedAt"] <= ended["metadata"]["completedAt"]
    )
    assert ended["status"]["logUrl"].endswith(f"/logs/executions/{started['id']}")
    told = {step["id"]: step for step in ended["status"]["steps"]}
    assert told[steps[0]["id"]]["output"] == {"word": "hi"}

    long = {"id": created["id"], "spec": {"env": [{"name": "SLEEP", "value": "1000"}]}}
    assert sdk.call("UpdateTask", long) == {}
    another = sdk.call("StartTask", {"id": created["id"]})["taskExecution"]["id"]
    await_execution(sdk, another, "RUNNING")
    assert sdk.call("StopTaskExecution", {"id": another}) == {}
    await_execution(sdk, another, "STOPPED")
    assert sdk.call("StopTaskExecution", {"id": another}) == {}, "a stop is idempotent (rule 4.6)"

    by_task = {"taskIds": [created["id"]], "environmentIds": [sdk.environment_id]}
    by_phase = {"taskReferences": [second], "phases": ["TASK_EXECUTION_PHASE_SUCCEEDED"]}
    for wanted, expected in ((by_task, [another, started["id"]]), (by_phase, [started["id"]])):
        with sdk.list("ListTaskExecutions", {"filter": wanted}) as listed:
            assert ids(listed.rest()) == expected, "newest first"

    for task in (created, needed):
        assert sdk.call("DeleteTask", {"id": task["id"]}) == {}
        await_gone(sdk, "GetTask", task["id"])


def test_a_failed_task_tells_why(sdk: Sdk) -> None:
    """Rule 4.4: step, reason and last line."""
    reference = new("broken")
    sent = {
        "metadata": {"reference": reference, "name": "Broken"},
        "spec": {"command": "echo 'no disk'; exit 3"},
    }
    task = sdk.call("CreateTask", sent)["task"]
    execution = sdk.call("StartTask", {"id": task["id"]})["taskExecution"]
    message = await_execution(sdk, execution["id"], "FAILED")["status"]["failureMessage"]
    assert reference in message
    assert "code 3" in message
    assert "no disk" in message


def test_a_file_is_applied(sdk: Sdk) -> None:
    """Rule 2.7: entries are created or updated by reference; what has not changed is not touched."""
    web, build = new("web"), new("build")
    services: Json = {
        web: {
            "name": "Web",
            "commands": {"start": "sleep 1000"},
            "triggeredBy": ["postDevcontainerStart"],
            "role": "ai-agent",
            "readinessTimeout": "1.500s",
        }
    }
    tasks: Json = {
        build: {"name": "Build", "command": "make", "dependsOn": [web], "prebuildRequiresSuccess": True}
    }
    file: Json = {
        "environmentId": sdk.environment_id,
        "automationsFile": {"services": services, "tasks": tasks},
    }
    (service_id,) = (applied := sdk.call("UpsertAutomationsFile", file))["updatedServiceIds"]
    (task_id,) = applied["updatedTaskIds"]
    service = sdk.call("GetService", {"id": service_id})["service"]
    assert service["metadata"]["role"] == "SERVICE_ROLE_AI_AGENT"
    assert service["metadata"]["triggeredBy"] == [{"postDevcontainerStart": True}]
    assert service["spec"]["readinessTimeout"] == "1.500s"
    task = sdk.call("GetTask", {"id": task_id})["task"]
    assert task["dependsOn"] == [service_id]
    assert task["spec"]["prebuildRequiresSuccess"] is True

    assert sdk.call("UpsertAutomationsFile", file) == {}
    services[web]["name"] = "Site"
    assert sdk.call("UpsertAutomationsFile", file) == {"updatedServiceIds": [service_id]}
    assert sdk.call("GetService", {"id": service_id})["service"]["metadata"]["name"] == "Site"


def test_an_update_tells_absent_from_empty(sdk: Sdk) -> None:
    """Rules 1.6, 3.11: absent stays, "" and an empty trigger list are values; an empty list is absent."""
    metadata: Json = {"reference": new("web"), "name": "Web", "description": "serves"}
    metadata["triggeredBy"] = [{"manual": True}]
    spec: Json = {
        "commands": {"start": "sleep 1000", "ready": "true", "stop": "false"},
        "env": [{"name": "A", "value": "1"}],
        "runsOn": {"machine": {}},
        "readinessTimeout": "5s",
    }
    id_ = sdk.call("CreateService", {"metadata": metadata, "spec": spec})["service"]["id"]

    def updated(**parts: object) -> Json:
        assert sdk.call("UpdateService", {"id": id_, **parts}) == {}
        service = sdk.call("GetService", {"id": id_})["service"]
        return {**service["metadata"], **service["spec"], **service["spec"]["commands"]}

    before = updated()
    assert updated(metadata={}, spec={}) == before, "nothing sent, nothing changed"
    assert updated(spec={"env": []}) == before, "an empty plain list means unchanged"
    after = updated(metadata={"description": ""})
    assert "description" not in after
    assert (after["name"], after["triggeredBy"]) == ("Web", [{"manual": True}])
    after = updated(metadata={"triggeredBy": {"trigger": []}}, spec={"commands": {"ready": ""}})
    assert "triggeredBy" not in after
    assert "ready" not in after
    assert (after["start"], after["stop"], after["env"]) == ("sleep 1000", "false", spec["env"])
    after = updated(
        metadata={"triggeredBy": {"trigger": [{"prebuild": True}]}}, spec={"readinessTimeout": "0s"}
    )
    assert after["triggeredBy"] == [{"prebuild": True}]
    assert after["readinessTimeout"] == "0s"
    refused = sdk.refused("UpdateService", {"id": id_, "metadata": {"name": ""}})
    assert (refused.code, "metadata.name" in refused.message) == ("invalid_argument", True)


def test_a_task_update_tells_absent_from_empty(sdk: Sdk) -> None:
    """The same for tasks, whose boolean and list of dependencies have no wrapper to be absent in."""
    needed = sdk.call(
        "CreateTask", {"metadata": {"reference": new("one"), "name": "1"}, "spec": {"command": ":"}}
    )
    sent: Json = {
        "metadata": {
            "reference": new("two"),
            "name": "2",
            "description": "d",
            "triggeredBy": [{"manual": True}],
        },
        "spec": {"command": ":", "prebuildRequiresSuccess": True, "env": [{"name": "A", "value": "1"}]},
        "dependsOn": [needed["task"]["id"]],
    }
    before = sdk.call("CreateTask", sent)["task"]
    id_ = before["id"]
    assert sdk.call("UpdateTask", {"id": id_, "dependsOn": [], "spec": {"env": []}}) == {}
    assert sdk.call("GetTask", {"id": id_})["task"] == before
    changes: Json = {"metadata": {"description": ""}, "spec": {"prebuildRequiresSuccess": False}}
    changes["metadata"]["triggeredBy"] = {"trigger": []}
    assert sdk.call("UpdateTask", {"id": id_, **changes}) == {}
    after = sdk.call("GetTask", {"id": id_})["task"]
    assert after["metadata"].keys() & {"description", "triggeredBy"} == set()
    assert "prebuildRequiresSuccess" not in after["spec"]
    assert (after["spec"]["env"], after["dependsOn"]) == (before["spec"]["env"], before["dependsOn"])


def test_calls_go_side_by_side(sdk: Sdk) -> None:
    """Many at once, each with its own answer."""
    references = [new("many") for _ in range(24)]
    asked = [
        sdk.ask("CreateTask", {"metadata": {"reference": each, "name": each}, "spec": {"command": ":"}})
        for each in references
    ]
    created = [pending.result()["task"] for pending in asked]
    assert [task["metadata"]["reference"] for task in created] == references
    started = [sdk.ask("StartTask", {"id": task["id"]}) for task in created[:4] * 2]
    executions = [pending.result()["taskExecution"]["id"] for pending in started]
    assert len(set(executions)) == 8, "executions of one task may overlap (rule 4.1)"
    for id_ in executions:
        await_execution(sdk, id_, "SUCCEEDED")
    deleted = [sdk.ask("DeleteTask", {"id": task["id"]}) for task in created]
    assert [pending.result() for pending in deleted] == [{}] * len(created)


def test_two_creations_of_one_reference(sdk: Sdk) -> None:
    """Rule 1.2: of those that race for a reference, one wins."""
    sent = {"metadata": {"reference": new("race"), "name": "Race"}, "spec": {"commands": {"start": "true"}}}
    asked = [sdk.ask("CreateService", sent) for _ in range(6)]
    outcomes: list[str | None] = []
    for pending in asked:
        try:
            pending.result()
            outcomes.append("created")
        except Refused as error:
            outcomes.append(error.code)
    assert sorted(map(str, outcomes)) == ["already_exists"] * 5 + ["created"]


@pytest.mark.parametrize("driver", [PYTHON_1_2], ids=[PYTHON_1_2.name], indirect=True)
def test_reads_by_get(sdk: Sdk) -> None:
    """Methods without side effects by Connect GET, as only the generated clients can."""
    created = sdk.call(
        "CreateTask", {"metadata": {"reference": new("got"), "name": "é ü ☃"}, "spec": {"command": ":"}}
    )["task"]
    assert sdk.call("GetTask", {"id": created["id"]}, by_get=True)["task"] == created
    assert sdk.refused("GetTask", {"id": "x"}, by_get=True).code == "invalid_argument"


def test_the_environment_is_known_and_runs(sdk: Sdk) -> None:
    """What the SDKs' helpers ask on their way to automations; rule 1.1 for any other environment."""
    environment = sdk.call("GetEnvironment", {"environmentId": sdk.environment_id})["environment"]
    assert environment["id"] == sdk.environment_id
    assert environment["status"]["phase"] == "ENVIRONMENT_PHASE_RUNNING"
    stranger = {"environmentId": str(uuid.uuid4())}
    for method in ("GetEnvironment", "CreateEnvironmentLogsToken"):
        assert sdk.refused(method, stranger).code == "not_found"
    if not sdk.connect:
        sdk.wait_until_running()


def test_no_method_is_left_out() -> None:
    """What this folder asks for is all that is published."""
    folder = Path(__file__).parent
    asked = "".join(path.read_text() for path in folder.glob("*.py") if path.name != "sdk.py")
    names = {name.partition("/")[2] for name in METHODS}
    assert len(names) == 20
    assert {name for name in names if f'"{name}"' not in asked} <= {"WatchEvents"}
    assert "sdk.watch(" in asked
