"""What is left of a run whose holder was killed: found by its cgroup or by the run id in its environment, and
ended.

The launcher ends the orphans of holders it forked. This is for those of a launcher that died too. Only
processes that
carry the id of this very run are ever touched, each pinned before it is judged (rule 7.3).
"""

import asyncio
import os
import signal
from pathlib import Path

from runner_agent.executors.holders import Holder
from runner_agent.launcher import cgroup, procs
from runner_agent.model.ids import RunId

_PAUSE, _LONGEST = 0.02, 5.0
"""Seconds between two looks: the first pause, doubled up to the last."""


async def end_remains(holder: Holder, run_id: RunId, boot: str) -> None:
    """Kill them until there are none. They are gone by definition if the boot is another."""
    if holder.boot != boot:
        return
    pause = _PAUSE
    while left := remains_of(holder, run_id):
        if holder.cgroup:
            cgroup.kill(holder.cgroup)
        procs.send_all(left, signal.SIGKILL)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST)


def remains_of(holder: Holder, run_id: RunId) -> list[procs.Proc]:
    """The live processes of the run that cgroup or environment tell, and what descends from them."""
    mark = f"RUNNER_AGENT_RUN_ID={run_id}".encode()
    everyone = {proc.pid: proc for proc in procs.everyone() if proc.pid not in (holder.pid, os.getpid())}
    marked = set(cgroup.members(holder.cgroup)) if holder.cgroup else set[int]()
    marked |= {pid for pid in everyone if _carries(pid, mark)}
    while more := {pid for pid, proc in everyone.items() if proc.parent in marked} - marked:
        marked |= more
    return [proc for pid, proc in everyone.items() if pid in marked and not proc.zombie]


def clear_cgroup(path: str) -> None:
    """Take away the empty cgroup of a run that is gone, if it is still there."""
    cgroup.remove(path)


def _carries(pid: int, mark: bytes) -> bool:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return mark in environ.split(b"\0")
