"""The commands over a memory store, in time that moves only when told to."""

from collections.abc import AsyncIterator

import pytest

from runner_agent.control.commands import Commands
from runner_agent.kit.virtual import VirtualClock
from runner_agent.store.memory import MemoryStore
from tests.control.scene import counted_ids


@pytest.fixture
def clock() -> VirtualClock:
    """Set by hand."""
    return VirtualClock()


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    """Empty."""
    opened = MemoryStore()
    yield opened
    await opened.aclose()


@pytest.fixture
def commands(store: MemoryStore, clock: VirtualClock) -> Commands:
    """On that store and clock; ids are 1, 2, 3 in the form of UUIDs."""
    return Commands(store, clock, counted_ids())
