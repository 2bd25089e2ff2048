"""Fixtures of the border."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.api.served import Served, serving
from tests.api.stub import Stub
from tests.api.world import World


@pytest.fixture
async def stub() -> Stub:
    """The border over made-up handlers. Made on the loop it is used on."""
    return Stub()


@pytest.fixture
async def world() -> AsyncGenerator[World]:
    """The whole API over a memory store."""
    world = World()
    yield world
    await world.store.aclose()


@pytest.fixture
async def served(scratch: Path) -> AsyncGenerator[Served]:
    world = Served(scratch / "api.sock")
    async with serving(world):
        yield world
