"""Change notification tells a level: whatever happened to a path, its subscribers are called afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from runner_agent.kit import inotify as inotify_module
from runner_agent.kit.bell import Bell
from runner_agent.kit.inotify import Inotify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
async def inotify() -> AsyncIterator[Inotify]:
    instance = Inotify()
    yield instance
    instance.close()


class Ear:
    """A subscriber that can wait for the next call, and for quiet."""

    def __init__(self, inotify: Inotify, path: Path) -> None:
        self.bell = Bell()
        self.subscription = inotify.subscribe(path, self.bell.ring)
        self._listener = self.bell.listen()

    async def hears(self, within: float = 5.0) -> bool:
        try:
            async with asyncio.timeout(within):
                await self._listener.wait()
        except TimeoutError:
            return False
        return True

    async def quiet(self) -> None:
        while await self.hears(within=0.2):
            pass


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more\n")


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("new\n")
    other.rename(path)


CHANGES: list[Callable[[Path], object]] = [
    append,
    replace,
    lambda path: os.truncate(path, 0),
    lambda path: path.unlink(),
    lambda path: shutil.move(path, path.with_name("gone")),
]


@pytest.mark.parametrize("change", CHANGES, ids=["append", "replace", "truncate", "unlink", "rename"])
async def test_any_change_to_a_file_is_told_and_so_is_the_next(
    inotify: Inotify, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    path = tmp_path / "log"
    path.write_text("first\n")
    ear = Ear(inotify, path)
    change(path)
    assert await ear.hears()
    await ear.quiet()
    append(path)
    assert await ear.hears(), "after a change the watch was not renewed"


async def test_a_quiet_path_is_never_told_of(inotify: Inotify, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("first\n")
    ear = Ear(inotify, path)
    assert not await ear.hears(within=0.4)
    append(path)
    await ear.quiet()
    assert not await ear.hears(within=0.4), "one change keeps telling for ever"


async def test_a_file_in_directories_that_do_not_exist_yet(inotify: Inotify, tmp_path: Path) -> None:
    path = tmp_path / "services" / "web" / "start.log"
    ear = Ear(inotify, path)
    (tmp_path / "unrelated").write_text("")
    assert not await ear.hears(within=0.3)
    path.parent.mkdir(parents=True)
    path.write_text("first\n")
    assert await ear.hears()
    await ear.quiet()
    append(path)
    assert await ear.hears()


async def test_many_waiting_files_of_one_directory(inotify: Inotify, tmp_path: Path) -> None:
    ears = [Ear(inotify, tmp_path / f"{number}.log") for number in range(50)]
    for number in range(50):
        (tmp_path / f"{number}.log").write_text("first\n")
    assert all(await asyncio.gather(*(ear.hears() for ear in ears)))


async def test_a_directory_tells_of_its_entries(inotify: Inotify, tmp_path: Path) -> None:
    ear = Ear(inotify, tmp_path)
    waiting = Ear(inotify, tmp_path / "new")
    (tmp_path / "new").write_text("")
    assert await ear.hears()
    assert await waiting.hears()
    await ear.quiet()
    append(tmp_path / "new")
    assert await ear.hears()


async def test_subscribers_of_one_path_share_one_watch(inotify: Inotify, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("")
    ears = [Ear(inotify, path) for _ in range(100)]
    assert len(inotify) == 1
    assert len(inotify._armed) == 1
    append(path)
    assert all(await asyncio.gather(*(ear.hears() for ear in ears)))
    for ear in ears:
        ear.subscription.close()
        ear.subscription.close()
    assert len(inotify) == 0
    assert not inotify._armed


async def test_a_closed_subscription_is_silent_and_the_others_go_on(inotify: Inotify, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("")
    one, other = Ear(inotify, path), Ear(inotify, path)
    one.subscription.close()
    append(path)
    assert await other.hears()
    assert one.bell.rings == 0


async def test_two_names_of_one_file_are_both_told(inotify: Inotify, tmp_path: Path) -> None:
    path, link = tmp_path / "log", tmp_path / "link"
    path.write_text("")
    link.hardlink_to(path)
    ears = [Ear(inotify, path), Ear(inotify, link)]
    append(path)
    assert all([await ear.hears() for ear in ears])
    ears[0].subscription.close()
    await ears[1].quiet()
    append(path)
    assert await ears[1].hears()


BUSY = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for _ in range(100_000):
    os.write(fd, b"line\\n")
"""


async def test_a_busy_writer_is_told_of_at_a_bounded_rate_and_to_the_last_change(
    inotify: Inotify, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.write_text("")
    ear, sizes = Ear(inotify, path), list[int]()
    inotify.subscribe(path, lambda: sizes.append(path.stat().st_size))
    began = time.monotonic()
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY, str(path))
    assert await child.wait() == 0
    took = time.monotonic() - began
    await ear.quiet()
    assert sizes[-1] == 500_000
    assert len(sizes) <= 2 * took / inotify_module._REST + 4


async def test_an_overflow_of_the_kernel_s_queue_tells_everybody(inotify: Inotify, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.write_text("")
    ears = [Ear(inotify, path) for path in paths]
    overflow = struct.pack("iIII", -1, 0x4000, 0, 0)
    inotify._hear(overflow)
    assert [ear.bell.rings for ear in ears] == [1, 1]
    for ear, path in zip(ears, paths, strict=True):
        await ear.quiet()
        append(path)
        assert await ear.hears()


async def test_a_watch_that_the_kernel_ended_behind_our_back_is_renewed(
    inotify: Inotify, tmp_path: Path
) -> None:
    """The one event of a watch is queued before the watch ends: a renewal in between would end with it."""
    path = tmp_path / "log"
    path.write_text("")
    ear = Ear(inotify, path)
    (wd,) = inotify._armed
    inotify_module._system().rm_watch(inotify._fd, wd)
    await ear.quiet()
    append(path)
    assert await ear.hears()


LIMITED = """
import asyncio, logging, resource, sys
from pathlib import Path
from runner_agent.kit.bell import Bell
from runner_agent.kit.inotify import Inotify

async def main() -> None:
    path = Path(sys.argv[1])
    inotify, bell = Inotify(), Bell()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    for name in ("a", "b"):
        inotify.subscribe(path / name, bell.ring)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    (path / "a").write_text("changed")
    async with asyncio.timeout(60):
        await bell.wait(0)
        before = bell.rings
        (path / "b").write_text("changed")
        await bell.wait(before)
    print("told")

logging.basicConfig(format="%(message)s")
asyncio.run(main())
"""


def test_without_a_watch_from_the_kernel_it_looks_now_and_then_and_says_so_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "told\n", done.stderr
    assert done.stderr.count("cannot watch") == 1
