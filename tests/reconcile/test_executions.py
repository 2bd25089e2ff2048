"""Executions, as transcripts: plans, failures, stops, shared steps and services (rules 4.1 to 4.7, 6.2)."""

from __future__ import annotations

from pathlib import Path

from runner_agent.kit.virtual import virtual_time
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, Kind
from tests.support.world import Scene, scene

SUCCEEDED, FAILED = ExecutionPhase.SUCCEEDED, ExecutionPhase.FAILED


def step_log(it: Scene, execution: Execution, label: str) -> str:
    for step in execution.plan.steps():
        if step.label == label and isinstance(step.work, TaskWork):
            return it.log(Kind.STEP, step.work.step)
    raise AssertionError(f"no step {label}")


@virtual_time
async def test_groups_run_one_after_the_other_and_their_steps_together(tmp_path: Path) -> None:
    """Rules 4.2, 4.5, 4.8."""
    async with scene(tmp_path) as it:
        await it.service("db", "sleep 1.5; touch up; sleep infinity", ready="test -e up")
        await it.task("install", "sleep 3")
        await it.task("lint", "sleep 1")
        await it.task("build", "sleep 2; echo done", "install", "db", "lint")
        (build,) = await it.execute("build")
        assert it.execution(build).status.phase is ExecutionPhase.PENDING
        assert await it.ended(build) == [SUCCEEDED]
        assert it.world.lines() == [
            "t=0.000 build-1 RUNNING",
            "t=0.000 db STARTING",
            "t=0.000 start install/task",
            "t=0.000 start lint/task",
            "t=0.000 start db/start",
            "t=0.000 start db/ready",
            "t=0.000 db/ready exited with code 1",
            "t=0.000 db/ready gone",
            "t=1.000 lint/task exited with code 0",
            "t=1.000 lint/task gone",
            "t=1.000 start db/ready",
            "t=1.000 db/ready exited with code 1",
            "t=1.000 db/ready gone",
            "t=2.000 start db/ready",
            "t=2.000 db/ready exited with code 0",
            "t=2.000 db/ready gone",
            "t=2.000 db RUNNING",
            "t=3.000 install/task exited with code 0",
            "t=3.000 install/task gone",
            "t=3.000 start build/task",
            "t=5.000 build/task exited with code 0",
            "t=5.000 build/task gone",
            "t=5.000 build-1 SUCCEEDED",
        ]
        ended = it.execution(build)
        assert ended.started_at is not None
        assert ended.completed_at is not None
        assert (ended.completed_at - ended.created_at).total_seconds() == 5
        assert it.phase("db") is ServicePhase.RUNNING


@virtual_time
async def test_after_a_failure_siblings_finish_and_no_group_starts(tmp_path: Path) -> None:
    """Rule 4.4; a waiting service step becomes STOPPED and the service keeps its wish (rule 4.5)."""
    async with scene(tmp_path) as it:
        await it.service("db", "sleep infinity", ready="sleep 100")
        await it.task("install", "sleep 3; echo boom; exit 7")
        await it.task("lint", "sleep 5")
        await it.task("build", "true", "install", "db", "lint")
        (build,) = await it.execute("build")
        await it.at(4)
        assert it.steps(build) == {"install": "FAILED", "lint": "RUNNING", "db": "STOPPED"}
        assert await it.ended(build) == [FAILED]
        assert it.steps(build) == {"install": "FAILED", "lint": "SUCCEEDED", "db": "STOPPED"}
        assert it.world.lines(of="build-1")[-1] == (
            't=5.000 build-1 FAILED: step "install" failed: install exited with code 7; last line: boom'
        )
        assert it.seen("db").spec.desired_phase is ServicePhase.RUNNING


@virtual_time
async def test_leftovers_of_a_step_go_before_it_ends(tmp_path: Path) -> None:
    """Rule 4.7."""
    async with scene(tmp_path) as it:
        await it.task("build", "(trap '' TERM; sleep infinity) & sleep 1")
        (build,) = await it.execute("build")
        assert await it.ended(build) == [SUCCEEDED]
        assert it.world.lines()[2:] == [
            "t=1.000 build/task exited with code 0",
            "t=1.000 build/task left 1 behind",
            "t=11.000 build/task leftovers killed",
            "t=11.000 build/task gone",
            "t=11.000 build-1 SUCCEEDED",
        ]


@virtual_time
async def test_a_stopped_execution_goes_down_the_ladder(tmp_path: Path) -> None:
    """Rule 4.6: SIGTERM, after two minutes SIGKILL; steps not started stay absent."""
    async with scene(tmp_path) as it:
        await it.task("install", "trap '' TERM; sleep infinity")
        await it.task("build", "true", "install")
        (build,) = await it.execute("build")
        await it.at(5)
        await it.stop_execution(build)
        await it.at(50)
        await it.stop_execution(build)
        assert await it.ended(build) == [ExecutionPhase.STOPPED]
        assert it.steps(build) == {"install": "STOPPED"}
        assert it.world.lines()[2:] == [
            "t=5.000 terminate install/task",
            "t=125.000 kill install/task",
            "t=125.000 install/task was killed by SIGKILL",
            "t=125.000 install/task gone",
            "t=125.000 build-1 STOPPED",
        ]
        await it.stop_execution(build)
        await it.at(200)
        assert it.world.lines()[-1] == "t=125.000 build-1 STOPPED"


@virtual_time
async def test_a_step_being_prepared_is_given_up_when_stopped(tmp_path: Path) -> None:
    """Rule 4.6."""
    async with scene(tmp_path) as it:
        await it.task("build", "#: prepare 600\ntrue")
        (build,) = await it.execute("build")
        await it.at(5)
        await it.stop_execution(build)
        assert await it.ended(build) == [ExecutionPhase.STOPPED]
        await it.at(1000)
        assert it.world.lines(of="start") == []
        assert it.world.lines()[-1] == "t=5.000 build-1 STOPPED"


@virtual_time
async def test_what_cannot_start_fails_with_the_reason_in_its_log(tmp_path: Path) -> None:
    """Rule 5.7."""
    async with scene(tmp_path) as it:
        await it.task("build", "#: cannot prepare no such image\ntrue")
        (build,) = await it.execute("build")
        assert await it.ended(build) == [FAILED]
        execution = it.execution(build)
        assert execution.status.failure_message == (
            'step "build" failed: build could not be started: no such image'
        )
        assert "could not be started: no such image" in step_log(it, execution, "build")


@virtual_time
async def test_executions_of_one_task_may_overlap(tmp_path: Path) -> None:
    """Rule 4.1."""
    async with scene(tmp_path) as it:
        await it.task("build", "sleep 10")
        (first,) = await it.execute("build")
        await it.at(5)
        (second,) = await it.execute("build")
        assert await it.ended(first, second) == [SUCCEEDED, SUCCEEDED]
        assert [line for line in it.world.lines() if "start" in line] == [
            "t=0.000 start build/task",
            "t=5.000 start build/task",
        ]
        assert it.world.lines()[-1] == "t=15.000 build-2 SUCCEEDED"


@virtual_time
async def test_one_firing_runs_a_needed_task_once(tmp_path: Path) -> None:
    """Rule 6.2: a stopped dependant lets go, and the others go on."""
    async with scene(tmp_path) as it:
        await it.task("install", "echo lock=42 >> $GITPOD_OUTPUT; sleep 20")
        await it.task("a", "sleep 2", "install")
        await it.task("b", "sleep 2", "install")
        a, b = await it.execute("a", "b")
        await it.at(5)
        await it.stop_execution(a)
        assert await it.ended(a, b) == [ExecutionPhase.STOPPED, SUCCEEDED]
        assert it.world.lines() == [
            "t=0.000 start install/task",
            "t=0.000 a-1 RUNNING",
            "t=0.000 b-2 RUNNING",
            "t=5.000 a-1 STOPPED",
            "t=20.000 install/task exited with code 0",
            "t=20.000 install/task gone",
            "t=20.000 start b/task",
            "t=22.000 b/task exited with code 0",
            "t=22.000 b/task gone",
            "t=22.000 b-2 SUCCEEDED",
        ]
        steps = it.execution(b).steps
        assert [one.status.output for one in steps.values()] == [{"lock": "42"}, {}]


@virtual_time
async def test_a_shared_run_is_terminated_when_the_last_hold_goes(tmp_path: Path) -> None:
    """Rule 6.2."""
    async with scene(tmp_path) as it:
        await it.task("install", "trap 'sleep 3; exit 0' TERM; sleep infinity")
        await it.task("a", "true", "install")
        await it.task("b", "true", "install")
        a, b = await it.execute("a", "b")
        await it.at(5)
        await it.stop_execution(a)
        await it.at(6)
        await it.stop_execution(b)
        await it.ended(a, b)
        assert it.world.lines()[3:] == [
            "t=5.000 a-1 STOPPED",
            "t=6.000 terminate install/task",
            "t=9.000 install/task exited with code 0",
            "t=9.000 install/task gone",
            "t=9.000 b-2 STOPPED",
        ]


@virtual_time
async def test_stopping_the_execution_whose_own_task_it_is_ends_a_shared_run(tmp_path: Path) -> None:
    """Rule 6.2: the other holders' steps FAIL."""
    async with scene(tmp_path) as it:
        await it.task("install", "trap 'sleep 3; exit 0' TERM; sleep infinity")
        await it.task("a", "true", "install")
        own, a = await it.execute("install", "a")
        await it.at(5)
        await it.stop_execution(own)
        await it.ended(own, a)
        assert it.world.lines()[3:] == [
            't=5.000 a-2 FAILED: step "install" failed: stopped by execution install-1',
            "t=5.000 terminate install/task",
            "t=8.000 install/task exited with code 0",
            "t=8.000 install/task gone",
            "t=8.000 install-1 STOPPED",
        ]


@virtual_time
async def test_a_service_step_binds_to_the_live_session(tmp_path: Path) -> None:
    """Rule 4.5: no new one is asked for."""
    async with scene(tmp_path) as it:
        await it.service("db", "sleep infinity", ready="sleep 10")
        await it.start("db")
        await it.at(1)
        session = it.seen("db").status.session
        await it.task("build", "true", "db")
        (build,) = await it.execute("build")
        assert await it.ended(build) == [SUCCEEDED]
        assert it.seen("db").status.session == session
        assert it.world.lines(of="start db/start") == ["t=0.000 start db/start"]
        assert it.world.lines()[-1] == "t=10.000 build-1 SUCCEEDED"


@virtual_time
async def test_a_service_step_ignores_the_end_of_an_older_session(tmp_path: Path) -> None:
    """Rule 4.5."""
    async with scene(tmp_path) as it:
        await it.service("db", "trap 'sleep 3; exit 9' TERM; sleep infinity", ready="true")
        await it.start("db")
        await it.at(1)
        await it.stop("db")
        await it.task("build", "true", "db")
        await it.at(2)
        (build,) = await it.execute("build")
        assert await it.ended(build) == [SUCCEEDED]
        assert it.world.lines(of="start db/start") == ["t=0.000 start db/start", "t=4.000 start db/start"]


@virtual_time
async def test_a_service_step_fails_when_someone_stops_the_service(tmp_path: Path) -> None:
    """Rule 4.5: the message names who."""
    async with scene(tmp_path) as it:
        await it.service("db", "sleep infinity", ready="sleep 100")
        await it.task("build", "true", "db")
        (build,) = await it.execute("build")
        await it.at(5)
        await it.stop("db", by="uid 7")
        assert await it.ended(build) == [FAILED]
        message = 'step "db" failed: service "db" was stopped by uid 7'
        assert it.execution(build).status.failure_message == message


@virtual_time
async def test_a_service_step_fails_when_its_session_ends_first(tmp_path: Path) -> None:
    """Rule 4.5."""
    async with scene(tmp_path) as it:
        await it.service("db", "sleep 3; exit 4", ready="sleep 100")
        await it.task("build", "true", "db")
        (build,) = await it.execute("build")
        assert await it.ended(build) == [FAILED]
        message = 'step "db" failed: service "db" failed: start exited with code 4'
        assert it.execution(build).status.failure_message == message


@virtual_time
async def test_a_stopped_execution_leaves_the_service_it_waits_for(tmp_path: Path) -> None:
    """Rule 4.5."""
    async with scene(tmp_path) as it:
        await it.service("db", "sleep infinity", ready="sleep 100")
        await it.task("build", "true", "db")
        (build,) = await it.execute("build")
        await it.at(5)
        await it.stop_execution(build)
        assert await it.ended(build) == [ExecutionPhase.STOPPED]
        assert it.steps(build) == {"db": "STOPPED"}
        await it.until_phase("db", ServicePhase.RUNNING)


@virtual_time
async def test_a_deleted_task_goes_when_its_executions_have_ended(tmp_path: Path) -> None:
    """Rule 1.6."""
    async with scene(tmp_path) as it:
        task = await it.task("build", "trap 'sleep 3; exit 0' TERM; sleep infinity")
        (build,) = await it.execute("build")
        await it.at(5)
        await it.delete_task(task)
        await it.at(7)
        assert it.store.tasks()
        await it.until(lambda: not it.store.tasks())
        assert it.execution(build).status.phase is ExecutionPhase.STOPPED
        assert it.world.lines()[-1] == "t=8.000 build-1 STOPPED"
