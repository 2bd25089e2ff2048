"""Reading by offset, from the end, and for as long as a log grows (rules 5.4, 5.5)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_agent.kit.inotify import Inotify
from runner_agent.kit.virtual import run
from runner_agent.logs.cap import LogCap
from runner_agent.logs.files import MARK
from runner_agent.logs.holes import GRAIN
from runner_agent.logs.reader import CHUNK, Extent, FileLog, Gone, copy, follow, gap_line

if TYPE_CHECKING:
    from pathlib import Path


async def read_all(log: FileLog, start: int = 0, end: int = 10**12) -> bytes:
    return b"".join([chunk async for chunk in copy(log, start, end)])


async def follow_all(log: FileLog, ended: asyncio.Event, start: int = 0) -> bytes:
    async with aclosing(follow(log, start, ended.wait)) as chunks:
        return b"".join([chunk async for chunk in chunks])


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


async def test_a_log_that_does_not_exist_yet_is_empty(tmp_path: Path, inotify: Inotify) -> None:
    log = FileLog(tmp_path / "run.log", inotify)
    assert await log.extent() == Extent(0, 0)
    assert await log.tail(10) == 0
    assert log.read(0) == b""


async def test_reading_gives_the_very_bytes(tmp_path: Path, inotify: Inotify) -> None:
    """Split characters, colours and bytes that are no text at all pass untouched."""
    content = b"caf\xc3" + "é\x1b[31mrot".encode() + bytes(range(256)) * 1000 + b"\xe2\x82"
    log = FileLog(tmp_path / "run.log", inotify)
    log.path.write_bytes(content)
    assert await read_all(log) == content
    assert await read_all(log, 4, 7) == content[4:7]
    assert await log.extent() == Extent(0, len(content))


@given(
    st.lists(
        st.sampled_from([b"", b"a", b"two words", b"x" * (CHUNK - 1), b"x" * (2 * CHUNK + 1)]), max_size=6
    ),
    st.booleans(),
    st.integers(0, 8),
)
def test_tail_begins_where_the_last_lines_do(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ended: bool, wanted: int
) -> None:
    content = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    log = FileLog(tmp_path_factory.mktemp("tail") / "run.log", Inotify())
    log.path.write_bytes(content)
    expected = content.splitlines(keepends=True)[-wanted:] if wanted else []
    assert content[run(log.tail(wanted)) :] == b"".join(expected)


async def test_tail_stays_above_the_first_kept_byte(tmp_path: Path, inotify: Inotify) -> None:
    log = FileLog(tmp_path / "run.log", inotify)
    log.path.write_bytes(b"x" * 8 * GRAIN)
    LogCap(inotify, 2 * GRAIN).trim(log.path)
    assert await log.tail(1) == 6 * GRAIN


async def test_following_gives_what_is_there_and_what_comes(tmp_path: Path, inotify: Inotify) -> None:
    log, ended = FileLog(tmp_path / "run.log", inotify), asyncio.Event()
    log.path.write_bytes(b"there\n")
    async with asyncio.timeout(60), aclosing(follow(log, 0, ended.wait)) as chunks:
        assert await anext(chunks) == b"there\n"
        append(log.path, b"comes\n")
        assert await anext(chunks) == b"comes\n"
        append(log.path, b"the last, without its end")
        ended.set()
        assert b"".join([chunk async for chunk in chunks]) == b"the last, without its end"


async def test_following_begins_before_the_file_does(tmp_path: Path, inotify: Inotify) -> None:
    log, ended = FileLog(tmp_path / "runs" / "run.log", inotify), asyncio.Event()
    async with asyncio.timeout(60), aclosing(follow(log, 0, ended.wait)) as chunks:
        first = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0.01)
        log.path.parent.mkdir()
        log.path.write_bytes(b"at last\n")
        assert await first == b"at last\n"


async def test_following_what_has_ended_ends(tmp_path: Path, inotify: Inotify) -> None:
    log, ended = FileLog(tmp_path / "run.log", inotify), asyncio.Event()
    ended.set()
    assert await follow_all(log, ended) == b""
    log.path.write_bytes(b"x" * 3 * CHUNK)
    assert await follow_all(log, ended) == b"x" * 3 * CHUNK
    assert await follow_all(log, ended, 3 * CHUNK - 2) == b"xx"


async def test_the_bytes_written_just_before_the_end_are_never_missed(
    tmp_path: Path, inotify: Inotify
) -> None:
    for turn in range(50):
        log, ended = FileLog(tmp_path / f"{turn}.log", inotify), asyncio.Event()
        following = asyncio.create_task(follow_all(log, ended))
        for _ in range(turn % 5):
            await asyncio.sleep(0)
        log.path.write_bytes(b"short run\n")
        ended.set()
        assert await following == b"short run\n"


async def test_an_error_of_the_end_comes_after_the_last_byte(tmp_path: Path, inotify: Inotify) -> None:
    log = FileLog(tmp_path / "run.log", inotify)
    log.path.write_bytes(b"text")

    async def ended() -> None:
        raise LookupError("the service is gone")

    async with aclosing(follow(log, 0, ended)) as chunks:
        assert await anext(chunks) == b"text"
        with pytest.raises(LookupError, match="is gone"):
            await anext(chunks)


async def test_a_reader_who_leaves_lets_go(tmp_path: Path, inotify: Inotify) -> None:
    log, ended = FileLog(tmp_path / "run.log", inotify), asyncio.Event()
    following = asyncio.create_task(follow_all(log, ended))
    await asyncio.sleep(0.01)
    assert len(inotify) == 1
    following.cancel()
    await asyncio.wait([following])
    assert len(inotify) == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_rule_5_5_one_gap_line_stands_for_what_is_gone(tmp_path: Path, inotify: Inotify) -> None:
    log, ended = FileLog(tmp_path / "run.log", inotify), asyncio.Event()
    log.path.write_bytes(b"old\n" * (GRAIN // 4) * 4 + b"new\n")
    LogCap(inotify, 2 * GRAIN).trim(log.path)
    ended.set()
    text = await follow_all(log, ended, 4)
    assert text.count(MARK.encode()) == 1
    line, rest = text.split(b"\n", 1)
    assert (
        line.decode()
        == f"{MARK}{3 * GRAIN - 4} bytes are gone, the log is over its cap; going on at offset {3 * GRAIN}"
    )
    assert rest == b"old\n" * (GRAIN // 4) + b"new\n"


async def test_a_gap_within_a_line_gets_a_line_of_its_own(tmp_path: Path, inotify: Inotify) -> None:
    log, ended = FileLog(tmp_path / "run.log", inotify), asyncio.Event()
    log.path.write_bytes(b"x" * 4 * GRAIN)
    async with aclosing(follow(log, 0, ended.wait)) as chunks:
        seen = await anext(chunks)
        LogCap(inotify, 2 * GRAIN).trim(log.path)
        ended.set()
        seen += b"".join([chunk async for chunk in chunks])
    assert seen == b"x" * GRAIN + b"\n" + gap_line(GRAIN, 2 * GRAIN) + b"x" * 2 * GRAIN


async def test_an_offset_beyond_the_end_waits_for_what_comes(tmp_path: Path, inotify: Inotify) -> None:
    log, ended = FileLog(tmp_path / "run.log", inotify), asyncio.Event()
    log.path.write_bytes(b"there\n")
    async with asyncio.timeout(60), aclosing(follow(log, 10**6, ended.wait)) as chunks:
        first = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0.01)
        append(log.path, b"comes\n")
        assert await first == b"comes\n"


async def test_an_answer_of_known_length_is_cut_and_not_filled(tmp_path: Path, inotify: Inotify) -> None:
    log = FileLog(tmp_path / "run.log", inotify)
    log.path.write_bytes(b"x" * 8 * GRAIN)
    async with aclosing(copy(log, 0, 8 * GRAIN)) as chunks:
        seen = await anext(chunks)
        LogCap(inotify, 2 * GRAIN).trim(log.path)
        seen += b"".join([chunk async for chunk in chunks])
    assert seen == b"x" * CHUNK


async def test_a_truncated_log_is_read_from_its_beginning(tmp_path: Path, inotify: Inotify) -> None:
    log, ended = FileLog(tmp_path / "run.log", inotify), asyncio.Event()
    log.path.write_bytes(b"a long line\n")
    async with asyncio.timeout(60), aclosing(follow(log, 0, ended.wait)) as chunks:
        assert await anext(chunks) == b"a long line\n"
        log.path.write_bytes(b"short\n")
        assert await anext(chunks) == gap_line(12, 0)
        assert await anext(chunks) == b"short\n"
    assert log.read(100) == Gone(0)


async def test_a_hundred_followers_share_one_watch_and_each_sees_all(
    tmp_path: Path, inotify: Inotify
) -> None:
    log, ended = FileLog(tmp_path / "run.log", inotify), asyncio.Event()
    following = [asyncio.create_task(follow_all(FileLog(log.path, inotify), ended)) for _ in range(100)]
    await asyncio.sleep(0.01)
    assert len(inotify) == 1
    script = "import os\nfor i in range(20000): os.write(1, b'line %d\\n' % i)"
    with log.path.open("wb") as file:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=file)
        assert await child.wait() == 0
    ended.set()
    texts = await asyncio.gather(*following)
    assert set(texts) == {b"".join(b"line %d\n" % number for number in range(20000))}


FOLLOWER = """
import asyncio, sys
from pathlib import Path
from runner_agent.kit.inotify import Inotify
from runner_agent.logs.reader import FileLog, follow

async def main():
    async for chunk in follow(FileLog(Path(sys.argv[1]), Inotify()), 0, asyncio.Event().wait):
        print(len(chunk), flush=True)

asyncio.run(main())
"""


def test_killing_a_reader_is_nothing_to_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    script = "import os, time\nfor i in range(200): os.write(1, b'line %d\\n' % i); time.sleep(0.002)"
    with path.open("wb") as file:
        writer = subprocess.Popen([sys.executable, "-c", script], stdout=file)
    reader = subprocess.Popen([sys.executable, "-c", FOLLOWER, path], stdout=subprocess.PIPE)
    assert reader.stdout is not None
    with reader, reader.stdout as seen:
        assert seen.readline()
        os.kill(reader.pid, signal.SIGKILL)
    assert writer.wait() == 0
    assert path.read_bytes() == b"".join(b"line %d\n" % number for number in range(200))
