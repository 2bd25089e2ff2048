"""Real cgroup controllers, in a virtual machine: one boot for all of vm_checks, each check a test."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.vm import image, run_job, unpack_with_dependencies
from tests.systemd.installed import build_wheel
from tests.systemd.vm_checks import CHECKS, MARK

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(2400)]

PROGRAM = """#!/usr/bin/python3 -P
import sys
from runner_agent.cli.main import main
sys.exit(main())
"""
RUN = r"""
site=/usr/local/lib/python3.11/dist-packages
mkdir -p $site /workspace && cp -r files/. $site/
cp runner-agent /usr/bin/ && chmod 755 /usr/bin/runner-agent
ip link set lo up
useradd --create-home dev && chown dev /workspace
python3 vm_checks.py
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each check found, by name."""
    image()  # first: what it lacks makes all else needless
    job = tmp_path_factory.mktemp("job")
    unpack_with_dependencies(build_wheel(tmp_path_factory.mktemp("wheel")), job / "files")
    shutil.copy(Path(__file__).with_name("vm_checks.py"), job)
    (job / "run.sh").write_text(RUN)
    (job / "runner-agent").write_text(PROGRAM)
    said = run_job(job)
    lines = [json.loads(line[len(MARK) :]) for line in said.splitlines() if line.startswith(MARK)]
    assert lines, said
    return {each["name"]: each for each in lines}


@pytest.mark.parametrize("name", CHECKS)
def test_in_a_machine_with_controllers(name: str, told: dict[str, Any]) -> None:
    assert name in told, f"not reached; the last one was {list(told)[-1]}"
    assert told[name]["ok"], told[name]["text"]
