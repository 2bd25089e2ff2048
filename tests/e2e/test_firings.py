"""Triggers over the whole program (rules 6.1, 6.2 and 6.4)."""

from __future__ import annotations

import json

import pytest

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
    fired = json.loads(shared.ok("trigger", "prebuild", "--wait=60", "--json"))["firing"]
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
        shared.ok("trigger", "postDevcontainerStart", "--once", "container-1", "--wait=60", "--json")
    )
    again = json.loads(
        shared.ok("trigger", "postDevcontainerStart", "--once", "container-1", "--wait=60", "--json")
    )
    assert again["firing"]["id"] == first["firing"]["id"]
    assert again["repeatedKey"] is True
    assert (shared.workspace / "z-ran").read_text() == "z\n"
    shared.ok("trigger", "postDevcontainerStart", "--once", "container-2", "--wait=60")
    assert (shared.workspace / "z-ran").read_text() == "z\nz\n"
    assert shared.phase("z-serve") == "RUNNING"
    shared.ok("service", "stop", "z-serve", "--wait=60")


def test_waiting_fails_with_what_it_started(shared: Stage) -> None:
    """Interface: fails if one failed; 3 when it takes too long."""
    shared.apply(
        automations(tasks=(task_yaml("w-fails", "exit 2", more="triggeredBy: [postEnvironmentStart]"),))
    )
    assert shared.cli("trigger", "postEnvironmentStart", "--wait=60").returncode == 1
    shared.apply(
        automations(
            tasks=(
                task_yaml(
                    "w-fails",
                    "until [ -e w-go ]; do sleep 0.05; done",
                    more="triggeredBy: [postEnvironmentStart]",
                ),
            )
        )
    )
    late = shared.cli("trigger", "postEnvironmentStart", "--wait=0.2")
    assert late.returncode == 3
    (shared.workspace / "w-go").touch()
    assert shared.cli("trigger", "manual").returncode == 2
    assert shared.cli("trigger", "onFullMoon").returncode == 2


BUILDING = automations(
    services=(
        service_yaml("k-db", "echo k-db >> k-order; exec sleep 600", ready="sleep 0.1", more=PREBUILD),
    ),
    tasks=(
        task_yaml("k-install", "echo k-install >> k-order; touch k-begun; sleep 0.3"),
        *(
            task_yaml(
                f"k-{name}",
                f"echo k-{name} >> k-order",
                more=f"dependsOn: [k-install, k-db]\n{PREBUILD}",
            )
            for name in ("build", "lint", "test")
        ),
    ),
)


def fired_once_and_whole(stage: Stage) -> None:
    """Whoever asks again with the key joins; everything ran, and ran once."""
    answer = stage.cli("trigger", "prebuild", "--once", "k", "--wait=60", "--json")
    assert answer.returncode == 0, answer
    told = json.loads(answer.stdout)["firing"]
    assert len(told["executions"]) == 3
    assert sorted((stage.workspace / "k-order").read_text().split()) == [
        "k-build",
        "k-db",
        "k-install",
        "k-lint",
        "k-test",
    ]
    assert [one.get("id") for one in stage.agent.firings()] == [told["id"]]


def test_an_agent_killed_between_a_firing_and_its_runs_runs_each_once(stage: Stage) -> None:
    """Rule 6.2: the firing and all it starts are one write, so there is no half of it."""
    stage.daemon.environment["RUNNER_AGENT_POST_MACHINE_START"] = "false"
    stage.start(file=BUILDING)
    stage.agent.fire("prebuild", "k")
    stage.daemon.sigkill()
    stage.start()
    fired_once_and_whole(stage)


@pytest.mark.heavy
@pytest.mark.timeout(180)
@pytest.mark.parametrize("begun", ["never mind", "k-begun", "k-order"])
def test_killed_while_it_is_asked_or_while_the_shared_run_runs(stage: Stage, begun: str) -> None:
    """Rules 6.2 and 6.4: a caller that got no answer asks again with its key, and starts nothing twice."""
    stage.daemon.environment["RUNNER_AGENT_POST_MACHINE_START"] = "false"
    stage.start(file=BUILDING)
    asking = stage.spawn("trigger", "prebuild", "--once", "k")
    for _ in range(3):
        if begun in ("k-begun", "k-order"):
            wait_until((stage.workspace / begun).exists, 40, "it runs")
        stage.daemon.sigkill()
        stage.start()
    asking.communicate(timeout=60)
    fired_once_and_whole(stage)


def test_joining_a_firing_that_failed_fails_too(shared: Stage) -> None:
    """Rule 6.4, interface: with `--wait` a repeated one ends as the first, without running anything."""
    event = "triggeredBy: [postEnvironmentStart]"
    shared.apply(automations(tasks=(task_yaml("j-fails", "echo j >> j-ran; exit 2", more=event),)))
    for _ in range(2):
        joined = shared.cli("trigger", "postEnvironmentStart", "--once", "j", "--wait=60")
        assert joined.returncode == 1, joined
    assert (shared.workspace / "j-ran").read_text() == "j\n"
    shared.agent.delete_task(shared.id_of("j-fails"))


DEVCONTAINER_TOO = "triggeredBy: [postDevcontainerStart, postEnvironmentStart]"
ALONE = "mkdir lock || exit 9; echo begun >> runs; while [ ! -e go ]; do sleep 0.05; done; rmdir lock"
NEEDS = "dependsOn: [both]\ntriggeredBy: [postEnvironmentStart]"


def test_rule_6_2a_a_task_of_both_start_events_runs_once(stage: Stage) -> None:
    """Both executions show the one run, with its log; when it is over, an event runs it again."""
    stage.start(
        file=automations(
            tasks=(
                task_yaml("both", ALONE, more=DEVCONTAINER_TOO),
                task_yaml(
                    "setup",
                    "test ! -e lock",
                    more=NEEDS,
                ),
            )
        )
    )
    first = stage.agent.fire("postDevcontainerStart").get("firing", {}).get("executions", [])
    wait_until((stage.workspace / "runs").exists, 10)
    second = stage.agent.fire("postEnvironmentStart").get("firing", {}).get("executions", [])
    ids = [each.get("id", "") for each in (*first, *second)]
    assert len(ids) == 3
    why = stage.ok("why", ids[1])
    assert f"joined the run of postDevcontainerStart, execution {ids[0]}" in why
    (stage.workspace / "go").touch()
    assert [phase_of(stage.await_execution(id_)) for id_ in ids] == ["SUCCEEDED"] * 3
    assert (stage.workspace / "runs").read_text() == "begun\n"
    again = stage.agent.fire("postDevcontainerStart").get("firing", {}).get("executions", [])
    assert phase_of(stage.await_execution(again[0].get("id", ""))) == "SUCCEEDED"
    assert (stage.workspace / "runs").read_text() == "begun\nbegun\n"
