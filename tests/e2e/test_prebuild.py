"""`prebuild` over the whole program (rule 6.5): alone, through a live agent, killed, cancelled, too long."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from collections.abc import Generator
from contextlib import closing
from xml.etree import ElementTree as ET

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import Stage, automations, no_traceback, phase_of, service_yaml, task_yaml
from tests.support.processes import end, wait_until

PREBUILD, SNAPSHOT = "triggeredBy: [prebuild]", "triggeredBy: [beforeSnapshot]"
MUST = "prebuildRequiresSuccess: true\n"
QUICKLY = {"RUNNER_AGENT_PREBUILD_TIMEOUT_LEAST": "1"}
WAITS = "touch begun; while [ ! -e go ]; do sleep 0.05; done"
pytestmark = pytest.mark.timeout(180)
SECRET = "0199a000-0000-7000-8000-0000000000aa"


@pytest.fixture
def stage() -> Generator[Stage]:
    """An agent of this test's own, that takes short time limits."""
    with staged(**QUICKLY) as one:
        yield one


def rows(stage: Stage, question: str) -> list[tuple[object, ...]]:
    """What the database says, read as somebody who has a copy of it would."""
    with closing(sqlite3.connect(stage.state / "agent.db")) as connection:
        return connection.execute(question).fetchall()


def lines(stage: Stage, name: str) -> list[str]:
    """Of a file below the workspace."""
    path = stage.workspace / name
    return path.read_text().split() if path.exists() else []


def ended(process: subprocess.Popen[str], timeout: float = 100.0) -> tuple[int, str, str]:
    """Code, output and errors of a command once it has ended."""
    said, errors = process.communicate(timeout=timeout)
    no_traceback(said + errors)
    return process.returncode, said, errors


WHOLE = automations(
    services=(
        service_yaml(
            "db",
            "echo db >> order; exec sleep 600",
            ready="test -e order",
            stop="echo stopped >> order",
            more=PREBUILD,
        ),
        service_yaml("broken", "exit 4", more=PREBUILD),
        service_yaml("own", "echo own >> strangers; exec sleep 600", more="triggeredBy: [postMachineStart]"),
    ),
    tasks=(
        task_yaml("install", "echo install >> order; echo $GITPOD_ENVIRONMENT_ID > who", more=MUST),
        task_yaml("build", "echo build >> order", more=f"{MUST}dependsOn: [install, db]\n{PREBUILD}"),
        task_yaml("lint", "echo linting; exit 3", more=PREBUILD),
        task_yaml("tidy", "echo tidy >> order", more=f"{MUST}{SNAPSHOT}"),
        task_yaml(
            "other", "echo other >> strangers", more="triggeredBy: [postEnvironmentStart, postMachineStart]"
        ),
    ),
)


def test_alone_from_nothing_to_an_image_and_what_a_user_finds_in_it(stage: Stage) -> None:
    """Rule 6.5, each clause that needs no failure."""
    stage.write_file(WHOLE)
    answer = stage.cli("prebuild", "--report", "junit=junit.xml", "--report", "json=report.json")
    assert answer.returncode == 0, answer
    order = lines(stage, "order")
    assert sorted(order[:2]) == ["db", "install"]
    assert order[2:] == ["build", "tidy", "stopped"], "beforeSnapshot after all tasks, services up until then"
    assert lines(stage, "strangers") == [], "nothing that lists another trigger ran"
    assert stage.daemon.survivors() == [], "nothing is left running, the launcher included"
    report = json.loads((stage.workspace / "report.json").read_text())
    assert (report["verdict"], report["exitCode"], report["failures"]) == ("succeeded", 0, [])
    assert {one["reference"]: one["phase"] for one in report["items"]} == {
        "db": "RUNNING",
        "broken": "FAILED",
        "install": "SUCCEEDED",
        "build": "SUCCEEDED",
        "lint": "FAILED",
        "tidy": "SUCCEEDED",
    }
    assert [warning.split(":")[0] for warning in report["warnings"]] == [
        "task lint is FAILED",
        "service broken is FAILED",
    ]
    suites = ET.parse(stage.workspace / "junit.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("6", "0")
    for trace in ("token", "api.sock", "launcher.sock", "agent.json", "agent.db-wal"):
        assert not (stage.state / trace).exists(), trace
    assert list((stage.state / "runs").iterdir()) == []
    for table in ("firing", "timeline"):
        assert rows(stage, f"SELECT count(*) FROM {table}") == [(0,)], table
    facts = {name: value for name, value in rows(stage, "SELECT name, value FROM meta") if value}
    assert json.loads(str(facts.pop("ages")))["boot"] == facts["last_boot"]  # a count that goes on elsewhere
    assert facts == {
        "machine": "{}",
        "last_boot": rows(stage, "SELECT value FROM meta WHERE name = 'last_boot'")[0][0],
    }
    _as_a_user_finds_it(stage)


def _as_a_user_finds_it(stage: Stage) -> None:
    """What was prebuilt is there to be read, does not run again, and postMachineStart fires."""
    first = stage.start()
    wait_until(lambda: sorted(lines(stage, "strangers")) == ["other", "own"], 30, "postMachineStart fired")
    assert [one.get("event") for one in stage.agent.firings()] == ["postMachineStart"]
    assert stage.phase("db") == "STOPPED"
    assert stage.phase("broken") == "STOPPED"
    seen = {
        stage.agent.get_task(one.get("metadata", {}).get("taskId", ""))
        .get("metadata", {})
        .get("reference"): one
        for one in stage.agent.executions()
        if one.get("metadata", {}).get("startedBy") != "postMachineStart"
    }
    assert {name: phase_of(one) for name, one in seen.items()} == {
        "build": "SUCCEEDED",
        "lint": "FAILED",
        "tidy": "SUCCEEDED",
    }
    assert "linting" in stage.log(f"/logs/executions/{seen['lint']['id']}")
    assert lines(stage, "order").count("build") == 1
    assert [first.environment_id] != lines(stage, "who"), "somebody else"


@pytest.mark.heavy
def test_through_a_live_agent_nothing_else_fires_and_the_user_scope_is_closed(stage: Stage) -> None:
    """Rules 5.6 and 6.5: a task that wants a user's secret fails and says why; others get theirs."""
    for scope, value in (("user", "users-own-value"), ("project", "projects-value")):
        folder = stage.daemon.base / scope
        folder.mkdir()
        (folder / (SECRET if scope == "user" else SECRET.replace("aa", "bb"))).write_text(value)
    stage.daemon.environment["RUNNER_AGENT_SECRETS"] = ",".join(
        f"{scope}={stage.daemon.base / scope}" for scope in ("user", "project")
    )
    stage.start(file=automations(tasks=(task_yaml("long", WAITS, more=f"{MUST}{PREBUILD}"),)))
    environment = stage.daemon.info().environment_id
    for name, id_ in (("theirs", SECRET), ("ours", SECRET.replace("aa", "bb"))):
        stage.agent.create_task(
            {"reference": name, "name": name, "triggeredBy": [{"prebuild": True}]},
            {
                "command": f'echo "${{V:-none}}" | tr a-z A-Z > {name}',
                "env": [{"name": "V", "valueFrom": {"secretRef": {"id": id_}}}],
            },
        )
    running = stage.spawn("prebuild", "--timeout", "60", "--report", "json=report.json")
    wait_until((stage.workspace / "begun").exists, 40, "the prebuild runs")
    refused = stage.cli("trigger", "postEnvironmentStart")
    assert refused.returncode == 1
    assert "a prebuild is under way" in refused.stderr
    assert stage.cli("trigger", "prebuild").returncode == 1
    assert stage.cli("prebuild", "--timeout", "60").returncode == 1, "one at a time"
    stage.daemon.sigkill()  # it comes back in prebuild mode, and the command waits for it
    stage.start()
    assert stage.cli("trigger", "postMachineStart", "--once", "k").returncode in (0, 1)
    assert stage.cli("trigger", "postEnvironmentStart").returncode == 1
    (stage.workspace / "go").touch()
    code, _, errors = ended(running)
    assert code == 0, errors
    report = json.loads((stage.workspace / "report.json").read_text())
    phases = {one["reference"]: one["phase"] for one in report["items"]}
    assert phases == {"long": "SUCCEEDED", "theirs": "FAILED", "ours": "SUCCEEDED"}
    (theirs,) = (one for one in report["items"] if one["reference"] == "theirs")
    assert SECRET in theirs["message"]
    assert "prebuild" in theirs["message"], "it says why"
    assert "users-own-value" not in json.dumps(report)
    assert not (stage.workspace / "theirs").exists()
    assert (stage.workspace / "ours").read_text() == "PROJECTS-VALUE\n"
    assert not (stage.state / "token").exists()
    assert stage.cli("trigger", "postEnvironmentStart").returncode == 0, "the mode has ended"
    assert stage.daemon.info().environment_id == environment, "who is here stays who it is"


@pytest.mark.heavy
def test_a_task_that_must_succeed_and_does_not_is_exit_code_1(stage: Stage) -> None:
    """Rule 6.5: of either event; beforeSnapshot runs all the same."""
    stage.write_file(
        automations(
            tasks=(
                task_yaml("fails", "exit 2", more=f"{MUST}{PREBUILD}"),
                task_yaml("after", "touch after", more=SNAPSHOT),
            )
        )
    )
    answer = stage.cli("prebuild", "--report", "junit=junit.xml")
    assert answer.returncode == 1
    assert "failed: task fails is FAILED: fails exited with code 2" in answer.stderr
    assert (stage.workspace / "after").exists()
    assert ET.parse(stage.workspace / "junit.xml").getroot().get("failures") == "1"
    stage.write_file(automations(tasks=(task_yaml("snap", "exit 2", more=f"{MUST}{SNAPSHOT}"),)))
    assert stage.cli("prebuild").returncode == 1
    assert stage.daemon.survivors() == []


@pytest.mark.heavy
def test_the_time_limit_is_exit_code_3_and_wins(stage: Stage) -> None:
    """Rule 6.5: beforeSnapshot is not fired; what ignores SIGTERM is killed, all within 30 s."""
    stage.daemon.environment |= {
        "RUNNER_AGENT_SERVICE_STOP_GRACE": "120",
        "RUNNER_AGENT_TASK_STOP_GRACE": "120",
    }
    deaf = "trap '' TERM; while :; do sleep 0.2; done"
    stage.write_file(
        automations(
            services=(service_yaml("deaf", deaf, ready="false", more=PREBUILD),),
            tasks=(
                task_yaml("fails", "exit 2", more=f"{MUST}{PREBUILD}"),
                task_yaml("deaf-task", deaf, more=f"{MUST}{PREBUILD}"),
                task_yaml("after", "touch after", more=SNAPSHOT),
            ),
        )
    )
    answer = stage.cli("prebuild", "--timeout", "3s", "--report", "json=report.json", timeout=120)
    assert answer.returncode == 3, answer
    assert not (stage.workspace / "after").exists()
    report = json.loads((stage.workspace / "report.json").read_text())
    assert report["verdict"] == "timed out"
    assert report["seconds"] < 60, "by its own bound of 30 s, long before the two minutes"
    assert {one["reference"]: one["phase"] for one in report["items"]} == {
        "deaf": "STARTING",
        "fails": "FAILED",
        "deaf-task": "STOPPED",
    }
    took = {one["reference"]: one["seconds"] for one in report["items"]}
    assert took["deaf-task"] > 3, "what was stopped has begun and ended too"
    assert stage.daemon.survivors() == []


@pytest.mark.heavy
def test_killed_again_and_again_it_does_everything_once(stage: Stage) -> None:
    """Rules 6.2, 6.5 and 7.2: wherever the agent is killed, or executes itself anew, the next one goes on."""
    names = [f"t{number}" for number in range(6)]
    stage.start(
        file=automations(
            services=(service_yaml("db", "exec sleep 600", stop="sleep 0.3", more=PREBUILD),),
            tasks=(
                task_yaml("shared", "echo shared >> order; sleep 0.4"),
                *(
                    task_yaml(
                        name,
                        f"echo {name} >> order; sleep 0.4",
                        more=f"{MUST}dependsOn: [shared]\n{PREBUILD if name < 't4' else SNAPSHOT}",
                    )
                    for name in names
                ),
            ),
        )
    )
    running = stage.spawn("prebuild", "--timeout", "5m", "--report", "json=report.json")
    wait_until(lambda: lines(stage, "order"), 40, "it has begun")
    for number in range(6):
        if running.poll() is not None:
            break
        if number % 3 == 2:
            stage.daemon.process.send_signal(signal.SIGHUP)
        else:
            stage.daemon.sigkill()
            stage.start()
    code, said, errors = ended(running)
    assert code == 0, (said, errors, stage.daemon.stderr)
    order = lines(stage, "order")
    assert sorted(order) == sorted([*names, "shared", "shared"]), "the shared run once for each event"
    report = json.loads((stage.workspace / "report.json").read_text())
    assert {one["phase"] for one in report["items"] if one["kind"] == "task"} == {"SUCCEEDED"}
    assert rows(stage, "SELECT count(*) FROM timeline") == [(0,)]
    assert stage.phase("db") == "STOPPED"


@pytest.mark.heavy
def test_ctrl_c_stops_in_order_and_exits_130(stage: Stage) -> None:
    """Interface: 130; nothing is removed, since nobody makes an image of it."""
    heard = f"trap 'echo heard > heard; exit' TERM; {WAITS}"
    obstinate = (
        "trap 'runner-agent task start by-hand --dont-wait > asked; exit' TERM; touch on; sleep 60 & wait"
    )
    stage.write_file(
        automations(
            services=(service_yaml("obstinate", obstinate, more=PREBUILD),),
            tasks=(task_yaml("long", heard, more=PREBUILD), task_yaml("by-hand", "exec sleep 600")),
        )
    )
    running = stage.spawn("prebuild")
    for name in ("begun", "on"):
        wait_until((stage.workspace / name).exists, 40, "it runs")
    running.send_signal(signal.SIGINT)
    code, _, errors = ended(running)
    assert code == 130, errors
    assert lines(stage, "heard") == ["heard"]
    assert lines(stage, "asked"), "what is started meanwhile is stopped too"
    assert stage.daemon.survivors() == []
    assert (stage.state / "token").exists()


@pytest.mark.heavy
def test_killing_the_command_brings_its_own_agent_down(stage: Stage) -> None:
    """As for `up`; and what is left on record does not keep the next one from running."""
    stage.write_file(automations(tasks=(task_yaml("long", WAITS, more=PREBUILD),)))
    running = stage.spawn("prebuild")
    wait_until((stage.workspace / "begun").exists, 40, "it runs")
    running.kill()
    running.communicate(timeout=60)
    wait_until(lambda: not stage.daemon.family(), 40, "everything is down")
    (stage.workspace / "go").touch()
    assert stage.cli("prebuild").returncode == 0


@pytest.mark.heavy
def test_a_prebuild_left_over_by_two_kills_is_ended_first(stage: Stage) -> None:
    """Rule 6.5: command and agent killed at once leave a record; a new prebuild runs all the same."""
    stage.write_file(automations(tasks=(task_yaml("long", f"echo run >> runs; {WAITS}", more=PREBUILD),)))
    running = stage.spawn("prebuild")
    wait_until((stage.workspace / "begun").exists, 40, "it runs")
    pid = stage.daemon.info().pid
    running.send_signal(signal.SIGSTOP)
    agent = next(one for one in stage.daemon.family() if one.pid == pid)
    end([agent])
    running.kill()
    running.communicate(timeout=60)
    (stage.workspace / "go").touch()
    again = stage.cli("prebuild")
    assert again.returncode == 0, again
    assert lines(stage, "runs") == ["run", "run"]
    assert stage.daemon.survivors() == []


@pytest.mark.heavy
@pytest.mark.parametrize("ready", [True, False])
def test_through_a_live_agent_that_is_stopped_or_told_to_cancel(stage: Stage, *, ready: bool) -> None:
    """Rules 6.5 and 7.1: an orderly stop of the agent ends the prebuild with it; `--cancel` ends it alone."""
    stage.start(file=automations(tasks=(task_yaml("long", WAITS, more=PREBUILD),)))
    running = stage.spawn("prebuild")
    wait_until((stage.workspace / "begun").exists, 40, "it runs")
    if ready:
        assert stage.cli("prebuild", "--cancel").returncode == 0
        code, _, errors = ended(running)
        assert code == 130, errors
        assert stage.cli("trigger", "postEnvironmentStart").returncode == 0
        assert stage.cli("prebuild", "--cancel").returncode == 0, "idempotent"
        return
    assert stage.daemon.terminate() == 0
    stage.start()
    code, _, errors = ended(running)
    assert code == 1, errors
    assert "has ended with its agent" in errors
    assert stage.cli("prebuild", "--cancel").returncode == 2
