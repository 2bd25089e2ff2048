"""The whole program as its users meet it: a real agent, its command line, its API and its logs, with bounds.

Nothing that an agent or a command ever says may be a traceback: `Stage.cli` and `Stage.close` look for one.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from runner_agent.client.addresses import Endpoint, UnixAddress
from runner_agent.client.agent import Agent
from runner_agent.client.errors import ApiError, ClientError
from runner_agent.client.transport import Transport
from tests.support.daemon import PROGRAM, Daemon
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from runner_agent.client.messages import Execution, Service
    from tests.support.daemon import AgentInfo

QUICK = {"RUNNER_AGENT_SERVICE_STOP_GRACE": "30", "RUNNER_AGENT_TASK_STOP_GRACE": "5"}
"""Nobody waits two minutes. Stop commands have to do their work within a grace, on a busy machine too."""
FINISHED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
Answer = subprocess.CompletedProcess[str]


def service_yaml(reference: str, start: str, *, ready: str = "", stop: str = "", more: str = "") -> str:
    """One entry under `services:`. Scripts are written as JSON strings, which YAML reads too."""
    commands = {"start": start} | ({"ready": ready} if ready else {}) | ({"stop": stop} if stop else {})
    return f"  {reference}:\n    name: {reference}\n    commands: {json.dumps(commands)}\n{_indented(more)}"


def task_yaml(reference: str, command: str, *, more: str = "") -> str:
    """One entry under `tasks:`."""
    return f"  {reference}:\n    name: {reference}\n    command: {json.dumps(command)}\n{_indented(more)}"


def automations(*, services: tuple[str, ...] = (), tasks: tuple[str, ...] = ()) -> str:
    """A whole file of such entries."""
    parts = [("services:\n", services), ("tasks:\n", tasks)]
    return "".join(head + "".join(entries) for head, entries in parts if entries) or "{}\n"


def _indented(more: str) -> str:
    return "".join(f"    {line}\n" for line in more.splitlines())


def no_traceback(text: str) -> None:
    """The fixture's law: whatever goes wrong, it is told in sentences."""
    assert "Traceback (most recent call last)" not in text, text
    assert "never awaited" not in text, text


@dataclass(slots=True)
class Stage:
    """One agent and all that is asked of it."""

    daemon: Daemon
    expect_defects: bool = False
    _ids: dict[str, str] = field(default_factory=dict[str, str])

    # ------------------------------------------------------------ the agent

    @property
    def workspace(self) -> Path:
        return self.daemon.workspace

    @property
    def state(self) -> Path:
        return self.daemon.state

    def start(self, *arguments: str, file: str = "") -> AgentInfo:
        """Start it; `file` becomes the workspace's default automations file."""
        if file:
            self.write_file(file)
        self._ids.clear()
        return self.daemon.start(*arguments)

    def write_file(self, text: str, name: str = ".ona/automations.yaml") -> Path:
        """A file below the workspace."""
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def apply(self, text: str) -> None:
        """Put a file in force by the command line."""
        answer = self.cli("automations", "update", "-", stdin=text)
        assert answer.returncode == 0, answer.stderr

    def close(self) -> None:
        """An orderly stop, and nothing said that no user should read."""
        try:
            self.daemon.close()
        finally:
            no_traceback(self.daemon.stderr)

    # ------------------------------------------------------------ the command line

    def cli(self, *arguments: str, stdin: str = "", timeout: float = 90.0, **extra: str) -> Answer:
        """A command as a user types it; any exit code is an answer, a traceback never is."""
        answer = self.daemon.cli(*arguments, stdin=stdin, timeout=timeout, extra=extra)
        no_traceback(answer.stdout + answer.stderr)
        return answer

    def ok(self, *arguments: str, stdin: str = "", timeout: float = 90.0) -> str:
        """What a command that succeeds prints on standard output."""
        answer = self.cli(*arguments, stdin=stdin, timeout=timeout)
        assert answer.returncode == 0, f"{arguments}: {answer}"
        return answer.stdout

    def spawn(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on beside the test."""
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=self.workspace,
            env=self.daemon._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    # ------------------------------------------------------------ the API

    @property
    def agent(self) -> Agent:
        """A client over the unix socket."""
        return Agent(Transport(Endpoint(UnixAddress(str(self.daemon.info().socket)))))

    def id_of(self, reference: str) -> str:
        """Of a service or a task."""
        if reference not in self._ids:
            for thing in (*self.agent.services(), *self.agent.tasks()):
                self._ids[thing.get("metadata", {}).get("reference", "")] = thing["id"]
        return self._ids[reference]

    def service(self, reference: str) -> Service:
        """As it is now."""
        return self.agent.get_service(self.id_of(reference))

    def phase(self, reference: str) -> str:
        """Of a service, short."""
        return phase_of(self.service(reference))

    def await_phase(self, reference: str, *phases: str, timeout: float = 45.0) -> Service:
        """The service once it is in one of the phases."""
        try:
            wait_until(lambda: self.phase(reference) in phases, timeout)
        except AssertionError as error:
            error.add_note(f"{reference} is {self.phase(reference)}, not {phases}\n{self.daemon.stderr}")
            raise
        return self.service(reference)

    def await_execution(self, execution_id: str, timeout: float = 45.0) -> Execution:
        """The execution once it has ended."""
        wait_until(
            lambda: phase_of(self.agent.get_execution(execution_id)) in FINISHED,
            timeout,
            f"execution {execution_id} ends\n{self.daemon.stderr}",
        )
        return self.agent.get_execution(execution_id)

    def run(self, reference: str, timeout: float = 45.0) -> Execution:
        """Start a task; its execution once it has ended."""
        return self.await_execution(self.agent.start_task(self.id_of(reference))["id"], timeout)

    def refused(self, method: str, message: Mapping[str, object]) -> ApiError:
        """The error a call ends with."""
        try:
            told = self.agent.transport.unary(method, message)
        except ApiError as error:
            return error
        raise AssertionError(f"{method} was not refused: {told}")

    # ------------------------------------------------------------ logs by GET

    def log(self, path: str, **query: object) -> str:
        """What is there, or with follow=true all until the object has ended."""
        return self.get_log(path, None, **query)[2].decode()

    def get_log(
        self, path: str, headers: Mapping[str, str] | None = None, **query: object
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body."""
        with self.connection() as http:
            http.request(
                "GET", f"{path}?{urlencode({'follow': 'false', **query})}", headers=dict(headers or {})
            )
            answer = http.getresponse()
            body = answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body

    @contextmanager
    def connection(self) -> Generator[HTTPConnection]:
        """HTTP over the unix socket."""
        http = HTTPConnection("localhost", timeout=60)
        http.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        http.sock.settimeout(60)
        http.sock.connect(str(self.daemon.info().socket))
        try:
            yield http
        finally:
            http.close()


def phase_of(thing: Service | Execution) -> str:
    """Short; what was never started is STOPPED or PENDING."""
    return re.sub(r"^(SERVICE|TASK_EXECUTION)_PHASE_", "", str(thing.get("status", {}).get("phase", "")))


def service_path(service: Service) -> str:
    """Of its log."""
    return f"/logs/services/{service['id']}"


def execution_path(execution: Execution) -> str:
    """Of its log."""
    return f"/logs/executions/{execution['id']}"


def step_of(execution: Execution, label: str) -> dict[str, object]:
    """The status of the step with this label."""
    ids = {
        step.get("label"): step["id"]
        for group in execution.get("spec", {}).get("plan", [])
        for step in group.get("steps", [])
    }
    return next(
        dict(step) for step in execution.get("status", {}).get("steps", []) if step["id"] == ids[label]
    )


def unreachable(agent: Agent) -> bool:
    """Nobody answers there any more."""
    try:
        agent.get_agent()
    except ClientError:
        return True
    return False
