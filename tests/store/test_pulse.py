"""The store's part of the proof of life: it goes where a durable write goes (rule 7.5)."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from runner_agent.model.errors import ResourceExhausted
from runner_agent.store.sqlite_syncer import Syncer
from tests.store.conftest import breaking, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from runner_agent.store.base import Store


async def test_it_changes_nothing(store: Store) -> None:
    before = store.revision
    await store.pulse()
    assert store.revision == before


async def test_a_store_that_refuses_says_so(store: Store) -> None:
    with breaking(store), pytest.raises(ResourceExhausted):
        await store.pulse()
    await store.pulse()


async def test_a_disk_that_stands_still_keeps_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What answers from memory alone would prove nothing."""
    asked, moves = threading.Event(), threading.Event()
    sync = Syncer._sync

    def late(self: Syncer) -> Exception | None:
        asked.set()
        moves.wait(60)
        return sync(self)

    store = open_store("sqlite", tmp_path)
    monkeypatch.setattr(Syncer, "_sync", late)
    pulse = asyncio.create_task(store.pulse())
    await asyncio.to_thread(asked.wait, 60)
    assert not pulse.done()
    moves.set()
    await pulse
    await store.aclose()
