"""What the scripted world offers beyond the protocol: time, transcripts, and misfortunes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner_agent.executors.scripted import ScriptedExecutor
from runner_agent.executors.scripted_language import Command, Subshell, parse
from runner_agent.executors.scripted_world import World
from runner_agent.kit.virtual import running_clock, virtual_time
from runner_agent.model.errors import CannotStart
from runner_agent.model.runs import Exited, Lost, Signaled
from tests.executors.conformance import Stage
from tests.executors.test_conformance import ScriptedPlace


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def stage(world: World, scratch: Path) -> Stage:
    return Stage(ScriptedPlace(scratch, world))


@virtual_time
async def test_a_stop_is_told_as_a_transcript(stage: Stage, world: World) -> None:
    handle = await stage.start("trap 'sleep 3; exit 0' TERM; sleep infinity")
    await asyncio.sleep(5)
    await stage.executor.terminate(handle)
    await stage.over(handle)
    assert world.lines() == [
        "t=0.000 start build/task",
        "t=5.000 terminate build/task",
        "t=8.000 build/task exited with code 0",
        "t=8.000 build/task gone",
    ]


@virtual_time
async def test_leftovers_that_ignore_sigterm_are_killed_after_ten_seconds(stage: Stage, world: World) -> None:
    handle = await stage.start("(trap '' TERM; sleep infinity) & sleep 2; exit 1")
    await stage.executor.wait_empty(handle)
    assert world.lines() == [
        "t=0.000 start build/task",
        "t=2.000 build/task exited with code 1",
        "t=2.000 build/task left 1 behind",
        "t=12.000 build/task leftovers killed",
        "t=12.000 build/task gone",
    ]


@virtual_time
async def test_preparing_takes_its_time_and_may_fail(stage: Stage) -> None:
    before = running_clock().now()
    with pytest.raises(CannotStart, match="no such image"):
        await stage.executor.prepare(stage.request("#: prepare 30\n#: cannot prepare no such image\nexit 0"))
    assert running_clock().now() - before == pytest.approx(30.0)


@virtual_time
async def test_what_cannot_start_leaves_nothing_behind(stage: Stage, world: World) -> None:
    request = stage.request("#: cannot start no room\nexit 0")
    with pytest.raises(CannotStart, match="no room"):
        await stage.executor.start(request)
    assert await stage.executor.find(request.run_id) is None
    assert world.runs == {}


@virtual_time
async def test_the_unkillable_survive_for_a_while(stage: Stage) -> None:
    handle = await stage.start("#: unkillable 40\nsleep infinity")
    loop = asyncio.get_running_loop()
    before = loop.time()
    await stage.executor.kill(handle)
    await stage.executor.kill(handle)
    assert len(await stage.executor.survivors(handle)) == 1
    assert await stage.executor.wait_ended(handle) == Signaled(9)
    await stage.executor.wait_empty(handle)
    assert loop.time() - before == pytest.approx(40.0)


@virtual_time
async def test_a_lost_run_ends_when_nothing_is_left(stage: Stage, world: World) -> None:
    """Rule 7.4."""
    handle = await stage.start("#: unkillable 7\ntrap '' TERM; sleep infinity")
    loop = asyncio.get_running_loop()
    before = loop.time()
    world.lose(handle.run_id)
    assert await stage.executor.wait_ended(handle) == Lost("supervisor lost")
    assert loop.time() - before == pytest.approx(7.0)


@virtual_time
async def test_a_run_that_had_ended_before_it_was_lost_keeps_its_ending(stage: Stage, world: World) -> None:
    handle = await stage.start("(trap '' TERM; sleep infinity) & exit 3")
    await stage.executor.wait_ended(handle)
    world.lose(handle.run_id)
    await stage.executor.wait_empty(handle)
    assert await stage.executor.wait_ended(handle) == Exited(3)


@virtual_time
async def test_a_request_in_a_buffer_outlives_its_sender(stage: Stage, world: World) -> None:
    """Rule 7.2: unless its run was given up meanwhile."""
    world.start_takes = 2.0
    for given_up in (False, True):
        request = stage.request("echo begun; sleep infinity")
        sending = asyncio.ensure_future(stage.executor.start(request))
        await asyncio.sleep(1)
        sending.cancel()
        if given_up:
            assert await ScriptedExecutor(world).find(request.run_id) is None
        await asyncio.sleep(5)
        assert (request.run_id in world.runs) is not given_up
    assert stage.written() == ["begun"]


@virtual_time
async def test_a_reboot_ends_everything_without_a_trace(stage: Stage, world: World) -> None:
    """Rule 6.6."""
    handle = await stage.start("sleep infinity")
    world.reboot()
    assert await stage.executor.survey() == ()
    assert await stage.executor.find(handle.run_id) is None


@virtual_time
async def test_flags_are_shared_by_all_commands(stage: Stage) -> None:
    writer = await stage.start("sleep 3; touch up; sleep 1; rm up")
    assert await stage.executor.wait_ended(await stage.start("test -e up")) == Exited(1)
    assert await stage.executor.wait_ended(await stage.start("sleep 3.5; test -e up")) == Exited(0)
    await stage.executor.wait_ended(writer)
    assert await stage.executor.wait_ended(await stage.start("test -e up")) == Exited(1)


def test_a_script_is_read_as_shell_reads_it() -> None:
    script = parse("echo 'a; b' \"$C\" >> out; # a comment\n(sleep 1; exit 2) & wait")
    assert script.body == (
        Command(("echo", "'a; b'", '"$C"'), into="out"),
        Subshell((Command(("sleep", "1")), Command(("exit", "2"))), background=True),
        Command(("wait",)),
    )


@pytest.mark.parametrize("text", ["(sleep 1", "echo 'x", "echo x >>", ")", "#: no such remark"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        parse(text)
