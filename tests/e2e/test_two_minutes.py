"""The real two minutes, once (rules 3.7, 3.8 and 4.6); everywhere else the clock or the grace is another."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import automations, phase_of, service_yaml, task_yaml
from tests.support.processes import Process, look, wait_until

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

LATE = 30.0
"""Seconds that a machine with much else to do may take for anything."""
DEAF = "trap 'date +%s.%N >> {0}.term' TERM; echo $$ > {0}.pid; while :; do sleep 0.02; done"


@dataclass
class Watched:
    """One command on its way down."""

    process: Process
    asked: float = 0.0
    ended: float = 0.0

    @property
    def lasted(self) -> float:
        """Seconds from the request to its end."""
        return self.ended - self.asked


def test_sigterm_at_once_sigkill_after_two_minutes() -> None:
    """What ignores SIGTERM, a service and a task, and a stop command that never ends: at 120 s, no sooner."""
    with staged() as stage:
        for name in ("RUNNER_AGENT_SERVICE_STOP_GRACE", "RUNNER_AGENT_TASK_STOP_GRACE"):
            del stage.daemon.environment[name]
        stage.start(
            file=automations(
                services=(
                    service_yaml("deaf", DEAF.format("deaf")),
                    service_yaml(
                        "stuck",
                        DEAF.format("stuck"),
                        stop="echo $$ > stop.pid; trap '' TERM; while :; do sleep 1; done",
                    ),
                ),
                tasks=(task_yaml("worker", DEAF.format("worker")),),
            )
        )
        for name in ("deaf", "stuck"):
            stage.agent.start_service(stage.id_of(name))
        execution = stage.agent.start_task(stage.id_of("worker"))["id"]

        def process(name: str) -> Process:
            path = stage.workspace / f"{name}.pid"
            wait_until(lambda: path.exists() and path.read_text().endswith("\n"), 10)
            found = look(int(path.read_text()))
            assert found is not None
            return found

        all_three = {name: Watched(process(name)) for name in ("deaf", "stuck", "worker")}
        wall = time.time()
        for name, one in all_three.items():
            one.asked = time.monotonic()
            if name == "worker":
                stage.agent.stop_execution(execution)
            else:
                stage.agent.stop_service(stage.id_of(name))
        all_three["stop"] = Watched(process("stop"), asked=all_three["stuck"].asked)
        for name in ("deaf", "worker"):
            path = stage.workspace / f"{name}.term"
            wait_until(path.exists, 2, f"{name} is told at once")
            assert float(path.read_text().split()[0]) - wall < LATE
        deadline = time.monotonic() + 170
        while any(not one.ended for one in all_three.values()) and time.monotonic() < deadline:
            for one in all_three.values():
                if not one.ended and not one.process.alive:
                    one.ended = time.monotonic()
            time.sleep(0.02)
        for name, one in all_three.items():
            assert 119.5 <= one.lasted <= 120 + LATE, f"{name} lasted {one.lasted}"
        assert not (stage.workspace / "stuck.term").exists(), "`stop` runs instead of SIGTERM"
        assert phase_of(stage.await_phase("deaf", "STOPPED", "FAILED")) == "STOPPED"
        stuck = stage.await_phase("stuck", "STOPPED", "FAILED")
        assert phase_of(stuck) == "FAILED"
        assert stuck.get("status", {}).get("failureMessage") == "stop command did not finish within 120 s"
        assert phase_of(stage.await_execution(execution)) == "STOPPED"
