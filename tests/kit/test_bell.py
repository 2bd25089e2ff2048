"""The bell coalesces, loses nothing, and wakes everybody."""

from __future__ import annotations

import asyncio

from runner_agent.kit.bell import Bell
from runner_agent.kit.virtual import virtual_time


async def hears(bell_wait: asyncio.Future[object] | asyncio.Task[None]) -> bool:
    """Whether a waiter returns without anything further happening."""
    await asyncio.sleep(1)
    return bell_wait.done()


@virtual_time
async def test_a_ring_before_the_wait_is_not_lost() -> None:
    bell = Bell()
    ear = bell.listen()
    bell.ring()
    await ear.wait()
    again = asyncio.create_task(ear.wait())
    assert not await hears(again)
    bell.ring()
    assert await hears(again)


@virtual_time
async def test_many_rings_are_one_wake_up() -> None:
    bell = Bell()
    ear = bell.listen()
    for _ in range(100):
        bell.ring()
    await ear.wait()
    again = asyncio.create_task(ear.wait())
    assert not await hears(again)
    again.cancel()


@virtual_time
async def test_every_waiter_wakes() -> None:
    bell = Bell()
    waiters = [asyncio.create_task(bell.listen().wait()) for _ in range(100)]
    await asyncio.sleep(1)
    assert not any(waiter.done() for waiter in waiters)
    bell.ring()
    await asyncio.gather(*waiters)


@virtual_time
async def test_cancelling_one_waiter_leaves_the_others() -> None:
    bell = Bell()
    one, other = (asyncio.create_task(bell.listen().wait()) for _ in range(2))
    await asyncio.sleep(1)
    one.cancel()
    assert await hears(one)
    bell.ring()
    await other


@virtual_time
async def test_what_rang_before_listening_is_not_heard() -> None:
    bell = Bell()
    bell.ring()
    waiting = asyncio.create_task(bell.listen().wait())
    assert not await hears(waiting)
    waiting.cancel()


@virtual_time
async def test_a_count_kept_elsewhere_serves_as_well() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert await bell.wait(after=0) == 2
    assert bell.rings == 2
