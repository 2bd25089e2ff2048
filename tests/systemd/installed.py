"""The agent in a machine, installed from the wheel as a user would, and asked by its own command line."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.processes import wait_until
from tests.support.systemd import SHARED, Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/opt/runner-agent"
WORKSPACE = "/workspace"
AGENT, LAUNCHER, SCOPE = "runner-agent.service", "runner-agent-launcher.service", "runner-agent-runs.scope"
LONG = 120.0
"""Seconds for what takes one or two."""


def build_wheel(folder: Path) -> Path:
    """Of the tree as it is."""
    source = folder / "source"
    source.mkdir()
    for name in ("src", "systemd"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    build = [] if importlib.util.find_spec("hatchling") is None else ["--no-build-isolation"]
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        "--quiet",
        "--no-deps",
        *build,
    ]
    done = subprocess.run(
        [*pip, "--wheel-dir", str(folder), str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(source)
    return next(folder.glob("*.whl"))


def install_wheel(machine: Machine, wheel: Path) -> None:
    """Into a virtual environment of its own. What it depends on is lent by the one that runs the tests."""
    shutil.copy(wheel, machine.shared / wheel.name)
    # Not the tests' own interpreter but that which it was made of: an environment of an environment is none.
    base = getattr(sys, "_base_executable", sys.executable)
    machine.run(base, "-m", "venv", "--without-pip", PREFIX)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", f"{PREFIX}/bin/python")
    lent = sysconfig.get_path("purelib")
    folder = machine.run(
        f"{PREFIX}/bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
    )
    (machine.inside(folder.stdout.strip()) / "lent.pth").write_text(f"{lent}\n")
    machine.run(
        *pip, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", f"{SHARED}/{wheel.name}"
    )
    machine.run(f"{PREFIX}/bin/python", "-m", "compileall", "-q", f"{folder.stdout.strip()}/runner_agent")


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
