"""A reader that has had enough ends what it read from: at once, though nothing more is written."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.client.fake_agent import LogPart, execution, service, task, uuid

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


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("task start build", 1),
        ("task start build --dont-wait", 0),
        ("start build", 1),
        ("start build --dont-wait", 0),
        ("trigger prebuild --json", 0),
        ("trigger prebuild --wait", 1),
        ("wait web --for running", 0),
        ("automations update good.yaml --json", 0),
    ],
)
def test_what_more_is_done_than_shown_has_its_own_exit_code(
    cli: Cli, fake: FakeAgent, tmp_path: Path, command: str, code: int
) -> None:
    """Whoever read it had left before: the task is waited for all the same, and has failed."""
    fake.services = [service(1, "web", "RUNNING")]
    fake.tasks = [task(2, "build", triggers=["prebuild"])]
    failed = execution(3, uuid(2), "FAILED")
    fake.on["StartTask"] = lambda _: {"taskExecution": failed}
    fake.on["GetTaskExecution"] = lambda _: {"taskExecution": failed}
    started = {"executions": [{"id": uuid(3), "reference": "build"}]}
    fake.on["FireTrigger"] = lambda _: {"firing": {"event": "prebuild"} | started}
    fake.on["UpsertAutomationsFile"] = lambda _: {"updatedTaskIds": [uuid(2)]}
    (tmp_path / "good.yaml").write_text("tasks: {build: {name: build, command: make}}")
    reader, writer = os.pipe()
    os.close(reader)
    argv = [sys.executable, "-m", "runner_agent", *command.split()]
    ended = subprocess.run(
        argv, env=cli.environ(), cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(writer)
    assert ended.returncode == code, ended.stderr
    assert (b"Error: " in ended.stderr) == (code != 0)


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
