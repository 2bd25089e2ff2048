"""`automations update` and `validate`."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from runner_agent.cli.file_messages import as_message, changes
from runner_agent.control.automations import read_automations
from runner_agent.control.automations_starter import STARTER
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
BROKEN = "services:\n  web:\n    description: Web\n    triggers: []\n"

TASK_CURE = "runs the previous definition; for the present one wait for its end and start it again, or:"


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


def test_validate_changes_nothing_and_says_nothing_of_it(cli: Cli, file: Path) -> None:
    file.write_text("tasks: []", encoding="utf-8")
    answer = cli("automations", "validate", str(file))
    assert answer.code == 2
    assert "1 error found.\n" in answer.err


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
        assert (message["path"], message["prune"], message["dryRun"]) == (str(file), False, False)
        assert message["automationsFile"]["services"]["web"] == {
            "name": "Web",
            "commands": {"start": "serve", "ready": "probe"},
            "triggeredBy": ["postEnvironmentStart"],
            "readinessTimeout": "90s",
        }
        return {
            "changes": [
                {"change": "updated", "kind": "task", "reference": "build", "id": uuid(2)},
                {"change": "created", "kind": "service", "reference": "web", "id": uuid(1)},
            ],
            "notInFile": ["old", "older"],
            "previousDefinition": ["api"],
            "previousRuns": [{"reference": "build", "forTask": "build"}],
        }

    fake.on["ApplyAutomationsFile"] = upsert
    told = cli("automations", "update", str(file))
    assert (told.code, told.out) == (0, "created service web\nupdated task build\n"), "the file's order"
    assert told.err.splitlines() == [
        "defined but not in this file: old, older",
        "api runs the previous definition; for the present one: runner-agent service restart api",
        f"build {TASK_CURE} runner-agent restart build",
    ]
    assert json.loads(cli("automations", "update", "--json", str(file)).out) == [
        {"change": "created", "kind": "service", "reference": "web"},
        {"change": "updated", "kind": "task", "reference": "build"},
        {"change": "not in file", "reference": "old"},
        {"change": "not in file", "reference": "older"},
        {"change": "runs the previous definition", "kind": "service", "reference": "api"},
        {"change": "runs the previous definition", "kind": "task", "reference": "build"},
    ]


def test_prune_names_the_file(cli: Cli, fake: FakeAgent, file: Path) -> None:
    """Rule 2.10."""
    gone = {"change": "deleted", "kind": "service", "reference": "old"}
    fake.on["ApplyAutomationsFile"] = lambda _: {"changes": [gone]}
    told = cli("automations", "update", "--prune", str(file))
    assert (told.code, told.out, told.err) == (0, "deleted service old\n", "")
    assert fake.asked[-1][1]["prune"] is True
    told = cli("automations", "update", "--prune", "--dry-run", str(file))
    assert told.out.splitlines()[-1] == "would delete service old"
    assert fake.asked[-1][1]["dryRun"] is True
    assert cli("automations", "update", "--prune", "-").code == 2


def test_update_applies_what_the_agent_applies(
    cli: Cli, fake: FakeAgent, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what stands in the folder that one happens to be in."""
    here = tmp_path / "here" / ".ona" / "automations.yaml"
    here.parent.mkdir(parents=True)
    here.write_text("tasks: {other: {name: O, command: x}}")
    monkeypatch.chdir(tmp_path / "here")
    state = {"path": str(file)}
    fake.on["GetAgent"] = lambda _: {"agent": {"workspace": str(tmp_path), "automations": state}}
    assert cli("automations", "update").code == 0
    assert fake.asked[-1][1]["path"] == str(file)
    state["path"] = ""
    told = cli("automations", "update")
    assert told.code == 2
    assert f"no automations file in {tmp_path}" in told.err
    assert f"{file} is none of the places" in told.err, "where people look for it"


@pytest.mark.parametrize("there", ["nothing", "folder", "dangling link"])
def test_update_applies_no_other_file_than_the_agent_s(
    cli: Cli, fake: FakeAgent, tmp_path: Path, there: str
) -> None:
    """Though the workspace has one that would do."""
    usual = tmp_path / ".ona" / "config.yaml"
    usual.parent.mkdir()
    usual.write_text(FILE)
    own = tmp_path / "elsewhere" / "other.yaml"
    if there != "nothing":
        own.parent.mkdir()
    if there == "folder":
        own.mkdir()
    if there == "dangling link":
        own.symlink_to("nowhere")
    state = {"path": str(own), "error": f"{own}: no such file"}
    fake.on["GetAgent"] = lambda _: {"agent": {"workspace": str(tmp_path), "automations": state}}
    for words in (["--dry-run"], ["--prune"], []):
        told = cli("automations", "update", *words)
        assert told.code == 2
        assert str(own) in told.err
        assert there != "nothing" or "is gone: put it back, or name a FILE" in told.err
    assert "ApplyAutomationsFile" not in [method for method, _ in fake.asked]
    if there == "nothing":
        own.parent.mkdir()
        own.write_text(FILE)
        assert cli("automations", "update").code == 0
        assert fake.asked[-1][1]["path"] == str(own)


def test_rule_2_8_a_second_default_file_is_warned_of(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".ona/config.yaml", ".gitpod/automations.yml"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(FILE)
    told = cli("automations", "validate")
    assert (told.code, told.out) == (0, ".ona/config.yaml: valid; services: 1, tasks: 1\n")
    assert "Warning: .ona/config.yaml is the default file, and .gitpod/automations.yml is passed" in told.err


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
    fake.tasks = [task(2, "build")]
    data = json.loads(cli("automations", "update", "--dry-run", "--json", str(file)).out)
    assert data == [
        {"change": "create", "kind": "service", "reference": "web", "fields": []},
        {"change": "update", "kind": "task", "reference": "build", "fields": data[1]["fields"]},
    ]
    assert {"command", "dependsOn", "runsOn"} <= {*data[1]["fields"]}
    applied = [message for method, message in fake.asked if method == "ApplyAutomationsFile"]
    assert all(message["dryRun"] for message in applied)
    assert cli("automations", "update", "-s", "--dry-run", str(file)).code == 2


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
    assert [str(one) for one in changes(message, [web], [build])] == [  # type: ignore[list-item]
        "unchanged service web",
        "unchanged task build",
    ]
    web["spec"]["readinessTimeout"] = "91s"
    del build["dependsOn"]
    web["spec"]["commands"]["stop"] = "halt"
    assert [str(one) for one in changes(message, [web], [build])] == [  # type: ignore[list-item]
        "would update service web: commands.stop, readinessTimeout",
        "would update task build: dependsOn",
    ]


WARNED = "services: {web: {name: Web, commands: {start: docker compose up -d}, triggeredBy: [manual]}}\n"


def test_validate_warns_and_stays_at_zero(cli: Cli, file: Path) -> None:
    file.write_text(WARNED)
    told = cli("automations", "validate", str(file))
    assert (told.code, told.out) == (0, f"{file}: valid; services: 1, tasks: 0; warnings: 1\n")
    assert told.err.startswith(f"{file}:1:47: services.web.commands.start: warning: 'docker compose up -d'")
    assert told.err.rstrip().endswith("[compose-detached]")


@pytest.mark.parametrize("option", ["json", "yaml"])
def test_validate_tells_programs_too(cli: Cli, file: Path, option: str) -> None:
    file.write_text(WARNED)
    data = yaml.safe_load(cli("automations", "validate", "-o", option, str(file)).out)
    assert (data["valid"], data["errors"]) == (True, [])
    assert [(one["id"], one["line"], one["path"]) for one in data["warnings"]] == [
        ("compose-detached", 1, "services.web.commands.start")
    ]
    file.write_text(BROKEN)
    told = cli("automations", "validate", "-o", option, str(file))
    data = yaml.safe_load(told.out)
    assert (told.code, data["valid"], data["warnings"]) == (2, False, [])
    assert {"file", "line", "column", "path", "message"} == data["errors"][0].keys()


def test_validate_takes_several_files(cli: Cli, file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(BROKEN)
    told = cli("automations", "validate", str(file), str(broken))
    assert told.code == 2
    assert told.out == f"{file}: valid; services: 1, tasks: 1\n"
    assert f"{broken}:4:5: services.web.triggers" in told.err


def test_validate_reads_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(WARNED.encode())))
    told = cli("automations", "validate", "-")
    assert told.code == 0
    assert told.err.startswith("<stdin>:1:47:")


def test_validate_checks_the_default_file(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 2.8."""
    monkeypatch.chdir(tmp_path)
    told = cli("automations", "validate")
    assert told.code == 2
    assert "runner-agent automations init" in told.err
    assert cli("automations", "init").code == 0
    told = cli("automations", "validate")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(".ona/automations.yaml: valid")


def test_init_overwrites_nothing_unasked(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / ".gitpod" / "automations.yaml"
    mine.parent.mkdir()
    mine.write_text("tasks:\n")
    told = cli("automations", "init")
    assert (told.code, mine.read_text()) == (2, "tasks:\n")
    assert "--force" in told.err
    assert cli("automations", "init", "--force").code == 0
    assert mine.read_text() == STARTER
    assert cli("automations", "init", "deep/er.yaml").code == 0
    assert (tmp_path / "deep" / "er.yaml").read_text() == STARTER
    assert cli("automations", "init", ".").code == 2
    assert cli("automations", "init", "deep/er.yaml/below").code == 2
    assert cli("automations", "init", "-").out == STARTER


def test_schema_is_printed(cli: Cli) -> None:
    told = cli("automations", "schema")
    assert json.loads(told.out)["$schema"].endswith("2020-12/schema")


def test_a_dry_run_sees_an_entry_that_changes_kind(cli: Cli, fake: FakeAgent, file: Path) -> None:
    """Rule 2.7."""
    fake.services = [service(2, "build")]
    told = cli("automations", "update", "--dry-run", str(file))
    assert (told.code, told.out) == (2, "")
    assert "tasks.build: " in told.err
