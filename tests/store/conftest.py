"""The stores under test, and a way to break their commits."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from runner_agent.model.errors import ResourceExhausted
from runner_agent.store import sqlite_writer
from runner_agent.store.base import Store
from runner_agent.store.memory import MemoryStore
from runner_agent.store.sqlite import SqliteStore
from tests.support.records import NOON

KINDS = ("memory", "sqlite")

Breaking = Callable[[Store], AbstractContextManager[None]]


def open_store(kind: str, directory: Path) -> Store:
    """One of KINDS; in `directory`, if it needs one."""
    if kind == "memory":
        return MemoryStore(lambda: NOON)
    return SqliteStore(directory / "runner.db", lambda: NOON)


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Each store in turn, empty."""
    opened = open_store(request.param, tmp_path)
    yield opened
    await opened.aclose()


@contextmanager
def breaking(store: Store) -> Generator[None]:
    """No commit succeeds in here, as on a full disk."""
    if isinstance(store, MemoryStore):
        store.refuse(lambda: ResourceExhausted("full"))
        yield
        store.refuse(None)
        return

    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_writer, "write_rows", fail)
        yield
