"""The laws of the keyed queue: never two hands, never lost, and rests that grow and are forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_agent.kit.virtual import run, running_clock, virtual_time
from runner_agent.kit.workqueue import Backoff, WorkQueue


def make_queue(backoff: Backoff | None = None) -> WorkQueue[str]:
    return WorkQueue(running_clock(), backoff)


@virtual_time
async def test_keys_come_in_order_and_once() -> None:
    queue = make_queue()
    for key in "abab":
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert queue.held == {"a", "b"}


@virtual_time
async def test_a_key_touched_while_held_comes_again_after_done() -> None:
    queue = make_queue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.add("a")
    other = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert not other.done(), "the key is in two hands"
    queue.done(key)
    assert await other == "a"
    queue.done("a")
    assert len(queue) == 0


@virtual_time
async def test_done_without_get_is_an_error() -> None:
    with pytest.raises(KeyError):
        make_queue().done("a")


@virtual_time
async def test_a_cancelled_get_loses_no_key() -> None:
    queue = make_queue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    queue.add("a")
    first.cancel()  # woken already, but not yet run
    assert await second == "a"


@virtual_time
async def test_add_after_adds_at_its_time_and_the_earliest_counts() -> None:
    queue, start = make_queue(), running_clock().now()
    queue.add_after("a", 60)
    queue.add_after("a", 20)
    queue.add_after("a", 90)
    assert await queue.get() == "a"
    assert running_clock().now() - start == pytest.approx(20)
    queue.done("a")
    await asyncio.sleep(200)
    assert len(queue) == 0


@virtual_time
async def test_add_after_nothing_adds_at_once() -> None:
    queue = make_queue()
    queue.add_after("a", 0)
    assert len(queue) == 1


@virtual_time
async def test_retries_rest_longer_up_to_a_bound_and_forget_resets() -> None:
    queue = make_queue(Backoff(first=1, longest=10))
    assert [queue.retry("a") for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert queue.retry("b") == 1
    assert queue.failures("a") == 6
    queue.forget("a")
    assert queue.failures("a") == 0
    assert queue.retry("a") == 1


def test_the_rest_is_bounded_after_any_number_of_failures() -> None:
    assert Backoff(first=0.05, longest=30).delay(5000) == 30


@virtual_time
async def test_a_failed_key_comes_back_after_its_rest() -> None:
    queue, start = make_queue(Backoff(first=3)), running_clock().now()
    queue.add("a")
    async with queue.take() as key:
        queue.retry(key)
    assert await queue.get() == "a"
    assert running_clock().now() - start == pytest.approx(3)


@virtual_time
async def test_take_gives_back_whatever_happens() -> None:
    queue = make_queue()
    queue.add("a")
    with pytest.raises(RuntimeError):
        async with queue.take():
            raise RuntimeError
    assert queue.held == frozenset()


@virtual_time
async def test_settle_waits_for_the_last_hand_and_not_for_times() -> None:
    queue, start = make_queue(), running_clock().now()
    queue.add_after("later", 1000)

    async def worker() -> None:
        while True:
            async with queue.take() as key:
                await asyncio.sleep(5)
                if key == "a":
                    queue.add("b")

    work = asyncio.create_task(worker())
    queue.add("a")
    await queue.settle()
    assert running_clock().now() - start == pytest.approx(10)
    work.cancel()


@virtual_time
async def test_a_closed_queue_forgets_times() -> None:
    queue = make_queue()
    queue.add_after("a", 10)
    queue.close()
    await asyncio.sleep(100)
    assert len(queue) == 0


@given(
    workers=st.integers(1, 4),
    moves=st.lists(
        st.tuples(
            st.sampled_from(["add", "after", "cancel"]),
            st.sampled_from("abc"),
            st.sampled_from([0.0, 0.1, 1.0, 3.0]),
        ),
        max_size=40,
    ),
    works=st.lists(st.sampled_from([0.0, 0.1, 1.0, 5.0]), min_size=1, max_size=10),
)
def test_law_never_two_hands_and_never_lost(
    workers: int, moves: list[tuple[str, str, float]], works: list[float]
) -> None:
    """Every touch of a key is followed by a look that began after it, and no two looks at a key overlap."""

    async def history() -> None:
        queue = make_queue()
        hands: Counter[str] = Counter()
        touched: dict[str, int] = {}
        looked: dict[str, int] = {}
        turn = 0

        async def worker(number: int) -> None:
            nonlocal turn
            while True:
                async with queue.take() as key:
                    hands[key] += 1
                    assert hands[key] == 1, "in two hands"
                    turn += 1
                    looked[key] = turn
                    try:
                        await asyncio.sleep(works[(turn + number) % len(works)])
                    finally:
                        hands[key] -= 1

        tasks = [asyncio.create_task(worker(number)) for number in range(workers)]
        for what, key, pause in moves:
            turn += 1
            match what:
                case "add":
                    queue.add(key)
                    touched[key] = turn
                case "after":
                    queue.add_after(key, pause)
                    touched[key] = turn
                case _:
                    index = turn % workers
                    tasks[index].cancel()
                    await asyncio.wait([tasks[index]])
                    assert tasks[index].cancelled()
                    tasks[index] = asyncio.create_task(worker(index))
            await asyncio.sleep(pause)
        await asyncio.sleep(1000)
        await queue.settle()
        assert not any(task.done() for task in tasks)
        for key, at in touched.items():
            assert looked[key] > at, "lost"
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    run(history())
