"""The agent in a machine, installed from the wheel as a user would, and asked by its own command line."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.processes import wait_until
from tests.support.systemd import SHARED

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from tests.support.systemd import Machine

PREFIX = "/opt/runner-agent"
WORKSPACE = "/workspace"
AGENT, LAUNCHER, SCOPE = "runner-agent.service", "runner-agent-launcher.service", "runner-agent-runs.scope"
LONG = 120.0
"""Seconds for what takes one or two."""


def install_wheel(machine: Machine, wheels: Path) -> None:
    """As docs/install.md says for a machine without a network."""
    shutil.copytree(wheels, machine.shared / "wheels")
    offline = ("--no-index", "--find-links", f"{SHARED}/wheels")
    machine.run("python3", "-m", "venv", "--without-pip", PREFIX)
    # Debian has venv without pip, which is one of the wheels and runs from there.
    pip = f"{SHARED}/wheels/{next(wheels.glob('pip-*')).name}/pip"
    machine.run(f"{PREFIX}/bin/python3", pip, "install", "--quiet", *offline, "runner-agent", timeout=300)


@dataclass(frozen=True, slots=True)
class Installed:
    """A machine with the agent in it."""

    machine: Machine

    def install(self, *arguments: str) -> str:
        """`runner-agent install`; what it says on standard output."""
        return self.cli("install", "--workspace", WORKSPACE, *arguments).stdout

    def cli(
        self, *arguments: str, check: bool = True, stdin: str = "", timeout: float = LONG
    ) -> subprocess.CompletedProcess[str]:
        """`runner-agent ...` as root."""
        return self.machine.run(
            f"{PREFIX}/bin/runner-agent", *arguments, check=check, stdin=stdin, timeout=timeout
        )

    def apply(
        self, services: Mapping[str, object] | None = None, tasks: Mapping[str, object] | None = None
    ) -> None:
        """Put definitions in force beside those of other tests."""
        file = json.dumps({"services": services or {}, "tasks": tasks or {}})
        self.cli("automations", "update", "-", stdin=file)

    def service(self, reference: str) -> Any:
        """As JSON tells it; None if there is none or nobody answers."""
        got = self.cli("service", "get", reference, "--json", check=False)
        return json.loads(got.stdout) if got.returncode == 0 else None

    def phase(self, reference: str) -> str:
        """Of a service; "" while nobody answers."""
        found = self.service(reference)
        return str(found.get("status", {}).get("phase", "")).removeprefix("SERVICE_PHASE_") if found else ""

    def await_phase(self, reference: str, phase: str) -> None:
        """Until it is in it."""
        self.until(lambda: self.phase(reference) == phase, f"{reference} in {phase}")

    def start(self, reference: str, script: str, **commands: str) -> None:
        """A service of this script, up. It has said so when the file of its name is there, see `pid_of`."""
        told = f"echo $$ > {WORKSPACE}/{reference}.pid\n{script}"
        self.apply({reference: {"name": reference, "commands": {"start": told, **commands}}})
        self.cli("service", "start", reference, "--wait=100")
        self.until(lambda: self.pid_of(reference), f"the first line of {reference}")

    def pid_of(self, reference: str) -> int:
        """Of the newest session's `start`, as it is numbered inside; 0 for none."""
        text = self.read(f"{WORKSPACE}/{reference}.pid")
        return int(text) if text.endswith("\n") else 0

    def lives(self, pid: int) -> bool:
        """Whether a process inside is there."""
        return self.machine.inside(f"/proc/{pid}").exists()

    def running(self, text: str) -> set[int]:
        """The processes inside whose name or command line holds this, as they are numbered there."""
        found: set[int] = set()
        for folder in self.machine.inside("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has just ended
                told = (folder / "comm").read_text() + (folder / "cmdline").read_text()
                found |= {int(folder.name)} if text in told else set()
        return found

    def read(self, path: str) -> str:
        """A file inside, "" for none."""
        try:
            return self.machine.inside(path).read_text()
        except FileNotFoundError:
            return ""

    def inside_exists(self, path: str) -> bool:
        """Whether a file is there."""
        return self.machine.inside(path).exists()

    def write(self, path: str, text: str) -> None:
        """A file inside."""
        file = self.machine.inside(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def main_pid(self, unit: str = AGENT) -> int:
        """As it is numbered inside; 0 for none."""
        return int(self.machine.shows(unit, "MainPID"))

    def kill(self, signal: str, unit: str = AGENT) -> None:
        """Send it to the unit's main process."""
        self.machine.systemctl("kill", "--kill-whom=main", f"--signal={signal}", unit)

    def await_agent(self, other_than: int = 0) -> None:
        """Until an agent is ready, and answers; `other_than` is the number of one that is gone."""

        def ready() -> bool:
            state = self.machine.shows(AGENT, "ActiveState")
            return state == "active" and self.main_pid() not in {0, other_than}

        self.until(ready, "the agent to be ready")

    @contextmanager
    def drop_in(self, text: str) -> Generator[None]:
        """The agent under a unit that says this, too, in [Service]."""
        path = f"/run/systemd/system/{AGENT}.d/test.conf"
        self.write(path, f"[Service]\n{text}\n")
        self._restart()
        try:
            yield
        finally:
            self.machine.inside(path).unlink()
            self._restart()

    def _restart(self) -> None:
        self.machine.systemctl("daemon-reload")
        self.machine.systemctl("restart", AGENT)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """With the journal as evidence."""
        try:
            wait_until(condition, LONG, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.machine.journal('-n', '80')}") from None
