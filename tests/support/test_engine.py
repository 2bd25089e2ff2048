"""The tests' Engine leaves nothing: neither closed nor when its owner is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.engine import Engine
from tests.support.engine import missing as engine_missing
from tests.support.machines import lacking
from tests.support.podman import Podman
from tests.support.podman import missing as podman_missing
from tests.support.processes import look, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.processes import Process

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

_OWNER = """
from pathlib import Path
from {module} import {kind}
engine = {kind}(Path({root!r}))
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


@pytest.mark.parametrize(("kind", "missing"), [(Engine, engine_missing), (Podman, podman_missing)])
def test_an_engine_whose_owner_is_killed_goes_with_all_it_holds(
    kind: type[Engine], missing: Callable[[], str], scratch: Path
) -> None:
    if reason := missing():
        lacking(reason)
    root = scratch / "ra-engine-killed"
    code = _OWNER.format(module=kind.__module__, kind=kind.__name__, root=str(root))
    owner = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
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
