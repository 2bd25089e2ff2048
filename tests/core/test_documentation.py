"""docs/semantics.md agrees with the machines, and holds every rule that code and tests name."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULE = re.compile(r"\brules? (\d\.\d+)|\btest_rule_(\d)_(\d+)_")


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "scripts/docs"), "--check"], capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tree, as far as the script reads it."""
    for name in ("scripts", "docs", "src", "proto", "bench", "tests"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    return tmp_path


def test_the_tables_are_those_of_the_machines() -> None:
    told = check(ROOT)
    assert (told.returncode, told.stderr) == (0, "")


def test_a_changed_rule_makes_them_stale(copy: Path) -> None:
    view = copy / "src/runner_agent/core/view.py"
    changed = view.read_text().replace("return ServicePhase.STARTING", "return ServicePhase.STOPPING")
    view.write_text(changed)
    told = check(copy)
    assert told.returncode == 1
    assert "docs/semantics.md is stale: run scripts/docs" in told.stderr


def test_a_lost_marker_is_told_without_a_traceback(copy: Path) -> None:
    page = copy / "docs/semantics.md"
    page.write_text(page.read_text().replace("<!-- end: step facts -->", ""))
    told = check(copy)
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert "step facts" in told.stderr


def test_every_rule_that_is_named_here_can_be_looked_up() -> None:
    known = set(re.findall(r"^\*\*(\d\.\d+)\*\*", (ROOT / "docs/semantics.md").read_text(), re.MULTILINE))
    named: set[str] = set()
    for folder in (
        "src/runner_agent/core",
        "src/runner_agent/model",
        "src/runner_agent/reconcile",
        "tests/core",
    ):
        for path in (ROOT / folder).glob("*.py"):
            for rule, section, number in RULE.findall(path.read_text()):
                named.add(rule or f"{section}.{number}")
    assert sorted(rule for rule in named - known if rule[0] in "134567") == []
