"""Shell completion: scripts for three shells, names from the agent, and silence where there is none."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.client.fake_agent import execution, service, task, uuid

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent


def completed(address: str, *words: str) -> list[str]:
    """What bash would be offered for the last word."""
    environ = {
        **os.environ,
        "RUNNER_AGENT_ADDRESS": address,
        "_RUNNER_AGENT_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["runner-agent", *words]),
        "COMP_CWORD": str(len(words)),
    }
    command = [sys.executable, "-m", "runner_agent"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.fixture
def known(fake: FakeAgent) -> FakeAgent:
    fake.services = [service(1, "web"), service(2, "worker"), service(3, "db")]
    fake.tasks = [task(4, "build")]
    fake.executions = [execution(5, uuid(4))]
    return fake


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(cli: Cli, shell: str) -> None:
    told = cli("completion", shell)
    assert told.code == 0
    assert f"_RUNNER_AGENT_COMPLETE={shell}_complete" in told.out
    if program := shutil.which(shell):
        done = subprocess.run([program, "-n"], input=told.out, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_another_shell_is_refused(cli: Cli) -> None:
    assert cli("completion", "tcsh").code == 2


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("service", "start", "w"), ["web", "worker"]),
        (("automations", "service", "get", ""), ["web", "worker", "db"]),
        (("task", "start", ""), ["build"]),
        (("task", "get", "0000"), [uuid(5)]),
        (("logs", "web", "b"), ["build"]),
        (("why", ""), ["web", "worker", "db", "build"]),
        (("trigger", "pre"), ["prebuild"]),
        (("comp",), ["completion"]),
    ],
    ids=str,
)
def test_what_is_offered(known: FakeAgent, words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(known.address, *words) == offered


def test_no_agent_is_no_news(scratch: Path) -> None:
    assert completed(f"unix:{scratch}/none", "service", "start", "") == []


def test_an_agent_that_hangs_does_not_hang_the_shell(scratch: Path) -> None:
    """It takes the connection and never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(scratch / "hung"))
        listener.listen()
        assert completed(f"unix:{scratch}/hung", "service", "start", "") == []


def test_completing_is_quick(known: FakeAgent) -> None:
    """200 ms on a machine at rest; on this one its own processor time is what can be bounded."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert completed(known.address, "service", "start", "web") == ["web"]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.4
