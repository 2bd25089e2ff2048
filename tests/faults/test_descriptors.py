"""An agent without a file descriptor left: what needs one fails with a clear word, and all goes on once there
are descriptors again.
"""

from __future__ import annotations

import http.client
import json
import resource
import socket
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, automations, service_yaml
from tests.support.processes import wait_until

pytestmark = pytest.mark.faults

WEB = automations(services=(service_yaml("web", "echo up; exec sleep 600"),))


class Kept(http.client.HTTPConnection):
    """A connection that is there already: asking by it takes no descriptor of the agent's."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(path))

    def ask(self, method: str, id_: str) -> tuple[int, str]:
        """Status and body."""
        head = {"Content-Type": "application/json"}
        path = f"/gitpod.v1.EnvironmentAutomationService/{method}"
        self.request("POST", path, json.dumps({"id": id_}), head)
        answer = self.getresponse()
        return answer.status, answer.read().decode()

    def status(self, id_: str) -> dict[str, str]:
        """Of a service."""
        code, body = self.ask("GetService", id_)
        assert code == 200, body
        told: dict[str, dict[str, dict[str, str]]] = json.loads(body)
        return told["service"]["status"]


def open_now(pid: int) -> int:
    """The number a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def at_rest(pid: int) -> int:
    """The number, once those of earlier connections and runs are closed: half a second without a change, and
    no process being waited for, as the launcher is until it answers.
    """
    seen: list[int] = []

    def unchanged() -> bool:
        names: list[str] = []
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                names.append(str(entry.readlink()))
        seen.append(-len(seen) if "anon_inode:[pidfd]" in names else len(names))
        return len(seen) > 25 and len(set(seen[-25:])) == 1

    wait_until(unchanged, 20)
    return seen[-1]


@contextmanager
def none_left(pid: int) -> Generator[None]:
    """The lowest number that is free is beyond the limit."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    free = next(number for number in range(len(used) + 1) if number not in used)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_what_needs_a_descriptor_fails_clearly_and_works_once_there_are_some(stage: Stage) -> None:
    """Accepting, opening a log, starting a run: each is refused in words, and none of it for good."""
    stage.start(file=WEB)
    id_, pid, path = stage.id_of("web"), stage.daemon.process.pid, stage.daemon.info().socket
    with closing(Kept(path)) as kept:
        kept.status(id_)
        before = at_rest(pid)
        with none_left(pid):
            assert kept.ask("StartService", id_)[0] == 200, "a wish takes no descriptor"
            wait_until(lambda: kept.status(id_)["phase"] == "SERVICE_PHASE_FAILED", 20)
            told = kept.status(id_)["failureMessage"]
            assert "Too many open files" in told, told
            assert "log or output file cannot be made" in told, told
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(str(path))  # the kernel takes it; the agent cannot yet
                stranger.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                stranger.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    stranger.recv(1)
                assert kept.status(id_)["phase"] == "SERVICE_PHASE_FAILED", "others are served"
                resource.prlimit(pid, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
                stranger.settimeout(60)
                assert b"200" in stranger.recv(4096), "it is accepted once there is a descriptor"
        assert kept.ask("StartService", id_)[0] == 200
        wait_until(lambda: kept.status(id_)["phase"] == "SERVICE_PHASE_RUNNING", 20)
        assert "up" in stage.ok("service", "logs", "web", "--no-follow")
        assert kept.ask("StopService", id_)[0] == 200
        wait_until(lambda: kept.status(id_)["phase"] == "SERVICE_PHASE_STOPPED", 20)
        wait_until(lambda: open_now(pid) <= before + 1, 20)
    lines = [line for line in stage.daemon.stderr.splitlines() if "cannot accept a connection" in line]
    assert 1 <= len(lines) <= 20, "told of, and not as often as it is tried"
    assert "Too many open files" in lines[0]
