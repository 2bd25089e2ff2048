"""The whole agent beside an Engine that is slow, away, or none at all. No Docker is needed for that."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner_agent.client.messages import Execution, Service
from tests.e2e.conftest import staged
from tests.e2e.stage import Stage, automations, phase_of, service_yaml, task_yaml
from tests.support.processes import wait_until
from tests.support.strange_engine import Answer, answering, http

IN_DOCKER = "runsOn: {docker: {image: busybox}}"
SOON = "readinessTimeout: 2s"
VERSION = http("200 OK", b'{"ApiVersion":"1.41"}')


@contextmanager
def beside(folder: Path, answer: Answer, **more: str) -> Generator[Stage]:
    with answering(folder, answer) as address, staged(DOCKER_HOST=address, **more) as stage:
        yield stage


def message(thing: Service | Execution) -> str:
    return thing.get("status", {}).get("failureMessage", "")


@pytest.mark.parametrize(
    "told",
    [
        http("301 Moved Permanently", b"", "text/html", "Location: /elsewhere"),
        http("200 OK", b"<html>a proxy</html>", "text/html"),
        http("418 Teapot", b"short and stout", "text/plain"),
    ],
    ids=["redirection", "page", "teapot"],
)
def test_rule_5_7_what_is_not_understood_fails_at_once(scratch: Path, told: bytes) -> None:
    """A service, a task, and a task that depends on the service; the reason is in the log too."""
    file = automations(
        services=(service_yaml("web", "sleep 9", more=IN_DOCKER),),
        tasks=(
            task_yaml("build", "true", more=IN_DOCKER),
            task_yaml("test", "true", more="dependsOn: [web]"),
        ),
    )
    with beside(scratch, lambda line: VERSION if "/version" in line else told) as stage:
        stage.start(file=file)
        built = stage.run("build")
        assert phase_of(built) == "FAILED"
        assert "build could not be started" in message(built)
        tested = stage.run("test")
        assert phase_of(tested) == "FAILED"
        web = stage.await_phase("web", "FAILED")
        assert message(web).startswith("start could not be started: ")
        assert message(web).removeprefix("start could not be started: ") in stage.ok(
            "logs", "web", "--no-follow"
        )


def test_rule_5_7_a_prebuild_fails_at_once(scratch: Path) -> None:
    with beside(scratch, lambda _: http("301 Moved Permanently", b"", "text/html", "Location: /x")) as stage:
        more = f"triggeredBy: [prebuild]\nprebuildRequiresSuccess: true\n{IN_DOCKER}"
        stage.write_file(automations(tasks=(task_yaml("build", "true", more=more),)))
        ended = stage.cli("prebuild", "--state-dir", str(stage.state), "--workspace", str(stage.workspace))
        assert ended.returncode == 1
        assert "is not understood" in ended.stdout + ended.stderr


def slow_pull(line: str) -> bytes | None:
    """An Engine whose registry never answers."""
    if "/version" in line:
        return VERSION
    if "/info" in line:
        return http("200 OK", b"{}")
    if "/images/create" in line:
        return None
    return http("404 Not Found", b'{"message":"No such image: busybox:latest"}')


@pytest.mark.parametrize("ready", ["", "true"])
def test_rule_3_4_a_pull_that_takes_too_long(scratch: Path, ready: str) -> None:
    with beside(scratch, slow_pull) as stage:
        stage.start(
            file=automations(
                services=(service_yaml("web", "x", ready=ready, more=f"{IN_DOCKER}\nreadinessTimeout: 8s"),)
            )
        )
        stage.agent.start_service(stage.id_of("web"))
        wait_until(lambda: "is being pulled" in message(stage.service("web")), 30)
        assert "it is given up " in stage.ok("why", "web")
        failed = stage.await_phase("web", "FAILED")
        assert message(failed) == "not ready within 8 s; it waited: image busybox is being pulled"


@pytest.mark.parametrize("more", [IN_DOCKER, ""], ids=["own container", "dev container"])
def test_rule_3_4_an_engine_that_is_away_too_long(scratch: Path, more: str) -> None:
    """And a task that depends on it fails with it."""
    address = f"unix://{scratch}/nobody.sock"
    with staged(DOCKER_HOST=address, RUNNER_AGENT_DEVCONTAINER="dev") as stage:
        web = service_yaml("web", "sleep 9", more=f"{more}\n{SOON}".strip())
        stage.start(
            file=automations(
                services=(web,),
                tasks=(task_yaml("test", "true", more="dependsOn: [web]\nrunsOn: {machine: {}}"),),
            )
        )
        tested = stage.run("test")
        assert phase_of(tested) == "FAILED"
        failed = stage.await_phase("web", "FAILED")
        assert message(failed).startswith("not ready within 2 s; it waited: the Docker Engine")
        assert "cannot be reached" in message(failed)


def test_a_context_that_does_not_exist_fails_runs_and_doctor(scratch: Path) -> None:
    with staged(DOCKER_CONTEXT="gone", DOCKER_HOST="", DOCKER_CONFIG=str(scratch)) as stage:
        stage.start(file=automations(tasks=(task_yaml("build", "true", more=IN_DOCKER),)))
        built = stage.run("build")
        assert phase_of(built) == "FAILED"
        assert "the Docker context gone, which DOCKER_CONTEXT names, does not exist" in message(built)
        told = stage.cli("doctor", DOCKER_CONTEXT="gone", DOCKER_HOST="", DOCKER_CONFIG=str(scratch)).stdout
        assert "the Docker context gone" in told
