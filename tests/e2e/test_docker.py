"""The whole agent with a Docker Engine: automations in containers and in the dev container."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import (
    Stage,
    automations,
    execution_path,
    phase_of,
    service_path,
    service_yaml,
    step_of,
    task_yaml,
)
from tests.executors.devcontainers import dev_container
from tests.support.engine import Engine
from tests.support.images import USER, USER_ID
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from runner_agent.client.messages import Execution, Service

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

DEV = "the-dev-container"
LONG = 120.0
"""Seconds for what takes one or two."""


@contextmanager
def agent_beside(engine: Engine, selector: str = DEV) -> Generator[Stage]:
    """An agent that is told of the dev container, not started yet."""
    engine.image("bash:test")
    with staged(DOCKER_HOST=engine.host, RUNNER_AGENT_DEVCONTAINER=selector) as stage:
        yield stage


def told_of(stage: Stage, execution_id: str) -> str:
    """The command's own lines."""
    lines = stage.log(execution_path(stage.agent.get_execution(execution_id))).splitlines()
    return "\n".join(line for line in lines if not line.startswith("runner-agent: "))


def failure(thing: Service | Execution) -> str:
    """Its message; "" for none."""
    return thing.get("status", {}).get("failureMessage", "")


# ---------------------------------------------------------------- in the dev container


def test_what_names_no_place_runs_in_the_dev_container(engine: Engine) -> None:
    """As its user, in its folder, with its environment (DESIGN 5); what names the machine runs there."""
    metadata = [
        {"remoteUser": "root", "remoteEnv": {"GREETING": "never", "GONE": "x"}},
        {"remoteUser": USER, "remoteEnv": {"GREETING": "hello from ${containerEnv:PLACE}", "GONE": None}},
    ]
    script = 'id -u; pwd; echo "$GREETING ${GONE-unset}"; echo answer=42 >> "$GITPOD_OUTPUT"; exit 3'
    with agent_beside(engine) as stage:
        stage.start(
            file=automations(
                tasks=(
                    task_yaml("there", script),
                    task_yaml("here", "id -u; pwd", more="runsOn: {machine: {}}"),
                )
            )
        )
        env = ["PLACE=a container", "GONE=away"]
        with dev_container(
            engine,
            name=DEV,
            metadata=metadata,
            mounts={stage.workspace: "/workspaces/it"},
            User="root",
            Env=env,
        ):
            there = stage.run("there", timeout=LONG)
            assert phase_of(there) == "FAILED"
            assert "exited with code 3" in failure(there)
            assert told_of(stage, there["id"]) == (f"{USER_ID}\n/workspaces/it\nhello from a container unset")
            assert step_of(there, "there")["output"] == {"answer": "42"}
            here = stage.run("here", timeout=LONG)
            assert told_of(stage, here["id"]) == f"0\n{stage.workspace}"


def test_a_run_waits_for_a_dev_container_that_is_absent_and_says_so(engine: Engine) -> None:
    """Rule 6.3; and nobody must wait for it who wants to stop."""
    with agent_beside(engine) as stage:
        stage.start(file=automations(services=(service_yaml("web", "sleep infinity"),)))
        stage.agent.start_service(stage.id_of("web"))
        absent = f"there is no dev container {DEV}"
        wait_until(lambda: absent in failure(stage.service("web")), LONG)
        assert stage.phase("web") == "STARTING"
        assert absent in stage.ok("why", "web")
        stage.agent.stop_service(stage.id_of("web"))
        stage.await_phase("web", "STOPPED", timeout=LONG)
        stage.agent.start_service(stage.id_of("web"))
        wait_until(lambda: absent in stage.ok("why", "web"), LONG)
        with dev_container(engine, name=DEV):
            service = stage.await_phase("web", "RUNNING", timeout=LONG)
            assert failure(service) == ""
            told = stage.cli("doctor", "--state-dir", str(stage.state), DOCKER_HOST=engine.host).stdout
            assert f"{DEV}, as {USER} in /" in told


def test_each_start_of_the_dev_container_fires_once_whoever_reports_it(engine: Engine) -> None:
    """Rule 6.3: keyed by container and start; postEnvironmentStart follows once per boot."""
    file = automations(
        tasks=(
            task_yaml("started", "echo begun", more="triggeredBy: [postDevcontainerStart]"),
            task_yaml("env", "echo begun", more="triggeredBy: [postEnvironmentStart]"),
        )
    )

    def executions(reference: str) -> int:
        return sum(1 for _ in stage.agent.executions({"taskIds": [stage.id_of(reference)]}))

    with agent_beside(engine, f"label=app={DEV}") as stage:
        stage.start(file=file)
        with dev_container(engine, name=DEV, Labels={"app": DEV}):
            wait_until(lambda: executions("started") == 1, LONG)
            stage.ok("trigger", "postDevcontainerStart", "--wait", timeout=LONG)
            wait_until(lambda: executions("env") == 1, LONG)
            assert executions("started") == 1
            stage.daemon.sigkill()
            stage.start()
            stage.ok("trigger", "postDevcontainerStart", "--wait", timeout=LONG)
            stage.ok("trigger", "postEnvironmentStart", "--wait", timeout=LONG)
            assert (executions("started"), executions("env")) == (1, 1)
            engine.request("POST", f"/containers/{DEV}/restart?t=0")
            wait_until(lambda: executions("started") == 2, LONG)
            assert executions("env") == 1


def test_the_end_of_the_dev_container_ends_its_runs_with_the_truth(engine: Engine) -> None:
    """A rebuild too; what runs on the machine is untouched."""
    with agent_beside(engine) as stage:
        stage.start(
            file=automations(
                services=(
                    service_yaml("there", "echo up; sleep infinity"),
                    service_yaml("here", "sleep infinity", more="runsOn: {machine: {}}"),
                )
            )
        )
        with dev_container(engine, name=DEV):
            for one in ("there", "here"):
                stage.agent.start_service(stage.id_of(one))
                stage.await_phase(one, "RUNNING", timeout=LONG)
            engine.request("POST", f"/containers/{DEV}/stop?t=0")
            ended = stage.await_phase("there", "FAILED", timeout=LONG)
            assert failure(ended) == f"the dev container {DEV} stopped"
            assert stage.phase("here") == "RUNNING"
        with dev_container(engine, name=DEV):  # rebuilt
            stage.agent.start_service(stage.id_of("there"))
            stage.await_phase("there", "RUNNING", timeout=LONG)
        ended = stage.await_phase("there", "FAILED", timeout=LONG)
        assert failure(ended) == f"the dev container {DEV} stopped"


def test_runs_in_the_dev_container_outlive_agent_and_engine(engine: Engine, tmp_path: Path) -> None:
    """Rule 7.2: with every byte and the exit code."""
    script = "for i in {1..40}; do echo line $i; sleep 0.1; done; exit 5"
    with agent_beside(engine) as stage, dev_container(engine, name=DEV):
        stage.start(file=automations(tasks=(task_yaml("count", script),)))
        execution = stage.agent.start_task(stage.id_of("count"))["id"]
        wait_until(lambda: "line 3" in told_of(stage, execution), LONG)
        stage.daemon.sigkill()
        engine.restart()
        stage.start()
        ended = stage.await_execution(execution, timeout=LONG)
        assert "exited with code 5" in failure(ended)
        assert told_of(stage, execution) == "\n".join(f"line {i}" for i in range(1, 41))


def test_a_service_in_the_dev_container_is_stopped_provably_empty(engine: Engine) -> None:
    """Rules 3.7 and 3.9, with outputs and `ready`."""
    start = "echo url=http://x >> $GITPOD_OUTPUT; setsid sh -c 'sleep 77777' & touch /tmp/up; sleep 77777"
    with agent_beside(engine) as stage, dev_container(engine, name=DEV):
        stage.start(file=automations(services=(service_yaml("web", start, ready="test -e /tmp/up"),)))
        stage.agent.start_service(stage.id_of("web"))
        service = stage.await_phase("web", "RUNNING", timeout=LONG)
        wait_until(lambda: stage.service("web").get("status", {}).get("output") == {"url": "http://x"}, LONG)
        stage.agent.stop_service(service["id"])
        stage.await_phase("web", "STOPPED", timeout=LONG)
        top = engine.ask("GET", f"/containers/{DEV}/top")
        assert "77777" not in str(top["Processes"])
        assert "start was killed by SIGTERM" in stage.log(service_path(service))
