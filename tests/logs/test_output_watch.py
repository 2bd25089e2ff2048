"""Rule 5.3: outputs are published while the command runs, within 500 ms, and whole when it has ended."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from typing import TYPE_CHECKING

import pytest

from runner_agent.kit.bell import Bell
from runner_agent.logs.output_watch import _TURN, OutputNews, OutputWatch, output_name
from runner_agent.logs.outputs import BadLine, Mark
from runner_agent.model.ids import Reference
from runner_agent.model.phases import RunRole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from runner_agent.kit.inotify import Inotify


class Published:
    """What a watch published, merged as the agent merges it."""

    def __init__(self, path: Path, inotify: Inotify, mark: Mark | None = None, *, after: float = 0) -> None:
        self.path = path
        self.outputs: dict[str, str] = {}
        self.bad: list[BadLine] = []
        self.troubles: list[str] = []
        self.mark = mark or Mark()
        self.news = 0
        self.bell = Bell()
        self.watch = OutputWatch(path, inotify, self._publish, mark, after=after)

    def _publish(self, news: OutputNews) -> None:
        self.outputs |= news.outputs
        self.bad += news.bad_lines
        self.mark = news.mark
        self.troubles += [news.trouble] if news.trouble else []
        self.news += 1
        self.bell.ring()

    def append(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    async def until(self, outputs: dict[str, str]) -> float:
        """Wait for these outputs; gives the seconds it took."""
        began = time.monotonic()
        async with asyncio.timeout(60):
            while self.outputs != outputs:
                await self.bell.wait(self.bell.rings)
        return time.monotonic() - began


@pytest.fixture
async def published(tmp_path: Path, inotify: Inotify) -> AsyncIterator[Published]:
    (tmp_path / "x.output").touch()
    watched = Published(tmp_path / "x.output", inotify)
    yield watched
    watched.watch.close()


def test_rule_5_3_the_names_of_the_files() -> None:
    reference = Reference("web-1")
    assert output_name(RunRole.START, reference) == "gitpod-service-start-web-1.output"
    assert output_name(RunRole.READY, reference) == "gitpod-service-ready-web-1.output"
    assert output_name(RunRole.STOP, reference) == "gitpod-service-stop-web-1.output"
    assert output_name(RunRole.TASK, reference) == "gitpod-task-web-1.output"


@pytest.mark.parametrize("text", ["a=1\n", "a<<E\n1\nE\n", "a=1"], ids=["line", "block", "no line end"])
async def test_rule_5_3_published_within_500_ms(tmp_path: Path, inotify: Inotify, text: str) -> None:
    """The quickest of some, and the most of many: a machine with much else to do is late now and then."""
    took = list[float]()
    while not took or min(took) >= 0.5:
        assert len(took) < 10, took
        published = Published(tmp_path / f"{len(took)}.output", inotify)
        await asyncio.sleep(0.06)
        published.append(text)
        took.append(await published.until({"a": "1"}))
        published.watch.close()


async def test_rule_5_3_in_a_stream_of_writes_each_is_published_within_500_ms(published: Published) -> None:
    took = list[float]()
    for number in range(20):
        published.append(f"n={number}\n")
        took.append(await published.until({"n": str(number)}))
    assert statistics.median(took) < 0.5, took


async def test_a_file_made_later_is_found(tmp_path: Path, inotify: Inotify) -> None:
    watched = Published(tmp_path / "later" / "x.output", inotify)
    await asyncio.sleep(0.01)
    watched.path.parent.mkdir()
    watched.append("a=1\n")
    await watched.until({"a": "1"})
    watched.watch.close()


async def test_a_line_in_two_writes_is_one_line(published: Published) -> None:
    published.append("port=80")
    await published.until({"port": "80"})
    published.append("80\n")
    await published.until({"port": "8080"})
    assert published.bad == []


async def test_before_a_phase_change_all_that_was_written_is_published(published: Published) -> None:
    published.append("a=1\nb=2")
    await published.watch.look()
    assert published.outputs == {"a": "1", "b": "2"}


async def test_at_the_end_everything_is_published_and_bad_lines_are_told(published: Published) -> None:
    published.append("a=1\noops\nb<<NEVER\nc=3")
    await published.watch.finish()
    assert published.outputs == {"a": "1", "c": "3"}
    assert [bad.line for bad in published.bad] == [2, 3]


async def test_an_empty_value_is_handed_on_as_what_unsets(published: Published) -> None:
    published.append("a=1\n")
    published.append("a=\n")
    await published.watch.finish()
    assert published.outputs == {"a": ""}


async def test_rule_5_3_a_file_that_shrank_is_read_anew(published: Published) -> None:
    published.append("a=1\nb=2\n")
    await published.until({"a": "1", "b": "2"})
    published.path.write_text("c=3\n")
    await published.until({"a": "1", "b": "2", "c": "3"})
    published.append("d=4\n")
    await published.until({"a": "1", "b": "2", "c": "3", "d": "4"})


async def test_a_file_rewritten_at_the_same_length_is_read_anew(published: Published) -> None:
    """`>` where `>>` was meant."""
    published.path.write_text("a=1\n")
    await published.until({"a": "1"})
    published.path.write_text("b=2\n")
    await published.until({"a": "1", "b": "2"})


async def test_a_file_replaced_by_renaming_is_read_anew(published: Published, tmp_path: Path) -> None:
    """As `sed -i` does."""
    published.append("a=1\nb=2\n")
    await published.until({"a": "1", "b": "2"})
    (tmp_path / "new").write_text("a=9\nb=2\nc=3\n")
    (tmp_path / "new").rename(published.path)
    await published.until({"a": "9", "b": "2", "c": "3"})


async def test_after_a_restart_it_goes_on_at_the_mark(tmp_path: Path, inotify: Inotify) -> None:
    first = Published(tmp_path / "x.output", inotify)
    first.append("url=old\nhalf=")
    await first.watch.look()
    first.watch.close()
    first.append("whole\n")
    second = Published(first.path, inotify, first.mark)
    await second.until({"half": "whole"})
    second.watch.close()
    third = Published(first.path, inotify, Mark(10_000, 5))
    await third.watch.look()
    third.watch.close()
    assert third.outputs == {"url": "old", "half": "whole"}


async def test_a_quiet_file_publishes_nothing(published: Published) -> None:
    published.append("a=1\n")
    await published.until({"a": "1"})
    news = published.news
    await asyncio.sleep(0.4)
    assert published.news == news


async def test_links_and_pipes_are_not_read(tmp_path: Path, inotify: Inotify) -> None:
    (tmp_path / "private").write_text("token=x\n")
    (tmp_path / "link.output").symlink_to(tmp_path / "private")
    os.mkfifo(tmp_path / "pipe.output")
    for name in ("link.output", "pipe.output", "folder.output"):
        if name.startswith("folder"):
            (tmp_path / name).mkdir()
        watched = Published(tmp_path / name, inotify)
        await watched.watch.look()
        await watched.watch.finish()
        assert watched.outputs == {}


def _removed(path: Path, _: Path) -> None:
    path.unlink()


def _linked(path: Path, private: Path) -> None:
    path.unlink()
    path.symlink_to(private)


def _linked_hard(path: Path, private: Path) -> None:
    path.unlink()
    path.hardlink_to(private)


def _piped(path: Path, _: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folded(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


REPLACED = [
    (_removed, "was removed"),
    (_linked, "is a symbolic link now"),
    (_linked_hard, "has a second name"),
    (_piped, "is a pipe (FIFO) now"),
    (_folded, "is a folder now"),
]


@pytest.mark.parametrize(("replace", "told"), REPLACED)
@pytest.mark.parametrize("lasting", [True, False], ids=["while it runs", "at its end"])
async def test_what_is_in_the_file_s_place_is_told_once_and_never_read(
    published: Published, tmp_path: Path, replace: Callable[[Path, Path], None], told: str, *, lasting: bool
) -> None:
    (tmp_path / "private").write_text("token=x\n")
    published.append("a=1\n")
    await published.until({"a": "1"})
    replace(published.path, tmp_path / "private")
    if lasting:
        async with asyncio.timeout(60):
            while not published.troubles:
                await published.bell.wait(published.bell.rings)
    for _ in range(2):
        await published.watch.look()
    await published.watch.finish()
    assert published.outputs == {"a": "1"}
    assert [trouble.startswith(told) for trouble in published.troubles] == [True]


async def test_a_file_that_is_there_again_is_read_again(published: Published) -> None:
    published.path.unlink()
    published.path.mkdir()
    await published.watch.look()
    published.path.rmdir()
    published.append("a=1\n")
    await published.until({"a": "1"})


async def test_a_large_file_leaves_turns_to_others(tmp_path: Path, inotify: Inotify) -> None:
    path = tmp_path / "x.output"
    path.write_text("".join(f"key{number % 50}={number}\n" for number in range(40_000)))
    watched = Published(path, inotify)
    steps, before = set[int](), 0
    async with asyncio.timeout(60):
        while watched.outputs.get("key49") != "39999":
            await asyncio.sleep(0)
            steps.add(watched.watch._position - before)
            before = watched.watch._position
    assert max(steps) == _TURN, "so much at a time, and then it is our turn"
    watched.watch.close()
    assert len(watched.outputs) == 50


async def test_rule_5_3_a_line_taken_for_whole_is_told_once(published: Published) -> None:
    """What is told again would win over what another wrote in between."""
    published.append("a=1")
    await published.watch.look()
    assert published.outputs == {"a": "1"}
    published.outputs.clear()
    await published.watch.look()
    published.append("\nb=2")
    await published.watch.look()
    assert published.outputs == {"b": "2"}
    published.append("2\na=1")
    await published.watch.finish()
    assert published.outputs == {"b": "22", "a": "1"}
    assert published.mark.line == 3


async def test_what_a_run_wrote_that_is_over_at_once_is_read_without_watching(
    tmp_path: Path, inotify: Inotify
) -> None:
    published = Published(tmp_path / "x.output", inotify, after=60)
    published.append("a=1\nb=2")
    await published.watch.finish()
    assert (published.outputs, len(inotify)) == ({"a": "1", "b": "2"}, 0)
