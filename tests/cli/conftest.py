"""The command line against a fake agent, in this process and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from runner_agent.cli.main import run
from tests.client.fake_agent import FakeAgent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass
class Cli:
    """`runner-agent ...` against the fake agent."""

    fake: FakeAgent
    capture: pytest.CaptureFixture[str]

    def __call__(self, *args: str) -> Result:
        code = run(args)
        told = self.capture.readouterr()
        assert "Traceback" not in told.err
        return Result(code, told.out, told.err)

    def environ(self) -> dict[str, str]:
        return {**os.environ, "RUNNER_AGENT_ADDRESS": self.fake.address}

    def spawn(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "runner_agent", *args],
            env=self.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def fake(scratch: Path) -> Iterator[FakeAgent]:
    agent = FakeAgent()
    agent.listen_unix(scratch / "s")
    yield agent
    agent.close()


@pytest.fixture
def cli(fake: FakeAgent, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("RUNNER_AGENT_ADDRESS", fake.address)
    monkeypatch.delenv("RUNNER_AGENT_SOCKET", raising=False)
    return Cli(fake, capsys)
