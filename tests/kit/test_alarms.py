"""One time per key, handed out when it has come."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_agent.kit.alarms import Alarms
from runner_agent.kit.virtual import VirtualClock, run, running_clock, virtual_time

START = VirtualClock().now()


class Rung:
    """Alarms that note what was due, and when."""

    def __init__(self) -> None:
        self.clock = running_clock()
        self.heard: list[tuple[str, float]] = []
        self.alarms: Alarms[str] = Alarms(self.clock, self._due)

    def _due(self, key: str) -> None:
        self.heard.append((key, round(self.clock.now() - START, 6)))

    def set(self, key: str, after: float) -> None:
        self.alarms.set(key, START + after)


@virtual_time
async def test_keys_are_due_at_their_times() -> None:
    rung = Rung()
    rung.set("b", 120)
    rung.set("a", 10)
    await asyncio.sleep(500)
    assert rung.heard == [("a", 10), ("b", 120)]
    assert len(rung.alarms) == 0


@virtual_time
async def test_setting_replaces_earlier_and_later() -> None:
    rung = Rung()
    rung.set("a", 10)
    rung.set("a", 20)
    rung.set("b", 40)
    rung.set("b", 5)
    await asyncio.sleep(100)
    assert rung.heard == [("b", 5), ("a", 20)]


@virtual_time
async def test_a_cleared_key_is_never_due() -> None:
    rung = Rung()
    rung.set("a", 10)
    rung.alarms.clear("a")
    rung.alarms.clear("never set")
    assert rung.alarms.at("a") is None
    await asyncio.sleep(100)
    assert rung.heard == []


@virtual_time
async def test_a_time_gone_by_is_due_at_once_and_not_within_set() -> None:
    rung = Rung()
    rung.set("a", -50)
    assert rung.heard == []
    await asyncio.sleep(0.001)
    assert [key for key, _ in rung.heard] == ["a"]


@virtual_time
async def test_a_callback_may_set_its_key_again_for_now_without_holding_the_loop() -> None:
    clock = running_clock()
    turns: list[float] = []

    def again(key: str) -> None:
        turns.append(clock.now())
        alarms.set(key, clock.now())

    alarms: Alarms[str] = Alarms(clock, again)
    alarms.set("a", clock.now())
    for _ in range(10):
        await asyncio.sleep(0)
    assert 1 < len(turns) < 20
    alarms.close()


@virtual_time
async def test_a_failing_callback_does_not_cost_the_others_their_alarm() -> None:
    clock, heard, reported = running_clock(), list[str](), list[str]()

    def due(key: str) -> None:
        if key == "bad":
            raise RuntimeError(key)
        heard.append(key)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
    alarms: Alarms[str] = Alarms(clock, due)
    for key in ("first", "bad", "last"):
        alarms.set(key, clock.now() + 1)
    await asyncio.sleep(2)
    assert heard == ["first", "last"]
    assert reported == ["bad"]


@virtual_time
async def test_closed_alarms_are_silent() -> None:
    rung = Rung()
    rung.set("a", 10)
    rung.alarms.close()
    await asyncio.sleep(100)
    assert rung.heard == []


@virtual_time
async def test_moving_one_alarm_for_ever_keeps_memory_flat() -> None:
    rung = Rung()
    rung.set("first", 1)
    for turn in range(10_000):
        rung.set("a", 1000 + turn)
    assert len(rung.alarms._heap) < 100
    assert rung.alarms.at("a") == pytest.approx(START + 1000 + 9_999)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20) | st.none(), st.integers(0, 5))))
def test_law_what_is_due_is_exactly_what_was_set_last(moves: list[tuple[str, int | None, int]]) -> None:
    async def history() -> None:
        rung = Rung()
        wanted: dict[str, float] = {}
        expected: list[tuple[str, float]] = []
        elapsed = 0
        for key, after, pause in moves:
            if after is None:
                rung.alarms.clear(key)
                wanted.pop(key, None)
            else:
                rung.set(key, elapsed + after + 0.5)
                wanted[key] = elapsed + after + 0.5
            elapsed += pause
            await asyncio.sleep(pause)
            expected += [(due, wanted.pop(due)) for due, at in list(wanted.items()) if at <= elapsed]
        await asyncio.sleep(100)
        expected += wanted.items()
        assert sorted(rung.heard) == sorted(expected)

    run(history())
