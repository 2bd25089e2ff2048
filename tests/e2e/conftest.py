"""Agents for the whole-program tests: one for each test, or one that a module's tests share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.stage import QUICK, Stage
from tests.support.daemon import Daemon
from tests.support.processes import end_all_tied_to


@contextmanager
def staged(**environment: str) -> Generator[Stage]:
    """An agent not started yet; afterwards it is stopped, and must leave nothing (rule 7.1)."""
    base = Path(tempfile.mkdtemp(prefix="runner-agent-"))
    base.chmod(0o711)
    stage = Stage(Daemon(base, {**QUICK, **environment}))
    try:
        yield stage
        stage.close()
    finally:
        if stage.daemon.running:
            stage.daemon.sigkill()
        end_all_tied_to(base)
        shutil.rmtree(base)


@pytest.fixture
def stage() -> Generator[Stage]:
    """An agent of this test's own."""
    with staged() as one:
        yield one


@pytest.fixture(scope="module")
def shared() -> Generator[Stage]:
    """An agent that runs for all tests of a module; each uses references of its own."""
    with staged() as one:
        one.start()
        yield one
