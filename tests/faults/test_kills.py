"""The crash path is the normal path: 300 deaths at random moments, nothing lost, doubled or leaked."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.e2e.stage import Stage
from tests.faults.trial import KILLS, Report, make_trials, reached

pytestmark = pytest.mark.faults

COUNT = 300


def _keep(stage: Stage) -> None:
    print(stage.daemon.stderr)
    shutil.copytree(stage.state / "logs", "/tmp/runner-agent-trial", dirs_exist_ok=True)


@pytest.mark.timeout(900)
def test_three_hundred_random_kills() -> None:
    """Exit codes, outputs, log bytes, versions, wishes: all there; no run began twice; nothing is left."""
    first = random.randrange(1 << 30)
    reports = list(make_trials(range(first, first + COUNT // KILLS), _keep))
    assert [report for report in reports if report.wrong] == []
    assert sum(report.kills for report in reports) >= COUNT
    assert sum(report.runs for report in reports) > COUNT


def test_a_report_is_gone_on_with(tmp_path: Path) -> None:
    """The long trial may be interrupted at any time."""
    path = tmp_path / "kills.jsonl"
    assert reached(path) == (0, 1)
    path.write_text("".join(f"{json.dumps(asdict(Report(seed, kills=20 + seed)))}\n" for seed in (1, 2)))
    assert reached(path) == (43, 3)
