"""Tasks, their plans and their executions, on one agent that all these tests share."""

from __future__ import annotations

import json
import signal

from tests.e2e.stage import Stage, automations, execution_path, phase_of, service_yaml, step_of, task_yaml
from tests.support.processes import wait_until


def test_start_prints_the_id_and_waits(shared: Stage) -> None:
    """Interface: exit code 0 only on SUCCEEDED."""
    shared.apply(
        automations(tasks=(task_yaml("good", "echo fine"), task_yaml("bad", "echo the disk is flat; exit 4")))
    )
    good = shared.cli("task", "start", "good")
    assert good.returncode == 0
    execution = shared.agent.get_execution(good.stdout.strip())
    assert phase_of(execution) == "SUCCEEDED"
    bad = shared.cli("task", "start", "bad")
    assert bad.returncode == 1
    assert "the disk is flat" in bad.stderr
    failed = shared.agent.get_execution(bad.stdout.strip())
    message = failed.get("status", {}).get("failureMessage", "")
    assert "bad" in message, "rule 4.4: names the step"
    assert "4" in message, "the reason"
    assert "the disk is flat" in message, "and the last line of its log"


def test_dont_wait_returns_the_id_of_a_live_execution(shared: Stage) -> None:
    shared.apply(automations(tasks=(task_yaml("lasting", "while [ ! -e lasting ]; do sleep 0.05; done"),)))
    execution = shared.ok("task", "start", "lasting", "--dont-wait").strip()
    wait_until(lambda: phase_of(shared.agent.get_execution(execution)) == "RUNNING", 5)
    (shared.workspace / "lasting").touch()
    assert phase_of(shared.await_execution(execution)) == "SUCCEEDED"


def test_ctrl_c_detaches_and_stops_nothing(shared: Stage) -> None:
    """Interface: 130."""
    shared.apply(automations(tasks=(task_yaml("left-alone", "while [ ! -e left ]; do sleep 0.05; done"),)))
    waiting = shared.spawn("task", "start", "left-alone")
    assert waiting.stdout is not None
    execution = waiting.stdout.readline().strip()
    wait_until(lambda: phase_of(shared.agent.get_execution(execution)) == "RUNNING", 5)
    waiting.send_signal(signal.SIGINT)
    _, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert "nothing was stopped" in errors
    assert "Traceback" not in errors
    (shared.workspace / "left").touch()
    assert phase_of(shared.await_execution(execution)) == "SUCCEEDED"


def test_stop_ends_the_whole_tree_as_stopped(shared: Stage) -> None:
    """Rule 4.6, by task and by execution id; a finished one stays as it is."""
    shared.apply(
        automations(
            tasks=(
                task_yaml("endless", "trap '' TERM; while :; do sleep 0.05; done"),
                task_yaml("after", "touch after", more="dependsOn: [endless]"),
            )
        )
    )
    execution = shared.ok("task", "start", "after", "--dont-wait").strip()
    wait_until(lambda: shared.agent.get_execution(execution).get("status", {}).get("steps"), 5)
    shared.ok("task", "stop", execution)
    ended = shared.await_execution(execution)
    assert phase_of(ended) == "STOPPED"
    assert len(ended.get("status", {}).get("steps", [])) == 1, "steps not started stay absent"
    assert not (shared.workspace / "after").exists()
    shared.ok("task", "stop", execution)
    assert shared.agent.get_execution(execution) == ended
    assert "is not running" in shared.cli("task", "stop", "endless").stderr


def test_dependencies_run_once_each_in_levels(shared: Stage) -> None:
    """Rules 4.2 and 4.3."""
    names = ("base", "left", "right", "top")
    needs = {
        "base": "",
        "left": "dependsOn: [base]",
        "right": "dependsOn: [base]",
        "top": "dependsOn: [left, right]",
    }
    shared.apply(
        automations(
            tasks=tuple(
                task_yaml(
                    f"d-{name}",
                    f"echo {name} >> order; sleep 0.2",
                    more=needs[name].replace("[", "[d-").replace(", ", ", d-"),
                )
                for name in names
            )
        )
    )
    execution = shared.run("d-top")
    assert phase_of(execution) == "SUCCEEDED"
    ran = (shared.workspace / "order").read_text().split()
    assert ran[0] == "base"
    assert sorted(ran[1:3]) == ["left", "right"]
    assert ran[3:] == ["top"]
    plan = json.loads(shared.ok("plan", "d-top", "--json"))
    assert [[step["reference"] for step in group["steps"]] for group in plan["groups"]] == [
        ["d-base"],
        ["d-left", "d-right"],
        ["d-top"],
    ]
    assert "flowchart" in shared.ok("plan", "d-top", "--mermaid")
    assert "group 3" in shared.ok("plan", "d-top")
    assert (shared.workspace / "order").read_text().split() == ran, "a plan runs nothing"


def test_after_a_failure_no_group_starts(shared: Stage) -> None:
    """Rule 4.4: running siblings finish."""
    shared.apply(
        automations(
            tasks=(
                task_yaml("f-bad", "sleep 0.1; exit 1"),
                task_yaml("f-sibling", "sleep 0.6; touch sibling-finished"),
                task_yaml("f-top", "touch never", more="dependsOn: [f-bad, f-sibling]"),
            )
        )
    )
    execution = shared.run("f-top")
    assert phase_of(execution) == "FAILED"
    assert "f-bad" in execution.get("status", {}).get("failureMessage", "")
    assert (shared.workspace / "sibling-finished").exists()
    assert not (shared.workspace / "never").exists()
    assert step_of(execution, "f-sibling")["phase"] == "TASK_EXECUTION_PHASE_SUCCEEDED"


def test_a_task_that_needs_a_service_waits_until_it_is_ready(shared: Stage) -> None:
    """Rule 4.5."""
    shared.apply(
        automations(
            services=(service_yaml("s-db", "sleep 0.3; touch db-up; exec sleep 60", ready="test -e db-up"),),
            tasks=(task_yaml("s-seed", "test -e db-up", more="dependsOn: [s-db]"),),
        )
    )
    assert phase_of(shared.run("s-seed")) == "SUCCEEDED"
    assert shared.phase("s-db") == "RUNNING", "the service keeps its wish"
    shared.ok("service", "stop", "s-db", "--wait=60")


def test_a_service_step_fails_with_its_service(shared: Stage) -> None:
    """Rule 4.5."""
    shared.apply(
        automations(
            services=(service_yaml("s-dead", "exit 3", ready="false"),),
            tasks=(task_yaml("s-wants", "true", more="dependsOn: [s-dead]"),),
        )
    )
    execution = shared.run("s-wants")
    assert phase_of(execution) == "FAILED"
    assert "s-dead" in execution.get("status", {}).get("failureMessage", "")


def test_outputs_of_steps_are_complete_when_they_end(shared: Stage) -> None:
    """Rule 5.3."""
    command = """for i in $(seq 50); do echo key$i=$i >> $GITPOD_OUTPUT; done
echo 'not a line' >> $GITPOD_OUTPUT
printf 'no-newline=at the end' >> $GITPOD_OUTPUT"""
    shared.apply(automations(tasks=(task_yaml("writes", command),)))
    execution = shared.run("writes")
    output = step_of(execution, "writes")["output"]
    assert output == {f"key{i}": str(i) for i in range(1, 51)} | {"no-newline": "at the end"}
    assert "line 51 is skipped" in shared.log(execution_path(execution))


def test_output_is_published_while_the_command_runs(shared: Stage) -> None:
    """Rule 5.3: within 500 ms."""
    shared.apply(
        automations(
            tasks=(
                task_yaml("live", "echo early=1 >> $GITPOD_OUTPUT; while [ ! -e live ]; do sleep 0.05; done"),
            )
        )
    )
    execution = shared.agent.start_task(shared.id_of("live"))["id"]

    def early() -> bool:
        steps = shared.agent.get_execution(execution).get("status", {}).get("steps", [])
        return any(step.get("output") == {"early": "1"} for step in steps)

    wait_until(early, 5)
    (shared.workspace / "live").touch()
    assert phase_of(shared.await_execution(execution)) == "SUCCEEDED"


def test_the_plan_is_frozen_at_the_start(shared: Stage) -> None:
    """Rule 4.1: later edits do not touch a running execution; executions overlap."""
    shared.apply(
        automations(
            tasks=(task_yaml("frozen", "while [ ! -e thaw ]; do sleep 0.05; done; echo old >> frozen"),)
        )
    )
    first, second = (shared.agent.start_task(shared.id_of("frozen"))["id"] for _ in range(2))
    shared.apply(automations(tasks=(task_yaml("frozen", "echo new >> frozen"),)))
    (shared.workspace / "thaw").touch()
    for execution in (first, second):
        assert phase_of(shared.await_execution(execution)) == "SUCCEEDED"
    assert (shared.workspace / "frozen").read_text() == "old\nold\n"


def test_list_get_and_list_executions(shared: Stage) -> None:
    shared.apply(automations(tasks=(task_yaml("listed", "true"),)))
    execution = shared.run("listed")
    assert "listed" in shared.ok("task", "list")
    assert "SUCCEEDED" in shared.ok("task", "get", execution["id"])
    assert json.loads(shared.ok("task", "get", execution["id"], "--json")) == execution
    assert json.loads(shared.ok("task", "get", "listed", "--json"))["metadata"]["reference"] == "listed"
    rows = json.loads(shared.ok("task", "list-executions", "listed", "--json"))
    assert [each["id"] for each in rows] == [execution["id"]]
    assert execution["id"] in shared.ok("task", "list-executions")
    assert execution.get("metadata", {}).get("startedBy") == "manual", "rule 4.8"


def test_delete_stops_the_executions(shared: Stage) -> None:
    """Rule 1.6: refused while another task depends on it."""
    shared.apply(
        automations(
            tasks=(
                task_yaml("doomed", "exec sleep 60"),
                task_yaml("dependant", "true", more="dependsOn: [doomed]"),
            )
        )
    )
    refused = shared.cli("task", "delete", "doomed")
    assert refused.returncode == 1
    assert "dependant" in refused.stderr
    shared.ok("task", "delete", "dependant")
    execution = shared.ok("task", "start", "doomed", "--dont-wait").strip()
    wait_until(lambda: phase_of(shared.agent.get_execution(execution)) == "RUNNING", 5)
    shared.ok("task", "delete", "doomed")
    assert phase_of(shared.await_execution(execution)) == "STOPPED"
    wait_until(lambda: shared.cli("task", "get", "doomed").returncode == 2, 5)
