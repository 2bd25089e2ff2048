"""Users without a name or a home, as containers and units have them: told, or nothing is missing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, no_traceback
from tests.support.daemon import PROGRAM
from tests.support.machines import ROOT_OR_CI

pytestmark = pytest.mark.skipif(not ROOT_OR_CI, reason="needs root: a user that is nobody")

HOMES = [
    (),
    ("HOME=",),
    ("HOME=relative",),
    ("HOME=/proc/none/home",),
    ("XDG_STATE_HOME=x", "XDG_CONFIG_HOME=y"),
]


def nobody(home: tuple[str, ...], *command: str) -> subprocess.CompletedProcess[str]:
    """As a uid that no account has, with an empty environment. It may read what root may."""
    alone = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
    answer = subprocess.run(
        ["env", "-i", "PATH=/usr/bin:/bin", *home, *alone, *PROGRAM, *command],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd="/",
    )
    no_traceback(answer.stdout + answer.stderr)
    return answer


@pytest.mark.parametrize("home", HOMES, ids=" ".join)
def test_where_a_state_directory_is_given_nothing_is_missing(
    stage: Stage, tmp_path: Path, home: tuple[str, ...]
) -> None:
    """An agent of root, asked by nobody; and one that prepares an image."""
    stage.start()
    state = ("--state-dir", str(stage.state))
    assert nobody(home, "service", "list", *state).returncode == 0
    assert nobody(home, "status", *state).returncode == 0
    assert nobody(home, "doctor", *state).returncode == 0
    own = ("--state-dir", str(tmp_path / "state"), "--workspace", str(stage.workspace))
    assert nobody(home, "prebuild", *own).returncode == 0


@pytest.mark.parametrize("command", ["serve", "up", "prebuild"])
@pytest.mark.parametrize("home", HOMES, ids=" ".join)
def test_where_none_is_given_it_is_told(tmp_path: Path, command: str, home: tuple[str, ...]) -> None:
    answer = nobody(home, command, "--workspace", str(tmp_path))
    assert answer.returncode in (1, 2)
    assert "--state-dir" in answer.stderr
