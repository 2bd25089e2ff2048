"""The corpus can fail: each script gets in place, and signals to a process group are beaten as it says."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.escapes import ESCAPES, Escape, living
from tests.support.processes import end, tied_to, wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
def test_group_kill_leaves_what_the_corpus_says(escape: Escape, scratch: Path) -> None:
    pids = scratch / "pids"
    leader = subprocess.Popen(
        ["bash", "-c", escape.script(pids)], cwd=scratch, start_new_session=True, stdout=subprocess.DEVNULL
    )
    try:
        noted = escape.noted(pids)
        assert len(noted) >= escape.processes - escape.leader_ends
        if escape.leader_ends:
            assert leader.wait(60) == 0
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(leader.pid, number)
        leader.wait(60)
        if escape.beats_group_kill:
            assert living(pids)
        else:
            wait_until(lambda: not living(pids), 5, "the group is gone")
    finally:
        while left := living(pids) + tied_to(scratch):
            end(left)
        leader.wait(60)
