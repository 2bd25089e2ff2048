"""The launcher lives for months and buries every run: no descriptor may be left over from one."""

from __future__ import annotations

import os
from pathlib import Path

from runner_agent.launcher import records


def _open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_claim_that_comes_second_leaves_nothing_open(tmp_path: Path) -> None:
    folder = str(tmp_path)
    claimed = records.claim(folder, records.opening("run-1", folder, "", "boot"))
    assert claimed >= 0
    os.close(claimed)
    before = _open()
    for _ in range(20):
        assert records.claim(folder, b"{") == -1
        assert records.tombstone(folder, "run-1") is not None
    assert _open() == before
    assert [path.name for path in tmp_path.iterdir()] == ["spawned"]


def test_a_tombstone_leaves_nothing_open(tmp_path: Path) -> None:
    before = _open()
    for _ in range(20):
        assert records.tombstone(str(tmp_path), "run-1") is None
    assert _open() == before
