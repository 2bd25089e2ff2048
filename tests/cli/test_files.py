"""`automations update` and `validate`."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from runner_agent.cli.file_messages import as_message, changes
from runner_agent.control.automations import read_automations
from tests.client.fake_agent import Message, service, task, uuid

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent

FILE = """\
services:
  web:
    name: Web
    commands: {start: serve, ready: probe}
    triggeredBy: [postEnvironmentStart]
    readinessTimeout: 90s
tasks:
  build:
    name: Build
    command: make
    dependsOn: [web]
    runsOn: {docker: {image: gcc}}
"""
BROKEN = "services:\n  web:\n    name: Web\n    triggers: []\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "automations.yaml"
    path.write_text(FILE)
    return path


def test_validate_needs_no_agent(cli: Cli, fake: FakeAgent, file: Path) -> None:
    fake.close()
    told = cli("automations", "validate", str(file))
    assert (told.code, told.out) == (0, f"{file}: valid; services: 1, tasks: 1\n")


def test_validate_tells_all_errors_with_their_places(cli: Cli, file: Path) -> None:
    file.write_text(BROKEN)
    told = cli("automations", "validate", str(file))
    assert (told.code, told.out) == (2, "")
    lines = told.err.splitlines()
    assert len(lines) == 3, lines
    assert any(line.startswith(f"{file}:4:5: services.web.triggers") for line in lines)
    assert lines[-1].startswith("Error: 2 errors found")
    errors = json.loads(cli("automations", "validate", "--json", str(file)).out)["errors"]
    assert {error["line"] for error in errors} == {3, 4} or len(errors) == 2


def test_validate_strict_holds_to_the_published_triggers(cli: Cli, file: Path) -> None:
    file.write_text(FILE.replace("postEnvironmentStart", "postMachineStart"))
    assert cli("auto", "validate", str(file)).code == 0
    assert cli("auto", "validate", "--strict", str(file)).code == 2


def test_no_such_file(cli: Cli, tmp_path: Path) -> None:
    told = cli("automations", "update", str(tmp_path / "none.yaml"))
    assert told.code == 2
    assert "no such file" in told.err


def test_update_tells_what_changed(cli: Cli, fake: FakeAgent, file: Path) -> None:
    fake.tasks = [task(2, "build")]

    def upsert(message: Message) -> Message:
        fake.services = [service(1, "web")]
        assert message["automationsFile"]["services"]["web"] == {
            "name": "Web",
            "commands": {"start": "serve", "ready": "probe"},
            "triggeredBy": ["postEnvironmentStart"],
            "readinessTimeout": "90s",
        }
        return {"updatedServiceIds": [uuid(1)], "updatedTaskIds": [uuid(2)]}

    fake.on["UpsertAutomationsFile"] = upsert
    told = cli("automations", "update", str(file))
    assert (told.code, told.out) == (0, "created service web\nupdated task build\n")


def test_update_from_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FILE.encode())))
    told = cli("automations", "update", "-")
    assert (told.code, told.out, told.err) == (0, "", "-: nothing to change.\n")
    assert cli("automations", "update", "-s", "-").code == 2


def test_a_file_may_depend_on_what_the_environment_has(cli: Cli, fake: FakeAgent, file: Path) -> None:
    file.write_text("tasks: {build: {name: B, command: make, dependsOn: [there]}}")
    assert cli("automations", "update", str(file)).code == 2
    fake.tasks = [task(5, "there")]
    assert cli("automations", "update", str(file)).code == 0


def test_set_default(cli: Cli, fake: FakeAgent, file: Path) -> None:
    assert cli("automations", "update", "-s", str(file)).code == 0
    assert fake.asked[-1] == ("SetAutomationsFile", {"path": str(file)})


def test_dry_run_changes_nothing(cli: Cli, fake: FakeAgent, file: Path) -> None:
    told = cli("automations", "update", "--dry-run", str(file))
    assert told.out == "would create service web\nwould create task build\n"
    assert "UpsertAutomationsFile" not in fake.methods()


def test_what_is_as_the_file_says_is_no_change() -> None:
    message = as_message(read_automations("f", FILE.encode()))
    web: Message = {
        "id": uuid(1),
        "metadata": {"reference": "web", "name": "Web", "triggeredBy": [{"postEnvironmentStart": True}]},
        "spec": {"commands": {"start": "serve", "ready": "probe"}, "readinessTimeout": "90.000s"},
    }
    build: Message = {
        "id": uuid(2),
        "metadata": {"reference": "build", "name": "Build"},
        "spec": {"command": "make", "runsOn": {"docker": {"image": "gcc"}}},
        "dependsOn": [uuid(1)],
    }
    assert changes(message, [web], [build]) == []  # type: ignore[list-item]
    web["spec"]["readinessTimeout"] = "91s"
    del build["dependsOn"]
    assert changes(message, [web], [build]) == [  # type: ignore[list-item]
        ("update", "service", "web"),
        ("update", "task", "build"),
    ]
