"""Methods on tasks and executions over the memory store."""

from dataclasses import replace
from typing import Any

from runner_agent.model.ids import PlanStepId
from runner_agent.model.phases import ExecutionPhase
from runner_agent.model.records import Execution, ExecutionStatus, StepProgress, StepStatus
from tests.api.requests import a_task, create_service, create_task
from tests.api.world import ABSENT, ENVIRONMENT, LOG_ROOT, World


async def test_a_task_comes_back_as_it_was_sent(world: World) -> None:
    """Rule 1.2."""
    database = await create_service(world, "db")
    sent: dict[str, Any] = {
        "metadata": {
            "reference": "build",
            "name": "Build",
            "description": "D",
            "triggeredBy": [
                {"postEnvironmentStart": True},
                {"beforeSnapshot": True},
                {"postMachineStart": True},
            ],
        },
        "spec": {
            "command": "make",
            "runsOn": {"machine": {}},
            "env": [{"name": "A", "value": "1"}],
            "prebuildRequiresSuccess": True,
        },
        "dependsOn": [database.upper()],
    }
    created = (await world.call("CreateTask", sent))["task"]
    assert (await world.call("GetTask", {"id": created["id"]}))["task"] == created
    assert created["spec"] == sent["spec"]
    assert created["dependsOn"] == [database]
    expected = {
        **sent["metadata"],
        "createdAt": "2026-01-01T00:00:00Z",
        "creator": {"principal": "PRINCIPAL_USER"},
    }
    assert created["metadata"] == expected


async def test_a_task_is_updated(world: World) -> None:
    id_, other = await create_task(world), await create_task(world, "other")
    update: dict[str, Any] = {
        "metadata": {"name": "N", "description": "D", "triggeredBy": {"trigger": [{"manual": True}]}},
        "spec": {
            "command": "c",
            "runsOn": {"docker": {"image": "i"}},
            "env": [{"name": "A"}],
            "prebuildRequiresSuccess": True,
        },
        "dependsOn": [other],
    }
    await world.call("UpdateTask", {"id": id_, **update})
    got = (await world.call("GetTask", {"id": id_}))["task"]
    assert got["spec"] == update["spec"]
    assert got["dependsOn"] == [other]
    assert got["metadata"]["triggeredBy"] == [{"manual": True}]
    await world.call("UpdateTask", {"id": id_, "spec": {"prebuildRequiresSuccess": False}})
    spec = (await world.call("GetTask", {"id": id_}))["task"]["spec"]
    assert spec == {key: value for key, value in update["spec"].items() if key != "prebuildRequiresSuccess"}


async def test_a_start_returns_a_pending_execution_with_its_plan(world: World) -> None:
    """Rules 4.1, 4.2, 4.8."""
    database = await create_service(world, "db")
    build = await create_task(world, "build", dependsOn=[database])
    test = await create_task(world, "test", dependsOn=[build, database])
    execution = (await world.call("StartTask", {"id": test}))["taskExecution"]
    assert (await world.call("GetTaskExecution", {"id": execution["id"]}))["taskExecution"] == execution
    assert execution["metadata"] == {
        "taskId": test,
        "environmentId": ENVIRONMENT,
        "createdAt": "2026-01-01T00:00:00Z",
        "creator": {"principal": "PRINCIPAL_USER"},
        "startedBy": "manual",
    }
    groups = [group["steps"] for group in execution["spec"]["plan"]]
    assert [[step["label"] for step in steps] for steps in groups] == [["db"], ["build"], ["test"]]
    (service_step,), (build_step,), (test_step,) = groups
    assert service_step["serviceId"] == database
    assert build_step["task"] == {"id": build, "spec": {"command": "make"}}
    assert set(test_step["dependsOn"]) == {service_step["id"], build_step["id"]}
    assert execution["spec"]["desiredPhase"] == "TASK_EXECUTION_PHASE_RUNNING"
    assert int(execution["status"].pop("statusVersion")) > 10**12
    assert execution["status"] == {
        "phase": "TASK_EXECUTION_PHASE_PENDING",
        "logUrl": f"{LOG_ROOT}/logs/executions/{execution['id']}",
    }


async def test_steps_are_shown_once_they_have_begun(world: World) -> None:
    """Rule 4.3, in the order of the plan."""
    first = await create_task(world, "first")
    id_ = await create_task(world, "second", dependsOn=[first])
    started = (await world.call("StartTask", {"id": id_}))["taskExecution"]
    execution = world.store.get(Execution, started["id"])
    assert execution is not None
    ids = [step.id for step in execution.plan.steps()]
    failed = StepStatus(ExecutionPhase.FAILED, "exited with code 1", {"k": "v"})
    done = StepProgress(StepStatus(ExecutionPhase.SUCCEEDED), None)
    steps: dict[PlanStepId, StepProgress] = {ids[1]: StepProgress(failed, None), ids[0]: done}
    status = ExecutionStatus(ExecutionPhase.FAILED, "step second failed")
    now = world.clock.wall()
    await world.put(replace(execution, steps=steps, status=status, started_at=now, completed_at=now))
    got = (await world.call("GetTaskExecution", {"id": started["id"]}))["taskExecution"]
    assert got["status"]["steps"] == [
        {"id": ids[0], "phase": "TASK_EXECUTION_PHASE_SUCCEEDED"},
        {
            "id": ids[1],
            "phase": "TASK_EXECUTION_PHASE_FAILED",
            "failureMessage": "exited with code 1",
            "output": {"k": "v"},
        },
    ]
    assert got["status"]["failureMessage"] == "step second failed"
    assert got["metadata"]["completedAt"] == "2026-01-01T00:00:00Z"


async def test_an_execution_is_stopped(world: World) -> None:
    """Rule 4.6: idempotent."""
    id_ = await create_task(world)
    execution = (await world.call("StartTask", {"id": id_}))["taskExecution"]
    for _ in range(2):
        assert await world.call("StopTaskExecution", {"id": execution["id"]}) == {}
    got = (await world.call("GetTaskExecution", {"id": execution["id"]}))["taskExecution"]
    assert got["spec"]["desiredPhase"] == "TASK_EXECUTION_PHASE_STOPPED"


async def test_a_needed_task_is_not_deleted(world: World) -> None:
    """Rule 1.6."""
    build = await create_task(world)
    test = await create_task(world, "test", dependsOn=[build])
    assert (await world.refused("DeleteTask", {"id": build}))[0] == "failed_precondition"
    assert await world.call("DeleteTask", {"id": test}) == {}
    assert await world.call("DeleteTask", {"id": build}) == {}


async def test_unknown_dependencies_and_cycles_are_refused(world: World) -> None:
    """Rule 1.6."""
    code, message = await world.refused("CreateTask", a_task(dependsOn=[ABSENT]))
    assert (code, "depends_on[0]" in message) == ("invalid_argument", True)
    build = await create_task(world)
    test = await create_task(world, "test", dependsOn=[build])
    assert (await world.refused("UpdateTask", {"id": build, "dependsOn": [test]}))[0] == "invalid_argument"
