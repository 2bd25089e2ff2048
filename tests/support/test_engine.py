"""The tests' Engine leaves nothing: neither closed nor when its owner is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.engine import Engine
from tests.support.processes import look, wait_until

if TYPE_CHECKING:
    from tests.support.processes import Process

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

_OWNER = """
from pathlib import Path
from tests.support.engine import Engine
engine = Engine(Path({root!r}))
engine.root.mkdir()
engine.start()
engine.image("busybox:test")
told = engine.container("sleeper", {{"Image": "busybox:test", "Cmd": ["sleep", "3600"]}})
print(engine.ask("GET", f"/containers/{{told}}/json")["State"]["Pid"], flush=True)
input()
"""


def test_containers_outlive_an_engine_that_restarts_or_crashes(engine: Engine) -> None:
    engine.image("bash:test")
    held = engine.container("outlives", {"Image": "bash:test", "Cmd": ["bash", "-c", "exec sleep 3600"]})
    try:
        before = _process_of(engine, held)
        engine.restart()
        assert before.alive
        assert _process_of(engine, held) == before
        engine.crash()
        assert before.alive
        engine.start()
        assert _process_of(engine, held) == before
    finally:
        engine.remove(held)


def test_an_engine_whose_owner_is_killed_goes_with_all_it_holds(engine: Engine, scratch: Path) -> None:
    """Not the shared one: that only says that there can be engines here."""
    root = scratch / "ra-engine-killed"
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER.format(root=str(root))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    contained = look(int(owner.stdout.readline()))
    assert contained is not None
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    wait_until(lambda: not root.exists(), 120, f"{root} is gone")
    assert not contained.alive
    assert f" {root}/" not in Path("/proc/self/mounts").read_text()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{root.name}"))


def _process_of(engine: Engine, container: str) -> Process:
    found = look(engine.pid(container))
    assert found is not None
    return found
