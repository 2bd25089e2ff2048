"""An agent with its page, one for each test."""

from pathlib import Path

import pytest

from tests.web.door import Door


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path / "signed-out")
