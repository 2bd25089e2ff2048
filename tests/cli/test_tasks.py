"""`task ...`: output, waiting, exit codes."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.client.fake_agent import LogPart, Message, execution, service, task, uuid

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent


@pytest.fixture(autouse=True)
def build(fake: FakeAgent) -> None:
    fake.tasks = [task(1, "build", triggers=["prebuild"]), task(2, "idle")]
    fake.executions = [
        execution(11, uuid(1), "SUCCEEDED", steps={"install": "SUCCEEDED", "build": "SUCCEEDED"})
    ]


def test_list(cli: Cli) -> None:
    told = cli("task", "list").out.splitlines()
    assert told[0].split("   ")[0] == "REFERENCE"
    assert "SUCCEEDED" in told[1]
    assert told[2].split() == ["idle", "The", "idle", "-", "-", "-"]


def test_list_executions(cli: Cli, fake: FakeAgent) -> None:
    """As the agent lists them, newest first: the time of day tells nothing (rule 4.9)."""
    fake.executions.append(execution(12, uuid(1), "RUNNING", created="2006-01-02T00:00:00Z"))
    lines = cli("task", "list-executions", "build").out.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", uuid(12), uuid(11)]
    assert "2.5s" in lines[2]
    newest = json.loads(cli("task", "list-executions", "build", "-n", "1", "--json").out)
    assert [each["id"] for each in newest] == [uuid(12)]
    assert cli("task", "list-executions", "nothing").code == 2


def test_get_a_task_or_an_execution(cli: Cli, fake: FakeAgent) -> None:
    assert "Command:" in cli("task", "get", "build").out
    told = cli("task", "get", uuid(11)).out
    assert "Phase:      SUCCEEDED" in told
    assert "2       build     SUCCEEDED" in told
    assert cli("task", "get", "build", uuid(11)).out == f"{cli('task', 'get', 'build').out}\n{told}"
    assert json.loads(cli("task", "get", "idle", uuid(11), "--json").out) == [
        fake.tasks[1],
        fake.executions[0],
    ]


def ends_as(fake: FakeAgent, *states: Message) -> None:
    fake.executions = [execution(12, uuid(1))]
    ahead = list(states)

    def get(_: Message) -> Message:
        now = ahead.pop(0) if len(ahead) > 1 else ahead[0]
        fake.publish("TASK_EXECUTION", now["id"])
        return {"taskExecution": now}

    fake.on["GetTaskExecution"] = get


class TestStart:
    def test_the_id_on_stdout_and_progress_on_stderr(self, cli: Cli, fake: FakeAgent) -> None:
        ends_as(
            fake,
            execution(12, uuid(1), "RUNNING", steps={"install": "RUNNING", "build": None}),
            execution(12, uuid(1), "RUNNING", steps={"install": "SUCCEEDED", "build": "RUNNING"}),
            execution(12, uuid(1), "SUCCEEDED", steps={"install": "SUCCEEDED", "build": "SUCCEEDED"}),
        )
        told = cli("task", "start", "build", "--quiet")
        assert (told.code, told.out) == (0, f"{uuid(12)}\n")
        assert told.err.splitlines() == [
            "  step install: RUNNING",
            "  step install: SUCCEEDED",
            "  step build: RUNNING",
            "  step build: SUCCEEDED",
            "Task build: SUCCEEDED",
        ]

    def test_failed(self, cli: Cli, fake: FakeAgent) -> None:
        ends_as(fake, execution(12, uuid(1), "FAILED", failure="step build: exited with code 2"))
        fake.logs[f"/logs/executions/{uuid(12)}"] = [LogPart(b"make: *** Error 2\n")]
        told = cli("task", "start", "build", "-q")
        assert (told.code, told.out) == (1, f"{uuid(12)}\n")
        assert "  | make: *** Error 2" in told.err
        assert told.err.splitlines()[-1] == "Error: Task build failed: step build: exited with code 2"

    def test_what_it_writes_is_shown_and_no_failure_is_told_twice(self, cli: Cli, fake: FakeAgent) -> None:
        failure = 'step "build" failed: build exited with code 2; last line: make: *** Error 2'
        steps = {"install": "SUCCEEDED", "build": "FAILED"}
        ends_as(fake, execution(12, uuid(1), "FAILED", failure=failure, steps=steps))
        fake.logs[f"/logs/executions/{uuid(12)}"] = [LogPart(b"install | ok\nbuild | make: *** Error 2")]
        told = cli("task", "start", "build")
        assert (told.code, told.out) == (1, f"{uuid(12)}\n")
        assert told.err.splitlines() == [
            "Task build: started, execution 00000000",
            "install | ok",
            "build | make: *** Error 2",
            'Error: Task build failed: step "build" failed: build exited with code 2',
        ]

    def test_only_so_long(self, cli: Cli, fake: FakeAgent) -> None:
        ends_as(fake, execution(12, uuid(1), "RUNNING"))
        told = cli("task", "start", "build", "--timeout", "0.2")
        assert (told.code, told.out) == (3, f"{uuid(12)}\n")
        assert "Task build has not ended after 0.2s. It goes on" in told.err
        assert "StopTaskExecution" not in fake.methods()

    def test_stopped_is_not_succeeded(self, cli: Cli, fake: FakeAgent) -> None:
        ends_as(fake, execution(12, uuid(1), "STOPPED"))
        told = cli("task", "start", "build")
        assert told.code == 1
        assert "Task build was stopped." in told.err

    def test_dont_wait(self, cli: Cli, fake: FakeAgent) -> None:
        told = cli("task", "start", "build", "--dont-wait")
        assert (told.code, told.out, told.err) == (0, f"{uuid(11)}\n", "")
        assert fake.methods() == ["GetAgent", "ListTasks", "StartTask"]

    def test_ctrl_c_detaches(self, cli: Cli, fake: FakeAgent) -> None:
        ends_as(fake, execution(12, uuid(1), "RUNNING"))
        fake.on["GetTaskExecution"] = lambda _: {"taskExecution": execution(12, uuid(1), "RUNNING")}
        process = cli.spawn("task", "start", "build")
        assert fake.watched.acquire(timeout=60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, f"{uuid(12)}\n")
        assert "nothing was stopped" in err
        assert "Traceback" not in err
        assert "StopTaskExecution" not in fake.methods()

    def test_the_agent_vanishes(self, cli: Cli, fake: FakeAgent) -> None:
        fake.on["GetTaskExecution"] = lambda _: {"taskExecution": execution(12, uuid(1), "RUNNING")}
        process = cli.spawn("task", "start", "build")
        assert fake.watched.acquire(timeout=60)
        fake.close()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 4
        assert "Traceback" not in err


def test_stop(cli: Cli, fake: FakeAgent) -> None:
    assert cli("task", "stop", uuid(11)).code == 0
    assert fake.asked[-1] == ("StopTaskExecution", {"id": uuid(11)})
    fake.executions.append(execution(12, uuid(1), "RUNNING"))
    assert "12: stop requested" in cli("task", "stop", "build").err
    assert fake.asked[-1] == ("StopTaskExecution", {"id": uuid(12)})
    assert "is not running" in cli("task", "stop", "idle").err


def test_delete(cli: Cli, fake: FakeAgent) -> None:
    assert cli("task", "delete", "build").code == 0
    assert fake.asked[-1] == ("DeleteTask", {"id": uuid(1)})


def test_logs_of_the_newest_execution_and_of_one_step(cli: Cli, fake: FakeAgent) -> None:
    path = f"/logs/executions/{uuid(11)}"
    fake.logs[path] = [LogPart(b"one\n"), LogPart(b"two\n")]
    assert cli("task", "logs", "build").out == "one\n"
    assert cli("task", "logs", uuid(11), "--step", "install").out == "two\n"
    assert fake.log_queries[1] == f"follow=true&step={uuid(11000)}"
    told = cli("task", "logs", "build", "--step", "other")
    assert told.code == 2
    assert "no step 'other'. There is: install, build" in told.err


def test_a_service_is_no_task(cli: Cli, fake: FakeAgent) -> None:
    fake.services = [service(5, "web")]
    told = cli("task", "start", "web")
    assert told.code == 2
    assert "runner-agent service" in told.err
