"""Runs in a dev container on a real Engine: what the conformance suite does not ask of everybody."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runner_agent.executors.devcontainer import DevContainerExecutor
from runner_agent.launcher import freezer
from runner_agent.model.errors import CannotStart
from runner_agent.model.runs import Exited, Lost, Signaled
from tests.executors.conformance import Stage
from tests.executors.devcontainers import DevContainerPlace, in_a_dev_container
from tests.executors.test_conformance import MachinePlace
from tests.support.engine import Engine
from tests.support.escapes import ESCAPES, Escape
from tests.support.images import USER_ID
from tests.support.processes import look, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@asynccontextmanager
async def staged(folder: Path, engine: Engine) -> AsyncGenerator[tuple[Stage, DevContainerPlace]]:
    async with in_a_dev_container(folder, engine) as place:
        assert isinstance(place, DevContainerPlace)
        yield Stage(place), place


def contents(engine: Engine, name: str, folder: str) -> list[str]:
    """Names in a folder of the container."""
    return sorted(path.name for path in Path(f"/proc/{engine.pid(name)}/root{folder}").iterdir())


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
async def test_a_kill_leaves_nothing(escape: Escape, scratch: Path, engine: Engine) -> None:
    """Rule 3.9, whatever its processes ignore and wherever they went."""
    async with staged(scratch, engine) as (stage, place):
        script = escape.script(Path("/tmp/pids"))
        handle = await stage.start(script)
        async with asyncio.timeout(60):
            while len(noted(engine, place.name)) < escape.processes:  # noqa: ASYNC110  rings no bell here
                await asyncio.sleep(0.02)
        alive = [look(one.pid) for one in await stage.executor.survivors(handle)]
        assert escape.leader_ends or len(alive) >= escape.processes
        await stage.executor.kill(handle)
        await stage.over(handle)
        assert [one for one in alive if one is not None and one.alive] == []
        assert await stage.executor.survivors(handle) == ()
        assert [name for name in contents(engine, place.name, "/tmp") if "runner-agent" in name] == []


def noted(engine: Engine, name: str) -> list[str]:
    """Pids that the script's processes have noted, as the container has them."""
    path = Path(f"/proc/{engine.pid(name)}/root") / "tmp/pids"
    return path.read_text().split() if path.exists() else []


async def test_a_killed_attendant_leaves_nothing(scratch: Path, engine: Engine) -> None:
    """Rule 7.4: nobody is left to tell how the command ended; so it is ended, then told lost."""
    async with staged(scratch, engine) as (stage, _):
        handle = await stage.start("setsid sleep 77777 & echo ready; exec sleep 77777")
        await stage.until_written("ready")
        alive = [look(one.pid) for one in await stage.executor.survivors(handle)]
        assert len(alive) == 2
        attendant = look(int(handle.data["leader_pid"]))
        assert attendant is not None
        os.kill(attendant.pid, signal.SIGKILL)
        assert isinstance(await stage.executor.wait_ended(handle), Lost)
        assert [one for one in alive if one is not None and one.alive] == []
        await stage.over(handle)


async def test_exit_codes_above_128_are_no_signals(scratch: Path, engine: Engine) -> None:
    """Where the kernel tells strangers how a process ended (Linux 6.15); else as a shell would read it."""
    async with staged(scratch, engine) as (stage, _):
        handle = await stage.start("exit 137")
        assert await stage.executor.wait_ended(handle) in (Exited(137), Signaled(9))
        await stage.over(handle)


async def test_output_is_followed_while_the_command_runs(scratch: Path, engine: Engine) -> None:
    """Rule 5.3: also when the file is written anew."""
    script = 'echo first=1 >"$GITPOD_OUTPUT"; sleep 1; echo b=2 >"$GITPOD_OUTPUT"; sleep 77777'
    async with staged(scratch, engine) as (stage, _):
        request = stage.request(script)
        handle = await stage.executor.start(request)
        for text in ("first=1\n", "b=2\n"):
            async with asyncio.timeout(60):
                while not (request.output.exists() and request.output.read_text() == text):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        await stage.executor.kill(handle)
        await stage.over(handle)


async def test_variables_of_the_command_are_its_own(scratch: Path, engine: Engine) -> None:
    """What gets it going there touches none of them."""
    async with staged(scratch, engine) as (stage, _):
        env = {
            "word": "a",
            "out": "b",
            "shell": "c",
            "script": "d",
            "LD_PRELOAD": "/no.so",
            "PYTHONHOME": "/no",
        }
        request = stage.request('echo "$word$out$shell$script$PYTHONHOME"; [ -z "$runner_agent_word" ]')
        request = replace(request, env={**request.env, **env})
        handle = await stage.executor.start(request)
        assert await stage.executor.wait_ended(handle) == Exited(0)
        await stage.over(handle)
        assert "abcd/no" in stage.text()


async def test_rule_5_1_a_script_of_a_mebibyte_runs(scratch: Path, engine: Engine) -> None:
    """And nothing of it is left."""
    script = f"length=$(wc -c <<'EOF'\n{'x' * 1_000_000}\nEOF\n)\necho $0 $# $length\nexit 7"
    async with staged(scratch, engine) as (stage, place):
        handle = await stage.start(script)
        assert await stage.executor.wait_ended(handle) == Exited(7)
        await stage.over(handle)
        assert stage.written() == ["/bin/bash 0 1000001"]
        assert contents(engine, place.name, "/tmp") == []


async def test_a_script_is_read_by_its_user_alone(scratch: Path, engine: Engine) -> None:
    async with staged(scratch, engine) as (stage, place):
        handle = await stage.start("echo up\nsleep 54321")
        await stage.until_written("up")
        root = Path(f"/proc/{engine.pid(place.name)}/root", "tmp")
        seen = (root / f".runner-agent-{handle.run_id}/script").stat()
        assert (seen.st_mode & 0o777, seen.st_uid, seen.st_gid) == (0o400, USER_ID, USER_ID)
        await stage.executor.kill(handle)
        await stage.over(handle)


async def test_rule_5_1_pkill_does_not_find_the_shell_of_its_own_script(
    scratch: Path, engine: Engine
) -> None:
    look = 'for one in /proc/[0-9]*; do tr "\\0" " " <$one/cmdline; echo; done'
    async with staged(scratch, engine) as (stage, _):
        handle = await stage.start(f"# needle\n{look} | grep -c '[n]eedle'\nexit 0")
        assert await stage.executor.wait_ended(handle) == Exited(0)
        await stage.over(handle)
        assert stage.written() == ["0"]


async def test_what_is_frozen_is_killed_and_nothing_else_thawed(scratch: Path, engine: Engine) -> None:
    """Rules 3.7, 3.9: the pause of the container is somebody's wish, and holds for all that is not ours."""
    async with staged(scratch, engine) as (stage, place):
        handle = await stage.start("trap '' TERM; setsid sleep 54321 & echo up; sleep 54321")
        await stage.until_written("up")
        init = engine.pid(place.name)
        alive = [look(one.pid) for one in await stage.executor.survivors(handle)]
        engine.request("POST", f"/containers/{place.name}/pause")
        try:
            await stage.executor.terminate(handle)
            await stage.executor.kill(handle)
            assert await stage.executor.wait_ended(handle) == Signaled(9)
            await stage.over(handle)
            assert [one for one in alive if one is not None and one.alive] == []
            assert freezer.frozen(init)
        finally:
            engine.request("POST", f"/containers/{place.name}/unpause")
        assert engine.pid(place.name) == init
        handle = await stage.start("exit 3")
        assert await stage.executor.wait_ended(handle) == Exited(3)
        await stage.over(handle)


async def test_a_run_frozen_in_its_own_cgroup_is_killed(scratch: Path, engine: Engine) -> None:
    """Rule 3.9, with cgroups of version 2."""
    async with staged(scratch, engine) as (stage, place):
        handle = await stage.start("trap '' TERM; echo up; sleep 54321")
        await stage.until_written("up")
        held = json.loads((place.folder / "execs" / handle.run_id / "held").read_text())
        assert held["cgroup"], "no cgroup of version 2"
        Path(f"{held['cgroup']}/cgroup.freeze").write_text("1")
        frozen = (await stage.executor.survivors(handle))[0].pid
        wait_until(lambda: freezer.frozen(frozen), 10)
        await stage.executor.kill(handle)
        assert await stage.executor.wait_ended(handle) == Signaled(9)
        await stage.over(handle)


async def test_a_run_on_the_machine_is_killed_in_the_freezer_too(scratch: Path, engine: Engine) -> None:
    """Rule 3.9: as in a container, whoever put it there. Beside an Engine, for that may be root."""
    places = [one for one in (Path("/sys/fs/cgroup/freezer"), Path("/sys/fs/cgroup")) if one.is_dir()]
    folder = places[0] / f"{engine.root.name}-frozen"
    folder.mkdir()
    async with staged(scratch, engine) as (_, place):
        stage = Stage(MachinePlace(place.folder, 4.0))
        try:
            handle = await stage.start("trap '' TERM; setsid sleep 54321 & echo up; sleep 54321")
            await stage.until_written("up")
            alive = [look(one.pid) for one in await stage.executor.survivors(handle)]
            for one in alive:
                assert one is not None
                (folder / "cgroup.procs").write_text(str(one.pid))
            version_1 = (folder / "freezer.state").exists()
            (folder / ("freezer.state" if version_1 else "cgroup.freeze")).write_text(
                "FROZEN" if version_1 else "1"
            )
            await stage.executor.kill(handle)
            assert await stage.executor.wait_ended(handle) == Signaled(9)
            await stage.over(handle)
            assert [one for one in alive if one is not None and one.alive] == []
        finally:
            await stage.executor.aclose()
            folder.rmdir()


async def test_an_unknown_user_is_told(scratch: Path, engine: Engine) -> None:
    """Rule 5.7."""
    async with staged(scratch, engine) as (stage, place):
        executor = place.open(user="nobody-knows")
        assert isinstance(executor, DevContainerExecutor)
        with pytest.raises(CannotStart, match="has no user 'nobody-knows'"):
            await executor.start(stage.request("echo begun"))
        await stage.until_none_is_left()


async def test_a_container_without_shell_is_told(scratch: Path, engine: Engine) -> None:
    """Rule 5.7."""
    async with staged(scratch, engine) as (stage, place):
        with pytest.raises(CannotStart, match="lacks the shell /bin/zsh; install it there"):
            await place.open(shell="/bin/zsh").start(stage.request("echo begun"))
        wait_until(lambda: stage.written() == [], 5)
