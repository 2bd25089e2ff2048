"""Logs by `log_url`, read as each SDK reads them (rule 5.5, trap 8)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest

from tests.conformance.agents import await_execution, await_phase, new
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.conformance.conftest import Agent
    from tests.conformance.sdk import Json, Sdk, Stream

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(240)]


def test_a_commands_log_is_read_while_it_runs(sdk: Sdk, agent: Agent) -> None:
    """The first line comes while the command still waits; the log ends when it has ended, with all of it."""
    go = agent.daemon.workspace / new("go")
    with running_command(sdk, f"echo first; {until(go)}; echo second; echo third >&2") as log:
        wait_for_line(log, "first")
        go.touch()
        lines = log.rest()
    assert [line for line in lines if line in {"second", "third"}] == ["second", "third"]


def test_a_services_log_is_read_until_it_rests(sdk: Sdk, agent: Agent) -> None:
    """Across what it says, to the end of its session."""
    go, reference = agent.daemon.workspace / new("go"), new("web")
    spec: Json = {"commands": {"start": f"echo up; {until(go)}; echo down"}}
    with running_service(sdk, {"reference": reference, "name": "Web"}, spec) as log:
        wait_for_line(log, "up")
        go.touch()
        assert "down" in log.rest()
    with sdk.list("ListServices", {"filter": {"references": [reference]}}) as listed:
        (service,) = listed.rest()
    await_phase(sdk, service["id"], "STOPPED")


def test_a_long_log_comes_whole(sdk: Sdk) -> None:
    """Nothing is lost between the lines of a log that is written quickly."""
    with running_command(sdk, "seq 1 6000") as log:
        numbers = [line for line in log.rest() if line.isdigit()]
    assert numbers == [str(number) for number in range(1, 6001)]


def test_a_token_for_logs_opens_logs_and_nothing_else(sdk: Sdk) -> None:
    """As the 0.x helpers use one; with it an SDK can call no method."""
    asked = {"environmentId": sdk.environment_id}
    weak = sdk.with_(token=sdk.call("CreateEnvironmentLogsToken", asked)["accessToken"])
    closed = {
        "unauthenticated",
        "resource_exhausted",
    }  # the latter after too many wrong tokens of other tests
    assert weak.refused("GetEnvironment", asked).code in closed
    assert weak.refused("CreateEnvironmentLogsToken", asked).code in closed
    sent = {"metadata": {"reference": new("said"), "name": "Said"}, "spec": {"command": "echo said"}}
    task = sdk.call("CreateTask", sent)["task"]["id"]
    execution = sdk.call("StartTask", {"id": task})["taskExecution"]["id"]
    await_execution(sdk, execution, "SUCCEEDED")
    bearer = {"Authorization": f"Bearer {weak.token}"}
    with urlopen(Request(execution_log(sdk, execution), headers=bearer), timeout=30) as answer:
        assert b"said\n" in answer.read()


def until(go: Path) -> str:
    """Shell that waits for a file."""
    return f"until [ -e {go} ]; do sleep 0.05; done"


def wait_for_line(log: Stream, wanted: str) -> None:
    """Read on until it comes; notes of the agent stand in logs too."""
    for _ in range(50):
        if log.next() == wanted:
            return
    raise AssertionError(f"no line {wanted!r}")


@contextmanager
def running_command(sdk: Sdk, command: str) -> Generator[Stream]:
    """A task's log, by the SDK's own `run_command` where it has one."""
    if not sdk.connect:
        name = "runCommand" if sdk.node else "run_command"
        with sdk.commands(name, {"environmentId": sdk.environment_id, "command": command}) as log:
            yield log
        return
    sent = {"metadata": {"reference": new("run"), "name": "Run"}, "spec": {"command": command}}
    task = sdk.call("CreateTask", sent)["task"]["id"]
    execution = sdk.call("StartTask", {"id": task})["taskExecution"]["id"]
    with sdk.log(execution_log(sdk, execution)) as log:
        yield log
    await_execution(sdk, execution, "SUCCEEDED")


@contextmanager
def running_service(sdk: Sdk, metadata: Json, spec: Json) -> Generator[Stream]:
    """A service's log, by the SDK's own `run_service` where it has one."""
    if not sdk.connect:
        name = "runService" if sdk.node else "run_service"
        body = {"environmentId": sdk.environment_id, "metadata": metadata, "spec": spec}
        with sdk.commands(name, body) as log:
            yield log
        return
    sent = {"metadata": metadata, "spec": spec}
    id_ = sdk.call("CreateService", sent)["service"]["id"]
    sdk.call("StartService", {"id": id_})
    service = await_phase(sdk, id_, "RUNNING")
    with sdk.log(service["status"]["logUrl"]) as log:
        yield log


def execution_log(sdk: Sdk, execution: str) -> str:
    """Its address, set no later than RUNNING and never empty (trap 8)."""
    found: list[str | None] = []

    def there() -> bool:
        status = sdk.call("GetTaskExecution", {"id": execution})["taskExecution"]["status"]
        found.append(status.get("logUrl"))
        running = status["phase"] != "TASK_EXECUTION_PHASE_PENDING"
        assert found[-1] != ""
        assert not running or found[-1]
        return bool(found[-1])

    wait_until(there, 30, "log_url")
    return str(found[-1])
