"""The whole agent with `runsOn.docker`: as its users meet it, on a real Engine."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import Stage, automations, execution_path, service_path, service_yaml, task_yaml
from tests.support.engine import Engine
from tests.support.processes import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
LONG = 120.0
"""Seconds for what takes one or two."""


@contextmanager
def agent_with(engine: Engine) -> Generator[Stage]:
    with staged(DOCKER_HOST=engine.host) as stage:
        yield stage


def docker(image: str, *environment: str) -> str:
    return f"runsOn: {json.dumps({'docker': {'image': image, 'environment': list(environment)}})}"


def own_lines(stage: Stage, path: str, **query: object) -> list[str]:
    """The command's."""
    lines = stage.log(path, follow="false", **query).splitlines()
    return [line for line in lines if not line.startswith("runner-agent: ")]


def containers_of(engine: Engine, stage: Stage) -> list[str]:
    return [str(one["Id"]) for one in engine.containers() if str(stage.state) in str(one)]


def test_a_service_with_ready_and_stop_lives_in_one_container(engine: Engine) -> None:
    """Rules 3.2, 3.3, 3.8, 5.3: and its container is gone afterwards."""
    start = (
        'echo "up with $GREETING"; echo url=http://x >>$GITPOD_OUTPUT; touch /tmp/up;'
        " trap 'exit 0' USR1; while :; do sleep 0.1; done"
    )
    web = service_yaml(
        "web",
        start,
        ready="test -e /tmp/up",
        stop="echo stopping; touch /tmp/stopping",
        more=docker(engine.image("bash:test"), "GREETING=hello"),
    )
    with agent_with(engine) as stage:
        stage.start(file=automations(services=(web,)))
        stage.agent.start_service(stage.id_of("web"))
        service = stage.await_phase("web", "RUNNING", timeout=LONG)
        wait_until(lambda: stage.service("web").get("status", {}).get("output") == {"url": "http://x"}, LONG)
        assert len(containers_of(engine, stage)) == 1
        stage.agent.stop_service(service["id"])
        stage.await_phase("web", "STOPPED", timeout=LONG)
        assert own_lines(stage, service_path(service), role="start") == ["up with hello"]
        assert own_lines(stage, service_path(service), role="stop") == ["stopping"]
        wait_until(lambda: containers_of(engine, stage) == [], LONG)


def test_runs_outlive_the_agent(engine: Engine) -> None:
    """Rule 7.2: adopted, with every byte and the exit code, one that ended meanwhile too."""
    more = docker(engine.image("bash:test"))
    tasks = (
        task_yaml("count", "for i in {1..40}; do echo line $i; sleep 0.1; done; exit 5", more=more),
        task_yaml("short", "echo begun; sleep 1; printf 'last bytes'; exit 6", more=more),
    )
    with agent_with(engine) as stage:
        stage.start(file=automations(tasks=tasks))
        count, short = (stage.agent.start_task(stage.id_of(name))["id"] for name in ("count", "short"))

        def lines(execution: str) -> list[str]:
            return own_lines(stage, execution_path(stage.agent.get_execution(execution)))

        wait_until(lambda: "line 3" in lines(count) and "begun" in lines(short), LONG)
        stage.daemon.sigkill()
        stage.start()
        ended = stage.await_execution(short, timeout=LONG)
        assert "exited with code 6" in ended.get("status", {}).get("failureMessage", "")
        assert lines(short) == ["begun", "last bytes"]
        ended = stage.await_execution(count, timeout=LONG)
        assert "exited with code 5" in ended.get("status", {}).get("failureMessage", "")
        assert lines(count) == [f"line {i}" for i in range(1, 41)]
        wait_until(lambda: containers_of(engine, stage) == [], LONG)


def test_a_missing_image_fails_with_the_reason(engine: Engine) -> None:
    """Rule 5.7."""
    image = "localhost:1/no-such/image:never"
    with agent_with(engine) as stage:
        stage.start(file=automations(tasks=(task_yaml("none", "true", more=docker(image)),)))
        ended = stage.run("none", timeout=LONG)
        assert f"image {image} is not here and cannot be pulled" in ended.get("status", {}).get(
            "failureMessage", ""
        )
        assert f"image {image} is not here; pulling it" in stage.log(execution_path(ended), follow="false")


def test_an_engine_that_is_away_is_waited_for() -> None:
    engine = Engine()
    engine.start()
    try:
        more = docker(engine.image("busybox:test"))
        with agent_with(engine) as stage:
            stage.start(file=automations(tasks=(task_yaml("late", "echo here", more=more),)))
            engine.stop()
            execution = stage.agent.start_task(stage.id_of("late"))["id"]
            wait_until(lambda: "cannot be reached" in stage.ok("why", execution), LONG)
            engine.start()
            ended = stage.await_execution(execution, timeout=LONG)
            assert own_lines(stage, execution_path(ended)) == ["here"]
    finally:
        engine.close()
