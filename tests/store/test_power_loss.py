"""Rules 1.5 and 7.4 under power loss: the write-ahead log as a disk may leave it, replayed.

A disk keeps what was synced. Of what was written since it keeps any part: up to some byte, or some sectors
and not others, or zeros where bytes should be. So a log is cut and mixed in all these ways, from its last
sync on, and opened. What was acknowledged is there; what was not may be; nothing else is, and no version
that was ever shown is given out again.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from runner_agent.model.ids import Reference, ServiceId
from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Service, ServiceStatus
from runner_agent.model.specs import Cause, Launch, ServiceCommands, ServiceMetadata, ServiceSpec
from runner_agent.store import sqlite_writer
from runner_agent.store.base import Transaction
from runner_agent.store.schema import connect
from runner_agent.store.sqlite import SqliteStore
from runner_agent.store.state import BLOCK
from tests.support.processes import eventually
from tests.support.records import NOON

HEADER, FRAME, PAGE, SECTOR = 32, 24, 4096, 512
NAMES = ("a", "b", "c")


@dataclass(frozen=True, slots=True)
class Moment:
    """When the power fails: the files, the log as it was last synced, and what had been told by then."""

    database: bytes
    synced: bytes
    written: bytes
    acknowledged: dict[str, int]
    asked: dict[str, int]
    shown: int
    """The highest version that anybody may have seen."""


@dataclass
class Disk:
    """A store at work, whose syncs are overheard."""

    path: Path
    store: SqliteStore
    synced: bytes = b""
    acknowledged: dict[str, int] = field(default_factory=dict[str, int])
    asked: Counter[str] = field(default_factory=Counter[str])

    @property
    def log(self) -> Path:
        return self.path.with_name(f"{self.path.name}-wal")

    async def write(self, name: str, *, durable: bool) -> None:
        """Count one more; with `durable`, return when it is safe."""
        self.asked[name] += 1
        number = self.asked[name]

        def change(tx: Transaction) -> None:
            known = tx.get(Service, name) or _first(name)
            tx.put(replace(known, status=ServiceStatus(ServicePhase.FAILED, str(number))))

        await self.store.write(change, durable=durable)
        if durable:  # the log is synced whole: all before it is safe too
            self.acknowledged = dict(self.asked)

    async def checkpoint(self) -> None:
        """Copy all of the log to the database, so that SQLite begins it anew."""
        copied: list[bool] = []
        self.store._writer._copy(copied.append)
        await eventually(lambda: copied, what="the log is copied")
        assert copied == [True]

    def fails(self) -> Moment:
        """Now."""
        return Moment(
            self.path.read_bytes(),
            self.synced,
            self.log.read_bytes(),
            dict(self.acknowledged),
            dict(self.asked),
            int(self.store.revision),
        )


def _first(name: str) -> Service:
    return Service(
        id=ServiceId(name),
        metadata=ServiceMetadata(Reference(name), name, NOON),
        spec=ServiceSpec(Launch(ServiceCommands("serve"))),
        cause=Cause("test", NOON),
    )


@asynccontextmanager
async def at_work(path: Path, patch: pytest.MonkeyPatch) -> AsyncGenerator[Disk]:
    """A new store, copied to its database only when told to be."""
    patch.setattr(sqlite_writer, "CHECKPOINT_EVERY", 1 << 60)
    disk = Disk(path, SqliteStore(path))
    sync = os.fdatasync

    def overheard(file: int) -> None:
        before = os.pread(file, 1 << 26, 0)  # what comes in while it is synced is not sure to be
        sync(file)
        disk.synced = before

    patch.setattr(os, "fdatasync", overheard)
    yield disk
    await disk.store.aclose()


async def survives(moment: Moment, log: bytes, folder: Path, database: bytes | None = None) -> None:
    """A store opened on what the disk kept holds what it must, nothing else, and repeats no version."""
    folder.mkdir()
    path = folder / "runner.db"
    path.write_bytes(moment.database if database is None else database)
    path.with_name("runner.db-wal").write_bytes(log)
    store = SqliteStore(path)
    try:
        found = {service.id: int(service.status.failure_message) for service in store.services()}
        for name, number in moment.acknowledged.items():
            assert found.get(ServiceId(name), 0) >= number, "what was acknowledged is there"
        for id_, number in found.items():
            assert number <= moment.asked[id_], "nothing is there that nobody asked for"

        def change(tx: Transaction) -> Service:
            return tx.put(replace(_first("new"), status=ServiceStatus(ServicePhase.FAILED, "1")))

        made = await store.write(change, durable=False)
        assert made.status_version > moment.shown, "no version is given out twice"
    finally:
        await store.aclose()
    shutil.rmtree(folder)


def cut(moment: Moment, chance: random.Random) -> Iterator[bytes]:
    """The log up to each frame since the sync, and up to some byte in it; then zeros, or nothing."""
    least = len(moment.synced)
    assert moment.written.startswith(moment.synced)
    for end in range(least, len(moment.written) + 1, FRAME + PAGE):
        yield moment.written[:end]
        torn = moment.written[: end + chance.randrange(1, FRAME + PAGE)]
        yield torn
        yield torn.ljust(len(moment.written), b"\0")


def mixed(moment: Moment, chance: random.Random, times: int) -> Iterator[bytes]:
    """Any sectors of what was written since the sync, where the others are as they were, or zeros."""
    size = len(moment.written)
    old = moment.synced.ljust(size, b"\0")[:size]
    for _ in range(times):
        share = chance.random()
        yield b"".join(
            (moment.written if chance.random() < share else old)[at : at + SECTOR]
            for at in range(0, size, SECTOR)
        )


@pytest.fixture
def chance() -> random.Random:
    """Its seed is in the output of a test that fails."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    return random.Random(seed)


async def _burst(disk: Disk, chance: random.Random, commits: int) -> None:
    for _ in range(commits):
        await disk.write(chance.choice(NAMES), durable=False)


async def test_a_log_that_is_cut_or_torn_after_its_last_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chance: random.Random
) -> None:
    """Rule 7.4."""
    async with at_work(tmp_path / "runner.db", monkeypatch) as disk:
        for _ in range(3):
            await _burst(disk, chance, 3)
            await disk.write(chance.choice(NAMES), durable=True)
        await _burst(disk, chance, 8)
        moment = disk.fails()
    assert moment.acknowledged
    assert len(moment.written) - len(moment.synced) >= 8 * (FRAME + PAGE)
    for number, log in enumerate((*cut(moment, chance), *mixed(moment, chance, 25))):
        await survives(moment, log, tmp_path / str(number))


async def test_no_version_comes_back_when_a_block_of_them_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chance: random.Random
) -> None:
    """Rule 1.5: thousands of versions were shown since the last durable write; none of them is used again."""
    async with at_work(tmp_path / "runner.db", monkeypatch) as disk:
        await disk.write("a", durable=True)
        await _burst(disk, chance, BLOCK + BLOCK // 2)
        moment = disk.fails()
    assert len(moment.synced) > HEADER
    await survives(moment, moment.synced, tmp_path / "synced")
    for number, log in enumerate(mixed(moment, chance, 2)):
        await survives(moment, log, tmp_path / str(number))


async def test_the_power_fails_while_the_log_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chance: random.Random
) -> None:
    """Any pages of the database are new, the others old: the log, which SQLite syncs first, has them all."""
    async with at_work(tmp_path / "runner.db", monkeypatch) as disk:
        await disk.write("a", durable=True)
        await disk.checkpoint()
        await _burst(disk, chance, 20)
        await disk.write("b", durable=True)
        before = disk.fails()
        await disk.checkpoint()
        after = disk.fails()
        (level,) = disk.store._writer._syncer._connection.execute("PRAGMA synchronous").fetchone()  # type: ignore[union-attr]
    assert level >= 1, "a copy is synced, and the log before it"
    assert before.database != after.database
    size = max(len(before.database), len(after.database))
    old, new = before.database.ljust(size, b"\0"), after.database.ljust(size, b"\0")
    for number in range(20):
        half = b"".join(
            (old if chance.random() < 0.5 else new)[at : at + PAGE] for at in range(0, size, PAGE)
        )
        await survives(before, before.written, tmp_path / str(number), half)


async def test_the_power_fails_while_a_log_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chance: random.Random
) -> None:
    """Its first commit lies over an older one's: head and frames are old, new, or torn at any byte."""
    async with at_work(tmp_path / "runner.db", monkeypatch) as disk:
        await _burst(disk, chance, 20)
        await disk.write("a", durable=True)
        await disk.checkpoint()
        disk.synced = disk.log.read_bytes()
        await _burst(disk, chance, 1)
        moment = disk.fails()
    assert moment.written[:HEADER] != moment.synced[:HEADER], "it was begun anew"
    heads = [moment.written[:end] + moment.synced[end:] for end in range(HEADER + 1)]
    for number, log in enumerate((*heads, *mixed(moment, chance, 25), b"")):
        await survives(moment, log, tmp_path / str(number))


async def test_this_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chance: random.Random) -> None:
    """A disk that loses what it synced is found out."""
    async with at_work(tmp_path / "runner.db", monkeypatch) as disk:
        await disk.write("a", durable=True)
        await disk.write("a", durable=True)
        moment = disk.fails()
    with pytest.raises(AssertionError, match="acknowledged"):
        await survives(moment, moment.synced[: -2 * (FRAME + PAGE)], tmp_path / "lost")


def test_a_connection_of_ours_syncs_what_it_copies(tmp_path: Path) -> None:
    """The one that copies the log is opened like every other."""
    connection = connect(tmp_path / "any.db")
    assert connection.execute("PRAGMA synchronous").fetchone() >= (1,)
    connection.close()
