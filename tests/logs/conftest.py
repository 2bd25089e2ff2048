"""What the tests of logs share: a folder of logs and one inotify instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner_agent.kit.inotify import Inotify
from runner_agent.logs.files import LogFiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> LogFiles:
    return LogFiles(tmp_path / "logs")


@pytest.fixture
async def inotify() -> AsyncIterator[Inotify]:
    instance = Inotify()
    yield instance
    assert len(instance) == 0, "somebody left without closing a subscription"
    instance.close()
