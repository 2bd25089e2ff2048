"""`up --until-done` with services, the variables of the caller, and what `up` says of its file."""

from __future__ import annotations

import os
import signal

import pytest

from runner_agent.client.errors import ClientError
from tests.e2e.stage import Stage, automations, no_traceback, service_yaml, task_yaml
from tests.e2e.test_up import lines_until, nothing_left
from tests.support.processes import wait_until

EVENT = "triggeredBy: [postEnvironmentStart]"


@pytest.mark.parametrize(
    ("start", "ready", "code"),
    [
        ("exec sleep 600", "[ -e up ]", 0),
        ("sleep 0.3; touch up; exit 3", "false", 1),
        ("sleep 0.3; touch up", "false", 0),
    ],
)
def test_until_done_waits_for_services(stage: Stage, start: str, ready: str, code: int) -> None:
    """Until they are up or have ended; one that failed before it was ready is a failure."""
    stage.write_file(
        automations(
            services=(
                service_yaml("web", start, ready=ready, more=EVENT),
                service_yaml("slow", "sleep 0.5; touch up; exec sleep 600", ready="[ -e up ]", more=EVENT),
            )
        )
    )
    answer = stage.cli("up", "--until-done")
    assert answer.returncode == code, answer
    assert ("Not succeeded: web." in answer.stderr) is (code == 1)
    assert "service slow: RUNNING" in answer.stdout, "it was waited for"
    nothing_left(stage)


@pytest.mark.parametrize(("start", "code"), [("exit 3", 1), ("sleep 0.2; exit 3", 1), ("sleep 600", 0)])
def test_until_done_looks_whether_a_service_without_ready_stays_up(
    stage: Stage, start: str, code: int
) -> None:
    """It is RUNNING at once: that alone is no success."""
    stage.write_file(automations(services=(service_yaml("web", start, more=EVENT),)))
    answer = stage.cli("up", "--until-done")
    assert answer.returncode == code, answer
    assert ("Not succeeded: web." in answer.stderr) is (code == 1)
    nothing_left(stage)


def test_until_done_beside_a_live_agent_judges_the_new_session(stage: Stage) -> None:
    """A service that had FAILED before is not judged by that."""
    web = service_yaml("web", "[ -e ok ] || exit 3; exec sleep 600", ready="[ -e ok ]", more=EVENT)
    stage.start(file=automations(services=(web,)))
    assert stage.cli("up", "--until-done").returncode == 1
    (stage.workspace / "ok").touch()
    again = stage.cli("up", "--until-done")
    assert again.returncode == 0, again
    assert stage.phase("web") == "RUNNING"
    assert stage.cli("up", "--until-done").returncode == 0, "it is up already"


def test_what_failed_counts_and_not_what_the_stop_brings(stage: Stage) -> None:
    stage.write_file(
        automations(services=(service_yaml("web", "exec sleep 600", stop="exit 4", more=EVENT),))
    )
    answer = stage.cli("up", "--until-done")
    assert "service web: FAILED" in answer.stdout
    assert answer.returncode == 0


def test_in_a_pipe_the_last_state_is_told_in_lines(stage: Stage) -> None:
    stage.write_file(
        automations(
            services=(service_yaml("web", "exec sleep 600", more=EVENT),),
            tasks=(task_yaml("bad", "exit 3", more=EVENT), task_yaml("good", "true", more=EVENT)),
        )
    )
    answer = stage.cli("up", "--until-done")
    assert "\x1b" not in answer.stdout
    last = [line.split()[1:3] for line in answer.stdout.splitlines()[-3:]]
    assert sorted(last) == [["bad", "FAILED"], ["good", "SUCCEEDED"], ["web", "STOPPED"]]


# ---------------------------------------------------------------- the caller's variables

TELLS = task_yaml(
    "tells",
    'echo "A=$A B=$B"; env | grep -c RUNNER_AGENT_ENVIRONMENT;'
    " cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c [h]ush-hush; true",
    more=EVENT,
)


def test_variables_of_the_caller_reach_commands_and_no_command_line(stage: Stage) -> None:
    stage.write_file(automations(tasks=(TELLS,)))
    (stage.workspace / "f.env").write_text("A=overridden\nB=x,y={z}\n")
    answer = stage.cli("up", "--until-done", "--env", "A", "--env-file", "f.env", A="hush-hush")
    assert answer.returncode == 0, answer
    lines = [line.partition("| ")[2] for line in answer.stdout.splitlines() if line.startswith("tells")]
    assert lines[1:4] == ["A=hush-hush B=x,y={z}", "0", "0"]
    plain = stage.cli("up", "--until-done", A="mine")
    assert "A= B=" in plain.stdout
    assert "This file uses A" in plain.stderr
    assert "--env A" in plain.stderr


def test_they_are_added_to_those_configured_and_outlive_a_reload(stage: Stage) -> None:
    stage.daemon.environment |= {"RUNNER_AGENT_ENVIRONMENT": "A=configured,B=configured"}
    stage.write_file(automations(services=(service_yaml("w", "exec sleep 600", more=EVENT),), tasks=(TELLS,)))
    up = stage.spawn("up", "--env", "B=given")
    assert any("A=configured B=given" in line for line in lines_until(up, "task tells: SUCCEEDED"))
    began = stage.agent.get_agent().get("startedAt")
    os.kill(stage.daemon.info().pid, signal.SIGHUP)
    wait_until(lambda: _started(stage) not in {began, ""}, what="the program is executed anew")
    assert stage.cli("task", "start", "tells").returncode == 0
    seen = lines_until(up, "A=configured B=given")
    assert "does not answer" not in "".join(seen)
    up.send_signal(signal.SIGINT)
    said = up.communicate(timeout=60)
    no_traceback("".join(said))
    assert up.returncode == 0, said


def _started(stage: Stage) -> str:
    """When the agent's program began; "" while it cannot say."""
    try:
        return stage.agent.get_agent().get("startedAt", "")
    except ClientError:
        return ""


def test_beside_a_live_agent_variables_are_refused(stage: Stage) -> None:
    stage.start(file=automations(tasks=(TELLS,)))
    answer = stage.cli("up", "--env", "A=secret-value")
    assert answer.returncode == 2
    assert str(stage.state) in answer.stderr
    assert "secret-value" not in answer.stderr
    assert list(stage.agent.executions({})) == []


def test_a_fault_of_an_env_file_starts_nothing(stage: Stage) -> None:
    stage.write_file(automations(tasks=(TELLS,)))
    (stage.workspace / "f.env").write_text("A=1\nexport B=2\n")
    answer = stage.cli("up", "--env-file", "f.env")
    assert answer.returncode == 2
    assert "f.env:2: " in answer.stderr
    assert not (stage.state / "agent.db").exists()


def test_more_than_can_be_handed_over_is_refused(stage: Stage) -> None:
    stage.write_file(automations(tasks=(TELLS,)))
    (stage.workspace / "f.env").write_text(f"A={'x' * 100_000}\nB={'y' * 100_000}\n")
    answer = stage.cli("up", "--env-file", "f.env")
    assert (answer.returncode, "bytes" in answer.stderr) == (2, True)


# ---------------------------------------------------------------- which file


def test_rule_2_8_an_automations_file_in_no_default_place_is_told(stage: Stage) -> None:
    stage.write_file(automations(tasks=(task_yaml("t", "touch ran", more=EVENT),)), "automations.yaml")
    answer = stage.cli("up", "--until-done")
    assert "automations.yaml is not applied" in answer.stderr
    assert "runner-agent up automations.yaml" in answer.stderr
    assert not (stage.workspace / "ran").exists()
    stage.write_file(automations())
    assert "not applied" not in stage.cli("up", "--until-done").stderr


def test_rule_2_10_what_a_file_does_not_name_is_told(stage: Stage) -> None:
    both = [service_yaml(name, "exec sleep 600") for name in ("web", "old")]
    stage.start(file=automations(services=tuple(both)))
    stage.write_file(automations(services=(both[0],)))
    answer = stage.cli("up", "--no-fire", "--until-done")
    assert "defined but not in this file: old" in answer.stdout
    stage.write_file(automations(services=tuple(both)))
    assert "not in this file" not in stage.cli("up", "--no-fire", "--until-done").stdout
