"""ExplainAutomation over the memory store: who, since when, what for, and what the logs say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runner_agent.core import view
from runner_agent.model.ids import BootMark, Instant, RunId, ServiceId, StepId
from runner_agent.model.phases import ExecutionPhase, RunRole
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import (
    Execution,
    ExecutionStatus,
    Held,
    Service,
    Step,
    StepProgress,
    StepStatus,
)
from runner_agent.model.runs import Attempt, Exited, Gone, Handle, Live, Moment, ServiceRun, StepRun
from tests.api.requests import create_service, create_task
from tests.api.world import ABSENT, AGENT, World

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    """With logs, written by hand."""
    world = World(tmp_path)
    yield world
    await world.store.aclose()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def probing_service(world: World) -> str:
    """A service whose `ready` has failed once; 9 s of the limit are left."""
    id_ = await create_service(
        world,
        commands={"start": "serve", "ready": "probe"},
        readinessTimeout="12s",
        desiredPhase="SERVICE_PHASE_RUNNING",
    )
    service = world.store.get(Service, id_)
    assert service is not None
    now = Instant(world.clock.now())
    handle = Handle("machine", RunId("r1"), {"holder_pid": 41, "leader_pid": 42})
    run = ServiceRun(
        service.spec.session,
        BootMark(world.clock.boot_mark()),
        service.spec.launch,
        start=Live(RunId("r1"), now, handle),
        ready=Gone(RunId("r2"), Instant(now + 2.5), Exited(7)),
        attempts=1,
        last_attempt=Attempt(Exited(7), "connection refused"),
    )
    service = replace(service, run=run, phase_since=Moment.of(world.clock))
    await world.put(replace(service, status=view.status(service)))
    world.clock.advance(3.0)
    write(
        world.log_files.service(ServiceId(id_), RunRole.READY),
        "runner-agent: web: ready\nconnection refused\n",
    )
    write(world.log_files.service(ServiceId(id_), RunRole.START), "".join(f"line {n}\n" for n in range(30)))
    return id_


async def test_a_service_that_is_not_ready_yet(world: World) -> None:
    id_ = await probing_service(world)
    told = await world.call("ExplainAutomation", {"reference": "web"}, of=AGENT)
    assert told == {
        "kind": "KIND_SERVICE",
        "id": id_,
        "reference": "web",
        "phase": "STARTING",
        "phaseSince": "2026-01-01T00:00:00Z",
        "desiredPhase": "RUNNING",
        "wishedBy": "uid 1000",
        "wishedAt": "2026-01-01T00:00:00Z",
        "answer": "waiting for `ready` to exit 0: attempt 1 exited with code 7; the next begins now",
        "reasons": [
            "its last line: connection refused",
            "it is given up in 9 s if it is not ready by then",
        ],
        "until": "2026-01-01T00:00:12Z",
        "runs": [
            {"role": "start", "runId": "r1", "state": "live", "pid": 42, "since": "2026-01-01T00:00:00Z"},
            {
                "role": "ready",
                "runId": "r2",
                "state": "gone",
                "since": "2026-01-01T00:00:02.500Z",
                "ending": "ready exited with code 7",
            },
        ],
        "lastProbe": {"attempts": 1, "ending": "ready exited with code 7", "lines": ["connection refused"]},
        "logs": [{"label": "start", "lines": [f"line {n}" for n in range(20, 30)]}],
    }
    assert await world.call("ExplainAutomation", {"id": id_.upper()}, of=AGENT) == told


async def test_rule_3_3_the_attempt_that_succeeded_is_the_last_one(world: World) -> None:
    id_ = await probing_service(world)
    service = world.store.get(Service, id_)
    assert service is not None
    assert service.run is not None
    ready = Gone(RunId("r3"), Instant(world.clock.now()), Exited(0))
    service = replace(service, run=replace(service.run, ready=ready, is_ready=True, attempts=2))
    await world.put(replace(service, status=view.status(service)))
    log = world.log_files.service(ServiceId(id_), RunRole.READY)
    write(log, "runner-agent: web: ready\nrefused\nrunner-agent: web: ready\nfine\n")
    told = await world.call("ExplainAutomation", {"reference": "web"}, of=AGENT)
    assert told["answer"].endswith("`ready` succeeded at attempt 2")
    assert told["lastProbe"] == {"attempts": 2, "ending": "ready exited with code 0", "lines": ["fine"]}


async def test_a_task_is_explained_by_its_latest_execution(world: World) -> None:
    task = await create_task(world)
    told = await world.call("ExplainAutomation", {"reference": "build"}, of=AGENT)
    assert (told["kind"], told["id"], told.get("phase")) == ("KIND_TASK", task, None)
    assert "never been started" in told["answer"]
    await world.call("StartTask", {"id": task})
    world.clock.advance(1.0)
    latest = (await world.call("StartTask", {"id": task}))["taskExecution"]["id"]
    told = await world.call("ExplainAutomation", {"id": task}, of=AGENT)
    assert (told["kind"], told["id"], told["executionId"]) == ("KIND_TASK", task, latest)
    assert (told["phase"], told["wishedBy"]) == ("PENDING", "uid 1000")
    direct = await world.call("ExplainAutomation", {"id": latest}, of=AGENT)
    assert (direct["kind"], direct["id"], direct.get("executionId")) == ("KIND_EXECUTION", latest, None)
    assert direct["steps"] == told["steps"]


async def test_rule_2_10_a_run_of_an_earlier_definition_is_told_with_the_cure(world: World) -> None:
    """By why and by live status, of the task itself and of what depends on it."""
    slow = await create_task(world, "slow")
    task = await create_task(world, "all", dependsOn=[slow])
    (own, whole) = [
        (await world.call("StartTask", {"id": id_}))["taskExecution"]["id"] for id_ in (slow, task)
    ]
    await run_first_step(world, own)
    await run_first_step(world, whole)
    (step, _) = (await world.call("ListLiveStatus", of=AGENT))["steps"]
    assert (step["forTasks"], step.get("previousDefinition")) == (["slow"], None)
    await world.call("UpdateTask", {"id": slow, "spec": {"command": "sleep 2"}})
    steps = (await world.call("ListLiveStatus", of=AGENT))["steps"]
    assert [(one["forTasks"], one["previousDefinition"]) for one in steps] == [
        (["slow"], True),
        (["all"], True),
    ]
    cure = "that was changed since; for the present one wait for its end and start it again, or: runner-agent"
    for subject, reason in (
        ({"reference": "slow"}, f"it runs the previous definition: {cure} restart slow"),
        ({"id": own}, f"it runs the previous definition: {cure} restart slow"),
        ({"reference": "all"}, f'step "slow" runs the previous definition: {cure} restart all'),
    ):
        told = await world.call("ExplainAutomation", subject, of=AGENT)
        assert (told["previousDefinition"], told["reasons"]) == (True, [reason])
    await world.call("StopTaskExecution", {"id": own})
    assert "previousDefinition" not in await world.call("ExplainAutomation", {"id": own}, of=AGENT)


async def run_first_step(world: World, execution_id: str) -> None:
    """It is held, and its process lives."""
    execution = world.store.get(Execution, execution_id)
    assert execution is not None
    first = execution.plan.steps()[0]
    assert isinstance(first.work, TaskWork)
    step = world.store.get(Step, first.work.step)
    assert step is not None
    handle = Handle("machine", RunId(f"r{execution_id}"), {"holder_pid": 41, "leader_pid": 42})
    live = Live(handle.run_id, Instant(world.clock.now()), handle)
    run = StepRun(BootMark(world.clock.boot_mark()), live)
    await world.put(
        replace(step, holders=(execution.id,), run=run),
        replace(
            execution,
            steps={first.id: StepProgress(StepStatus(ExecutionPhase.RUNNING), Held())},
            status=ExecutionStatus(ExecutionPhase.RUNNING),
            started_at=world.clock.wall(),
        ),
    )


async def test_an_execution_that_failed_quotes_the_log_of_the_step(world: World) -> None:
    """Rule 4.4."""
    deps = await create_task(world, "deps")
    task = await create_task(world, "build", dependsOn=[deps])
    id_ = (await world.call("StartTask", {"id": task}))["taskExecution"]["id"]
    execution = world.store.get(Execution, id_)
    assert execution is not None
    first, _ = execution.plan.steps()
    assert isinstance(first.work, TaskWork)
    message = "deps exited with code 2; last line: no network"
    await world.put(
        replace(
            execution,
            steps={first.id: StepProgress(StepStatus(ExecutionPhase.FAILED, message), None)},
            status=ExecutionStatus(ExecutionPhase.FAILED, f'step "deps" failed: {message}'),
            started_at=world.clock.wall(),
            completed_at=world.clock.wall(),
        )
    )
    write(world.log_files.run(StepId(first.work.step)), "fetching\nno network\n")
    told = await world.call("ExplainAutomation", {"id": id_}, of=AGENT)
    assert told["answer"] == f'step "deps" failed: {message}'
    assert [(step["reference"], step.get("phase", ""), step["text"]) for step in told["steps"]] == [
        ("deps", "FAILED", message),
        ("build", "", 'never began, since "deps" did not succeed'),
    ]
    assert told["logs"] == [{"label": "deps", "lines": ["fetching", "no network"]}]


async def test_what_is_not_there_is_not_found(world: World) -> None:
    for subject in ({"reference": "nothing"}, {"id": ABSENT}):
        code, message = await world.refused("ExplainAutomation", subject, of=AGENT)
        assert code == "not_found"
        assert next(iter(subject.values())) in message
    for nonsense in ({}, {"id": "web"}, {"reference": ""}):
        assert (await world.refused("ExplainAutomation", nonsense, of=AGENT))[0] == "invalid_argument"


async def test_a_missing_log_is_no_evidence_and_no_error(world: World) -> None:
    await create_service(world, desiredPhase="SERVICE_PHASE_RUNNING")
    told = await world.call("ExplainAutomation", {"reference": "web"}, of=AGENT)
    assert told["answer"] == "its start was asked for by uid 1000 and is about to begin"
    assert "logs" not in told
