"""Which definitions are in force, and what is said of those that are not (rules 2.8 to 2.11)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.stage import automations, service_yaml, task_yaml

if TYPE_CHECKING:
    from tests.e2e.stage import Stage

WEB = service_yaml("web", "exec sleep 300", more="triggeredBy: [postEnvironmentStart]")
OLD = service_yaml("old", "exec sleep 301")
TASK = task_yaml("t", "echo done", more="triggeredBy: [postEnvironmentStart]")
CONFIG = ".ona/config.yaml"


def test_a_broken_default_file_is_told_until_the_same_file_is_applied(stage: Stage) -> None:
    """Rules 2.8, 2.9."""
    path = stage.write_file(automations(services=(WEB,), tasks=(TASK,)), CONFIG)
    stage.start()
    assert stage.cli("service", "list").stderr == ""
    stage.write_file("services: [", CONFIG)
    stage.daemon.sigkill()
    stage.start()
    said = f"Warning: the last good definitions are in force, not the file: {path}:"
    for words in ("service list", "task start t", "plan t", "why t"):
        answer = stage.cli(*words.split())
        assert (answer.returncode, said in answer.stderr) == (0, True), answer
    answer = stage.cli("trigger", "postEnvironmentStart", "--wait=60")
    assert answer.returncode == 2, answer
    assert f"{path} is not in force" in answer.stderr
    assert "SUCCEEDED" in answer.stderr, "the last good definitions were fired"
    assert stage.cli("automations", "update").returncode == 2, "it is broken still"
    stage.write_file(automations(services=(WEB,), tasks=(TASK,)), CONFIG)
    assert stage.cli("automations", "update").returncode == 0
    assert stage.cli("service", "list").stderr == ""
    assert stage.agent.get_agent().get("automations", {}).get("error", "") == ""
    stage.write_file(automations(tasks=(task_yaml("web", "true"),)), CONFIG)
    assert stage.cli("automations", "update").returncode == 2, "valid, and web is a service here"
    assert f"not the file: {path}: tasks.web: is a service" in stage.cli("task", "list").stderr
    assert stage.cli("trigger", "postEnvironmentStart", "--wait=60").returncode == 2


def test_what_is_left_out_and_what_runs_is_told_and_may_be_pruned(stage: Stage) -> None:
    """Rule 2.10."""
    stage.write_file(automations(services=(WEB, OLD), tasks=(TASK,)), CONFIG)
    stage.start()
    stage.apply(automations(services=(service_yaml("piped", "exec sleep 302"),)))
    stage.ok("service", "start", "web", "--wait=60")
    stage.write_file(automations(services=(WEB.replace("300", "303"),)), CONFIG)
    mark = "web runs the previous definition; for the present one: runner-agent service restart web"
    for words in ("update --dry-run", "update"):
        answer = stage.cli("automations", *words.split())
        assert answer.returncode == 0, answer
        assert "defined but not in this file: old, piped, t\n" in answer.stderr
        assert f"{mark}\n" in answer.stderr
    assert mark in stage.ok("status")
    assert mark in stage.ok("service", "get", "web")
    assert json.loads(stage.ok("why", "web", "--json"))["previousDefinition"] is True
    live = json.loads(stage.ok("status", "--json"))["live"]["services"]
    assert [each["reference"] for each in live if each.get("previousDefinition")] == ["web"]

    stage.daemon.sigkill()
    stage.start()
    assert mark in stage.ok("status"), "nothing of it is lost with the agent"
    pruned = json.loads(stage.ok("automations", "update", "--prune", "-o", "json"))
    assert [(one["change"], one["reference"]) for one in pruned] == [
        ("deleted", "old"),
        ("deleted", "t"),
        ("not in file", "piped"),
        ("runs the previous definition", "web"),
    ]
    stage.ok("service", "restart", "web", "--wait=60")
    assert "previous" not in stage.ok("status")
    assert stage.cli("automations", "update").stderr.splitlines()[-1] == "defined but not in this file: piped"


def test_a_service_without_commands_is_passed_over(stage: Stage) -> None:
    """Rule 2.11."""
    marker = "  marker:\n    name: Marker\n    triggeredBy: [postEnvironmentStart]\n"
    needs = task_yaml("needs", "true", more="dependsOn: [marker]")
    stage.start(file=automations(services=(marker, WEB), tasks=(needs,)))
    answer = stage.cli("trigger", "postEnvironmentStart", "--wait=60")
    assert answer.returncode == 0, answer
    assert 'service "marker" cannot be started: it has no start command' in answer.stderr
    for words in ("service start marker", "task start needs", "plan needs", "plan marker"):
        answer = stage.cli(*words.split())
        assert answer.returncode in {1, 2}, answer
        assert "it has no start command" in answer.stderr
    assert "cannot be: it has no start command" in stage.ok("why", "marker")


def test_an_unset_variable_is_no_missing_command(stage: Stage) -> None:
    """bash ends with 127 after both."""
    unset = task_yaml("unset", 'echo "${DATABASE_URL:?set it first}"')
    stage.start(file=automations(tasks=(unset, task_yaml("missing", "no-such-program"))))
    answer = stage.cli("task", "start", "unset")
    assert answer.returncode == 1
    assert "command not found" not in answer.stderr
    assert "unset exited with code 127" in answer.stderr
    assert "DATABASE_URL: set it first" in answer.stderr
    assert "exited with code 127 (command not found)" in stage.cli("task", "start", "missing").stderr
