"""What a waiting command tells: lines in a pipe, and on a terminal a line that turns until it is done."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner_agent.cli.terminal import wrapped
from tests.client.fake_agent import service, uuid

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent


def test_plain_in_a_pipe(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(1, "web", "RUNNING")]
    assert cli("service", "start", "web", "--wait").err == "Service web: RUNNING\n"


def test_turning_on_a_terminal_and_gone_afterwards(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(1, "web", "STARTING")]
    ours, theirs = pty.openpty()
    environ = {**cli.environ(), "TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "runner_agent", "service", "start", "web", "--wait=60"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        seen = ""
        while "Service web: STARTING for" not in seen:
            seen += os.read(ours, 4096).decode()
        fake.services = [service(1, "web", "RUNNING")]
        fake.publish("SERVICE", uuid(1))
        assert process.wait(60) == 0
        seen += os.read(ours, 65536).decode()
    os.close(ours)
    *_, last, rest = seen.split("\r\n")
    assert last.rpartition("\x1b[K")[2].startswith("● Service web: RUNNING after ")
    assert rest.replace("\r", "").replace("\x1b[K", "") == "", "what turned is erased"


@pytest.mark.parametrize("text", ["a `runner-agent up --no-fire` b", "x" * 300, "two\nlines", ""])
def test_a_program_gets_messages_as_they_are(text: str) -> None:
    with open(os.devnull, "w") as nobody:  # noqa: PTH123  a stream that is no terminal
        assert wrapped(text, nobody) == text
