"""The image, built by a real Engine without a network and run as root and as a user that nobody knows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.packages import ROOT
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.support.engine import Engine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]  # the first one makes what all need

BASE, IMAGE = "base:test", "runner-agent:test"
LARGEST = 48 << 20
"""Bytes that the agent may add to its base; mostly byte code, so that it starts at once."""
SECONDS = 60.0
USERS = ("0:0", "1234:1234")
# A service that leaves orphans behind all the time, by forking twice.
ORPHANS = "echo up; while :; do (sh -c 'exec sleep 0.05' &); sleep 0.2; done"
FILE = {
    "services": {
        "orphans": {
            "name": "Leaves orphans",
            "triggeredBy": ["postEnvironmentStart"],
            "commands": {"start": ORPHANS, "stop": "echo stopped in order > /workspace/stopped"},
        }
    },
    "tasks": {
        "who": {
            "name": "Who am I",
            "triggeredBy": ["postEnvironmentStart"],
            "dependsOn": ["orphans"],
            "command": "echo uid $(id -u)",
        }
    },
}


class Docker:
    """The command, talking to the tests' own Engine. No image is ever asked of a registry."""

    def __init__(self, engine: Engine) -> None:
        self._host = engine.host

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["docker", *arguments],
            env={**os.environ, "DOCKER_HOST": self._host},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"docker {arguments}\n{done.stdout}{done.stderr}"
        return done.stdout + (done.stderr if arguments[0] == "logs" else "")

    def size(self, image: str) -> int:
        """Bytes."""
        return int(self("image", "inspect", "--format", "{{.Size}}", image))


@pytest.fixture(scope="session")
def docker(engine: Engine, wheels: Path, tree: Path) -> Docker:
    """With the image in it, built from this machine's own files."""
    one = Docker(engine)
    engine.image("python:test")
    # There Python lies in root's home, where nobody else may go.
    one("build", "--network", "none", "--tag", BASE, "-", stdin="FROM python:test\nRUN chmod 711 /root\n")
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy(ROOT / name, tree / name)
    shutil.copytree(wheels, tree / "dist/wheels")
    one("build", "--network", "none", "--build-arg", f"BASE={BASE}", "--tag", IMAGE, str(tree))
    return one


class Agent:
    """A container of the image."""

    def __init__(self, docker: Docker, *options: str) -> None:
        self._docker = docker
        self.id = docker("run", "--detach", "--pull", "never", "--network", "none", *options, IMAGE).strip()

    def run(self, *argv: str, stdin: str = "") -> str:
        """A command in it."""
        return self._docker("exec", "--interactive", self.id, *argv, stdin=stdin)

    def state(self) -> Any:
        """As the Engine tells it."""
        return json.loads(self._docker("inspect", "--format", "{{json .State}}", self.id))

    def log(self) -> str:
        """All that its processes said."""
        return self._docker("logs", self.id)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """With the container's log as evidence."""
        try:
            wait_until(condition, SECONDS, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.state()}\n{self.log()}") from None

    def healthy(self) -> bool:
        return str(self.state()["Health"]["Status"]) == "healthy"

    def processes(self) -> Mapping[int, tuple[int, str, str]]:
        """Parent, state and name by pid, as they are numbered inside."""
        stats = self.run("sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null || :").splitlines()
        found: dict[int, tuple[int, str, str]] = {}
        for line in stats:
            before, _, after = line.rpartition(") ")
            pid, _, name = before.partition(" (")
            state, parent, *_ = after.split()
            found[int(pid)] = (int(parent), state, name)
        return found

    def agent_pid(self) -> int:
        """As agent.json tells it."""
        return int(json.loads(self.run("cat", "/var/lib/runner-agent/state/agent.json"))["pid"])


@pytest.fixture(params=USERS)
def agent(request: pytest.FixtureRequest, docker: Docker) -> Iterator[Agent]:
    """As each user; healthy."""
    quick = ["--health-interval", "1s"]
    one = Agent(docker, "--user", request.param, *quick)
    try:
        one.until(one.healthy, "health is told")
        yield one
    finally:
        docker("rm", "--force", "--volumes", one.id)


def test_it_runs_automations_reaps_orphans_and_stops_in_order(agent: Agent, docker: Docker) -> None:
    agent.run("runner-agent", "automations", "update", "-", stdin=json.dumps(FILE))
    agent.run("runner-agent", "trigger", "postEnvironmentStart", "--wait=100")
    said = agent.run("runner-agent", "task", "logs", "--no-follow", "who")
    assert f"uid {agent.run('id', '-u').strip()}" in said
    # What `docker exec` leaves behind is an orphan of process 1.
    agent.run("sh", "-c", "for i in 1 2 3 4 5; do (sh -c 'exec sleep 0.01' &); done")
    agent.until(lambda: _zombies(agent) == [], "no zombie is left")
    docker("stop", "--time", "100", agent.id)
    assert agent.state()["ExitCode"] == 0
    assert docker("cp", f"{agent.id}:/workspace/stopped", "-").count("stopped in order") == 1


def _zombies(agent: Agent) -> list[tuple[int, str, str]]:
    return [one for one in agent.processes().values() if one[1] == "Z"]


def test_a_crash_of_the_agent_leaves_its_runs(agent: Agent) -> None:
    """Rule 7.2: process 1 starts it again, and what it had started is what it takes up."""
    agent.run("runner-agent", "automations", "update", "-", stdin=json.dumps(FILE))
    agent.run("runner-agent", "service", "start", "orphans", "--wait=100")
    before = agent.run("runner-agent", "service", "get", "orphans", "--json")
    first = agent.agent_pid()
    assert first != 1
    agent.run("sh", "-c", f"kill -KILL {first}")
    agent.until(lambda: agent.agent_pid() != first, "another agent")
    agent.until(agent.healthy, "health is told again")
    after = agent.run("runner-agent", "service", "get", "orphans", "--json")
    assert _session(after) == _session(before)
    assert "starting it again" in agent.log()


def _session(said: str) -> tuple[str, str]:
    status = json.loads(said)["status"]
    return status["session"], status["phase"]


def test_health_tells_of_an_agent_that_hangs(docker: Docker) -> None:
    one = Agent(docker, "--health-interval", "1s", "--health-timeout", "2s", "--health-retries", "1")
    try:
        one.until(one.healthy, "health is told")
        one.run("sh", "-c", f"kill -STOP {one.agent_pid()}")
        one.until(lambda: one.state()["Health"]["Status"] == "unhealthy", "its illness is told")
    finally:
        docker("rm", "--force", "--volumes", one.id)


def test_it_is_small(docker: Docker) -> None:
    """What the agent takes beside its base; no wheel, no pip, nothing of the tree is in it."""
    added = docker.size(IMAGE) - docker.size(BASE)
    print(f"the agent adds {added / (1 << 20):.1f} MiB to its base")
    assert added < LARGEST
    inside = docker(
        "run", "--rm", "--pull", "never", "--entrypoint", "/bin/sh", IMAGE, "-c", "ls / /opt/runner-agent/bin"
    )
    assert "wheels" not in inside
    assert "pip" not in inside.split()


def test_any_command_can_be_run(docker: Docker) -> None:
    told = docker("run", "--rm", "--pull", "never", "--network", "none", "--user", "1234", IMAGE, "--version")
    assert told.startswith("runner-agent ")
