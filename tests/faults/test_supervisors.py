"""Launcher and holders die by violence: what they held is never lost without a word, nor doubled."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, automations, execution_path, phase_of, service_yaml, step_of, task_yaml
from tests.support.processes import Process, end, everything, look, subtree, wait_until

pytestmark = pytest.mark.faults

TICKS = """echo x >> begun; i=0
while [ ! -e enough ]; do echo tick $i; i=$((i+1)); sleep 0.02; done
echo total=$i >> $GITPOD_OUTPUT; exit 5"""
TREE = """echo $$ > leader
(setsid bash -c 'trap "" TERM; echo $BASHPID > child; exec sleep 600' &)
exec sleep 600"""


def launcher(stage: Stage) -> Process:
    """The launcher of this state directory, told by its command line."""
    state = str(stage.state).encode()
    found = [
        one
        for one in everything()
        if one.name == "ra-launcher" and state in Path(f"/proc/{one.pid}/cmdline").read_bytes()
    ]
    assert len(found) == 1, found
    return found[0]


def holders(stage: Stage) -> dict[str, Process]:
    """By run id, from the records."""
    found: dict[str, Process] = {}
    for folder in (stage.state / "runs").iterdir():
        record = json.loads((folder / "spawned").read_text().splitlines()[0])
        process = look(int(record["holder_pid"]))
        if process is not None:
            found[folder.name] = process
    return found


def number(path: Path) -> int:
    """The pid a script has written."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), 5, f"{path} is written")
    return int(path.read_text())


def gone(pid: int) -> bool:
    """Not there, or only a zombie."""
    found = look(pid)
    return found is None or not found.alive


def ticks(log: str) -> list[int]:
    """The numbers that the command wrote."""
    return [int(line.split()[1]) for line in log.splitlines() if line.startswith("tick ")]


@pytest.mark.parametrize("with_agent", [False, True], ids=["launcher", "launcher and agent"])
def test_the_launcher_is_killed(stage: Stage, *, with_agent: bool) -> None:
    """Holders outlive it: exit code, output and log are there, and new runs get a new launcher."""
    stage.start(file=automations(tasks=(task_yaml("ticks", TICKS), task_yaml("next", "true"))))
    execution = stage.agent.start_task(stage.id_of("ticks"))
    wait_until((stage.workspace / "begun").exists, 5)
    victim = launcher(stage)
    nursery = [one for one in subtree(victim.pid) if one.parent == victim.pid]
    if with_agent:
        stage.daemon.sigkill()
    end([victim, *nursery])
    if with_agent:
        stage.start()
    assert phase_of(stage.run("next")) == "SUCCEEDED"
    (stage.workspace / "enough").touch()
    ended = stage.await_execution(execution["id"])
    assert phase_of(ended) == "FAILED"
    assert "code 5" in ended.get("status", {}).get("failureMessage", "")
    numbers = ticks(stage.log(execution_path(ended)))
    assert numbers == list(range(len(numbers)))
    assert step_of(ended, "ticks")["output"] == {"total": str(len(numbers))}
    assert (stage.workspace / "begun").read_text() == "x\n"


@pytest.mark.parametrize("deaths", ["holder", "holder and agent", "holder and launcher", "all three"])
def test_a_holder_is_killed(stage: Stage, deaths: str) -> None:
    """Rule 7.4: FAILED "supervisor lost", and only when nothing of it is left; others are not touched."""
    stage.start(
        file=automations(
            services=(
                service_yaml("tree", TREE),
                service_yaml("neighbour", "echo $$ > neighbour; exec sleep 600"),
            ),
            tasks=(task_yaml("next", "true"),),
        )
    )
    stage.agent.start_service(stage.id_of("tree"))
    pids = [number(stage.workspace / name) for name in ("leader", "child")]
    (victim,) = holders(stage).values()
    stage.agent.start_service(stage.id_of("neighbour"))
    neighbour = number(stage.workspace / "neighbour")
    stage.await_phase("neighbour", "RUNNING")
    victims = [victim]
    if deaths in ("holder and launcher", "all three"):
        old = launcher(stage)
        victims += [old, *(one for one in subtree(old.pid) if one.parent == old.pid)]
    if deaths in ("holder and agent", "all three"):
        stage.daemon.sigkill()
    end(victims)
    if deaths in ("holder and agent", "all three"):
        stage.start()
    failed: list[str] = []

    def over() -> bool:
        service = stage.service("tree")
        if phase_of(service) != "FAILED":
            return False
        assert all(gone(pid) for pid in pids), "it is told only when nothing is left"
        failed.append(service.get("status", {}).get("failureMessage", ""))
        return True

    wait_until(over, 20, f"tree is FAILED; the agent says\n{stage.daemon.stderr}")
    assert "supervisor lost" in failed[0]
    assert stage.phase("neighbour") == "RUNNING"
    assert not gone(neighbour)
    assert phase_of(stage.run("next")) == "SUCCEEDED"


def test_the_agent_is_away_while_a_task_ends(stage: Stage) -> None:
    """Rule 7.2: its exit code, its output and every byte of its log are there on return."""
    stage.start(file=automations(tasks=(task_yaml("ticks", TICKS),)))
    execution = stage.agent.start_task(stage.id_of("ticks"))
    wait_until((stage.workspace / "begun").exists, 5)
    (holder,) = holders(stage).values()
    stage.daemon.sigkill()
    (stage.workspace / "enough").touch()
    wait_until(lambda: gone(holder.pid), 5)
    stage.start()
    ended = stage.await_execution(execution["id"])
    assert "code 5" in ended.get("status", {}).get("failureMessage", "")
    numbers = ticks(stage.log(execution_path(ended)))
    assert step_of(ended, "ticks")["output"] == {"total": str(len(numbers))}


def test_an_agent_that_was_away_still_sends_sigterm_first(stage: Stage) -> None:
    """Rule 3.8: no SIGKILL before its deadline; the deadlines are stored."""
    start = "trap 'echo mild >> told; exit' TERM; echo up >> told; while :; do sleep 0.05; done"
    stage.start(file=automations(services=(service_yaml("mild", start),)))
    stage.agent.start_service(stage.id_of("mild"))
    wait_until((stage.workspace / "told").exists, 5)
    agent, mild = stage.agent, stage.id_of("mild")
    agent.stop_service(mild)
    stage.daemon.sigkill()
    stage.start()
    stage.await_phase("mild", "STOPPED")
    assert (stage.workspace / "told").read_text() == "up\nmild\n"


def test_a_stopped_agent_is_no_obstacle_to_its_runs(stage: Stage) -> None:
    """SIGSTOP for a while: the runs go on, and what they wrote meanwhile is found."""
    stage.start(file=automations(tasks=(task_yaml("ticks", TICKS),)))
    execution = stage.agent.start_task(stage.id_of("ticks"))
    wait_until((stage.workspace / "begun").exists, 5)
    os.kill(stage.daemon.process.pid, signal.SIGSTOP)
    try:
        (stage.workspace / "enough").touch()
        wait_until(lambda: not any(one.alive for one in holders(stage).values()), 5)
    finally:
        os.kill(stage.daemon.process.pid, signal.SIGCONT)
    assert "code 5" in stage.await_execution(execution["id"]).get("status", {}).get("failureMessage", "")
