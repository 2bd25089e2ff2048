"""Narrow terminals: nothing is broken by the terminal, and what is told in a wide one is told there too."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from tests.client.fake_agent import execution, service, task, uuid

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent

WIDTH = 56
WHY = 'step "build" failed: build exited with code 4; last line: no space left on device'


def on_a_terminal(cli: Cli, *args: str, width: int = WIDTH) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environ = {**cli.environ(), "TERM": "xterm"}
    environ.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "runner_agent", *args]
    with subprocess.Popen(command, env=environ, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        told = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the last writer has left
                break
            told += part
        assert process.wait(60) == 0
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", told.decode()).replace("\r\n", "\n")


@pytest.fixture(autouse=True)
def failed(fake: FakeAgent) -> None:
    fake.services = [service(1, "a-service-with-a-name", "FAILED", failure=WHY), service(2, "db", "RUNNING")]
    fake.tasks = [task(3, "build", triggers=["prebuild", "postDevcontainerStart"])]
    fake.executions = [execution(5, uuid(3), "FAILED", failure=WHY)]
    fake.executions[0]["metadata"]["startedBy"] = "postDevcontainerStart"
    fake.on["ExplainAutomation"] = lambda _: {
        "kind": "KIND_TASK",
        "reference": "build",
        "executionId": uuid(5),
        "phase": "FAILED",
        "answer": WHY,
        "reasons": [WHY],
        "steps": [{"reference": "build", "phase": "FAILED", "text": WHY}],
    }


@pytest.mark.parametrize(
    "command", ["status", "service list", "task list", "task list-executions", "why build"]
)
def test_every_line_has_room(cli: Cli, command: str) -> None:
    told = on_a_terminal(cli, *command.split())
    long = [line for line in told.split("\n") if len(line) > WIDTH and " " in line.strip()[:WIDTH]]
    assert long == []
    assert WHY in " ".join(told.split()), "and the reason is whole"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("service list", ["NAME The a-service-with-a-name"]),
        ("task list", ["The build", "prebuild, postDevcontainerStart"]),
        ("task list-executions", ["postDevcontainerStart"]),
        ("status", ["postDevcontainerStart"]),
    ],
)
@pytest.mark.parametrize("width", [60, 52])
def test_nothing_is_cut(cli: Cli, command: str, told: list[str], width: int) -> None:
    """What finds no room in its row stands below it."""
    shown = on_a_terminal(cli, *command.split(), width=width)
    assert "…" not in shown
    for text in told:
        assert text in " ".join(shown.split())
    for row in shown.split("\n"):
        assert len(row) <= width or " " not in row.strip()


def test_in_a_pipe_a_row_is_a_line(cli: Cli) -> None:
    assert any(
        line.startswith("build ") and line.endswith(WHY) for line in cli("task", "list").out.splitlines()
    )
