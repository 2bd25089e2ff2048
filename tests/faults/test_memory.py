"""The kernel kills for lack of memory: a run, its holder, the launcher, the agent (rules 7.2 and 7.4)."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

import pytest

from runner_agent.client.errors import ClientError
from runner_agent.launcher import wire
from tests.e2e.stage import Stage, automations, execution_path, phase_of, step_of, task_yaml
from tests.faults.test_supervisors import TICKS, gone, holders, launcher, ticks
from tests.support.machines import lacking
from tests.support.processes import Process, look, subtree, wait_until

pytestmark = pytest.mark.faults

LITTLE = 16 << 12
"""Bytes more than a process has already: some pages, which it needs as soon as it does anything."""
LOUD = """echo $$ > leader; echo x >> begun
while [ ! -e enough ]; do sleep 0.02; done
head -c 8000000 /dev/zero | tr '\\0' x
exec sleep 600"""
FILE = automations(
    tasks=(
        task_yaml("ticks", "echo $$ > leader\n" + TICKS),
        task_yaml("loud", LOUD),
        task_yaml("next", "true"),
    )
)
Starve = Callable[[int], Callable[[], bool]]


@pytest.fixture
def starve() -> Generator[Starve]:
    """Give a process hardly any more memory; what is returned tells whether the kernel has killed it."""
    made: list[Path] = []

    def put(pid: int) -> Callable[[], bool]:
        group = _group(f"runner-agent-test-{os.getpid()}-{len(made)}")
        made.append(group)
        (group / "cgroup.procs").write_text(f"{pid}")
        return lambda: _kills(group) > 0

    yield put
    for group in made:
        for pid in (group / "cgroup.procs").read_text().split():  # of a test that failed
            os.kill(int(pid), signal.SIGKILL)
        _remove(group)


def _group(name: str) -> Path:
    """Of version 1, or of version 2 where that has the memory controller."""
    first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    if (first / "memory.limit_in_bytes").exists():
        group, limit = first / name, "memory.limit_in_bytes"
    elif "memory" in _words(second / "cgroup.subtree_control"):
        group, limit = second / name, "memory.max"
    else:
        lacking("a memory cgroup")
    try:
        group.mkdir()
        (group / limit).write_text(f"{LITTLE}")
        with suppress(OSError):  # no such file: no swap to flee to
            (group / "memory.swap.max").write_text("0")
    except OSError as error:
        lacking(f"a memory cgroup that can be made: {error}")
    return group


def _remove(group: Path) -> None:
    wait_until(lambda: not (group / "cgroup.procs").read_text(), what=f"{group} is empty")
    group.rmdir()


def _kills(group: Path) -> int:
    for name in ("memory.oom_control", "memory.events"):
        if (group / name).exists():
            words = _words(group / name)
            return int(words[words.index("oom_kill") + 1])
    raise AssertionError(f"{group} does not tell")


def _words(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def begin(stage: Stage, task: str = "ticks") -> str:
    """An execution that is at work."""
    stage.start(file=FILE)
    execution = stage.agent.start_task(stage.id_of(task))["id"]
    wait_until((stage.workspace / "begun").exists, 10)
    return execution


def went_on(stage: Stage, execution: str) -> None:
    """Exit code, output and every line are there, and it began once."""
    (stage.workspace / "enough").touch()
    ended = stage.await_execution(execution)
    assert "code 5" in ended.get("status", {}).get("failureMessage", "")
    numbers = ticks(stage.log(execution_path(ended)))
    assert numbers == list(range(len(numbers)))
    assert step_of(ended, "ticks")["output"] == {"total": str(len(numbers))}
    assert (stage.workspace / "begun").read_text() == "x\n"


def test_of_the_agent(stage: Stage, starve: Starve) -> None:
    """What it ran goes on, and another agent takes it up."""
    execution = begin(stage)
    killed = starve(stage.daemon.process.pid)

    def dead() -> bool:
        with suppress(ClientError, OSError):
            list(stage.agent.executions())
        return not stage.daemon.running

    wait_until(dead, 20, "it is killed")
    assert killed()
    stage.start()
    went_on(stage, execution)
    assert phase_of(stage.run("next")) == "SUCCEEDED"


@pytest.mark.parametrize("which", ["launcher", "nursery"])
def test_of_the_launcher(stage: Stage, starve: Starve, which: str) -> None:
    """Its holders go on; who asked for the run that it died of gets it from another."""
    execution = begin(stage)
    chief = launcher(stage)
    victim = chief if which == "launcher" else _nursery(chief)
    killed = starve(victim.pid)

    def dead() -> bool:
        if which == "launcher":
            _burden(stage)
        else:
            assert phase_of(stage.run("next")) == "SUCCEEDED"
        return gone(victim.pid)

    wait_until(dead, 20, "it is killed")
    assert killed()
    assert phase_of(stage.run("next")) == "SUCCEEDED"
    went_on(stage, execution)


def test_of_a_holder(stage: Stage, starve: Starve) -> None:
    """Rule 7.4: its run is lost, which is told once nothing of it is left."""
    execution = begin(stage, "loud")
    (holder,) = holders(stage).values()
    leader = int((stage.workspace / "leader").read_text())
    killed = starve(holder.pid)
    (stage.workspace / "enough").touch()
    ended = stage.await_execution(execution)
    assert killed()
    assert "supervisor lost" in ended.get("status", {}).get("failureMessage", "")
    assert gone(leader)
    assert phase_of(stage.run("next")) == "SUCCEEDED"


def test_of_a_run(stage: Stage, starve: Starve) -> None:
    """Rule 3.5: it failed, by which signal, and nobody else."""
    execution = begin(stage)
    found = look(int((stage.workspace / "leader").read_text()))
    assert found is not None
    killed = starve(found.pid)
    ended = stage.await_execution(execution)
    assert killed()
    assert "SIGKILL" in ended.get("status", {}).get("failureMessage", "")
    assert gone(found.pid)
    assert phase_of(stage.run("next")) == "SUCCEEDED"


def _burden(stage: Stage) -> None:
    """Half of a large request, which it keeps until the rest comes."""
    with socket.socket(socket.AF_UNIX) as one, suppress(OSError):
        wire.reach(one.connect, str(stage.state))
        one.settimeout(1)
        one.sendall((wire.MAX_FRAME).to_bytes(4, "big") + bytes(1 << 20))


def _nursery(chief: Process) -> Process:
    (found,) = [one for one in subtree(chief.pid) if one.parent == chief.pid]
    return found
