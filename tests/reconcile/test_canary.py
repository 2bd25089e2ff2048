"""The canary comes back while workers work, and tells of one that stands still (rule 7.5)."""

from __future__ import annotations

import asyncio

from runner_agent.kit.virtual import running_clock, virtual_time
from runner_agent.kit.workqueue import WorkQueue
from runner_agent.model.records import Key, Kind
from runner_agent.reconcile.canary import CANARY, STUCK_AFTER, Canary

A, B = Key(Kind.SERVICE, "a"), Key(Kind.SERVICE, "b")


async def _work(queue: WorkQueue[Key], canary: Canary, gate: asyncio.Event) -> None:
    """Takes keys up; at A it stands still until the gate opens."""
    while True:
        async with queue.take() as key:
            if key == CANARY:
                canary.took_up()
            elif key == A:
                await gate.wait()


@virtual_time
async def test_it_comes_back_while_one_worker_is_at_work() -> None:
    queue: WorkQueue[Key] = WorkQueue(running_clock())
    canary, gate = Canary(queue), asyncio.Event()
    workers = [asyncio.create_task(_work(queue, canary, gate)) for _ in range(2)]
    queue.add(B)
    for _ in range(3 * STUCK_AFTER):
        assert await canary.fly() == ()
    for worker in workers:
        worker.cancel()


@virtual_time
async def test_a_worker_that_stands_still_is_told_of() -> None:
    """Only when it has been at one and the same look for long."""
    queue: WorkQueue[Key] = WorkQueue(running_clock())
    canary, gate = Canary(queue), asyncio.Event()
    workers = [asyncio.create_task(_work(queue, canary, gate)) for _ in range(2)]
    queue.add(A)
    for _ in range(STUCK_AFTER):
        assert await canary.fly() == ()
    assert await canary.fly() == (A,)
    gate.set()
    await asyncio.sleep(0)
    assert await canary.fly() == ()
    for worker in workers:
        worker.cancel()


@virtual_time
async def test_a_key_looked_at_again_and_again_is_not_stuck() -> None:
    queue: WorkQueue[Key] = WorkQueue(running_clock())
    canary, gate = Canary(queue), asyncio.Event()
    workers = [asyncio.create_task(_work(queue, canary, gate)) for _ in range(2)]
    for _ in range(3 * STUCK_AFTER):
        queue.add(A)
        await asyncio.sleep(1)
        assert await canary.fly() == ()
        gate.set()
        await asyncio.sleep(1)
        gate.clear()
    for worker in workers:
        worker.cancel()


@virtual_time
async def test_it_does_not_come_back_when_all_workers_stand_still() -> None:
    queue: WorkQueue[Key] = WorkQueue(running_clock())
    canary, gate = Canary(queue), asyncio.Event()
    worker = asyncio.create_task(_work(queue, canary, gate))
    queue.add(A)
    flight = asyncio.create_task(canary.fly())
    await asyncio.sleep(3600)
    assert not flight.done()
    gate.set()
    assert await flight == ()
    worker.cancel()
