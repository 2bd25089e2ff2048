"""Whether a reload would find a program that can start: that program is asked, which may be a newer one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner_agent.daemon import reload
from runner_agent.daemon.reload import refusal
from tests.support.processes import wait_until


def asked(monkeypatch: pytest.MonkeyPatch, *argv: str) -> str:
    """By an agent that was started so."""
    monkeypatch.setattr(sys, "orig_argv", ["python", *argv])
    return asyncio.run(refusal())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("log_level: debug", ""),
        ("log_cap: 10\nbogus: 1", "config.yaml:1:10: log_cap: must be a size"),
        ("shell: 'a", "config.yaml:1:10: not YAML"),
        ("run_as: nobody-of-that-name", "run_as: there is no user 'nobody-of-that-name' on this machine"),
        (f"listen: ['unix:/{'x' * 108}']", "is longer than the 107 bytes Linux takes"),
    ],
)
def test_by_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str) -> None:
    """With the options that it was started with; whom an `up` started, too, is not that one's child."""
    config = tmp_path / "config.yaml"
    config.write_text(text)
    options = ["--state-dir", str(tmp_path / "s"), "--config", str(config), "--stop-with", "1"]
    found = asked(monkeypatch, "-m", "runner_agent", "serve", *options)
    assert (told in found) if told else not found, found
    assert "\n" not in found
    assert not (tmp_path / "s").exists(), "nothing is touched"


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("raise ImportError('no libyaml')", "ImportError: no libyaml"),
        ("import sys; sys.exit(7)", "its check ended with 7"),
        ("import sys; print('Error: No such option: --check', file=sys.stderr); sys.exit(2)", ""),
        ("import sys; print('Error: No such option: --listen', file=sys.stderr); sys.exit(2)", "--listen"),
        ("import os; os.kill(os.getpid(), 9)", ""),
    ],
    ids=["broken", "mute", "older", "without an option of ours", "killed"],
)
def test_by_its_end(monkeypatch: pytest.MonkeyPatch, program: str, told: str) -> None:
    found = asked(monkeypatch, "-c", program)
    assert found.endswith(told) if told else not found


def test_one_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "WITHIN", 0.05)
    assert not asked(monkeypatch, "-c", "import time; time.sleep(600)")


def test_one_that_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """exec would fail like that, with everything closed."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert "cannot be executed (No such file or directory)" in asked(monkeypatch)


def test_systemctl_reload_fails_with_the_reason(tmp_path: Path) -> None:
    """The script of the unit, beside an agent that stays; what an earlier one was told is forgotten."""
    (tmp_path / "agent.json").touch()
    (tmp_path / "not-reloaded").write_text("of yesterday\n")
    stays = "trap 'echo the reason > not-reloaded' HUP; touch on; while :; do sleep 0.02; done"
    with subprocess.Popen(["sh", "-c", stays], cwd=tmp_path) as agent:
        try:
            wait_until((tmp_path / "on").exists, 20)
            environ = {**os.environ, "STATE_DIRECTORY": str(tmp_path), "MAINPID": str(agent.pid)}
            environ.pop("RUNNER_AGENT_STATE_DIR", None)
            script = Path(__file__).parents[2] / "systemd/reload"
            told = subprocess.run(["sh", script], env=environ, capture_output=True, text=True, check=False)
        finally:
            agent.kill()
    assert (told.returncode, told.stderr) == (1, "Not reloaded: the reason\n")
