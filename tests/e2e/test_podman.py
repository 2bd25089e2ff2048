"""The whole agent with a Podman in place of the Docker Engine: what was asked of that one, asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_containers import (
    test_a_service_with_ready_and_stop_lives_in_one_container,
    test_runs_outlive_the_agent,
)
from tests.e2e.test_docker import (
    test_a_service_in_the_dev_container_is_stopped_provably_empty,
    test_runs_in_the_dev_container_outlive_agent_and_engine,
    test_the_end_of_the_dev_container_ends_its_runs_with_the_truth,
)
from tests.support.podman import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.podman import Podman

__all__ = [
    "test_a_service_in_the_dev_container_is_stopped_provably_empty",
    "test_a_service_with_ready_and_stop_lives_in_one_container",
    "test_runs_in_the_dev_container_outlive_agent_and_engine",
    "test_runs_outlive_the_agent",
    "test_the_end_of_the_dev_container_ends_its_runs_with_the_truth",
]
pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def engine() -> Iterator[Podman]:
    with running() as one:
        yield one
