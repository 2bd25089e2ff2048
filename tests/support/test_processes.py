"""What `tied_to` must find, and what it must leave alone."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.processes import end, end_all_tied_to, look, subtree, tied_to, wait_until

if TYPE_CHECKING:
    from pathlib import Path

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


@pytest.mark.parametrize("tie", ["environment", "argument", "directory", "open file"])
def test_a_process_is_tied_by_any_trace_of_the_directory(tie: str, scratch: Path) -> None:
    with (scratch / "log").open("wb") as log:
        child = subprocess.Popen(
            [*SLEEP, str(scratch)] if tie == "argument" else SLEEP,
            env={"MARK": str(scratch / "state")} if tie == "environment" else {},
            cwd=scratch if tie == "directory" else "/",
            stdout=log if tie == "open file" else None,
        )
    try:
        wait_until(lambda: child.pid in {process.pid for process in tied_to(scratch)}, 5, "found")
    finally:
        end_all_tied_to(scratch)
        assert child.wait(60) == -9


def test_descendants_of_the_tied_are_tied(scratch: Path) -> None:
    shell = subprocess.Popen(
        ["bash", "-c", f": {scratch}; cd /; env -i sleep 60 & wait"], start_new_session=True
    )
    try:
        wait_until(
            lambda: {"bash", "sleep"} <= {process.name for process in tied_to(scratch)}, 5, "both found"
        )
        assert [process.name for process in subtree(shell.pid)] == ["sleep"]
    finally:
        end_all_tied_to(scratch)
        shell.wait(60)


def test_a_reused_pid_is_not_ended(scratch: Path) -> None:
    child = subprocess.Popen(SLEEP, cwd=scratch)
    real = look(child.pid)
    assert real is not None
    earlier = type(real)(real.pid, real.started - 1, real.parent, real.state, real.name)
    end([earlier])
    assert not earlier.alive
    assert real.alive
    end([real])
    assert child.wait(60) == -9
