"""Fork storms end, too: processes that are gone before they can be looked at (rules 3.7, 3.9)."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING

import pytest

from runner_agent.launcher import procs, wire
from tests.launcher.conftest import read_or_nothing
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from tests.launcher.rig import Rig

# Each process forks the next and is gone. Bounded: 20 s, whatever happens.
CHAIN = """
import os, sys, time
end = time.monotonic() + 20
print('on', flush=True)
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    {each}
"""
# Doubles until there are 128, then stays.
TREE = """
import os, time
for _ in range(7):
    os.fork()
    {each}
print('on', flush=True)
time.sleep(20)
"""
SETSID = "os.getpid() == os.getsid(0) or os.setsid()"


@pytest.mark.parametrize("means", ["walk", "cgroup"])
@pytest.mark.parametrize(
    "program",
    [
        CHAIN.format(each="pass"),
        CHAIN.format(each=SETSID),
        TREE.format(each="pass"),
        TREE.format(each=SETSID),
    ],
    ids=["chain", "chain-of-sessions", "tree", "tree-of-sessions"],
)
def test_a_storm_ends(program: str, means: str, request: pytest.FixtureRequest) -> None:
    rig: Rig = request.getfixturevalue({"walk": "shared", "cgroup": "grouped"}[means])
    mark = uuid.uuid4().hex
    run = rig.start(
        'exec "$0" -c "$1" "$2"',
        argv=["/bin/bash", "-c", 'exec "$0" -S -c "$1" "$2"', sys.executable, program, mark],
    )
    wait_until(lambda: "on" in run.written, what="it storms")
    run.signal(wire.KILL)
    run.wait_gone()
    assert [proc.pid for proc in procs.everyone() if mark.encode() in read_or_nothing(proc.pid)] == []
