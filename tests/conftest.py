"""Fixtures that more than one floor asks for."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.daemon import Daemon
from tests.support.engine import Engine, missing
from tests.support.machines import lacking
from tests.support.processes import end_all_tied_to

if TYPE_CHECKING:
    from collections.abc import Iterator

# Before anything imports it: its rules explain their failures as test modules do.
pytest.register_assert_rewrite("tests.executors.conformance")

# A machine that is busy is not a slow example; bounds are pytest-timeout's.
settings.register_profile("here", deadline=None)
settings.load_profile("here")


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A new directory, its path short enough for a unix socket in it. What is still tied to it is ended."""
    path = Path(tempfile.mkdtemp(prefix="runner-agent-"))
    try:
        yield path
    finally:
        end_all_tied_to(path)
        shutil.rmtree(path)


@pytest.fixture
def daemon(scratch: Path) -> Iterator[Daemon]:
    """An agent not started yet. If it runs afterwards it is stopped, and must leave nothing (rule 7.1)."""
    agent = Daemon(scratch)
    yield agent
    agent.close()


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker Engine for all tests that ask for one; each has containers of its own names."""
    if reason := missing():
        lacking(reason)
    one = Engine()
    try:
        one.start()
        yield one
    finally:
        one.close()
