"""What every executor owes the reconciler (executors.base). Each rule is run over each implementation.

The scripts are of the language of executors.scripted_language, which bash reads the same way.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest

from runner_agent.executors.base import Executor, RunRequest
from runner_agent.model.errors import CannotStart, RunnerError
from runner_agent.model.ids import Reference, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Exited, Handle, Signaled
from runner_agent.model.specs import RunsOn

MARK = "runner-agent: "
BOUND = 60.0
"""Seconds in which what should happen must have happened."""


class Place(Protocol):
    """Somewhere that commands run, which outlives its executors."""

    @property
    def folder(self) -> Path:
        """For logs and output files."""
        ...

    @property
    def leftover_grace(self) -> float:
        """Seconds between SIGTERM and SIGKILL for what a command left behind."""
        ...

    @property
    def runs_on(self) -> RunsOn:
        """What leads there."""
        ...

    def executor(self) -> Executor:
        """Another executor over the same place, as a restarted agent makes one."""
        ...

    def without_cwd(self) -> Executor:
        """One whose working directory does not exist."""
        ...

    def without_shell(self) -> Executor:
        """One whose shell does not exist."""
        ...


class Stage:
    """A place, one executor over it, and numbers for its runs."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.executor = place.executor()
        self._numbers = count(1)

    def request(
        self, script: str, *, log: str = "run.log", secrets: tuple[str, ...] = (), **env: str
    ) -> RunRequest:
        number = next(self._numbers)
        output = self.place.folder / f"gitpod-task-build-{number}.output"
        path = self.place.folder / log
        path.touch()
        return RunRequest(
            run_id=RunId(f"{os.getpid():08x}-0000-4000-8000-{number:012}"),
            role=RunRole.TASK,
            reference=Reference("build"),
            script=script,
            runs_on=self.place.runs_on,
            env={"GITPOD_OUTPUT": str(output), **env},
            log=path,
            output=output,
            note=f"run {number} begins",
            secrets=secrets,
        )

    async def start(self, script: str) -> Handle:
        return await self.executor.start(self.request(script))

    def text(self, log: str = "run.log") -> str:
        """All that stands in the log."""
        return (self.place.folder / log).read_text()

    def written(self, log: str = "run.log") -> list[str]:
        """What commands wrote, by line; less what a shell says of a child that a signal ended."""
        lines = self.text(log).splitlines()
        return [line for line in lines if not line.startswith(MARK) and "Terminated" not in line]

    async def until_written(self, *lines: str, log: str = "run.log") -> None:
        async with asyncio.timeout(BOUND):
            while sorted(self.written(log)) != sorted(lines):  # noqa: ASYNC110  files ring no bell here
                await asyncio.sleep(0.01)

    async def until_none_is_left(self) -> None:
        async with asyncio.timeout(BOUND):
            while await self.executor.survey():  # noqa: ASYNC110  a holder that refused rings no bell
                await asyncio.sleep(0.01)

    async def over(self, handle: Handle) -> None:
        async with asyncio.timeout(BOUND):
            await self.executor.wait_empty(handle)


async def still_waits(wait: Awaitable[object]) -> bool:
    """It does not return within a moment; then it is cancelled."""
    try:
        await asyncio.wait_for(wait, 0.15)
    except TimeoutError:
        return True
    return False


Rule = Callable[[Stage], Awaitable[None]]
RULES: list[Rule] = []


def rule(check: Rule) -> Rule:
    RULES.append(check)
    return check


# --- endings


@rule
async def an_exit_code_is_told(stage: Stage) -> None:
    for code in (0, 7, 255):
        handle = await stage.start(f"exit {code}")
        assert await stage.executor.wait_ended(handle) == Exited(code)
        await stage.over(handle)


@rule
async def the_last_command_decides_the_exit_code(stage: Stage) -> None:
    """There is no implied `set -e` (rule 5.1)."""
    for script, code in (("false; true", 0), ("true; false", 1), ("no-such-command-at-all", 127)):
        handle = await stage.start(script)
        assert await stage.executor.wait_ended(handle) == Exited(code)
        await stage.over(handle)


@rule
async def a_signal_that_ends_the_command_is_told(stage: Stage) -> None:
    handle = await stage.start("kill -KILL $$")
    assert await stage.executor.wait_ended(handle) == Signaled(9)
    await stage.over(handle)


@rule
async def a_command_that_is_over_stays_known_until_cleaned(stage: Stage) -> None:
    handle = await stage.start("exit 3")
    await stage.over(handle)
    assert await stage.executor.wait_ended(handle) == Exited(3)
    assert await stage.executor.find(handle.run_id) == handle
    assert await stage.executor.survey() == ()
    await stage.executor.clean(handle.run_id)
    assert await stage.executor.find(handle.run_id) is None


# --- secrets


@rule
async def a_secret_does_not_reach_the_log(stage: Stage) -> None:
    """Rule 5.6. What is too short to be one does."""
    request = stage.request(
        "echo $PASSWORD and $PIN", secrets=("open sesame", "1234"), PASSWORD="open sesame"
    )
    handle = await stage.executor.start(replace(request, env={**request.env, "PIN": "1234"}))
    await stage.over(handle)
    assert stage.written() == ["*** and 1234"]
    assert "sesame" not in repr(request) + repr(handle)


# --- starting


@rule
async def the_same_run_is_started_once(stage: Stage) -> None:
    """Rule 7.2: asked twice, also at the same time, and after it is over."""
    request = stage.request("echo begun; exit 5")
    first, second = await asyncio.gather(stage.executor.start(request), stage.executor.start(request))
    await stage.over(first)
    third = await stage.executor.start(request)
    assert first == second == third
    assert stage.written() == ["begun"]
    assert await stage.executor.wait_ended(third) == Exited(5)


@rule
async def many_start_at_once(stage: Stage) -> None:
    handles = await asyncio.gather(*(stage.start(f"exit {number}") for number in range(30)))
    endings = await asyncio.gather(*(stage.executor.wait_ended(handle) for handle in handles))
    assert list(endings) == [Exited(number) for number in range(30)]
    await asyncio.gather(*(stage.over(handle) for handle in handles))


@rule
async def preparing_what_needs_nothing_is_quick(stage: Stage) -> None:
    request = stage.request("exit 0")
    await asyncio.wait_for(stage.executor.prepare(request), BOUND)
    assert await stage.executor.survey() == ()


@rule
async def a_working_directory_that_is_not_there_is_told(stage: Stage) -> None:
    """Rule 5.7."""
    executor = stage.place.without_cwd()
    with pytest.raises(CannotStart, match="working directory"):
        await executor.start(stage.request("echo begun"))
    await stage.until_none_is_left()
    assert stage.written() == []


@rule
async def a_shell_that_is_not_there_is_told(stage: Stage) -> None:
    """Rule 5.7."""
    executor = stage.place.without_shell()
    with pytest.raises(CannotStart, match="shell"):
        await executor.start(stage.request("echo begun"))
    await stage.until_none_is_left()
    assert stage.written() == []


# --- waiting


@rule
async def waiting_can_be_cancelled_and_begun_again(stage: Stage) -> None:
    handle = await stage.start("trap 'exit 6' TERM; echo ready; sleep infinity")
    await stage.until_written("ready")
    assert await still_waits(stage.executor.wait_ended(handle))
    assert await still_waits(stage.executor.wait_empty(handle))
    waits = asyncio.gather(stage.executor.wait_ended(handle), stage.executor.wait_ended(handle))
    await stage.executor.terminate(handle)
    assert list(await waits) == [Exited(6), Exited(6)]
    await stage.over(handle)


@rule
async def the_command_ends_before_its_run_is_empty(stage: Stage) -> None:
    """Rules 3.5, 4.7: what it left behind gets SIGTERM, and SIGKILL after the grace."""
    handle = await stage.start(
        "(trap '' TERM; echo stubborn; sleep infinity) &\n"
        "(trap 'echo told; exit 0' TERM; echo meek; sleep infinity) &\n"
        "sleep 1; exit 4"
    )
    await stage.until_written("stubborn", "meek")
    loop = asyncio.get_running_loop()
    assert await stage.executor.wait_ended(handle) == Exited(4)
    ended = loop.time()
    assert await still_waits(stage.executor.wait_empty(handle))
    await stage.until_written("stubborn", "meek", "told")
    assert await stage.executor.survey() == (handle,)
    await stage.over(handle)
    assert loop.time() - ended >= stage.place.leftover_grace - 0.1
    assert await stage.executor.survivors(handle) == ()


@rule
async def leftovers_that_obey_are_gone_at_once(stage: Stage) -> None:
    handle = await stage.start("(sleep infinity) & setsid sh -c 'sleep infinity' & sleep 0.5; exit 0")
    loop = asyncio.get_running_loop()
    await stage.executor.wait_ended(handle)
    ended = loop.time()
    await stage.over(handle)
    assert loop.time() - ended < stage.place.leftover_grace


# --- signals


@rule
async def terminate_reaches_the_whole_group(stage: Stage) -> None:
    """Rule 3.7; and not what has left the group, while the command lives."""
    handle = await stage.start(
        "trap '' TERM; setsid sh -c 'echo detached; sleep infinity' &\n"
        "(trap 'echo told; exit 0' TERM; echo grouped; sleep infinity) & echo leads; sleep infinity"
    )
    await stage.until_written("detached", "grouped", "leads")
    await stage.executor.terminate(handle)
    await stage.executor.terminate(handle)
    assert await still_waits(stage.executor.wait_ended(handle))
    assert len(await stage.executor.survivors(handle)) >= 2
    await stage.executor.kill(handle)
    await stage.over(handle)


@rule
async def a_command_may_clean_up_when_terminated(stage: Stage) -> None:
    handle = await stage.start("trap 'echo bye; exit 3' TERM; echo ready; sleep infinity")
    await stage.until_written("ready")
    # A child that bash has forked, and that is not yet `sleep`, takes the signal by the trap, and sleeps on.
    assert await still_waits(stage.executor.wait_ended(handle))
    await stage.executor.terminate(handle)
    assert await stage.executor.wait_ended(handle) == Exited(3)
    await stage.over(handle)
    assert stage.written() == ["ready", "bye"]


@rule
async def a_command_without_a_trap_dies_of_terminate(stage: Stage) -> None:
    handle = await stage.start("echo ready; sleep infinity; echo not reached")
    await stage.until_written("ready")
    await stage.executor.terminate(handle)
    assert await stage.executor.wait_ended(handle) == Signaled(15)
    await stage.over(handle)
    assert stage.written() == ["ready"]


@rule
async def kill_empties_the_whole_tree(stage: Stage) -> None:
    """Rule 3.7: whatever its processes ignore and wherever they went."""
    handle = await stage.start(
        "trap '' TERM; setsid sh -c \"trap '' TERM; echo detached; sleep infinity\" &\n"
        "(echo grouped; sleep infinity) & echo leads; sleep infinity"
    )
    await stage.until_written("detached", "grouped", "leads")
    loop = asyncio.get_running_loop()
    asked = loop.time()
    await stage.executor.kill(handle)
    assert await stage.executor.wait_ended(handle) == Signaled(9)
    await stage.over(handle)
    assert loop.time() - asked < stage.place.leftover_grace
    assert await stage.executor.survivors(handle) == ()


@rule
async def signals_to_what_is_gone_do_nothing(stage: Stage) -> None:
    """Rule 7.3."""
    handle = await stage.start("exit 2")
    await stage.over(handle)
    await stage.executor.terminate(handle)
    await stage.executor.kill(handle)
    await stage.executor.linger(handle, on=True)
    await stage.executor.linger(handle, on=False)
    assert await stage.executor.wait_ended(handle) == Exited(2)
    await stage.executor.clean(handle.run_id)
    await stage.executor.terminate(handle)
    await stage.executor.kill(handle)


@rule
async def survivors_are_the_processes_that_exist(stage: Stage) -> None:
    """Rule 3.9: by pid and command."""
    handle = await stage.start("trap '' TERM; echo ready; sleep infinity")
    await stage.until_written("ready")
    survivors = await stage.executor.survivors(handle)
    assert survivors
    assert all(one.pid > 1 and one.command for one in survivors)
    await stage.executor.kill(handle)
    await stage.over(handle)
    assert await stage.executor.survivors(handle) == ()


# --- lingering


@rule
async def leftovers_may_linger_until_told_otherwise(stage: Stage) -> None:
    """Rule 3.8: while `stop` runs, what `start` leaves behind is left alone."""
    handle = await stage.start(
        "(trap 'echo told; exit 0' TERM; echo ready; sleep infinity) & sleep 1; exit 0"
    )
    await stage.until_written("ready")
    await stage.executor.linger(handle, on=True)
    await stage.executor.wait_ended(handle)
    assert await still_waits(stage.executor.wait_empty(handle))
    assert stage.written() == ["ready"]
    await stage.executor.linger(handle, on=False)
    await stage.over(handle)
    assert stage.written() == ["ready", "told"]


@rule
async def what_lingers_can_be_killed(stage: Stage) -> None:
    handle = await stage.start(
        "(trap 'echo told; exit 0' TERM; echo ready; sleep infinity) & sleep 1; exit 0"
    )
    await stage.until_written("ready")
    await stage.executor.linger(handle, on=True)
    await stage.executor.wait_ended(handle)
    await stage.executor.kill(handle)
    await stage.over(handle)
    assert stage.written() == ["ready"]


# --- finding


@rule
async def a_run_is_found_by_its_id(stage: Stage) -> None:
    handle = await stage.start("sleep infinity")
    assert await stage.executor.find(handle.run_id) == handle
    assert await stage.place.executor().find(handle.run_id) == handle
    await stage.executor.kill(handle)
    await stage.over(handle)


@rule
async def what_was_not_found_can_never_start(stage: Stage) -> None:
    """Rule 7.2: a start request of a dead agent that still sits in a buffer included."""
    request = stage.request("echo begun")
    assert await stage.executor.find(request.run_id) is None
    with pytest.raises(RunnerError):
        await stage.executor.start(request)
    assert await stage.executor.find(request.run_id) is None
    assert await stage.executor.survey() == ()
    assert stage.written() == []


@rule
async def survey_gives_all_that_are_not_gone(stage: Stage) -> None:
    gone = await stage.start("exit 0")
    lives = [await stage.start("sleep infinity") for _ in range(3)]
    await stage.over(gone)
    surveyed = await stage.place.executor().survey()
    assert sorted(one.run_id for one in surveyed) == sorted(one.run_id for one in lives)
    for handle in lives:
        await stage.executor.kill(handle)
        await stage.over(handle)
    assert await stage.executor.survey() == ()


# --- adoption


@rule
async def another_executor_takes_over_a_live_run(stage: Stage) -> None:
    """Rule 7.2: handles are plain data."""
    handle = await stage.start("trap 'echo bye; exit 8' TERM; echo ready; sleep infinity")
    await stage.until_written("ready")
    waiting = asyncio.ensure_future(stage.executor.wait_ended(handle))
    await asyncio.sleep(0)
    waiting.cancel()
    await stage.executor.aclose()
    stage.executor = stage.place.executor()
    assert await still_waits(stage.executor.wait_ended(handle))
    await stage.executor.terminate(handle)
    assert await stage.executor.wait_ended(handle) == Exited(8)
    await stage.over(handle)
    assert stage.written() == ["ready", "bye"]


@rule
async def another_executor_learns_what_ended_meanwhile(stage: Stage) -> None:
    """Rules 4.8, 7.2: with its exit code, every byte of its log, and when that was."""
    began = asyncio.get_running_loop().time()
    handle = await stage.start("echo one; sleep 0.2; printf 'last bytes'; exit 9")
    await stage.executor.aclose()
    await asyncio.sleep(0.5)
    stage.executor = stage.place.executor()
    assert await stage.executor.find(handle.run_id) == handle
    assert await stage.executor.wait_ended(handle) == Exited(9)
    ended = await stage.executor.ended_at(handle)
    assert ended is not None
    assert began + 0.2 <= ended <= asyncio.get_running_loop().time()
    await stage.over(handle)
    assert stage.written() == ["one", "last bytes"]


@rule
async def two_executors_may_wait_for_one_run(stage: Stage) -> None:
    handle = await stage.start("sleep 0.2; exit 1")
    await stage.over(handle)
    other = stage.place.executor()
    assert await other.wait_ended(handle) == Exited(1)
    await other.wait_empty(handle)


# --- what commands write


@rule
async def the_log_is_complete_when_the_command_has_ended(stage: Stage) -> None:
    """Rule 5.4: to the last byte, without a newline too; each run is opened by a note, and appended."""
    first = await stage.start("echo one; echo two; printf three")
    await stage.executor.wait_ended(first)
    assert stage.written() == ["one", "two", "three"]
    await stage.over(first)
    second = await stage.start("echo four")
    await stage.over(second)
    assert stage.written() == ["one", "two", "three", "four"]
    lines = stage.text().splitlines()
    assert lines.index(f"{MARK}run 1 begins") < lines.index("one")
    assert lines.index("three") < lines.index(f"{MARK}run 2 begins") < lines.index("four")


@rule
async def outputs_are_there_when_the_command_has_ended(stage: Stage) -> None:
    """Rule 5.3."""
    request = stage.request('echo url=http://localhost >> "$GITPOD_OUTPUT"; echo port=80 >> "$GITPOD_OUTPUT"')
    handle = await stage.executor.start(request)
    await stage.executor.wait_ended(handle)
    assert request.output.read_text() == "url=http://localhost\nport=80\n"
    await stage.over(handle)


@rule
async def the_environment_reaches_the_command(stage: Stage) -> None:
    """Rule 5.2."""
    handle = await stage.executor.start(stage.request('echo "$GREETING"', GREETING="hello  you"))
    await stage.over(handle)
    assert stage.written() == ["hello  you"]
