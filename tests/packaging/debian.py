"""A booted Debian with the packages at hand, and what a person would do there."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.systemd import Machine

AGENT = "runner-agent.service"
STATE = "/var/lib/runner-agent"
SECONDS = 60.0
WEB = "/var/tmp/web.pid"
FILE = {"services": {"web": {"name": "Web", "commands": {"start": f"echo $$ > {WEB}; exec sleep 100000"}}}}


class Debian:
    """A booted Debian with the packages at hand."""

    def __init__(self, machine: Machine, package: Path, next_package: Path) -> None:
        self.machine = machine
        shutil.copy(package, machine.shared / "now.deb")
        shutil.copy(next_package, machine.shared / "next.deb")

    def dpkg(self, action: str, what: str) -> str:
        return self.machine.run("dpkg", f"--{action}", what, timeout=300).stdout

    def agent(self, *arguments: str, stdin: str = "") -> str:
        """`runner-agent ...`; what it says on standard output."""
        return self.machine.run("runner-agent", *arguments, stdin=stdin).stdout

    def active(self, unit: str = AGENT) -> bool:
        return self.machine.shows(unit, "ActiveState") == "active"

    def main_pid(self, unit: str = AGENT) -> int:
        return int(self.machine.shows(unit, "MainPID"))

    def info(self) -> dict[str, object]:
        """agent.json."""
        told: dict[str, object] = json.loads(self.machine.inside(f"{STATE}/agent.json").read_text())
        return told

    def start_web(self) -> int:
        """The service's pid."""
        self.agent("automations", "update", "-", stdin=json.dumps(FILE))
        self.agent("service", "start", "web", "--wait=60")
        wait_until(self.pid_of_web, SECONDS, "the first line of web")
        return self.pid_of_web()

    def pid_of_web(self) -> int:
        """0 for none."""
        file = self.machine.inside(WEB)
        pid = int(file.read_text() or 0) if file.exists() else 0
        return pid if pid and self.there(f"/proc/{pid}") else 0

    def until(self, condition: Callable[[], object], what: str) -> None:
        """With the journal as evidence."""
        try:
            wait_until(condition, SECONDS, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.machine.journal('-n', '80')}") from None

    def there(self, path: str) -> bool:
        return os.path.lexists(self.machine.inside(path))
