"""A reader that has had enough ends what it read from: at once, though nothing more is written."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.client.fake_agent import LogPart, service, task, uuid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent


@pytest.fixture
def never(fake: FakeAgent) -> Iterator[threading.Event]:
    """Set at the end: until then logs rest after their first line."""
    held = threading.Event()
    fake.services = [service(1, "web", "RUNNING"), service(2, "db", "RUNNING")]
    fake.tasks = [task(3, "build")]
    for number in (1, 2):
        fake.logs[f"/logs/services/{uuid(number)}"] = [LogPart(b"first\n", hold=held)]
    fake.on["ListTimeline"] = lambda _: {
        "entries": [{"at": "2026-01-01T00:00:00Z", "text": "x", "place": "1"}]
    }
    yield held
    held.set()


@pytest.mark.parametrize(
    "command",
    ["logs web", "logs web db", "logs", "service logs web", "events --tail 1", "events --tail 1 --json"],
)
def test_it_ends_when_its_reader_does(cli: Cli, never: threading.Event, command: str) -> None:
    process = cli.spawn(*command.split())
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    assert not never.is_set()
    process.stderr.close()


def test_a_file_is_never_full_of_it(cli: Cli, never: threading.Event, tmp_path: Path) -> None:
    """Nobody reads a file or a terminal away: the end comes from the log."""
    threading.Timer(0.5, never.set).start()
    with (tmp_path / "out").open("wb") as file:
        command = [sys.executable, "-m", "runner_agent", "logs", "web"]
        assert (
            subprocess.run(command, env=cli.environ(), stdout=file, check=False, timeout=60).returncode == 0
        )
    assert never.is_set()
    assert (tmp_path / "out").read_bytes() == b"first\n"
