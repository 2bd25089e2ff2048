"""A disk that is full at each write of the store in turn: refused in a sentence, and what was acknowledged
is there (rule 7.4).
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from runner_agent.model.errors import ResourceExhausted, RunnerError
from runner_agent.model.ids import Reference, ServiceId
from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Service, ServiceStatus
from runner_agent.model.specs import Cause, Launch, ServiceCommands, ServiceMetadata, ServiceSpec
from runner_agent.store.base import Transaction
from runner_agent.store.sqlite import SqliteStore
from tests.faults.test_disk import fill, root_only, small_disk
from tests.support.records import NOON

pytestmark = pytest.mark.faults

PAGE = 4096
MOST = 60
"""Pages left to the store at most: with so many all of its writes fit."""
WRITES = 12


async def write(store: SqliteStore, number: int, name: str = "one") -> None:
    """One wish."""
    record = Service(
        id=ServiceId(name),
        metadata=ServiceMetadata(Reference(name), "x" * PAGE, NOON),
        spec=ServiceSpec(Launch(ServiceCommands("serve"))),
        cause=Cause("test", NOON),
        status=ServiceStatus(ServicePhase.FAILED, str(number)),
    )

    def change(tx: Transaction) -> Service:
        known = tx.get(Service, record.id)
        return tx.put(record if known is None else replace(known, status=record.status))

    await store.write(change, durable=True)


def held(store: SqliteStore) -> int:
    """The last that is there."""
    return max((int(service.status.failure_message) for service in store.services()), default=0)


async def attempt(path: Path, disk: Path, pages: int) -> tuple[int, int]:
    """With room for so many pages: the last wish acknowledged, how many were refused. Then with room."""
    store = SqliteStore(path)
    await write(store, 1)
    filler = fill(disk)
    with filler.open("r+b") as file:
        file.truncate(max(0, filler.stat().st_size - pages * PAGE))
    newest, refused = 1, list[str]()
    for number in range(2, WRITES + 2):
        try:
            await write(store, number)
            newest = number
        except ResourceExhausted as error:
            refused.append(str(error))
        assert held(store) == newest, "what is shown is what was acknowledged"
    assert all("space" in told or "full" in told for told in refused), refused
    if refused:
        copy = SqliteStore(_as_left(path))
        assert held(copy) >= newest, "a copy of the files of this moment has it too"
        await copy.aclose()
    filler.unlink()
    await write(store, WRITES + 2)
    await store.aclose()
    again = SqliteStore(path)
    assert held(again) == WRITES + 2
    await again.aclose()
    return newest, len(refused)


def _as_left(path: Path) -> Path:
    """Elsewhere, where there is room."""
    folder = path.parent.parent / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        if (path.parent / name).exists():
            shutil.copy(path.parent / name, folder / name)
    return folder / path.name


@root_only
async def test_no_room_at_each_write_of_the_store(tmp_path: Path) -> None:
    """Some are refused at once, some after a while, the last not at all; nothing acknowledged is lost."""
    disk = tmp_path / "disk"
    seen: list[tuple[int, int]] = []
    with small_disk(disk, "2m"):
        for pages in range(MOST + 1):
            path = disk / f"{pages}.db"
            seen.append(await attempt(path, disk, pages))
            for left in disk.iterdir():
                left.unlink()
    assert seen[0][1] == WRITES, "without room nothing is acknowledged"
    assert seen[-1] == (WRITES + 1, 0), "with room everything is"
    assert any(0 < refused < WRITES for _, refused in seen)


@root_only
async def test_somebody_takes_what_is_given_back_before_the_store_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the very moment. The store's own part was never for anybody else (rule 7.6)."""
    disk = tmp_path / "disk"
    unlink = Path.unlink
    taken = list[Path]()

    def unlink_and_take(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if path.name.endswith("-reserve"):
            taken.append(fill(disk))

    with small_disk(disk, "8m"):
        store = SqliteStore(disk / "agent.db", keep_room=True)
        await write(store, 1)
        fill(disk)
        monkeypatch.setattr(Path, "unlink", unlink_and_take)
        for number in range(2, 100):
            await write(store, number)
        assert taken
        assert held(store) == 99
        for number in (1000, 1001):
            with pytest.raises(ResourceExhausted, match="space"):
                await write(store, number, name=f"begins-{number}")
        unlink(taken[0])
        await store.aclose()


@root_only
async def test_no_room_for_a_store_at_all(tmp_path: Path) -> None:
    """It is told at once, at whichever write of the first start the room ends; later it starts."""
    disk = tmp_path / "disk"
    refused: list[tuple[Path, str]] = []
    with small_disk(disk, "1m"):
        for pages in range(40):
            path = disk / f"{pages}.db"
            filler = fill(disk)
            with filler.open("r+b") as file:
                file.truncate(max(0, filler.stat().st_size - pages * PAGE))
            try:
                store = SqliteStore(path)
            except RunnerError as error:
                refused.append((path, str(error)))
            else:
                await store.aclose()
            filler.unlink()
            store = SqliteStore(path)
            await write(store, 1)
            await store.aclose()
            for left in disk.iterdir():
                left.unlink()
    assert 0 < len(refused) < 40
    assert all(str(path) in told for path, told in refused), refused
