"""What people get wrong: a sentence that says what, where and what to do, and the right exit code."""

from __future__ import annotations

import json

import pytest

from tests.e2e.stage import Stage, automations, service_yaml, task_yaml

NONE = "00000000-0000-4000-8000-000000000000"
API = "gitpod.v1.EnvironmentAutomationService"


@pytest.mark.parametrize(
    "command",
    [
        ("service", "get", "ghost"),
        ("service", "start", "ghost"),
        ("service", "stop", "ghost", "--wait"),
        ("service", "restart", "ghost"),
        ("service", "delete", "ghost"),
        ("service", "logs", "ghost"),
        ("task", "start", "ghost"),
        ("task", "stop", "ghost"),
        ("task", "get", "ghost"),
        ("task", "logs", "ghost"),
        ("task", "delete", "ghost"),
        ("task", "list-executions", "ghost"),
        ("plan", "ghost"),
        ("service", "get", NONE),
        ("task", "get", NONE),
        ("task", "stop", NONE),
        ("service", "get", "no such/reference!"),
    ],
    ids=" ".join,
)
def test_no_such_reference(shared: Stage, command: tuple[str, ...]) -> None:
    """Exit code 2, and the name that was meant."""
    answer = shared.cli(*command)
    assert answer.returncode == 2, answer
    assert command[2 if len(command) > 2 else 1] in answer.stderr
    assert answer.stdout == ""


def test_a_near_miss_names_the_one_meant(shared: Stage) -> None:
    shared.apply(automations(services=(service_yaml("postgres", "exec sleep 60"),)))
    assert "postgres" in shared.cli("service", "start", "postgers").stderr
    wrong_kind = shared.cli("task", "start", "postgres")
    assert wrong_kind.returncode == 2
    assert "service" in wrong_kind.stderr


def kept(stage: Stage) -> set[str]:
    """The ids of all services and tasks."""
    return {one["id"] for one in (*stage.agent.services(), *stage.agent.tasks())}


@pytest.mark.parametrize(
    ("method", "message", "code", "told"),
    [
        ("GetService", {"id": "not-a-uuid"}, "invalid_argument", "id"),
        ("GetService", {"id": NONE}, "not_found", NONE),
        ("StartTask", {"id": ""}, "invalid_argument", "id"),
        (
            "CreateService",
            {"metadata": {"name": "x", "reference": "a b"}, "spec": {"commands": {"start": "true"}}},
            "invalid_argument",
            "metadata.reference",
        ),
        (
            "CreateService",
            {"metadata": {"name": "", "reference": "x"}, "spec": {"commands": {"start": "true"}}},
            "invalid_argument",
            "metadata.name",
        ),
        (
            "CreateTask",
            {"metadata": {"name": "x", "reference": "x"}, "spec": {"command": "true"}, "dependsOn": [NONE]},
            "invalid_argument",
            NONE,
        ),
        ("CreateService", {"metadata": "nonsense"}, "invalid_argument", "nonsense"),
    ],
)
def test_the_api_refuses_with_the_path(
    shared: Stage, method: str, message: dict[str, object], code: str, told: str
) -> None:
    """Rule 1.3: and nothing is stored."""
    before = kept(shared)
    refused = shared.refused(f"{API}/{method}", message)
    assert refused.code == code, refused
    assert told in str(refused)
    assert kept(shared) <= before


def test_an_invalid_file_changes_nothing_and_tells_everything(shared: Stage) -> None:
    """Rule 2.5: every error in one go, with line and column."""
    text = """services:
  one:
    name: one
    command: true
tasks:
  two:
    name: two
    command: "true"
    triggers: [manual]
    dependsOn: [nobody]
  three:
    name: three
    command: "true"
    triggeredBy: [sometimes]
"""
    for verb in ("validate", "update"):
        answer = shared.cli("automations", verb, "-", stdin=text)
        assert answer.returncode == 2
        for told in ("<stdin>:4:5", "commands.start", "<stdin>:9:5", "triggeredBy", "nobody", "sometimes"):
            assert told in answer.stderr, answer.stderr
    assert not {"one", "two", "three"} & {
        each.get("metadata", {}).get("reference")
        for each in (*shared.agent.services(), *shared.agent.tasks())
    }
    as_json = json.loads(shared.cli("automations", "validate", "-", "--json", stdin=text).stdout)
    assert as_json["valid"] is False
    assert len(as_json["errors"]) >= 4


def test_files_that_cannot_be_read(shared: Stage) -> None:
    directory = shared.workspace / "folder.yaml"
    directory.mkdir(exist_ok=True)
    binary = shared.workspace / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    for name, told in (
        ("absent.yaml", "no such file"),
        (str(directory), "directory"),
        (str(binary), "UTF-8"),
    ):
        for verb in ("validate", "update"):
            answer = shared.cli("automations", verb, name)
            assert answer.returncode == 2, answer
            assert name in answer.stderr
            assert told in answer.stderr
    loop = shared.cli(
        "automations",
        "validate",
        "-",
        stdin="tasks:\n"
        "  a: {name: a, command: x, dependsOn: [b]}\n"
        "  b: {name: b, command: x, dependsOn: [a]}\n",
    )
    assert loop.returncode == 2
    assert "a" in loop.stderr
    assert "b" in loop.stderr
    assert shared.cli("automations", "validate", "-", stdin="a: &x [*x, *x]\nb: {").returncode == 2


def test_no_agent_to_be_reached(stage: Stage) -> None:
    """Exit code 4: says where it looked, and how to start one."""
    for arguments in (
        ("status",),
        ("service", "list"),
        ("task", "start", "x"),
        ("automations", "update", "-"),
    ):
        answer = stage.cli(*arguments)
        assert answer.returncode == 4
        assert str(stage.state) in answer.stderr
        assert "runner-agent up" in answer.stderr
    nowhere = stage.cli("--address", "unix:/no/such.sock", "status")
    assert nowhere.returncode == 4
    assert "/no/such.sock" in nowhere.stderr
    assert stage.cli("--address", "carrier-pigeon", "status").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "config", "told"),
    [
        (("--listen", "carrier:pigeon"), {}, "", ("carrier:pigeon", "unix:PATH")),
        (("--listen", "tcp:127.0.0.1:99999"), {}, "", ("99999",)),
        (("--listen", "unix:/" + "x" * 200), {}, "", ("107",)),
        (("--fire", "onFullMoon"), {}, "", ("onFullMoon", "postEnvironmentStart")),
        ((), {"RUNNER_AGENT_SERVICE_STOP_GRACE": "soon"}, "", ("RUNNER_AGENT_SERVICE_STOP_GRACE", "soon")),
        ((), {"RUNNER_AGENT_LOG_LEVEL": "loud"}, "", ("RUNNER_AGENT_LOG_LEVEL", "loud", "warning")),
        ((), {"RUNNER_AGENT_RUN_AS": "no-such-user"}, "", ("run_as", "no-such-user")),
        ((), {"RUNNER_AGENT_ENVIRONMENT_ID": "us-east"}, "", ("environment_id", "us-east")),
        ((), {"RUNNER_AGENT_EXECUTIONS_KEPT": "-1"}, "", ("EXECUTIONS_KEPT", "-1")),
        ((), {}, "service_stop_grase: 5\n", ("config.yaml", "service_stop_grase", "service_stop_grace")),
        ((), {}, "task_stop_grace: soon\nlog_cap: plenty\n", ("task_stop_grace", "log_cap")),
        ((), {}, "- a\n- b\n", ("config.yaml", "map")),
        ((), {}, "a: [unclosed\n", ("config.yaml", "YAML")),
    ],
    ids=str,
)
def test_bad_settings_are_told_all_at_once(
    stage: Stage, arguments: tuple[str, ...], environment: dict[str, str], config: str, told: tuple[str, ...]
) -> None:
    """Exit code 2, before anything is made or started."""
    extra = list(arguments)
    if config:
        extra += ["--config", str(stage.write_file(config, "config.yaml"))]
    stage.daemon.environment |= environment
    answer = stage.cli("serve", "--state-dir", str(stage.state), "--workspace", ".", *extra)
    assert answer.returncode == 2, answer
    for text in told:
        assert text in answer.stderr, answer.stderr


def test_a_config_file_that_is_not_there(stage: Stage) -> None:
    answer = stage.cli(
        "serve", "--state-dir", str(stage.state), "--workspace", ".", "--config", "nowhere.yaml"
    )
    assert answer.returncode == 2
    assert "nowhere.yaml" in answer.stderr


def test_an_address_that_is_taken(stage: Stage) -> None:
    """A port of somebody else."""
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        answer = stage.cli(
            "serve", "--state-dir", str(stage.state), "--workspace", ".", "--listen", f"tcp:127.0.0.1:{port}"
        )
    assert answer.returncode == 1
    assert str(port) in answer.stderr
    assert not (stage.state / "agent.json").exists()


def test_usage_errors_are_2_and_name_the_option(stage: Stage) -> None:
    for arguments in (
        ("serv",),
        ("service", "strat", "x"),
        ("task", "start"),
        ("service", "list", "--jason"),
        ("up", "a", "b"),
        ("service", "start", "x", "--wait=soon"),
    ):
        answer = stage.cli(*arguments)
        assert answer.returncode == 2, answer
        assert answer.stdout == ""
        assert answer.stderr


def test_help_needs_no_agent(stage: Stage) -> None:
    """Interface: every command has --help."""
    for command in (
        "",
        "serve",
        "up",
        "status",
        "plan",
        "trigger",
        "automations",
        "automations update",
        "service",
        "service logs",
        "task",
        "task start",
        "auto",
        "services",
        "tasks",
    ):
        answer = stage.cli(*command.split(), "--help")
        assert answer.returncode == 0, answer
        assert "Usage:" in answer.stdout


def test_a_closed_reader_is_no_error(shared: Stage) -> None:
    """`service logs | head -1`."""
    shared.apply(automations(tasks=(task_yaml("verbose", "seq 1 100000"),)))
    shared.run("verbose")
    reading = shared.spawn("task", "logs", "verbose", "--no-follow")
    assert reading.stdout is not None
    assert reading.stdout.readline()
    reading.stdout.close()
    reading.wait(60)
    assert reading.stderr is not None
    assert "Traceback" not in reading.stderr.read()
    reading.stderr.close()
    assert reading.returncode in (0, 1, -13)
