"""`install` and `uninstall` on a machine of their own, from the wheel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.systemd.installed import AGENT, LAUNCHER, PREFIX, SCOPE, WORKSPACE

if TYPE_CHECKING:
    from tests.systemd.installed import Installed

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(600)]

OWN = "/etc/systemd/system"
UNITS = (AGENT, LAUNCHER, "runner-agent-trigger@.service", "runner-agent-prebuild.service")
MOST_EXPOSED = 3.5
"""Of 10, as `systemd-analyze security` reckons the agent's unit. A new line that raises it owes a reason."""


def _files(machine: Installed) -> str:
    """What an installation may touch, with owner and mode."""
    places = (
        "/etc",
        "/var/lib",
        "/var/log",
        "/run/systemd/system",
        "/run/runner-agent",
        "/home",
        "/usr/lib/systemd",
    )
    lost = r"-path '/var/log/journal*' -o -name '*.lock' -o -name '*-' -o -path '/etc/machine-id'"
    found = machine.machine.run(
        "bash", "-c", f"find {' '.join(places)} \\( {lost} \\) -prune -o -printf '%M %u %p\\n'", check=False
    )
    return "\n".join(sorted(found.stdout.splitlines()))


def _accounts(machine: Installed) -> str:
    return machine.read("/etc/passwd") + machine.read("/etc/group")


def test_a_dry_run_says_all_and_does_nothing(machine: Installed) -> None:
    before = _files(machine), _accounts(machine)
    told = machine.install("--user", "dev", "--dry-run")
    assert (_files(machine), _accounts(machine)) == before
    for unit in UNITS:
        assert f"write {OWN}/{unit}" in told
    assert "systemctl start runner-agent.service" in told
    assert machine.install("--user", "dev") == told, "it does what it said"
    assert machine.machine.shows(AGENT, "ActiveState") == "active"
    assert machine.install("--user", "dev") == "", "what is there is left alone"


def test_installed_for_a_user(machine: Installed) -> None:
    machine.install("--user", "dev")
    assert machine.machine.systemctl("is-enabled", AGENT) == "enabled"
    assert machine.machine.run("id", "-un", "dev").stdout == "dev\n"
    machine.apply(
        tasks={"who": {"name": "who", "command": f"id -un > {WORKSPACE}/who; echo $HOME >> {WORKSPACE}/who"}}
    )
    machine.cli("task", "start", "who")
    assert machine.read(f"{WORKSPACE}/who") == "dev\n/home/dev\n"
    owned = machine.machine.run("stat", "-c", "%U %a", "/run/runner-agent/api.sock")
    assert owned.stdout == "dev 600\n", "its commands may ask the agent"


def test_another_installation_changes_settings_and_keeps_what_runs(machine: Installed) -> None:
    machine.install()
    machine.start("stays", "exec sleep 1000")
    config = machine.machine.inside("/etc/runner-agent/config.yaml")
    config.write_text(config.read_text() + "# mine\ntask_stop_grace: 30s\n")
    pid = machine.pid_of("stays")
    machine.cli("install", "--workspace", "/elsewhere")
    told = config.read_text()
    assert "workspace: /elsewhere\n" in told
    assert "# mine\ntask_stop_grace: 30s\n" in told
    assert machine.phase("stays") == "RUNNING"
    assert machine.lives(pid)


def test_units_are_as_systemd_wants_them(machine: Installed) -> None:
    machine.install()
    names = [f"{OWN}/{unit.replace('@', '@postEnvironmentStart')}" for unit in UNITS]
    checked = machine.machine.run("systemd-analyze", "verify", "--man=no", *names, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    said = machine.machine.run("systemd-analyze", "security", "--no-pager", AGENT, check=False).stdout
    level = re.search(r"Overall exposure level for .*: ([0-9.]+)", said)
    assert level is not None, said
    assert float(level[1]) <= MOST_EXPOSED


def test_commands_are_bound_by_nothing_of_the_agents_hardening(machine: Installed) -> None:
    """They may do what a login may: all capabilities, write anywhere, their own limits."""
    machine.install()
    looks = (
        "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status",
        "ulimit -n",
        "tr '\\0' ' ' </proc/1/cmdline",
    )
    script = "; ".join((*looks, "touch /usr/local/written /home/written"))
    machine.apply(tasks={"free": {"name": "free", "command": script}})
    machine.cli("task", "start", "free")
    told = machine.cli("task", "logs", "free", "--no-follow").stdout
    machine.write(f"{WORKSPACE}/looks", script)
    unit = f"Type=oneshot\nExecStart=bash {WORKSPACE}/looks\nStandardOutput=file:{WORKSPACE}/login"
    machine.write("/run/systemd/system/login.service", f"[Service]\n{unit}\n")
    machine.machine.systemctl("start", "login")
    login = machine.read(f"{WORKSPACE}/login")
    assert "CapEff" in login
    assert [line for line in told.splitlines() if line in login.splitlines()] == login.splitlines()


@pytest.mark.parametrize("purge", [False, True])
def test_uninstall_leaves_nothing_but_what_is_the_users(machine: Installed, purge: bool) -> None:
    before, accounts = _files(machine), _accounts(machine)
    machine.install("--user", "dev")
    machine.start("last", "exec sleep 1000")
    pid = machine.pid_of("last")
    machine.cli("uninstall", *(["--purge"] if purge else []))
    assert not machine.lives(pid)
    assert machine.running(PREFIX) == set(), "no process of ours is left"
    for unit in (AGENT, LAUNCHER, SCOPE, "runner-agent-prebuild.service"):
        assert machine.machine.shows(unit, "LoadState") == "not-found", unit
    if purge:
        changed = set(_files(machine).splitlines()) ^ set(before.splitlines())
        theirs = (
            "/home/dev",
            "/etc/sysusers.d",
        )  # a home is its user's, a folder that systemd names is systemd's
        assert {line for line in changed if not any(path in line for path in theirs)} == set()
        assert _accounts(machine) == accounts
    else:
        assert machine.inside_exists("/var/lib/runner-agent/agent.db")
        assert machine.inside_exists("/etc/runner-agent/config.yaml")
        machine.install("--user", "dev")
        assert machine.phase("last") == "STOPPED", "it is known as before"


def test_a_user_who_is_not_root_is_told(machine: Installed) -> None:
    said = machine.machine.run(
        "setpriv",
        "--reuid=65534",
        "--clear-groups",
        "--regid=65534",
        f"{PREFIX}/bin/python",
        "-m",
        "runner_agent",
        "install",
        check=False,
    )
    assert said.returncode != 0
    assert "Traceback" not in said.stderr


def test_the_prebuild_unit_prepares_an_image(machine: Installed) -> None:
    """Rule 6.5, without an agent: its own ends with it, and the report is there."""
    machine.write(
        f"{WORKSPACE}/.ona/automations.yaml",
        f"tasks:\n  warm: {{name: warm, triggeredBy: [prebuild], command: touch {WORKSPACE}/warm}}\n",
    )
    machine.install("--no-start")
    assert machine.machine.shows(AGENT, "ActiveState") == "inactive"
    machine.machine.systemctl("start", "runner-agent-prebuild", timeout=300)
    assert machine.inside_exists(f"{WORKSPACE}/warm")
    assert '"warm"' in machine.read("/var/log/runner-agent/prebuild.json")
    assert "<testsuite" in machine.read("/var/log/runner-agent/prebuild.xml")
    assert machine.running("runner_agent") == set()
    assert not machine.inside_exists("/var/lib/runner-agent/token")
