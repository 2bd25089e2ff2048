"""One launcher a test, or one a module where tests share it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.launcher.rig import Rig, cgroup2
from tests.support.processes import end_all_tied_to, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def rig(scratch: Path) -> Iterator[Rig]:
    """A launcher of this test alone."""
    made = Rig(scratch)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    """A launcher that all tests of the module use, by the default way: no cgroups."""
    yield from _shared(None)


@pytest.fixture(scope="module")
def grouped() -> Iterator[Rig]:
    """As `shared`, each run in a cgroup of its own."""
    root = cgroup2()
    assert root is not None, "these tests need a writable cgroup v2 hierarchy; mount one"
    folder = root / f"runner-agent-test-{os.getpid()}"
    folder.mkdir()
    yield from _shared(folder)
    wait_until(lambda: not any(entry.is_dir() for entry in folder.iterdir()), what="all run cgroups are gone")
    folder.rmdir()


def _shared(cgroups: Path | None) -> Iterator[Rig]:
    state = Path(tempfile.mkdtemp(prefix="runner-agent-"))
    made = Rig(state, cgroups=cgroups)
    yield made
    made.close()
    end_all_tied_to(state)
    shutil.rmtree(state)


def read_or_nothing(pid: int) -> bytes:
    """A process's command line; b"" when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
