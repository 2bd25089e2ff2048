"""Folders of runs that are over: gone, many at once, whatever is in them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from runner_agent.executors import sweeper as module
from runner_agent.executors.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


async def test_a_folder_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    for name in ("records", "more", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "records" / "spawned").touch()
    (tmp_path / "more" / "of" / "it").mkdir(parents=True)
    sweeper = Sweeper()
    await asyncio.gather(
        *(sweeper.clear(str(tmp_path / name)) for name in ("records", "more", "empty", "none"))
    )
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "later").mkdir()
    await sweeper.clear(str(tmp_path / "later"))
    assert list(tmp_path.iterdir()) == []


async def test_what_ends_together_is_cleared_together(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []

    def count(folders: Sequence[str]) -> None:
        batches.append(len(folders))

    monkeypatch.setattr(module, "_clear", count)
    sweeper = Sweeper()
    await asyncio.gather(*(sweeper.clear(str(number)) for number in range(100)))
    assert batches == [100]


async def test_who_waits_no_longer_holds_up_nobody(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    sweeper = Sweeper()
    first = asyncio.create_task(sweeper.clear(str(tmp_path / "a")))
    await asyncio.sleep(0)
    first.cancel()
    await sweeper.clear(str(tmp_path / "b"))
    assert list(tmp_path.iterdir()) == []


async def test_a_defect_is_told_to_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Sequence[str]) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(module, "_clear", fail)
    sweeper = Sweeper()
    told = await asyncio.gather(sweeper.clear("a"), sweeper.clear("b"), return_exceptions=True)
    assert [str(one) for one in told] == ["a defect", "a defect"]
