"""Runs on a Podman in place of the Docker Engine: asked again what that one is, where they differ."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from runner_agent.model.runs import Signaled
from tests.executors import conformance as rules
from tests.executors.conformance import Rule, Stage
from tests.executors.devcontainers import in_a_dev_container
from tests.executors.docker_place import docker_place
from tests.executors.test_docker import (
    Theatre,
    stage,
    test_a_container_that_an_agent_made_and_died_is_taken,
    test_a_killed_attendant_takes_its_container_with_it,
    test_a_paused_command_may_clean_up_before_it_ends,
    test_a_paused_container_whose_attendant_was_killed_is_ended,
    test_a_stop_command_in_a_paused_container_is_told_why,
    test_an_engine_kills_what_is_paused_without_being_told_to_let_it_go,
    test_removed_by_somebody_else,
    test_what_is_frozen_is_killed_all_the_same,
)
from tests.support.podman import Podman, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.executors.test_conformance import OnEngine

__all__ = [
    "stage",
    "test_a_container_that_an_agent_made_and_died_is_taken",
    "test_a_killed_attendant_takes_its_container_with_it",
    "test_a_paused_command_may_clean_up_before_it_ends",
    "test_a_paused_container_whose_attendant_was_killed_is_ended",
    "test_a_stop_command_in_a_paused_container_is_told_why",
    "test_an_engine_kills_what_is_paused_without_being_told_to_let_it_go",
    "test_removed_by_somebody_else",
    "test_what_is_frozen_is_killed_all_the_same",
]
pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
CONFORMANCE: tuple[tuple[Rule, OnEngine], ...] = (
    (rules.a_shell_that_is_not_there_is_told, docker_place),
    (rules.a_command_may_clean_up_when_terminated, docker_place),
    (rules.kill_empties_the_whole_tree, docker_place),
    (rules.a_command_may_clean_up_when_terminated, in_a_dev_container),
    (rules.another_executor_learns_what_ended_meanwhile, in_a_dev_container),
)
"""All rules hold on it: these are where its API or its init made a difference."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Podman]:
    with running() as one:
        yield one


@pytest.mark.parametrize(("rule", "kind"), CONFORMANCE, ids=lambda one: one.__name__)
def test_conformance(rule: Rule, kind: OnEngine, scratch: Path, engine: Podman) -> None:
    async def check() -> None:
        async with kind(scratch, engine) as place:
            await rule(Stage(place))
            assert await place.executor().survey() == ()

    asyncio.run(check())


async def test_a_stop_by_somebody_else_does_not_reach_the_command(stage: Theatre) -> None:
    """The init that Podman gives, catatonit, tells only the command's parent; so it is killed in the end."""
    handle = await stage.start("trap 'echo bye; exit 4' TERM; echo up; sleep infinity & wait")
    await stage.until_written("up")
    one = stage.place.engine
    await asyncio.to_thread(one.request, "POST", f"/containers/{stage.name(handle)}/stop?t=1")
    ending = await stage.executor.wait_ended(handle)
    assert ending == Signaled(9, why="the container was ended by somebody else")
    await stage.over(handle)
    assert stage.written() == ["up"]
