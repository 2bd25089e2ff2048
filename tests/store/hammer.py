"""A process that writes to a store as fast as it can and says what was acknowledged, until it is killed.

Each line on stdout is one acknowledged write: the record's id, the count it holds, its status_version.
"""

import asyncio
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from runner_agent.model.ids import Reference, ServiceId
from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Service, ServiceStatus
from runner_agent.model.specs import Cause, Launch, ServiceCommands, ServiceMetadata, ServiceSpec
from runner_agent.store.base import Transaction
from runner_agent.store.sqlite import SqliteStore

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def _first(id_: str) -> Service:
    return Service(
        id=ServiceId(id_),
        metadata=ServiceMetadata(Reference(id_), id_, NOON),
        spec=ServiceSpec(Launch(ServiceCommands("serve"))),
        cause=Cause("test", NOON),
    )


async def _write(store: SqliteStore, id_: str, *, durable: bool) -> None:
    for _ in count():

        def change(tx: Transaction) -> Service:
            known = tx.get(Service, id_) or _first(id_)
            number = int(known.status.failure_message or 0) + 1
            return tx.put(replace(known, status=ServiceStatus(ServicePhase.FAILED, str(number))))

        made = await store.write(change, durable=durable)
        os.write(1, f"{id_} {made.status.failure_message} {made.status_version}\n".encode())


async def main(path: Path) -> None:
    """Eight writers, until killed."""
    store = SqliteStore(path)
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(_write(store, f"s{number}", durable=number % 4 == 0))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
