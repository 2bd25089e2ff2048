"""A disk that stands still under the agent's state: ext4 on a loop device, frozen and thawed."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.systemd.installed import AGENT, PREFIX, WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.systemd.installed import Installed

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(600)]

STATE = "/var/lib/runner-agent"
QUICK = "[Service]\nWatchdogSec=6s\nTimeoutAbortSec=1s\nTimeoutStopSec=2s\n"
# A disk that nobody thaws is lost until the next boot: this does it when the test is over, however it ends.
FREEZE = 'fsfreeze --freeze "$1" && echo frozen; read -r over; fsfreeze --unfreeze "$1"'


@pytest.fixture
def on_a_disk(machine: Installed) -> Installed:
    """A machine whose agent has a disk of its own for its state, and a watchdog that does not wait long."""
    image = machine.machine.shared / "disk"
    subprocess.run(["truncate", "--size=64M", image], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image], check=True)
    device = _said("losetup", "--find", "--show", str(image)).strip()
    try:
        number = int(device.removeprefix("/dev/loop"))
        machine.machine.run("mknod", "/dev/disk", "b", "7", str(number))
        machine.machine.run("mkdir", "--mode=711", STATE)
        machine.machine.run("mount", "-t", "ext4", "/dev/disk", STATE)
    finally:
        _said("losetup", "--detach", device)  # the kernel does it when nobody has it mounted any more
    machine.write(f"/etc/systemd/system/{AGENT}.d/quick.conf", QUICK)
    machine.install()
    return machine


def _said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@contextmanager
def frozen(machine: Installed) -> Generator[None]:
    """Whatever writes to the state stands still meanwhile."""
    first = machine.machine.pid1()
    assert first is not None
    apart = ["nsenter", "-t", str(first.pid), "--mount", "sh", "-c", FREEZE, "freeze", STATE]
    with subprocess.Popen(
        apart, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            assert keeper.stdout.readline() == "frozen\n"
            yield
        finally:
            keeper.stdin.close()
            assert keeper.wait(60) == 0


def test_rule_7_2_a_disk_that_stands_still_costs_the_agent_and_no_run(on_a_disk: Installed) -> None:
    """The watchdog ends an agent that cannot write; the next one goes on when the disk does."""
    machine, count = on_a_disk, f"{WORKSPACE}/count"
    machine.start("quiet", "exec sleep 1000")
    loud = f"n=0; while :; do n=$((n + 1)); echo line $n; echo $n > {count}; sleep 0.05; done"
    machine.start("loud", loud)
    pids = [machine.pid_of("quiet"), machine.pid_of("loud")]
    agent = machine.main_pid()
    # Who need not write does not notice. Whether it is in force afterwards is open: nobody was answered.
    file = json.dumps({"tasks": {"late": {"name": "late", "command": "true"}}})
    asked = ("timeout", "100", f"{PREFIX}/bin/runner-agent", "automations", "update", "-")
    asking = threading.Thread(target=machine.machine.run, args=asked, kwargs={"check": False, "stdin": file})
    with frozen(machine):
        asking.start()
        machine.until(lambda: "Watchdog timeout" in machine.machine.journal("-u", AGENT), "the watchdog")
        machine.until(lambda: machine.machine.shows(AGENT, "SubState") != "stop-watchdog", "its second step")
        assert [machine.lives(pid) for pid in pids] == [True, True]
    asking.join()
    machine.await_agent(other_than=agent)
    assert [machine.phase(reference) for reference in ("quiet", "loud")] == ["RUNNING", "RUNNING"]
    assert [machine.pid_of("quiet"), machine.pid_of("loud")] == pids
    reached = int(machine.read(count) or 0)
    machine.until(lambda: int(machine.read(count) or 0) > reached, "it writes on")
    machine.cli("service", "stop", "loud", "--wait=100")
    said = machine.cli("service", "logs", "loud", "--no-follow").stdout.splitlines()
    lines = [line for line in said if line.startswith("line ")]
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert len(lines) >= reached, "no line is lost"
    assert not any(machine.lives(pid) for pid in pids[1:])
