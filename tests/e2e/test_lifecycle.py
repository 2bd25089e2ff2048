"""The agent from start to end: ready, told to stop, told again, restarted, beside another (rules 7)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.stage import (
    Stage,
    automations,
    phase_of,
    service_path,
    service_yaml,
    task_yaml,
    unreachable,
)
from tests.support.machines import lacking
from tests.support.processes import wait_until

ASK = """
import json, http.client, os, socket, sys
os.setuid(65534)
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
headers = {"Content-Type": "application/json"}
connection.request("POST", "/runner_agent.v1.RunnerAgentService/GetAgent", "{}", headers)
answer = connection.getresponse()
told = json.loads(answer.read())
sys.exit(0 if told.get("code") in ("unauthenticated", "permission_denied") else str(told))
"""


TELLS = "trap 'echo {0} > {1}; exit' TERM; touch {1}.on; while :; do sleep 0.05; done"


def test_stop_brings_everything_down_in_order_and_exits_0(stage: Stage) -> None:
    """Rule 7.1: ladders in parallel, then the launcher. The wish stays: the definition is not touched."""
    stage.start(
        file=automations(
            services=(
                service_yaml("by-command", "exec sleep 60", stop="sleep 0.3; echo asked > by-command"),
                service_yaml("by-signal", TELLS.format("told", "by-signal")),
            ),
            tasks=(task_yaml("endless", TELLS.format("ended", "endless")),),
        )
    )
    for name in ("by-command", "by-signal"):
        stage.agent.start_service(stage.id_of(name))
    execution = stage.agent.start_task(stage.id_of("endless"))["id"]
    for name in ("by-command", "by-signal"):
        stage.await_phase(name, "RUNNING")
    wait_until(lambda: phase_of(stage.agent.get_execution(execution)) == "RUNNING", 5)
    for name in ("by-signal", "endless"):
        wait_until((stage.workspace / f"{name}.on").exists, 20, "its trap is set")
    assert stage.daemon.terminate() == 0
    for name, word in (("by-command", "asked"), ("by-signal", "told"), ("endless", "ended")):
        assert (stage.workspace / name).read_text().strip() == word
    assert stage.daemon.survivors() == [], "the launcher it started is gone too"
    assert not (stage.state / "agent.json").exists()
    assert list((stage.state / "runs").iterdir()) == []
    assert stage.cli("status").returncode == 4


def test_a_second_sigint_hastens(stage: Stage) -> None:
    """Rule 7.1: SIGKILL to all."""
    stage.daemon.environment |= {
        "RUNNER_AGENT_SERVICE_STOP_GRACE": "60",
        "RUNNER_AGENT_TASK_STOP_GRACE": "60",
    }
    deaf = "trap '' TERM; while :; do sleep 0.05; done"
    stage.start(
        file=automations(
            services=(
                service_yaml("deaf", deaf),
                service_yaml("stuck", "exec sleep 60", stop="exec sleep 60"),
            ),
            tasks=(task_yaml("deaf-task", deaf),),
        )
    )
    for name in ("deaf", "stuck"):
        stage.agent.start_service(stage.id_of(name))
    execution = stage.agent.start_task(stage.id_of("deaf-task"))["id"]
    for name in ("deaf", "stuck"):
        stage.await_phase(name, "RUNNING")
    wait_until(lambda: phase_of(stage.agent.get_execution(execution)) == "RUNNING", 5)
    stage.daemon.process.send_signal(signal.SIGINT)
    stage.await_phase("deaf", "STOPPING")
    stage.await_phase("stuck", "STOPPING")
    stage.daemon.process.send_signal(signal.SIGTERM)  # only SIGINT hastens
    with pytest.raises(subprocess.TimeoutExpired):
        stage.daemon.process.wait(0.5)
    assert stage.daemon.interrupt(10) == 0
    assert stage.daemon.survivors() == []


def test_while_going_down_wishes_are_refused_and_questions_answered(stage: Stage) -> None:
    """What cannot be kept is not promised; logs can be followed to the end."""
    stage.daemon.environment["RUNNER_AGENT_SERVICE_STOP_GRACE"] = "120"
    stage.start(
        file=automations(
            services=(
                service_yaml(
                    "lingers", "exec sleep 60", stop="while [ ! -e go ]; do sleep 0.05; done; echo let go"
                ),
            ),
            tasks=(task_yaml("late", "true"),),
        )
    )
    agent, late, lingers = stage.agent, stage.id_of("late"), stage.id_of("lingers")
    agent.start_service(lingers)
    stage.await_phase("lingers", "RUNNING")
    followed: list[str] = []
    path = service_path(stage.service("lingers"))
    reader = threading.Thread(target=lambda: followed.append(stage.log(path, follow="true", role="stop")))
    reader.start()
    stage.daemon.process.send_signal(signal.SIGTERM)
    stage.await_phase("lingers", "STOPPING")
    wishes: list[tuple[str, dict[str, object]]] = [
        ("StartTask", {"id": late}),
        ("StartService", {"id": lingers}),
        ("UpsertAutomationsFile", {"automationsFile": {"services": {}}}),
    ]
    for method, message in wishes:
        refused = stage.refused(f"gitpod.v1.EnvironmentAutomationService/{method}", message)
        assert refused.code == "unavailable"
        assert "the agent is stopping" in str(refused)
    assert (
        stage.refused("runner_agent.v1.RunnerAgentService/FireTrigger", {"event": "prebuild"}).code
        == "unavailable"
    )
    assert stage.cli("task", "start", "late").returncode == 4
    assert stage.cli("service", "stop", "lingers").returncode == 0
    assert "lingers" in stage.ok("service", "list")
    (stage.workspace / "go").touch()
    assert stage.daemon.process.wait(60) == 0
    reader.join(10)
    assert "let go" in followed[0]


def test_sighup_keeps_every_run_and_the_pid(stage: Stage) -> None:
    """Rule 7.2: reloaded, it adopts them, with their outputs and logs."""
    stage.start(
        file=automations(
            services=(
                service_yaml(
                    "kept", "echo began >> kept; echo a=1 >> $GITPOD_OUTPUT; exec sleep 60", ready="true"
                ),
            ),
            tasks=(
                task_yaml(
                    "kept-task",
                    "echo began >> kept-task; while [ ! -e done ]; do sleep 0.05; done; "
                    "echo b=2 >> $GITPOD_OUTPUT",
                ),
            ),
        )
    )
    stage.agent.start_service(stage.id_of("kept"))
    execution = stage.agent.start_task(stage.id_of("kept-task"))["id"]
    before = stage.await_phase("kept", "RUNNING")
    wait_until(lambda: phase_of(stage.agent.get_execution(execution)) == "RUNNING", 5)
    pid = stage.daemon.process.pid
    began = (stage.state / "agent.json").stat().st_mtime_ns
    id_, asked = before["id"], 0
    stage.daemon.process.send_signal(signal.SIGHUP)
    while (stage.state / "agent.json").stat().st_mtime_ns == began:
        assert stage.agent.get_service(id_) == before, "asked all the time, never refused"
        asked += 1
    assert asked
    assert stage.daemon.info().pid == pid
    assert stage.service("kept") == before, "nothing about it moved, its versions neither"
    (stage.workspace / "done").touch()
    ended = stage.await_execution(execution)
    assert phase_of(ended) == "SUCCEEDED"
    assert ended.get("status", {}).get("steps", [])[0].get("output") == {"b": "2"}
    for name in ("kept", "kept-task"):
        assert (stage.workspace / name).read_text() == "began\n", "nothing is started twice"


def test_a_reload_with_settings_that_cannot_be_used_is_refused(stage: Stage) -> None:
    """Rule 7.2: the agent goes on, `systemctl reload` learns why, and a later reload takes hold."""
    config, told = stage.daemon.base / "config.yaml", stage.state / "not-reloaded"
    config.write_text("log_cap: 64M\n")
    stage.start("--config", str(config), file=automations(services=(service_yaml("kept", "exec sleep 60"),)))
    stage.agent.start_service(stage.id_of("kept"))
    before, began = stage.await_phase("kept", "RUNNING"), (stage.state / "agent.json").stat().st_mtime_ns
    config.write_text("log_cap: 10\nbogus: 1\n")
    stage.daemon.process.send_signal(signal.SIGHUP)
    wait_until(told.exists, 20)
    assert told.read_text().startswith(f"{config}:2:1: bogus: is not a setting")
    assert f"{config}:1:10: log_cap: must be a size" in told.read_text()
    said = "error   not reloaded: the next program could not start reason="
    wait_until(lambda: said in stage.daemon.stderr, 20)
    assert stage.service("kept") == before
    assert (stage.state / "agent.json").stat().st_mtime_ns == began
    config.write_text("log_cap: 32M\n")
    stage.daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: (stage.state / "agent.json").stat().st_mtime_ns != began, 20)
    assert not told.exists()
    assert stage.service("kept") == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("after", [0.0, 0.05, 0.3])
def test_a_stop_that_comes_during_a_reload_is_a_stop(
    stage: Stage, number: signal.Signals, after: float
) -> None:
    """Rules 7.1, 7.2: whichever of the two programs it meets, and it is neither lost nor the end of one."""
    stop = "trap 'touch termed; exit 0' TERM; touch on; while :; do sleep 0.02; done"
    stage.start(file=automations(services=(service_yaml("kept", stop),)))
    stage.agent.start_service(stage.id_of("kept"))
    wait_until((stage.workspace / "on").exists, 20)
    stage.daemon.process.send_signal(signal.SIGHUP)
    time.sleep(after)
    assert stage.daemon.interrupt(number=number) == 0
    assert (stage.workspace / "termed").exists()
    assert not stage.daemon.survivors()


def test_definitions_and_history_outlive_an_orderly_stop(stage: Stage) -> None:
    """Rule 7.4: an acknowledged write is on disk; what was RUNNING is not started by itself afterwards."""
    stage.start(
        file=automations(services=(service_yaml("old", "exec sleep 60"),), tasks=(task_yaml("once", "true"),))
    )
    execution = stage.run("once")
    stage.agent.start_service(stage.id_of("old"))
    stage.await_phase("old", "RUNNING")
    assert stage.daemon.terminate() == 0
    (stage.workspace / ".ona/automations.yaml").unlink()
    stage.start()
    assert stage.agent.get_execution(execution["id"]) == execution
    assert stage.phase("old") == "STOPPED"
    stage.agent.start_service(stage.id_of("old"))
    stage.await_phase("old", "RUNNING")


def test_a_second_agent_of_the_same_state_is_refused_by_pid(stage: Stage) -> None:
    """Interface: "already running, pid N"; the first is not disturbed."""
    first = stage.start()
    second = stage.cli("serve", "--state-dir", str(stage.state), "--workspace", str(stage.workspace))
    assert second.returncode == 1
    assert "already running" in second.stderr
    assert f"pid {first.pid}" in second.stderr
    assert stage.agent.get_agent().get("pid") == first.pid


def test_a_socket_of_a_live_agent_is_refused_and_a_stale_one_replaced(stage: Stage) -> None:
    """Another state directory, the same socket."""
    first = stage.start()
    other = stage.daemon.base / "other"
    arguments = (
        "serve",
        "--state-dir",
        str(other),
        "--workspace",
        str(stage.workspace),
        "--listen",
        f"unix:{first.socket}",
    )
    refused = stage.cli(*arguments)
    assert refused.returncode == 1
    assert f"already running there, pid {first.pid}" in refused.stderr
    assert not unreachable(stage.agent)
    stage.daemon.sigkill()
    assert first.socket.exists(), "left over"
    assert unreachable(stage.agent)
    assert stage.start().pid != first.pid
    assert not unreachable(stage.agent)


def test_a_file_where_the_socket_should_be_is_not_removed(stage: Stage) -> None:
    path = stage.workspace / "precious"
    path.write_text("data")
    answer = stage.cli(
        "serve", "--state-dir", str(stage.state), "--workspace", ".", "--listen", f"unix:{path}"
    )
    assert answer.returncode == 1
    assert "no socket" in answer.stderr
    assert path.read_text() == "data"


def test_tcp_wants_the_token_and_unix_does_not(stage: Stage) -> None:
    """Interface: port 0 takes a free one; /healthz and /readyz want none."""
    stage.start(
        "--listen",
        f"unix:{stage.state}/api.sock",
        "--listen",
        "tcp:127.0.0.1:0",
        file=automations(tasks=(task_yaml("t", "true"),)),
    )
    address = next(one for one in stage.daemon.info().addresses if one.startswith("tcp:"))
    root = f"http://{address.removeprefix('tcp:')}"
    for path in ("/healthz", "/readyz"):
        with urllib.request.urlopen(f"{root}{path}", timeout=60) as answer:
            assert answer.status == 200
    without = stage.cli("--address", address, "task", "list", RUNNER_AGENT_TOKEN="wrong")
    assert without.returncode == 4
    assert "token" in without.stderr
    assert "t" in stage.ok("--address", address, "task", "list")
    assert stage.ok("task", "list", "--address", address) == stage.ok("task", "list")
    assert (stage.state / "token").stat().st_mode & 0o777 == 0o600
    assert stage.daemon.info().socket.stat().st_mode & 0o777 == 0o600
    execution = stage.run("t")
    url = execution.get("status", {}).get("logUrl", "")
    assert url.startswith(root), "the first TCP listener"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url, timeout=60)
    token = (stage.state / "token").read_text().strip()
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert b"exited with code 0" in answer.read()


def test_identity_is_drawn_once_and_kept(stage: Stage) -> None:
    """Rule 1.1."""
    first = stage.start()
    token = (stage.state / "token").read_text()
    assert stage.daemon.terminate() == 0
    second = stage.start()
    assert second.environment_id == first.environment_id
    assert (stage.state / "token").read_text() == token
    other = {
        "environmentId": "00000000-0000-4000-8000-000000000000",
        "metadata": {"name": "x", "reference": "x"},
        "spec": {"command": "true"},
    }
    assert stage.refused("gitpod.v1.EnvironmentAutomationService/CreateTask", other).code == "not_found"


def test_systemd_is_told(stage: Stage) -> None:
    """Rule 7.5: READY when it answers and has recovered, WATCHDOG while the loop lives, STOPPING."""
    path = stage.daemon.base / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(60)
        stage.daemon.environment |= {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}
        stage.start(file=automations(tasks=(task_yaml("asks", "echo ${NOTIFY_SOCKET:-none} > asks"),)))
        told = [listener.recv(4096).decode()]
        while not any("READY=1" in one for one in told):
            told.append(listener.recv(4096).decode())
        assert not unreachable(stage.agent)
        assert any("STATUS=ready" in one for one in told)
        began = time.monotonic()
        beats = 0
        while beats < 3:
            beats += "WATCHDOG=1" in listener.recv(4096).decode()
        assert time.monotonic() - began < 5
        assert phase_of(stage.run("asks")) == "SUCCEEDED"
        assert (stage.workspace / "asks").read_text() == "none\n", "commands do not inherit it"
        assert stage.daemon.terminate() == 0
        while "STOPPING=1" not in listener.recv(4096).decode():
            pass


def test_fire_and_post_machine_start_once_per_boot(stage: Stage) -> None:
    """Rules 6.1 and 6.3: by the agent itself when it first becomes ready, `--fire` at every start."""
    told = "echo $RUNNER_AGENT_REFERENCE >> fired"
    stage.start(
        "--fire",
        "postEnvironmentStart",
        file=automations(
            tasks=(
                task_yaml("machine", told, more="triggeredBy: [postMachineStart]"),
                task_yaml("environment", told, more="triggeredBy: [postEnvironmentStart]"),
            )
        ),
    )
    for execution in list(stage.agent.executions()):
        stage.await_execution(execution["id"])
    assert stage.daemon.terminate() == 0
    stage.start("--fire", "postEnvironmentStart")
    for execution in list(stage.agent.executions()):
        stage.await_execution(execution["id"])
    assert sorted((stage.workspace / "fired").read_text().split()) == [
        "environment",
        "environment",
        "machine",
    ]
    started_by = {each.get("metadata", {}).get("startedBy") for each in stage.agent.executions()}
    assert started_by == {"postMachineStart", "postEnvironmentStart"}


def test_a_broken_default_file_never_stops_the_agent(stage: Stage) -> None:
    """Rule 2.9: it is told by status, CLI and log, and the last good definitions stay in force."""
    stage.start(file=automations(tasks=(task_yaml("good", "true"),)))
    assert stage.daemon.terminate() == 0
    stage.start(file="tasks:\n  bad:\n    comand: true\n")
    status = stage.cli("status")
    assert status.returncode == 0
    assert "not in force" in status.stdout
    assert "comand" in status.stdout
    told = json.loads(stage.ok("status", "--json"))["agent"]["automations"]
    assert told["path"].endswith(".ona/automations.yaml")
    assert "comand" in told["error"]
    assert "not in force" in stage.daemon.stderr
    assert phase_of(stage.run("good")) == "SUCCEEDED"


def test_a_run_that_no_record_knows_is_ended_at_start(stage: Stage) -> None:
    """The state was lost, its run was not: nothing is leaked."""
    stage.start(
        file=automations(
            services=(service_yaml("orphaned", "trap '' TERM; echo $$ > orphaned; exec sleep 60"),)
        )
    )
    stage.agent.start_service(stage.id_of("orphaned"))
    wait_until(
        lambda: (stage.workspace / "orphaned").exists() and (stage.workspace / "orphaned").read_text(), 5
    )
    pid = int((stage.workspace / "orphaned").read_text())
    stage.daemon.sigkill()
    for path in stage.state.glob("agent.db*"):
        path.unlink()
    stage.start()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 5, "the orphan is ended")
    wait_until(lambda: list((stage.state / "runs").iterdir()) == [], 5, "and its folder cleared")
    assert "no record knows" in stage.daemon.stderr
    assert stage.phase("orphaned") == "STOPPED"


def test_a_run_record_that_cannot_be_understood_is_left_alone(stage: Stage) -> None:
    """Rule 7.3: what cannot be verified is never signalled; the agent goes on, and says so."""
    folder = stage.state / "runs/11111111-2222-4333-8444-555555555555"
    folder.mkdir(parents=True)
    (folder / "spawned").write_text("from the future\n")
    stage.start(file=automations(tasks=(task_yaml("fine", "true"),)))
    assert phase_of(stage.run("fine")) == "SUCCEEDED"
    wait_until(lambda: "cannot take up a run" in stage.daemon.stderr, 5)
    assert (folder / "spawned").exists()


def test_update_s_makes_the_file_the_default(stage: Stage) -> None:
    """Interface: `-s` also makes FILE the default: at the next start it is applied, not the usual one."""
    stage.start(file=automations(tasks=(task_yaml("usual", "true"),)))
    chosen = stage.write_file(automations(tasks=(task_yaml("chosen", "true"),)), "elsewhere.yaml")
    assert stage.cli("automations", "update", "-s", str(chosen)).returncode == 0
    assert stage.agent.get_agent().get("automations", {}).get("path") == str(chosen)
    assert stage.daemon.terminate() == 0
    chosen.write_text(automations(tasks=(task_yaml("chosen-later", "true"),)))
    stage.start()
    assert stage.agent.get_agent().get("automations", {}).get("path") == str(chosen)
    assert stage.id_of("chosen-later")


def test_a_client_of_the_wrong_uid_is_refused(stage: Stage) -> None:
    """Interface: root, the agent's own uid or `run_as` on the unix socket."""
    if os.geteuid() != 0:
        lacking("needs root to be somebody else")
    stage.daemon.base.chmod(0o755)
    stage.start()
    stage.state.chmod(0o755)
    stage.daemon.info().socket.chmod(0o666)
    asked = subprocess.run(
        [sys.executable, "-c", ASK, str(stage.daemon.info().socket)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert asked.returncode == 0, asked.stderr
