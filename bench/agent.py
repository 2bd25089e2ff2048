"""The agent that is measured: started on a directory of its own, asked over its socket, and ended."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.http import Connection

PROGRAM = (sys.executable, "-m", "runner_agent")
PATIENCE = 60.0
"""Seconds until something that should take milliseconds counts as broken."""


class Agent:
    """One agent below `base`, over any number of starts."""

    def __init__(self, base: Path) -> None:
        self.base, self.state, self.workspace = base, base / "state", base / "workspace"
        self.workspace.mkdir()
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(base / "notify"))
        self._notify.settimeout(1)
        self.process: subprocess.Popen[bytes] | None = None
        self._connections: list[Connection] = []

    def start(self) -> float:
        """Seconds from its exec to READY=1."""
        begun = time.perf_counter()
        with (self.base / "stderr").open("ab") as log:
            self.process = subprocess.Popen(
                [*PROGRAM, "serve", "--state-dir", str(self.state), "--workspace", str(self.workspace)],
                env=self.environ() | {"NOTIFY_SOCKET": str(self.base / "notify")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._await_ready()
        return time.perf_counter() - begun

    def _await_ready(self) -> None:
        patience = time.monotonic() + PATIENCE
        told = b""
        while b"READY=1" not in told:
            try:
                told = self._notify.recv(4096)
            except TimeoutError:
                if self.process is None or self.process.poll() is not None or time.monotonic() > patience:
                    said = (self.base / "stderr").read_text()[-2000:]
                    raise RuntimeError(f"the agent does not start; it says:\n{said}") from None

    def stop(self) -> None:
        """In order; at once where that takes too long."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(PATIENCE)
        finally:
            self.process = None

    def environ(self) -> dict[str, str]:
        """None of the caller's settings reach it."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
        return kept | {"HOME": str(self.base), "RUNNER_AGENT_STATE_DIR": str(self.state), "NO_COLOR": "1"}

    def connect(self) -> Connection:
        """A kept connection, closed with the agent."""
        self._connections.append(Connection(self.state / "api.sock"))
        return self._connections[-1]

    def close(self) -> None:
        """Stop it, and let go of everything."""
        for connection in self._connections:
            connection.close()
        self.stop()
        self._notify.close()

    @property
    def pid(self) -> int:
        """Of the daemon."""
        assert self.process is not None, "the agent was not started"
        return self.process.pid

    def family(self) -> dict[str, list[int]]:
        """Its processes by part, as they name themselves: launcher, nursery, holder. Blank holders are the
        nursery's children under its name.
        """
        found: dict[str, list[int]] = {"daemon": [self.pid], "launcher": [], "nursery": [], "holder": []}
        for pid, name in _processes():
            if name.startswith("ra-") and os.fsencode(self.state) in _command_line(pid):
                found[name.removeprefix("ra-")].append(pid)
        return found


def _processes() -> Generator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(errors="replace")
            except OSError:
                continue
            yield int(entry.name), stat[stat.index("(") + 1 : stat.rindex(")")]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def scratch() -> Generator[Path]:
    """A directory that goes again. Its path is short: that of a unix socket must be."""
    base = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)


@contextmanager
def running() -> Generator[Agent]:
    """An agent that is ready."""
    with scratch() as base:
        agent = Agent(base)
        try:
            agent.start()
            yield agent
        finally:
            agent.close()


# ---------------------------------------------------------------- what it is asked


def apply(
    connection: Connection,
    services: Mapping[str, Mapping[str, object]] | None = None,
    tasks: Mapping[str, Mapping[str, object]] | None = None,
) -> dict[str, str]:
    """Put definitions in force; ids by reference."""
    file = {"services": dict(services or {}), "tasks": dict(tasks or {})}
    connection.call("UpsertAutomationsFile", {"automationsFile": file})
    return {
        one["metadata"]["reference"]: one["id"]
        for kind in ("Services", "Tasks")
        for one in listed(connection, kind)
    }


def listed(connection: Connection, kind: str) -> Iterable[Any]:
    """All services, or all tasks."""
    token = ""
    while True:
        answer = connection.call(f"List{kind}", {"pagination": {"pageSize": 100, "token": token}})
        yield from answer.get(kind.lower(), ())
        token = answer.get("pagination", {}).get("nextToken", "")
        if not token:
            return


def await_phase(connection: Connection, phase: str, pause: float = 0.002) -> None:
    """Until all services are in it."""
    patience = time.monotonic() + PATIENCE
    while any(_phase(service) != phase for service in listed(connection, "Services")):
        if time.monotonic() > patience:
            raise RuntimeError(f"not all services are {phase} after {PATIENCE:.0f} s")
        time.sleep(pause)


def await_one(connection: Connection, service_id: str, *phases: str) -> None:
    """Until this service is in one of them."""
    patience = time.monotonic() + PATIENCE
    while _phase(connection.call("GetService", {"id": service_id})["service"]) not in phases:
        if time.monotonic() > patience:
            raise RuntimeError(f"service {service_id} is not {' or '.join(phases)} after {PATIENCE:.0f} s")
        time.sleep(0.002)


def _phase(service: Any) -> str:
    return str(service.get("status", {}).get("phase", "")).removeprefix("SERVICE_PHASE_")
