"""What a command finds when it starts: signals, descriptors, directory, environment, and our own CLI."""

from __future__ import annotations

import json
import pwd
import signal

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import (
    Stage,
    automations,
    execution_path,
    phase_of,
    service_path,
    service_yaml,
    task_yaml,
)
from tests.support.machines import ROOT_OR_CI

LOOK = r"""
grep -E '^(SigBlk|SigIgn):' /proc/self/status > look.status
umask > look.umask
pwd > look.cwd
python3 - <<'PY'
import json, os
print(os.getppid())
json.dump(dict(os.environ), open("look.env", "w"))
PY
ls -l /proc/$$/fd > look.all  # not into a pipe, whose ends the shell holds while it starts who reads it
awk '/->/ {print $9, $11}' look.all > look.fds
readlink /proc/self/fd/0 > look.stdin
shopt -o errexit > look.errexit; shopt login_shell > look.login
ps -o pid=,pgid=,sid= -p $$ > look.session
yes | head -1 > /dev/null; echo "${PIPESTATUS[0]}" > look.sigpipe
"""


def test_signals_mask_umask_descriptors_and_directory(shared: Stage) -> None:
    """Rule 5.1."""
    shared.apply(automations(tasks=(task_yaml("look", LOOK),)))
    execution = shared.run("look")
    assert phase_of(execution) == "SUCCEEDED", shared.log(execution_path(execution))

    def found(name: str) -> str:
        return (shared.workspace / f"look.{name}").read_text().strip()

    status = dict(line.split(":\t") for line in found("status").splitlines())
    assert int(status["SigBlk"], 16) == 0
    reserved = 0b11 << 31  # 32 and 33 belong to the C library, and no program can set them
    assert int(status["SigIgn"], 16) & ~reserved == 0, "SIGPIPE too"
    assert found("sigpipe") == str(128 + signal.SIGPIPE)
    assert found("umask") == "0022"
    assert found("cwd") == str(shared.workspace)
    assert found("stdin") == "/dev/null"
    assert "off" in found("errexit")
    assert "off" in found("login")
    targets = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in found("fds").splitlines()}
    assert set(targets) <= {"0", "1", "2", "255"}, targets
    assert targets["1"] == targets["2"], "stdout and stderr on the log itself, in the order written"
    pid, group, session = found("session").split()
    assert pid == group == session, "a session of its own"


def test_environment_variables_and_their_precedence(stage: Stage) -> None:
    """Rule 5.2: later wins."""
    stage.daemon.environment |= {
        "RUNNER_AGENT_ENVIRONMENT": "COLOUR=configured,TASTE=sweet",
        "NOT_FOR_RUNS": "x",
    }
    stage.start()
    created = stage.agent.create_task(
        {"name": "vars", "reference": "vars"},
        {
            "command": "env -0 > vars.env; which runner-agent > vars.which",
            "env": [
                {"name": "COLOUR", "value": "spec"},
                {"name": "GITPOD_ENVIRONMENT_ID", "value": "forged"},
            ],
        },
    )
    execution = stage.await_execution(stage.agent.start_task(created["id"])["id"])
    assert phase_of(execution) == "SUCCEEDED"
    pairs = (stage.workspace / "vars.env").read_text().rstrip("\0").split("\0")
    env = dict(pair.split("=", 1) for pair in pairs)
    assert env["COLOUR"] == "spec"
    assert env["TASTE"] == "sweet"
    assert env["GITPOD_ENVIRONMENT_ID"] == stage.daemon.info().environment_id
    assert env["RUNNER_AGENT_SOCKET"] == str(stage.daemon.info().socket)
    assert env["RUNNER_AGENT_REFERENCE"] == "vars"
    assert env["RUNNER_AGENT_RUN_ID"]
    assert env["GITPOD_OUTPUT"].endswith("/gitpod-task-vars.output")
    assert {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG"} <= set(env)
    assert (stage.workspace / "vars.which").read_text().strip().endswith("/runner-agent")
    assert "NOT_FOR_RUNS" not in env, "what the agent happens to have is not the user's environment"
    assert not {"RUNNER_AGENT_TOKEN", "NOTIFY_SOCKET"} & set(env)


def test_output_files_of_services_are_named_by_role(shared: Stage) -> None:
    """Rule 5.3: real scripts look at the name."""
    told = 'echo "$GITPOD_OUTPUT" >> names'
    shared.apply(
        automations(services=(service_yaml("named", f"{told}; exec sleep 60", ready=told, stop=told),))
    )
    shared.ok("service", "start", "named", "--wait=60")
    shared.ok("service", "stop", "named", "--wait=60")
    names = (shared.workspace / "names").read_text().split()
    assert [name.rsplit("/", 1)[1] for name in names] == [
        f"gitpod-service-{role}-named.output" for role in ("start", "ready", "stop")
    ]


def test_output_files_as_others_write_them(shared: Stage) -> None:
    """Rule 5.3: CRLF, lines of a shell, and a file that is none any more: told, and nothing else is lost."""
    script = (
        "printf 'a=1\\r\\nexport b=2\\nc = 3\\nd<<E\\r\\n4\\r\\nE\\r\\n' >> $GITPOD_OUTPUT; sleep 0.5; "
        "rm $GITPOD_OUTPUT; mkfifo $GITPOD_OUTPUT; (echo e=5 > $GITPOD_OUTPUT) & sleep 0.5; kill %1; true"
    )
    shared.apply(automations(tasks=(task_yaml("foreign", script),)))
    execution = shared.run("foreign")
    log = shared.log(execution_path(execution))
    output = execution.get("status", {}).get("steps", [])[0].get("output", {})
    assert output == {"a": "1", "d": "4"}, log
    assert "runner-agent: GITPOD_OUTPUT line 2 is skipped: begins with export" in log
    assert "runner-agent: GITPOD_OUTPUT line 3 is skipped: has blanks in its key" in log
    assert log.count("runner-agent: GITPOD_OUTPUT is a pipe (FIFO) now, which is not read") == 1


def test_a_command_calls_the_cli_without_deadlock(shared: Stage) -> None:
    """Rule 5.2: a task starts a service and another task, and asks; a stop command asks too."""
    helper = """set -e
runner-agent service start inner --wait=60
runner-agent task start inner-task
runner-agent service get inner -o json > inner.json"""
    shared.apply(
        automations(
            services=(service_yaml("inner", "exec sleep 60", stop="runner-agent service list > inner.list"),),
            tasks=(task_yaml("outer", helper), task_yaml("inner-task", "echo inside >> $GITPOD_OUTPUT")),
        )
    )
    execution = shared.run("outer", 30)
    assert phase_of(execution) == "SUCCEEDED", shared.log(execution_path(execution))
    assert (
        json.loads((shared.workspace / "inner.json").read_text())["status"]["phase"]
        == "SERVICE_PHASE_RUNNING"
    )
    shared.ok("service", "stop", "inner", "--wait=60")
    assert "inner" in (shared.workspace / "inner.list").read_text()


def test_command_not_found_is_127_and_explained(shared: Stage) -> None:
    shared.apply(automations(tasks=(task_yaml("typo", "no-such-program --help"),)))
    answer = shared.cli("task", "start", "typo")
    assert answer.returncode == 1
    assert "127" in answer.stderr
    assert "no-such-program: command not found" in answer.stderr


def test_a_command_of_ten_thousand_characters(shared: Stage) -> None:
    """The published limit, and beyond it a clear refusal."""
    command = f": {'x' * 9_970}; touch ten-thousand"
    command += " " * (10_000 - len(command))
    shared.apply(automations(tasks=(task_yaml("long", command),)))
    assert phase_of(shared.run("long")) == "SUCCEEDED"
    assert (shared.workspace / "ten-thousand").exists()
    too_long = shared.cli(
        "automations", "update", "-", stdin=automations(tasks=(task_yaml("longer", "x" * 10_001),))
    )
    if too_long.returncode == 0:  # no published rule bounds it: then it has to run
        assert phase_of(shared.run("longer")) == "FAILED"
    else:
        assert too_long.returncode == 2
        assert "10000" in too_long.stderr.replace(",", "").replace("_", "")


def test_a_nul_byte_is_refused_with_its_place(shared: Stage) -> None:
    by_file = shared.cli(
        "automations", "update", "-", stdin='{"tasks": {"nul": {"name": "nul", "command": "echo \\u0000"}}}'
    )
    assert by_file.returncode == 2, by_file
    assert "command" in by_file.stderr
    by_api = shared.refused(
        "gitpod.v1.EnvironmentAutomationService/CreateTask",
        {"metadata": {"name": "nul", "reference": "nul"}, "spec": {"command": "echo \0"}},
    )
    assert by_api.code == "invalid_argument"
    assert "command" in str(by_api)


@pytest.mark.skipif(not ROOT_OR_CI, reason="only root may run commands as another user")
def test_run_as_another_user() -> None:
    """Rule 5.1: user is `run_as`, with that user's base environment, and it can write its outputs."""
    with staged(RUNNER_AGENT_RUN_AS="nobody") as stage:
        stage.workspace.chmod(0o777)
        command = (
            'id -un; echo "me=$(id -un) $HOME $USER $(umask)" >> $GITPOD_OUTPUT; runner-agent service list'
        )
        stage.start(file=automations(tasks=(task_yaml("who", command),)))
        owned = stage.daemon.info().socket.stat()
        assert owned.st_uid == pwd.getpwnam("nobody").pw_uid, "its commands may ask there"
        assert owned.st_mode & 0o777 == 0o600
        execution = stage.run("who")
        log = stage.log(execution_path(execution))
        assert "nobody" in log
        steps = execution.get("status", {}).get("steps", [])
        assert steps[0].get("output", {}).get("me", "").startswith("nobody /"), log


def test_a_missing_shell_is_told_in_log_and_status(stage: Stage) -> None:
    """Rules 5.1 and 5.7."""
    stage.daemon.environment |= {"RUNNER_AGENT_SHELL": "/no/such/shell"}
    stage.start(
        file=automations(services=(service_yaml("shellless", "true"),), tasks=(task_yaml("mute", "true"),))
    )
    execution = stage.run("mute")
    assert phase_of(execution) == "FAILED"
    assert "/no/such/shell" in execution.get("status", {}).get("failureMessage", "")
    assert "/no/such/shell" in stage.log(execution_path(execution))
    stage.agent.start_service(stage.id_of("shellless"))
    service = stage.await_phase("shellless", "FAILED")
    assert "/no/such/shell" in service.get("status", {}).get("failureMessage", "")
    assert "/no/such/shell" in stage.log(service_path(service))


def test_a_workspace_that_has_gone_fails_the_run_with_the_reason(stage: Stage) -> None:
    """Rule 5.7."""
    stage.start(file=automations(tasks=(task_yaml("homeless", "true"),)))
    execution = stage.agent
    elsewhere = stage.workspace.with_name("elsewhere")
    stage.workspace.rename(elsewhere)
    try:
        failed = stage.await_execution(execution.start_task(stage.id_of("homeless"))["id"])
        assert phase_of(failed) == "FAILED"
        assert str(stage.workspace) in failed.get("status", {}).get("failureMessage", "")
        assert str(stage.workspace) in stage.log(execution_path(failed))
    finally:
        elsewhere.rename(stage.workspace)
