"""What runs use: figures of real processes, and nothing of those that are gone."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest

from runner_agent.executors.base import RunRequest
from runner_agent.executors.machine import MachineExecutor, MachineSettings
from runner_agent.executors.usage import Usage, counted, measure
from runner_agent.model.ids import Reference, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Handle
from runner_agent.model.specs import Anywhere
from tests.launcher.rig import cgroup2
from tests.support.machines import lacking
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LISTENER = """python3 - <<'PY' &
import socket, time
listeners = [socket.create_server(("127.0.0.1", 0))]
try:
    listeners.append(socket.create_server(("::1", 0), family=socket.AF_INET6))
except OSError:
    pass  # a machine without IPv6
held = bytearray(64 << 20)
print("ports", *(each.getsockname()[1] for each in listeners), flush=True)
time.sleep(600)
PY
python3 -c 'for _ in range(10**7): pass'
echo burnt
wait
"""


@pytest.fixture
async def machine(scratch: Path) -> AsyncIterator[MachineExecutor]:
    executor = MachineExecutor(MachineSettings(scratch, scratch))
    yield executor
    await executor.stop_launcher()
    await executor.aclose()


def request(folder: Path, script: str) -> RunRequest:
    return RunRequest(
        RunId(f"usage-{os.getpid()}"),
        RunRole.TASK,
        Reference("build"),
        script,
        Anywhere(),
        {},
        folder / "log",
        folder / "output",
    )


async def test_figures_of_a_run(machine: MachineExecutor, scratch: Path) -> None:
    handle = await machine.start(request(scratch, LISTENER))
    log = scratch / "log"
    await eventually(lambda: "burnt" in log.read_text() and len(log.read_text().split()) > 2, what="all said")
    ports = sorted(
        int(word) for line in log.read_text().splitlines() for word in line.split() if word.isdigit()
    )
    used = measure([handle])[handle.run_id]
    assert used.ports == tuple(ports)
    assert used.processes == 2, "the shell and the listener: who has ended is none"
    assert 64 << 20 < used.memory_bytes < 512 << 20
    assert used.cpu_seconds > 0.02, "of the one that has ended too"
    await machine.kill(handle)
    await machine.wait_empty(handle)
    assert measure([handle]) == {}


async def test_what_the_kernel_counts_for_a_cgroup(scratch: Path) -> None:
    """Processor time and processes, even where no controller is at hand."""
    root = cgroup2()
    if root is None:
        lacking("a writable cgroup v2 hierarchy")
    home = root / f"runner-agent-test-usage-{os.getpid()}"
    home.mkdir()
    executor = MachineExecutor(MachineSettings(scratch, scratch, cgroup=str(home)))
    try:
        burn = "python3 -c 'for _ in range(10**7): pass'; (setsid sleep 600 &); echo burnt; exec sleep 600"
        handle = await executor.start(request(scratch, burn))
        await eventually(lambda: "burnt" in (scratch / "log").read_text(), what="burnt")
        (used,) = measure([handle]).values()
        assert used.processes == 2
        assert used.cpu_seconds > 0.02
        assert 0 < used.memory_bytes < 512 << 20
        assert counted([handle]) == {handle.run_id: replace(used, cpu_seconds=ANY, memory_bytes=ANY)}
        await executor.kill(handle)
        await executor.wait_empty(handle)
        await eventually(lambda: [each for each in home.iterdir() if each.is_dir()] == [], what="no cgroup")
    finally:
        await executor.stop_launcher()
        await executor.aclose()
        home.rmdir()


def test_a_handle_that_is_not_of_this_machine_is_passed_over() -> None:
    assert measure([Handle("scripted", RunId("r"))]) == {}


def test_usage_adds_up() -> None:
    total = sum([Usage(1.5, 10, 1, (80, 443)), Usage(0.5, 5, 2, (22, 80))], Usage())
    assert total == Usage(2.0, 15, 3, (22, 80, 443))
