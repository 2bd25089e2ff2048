"""Boots, reboots and power failures, each on a machine of its own (rules 6.3, 6.6, 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.systemd.installed import AGENT, WORKSPACE

if TYPE_CHECKING:
    from tests.systemd.installed import Installed

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(600)]

FILE = f"""\
services:
  at-boot:
    name: at boot
    triggeredBy: [postMachineStart]
    commands:
      start: echo up >> {WORKSPACE}/at-boot; exec sleep 1000
  by-hand:
    name: by hand
    commands:
      start: echo up >> {WORKSPACE}/by-hand; exec sleep 1000
      stop: sleep 1; echo stopped >> {WORKSPACE}/by-hand
tasks:
  long:
    name: long
    command: touch {WORKSPACE}/long; exec sleep 1000
"""


def _begun(machine: Installed) -> str:
    """Installed, enabled, and everything of the file under way; the execution of `long`."""
    machine.write(f"{WORKSPACE}/.ona/automations.yaml", FILE)
    machine.install()
    machine.await_phase("at-boot", "RUNNING")
    machine.cli("service", "start", "by-hand", "--wait=100")
    execution = machine.cli("task", "start", "long", "--dont-wait").stdout.strip()
    machine.until(lambda: machine.inside_exists(f"{WORKSPACE}/long"), "the task to run")
    return execution


def test_rule_6_6_a_reboot_stops_in_order_and_replays_nothing(machine: Installed) -> None:
    execution = _begun(machine)
    machine.machine.reboot()
    machine.await_agent()
    machine.await_phase("at-boot", "RUNNING")
    assert machine.read(f"{WORKSPACE}/at-boot") == "up\nup\n", "postMachineStart fires anew"
    assert machine.read(f"{WORKSPACE}/by-hand") == "up\nstopped\n", (
        "its stop command had its time, and it is not replayed"
    )
    assert machine.phase("by-hand") == "STOPPED"
    assert "STOPPED" in machine.cli("task", "get", execution).stdout


def test_rule_6_6_a_power_failure_ends_what_ran(machine: Installed) -> None:
    execution = _begun(machine)
    machine.machine.fail_power()
    machine.await_agent()
    machine.await_phase("at-boot", "RUNNING")
    assert machine.read(f"{WORKSPACE}/at-boot") == "up\nup\n"
    assert machine.read(f"{WORKSPACE}/by-hand") == "up\n"
    assert machine.phase("by-hand") == "STOPPED"
    told = machine.cli("task", "get", execution).stdout
    assert "FAILED" in told
    assert "the machine restarted" in told


def test_rule_6_3_post_machine_start_fires_once_per_boot(machine: Installed) -> None:
    """However often the agent starts."""
    _begun(machine)
    machine.machine.systemctl("restart", AGENT)
    machine.machine.systemctl("reload", AGENT)
    agent = machine.main_pid()
    machine.kill("KILL")
    machine.await_agent(other_than=agent)
    machine.machine.systemctl("stop", AGENT)
    machine.machine.systemctl("start", AGENT)
    assert machine.read(f"{WORKSPACE}/at-boot") == "up\n"
    assert machine.phase("at-boot") == "STOPPED", "it was stopped with the agent, and its trigger has fired"
