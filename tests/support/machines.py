"""What a test needs of the machine: where it is missing, a developer's run skips the test, and CI fails."""

import os
from typing import NoReturn

import pytest

ROOT_OR_CI = os.geteuid() == 0 or bool(os.environ.get("CI"))
"""Run tests that need root: as root, and in CI whoever it is: there they fail instead of vanishing."""


def lacking(reason: str) -> NoReturn:
    """The machine cannot run this test."""
    if os.environ.get("CI"):
        pytest.fail(f"CI has to offer what this test needs: {reason}")
    pytest.skip(reason)
