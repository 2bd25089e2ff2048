"""Real cgroup controllers, in a virtual machine: one boot for all of vm_checks, each check a test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.machines import lacking
from tests.support.vm import missing, run_job
from tests.systemd.vm_checks import CHECKS, MARK

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(2400)]

RUN = """
ln -s /opt/runner-agent/bin/runner-agent /usr/bin/
useradd --create-home dev
install -d -o dev /workspace
python3 vm_checks.py
"""


@pytest.fixture(scope="module")
def told(roots: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each check found, by name."""
    if lack := missing():
        lacking(lack)
    job = tmp_path_factory.mktemp("job")
    shutil.copy(Path(__file__).with_name("vm_checks.py"), job)
    (job / "run.sh").write_text(RUN)
    said = run_job(job, *roots)
    lines = [json.loads(line[len(MARK) :]) for line in said.splitlines() if line.startswith(MARK)]
    assert lines, said
    return {each["name"]: each for each in lines}


@pytest.mark.parametrize("name", CHECKS)
def test_in_a_machine_with_controllers(name: str, told: dict[str, Any]) -> None:
    assert name in told, f"not reached; the last one was {list(told)[-1]}"
    assert told[name]["ok"], told[name]["text"]
