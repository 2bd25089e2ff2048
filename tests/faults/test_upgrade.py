"""Another version of the program takes over, by SIGHUP or after a death, while runs are alive (rule 7.2)."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

import runner_agent
from tests.e2e.stage import Stage, automations, execution_path, phase_of, service_yaml, task_yaml
from tests.faults.test_supervisors import TICKS, gone, launcher, number, ticks
from tests.support.processes import wait_until

pytestmark = pytest.mark.faults

FILE = automations(
    services=(service_yaml("up", "echo $$ > up; echo x >> starts; exec sleep 600"),),
    tasks=(task_yaml("ticks", TICKS), task_yaml("next", "true")),
)


def installed(stage: Stage, *, wire: int, version: str) -> None:
    """A program of this version below the stage's folder, in place of the one that may be there."""
    code = stage.daemon.base / "code"
    shutil.rmtree(code, ignore_errors=True)
    ours = Path(runner_agent.__file__).parent
    shutil.copytree(ours, code / "runner_agent", ignore=shutil.ignore_patterns("__pycache__"))
    _changed(code / "runner_agent/__init__.py", "__version__ = ", f'__version__ = "{version}"')
    _changed(code / "runner_agent/launcher/wire.py", "VERSION = ", f"VERSION = {wire}")
    stage.daemon.environment["PYTHONPATH"] = str(code)


def _changed(path: Path, begins: str, line: str) -> None:
    lines = path.read_text().splitlines()
    (at,) = (index for index, one in enumerate(lines) if one.startswith(begins))
    lines[at] = line
    path.write_text("\n".join(lines) + "\n")


def begin(stage: Stage) -> tuple[str, int]:
    """Something of each kind runs: the execution, and the service's pid."""
    stage.start(file=FILE)
    stage.agent.start_service(stage.id_of("up"))
    execution = stage.agent.start_task(stage.id_of("ticks"))["id"]
    stage.await_phase("up", "RUNNING")
    wait_until((stage.workspace / "begun").exists)
    return execution, number(stage.workspace / "up")


def taken_up(stage: Stage, execution: str, up: int) -> None:
    """Nothing was started anew, and how it ends is known to the last line."""
    assert phase_of(stage.agent.get_execution(execution)) == "RUNNING"
    (stage.workspace / "enough").touch()
    ended = stage.await_execution(execution)
    assert "code 5" in ended.get("status", {}).get("failureMessage", "")
    numbers = ticks(stage.log(execution_path(ended)))
    assert numbers == list(range(len(numbers)))
    assert stage.phase("up") == "RUNNING"
    assert not gone(up)
    assert (stage.workspace / "starts").read_text() == "x\n"


def test_sighup_goes_over_to_another_version_while_runs_are_alive(stage: Stage) -> None:
    """The launcher speaks the same: nobody notices, and new runs start at once."""
    installed(stage, wire=1, version="0.8.0")
    execution, up = begin(stage)
    pid, chief = stage.daemon.process.pid, launcher(stage)
    assert stage.daemon.info().version == "0.8.0"
    installed(stage, wire=1, version="0.9.0")
    stage.daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: stage.daemon.info().version == "0.9.0", what="it is the new one")
    assert stage.daemon.info().pid == pid
    assert phase_of(stage.run("next")) == "SUCCEEDED"
    taken_up(stage, execution, up)
    assert launcher(stage) == chief


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)], ids=["older launcher", "newer launcher"])
@pytest.mark.parametrize("by", ["SIGHUP", "SIGKILL"])
def test_a_launcher_of_another_version_keeps_its_runs_and_goes_when_it_has_none(
    stage: Stage, before: int, after: int, by: str
) -> None:
    """What it holds is followed to its end; new runs wait, and it is told why; then it is replaced."""
    installed(stage, wire=before, version="0.8.0")
    execution, up = begin(stage)
    chief = launcher(stage)
    installed(stage, wire=after, version="0.9.0")
    if by == "SIGHUP":
        stage.daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: stage.daemon.info().version == "0.9.0", what="it is the new one")
    else:
        stage.daemon.sigkill()
        stage.start()
    waiting = stage.agent.start_task(stage.id_of("next"))["id"]
    wait_until(lambda: "the launcher is of another version than this agent" in stage.daemon.stderr)
    taken_up(stage, execution, up)
    assert phase_of(stage.agent.get_execution(waiting)) != "FAILED"
    stage.agent.stop_service(stage.id_of("up"))
    stage.await_phase("up", "STOPPED")
    assert phase_of(stage.await_execution(waiting, 90)) == "SUCCEEDED"
    assert not chief.alive
    assert launcher(stage) != chief
