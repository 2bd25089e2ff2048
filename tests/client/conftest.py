"""A fake agent and a client of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner_agent.client.addresses import Endpoint, parse_address
from runner_agent.client.agent import Agent
from runner_agent.client.transport import Transport
from tests.client.fake_agent import FakeAgent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def fake(scratch: Path) -> Iterator[FakeAgent]:
    agent = FakeAgent()
    agent.listen_unix(scratch / "s")
    yield agent
    agent.close()


@pytest.fixture
def transport(fake: FakeAgent) -> Transport:
    return Transport(Endpoint(parse_address(fake.address)))


@pytest.fixture
def agent(transport: Transport) -> Agent:
    return Agent(transport)
