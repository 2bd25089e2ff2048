"""Rule 5.4: the oldest bytes of a large log go back to the disk; offsets stay valid."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from runner_agent.logs import cap as cap_module
from runner_agent.logs import holes
from runner_agent.logs.cap import LogCap
from runner_agent.logs.holes import GRAIN, UNSUPPORTED, first_kept
from runner_agent.logs.reader import Gone, file_extent, read_file

if TYPE_CHECKING:
    from pathlib import Path

    from runner_agent.kit.inotify import Inotify

CAP = 4 * GRAIN


def numbered(size: int) -> bytes:
    """Lines that tell their own offset."""
    return b"".join(b"%015d\n" % offset for offset in range(0, size, 16))


def on_disk(path: Path) -> int:
    return path.stat().st_blocks * 512


async def test_a_log_over_its_cap_frees_blocks_and_keeps_offsets(tmp_path: Path, inotify: Inotify) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(numbered(10 * GRAIN + 160))
    os.sync()
    LogCap(inotify, CAP).trim(path)
    extent = file_extent(path)
    assert extent.end == 10 * GRAIN + 160
    assert CAP - GRAIN < extent.end - extent.first <= CAP
    assert on_disk(path) <= CAP + 8192
    assert read_file(path, extent.first, 16) == b"%015d\n" % extent.first
    assert read_file(path, extent.end - 16, 16) == b"%015d\n" % (extent.end - 16)


@pytest.mark.parametrize("offset", [0, 1, GRAIN, 5 * GRAIN])
async def test_bytes_given_back_are_never_read_as_zeros(
    tmp_path: Path, inotify: Inotify, offset: int
) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(numbered(10 * GRAIN))
    LogCap(inotify, CAP).trim(path)
    assert read_file(path, offset) == Gone(6 * GRAIN)


async def test_the_writer_goes_on_where_it_was(tmp_path: Path, inotify: Inotify) -> None:
    path = tmp_path / "run.log"
    with path.open("ab", buffering=0) as log:
        log.write(numbered(10 * GRAIN))
        LogCap(inotify, CAP).trim(path)
        log.write(b"after\n")
    assert read_file(path, 10 * GRAIN) == b"after\n"


@pytest.mark.parametrize("size", [0, 100, CAP])
async def test_a_log_within_its_cap_is_left_alone(tmp_path: Path, inotify: Inotify, size: int) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(numbered(size))
    LogCap(inotify, CAP).trim(path)
    assert file_extent(path).first == 0


async def test_a_command_s_own_zeros_are_text(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(b"a\0b" + bytes(10_000))
    assert read_file(path, 1) == b"\0b" + bytes(10_000)


def test_a_log_of_nothing_but_hole_begins_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(b"")
    os.truncate(path, 3 * GRAIN)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert first_kept(fd) == 3 * GRAIN
    finally:
        os.close(fd)


WRITER = """
import os, sys, time
for megabyte in range(12):
    os.write(1, (b"x" * 99 + b"\\n") * 10000)
    time.sleep(0.15)
"""


async def test_a_live_log_is_trimmed_once_a_second_at_most(
    tmp_path: Path, inotify: Inotify, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.log"
    punched: list[float] = []
    real = holes.punch

    def noting(fd: int, end: int) -> None:
        punched.append(time.monotonic())
        real(fd, end)

    monkeypatch.setattr(cap_module, "punch", noting)
    cap, began = LogCap(inotify, CAP), time.monotonic()
    cap.watch(path)
    cap.watch(path)
    with path.open("ab") as log:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, stdout=log)
        assert await child.wait() == 0
    cap.unwatch(path)
    extent = file_extent(path)
    assert extent.end == 12_000_000
    assert extent.end - extent.first <= CAP
    assert 2 <= len(punched) <= time.monotonic() - began + 2
    pauses = [later - earlier for earlier, later in pairwise(punched[:-1])]
    assert all(pause >= 0.95 for pause in pauses)
    cap.unwatch(path)


async def test_a_quiet_log_is_not_looked_at(
    tmp_path: Path, inotify: Inotify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cap_module, "_PACE", 0.02)
    path = tmp_path / "run.log"
    path.write_bytes(b"quiet\n")
    cap = LogCap(inotify, CAP)
    looks: list[Path] = []
    cap.watch(path)
    await asyncio.sleep(0.1)
    monkeypatch.setattr(cap, "trim", looks.append)
    await asyncio.sleep(0.3)
    assert looks == []
    cap.close()


@pytest.mark.parametrize("code", sorted(UNSUPPORTED))
async def test_a_filesystem_that_cannot_is_warned_of_once(
    tmp_path: Path,
    inotify: Inotify,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    def unable(fd: int, end: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(cap_module, "punch", unable)
    cap = LogCap(inotify, CAP)
    for name in ("a", "b"):
        path = tmp_path / name
        path.write_bytes(numbered(10 * GRAIN))
        cap.trim(path)
        assert file_extent(path).first == 0
    assert caplog.text.count("cannot bound logs") == 1


async def test_a_log_that_is_gone_is_no_error(tmp_path: Path, inotify: Inotify) -> None:
    cap = LogCap(inotify, CAP)
    cap.watch(tmp_path / "never")
    cap.unwatch(tmp_path / "never")
    assert not (tmp_path / "never").exists()


async def test_a_cap_below_one_step_is_refused(inotify: Inotify) -> None:
    with pytest.raises(ValueError, match="least cap"):
        LogCap(inotify, GRAIN - 1)


def test_a_hole_being_cut_during_reads_never_shows(tmp_path: Path) -> None:
    """A reader in step with the cutting sees text or a gap, whatever the moment."""
    path = tmp_path / "run.log"
    path.write_bytes(numbered(64 * GRAIN))
    cutter = (
        "import os, sys, time\n"
        "from runner_agent.logs.holes import GRAIN, punch\n"
        "fd = os.open(sys.argv[1], os.O_RDWR)\n"
        "print('ready', flush=True)\n"
        "for end in range(1, 64): punch(fd, end * GRAIN)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", cutter, path], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child, child.stdout as ready:
        ready.readline()
        offset = gaps = 0
        while offset < 63 * GRAIN:
            read = read_file(path, offset, 4 * GRAIN)
            if isinstance(read, Gone):
                assert read.resume > offset
                offset, gaps = read.resume, gaps + 1
            else:
                assert b"\0" not in read
    assert gaps > 0


async def test_a_log_that_is_written_for_a_moment_is_trimmed_without_watching(
    tmp_path: Path, inotify: Inotify
) -> None:
    cap, path = LogCap(inotify, CAP), tmp_path / "run.log"
    cap.watch(path)
    path.write_bytes(numbered(CAP + 10 * GRAIN))
    assert len(inotify) == 0
    cap.unwatch(path)
    extent = file_extent(path)
    assert extent.end - extent.first <= CAP
