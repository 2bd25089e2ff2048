"""Time plays tricks: the agent is frozen while deadlines fall due, the wall clock jumps (rules 3.7, 3.8)."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from runner_agent.kit.virtual import virtual_time
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from tests.e2e.conftest import staged
from tests.e2e.stage import Stage, automations, phase_of, service_yaml, task_yaml
from tests.support.processes import wait_until
from tests.support.world import scene

NOTES = """note() { echo "$1 $(cut -d' ' -f1 /proc/uptime)" >> "$RUNNER_AGENT_REFERENCE"; }
trap 'note TERM' TERM
note up
while :; do sleep 0.05; done"""
FILE = automations(
    services=(
        service_yaml("notes", NOTES),
        service_yaml("late", NOTES),
        service_yaml("unready", "sleep 600", ready="sleep 600", more="readinessTimeout: 3s"),
        service_yaml("stopper", "sleep 600", stop="sleep 600"),
    ),
    tasks=(task_yaml("works", NOTES),),
)
FROZEN = 20.0


def noted(stage: Stage, reference: str, what: str) -> list[float]:
    """When it noted that, in seconds since boot."""
    path = stage.workspace / reference
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [float(at) for word, at in lines if word == what]


@pytest.mark.faults
@pytest.mark.heavy
@pytest.mark.timeout(180)
def test_deadlines_that_fall_due_while_the_agent_is_frozen_fire_once_and_late() -> None:
    """One SIGTERM each, SIGKILL only its grace later, a timeout told once; none of it out of order."""
    with staged(RUNNER_AGENT_SERVICE_STOP_GRACE="4", RUNNER_AGENT_TASK_STOP_GRACE="4") as stage:
        stage.start(file=FILE)
        agent = stage.agent
        for name in ("notes", "late", "unready", "stopper"):
            agent.start_service(stage.id_of(name))
        execution = agent.start_task(stage.id_of("works"))["id"]
        for name in ("notes", "late", "stopper"):
            stage.await_phase(name, "RUNNING")
        wait_until(lambda: all(noted(stage, name, "up") for name in ("notes", "late", "works")), 20)
        for name in ("notes", "stopper"):
            agent.stop_service(stage.id_of(name))
        agent.stop_execution(execution)
        wait_until(lambda: noted(stage, "notes", "TERM") and noted(stage, "works", "TERM"), 20)
        stage.await_phase("unready", "STARTING")
        stage.daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(FROZEN)  # not for luck: the deadlines fall due in it
        stage.daemon.process.send_signal(signal.SIGCONT)
        agent.stop_service(stage.id_of("late"))
        stage.await_phase("notes", "STOPPED", timeout=40)
        assert "not finish within" in message(stage, "stopper", "FAILED")
        assert "not ready within 3 s" in message(stage, "unready", "FAILED")
        assert phase_of(stage.await_execution(execution, 40)) == "STOPPED"
        stage.await_phase("late", "STOPPED", timeout=40)
        for name in ("notes", "late", "works"):
            assert len(noted(stage, name, "TERM")) == 1, name
        told = [one for one in agent.timeline("unready") if "not ready within" in str(one)]
        assert sum("FAILED" in str(one) for one in told) == 1, told


def message(stage: Stage, reference: str, phase: str) -> str:
    """Of the failure it ends with."""
    ended = stage.await_phase(reference, phase, timeout=40)
    return ended.get("status", {}).get("failureMessage", "")


@virtual_time
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_step_of_the_wall_clock_moves_no_deadline(tmp_path: Path, hours: int) -> None:
    """Rule 3.8: deadlines are monotonic, wall time is for display only."""
    async with scene(tmp_path) as it:
        await it.service("web", "trap '' TERM; sleep infinity")
        await it.service("slow", "sleep infinity", ready="sleep infinity", timeout=30)
        await it.task("build", "trap '' TERM; sleep infinity")
        await it.start("web")
        await it.start("slow")
        (build,) = await it.execute("build")
        await it.at(1)
        await it.stop("web")
        await it.stop_execution(build)
        await it.at(10)
        it.clock.set_wall(it.clock.wall() + timedelta(hours=hours))
        await it.until_phase("slow", ServicePhase.FAILED)
        await it.until_phase("web", ServicePhase.STOPPED)
        assert await it.ended(build) == [ExecutionPhase.STOPPED]
        told = it.world.lines(of="kill ")
        assert told == [
            "t=30.000 kill slow/ready",
            "t=121.000 kill web/start",
            "t=121.000 kill build/task",
        ], told
        shown = it.execution(build)
        assert shown.completed_at is not None
        assert (
            abs(shown.completed_at - shown.created_at - timedelta(seconds=121, hours=hours)).total_seconds()
            < 1
        )
        await it.start("web")
        await it.until_phase("web", ServicePhase.RUNNING)
