"""`up`: the whole thing in the foreground, and beside an agent that runs already."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, automations, no_traceback, phase_of, service_yaml, task_yaml, unreachable
from tests.support.processes import wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
DEVCONTAINER = "triggeredBy: [postDevcontainerStart]"


def lines_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """Standard output up to the line that holds `text`."""
    assert process.stdout is not None
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return seen
    raise AssertionError(f"{text!r} was not said: {''.join(seen)} {process.communicate()[1]}")


def nothing_left(stage: Stage) -> None:
    """After an orderly end of `up`."""
    assert stage.daemon.survivors() == []


def test_until_done_applies_fires_shows_and_ends(stage: Stage) -> None:
    """Interface: leaves when all started tasks have ended; the log lines are prefixed."""
    stage.write_file(
        automations(
            services=(
                service_yaml("db", "echo db is up; exec sleep 600", ready="sleep 0.2", more=DEVCONTAINER),
            ),
            tasks=(
                task_yaml(
                    "seed", "echo seeding", more="dependsOn: [db]\ntriggeredBy: [postEnvironmentStart]"
                ),
                task_yaml("by-hand", "touch never", more="triggeredBy: [manual]"),
            ),
        )
    )
    answer = stage.cli("up", "--until-done", "--workspace", str(stage.workspace))
    assert answer.returncode == 0, answer
    assert any(
        line.startswith("seed") and line.endswith("| seeding") for line in answer.stdout.splitlines()
    ), answer.stdout
    assert any(line.startswith("db") and line.endswith("| db is up") for line in answer.stdout.splitlines())
    assert "task seed: SUCCEEDED" in answer.stdout
    assert not (stage.workspace / "never").exists()
    nothing_left(stage)


def test_until_done_fails_if_a_task_failed(stage: Stage) -> None:
    stage.write_file(automations(tasks=(task_yaml("breaks", "exit 3", more=DEVCONTAINER),)))
    answer = stage.cli("up", "--until-done")
    assert answer.returncode == 1
    assert "breaks" in answer.stderr
    nothing_left(stage)


def test_ctrl_c_brings_everything_down_in_order(stage: Stage) -> None:
    """Exit code 0; the stop command ran."""
    stage.write_file(
        automations(
            services=(
                service_yaml(
                    "web",
                    "echo serving; exec sleep 600",
                    stop="echo stopping nicely; touch stopped",
                    more=DEVCONTAINER,
                ),
            )
        )
    )
    up = stage.spawn("up")
    lines_until(up, "serving")
    up.send_signal(signal.SIGINT)
    said, errors = up.communicate(timeout=60)
    no_traceback(said + errors)
    assert up.returncode == 0, (said, errors)
    assert (stage.workspace / "stopped").exists()
    nothing_left(stage)


def test_a_second_ctrl_c_kills(stage: Stage) -> None:
    stage.daemon.environment |= {"RUNNER_AGENT_SERVICE_STOP_GRACE": "60"}
    deaf = "trap 'echo heard you' TERM; echo serving; while :; do sleep 0.05; done"
    stage.write_file(automations(services=(service_yaml("deaf", deaf, more=DEVCONTAINER),)))
    up = stage.spawn("up")
    lines_until(up, "serving")
    up.send_signal(signal.SIGINT)
    lines_until(up, "heard you")
    up.send_signal(signal.SIGINT)
    said, errors = up.communicate(timeout=60)
    no_traceback(said + errors)
    assert up.returncode == 0
    nothing_left(stage)


def test_no_fire_and_fire(stage: Stage) -> None:
    """Interface: `--fire EVENT` to choose, `--no-fire`."""
    stage.write_file(
        automations(
            tasks=(
                task_yaml("usual", "touch usual", more=DEVCONTAINER),
                task_yaml("special", "touch special", more="triggeredBy: [prebuild]"),
            )
        )
    )
    assert stage.cli("up", "--no-fire", "--until-done").returncode == 0
    assert not (stage.workspace / "usual").exists()
    assert stage.cli("up", "--fire", "prebuild", "--until-done").returncode == 0
    assert (stage.workspace / "special").exists()
    assert not (stage.workspace / "usual").exists()
    both = stage.cli("up", "--no-fire", "--fire", "prebuild")
    assert both.returncode == 2
    nothing_left(stage)


def test_beside_a_live_agent_it_applies_fires_and_attaches(stage: Stage) -> None:
    """Ctrl-C then only detaches."""
    stage.start()
    file = stage.write_file(
        automations(
            services=(service_yaml("attached", "echo hello from it; exec sleep 600", more=DEVCONTAINER),),
            tasks=(task_yaml("beside", "echo done beside", more=DEVCONTAINER),),
        ),
        "own.yaml",
    )
    once = stage.cli("up", str(file), "--until-done")
    assert once.returncode == 0
    assert "done beside" in once.stdout
    up = stage.spawn("up", str(file))
    lines_until(up, "not fired again")
    up.send_signal(signal.SIGINT)
    _, errors = up.communicate(timeout=60)
    assert up.returncode == 130
    assert "Detached" in errors
    assert not unreachable(stage.agent)
    assert stage.phase("attached") == "RUNNING"


def test_attached_it_outlives_a_restart_of_the_agent(stage: Stage) -> None:
    """Runs are kept (rule 7.2), and so are their lines: none is missing and none comes twice."""
    stage.start()
    stage.write_file(
        automations(
            services=(
                service_yaml("web", "i=0; while sleep 0.1; do echo n$((i+=1)).; done", more=DEVCONTAINER),
            )
        )
    )
    attached = stage.spawn("up", "--workspace", str(stage.workspace))
    seen = lines_until(attached, "n5.")
    stage.daemon.sigkill()
    seen += lines_until(attached, "waiting for it to come back")
    stage.start()
    seen += lines_until(attached, "the agent is back")
    last = max(int(line.rpartition("n")[2].strip(".\n")) for line in seen if "| n" in line)
    seen += lines_until(attached, f"n{last + 10}.")
    numbers = [int(line.rpartition("n")[2].strip(".\n")) for line in seen if "| n" in line]
    assert numbers == list(range(1, last + 11))
    attached.send_signal(signal.SIGINT)
    attached.communicate(timeout=60)
    assert attached.returncode == 130


def test_of_two_begun_at_once_the_second_attaches(stage: Stage) -> None:
    """Interface: `up` beside a live agent of the same state directory attaches to it."""
    said = "while :; do echo here; sleep 0.1; done"  # who attaches reads from then on
    stage.write_file(automations(tasks=(task_yaml("once", said, more=DEVCONTAINER),)))
    both = [stage.spawn("up", "--workspace", str(stage.workspace)) for _ in range(2)]
    told = [lines_until(each, "| here") for each in both]
    for each in both:
        each.send_signal(signal.SIGINT)
    ends = sorted((each.communicate(timeout=40)[1], each.returncode) for each in both)
    assert sum("ready: pid" in line for lines in told for line in lines) == 1, told
    assert any("Attaching to the agent" in err for err, _ in ends), ends
    nothing_left(stage)


def test_the_agent_of_up_ends_with_it(stage: Stage) -> None:
    """A terminal that is closed, or `kill -9`: its services do not go on unseen."""
    stage.write_file(
        automations(services=(service_yaml("web", "echo serving; exec sleep 600", more=DEVCONTAINER),))
    )
    up = stage.spawn("up")
    lines_until(up, "serving")
    up.kill()
    up.communicate(timeout=60)
    wait_until(lambda: not stage.daemon.family(), 15, "everything is down")


def test_an_invalid_file_starts_nothing(stage: Stage) -> None:
    """Exit code 2, every error with line and column, before an agent is started."""
    file = stage.write_file(
        "services:\n  web:\n    name: web\n    command: true\ntasks:\n  t:\n    name: ''\n", "bad.yaml"
    )
    answer = stage.cli("up", str(file))
    assert answer.returncode == 2
    assert "bad.yaml:4:5" in answer.stderr
    assert "commands.start" in answer.stderr
    assert "bad.yaml:7" in answer.stderr or "bad.yaml:6" in answer.stderr
    assert not (stage.state / "agent.db").exists()
    missing = stage.cli("up", "no-such.yaml")
    assert missing.returncode == 2
    assert "no-such.yaml" in missing.stderr


def test_the_examples_run(stage: Stage) -> None:
    """The example automations file, from nothing to done, with its real programs."""
    shutil.rmtree(stage.workspace)
    shutil.copytree(EXAMPLES, stage.workspace, ignore=shutil.ignore_patterns(".build", ".runner-agent"))
    text = (stage.workspace / "automations.yaml").read_text()
    for port in ("18417", "18418"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            text = text.replace(port, str(probe.getsockname()[1]))
    (stage.workspace / "automations.yaml").write_text(text)
    answer = stage.cli("up", "automations.yaml", "--until-done", timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    for told in (
        "task build: SUCCEEDED",
        "task seed: SUCCEEDED",
        "service database: RUNNING",
    ):
        assert told in answer.stdout, answer.stdout
    assert "service database: FAILED" not in answer.stdout
    nothing_left(stage)
    info = stage.start("--automations", str(stage.workspace / "automations.yaml"))
    assert stage.cli("task", "start", "check", timeout=60).returncode == 0
    assert info.pid == stage.daemon.process.pid
    assert (stage.workspace / ".build/site").is_dir()
    stage.agent.stop_service(stage.id_of("database"))
    assert phase_of(stage.await_phase("database", "STOPPED", "FAILED")) == "STOPPED"
    log = stage.cli("service", "logs", "database", "--no-follow").stdout
    assert "journal closed" in log
    assert "SIGKILL" not in log, "its stop command returns when the server has ended (rule 3.8)"


@pytest.mark.parametrize(
    "arguments", [("up", "--workspace", "/no/such/place"), ("serve", "--workspace", "/no/such/place")]
)
def test_a_missing_workspace_is_told(stage: Stage, arguments: tuple[str, ...]) -> None:
    answer = stage.cli(*arguments)
    assert answer.returncode == 2
    assert "/no/such/place" in answer.stderr
    assert "--workspace" in answer.stderr
