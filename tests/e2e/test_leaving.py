"""The end that is no stop: told by SIGUSR2, the agent leaves, and the next takes up what runs (rule 7.2)."""

from __future__ import annotations

import signal
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.e2e.stage import automations, phase_of, service_yaml, task_yaml
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.stage import Stage


def test_it_leaves_with_exit_code_0_and_every_run_goes_on(stage: Stage) -> None:
    once = "echo began >> $RUNNER_AGENT_REFERENCE"
    waits = f"{once}; until [ -e done ]; do sleep 0.05; done; exit 4"
    stage.start(
        file=automations(
            services=(service_yaml("stays", f"{once}; exec sleep 1000"),), tasks=(task_yaml("ends", waits),)
        )
    )
    stage.agent.start_service(stage.id_of("stays"))
    execution = stage.agent.start_task(stage.id_of("ends"))["id"]
    before = stage.await_phase("stays", "RUNNING")
    assert stage.daemon.interrupt(number=signal.SIGUSR2) == 0
    (stage.workspace / "done").touch()  # it ends while there is no agent
    stage.start()
    assert stage.service("stays") == before, "nothing about it moved"
    assert phase_of(stage.await_execution(execution)) == "FAILED"
    assert "code 4" in str(stage.agent.get_execution(execution))
    for name in ("stays", "ends"):
        assert (stage.workspace / name).read_text() == "began\n", "nothing is started twice"


def test_what_ended_while_the_agent_was_killed_ended_then(stage: Stage) -> None:
    """Rule 4.8: as the log says, not when the agent came back."""
    waits = "echo up; until [ -e done ]; do sleep 0.02; done; exit 3"
    stage.start(
        file=automations(services=(service_yaml("serves", waits),), tasks=(task_yaml("works", waits),))
    )
    stage.agent.start_service(stage.id_of("serves"))
    execution = stage.agent.start_task(stage.id_of("works"))["id"]
    stage.await_phase("serves", "RUNNING")
    wait_until(lambda: len(_lines(stage, "up")) == 2, what="both commands")
    stage.daemon.sigkill()
    (stage.workspace / "done").touch()
    wait_until(lambda: len(_lines(stage, "exited with code 3")) == 2, what="the ends of both")
    over = datetime.now(UTC)
    stage.start()
    ended = stage.await_execution(execution)
    assert datetime.fromisoformat(ended.get("metadata", {}).get("completedAt", "")) <= over
    stage.await_phase("serves", "FAILED")
    assert datetime.fromisoformat(stage.agent.live()["services"][0].get("phaseSince", "")) <= over


def _lines(stage: Stage, text: str) -> list[str]:
    logs = (path.read_text() for path in (stage.state / "logs").rglob("*") if path.is_file())
    return [line for log in logs for line in log.splitlines() if text in line]


def test_where_the_launcher_is_a_unit_none_is_started(stage: Stage, tmp_path: Path) -> None:
    """`launcher_unit` is asked for by systemctl; what that says is what the run's trouble says."""
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho no such unit >&2\nexit 5\n')
    systemctl.chmod(systemctl.stat().st_mode | stat.S_IXUSR)
    stage.daemon.environment |= {
        "RUNNER_AGENT_LAUNCHER_UNIT": "some.service",
        "PATH": f"{tmp_path}:/usr/local/bin:/usr/bin:/bin",
    }
    stage.start()
    wait_until(lambda: "some.service): no such unit" in stage.daemon.stderr, what="what systemctl said")
    assert (tmp_path / "asked").read_text().splitlines()[0] == "--no-ask-password start some.service"
    assert not (stage.state / "launcher.sock").exists()
    assert stage.daemon.terminate() == 0
