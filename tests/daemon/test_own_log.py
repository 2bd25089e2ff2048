"""The agent's own log: whatever its stream is, nobody waits for it, and losses are told (rule 7.6)."""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import TYPE_CHECKING

import pytest

from runner_agent.daemon import own_log
from runner_agent.daemon.own_log import OwnLog
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

LONG = 60.0


@pytest.fixture
def pipe() -> Generator[tuple[int, int]]:
    """Its two ends."""
    source, sink = os.pipe()
    yield source, sink
    for each in (source, sink):
        try:
            os.close(each)
        except OSError as error:
            assert error.errno == errno.EBADF  # noqa: PT017  a test has closed it


def test_lines_in_order(pipe: tuple[int, int]) -> None:
    log = OwnLog(pipe[1])
    for number in range(100):
        log.put(f"line {number}")
    log.settle(LONG)
    assert os.read(pipe[0], 1 << 16).decode().splitlines() == [f"line {number}" for number in range(100)]


def test_a_reader_that_comes_back_is_told_how_much_it_missed(tmp_path: Path) -> None:
    """EPIPE, as often as it comes."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    first = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = OwnLog(os.open(path, os.O_WRONLY))
    log.put("before")
    log.settle(LONG)
    assert os.read(first, 1 << 16) == b"before\n"
    os.close(first)
    for _ in range(7):
        log.put("to nobody")
    log.settle(LONG)
    second = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log.put("after")
    log.put("and on")
    log.settle(LONG)
    told = os.read(second, 1 << 16).decode().splitlines()
    assert told == ["7 lines of the agent's log are lost: they could not be written", "after", "and on"]
    os.close(second)


def test_a_full_disk_is_not_for_ever(tmp_path: Path) -> None:
    """As /dev/full has it."""
    full, good = os.open("/dev/full", os.O_WRONLY), os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT, 0o600)
    log = OwnLog(full)
    log.put("lost")
    log.settle(LONG)
    os.dup2(good, full)
    log.put("kept")
    log.settle(LONG)
    assert (tmp_path / "log").read_text().splitlines() == [
        "1 lines of the agent's log are lost: they could not be written",
        "kept",
    ]
    for each in (full, good):
        os.close(each)


@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "O_NONBLOCK"])
def test_a_pipe_that_nobody_reads_holds_nobody_up(
    pipe: tuple[int, int], blocking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither who logs nor who ends. Once it is read: what was kept, and the number of the rest."""
    monkeypatch.setattr(own_log, "MOST", 50)
    os.set_blocking(pipe[1], blocking)
    log = OwnLog(pipe[1])
    began = time.monotonic()
    for number in range(400):
        log.put(f"{number} " + "x" * 4000)
    log.settle(0.01)
    assert time.monotonic() - began < LONG / 2
    os.set_blocking(pipe[0], False)
    got = bytearray()

    def read(until: bytes) -> bool:
        try:
            got.extend(os.read(pipe[0], 1 << 20))
        except BlockingIOError:
            pass
        return until in got

    first_numbers = [b"%d " % number for number in range(10)]
    wait_until(lambda: read(first_numbers[-1]), LONG)
    wait_until(lambda: read(b"") and log._lines.qsize() == 0, LONG)
    log.put("the last")
    wait_until(lambda: read(b"the last\n"), LONG)
    lines = bytes(got).decode().splitlines()
    kept = [int(line.partition(" ")[0]) for line in lines if line.endswith("x")]
    told = [int(line.partition(" ")[0]) for line in lines if line.endswith("could not be written")]
    assert kept == sorted(set(kept))
    assert lines[-1] == "the last"
    assert sum(told) == 400 - len(kept) > 0


def test_journald_first_then_the_stream(pipe: tuple[int, int], scratch: Path) -> None:
    """Its own protocol where it listens; what it does not take is a line."""
    path = str(scratch / "journal")
    log = OwnLog(pipe[1], path)
    log.put("line 1", b"entry 1")
    log.settle(LONG)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(LONG)
        log.put("line 2", b"entry 2")
        log.settle(LONG)
        assert listener.recv(1 << 16) == b"entry 2"
    log.put("line 3", b"entry 3")
    log.settle(LONG)
    assert os.read(pipe[0], 1 << 16) == b"line 1\nline 3\n"


def test_a_journald_that_takes_nothing_holds_nobody_up(pipe: tuple[int, int], scratch: Path) -> None:
    path = str(scratch / "journal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        log = OwnLog(pipe[1], path)
        began = time.monotonic()
        for number in range(3000):
            log.put("line", b"%d" % number)
        log.settle(0.01)
        assert time.monotonic() - began < LONG / 2
    log.settle(LONG)  # nobody listens any more, so the stream has the rest
    assert os.read(pipe[0], 1 << 16).startswith(b"line\n")
