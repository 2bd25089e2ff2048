"""The Debian package on a clean Debian, with systemd and without: installed, upgraded, removed, purged."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.packaging.conftest import NEXT
from tests.packaging.debian import AGENT, SECONDS, STATE, Debian
from tests.support.packages import ROOT
from tests.support.processes import wait_until
from tests.support.systemd import SHARED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(600)]  # the first one makes what all need

LAUNCHER, SCOPE = "runner-agent-launcher.service", "runner-agent-runs.scope"


# ---------------------------------------------------------------- without systemd


@pytest.fixture
def chroot(clean_root: Path, scratch: Path) -> Path:
    """A copy of the clean root, to be written."""
    root = scratch / "root"
    shutil.copytree(clean_root, root, symlinks=True, ignore=shutil.ignore_patterns("dev"))
    (root / "dev").mkdir()
    (root / "dev/null").touch()
    return root


def within(root: Path, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command in it, with processes and mounts of its own, and no network."""
    apart = [
        "unshare",
        "--mount",
        "--pid",
        "--net",
        "--fork",
        "--kill-child",
        f"--root={root}",
        "--mount-proc",
    ]
    environ = [
        "env",
        "-i",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        "DEBIAN_FRONTEND=noninteractive",
    ]
    done = subprocess.run([*apart, "--wd=/", *environ, *argv], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
    return done


def test_without_systemd(chroot: Path, package: Path) -> None:
    """In an image that is built by a chroot: nothing is started, and the unit is enabled for later."""
    shutil.copy(package, chroot / "tmp/agent.deb")
    within(chroot, "dpkg", "--install", "/tmp/agent.deb")
    assert within(chroot, "runner-agent", "--version").stdout.startswith("runner-agent ")
    assert json.loads(within(chroot, "runner-agent", "doctor", "--json").stdout)["usable"] is True
    assert within(chroot, "dpkg", "--verify", "runner-agent").stdout == ""
    wanted = chroot / "etc/systemd/system/multi-user.target.wants/runner-agent.service"
    assert wanted.is_symlink()
    asked = within(chroot, "python3", "-c", "import sys; print(sys.implementation.cache_tag)")
    compiled = {path.stem.rpartition(".")[2] for path in (chroot / "opt/runner-agent").rglob("*.pyc")}
    assert compiled == {asked.stdout.strip()}, "what this Python reads, and nothing for another"
    assert any((chroot / "opt/runner-agent/lib").glob("python3.*/site-packages/*/__pycache__"))

    (chroot / "var/lib/runner-agent/kept").write_text("state")
    (chroot / "etc/runner-agent/config.yaml").write_text("prebuild: true\n")
    within(chroot, "dpkg", "--remove", "runner-agent")
    assert not (chroot / "opt/runner-agent").exists()
    assert not (chroot / "usr/bin/runner-agent").is_symlink()
    assert (chroot / "var/lib/runner-agent/kept").exists()
    assert (chroot / "etc/runner-agent/config.yaml").exists()

    within(chroot, "dpkg", "--purge", "runner-agent")
    assert within(chroot, "find", "/", "-xdev", "-path", "*runner-agent*").stdout == ""


# ---------------------------------------------------------------- with systemd


def test_installed_upgraded_and_removed(debian: Debian) -> None:
    """Rule 7.2 for packages: an upgrade keeps every run, and the launcher; a removal brings all down."""
    debian.dpkg("install", f"{SHARED}/now.deb")
    assert debian.active()
    assert debian.machine.systemctl("is-enabled", AGENT) == "enabled"
    web = debian.start_web()
    agent, launcher = debian.main_pid(), debian.main_pid(LAUNCHER)
    assert 0 not in (web, agent, launcher)

    debian.dpkg("install", f"{SHARED}/next.deb")
    assert debian.info()["version"] == NEXT
    assert (debian.pid_of_web(), debian.main_pid(LAUNCHER)) == (web, launcher)
    assert debian.main_pid() == agent, "it was restarted instead of reloaded"
    assert '"RUNNING"' in debian.agent("service", "list", "--json").replace("SERVICE_PHASE_", "")

    debian.dpkg("remove", "runner-agent")
    assert not any(debian.active(unit) for unit in (AGENT, LAUNCHER, SCOPE))
    assert debian.pid_of_web() == 0
    assert debian.there(f"{STATE}/agent.db")
    assert not debian.there("/opt/runner-agent")

    debian.dpkg("install", f"{SHARED}/now.deb")
    wait_until(debian.active, SECONDS, "the agent is up again")
    assert "web" in debian.agent("service", "list", "--json")
    debian.dpkg("purge", "runner-agent")
    assert not any(
        debian.there(path) for path in (STATE, "/etc/runner-agent", "/run/runner-agent", "/opt/runner-agent")
    )
    assert debian.machine.systemctl("list-unit-files", "--no-legend", "runner-agent*", check=False) == ""


def test_what_an_administrator_decided_stays(debian: Debian) -> None:
    """A disabled agent is not started by an upgrade, and a restart of the machine starts an enabled one."""
    debian.dpkg("install", f"{SHARED}/now.deb")
    debian.machine.reboot()
    assert debian.active()
    debian.machine.systemctl("disable", "--now", AGENT)
    debian.dpkg("install", f"{SHARED}/next.deb")
    assert not debian.active()
    assert debian.machine.systemctl("is-enabled", AGENT, check=False) == "disabled"


def test_settings_by_the_command(debian: Debian) -> None:
    """`runner-agent install` beside the package says who and where, and writes no units of its own."""
    debian.dpkg("install", f"{SHARED}/now.deb")
    debian.agent("install", "--user", "dev", "--workspace", "/workspaces/project")
    wait_until(debian.active, SECONDS, "the agent is up with its settings")
    assert not debian.there("/etc/systemd/system/runner-agent.service")
    assert debian.machine.run("dpkg", "--verify", "runner-agent").stdout == ""
    debian.start_web()
    pid = debian.pid_of_web()
    told = debian.machine.run("stat", "-c", "%U", f"/proc/{pid}").stdout.strip()
    assert told == "dev"
    assert str(ROOT) not in debian.agent("status")
