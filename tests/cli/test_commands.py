"""`status`, `trigger`, `plan`; usage, exit codes and what every command shares."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
import yaml

from runner_agent.cli.durations import parse_duration, show_seconds
from runner_agent.cli.root import LazyGroup, root
from runner_agent.cli.tables import as_yaml, fitted
from tests.client.fake_agent import Message, Refusal, execution, service, task, uuid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent


def _tree(group: LazyGroup, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None, name
        yield (*above, name)
        if isinstance(command, LazyGroup) and not above:
            yield from _tree(command, (*above, name))


COMMANDS = list(_tree(root))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_option_takes_nothing_for_the_current_directory(command: tuple[str, ...]) -> None:
    """Path("") is one; a script whose variable was empty would have its agent fill it."""
    found: click.Command | None = root
    for name in command:
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), name)
    assert found is not None
    for param in found.params:
        if isinstance(param.type, click.Path):
            with pytest.raises(click.BadParameter, match="it is empty; name a path"):
                param.type.convert("", param, None)


def test_the_interface_is_there() -> None:
    """Other people's scripts rely on these names."""
    both = ("list", "get", "start", "stop", "delete", "logs")
    named = {
        *[
            (one,)
            for one in [
                "up",
                "serve",
                "status",
                "trigger",
                "plan",
                "why",
                "events",
                "doctor",
                "service",
                "task",
                "automations",
            ]
        ],
        *[("automations", one) for one in ("validate", "update", "service", "task")],
        *[("service", one) for one in (*both, "restart")],
        *[("task", one) for one in (*both, "list-executions")],
    }
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(cli: Cli, command: tuple[str, ...]) -> None:
    told = cli(*command, "--help")
    assert told.code == 0
    assert told.out.startswith(f"Usage: runner-agent {' '.join(command)}")
    example = told.out.partition("Example:")[2]
    assert "runner-agent " in example
    assert command[-1] in example


def test_the_help_of_the_root_lists_what_there_is(cli: Cli) -> None:
    told = cli("--help")
    assert told.code == 0
    for command in (
        "up",
        "serve",
        "status",
        "why",
        "events",
        "service",
        "task",
        "trigger",
        "plan",
        "automations",
    ):
        assert f"\n  {command} " in told.out
    assert cli("--version").out.startswith("runner-agent ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["serivce", "list"], "did you mean 'service'?"),
        (["service", "list", "--colour"], "No such option"),
        (["service", "get"], "Missing argument 'REF...'"),
        (["trigger", "manual"], "'manual' is not one of"),
        (["service", "list", "-o", "xml"], "'xml' is not one of"),
        (["service", "list", "--address", "nonsense"], "unix:/path/to/api.sock or tcp:HOST:PORT"),
        (["--state-dir", "", "status"], "Invalid value for '--state-dir': it is empty; name a path"),
    ],
)
def test_bad_usage(cli: Cli, args: list[str], message: str) -> None:
    told = cli(*args)
    assert (told.code, told.out) == (2, "")
    assert message in told.err


def test_no_agent(cli: Cli, fake: FakeAgent, tmp_path: Path) -> None:
    fake.close()
    assert cli("service", "list").code == 4
    told = cli("--state-dir", str(tmp_path), "status")
    assert told.code == 4
    assert "runner-agent up" in told.err


@pytest.mark.parametrize(
    ("code", "status", "exit_code"),
    [
        ("invalid_argument", 400, 2),
        ("not_found", 404, 2),
        ("failed_precondition", 400, 1),
        ("resource_exhausted", 429, 1),
        ("deadline_exceeded", 504, 3),
        ("unavailable", 503, 4),
        ("unauthenticated", 401, 4),
        ("internal", 500, 1),
    ],
)
def test_refusals(cli: Cli, fake: FakeAgent, code: str, status: int, exit_code: int) -> None:
    def refuse(_: Message) -> Message:
        raise Refusal(code, "these are its words", status)

    fake.on["ListServices"] = refuse
    told = cli("service", "list")
    assert (told.code, told.out) == (exit_code, "")
    assert told.err.startswith("Error: these are its words")


def test_status(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(1, "web", "RUNNING")]
    fake.tasks = [task(2, "build")]
    fake.executions = [execution(3, uuid(2), "SUCCEEDED")]
    told = cli("status").out
    assert "runner-agent 1.2.3, pid 42" in told
    assert "web" in told
    assert uuid(3) in told
    assert set(json.loads(cli("status", "--json").out)) == {"agent", "services", "latestExecutions", "live"}


class TestTrigger:
    @pytest.fixture(autouse=True)
    def firing(self, fake: FakeAgent) -> None:
        fake.services = [service(1, "web", "RUNNING")]
        fake.executions = [execution(3, uuid(2), "SUCCEEDED")]
        fake.on["FireTrigger"] = lambda message: {
            "firing": {
                "id": uuid(9),
                "event": message["event"],
                "services": [{"id": uuid(1), "reference": "web"}],
                "executions": [{"id": uuid(3), "reference": "build"}],
            }
        }

    def test_it_tells_what_it_started(self, cli: Cli, fake: FakeAgent) -> None:
        told = cli("trigger", "postEnvironmentStart", "--once", "k")
        assert (told.code, told.out) == (0, f"service web\ntask build {uuid(3)}\n")
        assert fake.asked == [
            ("GetAgent", {}),
            ("FireTrigger", {"event": "postEnvironmentStart", "onceKey": "k", "dryRun": False}),
        ]

    def test_waiting(self, cli: Cli, fake: FakeAgent) -> None:
        assert cli("trigger", "prebuild", "--wait").code == 0
        fake.executions = [execution(3, uuid(2), "FAILED", failure="exited with code 1")]
        told = cli("trigger", "prebuild", "--wait")
        assert told.code == 1
        assert "Task build failed: exited with code 1" in told.err
        fake.executions = [execution(3, uuid(2), "RUNNING")]
        assert cli("trigger", "prebuild", "--wait=0.1").code == 3

    def test_dry_run_waits_for_nothing(self, cli: Cli, fake: FakeAgent) -> None:
        told = cli("trigger", "prebuild", "--dry-run", "--wait")
        assert told.code == 0
        assert "would start" in told.err
        assert fake.asked[1][1]["dryRun"] is True
        assert fake.methods() == ["GetAgent", "FireTrigger"]


def test_plan(cli: Cli, fake: FakeAgent) -> None:
    fake.tasks = [task(2, "build")]
    groups = [
        {"steps": [{"reference": "db", "serviceId": uuid(1)}]},
        {"steps": [{"reference": "build", "taskId": uuid(2), "dependsOn": ["db"]}]},
    ]
    fake.on["PlanTask"] = lambda _: {"groups": groups}
    assert cli("plan", "build").out.splitlines() == [
        "Plan of build: 2 steps in 2 groups",
        "  group 1",
        "    service  db",
        "  group 2",
        "    task     build   after db",
    ]
    assert cli("plan", "build", "--mermaid").out.splitlines() == [
        "flowchart LR",
        '  s0(["db"])',
        '  s1["build"]',
        "  s0 --> s1",
    ]
    assert json.loads(cli("plan", "build", "--json").out) == {"groups": groups}


def test_the_plan_of_a_service_is_itself(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(1, "db", "STOPPED")]
    assert cli("plan", "db").out.splitlines() == [
        "Plan of db: 1 step in 1 group",
        "  group 1",
        "    service  db",
    ]
    told = cli("plan", "dd")
    assert (told.code, "'dd'" in told.err, "db" in told.err) == (2, True, True)


class TestStreams:
    def test_colours_only_where_somebody_sees_them(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [service(1, "web", "RUNNING")]

        def on_a_terminal(**extra: str) -> str:
            ours, theirs = pty.openpty()
            environ = {**cli.environ(), "TERM": "xterm", **extra}
            environ.pop("NO_COLOR", None) if "NO_COLOR" not in extra else None
            command = [sys.executable, "-m", "runner_agent", "service", "list"]
            subprocess.run(command, env=environ, stdout=theirs, check=True, timeout=60)
            os.close(theirs)
            told = os.read(ours, 65536).decode()
            os.close(ours)
            return told

        assert "\x1b[32mRUNNING\x1b[0m" in on_a_terminal()
        assert "\x1b" not in on_a_terminal(NO_COLOR="1")
        assert "\x1b" not in cli("service", "list").out

    def test_a_reader_that_has_left(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [service(at, f"service-{at}") for at in range(3000)]
        process = cli.spawn("service", "list")
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(timeout=60) == 1
        assert process.stderr.read() == ""
        process.stderr.close()

    def test_a_full_disk(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [service(1, "web")]
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            command = [sys.executable, "-m", "runner_agent", "service", "list"]
            done = subprocess.run(
                command,
                env=cli.environ(),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=60,
            )
        assert done.returncode == 1
        assert done.stderr == "Error: Standard output: no space left on device.\n"


def test_listing_imports_nothing_heavy(cli: Cli) -> None:
    """DESIGN 9: `service list` answers within 120 ms; what it imports is nearly all of that."""
    code = (
        "import sys\nfrom runner_agent.cli.main import run\nrun(['service', 'list'])\n"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=cli.environ(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    heavy = {
        "asyncio",
        "email",
        "google",
        "http",
        "importlib.metadata",
        "rich",
        "ssl",
        "structlog",
        "subprocess",
        "yaml",
    }
    assert not heavy & set(done.stdout.split())
    assert "runner_agent.client.messages" not in done.stdout


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), ("120s", 120), ("2m", 120), ("1h30m", 5400), ("0.5", 0.5), ("1h30m10s", 5410)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1d", "-1", "1m1h", "x", "1 m", "9" * 5_000])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="120, 120s, 2m or 1h30m"):
        parse_duration(text)


def test_durations_shown() -> None:
    shown = [show_seconds(each) for each in (0.04, 1.25, 9.96, 59.4, 125, 5400, 93600)]
    assert shown == ["0.0s", "1.2s", "10s", "59s", "2m05s", "1h30m", "1d2h"]


def test_of_columns_that_find_no_room_the_widest_go_but_never_the_first() -> None:
    assert fitted([30, 20, 10], 80) == [0, 1, 2]
    assert fitted([30, 40, 10], 80) == [0, 2]
    assert fitted([30, 40, 10], 20) == [0]


def test_tasks_that_a_trigger_could_not_start_are_a_failure(cli: Cli, fake: FakeAgent) -> None:
    fake.on["FireTrigger"] = lambda _: {
        "firing": {},
        "skipped": [{"reference": "build", "reason": "it is gone"}],
    }
    told = cli("trigger", "prebuild")
    assert told.code == 1
    assert "task build could not be started: it is gone" in told.err


def test_a_phase_always_stands_in_its_row() -> None:
    id_, task_, phase, started, duration, by = 36, 4, 9, 8, 8, 20
    assert fitted([id_, task_, phase, started, duration, by], 80, 2) == [0, 1, 2, 3, 4]
    assert fitted([id_, 30, phase, started, duration, by], 80, 2) == [0, 2, 3, 4]
    assert fitted([id_, 30, phase, started, duration, by], 150, 2) == [0, 1, 2, 3, 4, 5]
    assert fitted([200, 30, phase], 80, 2) == [0, 2]


def test_yaml_shows_scripts_as_people_write_them() -> None:
    text = as_yaml({"command": "set -e\necho hi\n", "name": "hi"})
    assert text == "command: |\n  set -e\n  echo hi\nname: hi"


def test_an_odd_text_survives_yaml() -> None:
    data = {"command": "a \n\tb\x07\n", "plain": "yes", "number": "5"}
    assert yaml.safe_load(as_yaml(data)) == data


def test_a_state_directory_that_cannot_be_listed_will_do(
    cli: Cli, fake: FakeAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interface: the user that runs are of may talk to an agent whose state is root's, mode 0711."""
    agent_json = {"pid": 1, "addresses": [fake.address], "environmentId": uuid(1), "version": "0"}
    (tmp_path / "agent.json").write_text(json.dumps(agent_json), encoding="utf-8")

    def refuse(_path: object, _mode: int) -> bool:
        """As the kernel does whoever may pass only."""
        return False

    monkeypatch.setattr(os, "access", refuse)
    answer = cli("service", "list", "--state-dir", str(tmp_path))
    assert answer.code == 0, answer.err


BROKEN = {
    "version": "1",
    "automations": {"path": "/w/.ona/config.yaml", "error": "/w/.ona/config.yaml:2:1: bad\n/w/x:3:1: worse"},
}


@pytest.mark.parametrize(
    "words",
    [
        "trigger prebuild",
        "service list",
        "task list",
        "task start build --dont-wait",
        "service start web",
        "service restart web",
        "start web build --dont-wait",
        "restart web",
        "plan build",
        "service get web",
        "task get build",
        "why web",
    ],
)
def test_rule_2_9_a_broken_default_file_is_told_by_what_depends_on_it(
    cli: Cli, fake: FakeAgent, words: str
) -> None:
    fake.tasks, fake.services = [task(2, "build")], [service(1, "web")]
    fake.executions = [execution(3, uuid(2), "SUCCEEDED")]
    fake.on["GetAgent"] = lambda _: {"agent": BROKEN}
    told = cli(*words.split())
    assert told.code == 0
    assert (
        "Warning: the last good definitions are in force, not the file: /w/.ona/config.yaml:2:1: bad"
        " (and 1 more). Mend it, then: runner-agent automations update\n"
    ) in told.err
    assert "config.yaml" not in told.out
    del fake.on["GetAgent"]
    assert "Warning" not in cli(*words.split()).err


def test_rule_2_9_a_trigger_that_waits_ends_with_2(cli: Cli, fake: FakeAgent) -> None:
    fake.executions = [execution(3, uuid(2), "SUCCEEDED")]
    firing = {"event": "prebuild", "executions": [{"id": uuid(3), "reference": "build"}]}
    fake.on |= {"GetAgent": lambda _: {"agent": BROKEN}, "FireTrigger": lambda _: {"firing": firing}}
    assert cli("trigger", "prebuild").code == 0
    told = cli("trigger", "prebuild", "--wait")
    assert told.code == 2
    assert "/w/.ona/config.yaml is not in force" in told.err
    fake.executions = [execution(3, uuid(2), "FAILED", failure="exited with code 1")]
    told = cli("trigger", "prebuild", "--wait")
    assert told.code == 2
    assert "exited with code 1" in told.err


def test_rule_2_10_the_mark_of_a_run_of_an_earlier_definition(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(1, "web", "RUNNING"), service(2, "db", "RUNNING")]
    fake.live = [{"serviceId": uuid(1), "reference": "web", "previousDefinition": True}]
    mark = "web runs the previous definition; for the present one: runner-agent service restart web"
    assert mark in cli("status").out
    assert mark in cli("service", "get", "web").out
    assert "previous" not in cli("service", "get", "db").out
    assert json.loads(cli("service", "get", "web", "--json").out)["previousDefinition"] is True
    assert "previousDefinition" not in json.loads(cli("service", "get", "db", "--json").out)
    assert mark in cli("service", "list").err
    for words in ("service start", "start"):
        assert mark in cli(*words.split(), "web").err, "it goes on as it is"
        assert "previous" not in cli(*words.split(), "db").err


def test_rule_2_10_the_same_of_tasks(cli: Cli, fake: FakeAgent) -> None:
    fake.tasks = [task(2, "slow"), task(4, "all"), task(6, "quick")]
    fake.executions = [execution(number, uuid(number - 1), "RUNNING") for number in (3, 5, 7)]
    step = {"reference": "slow", "executionIds": [uuid(3), uuid(5)], "forTasks": ["slow", "all"]}
    quick = {"reference": "quick", "executionIds": [uuid(7)], "forTasks": ["quick"]}
    steps = [step | {"previousDefinition": True}, quick]
    fake.on["ListLiveStatus"] = lambda _: {"steps": steps}
    cure = "runs the previous definition; for the present one wait for its end and start it again, or:"
    own = f"slow {cure} runner-agent restart slow"
    other = f"slow, a step of all, {cure} runner-agent restart all"
    for told in (cli("status").out, cli("task", "list").err, cli("task", "get", "slow").out):
        assert own in told
        assert other in told
    assert own in cli("task", "get", uuid(3)).out
    for of in ("slow", uuid(3), uuid(5)):
        assert json.loads(cli("task", "get", of, "--json").out)["previousDefinition"] is True
    for of in ("all", "quick", uuid(7)):
        assert "previous" not in cli("task", "get", of).out
        assert "previousDefinition" not in json.loads(cli("task", "get", of, "--json").out)


def test_rule_2_11_a_service_without_commands_fails_no_trigger(cli: Cli, fake: FakeAgent) -> None:
    skipped = {"kind": "service", "reference": "marker", "reason": "it has no start command"}
    fake.on["FireTrigger"] = lambda _: {"firing": {}, "skipped": [skipped]}
    told = cli("trigger", "prebuild")
    assert told.code == 0
    assert "service marker could not be started: it has no start command" in told.err
    fake.services = [service(1, "marker")]
    del fake.services[0]["spec"]["commands"]
    told = cli("plan", "marker")
    assert (told.code, told.out) == (2, "")
    assert "marker cannot be started: it has no start command" in told.err


def test_ctrl_c_while_modules_load_ends_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    code = (
        "import runpy, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # whoever runs the tests
        "runpy.run_module('runner_agent', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "status"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
