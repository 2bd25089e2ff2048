"""Virtual time: an hour of waiting passes at once, and the test can say that it was an hour."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from runner_agent.kit import virtual
from runner_agent.kit.virtual import VirtualClock, run, running_clock, virtual_time


@virtual_time
async def test_sleeping_moves_the_clock_and_takes_no_time() -> None:
    clock, began = running_clock(), time.monotonic()
    start, date = clock.now(), clock.wall()
    await asyncio.sleep(3600)
    assert clock.now() - start == pytest.approx(3600)
    assert clock.wall() - date == pytest.approx(timedelta(hours=1), abs=timedelta(microseconds=1))
    assert time.monotonic() - began < 5


@virtual_time
async def test_timers_fire_in_order_of_time() -> None:
    seen: list[str] = []
    loop = asyncio.get_running_loop()
    loop.call_later(20, seen.append, "late")
    loop.call_later(10, seen.append, "early")
    await asyncio.sleep(30)
    assert seen == ["early", "late"]


@virtual_time
async def test_a_bound_on_waiting_is_reached_at_its_time() -> None:
    start = running_clock().now()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(120):
            await asyncio.get_running_loop().create_future()
    assert running_clock().now() - start == pytest.approx(120)


def test_tasks_that_wait_for_each_other_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "_PATIENCE", 0.05)

    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="every task waits"):
        run(forever())


def test_what_a_thread_brings_is_waited_for() -> None:
    async def main() -> str:
        return await asyncio.to_thread(lambda: "brought")

    assert run(main()) == "brought"


def test_a_clock_handed_in_is_the_loop_s_clock() -> None:
    clock = VirtualClock(now=50.0)

    async def main() -> float:
        clock.advance(7)
        return asyncio.get_running_loop().time()

    assert run(main(), clock) == 57.0


def test_a_reboot_has_another_mark_and_an_earlier_clock() -> None:
    clock = VirtualClock(now=900.0)
    mark, date = clock.boot_mark(), clock.wall()
    clock.reboot()
    assert clock.boot_mark() != mark
    assert clock.now() < 900.0
    assert clock.wall() == date


def test_the_date_may_jump_back_and_the_monotonic_clock_may_not() -> None:
    clock = VirtualClock()
    now = clock.now()
    clock.set_wall(clock.wall() - timedelta(days=1))
    assert clock.now() == now
    with pytest.raises(ValueError, match="cannot advance"):
        clock.advance(-1)


async def test_outside_virtual_time_there_is_no_virtual_clock() -> None:
    with pytest.raises(TypeError, match="virtual"):
        running_clock()
