"""A start made light changes nothing of what is started."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from runner_agent.daemon import lean


def test_a_module_stands_in_only_meanwhile() -> None:
    with lean._standing_in("no_such_module", None):
        with pytest.raises(ImportError):
            import_module("no_such_module")
        assert "no_such_module" in sys.modules
    assert "no_such_module" not in sys.modules
    with lean._standing_in("json", None):
        import json
    assert json.dumps({}) == "{}"


def test_what_the_daemon_has_no_use_for_is_not_imported(tmp_path: Path) -> None:
    """Whoever imports them: `structlog`, imported too early, takes `rich` along, and with it 5 MiB."""
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "runner_agent", "serve", "--listen", "nonsense"],
        env={**os.environ, "RUNNER_AGENT_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in told.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert told.returncode == 2
    assert {"runner_agent.daemon.run", "uvicorn.server", "structlog.processors"} <= imported
    needless = {"rich.console", "uvicorn.main", "psutil", "yaml", "runner_agent.control.lints"}
    assert not imported & needless
