"""The real agent as a subprocess: started, killed, restarted and asked as a user would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.processes import POLL, Process, tied_to, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = (sys.executable, "-m", "runner_agent")
READY = 60.0  # seconds until agent.json must be there; far above the budget, for a busy machine
STOP = 60.0  # seconds for an orderly end of services that do not resist
LEAVING = 5.0  # seconds that the kernel may take to end a process which was told to, on a busy machine


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """What the agent says of itself in agent.json."""

    pid: int
    addresses: tuple[str, ...]
    environment_id: str
    version: str

    @property
    def socket(self) -> Path:
        """The path of the first unix socket."""
        return Path(
            next(address.removeprefix("unix:") for address in self.addresses if address.startswith("unix:"))
        )


@dataclass(slots=True)
class Daemon:
    """One agent below `base`: state/, workspace/, home/ and its standard error, over any number of starts."""

    base: Path
    environment: dict[str, str] = field(default_factory=dict[str, str])
    program: tuple[str, ...] = PROGRAM
    """What `start` runs: one with failpoints, say."""
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        for directory in (self.workspace, self.base / "home"):
            directory.mkdir(exist_ok=True)

    @property
    def state(self) -> Path:
        return self.base / "state"

    @property
    def workspace(self) -> Path:
        return self.base / "workspace"

    @property
    def stderr(self) -> str:
        """All that every start has written to standard error and standard output."""
        path = self.base / "stderr"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the agent was not started"
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *arguments: str, command: str = "serve") -> AgentInfo:
        """Start it and wait until it is ready; `arguments` come after the directories."""
        self.spawn(*arguments, command=command)
        return self.wait_ready()

    def spawn(self, *arguments: str, command: str = "serve") -> None:
        """Start it and wait for nothing."""
        assert not self.running, "the agent is running already"
        argv = [
            *self.program,
            command,
            "--state-dir",
            str(self.state),
            "--workspace",
            str(self.workspace),
            *arguments,
        ]
        with (self.base / "stderr").open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=self.workspace,
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_ready(self, timeout: float = READY) -> AgentInfo:
        """Wait for the agent.json of this start (one of an earlier start names another pid)."""

        def ready() -> bool:
            assert self.running, f"the agent ended with {self.process.returncode}:\n{self.stderr}"
            return self._info_pid() == self.process.pid

        wait_until(ready, timeout, f"agent.json of pid {self.process.pid}; it says:\n{self.stderr}")
        return self.info()

    def info(self) -> AgentInfo:
        """agent.json as it is now."""
        told: dict[str, object] = json.loads((self.state / "agent.json").read_text())
        addresses = told["addresses"]
        assert isinstance(addresses, list)
        return AgentInfo(
            pid=int(str(told["pid"])),
            addresses=tuple(str(address) for address in addresses),  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            environment_id=str(told["environmentId"]),
            version=str(told["version"]),
        )

    def sigkill(self) -> None:
        """Kill the agent alone, as a crash would, and reap it. Its runs live on (rule 7.2)."""
        self.process.kill()
        self.process.wait(STOP)

    def terminate(self, timeout: float = STOP) -> int:
        """SIGTERM; the exit code once it has ended."""
        return self.interrupt(timeout, signal.SIGTERM)

    def interrupt(self, timeout: float = STOP, number: signal.Signals = signal.SIGINT) -> int:
        """SIGINT, as Ctrl-C sends it; the exit code once it has ended."""
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def cli(
        self, *arguments: str, timeout: float = 90.0, stdin: str = "", extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`runner-agent ARGUMENTS`, as a user beside this agent would; any exit code is an answer."""
        return subprocess.run(
            [*PROGRAM, *arguments],
            cwd=self.workspace,
            env=self._environ() | dict(extra or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def family(self) -> list[Process]:
        """Every process tied to this agent but the agent itself: launcher, holders, runs."""
        agent = self._process.pid if self._process is not None and self.running else -1
        return [process for process in tied_to(self.base) if process.pid != agent]

    def survivors(self) -> list[Process]:
        """Those of them that stay: whoever is on its way out has LEAVING seconds to be gone."""
        deadline = time.monotonic() + LEAVING
        while (found := self.family()) and time.monotonic() < deadline:
            time.sleep(POLL)
        return found

    def close(self) -> None:
        """Stop it if it runs; then nothing may be left. What a killed agent leaves, the fixture ends."""
        if not self.running:
            return
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.sigkill()
            raise AssertionError(f"SIGTERM did not end the agent within {STOP} s:\n{self.stderr}") from None
        left = self.survivors()
        assert not left, f"left behind after an orderly stop: {left}\n{self.stderr}"

    def _environ(self) -> dict[str, str]:
        """None of the caller's settings reach it, and every process of it carries the state directory."""
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "TZ", "TMPDIR"}}
        return {
            **kept,
            "HOME": str(self.base / "home"),
            "NO_COLOR": "1",
            "RUNNER_AGENT_STATE_DIR": str(self.state),
            **self.environment,
        }

    def _info_pid(self) -> int | None:
        try:
            return self.info().pid
        except (OSError, ValueError):
            return None
