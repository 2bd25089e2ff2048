"""Rule 5.4: a log is never slowed by its readers, and complete whatever happens to them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from runner_agent.kit.inotify import Inotify
from runner_agent.logs.reader import FileLog, follow

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import os, sys, time
block, total = int(sys.argv[1]), int(sys.argv[2])
line = (b"x" * 99 + b"\\n") * (block // 100)
began = time.process_time()
for _ in range(total // block):
    os.write(1, line)
print(time.process_time() - began, file=sys.stderr)
"""


def write(path: Path, block: int, total: int) -> float:
    """Processor time, in seconds, of a child that writes `total` bytes to a new log, `block` at a time."""
    with path.open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-c", WRITER, str(block), str(total)],
            stdout=log,
            stderr=subprocess.PIPE,
            check=True,
        )
    return float(done.stderr)


async def write_followed(path: Path, block: int, total: int, followers: int) -> float:
    """The same while this process follows the log; each follower must see every byte."""
    inotify, ended = Inotify(), asyncio.Event()
    log = FileLog(path, inotify)

    async def reader() -> int:
        size = 0
        async with aclosing(follow(log, 0, ended.wait)) as chunks:
            async for chunk in chunks:
                size += len(chunk)
        return size

    reading = [asyncio.create_task(reader()) for _ in range(followers)]
    await asyncio.sleep(0)
    took = await asyncio.to_thread(write, path, block, total)
    ended.set()
    assert set(await asyncio.gather(*reading)) == {total}
    inotify.close()
    return took


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", [100, 10_000], ids=["line by line", "in blocks"])
async def test_a_hundred_followers_do_not_slow_the_writer(tmp_path: Path, block: int) -> None:
    """By processor time, the best of several. The kernel's notice of each write is part of it and comes to
    some hundredths; a writer that waited for its readers, or copied for them, would take many times as long.
    """
    total = 200_000_000 if block > 1000 else 20_000_000
    alone, followed = list[float](), list[float]()
    for turn in range(8):
        path = tmp_path / f"{turn}.log"
        alone.append(await asyncio.to_thread(write, path, block, total))
        path.unlink()
        followed.append(await write_followed(path, block, total, followers=100))
        path.unlink()
    ratio = min(followed) / min(alone)
    print(f"alone {alone} followed {followed} ratio {ratio:.3f}")
    assert ratio < 1.5


async def test_idle_followers_cost_no_processor_time(tmp_path: Path) -> None:
    path = tmp_path / "quiet.log"
    path.write_bytes(b"quiet\n")
    inotify, ended = Inotify(), asyncio.Event()

    async def reader() -> None:
        async with aclosing(follow(FileLog(path, inotify), 0, ended.wait)) as chunks:
            async for _ in chunks:
                pass

    reading = [asyncio.create_task(reader()) for _ in range(100)]
    await asyncio.sleep(0.2)
    before = time.process_time()
    await asyncio.sleep(1)
    assert time.process_time() - before < 0.1
    ended.set()
    await asyncio.gather(*reading)
    inotify.close()
