"""Signals as something to wait for: none is lost, whoever reads and whenever."""

from __future__ import annotations

import subprocess
import sys

import pytest

PRELUDE = """
import asyncio, os, signal, threading
from runner_agent.kit.signals import Signals
wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""

SCENES = {
    "a child begins with none blocked": """
import subprocess
from runner_agent.kit.signals import unblock
signals = Signals(*wanted)
look = ["grep", "SigBlk", "/proc/self/status"]
masks = [subprocess.check_output(look, preexec_fn=one).split()[1] for one in (None, unblock)]
assert [int(mask, 16) for mask in masks] == [sum(1 << (one - 1) for one in wanted), 0], masks
os.kill(os.getpid(), signal.SIGTERM)
print(asyncio.run(signals.next()).name)
""",
    "told before anybody listens": """
signals = Signals(*wanted)
os.kill(os.getpid(), signal.SIGTERM)
print(asyncio.run(signals.next()).name)
""",
    "told while somebody waits": """
signals = Signals(*wanted)
async def main():
    waiting = asyncio.create_task(signals.next())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    print((await waiting).name)
asyncio.run(main())
""",
    "whoever gave up waiting has taken none": """
signals = Signals(*wanted)
async def main():
    waiting = asyncio.create_task(signals.next())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    os.kill(os.getpid(), signal.SIGTERM)
    print((await signals.next()).name)
asyncio.run(main())
""",
    "two at once are told one after the other": """
signals = Signals(*wanted)
async def main():
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGHUP)
    assert (await signals.next()) is signal.SIGHUP
    print((await signals.next()).name)
asyncio.run(main())
""",
    "a thread takes none for itself": """
signals = Signals(*wanted)
ready, over = threading.Event(), threading.Event()
def run():
    ready.set()
    over.wait(20)
thread = threading.Thread(target=run)
thread.start()
ready.wait(20)
os.kill(os.getpid(), signal.SIGTERM)
print(asyncio.run(signals.next()).name)
over.set()
""",
    "the program that comes next has what was not read": """
import sys
if sys.argv[1:] == ["next"]:
    print(asyncio.run(Signals(*wanted).next()).name)
else:
    signals = Signals(*wanted)
    os.kill(os.getpid(), signal.SIGHUP)
    assert asyncio.run(signals.next()) is signal.SIGHUP
    os.kill(os.getpid(), signal.SIGTERM)
    os.execv(sys.executable, [*sys.orig_argv, "next"])
""",
}


@pytest.mark.parametrize("scene", SCENES)
def test_none_is_lost(scene: str) -> None:
    """Each in a process of its own: it is the process that is told."""
    ended = subprocess.run(
        [sys.executable, "-c", PRELUDE + SCENES[scene]],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "SIGTERM\n"), ended.stderr
