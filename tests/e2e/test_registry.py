"""Images that are not here yet: the whole agent, a real Engine, and a real registry on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import staged
from tests.e2e.stage import automations, execution_path, phase_of, task_yaml
from tests.e2e.test_containers import LONG, docker, own_lines
from tests.support.registry import log_in, publish, registry

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.stage import Stage
    from tests.support.engine import Engine

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def ran(stage: Stage, image: str) -> tuple[str, str]:
    """A task in it: the execution's failure, and the run's log."""
    stage.start(file=automations(tasks=(task_yaml("pulled", "echo here", more=docker(image)),)))
    ended = stage.run("pulled", timeout=LONG)
    return ended.get("status", {}).get("failureMessage", ""), stage.log(execution_path(ended), follow="false")


def test_a_missing_image_is_pulled_and_the_log_tells(engine: Engine, scratch: Path) -> None:
    with registry(scratch) as address, staged(DOCKER_HOST=engine.host) as stage:
        image = publish(engine, f"{address}/team/app:1")
        failure, log = ran(stage, image)
        assert failure == ""
        first, second, *rest = [line for line in log.splitlines() if image in line]
        assert first.endswith(f"image {image} is not here; pulling it")
        assert f"image {image} is here after " in (rest or [second])[-1]
        assert "\nhere\n" in log
        again = stage.run("pulled", timeout=LONG)
        assert own_lines(stage, execution_path(again)) == ["here"]
        assert image not in stage.log(execution_path(again), follow="false")


def test_a_private_image_needs_a_login(engine: Engine, scratch: Path) -> None:
    """That of `docker login`, read when the image is pulled."""
    with (
        registry(scratch, private=True) as address,
        staged(DOCKER_HOST=engine.host, DOCKER_CONFIG=str(scratch)) as stage,
    ):
        image = publish(engine, f"{address}/team/secret:1")
        failure, _ = ran(stage, image)
        assert f"image {image} is not here and cannot be pulled" in failure
        assert "`docker login` as the agent's user" in failure
        log_in(scratch, address)
        again = stage.run("pulled", timeout=LONG)
        assert phase_of(again) == "SUCCEEDED"
        assert own_lines(stage, execution_path(again)) == ["here"]


def test_a_tag_that_is_not_there_is_told(engine: Engine, scratch: Path) -> None:
    """Rule 5.7."""
    with registry(scratch) as address, staged(DOCKER_HOST=engine.host) as stage:
        image = publish(engine, f"{address}/team/app:1")
        failure, _ = ran(stage, f"{image}2")
        assert f"image {image}2 is not here and cannot be pulled" in failure
        assert "(check the image's name and tag)" in failure
