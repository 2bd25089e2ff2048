"""Rule 5.5: the merged text of an execution has one order, fixed when first observed, the same ever after."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_agent.kit.inotify import Inotify
from runner_agent.kit.virtual import run
from runner_agent.logs.cap import LogCap
from runner_agent.logs.files import LogFiles
from runner_agent.logs.holes import GRAIN
from runner_agent.logs.logbook import Logbook
from runner_agent.logs.merged import MergedLog, Part, _cut
from runner_agent.logs.order import Order, Shape
from runner_agent.logs.reader import Extent, Gone, copy, follow, gap_line
from runner_agent.model.ids import ExecutionId, ServiceId, StepId
from runner_agent.model.phases import RunRole


class Scene:
    """An execution of steps a, b, ... whose logs are written by hand."""

    def __init__(self, folder: Path, inotify: Inotify, labels: str = "ab") -> None:
        self.folder, self.inotify = folder, inotify
        self.parts = [Part(f"id-{label}", label, folder / f"{label}.log") for label in labels]
        self.over: set[str] = set()
        self.merged = self.reopen()

    def reopen(self) -> MergedLog:
        """As the next agent does."""
        self.merged = MergedLog(self.folder / "x.order", self.parts, self.inotify, self.over.__contains__)
        return self.merged

    def write(self, label: str, data: bytes) -> None:
        with (self.folder / f"{label}.log").open("ab") as file:
            file.write(data)

    def end(self, *labels: str) -> None:
        self.over |= {f"id-{label}" for label in labels}
        self.merged.look_again()

    async def text(self, start: int = 0) -> bytes:
        extent = await self.merged.extent()
        return b"".join([chunk async for chunk in copy(self.merged, start, extent.end)])


@pytest.fixture
def scene(tmp_path: Path, inotify: Inotify) -> Scene:
    return Scene(tmp_path, inotify)


async def test_lines_carry_their_step_s_label(scene: Scene) -> None:
    scene.write("a", b"one\ntwo\n")
    scene.write("b", b"\x1b[32mgreen\n\n")
    assert await scene.text() == b"a | one\na | two\nb | \x1b[32mgreen\nb | \n"


async def test_the_order_is_that_of_observation(scene: Scene) -> None:
    scene.write("b", b"first seen\n")
    assert await scene.text() == b"b | first seen\n"
    scene.write("a", b"seen later\n")
    scene.write("b", b"and this\n")
    assert await scene.text() == b"b | first seen\na | seen later\nb | and this\n"


async def test_a_second_reader_and_a_restart_see_the_same_bytes(scene: Scene) -> None:
    for turn in range(20):
        scene.write("ba"[turn % 2], b"turn %d\n" % turn)
        await scene.text()
    text = await scene.text()
    again = scene.reopen()
    assert (await again.extent()).end == len(text)
    assert await scene.text() == text
    for offset in range(0, len(text), 7):
        assert await scene.text(offset) == text[offset:]
    scene.write("a", b"new\n")
    assert await scene.text() == text + b"a | new\n"


async def test_nothing_is_merged_while_nobody_reads(scene: Scene) -> None:
    scene.write("a", b"line\n")
    await asyncio.sleep(0.1)
    assert not (scene.folder / "x.order").exists()


async def test_an_unfinished_line_goes_on_behind_what_was_shown_of_it(scene: Scene) -> None:
    scene.write("a", b"50 %")
    assert await scene.text() == b"a | 50 %"
    scene.write("a", b" 60 %")
    assert await scene.text() == b"a | 50 % 60 %"
    scene.write("a", b" done\nlast")
    assert await scene.text() == b"a | 50 % 60 % done\na | last"
    scene.end("a")
    assert await scene.text() == b"a | 50 % 60 % done\na | last\n", "an end that was never written is added"


async def test_a_line_of_another_step_ends_what_was_shown_of_one(scene: Scene) -> None:
    scene.write("a", b"50 %")
    await scene.text()
    scene.write("b", b"meanwhile\n")
    assert await scene.text() == b"a | 50 %\nb | meanwhile\n"
    scene.write("a", b" done\n")
    assert await scene.text() == b"a | 50 %\nb | meanwhile\na |  done\n"
    assert await scene.merged.tail(2) == len(b"a | 50 %\n")


async def test_an_unfinished_line_is_followed_once_it_rests_and_not_before(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()
    monkeypatch.setattr("runner_agent.logs.rests.REST", 3600.0)
    scene.write("b", b"one\n")
    async with asyncio.timeout(60), aclosing(follow(scene.merged, 0, ended.wait)) as chunks:
        assert await anext(chunks) == b"b | one\n"
        scene.write("a", b"not ye")
        assert scene.merged.read(len(b"b | one\n")) == b""
        scene.write("a", b"t\n")
        assert await anext(chunks) == b"a | not yet\n", "whole, as it did not rest"
        monkeypatch.setattr("runner_agent.logs.rests.REST", 0.05)
        for dots in (b".", b"..", b"..."):
            scene.write("a", dots)
            assert await anext(chunks) == (b"a | " if dots == b"." else b"") + dots


async def test_what_grows_all_the_time_is_shown_all_the_same(scene: Scene) -> None:
    """A spinner never rests."""
    ended = asyncio.Event()

    async def spin() -> None:
        while True:
            scene.write("a", b"\r|")
            await asyncio.sleep(0.01)

    async with asyncio.timeout(60), aclosing(follow(scene.merged, 0, ended.wait)) as chunks:
        spinning = asyncio.ensure_future(spin())
        seen = b"".join([await anext(chunks) for _ in range(4)])
        spinning.cancel()
    assert seen.startswith(b"a | \ra | |\ra | |\ra | |")


async def test_a_carriage_return_never_writes_over_a_prefix(scene: Scene) -> None:
    scene.write("a", b"10%\r50%\r\rdone\r\nnext\r\r\n")
    text = b"a | 10%\ra | 50%\r\ra | done\r\na | next\r\r\n"
    assert await scene.text() == text
    scene.write("a", b"1\r")
    assert await scene.text() == (text := text + b"a | 1\r")
    scene.write("a", b"2\r")
    assert await scene.text() == (text := text + b"a | 2\r")
    scene.write("a", b"\n3")
    assert await scene.text() == (text := text + b"\na | 3")
    scene.reopen()
    assert await scene.text() == text


async def test_what_is_half_a_character_or_colour_is_not_shown_until_it_is_whole(scene: Scene) -> None:
    for half, whole in (("€".encode()[:2], "€".encode()), (b"\x1b[3", b"\x1b[31m")):
        shown = await scene.text()
        scene.write("a", half)
        assert await scene.text() == shown
        scene.write("a", whole[len(half) :])
        assert await scene.text() == (shown or b"a | ") + whole


async def test_texts_that_were_merged_by_0_1_read_as_they_did(scene: Scene) -> None:
    order = Order(scene.folder / "x.order", [(part.id, part.label) for part in scene.parts])
    scene.write("a", b"10%\r50%\nlast")
    scene.write("b", b"two\n")
    old = b"a | 10%\r50%\na | last\nb | two\n"
    order.append(0, Shape.LINES, 8, len(b"a | 10%\r50%\n"))
    order.append(0, Shape.PIECE, 12, len(b"a | last\n"))
    order.append(1, Shape.LINES, 4, len(b"b | two\n"))
    scene.reopen()
    assert await scene.text() == old
    scene.write("b", b"new")
    assert await scene.text() == old + b"b | new"


async def test_following_gives_lines_as_they_end_and_all_of_them(scene: Scene) -> None:
    ended = asyncio.Event()
    async with asyncio.timeout(60), aclosing(follow(scene.merged, 0, ended.wait)) as chunks:
        first = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0.01)
        scene.write("b", b"one\nhalf")
        assert await first == b"b | one\n"
        scene.end("b")
        assert await anext(chunks) == b"b | half\n"
        scene.write("a", b"final\nwords")
        scene.end("a")
        ended.set()
        assert b"".join([chunk async for chunk in chunks]) == b"a | final\na | words\n"


async def test_many_followers_of_busy_steps_see_the_same_text(tmp_path: Path, inotify: Inotify) -> None:
    scene, ended = Scene(tmp_path, inotify, "abc"), asyncio.Event()

    async def reader() -> bytes:
        async with aclosing(follow(scene.merged, 0, ended.wait)) as chunks:
            return b"".join([chunk async for chunk in chunks])

    reading = [asyncio.create_task(reader()) for _ in range(10)]
    script = "import os\nfor i in range(3000): os.write(1, b'line %d\\n' % i)"
    children: list[asyncio.subprocess.Process] = []
    for part in scene.parts:
        with part.path.open("wb") as file:
            children.append(await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=file))
    assert [await child.wait() for child in children] == [0, 0, 0]
    ended.set()
    texts = set(await asyncio.gather(*reading))
    assert len(texts) == 1
    (text,) = texts
    for label in (b"a", b"b", b"c"):
        own = [line for line in text.splitlines() if line.startswith(label)]
        assert own == [label + b" | line %d" % number for number in range(3000)]
    scene.reopen()
    assert await scene.text() == text


async def test_a_long_line_stays_whole_if_nothing_comes_between(scene: Scene) -> None:
    scene.write("a", "€".encode() * 50_000)
    scene.end("a")
    assert await scene.text() == b"a | " + "€".encode() * 50_000 + b"\n"
    assert await scene.merged.tail(1) == 0


async def test_a_progress_bar_of_carriage_returns_is_cut_after_one(scene: Scene) -> None:
    scene.write("a", b"".join(b"\r%6d %%" % number for number in range(20_000)))
    text = await scene.text()
    assert text == b"a | " + b"".join(b"\ra | %6d %%" % number for number in range(20_000))
    order = Order(scene.folder / "x.order", [(part.id, part.label) for part in scene.parts])
    assert [order[index].shape for index in range(len(order))][:2] == [Shape.RETURN, Shape.RETURN]


@given(st.text(alphabet="aé€😀", min_size=20, max_size=40), st.integers(10, 20))
def test_a_cut_never_splits_a_character(text: str, size: int) -> None:
    data = text.encode()[:size]
    assert size - 3 <= _cut(data) <= size
    assert data[: _cut(data)].decode()


@pytest.mark.parametrize("data", [b"\xff" * 10, b"\x80" * 10, b"a" * 10, b"\xc3" * 10])
def test_a_cut_of_what_is_no_text_still_gets_ahead(data: bytes) -> None:
    assert _cut(data) >= 7


@pytest.mark.parametrize(
    "sequence", [b"\x1b[38;5;196m", b"\x1b]8;;http://host/\x07", b"\x1b]0;t\x1b\\", b"\x1b(B"]
)
def test_a_cut_never_splits_what_colours_a_terminal(sequence: bytes) -> None:
    text = b"x" * 60
    for begun in range(1, len(sequence)):
        assert _cut(text + sequence[:begun]) == len(text)
    assert _cut(text + sequence) == len(text + sequence)
    assert _cut(text + sequence + b"y") == len(text + sequence) + 1


def test_a_cut_of_nothing_but_an_endless_sequence_still_gets_ahead() -> None:
    assert _cut(b"\x1b]" + b"x" * 1000) == 1002
    assert _cut(b"\x1b[" * 1) == 2


BIG = """
import asyncio, resource, sys
from pathlib import Path
from runner_agent.kit.inotify import Inotify
from runner_agent.logs.merged import MergedLog, Part

async def main():
    folder = Path(sys.argv[1])
    log = MergedLog(folder / "x.order", [Part("a", "a", folder / "a.log")], Inotify(), lambda _: True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = (await log.extent()).end
    offset = await log.tail(1)
    assert log.read(offset)
    print(size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "megabytes", [pytest.param(100, id="100MB"), pytest.param(1000, id="1GB", marks=pytest.mark.heavy)]
)
def test_a_huge_line_is_merged_in_bounded_memory(tmp_path: Path, megabytes: int) -> None:
    with (tmp_path / "a.log").open("wb") as file:
        for _ in range(megabytes):
            file.write(b"x" * 1_000_000)
    done = subprocess.run(
        [sys.executable, "-c", BIG, tmp_path], capture_output=True, text=True, check=True, timeout=60
    )
    size, grown = map(int, done.stdout.split())
    assert size == megabytes * 1_000_000 + len("a | \n")
    assert grown < 8 * 1024  # KiB


async def test_what_was_gone_before_its_turn_is_a_gap_for_good(tmp_path: Path, inotify: Inotify) -> None:
    scene = Scene(tmp_path, inotify)
    scene.write("a", b"old line\n" * 30_000)
    LogCap(inotify, GRAIN).trim(tmp_path / "a.log")
    scene.write("b", b"b\n")
    text = await scene.text()
    assert text.startswith(b"a | runner-agent: 262144 bytes are gone")
    assert text.endswith(b"a | old line\nb | b\n")
    assert (await scene.merged.extent()).first == 0
    assert b"\0" not in text
    scene.reopen()
    assert await scene.text() == text


async def test_what_goes_after_its_turn_moves_the_beginning(tmp_path: Path, inotify: Inotify) -> None:
    scene = Scene(tmp_path, inotify)
    scene.write("b", b"early\n")
    scene.write("a", b"old line\n" * 30_000)
    text = await scene.text()
    scene.write("b", b"late\n")
    text = await scene.text()
    LogCap(inotify, 2 * GRAIN).trim(tmp_path / "a.log")
    extent = await scene.merged.extent()
    assert 0 < extent.first < extent.end == len(text)
    assert scene.merged.read(0) == Gone(extent.first) or scene.merged.read(len(b"b | early\n")) == Gone(
        extent.first
    )
    assert await scene.text(extent.first) == text[extent.first :]
    ended = asyncio.Event()
    ended.set()
    async with aclosing(follow(scene.merged, extent.first - 1, ended.wait)) as chunks:
        seen = b"".join([chunk async for chunk in chunks])
    assert seen == gap_line(extent.first - 1, extent.first) + text[extent.first :]
    assert await scene.merged.tail(10**6) == extent.first


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 5, 6, 7, 100])
async def test_tail_counts_lines_of_the_merged_text(scene: Scene, lines: int) -> None:
    for label, data in (("a", b"1\n2\n3\n"), ("b", b"4\n"), ("a", b"5\n6\n")):
        scene.write(label, data)
        await scene.text()
    text = await scene.text()
    expected = b"".join(text.splitlines(keepends=True)[-lines:]) if lines else b""
    assert text[await scene.merged.tail(lines) :] == expected


async def test_a_truncated_step_ends_what_can_be_read_of_it_and_no_more(scene: Scene) -> None:
    scene.write("a", b"first\nsecond\n")
    scene.write("b", b"other\n")
    before = await scene.text()
    (scene.folder / "a.log").write_bytes(b"x\n")
    extent = await scene.merged.extent()
    assert extent == Extent(len(b"a | first\na | second\n"), len(before))
    assert scene.merged.read(0) == Gone(extent.first)
    assert await scene.text(extent.first) == b"b | other\n"


async def test_a_deleted_step_is_no_error(scene: Scene) -> None:
    scene.write("a", b"first\n")
    await scene.text()
    (scene.folder / "a.log").unlink()
    assert await scene.text() == b""
    scene.write("b", b"other\n")
    extent = await scene.merged.extent()
    assert await scene.text(extent.first) == b"b | other\n"


WRITTEN = st.binary(max_size=12) | st.text("a.\r\n", max_size=6).map(str.encode)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), WRITTEN, st.booleans()), max_size=12),
    st.integers(0, 3),
)
def test_law_each_step_s_text_is_whole_and_what_was_seen_stays(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, bytes, bool]], every: int
) -> None:
    async def history() -> None:
        scene = Scene(tmp_path_factory.mktemp("merged"), Inotify(), "abc")
        written = dict.fromkeys("abc", b"")
        seen = b""
        for turn, (label, data, restart) in enumerate(moves):
            scene.write(label, data)
            written[label] += data
            if restart:
                scene.reopen()
            if every and turn % every == 0:
                text = await scene.text()
                assert text.startswith(seen)
                seen = text
        scene.over.update(part.id for part in scene.parts)
        text = await scene.text()
        assert text.startswith(seen)
        lines = [line for line in text.split(b"\n") if line]
        for label, data in written.items():
            prefix = label.encode() + b" | "
            own = [line for line in lines if line.startswith(prefix)]
            # A terminal that goes back to the first column meets the prefix there.
            drawn = [part for line in own for part in re.split(rb"\r+", line) if part]
            assert all(part.startswith(prefix) for part in drawn)
            assert b"".join(own).replace(prefix, b"") == data.replace(b"\n", b"").replace(prefix, b"")
        assert all(line[:4] in {b"a | ", b"b | ", b"c | "} for line in lines)
        for offset in range(0, len(text), 5):
            assert await scene.text(offset) == text[offset:]
        for count in range(1, 4):
            if b"\r" not in text:  # where Python begins a line too
                expected = b"".join(text.splitlines(keepends=True)[-count:])
                assert text[await scene.merged.tail(count) :] == expected

    run(history())


async def test_a_torn_or_senseless_end_of_the_order_is_cut_off(scene: Scene) -> None:
    scene.write("a", b"one\n")
    text = await scene.text()
    path = scene.folder / "x.order"
    good = path.read_bytes()
    for rubbish in (b"\0" * 64, b"\xff" * 40, good[-32:], b"x"):
        path.write_bytes(good + rubbish)
        scene.reopen()
        assert await scene.text() == text
    scene.write("b", b"two\n")
    assert await scene.text() == text + b"b | two\n"
    scene.reopen()
    assert await scene.text() == text + b"b | two\n"


async def test_an_order_of_other_parts_is_replaced(tmp_path: Path, inotify: Inotify) -> None:
    scene = Scene(tmp_path, inotify)
    scene.write("b", b"line\n")
    await scene.text()
    scene = Scene(tmp_path, inotify, "b")
    assert await scene.text() == b"b | line\n"
    scene.reopen()
    assert await scene.text() == b"b | line\n"


async def test_a_full_disk_leaves_the_order_in_memory_until_there_is_room(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    path = scene.folder / "x.order"
    path.symlink_to("/dev/full")
    scene.write("b", b"first seen\n")
    assert await scene.text() == b"b | first seen\n"
    scene.write("a", b"then\n")
    assert await scene.text() == b"b | first seen\na | then\n"
    assert caplog.text.count("cannot write down the order") == 1
    path.unlink()
    scene.write("a", b"room\n")
    text = await scene.text()
    scene.reopen()
    assert await scene.text() == text == b"b | first seen\na | then\na | room\n"


def test_an_order_is_appended_to_and_never_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "x.order"
    order, before = Order(path, [("1", "a")]), b""
    for stop in (10, 25, 30):
        order.append(0, Shape.LINES, stop, 100)
        assert path.read_bytes().startswith(before)
        before = path.read_bytes()
    assert (order.end, order.position(0), len(order)) == (300, 30, 3)
    assert [order.find(offset) for offset in (0, 99, 100, 299)] == [0, 0, 1, 2]


async def test_readers_of_one_execution_share_its_text(files: LogFiles, inotify: Inotify) -> None:
    book = Logbook(files, inotify)
    steps = [(StepId("s1"), "build"), (StepId("s2"), "test")]
    one = book.execution(ExecutionId("e1"), steps, lambda _: False)
    assert book.execution(ExecutionId("e1"), steps, lambda _: False) is one
    assert book.execution(ExecutionId("e2"), steps, lambda _: False) is not one
    files.prepare(files.run(StepId("s2")))
    files.run(StepId("s2")).write_bytes(b"ok\n")
    assert (await one.extent()).end == len(b"test | ok\n")
    assert files.order(ExecutionId("e1")).stat().st_mode & 0o777 == 0o600
    assert files.order(ExecutionId("e1")).parent.stat().st_mode & 0o777 == 0o700
    assert one.read(0) == b"test | ok\n"
    log = book.run(StepId("s2"))
    assert book.run(StepId("s2")) is log
    assert log.read(0) == b"ok\n"
    assert book.service(ServiceId("s"), RunRole.READY).path == files.service(ServiceId("s"), RunRole.READY)
