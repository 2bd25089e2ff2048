"""The words of what waits: the last one is noted, and not every one."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from runner_agent.kit import virtual
from runner_agent.model.errors import Unavailable
from runner_agent.reconcile.waiting import PACE, Waiting


def test_the_last_word_is_noted_at_a_readers_pace() -> None:
    noted: list[str] = []

    async def note(text: str) -> None:
        noted.append(text)

    async def scene() -> None:
        async with Waiting(note) as waiting:
            for number in range(1000):
                waiting.say(f"{number} of 1000")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for number in range(1000):
                waiting.say(f"{number} of 2000")
            await asyncio.sleep(2 * PACE)
            waiting.say("")
            await asyncio.sleep(2 * PACE)

    virtual.run(scene())
    assert noted == ["999 of 1000", "999 of 2000", ""]


def test_what_cannot_be_noted_is_noted_later() -> None:
    noted: list[str] = []
    refusals = iter((True, True))

    async def note(text: str) -> None:
        if next(refusals, False):
            raise Unavailable("the disk is full")
        noted.append(text)

    async def scene() -> None:
        async with Waiting(note) as waiting:
            waiting.say("for the sun")
            await asyncio.sleep(10 * PACE)

    virtual.run(scene())
    assert noted == ["for the sun"]


def test_each_try_waits_longer_and_says_why() -> None:
    noted: list[str] = []

    async def note(text: str) -> None:
        noted.append(text)

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with Waiting(note) as waiting:
            times = [loop.time()]
            for _ in range(12):
                await waiting.once_more(Unavailable("the Engine is away"))
                times.append(loop.time())
        pauses = [after - before for before, after in pairwise(times)]
        assert [round(pause, 3) for pause in pauses[:4]] == [0.1, 0.2, 0.4, 0.8]
        assert pauses[-1] == 10.0

    virtual.run(scene())
    assert noted == ["the Engine is away"]
