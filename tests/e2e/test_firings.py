"""Triggers over the whole program (rules 6.1, 6.2 and 6.4)."""

from __future__ import annotations

import json

from tests.e2e.stage import Stage, automations, phase_of, service_yaml, step_of, task_yaml
from tests.support.processes import wait_until

PREBUILD, DEVCONTAINER, SNAPSHOT = (
    f"triggeredBy: [{event}]" for event in ("prebuild", "postDevcontainerStart", "beforeSnapshot")
)


def test_a_firing_runs_each_task_once_for_all_who_need_it(shared: Stage) -> None:
    """Rule 6.2: the shared run shows up in every execution, with the same phase and output."""
    install = "echo installed >> installs; sleep 0.2; echo version=3 >> $GITPOD_OUTPUT"
    shared.apply(
        automations(
            tasks=(
                task_yaml("x-install", install),
                task_yaml("x-lint", "true", more=f"dependsOn: [x-install]\n{PREBUILD}"),
                task_yaml("x-test", "true", more=f"dependsOn: [x-install]\n{PREBUILD}"),
            )
        )
    )
    fired = json.loads(shared.ok("trigger", "prebuild", "--wait=20", "--json"))["firing"]
    executions = [shared.agent.get_execution(one["id"]) for one in fired["executions"]]
    assert [phase_of(one) for one in executions] == ["SUCCEEDED", "SUCCEEDED"]
    assert (shared.workspace / "installs").read_text() == "installed\n"
    steps = [step_of(one, "x-install") for one in executions]
    assert steps[0]["id"] != steps[1]["id"]
    assert steps[0]["output"] == steps[1]["output"] == {"version": "3"}
    logs = [
        shared.log(f"/logs/executions/{one['id']}", step=step["id"])
        for one, step in zip(executions, steps, strict=True)
    ]
    assert logs[0] == logs[1]
    assert {one.get("metadata", {}).get("startedBy") for one in executions} == {"prebuild"}


def test_stopping_one_dependant_leaves_the_shared_run_to_the_other(shared: Stage) -> None:
    """Rule 6.2: its step is STOPPED at once; the process goes when the last hold goes."""
    shared.apply(
        automations(
            tasks=(
                task_yaml("y-shared", "while [ ! -e y-go ]; do sleep 0.05; done"),
                task_yaml("y-one", "touch y-one", more=f"dependsOn: [y-shared]\n{SNAPSHOT}"),
                task_yaml("y-two", "touch y-two", more=f"dependsOn: [y-shared]\n{SNAPSHOT}"),
            )
        )
    )
    fired = shared.agent.fire("beforeSnapshot").get("firing", {})
    one, two = (each.get("id", "") for each in fired.get("executions", []))
    for each in (one, two):
        wait_until(lambda each=each: shared.agent.get_execution(each).get("status", {}).get("steps"), 5)  # type: ignore[misc]
    shared.agent.stop_execution(one)
    stopped = shared.await_execution(one, 3)
    assert phase_of(stopped) == "STOPPED"
    assert phase_of(shared.agent.get_execution(two)) == "RUNNING"
    (shared.workspace / "y-go").touch()
    assert phase_of(shared.await_execution(two)) == "SUCCEEDED"
    assert not (shared.workspace / "y-one").exists()
    assert (shared.workspace / "y-two").exists()


def test_stopping_the_execution_whose_task_it_is_ends_the_shared_run(stage: Stage) -> None:
    """Rule 6.2: the other holders' steps FAIL, "stopped by execution X"."""
    stage.start(
        file=automations(
            tasks=(
                task_yaml("main", "exec sleep 60", more=PREBUILD),
                task_yaml("other", "touch other", more=f"dependsOn: [main]\n{PREBUILD}"),
            )
        )
    )
    fired = stage.agent.fire("prebuild").get("firing", {})
    ids = {each.get("reference", ""): each.get("id", "") for each in fired.get("executions", [])}
    wait_until(lambda: stage.agent.get_execution(ids["other"]).get("status", {}).get("steps"), 5)
    stage.agent.stop_execution(ids["main"])
    assert phase_of(stage.await_execution(ids["main"])) == "STOPPED"
    other = stage.await_execution(ids["other"])
    assert phase_of(other) == "FAILED"
    assert f"stopped by execution {ids['main']}" in other.get("status", {}).get("failureMessage", "")
    assert not (stage.workspace / "other").exists()


def test_services_first_and_once_and_dry_run(shared: Stage) -> None:
    """Rules 6.1 and 6.4."""
    shared.apply(
        automations(
            services=(service_yaml("z-serve", "exec sleep 600", more=DEVCONTAINER),),
            tasks=(task_yaml("z-task", "echo z >> z-ran", more=DEVCONTAINER),),
        )
    )
    dry = shared.ok("trigger", "postDevcontainerStart", "--dry-run")
    assert dry.splitlines() == ["service z-serve", "task z-task"]
    assert shared.phase("z-serve") == "STOPPED"
    first = json.loads(
        shared.ok("trigger", "postDevcontainerStart", "--once", "container-1", "--wait=20", "--json")
    )
    again = json.loads(
        shared.ok("trigger", "postDevcontainerStart", "--once", "container-1", "--wait=20", "--json")
    )
    assert again["firing"]["id"] == first["firing"]["id"]
    assert again["repeatedKey"] is True
    assert (shared.workspace / "z-ran").read_text() == "z\n"
    shared.ok("trigger", "postDevcontainerStart", "--once", "container-2", "--wait=20")
    assert (shared.workspace / "z-ran").read_text() == "z\nz\n"
    assert shared.phase("z-serve") == "RUNNING"
    shared.ok("service", "stop", "z-serve", "--wait=10")


def test_waiting_fails_with_what_it_started(shared: Stage) -> None:
    """Interface: fails if one failed; 3 when it takes too long."""
    shared.apply(
        automations(tasks=(task_yaml("w-fails", "exit 2", more="triggeredBy: [postEnvironmentStart]"),))
    )
    assert shared.cli("trigger", "postEnvironmentStart", "--wait=20").returncode == 1
    shared.apply(
        automations(tasks=(task_yaml("w-fails", "sleep 1", more="triggeredBy: [postEnvironmentStart]"),))
    )
    late = shared.cli("trigger", "postEnvironmentStart", "--wait=0.2")
    assert late.returncode == 3
    assert shared.cli("trigger", "manual").returncode == 2
    assert shared.cli("trigger", "onFullMoon").returncode == 2
