"""The crash path is the normal path: twenty deaths of the agent, nothing lost, doubled or leaked."""

from __future__ import annotations

import random
import shutil

import pytest

from tests.e2e.stage import Stage
from tests.faults.trial import make_trial

pytestmark = pytest.mark.faults


def _keep(stage: Stage) -> None:
    print(stage.daemon.stderr)
    shutil.copytree(stage.state / "logs", "/tmp/runner-agent-trial", dirs_exist_ok=True)


@pytest.mark.timeout(240)
def test_twenty_random_kills() -> None:
    """Exit codes, outputs, log bytes, versions, wishes: all there; no run began twice; nothing is left."""
    report = make_trial(random.randrange(1 << 30), 20, _keep)
    assert report.wrong == [], report
    assert report.runs > 20, report
