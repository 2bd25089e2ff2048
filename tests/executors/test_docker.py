"""What is special about runs in containers: images, Engines that go away, people who remove containers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast
from unittest.mock import patch

import pytest
import pytest_asyncio

from runner_agent.executors import docker_pull
from runner_agent.executors.docker_address import Choice
from runner_agent.executors.docker_config import container_name
from runner_agent.executors.docker_engine import DockerEngine
from runner_agent.executors.holders import holder_of
from runner_agent.launcher import inmate, procs
from runner_agent.launcher.engine import Engine as Client
from runner_agent.model.errors import CannotStart, Unavailable
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Exited, Handle, Lost, NotStarted, Signaled
from runner_agent.model.specs import InDocker
from tests.executors.conformance import Stage
from tests.executors.docker_place import ENVIRONMENT, DockerPlace, docker_place
from tests.support.engine import Engine, EngineError
from tests.support.escapes import ESCAPES, Escape
from tests.support.registry import publish, registry

if TYPE_CHECKING:
    from runner_agent.executors.base import RunRequest
    from runner_agent.executors.docker import DockerExecutor

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
BOUND = 60.0


class Theatre(Stage):
    """A stage in containers."""

    place: DockerPlace
    executor: DockerExecutor

    def name(self, handle: Handle) -> str:
        return container_name(handle.run_id)

    def exists(self, handle: Handle) -> bool:
        try:
            self.place.engine.ask("GET", f"/containers/{self.name(handle)}/json")
        except EngineError:
            return False
        return True


@pytest_asyncio.fixture
async def stage(scratch: Path, engine: Engine) -> AsyncGenerator[Theatre]:
    async with docker_place(scratch, engine) as place:
        yield Theatre(place)


@pytest_asyncio.fixture
async def own(scratch: Path) -> AsyncGenerator[Theatre]:
    """On an Engine that the test may stop."""
    engine = Engine()
    engine.start()
    try:
        async with docker_place(scratch, engine) as place:
            yield Theatre(place)
    finally:
        engine.close()


async def until(what: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(BOUND):
        while True:
            found = what()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)


def of_image(request: RunRequest, image: str, *environment: str) -> RunRequest:
    return replace(request, runs_on=InDocker(image, environment))


# --- what a container is made of


async def test_workspace_environment_and_labels(stage: Theatre) -> None:
    stage.place.environ = {"FROM_AGENT": "agent"}
    stage.executor = stage.place.executor()
    (stage.place.folder / "file").write_text("of the workspace")
    request = stage.request(
        'pwd; cat file; echo; echo "$A|$FROM_AGENT|${NOWHERE-unset}|$B|$GITPOD_OUTPUT"', A="spec", B="spec"
    )
    more = ("A=docker=x", "FROM_AGENT", "NOWHERE", "B", "GITPOD_OUTPUT=no")
    handle = await stage.executor.start(of_image(request, "bash:test", *more))
    await stage.over(handle)
    folder = stage.place.folder
    assert stage.written() == [
        str(folder), "of the workspace", f"docker=x|agent|unset|spec|{request.output}",
    ]  # fmt: skip
    seen = stage.place.engine.ask("GET", f"/containers/{stage.name(handle)}/json")
    config, host = seen["Config"], seen["HostConfig"]
    assert isinstance(config, dict)
    assert isinstance(host, dict)
    assert config["Labels"] == {
        "runner-agent.environment": ENVIRONMENT,
        "runner-agent.reference": "build",
        "runner-agent.role": "task",
        "runner-agent.run": handle.run_id,
    }
    assert (host["NetworkMode"], host["AutoRemove"], host["Init"]) == ("host", False, True)
    await stage.executor.clean(handle.run_id)
    assert not stage.exists(handle)


async def test_bytes_are_kept_as_they_are(stage: Theatre) -> None:
    """Rule 5.4: what is no UTF-8, has no newline or is long, in the order of both streams."""
    handle = await stage.start(
        r"printf '\377\0\200 raw\n'; for i in 1 2 3 4 5; do echo out; echo err >&2; done;"
        " head -c 100000 /dev/zero | tr '\\0' x; printf end"
    )
    await stage.executor.wait_ended(handle)
    data = (stage.place.folder / "run.log").read_bytes()
    expected = b"\xff\x00\x80 raw\n" + b"out\nerr\n" * 5 + b"x" * 100_000 + b"end\n"
    await stage.over(handle)
    assert expected in data


async def test_nothing_of_it_is_in_the_logs_of_the_engine(stage: Theatre) -> None:
    """Rule 5.6."""
    request = stage.request("echo it is $PASSWORD", secrets=("open sesame",), PASSWORD="open sesame")
    handle = await stage.executor.start(request)
    await stage.over(handle)
    path = f"/containers/{stage.name(handle)}/logs?stdout=1&stderr=1"
    assert stage.place.engine.request("GET", path)[1] == b""
    assert stage.written() == ["it is ***"]


LONG = "x" * 1_000_000


@pytest.mark.parametrize("image", ["bash:test", "busybox:test"])
async def test_rule_5_1_a_script_of_a_mebibyte_runs(stage: Theatre, image: str) -> None:
    """It is one argument too long. Its arguments are its own: none, and the shell as $0."""
    request = stage.request(f"length=$(wc -c <<'EOF'\n{LONG}\nEOF\n)\necho $0 $# $length\nexit 7")
    if image == "busybox:test":  # its sh has here documents as well, and no here strings
        stage.place.engine.image(image)
    handle = await stage.executor.start(of_image(request, image))
    assert await stage.executor.wait_ended(handle) == Exited(7)
    await stage.over(handle)
    assert stage.written() == [f"{'bash' if image == 'bash:test' else 'sh'} 0 1000001"]


@pytest.mark.parametrize("image", ["bash:test", "busybox:test"])
async def test_rule_5_1_pkill_does_not_find_the_shell_of_its_own_script(stage: Theatre, image: str) -> None:
    """What looks for processes by their arguments finds neither the script's shell nor its keepers."""
    look = 'for one in /proc/[0-9]*; do tr "\\0" " " <$one/cmdline; echo; done'
    script = f"# needle\nsleep 54321 &\n{look} | grep -c '[n]eedle'\n{look} | grep -c '[s]leep 54321'\nexit 0"
    handle = await stage.executor.start(of_image(stage.request(script), stage.place.engine.image(image)))
    assert await stage.executor.wait_ended(handle) == Exited(0)
    await stage.over(handle)
    needles, sleeps = stage.written()
    assert (int(needles), int(sleeps)) == (0, 1)  # only what is really there


async def test_rule_5_1_a_simple_command_costs_no_shell_more(stage: Theatre) -> None:
    handle = await stage.start("sleep 54321")
    await until_alone(stage, handle, "sleep")
    await stage.executor.kill(handle)
    await stage.over(handle)


async def until_alone(stage: Theatre, handle: Handle, command: str) -> None:
    async def alone() -> bool:
        return [one.command for one in await stage.executor.survivors(handle)] == [command]

    await until(alone)


async def test_variables_of_the_command_are_its_own(stage: Theatre) -> None:
    """What keeps the container sets none of them, and its init's is not the command's."""
    names = ("shell", "code", "order", "IFS_", "TINI_KILL_PROCESS_GROUP", "place")
    request = stage.request(f'echo "{" ".join(f"${name}" for name in names)}"')
    request = replace(request, env={**request.env, **{name: f"<{name}>" for name in names}})
    handle = await stage.executor.start(request)
    await stage.over(handle)
    other = await stage.start('echo "${TINI_KILL_PROCESS_GROUP-unset}"')
    await stage.over(other)
    assert stage.written() == [" ".join(f"<{name}>" for name in names), "unset"]


async def test_the_script_cannot_be_written_to_by_its_command(stage: Theatre) -> None:
    script = "f=/.runner-agent-$RUNNER_AGENT_RUN_ID/command\ncat $f | head -n 1\necho x >>$f && echo written"
    handle = await stage.start(script)
    await stage.over(handle)
    assert stage.written()[0].startswith("f=/.runner-agent-")
    assert "written" not in stage.written()
    mode = (stage.executor.folder(handle.run_id)).stat().st_mode
    assert mode & 0o077 == 0  # nobody else on the machine gets to it


async def test_an_image_without_bash_runs_sh(stage: Theatre) -> None:
    """Rule 5.1: in a container what its image has."""
    image = stage.place.engine.image("busybox:test")
    handle = await stage.executor.start(of_image(stage.request("echo $0; umask; exit 5"), image))
    assert await stage.executor.wait_ended(handle) == Exited(5)
    await stage.over(handle)
    assert stage.written() == ["sh", "0022"]


async def test_the_user_of_the_image_may_write_outputs_and_log(stage: Theatre) -> None:
    """Rule 5.3, for an image with USER."""
    engine = stage.place.engine
    base = engine.container("as-dev", {"Image": engine.image("bash:test"), "Cmd": ["true"]})
    engine.request("POST", f"/commit?container={base}&repo=dev&tag=test&changes=USER%20dev", {"User": "dev"})
    engine.remove(base)
    stage.place.folder.chmod(0o755)
    request = stage.request('id -u; echo told=yes >>"$GITPOD_OUTPUT"; sleep infinity & exit 3')
    handle = await stage.executor.start(of_image(request, "dev:test"))
    assert await stage.executor.wait_ended(handle) == Exited(3)
    await stage.over(handle)
    assert stage.written() == ["1000"]
    assert request.output.read_text() == "told=yes\n"


async def test_many_containers_at_once(stage: Theatre) -> None:
    handles = await asyncio.gather(*(stage.start(f"echo {number}; exit {number}") for number in range(20)))
    endings = await asyncio.gather(*(stage.executor.wait_ended(handle) for handle in handles))
    assert list(endings) == [Exited(number) for number in range(20)]
    await asyncio.gather(*(stage.over(handle) for handle in handles))
    assert sorted(stage.written(), key=int) == [str(number) for number in range(20)]


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
async def test_nothing_escapes(stage: Theatre, escape: Escape) -> None:
    """Rules 3.7, 3.9, 4.7. What the script notes are pids of the container: only their number is of use."""
    noted = stage.place.folder / "noted"
    # busybox has no nohup, and nobody hangs up there.
    handle = await stage.start(escape.script(noted).replace("nohup ", ""))
    await until(lambda: noted.exists() and len(noted.read_text().splitlines()) >= escape.processes)
    inside = await stage.executor.survivors(handle)
    await stage.executor.kill(handle)
    await stage.over(handle)
    assert await stage.executor.survivors(handle) == ()
    assert [one for one in inside if (proc := procs.look(one.pid)) and proc.command == one.command] == []
    state = stage.place.engine.ask("GET", f"/containers/{stage.name(handle)}/json")["State"]
    assert isinstance(state, dict)
    assert state["Running"] is False


# --- roles that run inside


async def test_ready_and_stop_run_in_the_container_of_start(stage: Theatre) -> None:
    """Rules 3.3, 3.8."""
    service = replace(
        stage.request("touch /tmp/mark; echo up; trap 'exit 0' TERM; sleep infinity & wait"),
        role=RunRole.START,
    )
    handle = await stage.executor.start(service)
    await stage.until_written("up")
    probe = replace(stage.request("test -e /tmp/mark && echo probed", log="ready.log"), role=RunRole.READY)
    await stage.executor.prepare(probe)
    tried = await stage.executor.start(probe)
    inside = stage.executor.inside
    assert tried.executor == inside.name
    assert await inside.wait_ended(tried) == Exited(0)
    await inside.wait_empty(tried)
    assert stage.written("ready.log") == ["probed"]
    assert await stage.executor.survey() == (handle,)
    await stage.executor.kill(handle)
    await stage.over(handle)
    with pytest.raises(CannotStart, match="no container of build runs"):
        await stage.executor.prepare(replace(stage.request("true"), role=RunRole.STOP))


# --- what cannot be started


async def test_a_container_that_an_agent_made_and_died_is_taken(stage: Theatre) -> None:
    """Rule 7.2."""
    request = stage.request("true")
    folder = stage.executor.make_folder(request.run_id)
    await stage.executor.prepare_box(request, folder)
    plan = json.loads((folder / "plan").read_text())
    (folder / "plan").unlink()
    await stage.executor.prepare_box(request, folder)
    assert json.loads((folder / "plan").read_text()) == plan
    assert not await stage.place.engines[0].kill(plan["id"])


async def test_a_missing_image_is_told_in_the_words_of_the_registry(stage: Theatre) -> None:
    request = of_image(stage.request("true"), "localhost:1/no-such/image:never")
    with pytest.raises(CannotStart, match="image localhost:1/no-such/image:never is not here") as told:
        await stage.executor.prepare(request)
    assert "connect" in str(told.value)
    assert "pulling it" in stage.text()


async def test_a_pull_tells_how_far_it_is(stage: Theatre, scratch: Path) -> None:
    """From a real registry; here it tells of each step, not every five seconds."""
    (folder := scratch / "registry").mkdir()
    with registry(folder) as address, patch.object(docker_pull, "EVERY", 0.0):
        image = await asyncio.to_thread(publish, stage.place.engine, f"{address}/team/app:1")
        waits: list[str] = []
        request = replace(of_image(stage.request("echo here"), image), waits=waits.append)
        await stage.executor.prepare(request)
    lines = re.findall(rf"pulling {image}: (\d+) of 8 MB", stage.text())
    assert lines == sorted(lines, key=int)
    assert lines[-1] == "8"
    assert f"image {image} is being pulled: 8 of 8 MB" in waits
    assert waits[-1] == ""
    handle = await stage.executor.start(request)
    await stage.over(handle)
    assert stage.written() == ["here"]


async def test_a_run_that_never_had_a_container_needs_no_engine(own: Theatre) -> None:
    request = own.request("true")
    own.place.engine.stop()
    await own.executor.clean(request.run_id)
    assert await own.executor.find(request.run_id) is None
    await own.executor.clean(request.run_id)
    assert await own.executor.survey() == ()


async def test_a_container_of_somebody_else_is_never_ended_for_ours(stage: Theatre) -> None:
    """It has our name by now, or our labels since it was committed from ours: it is known by its id."""
    engine = stage.place.engine
    handle = await stage.start("echo up; sleep infinity")
    await stage.until_written("up")
    own = str(engine.ask("GET", f"/containers/{stage.name(handle)}/json")["Id"])
    labels = cast("dict[str, object]", engine.ask("GET", f"/containers/{own}/json")["Config"])
    engine.remove(own)
    other: dict[str, object] = {"Image": "bash:test", "Cmd": ["sleep", "infinity"]}
    theirs = [
        engine.container(stage.name(handle), other),
        engine.container("with-our-labels", {**other, "Labels": labels["Labels"]}),
    ]
    try:
        assert isinstance(await stage.executor.wait_ended(handle), Lost)
        await stage.executor.kill(handle)
        await stage.over(handle)
        await stage.executor.clean(handle.run_id)
        other_agent = stage.place.executor()
        assert handle.run_id not in await other_agent.traces()
        await other_agent.clean(handle.run_id)
        for id_ in theirs:
            assert engine.pid(id_) > 0
    finally:
        for id_ in theirs:
            engine.remove(id_)


async def test_a_name_that_is_taken_is_told(stage: Theatre) -> None:
    request = stage.request("true")
    engine = stage.place.engine
    other = engine.container(container_name(request.run_id), {"Image": "bash:test", "Cmd": ["sleep", "9"]})
    try:
        with pytest.raises(CannotStart, match="is there, and not this agent's; remove or rename it"):
            await stage.executor.start(request)
        assert engine.pid(other) > 0
    finally:
        engine.remove(other)


# --- somebody else


async def test_removed_by_somebody_else(stage: Theatre) -> None:
    handle = await stage.start("echo up; sleep infinity")
    await stage.until_written("up")
    stage.place.engine.remove(stage.name(handle))
    assert await stage.executor.wait_ended(handle) == Lost("its container was removed by somebody else")
    await stage.over(handle)
    await stage.executor.clean(handle.run_id)
    assert await stage.executor.find(handle.run_id) is None


async def test_killed_by_somebody_else(stage: Theatre) -> None:
    handle = await stage.start("echo up; sleep infinity")
    await stage.until_written("up")
    stage.place.engine.request("POST", f"/containers/{stage.name(handle)}/kill")
    ending = await stage.executor.wait_ended(handle)
    assert isinstance(ending, Signaled)
    assert (ending.signal, ending.why) == (9, "the container was ended by somebody else")
    await stage.over(handle)
    assert "killed by SIGKILL (the container was ended by somebody else)" in stage.text()


async def test_stopped_by_somebody_else(stage: Theatre) -> None:
    """`docker stop`: the command may clean up."""
    handle = await stage.start("trap 'echo bye; exit 4' TERM; echo up; sleep infinity & wait")
    await stage.until_written("up")
    engine = stage.place.engine
    await asyncio.to_thread(engine.request, "POST", f"/containers/{stage.name(handle)}/stop?t=30")
    assert await stage.executor.wait_ended(handle) == Exited(4)
    await stage.over(handle)
    assert stage.written() == ["up", "bye"]


async def test_a_paused_command_may_clean_up_before_it_ends(stage: Theatre) -> None:
    """Rule 3.7, as `docker stop` does it."""
    handle = await stage.start("trap 'echo bye; exit 4' TERM; echo up; sleep infinity & wait")
    await stage.until_written("up")
    stage.place.engine.request("POST", f"/containers/{stage.name(handle)}/pause")
    await stage.executor.terminate(handle)
    assert await stage.executor.wait_ended(handle) == Exited(4)
    await stage.over(handle)
    assert stage.written() == ["up", "bye"]
    assert "the container of task was paused; it goes on, for it is to end" in stage.text()


@pytest.mark.parametrize("by_hand", [False, True])
async def test_what_is_frozen_is_killed_all_the_same(stage: Theatre, *, by_hand: bool) -> None:
    """Rules 3.7, 3.9: by the Engine's pause, or by a cgroup that the Engine knows nothing of."""
    handle = await stage.start("trap '' TERM; sleep infinity & echo up; sleep infinity")
    await stage.until_written("up")
    name = stage.name(handle)
    if by_hand:
        freeze(stage.place.engine.pid(name))
    else:
        stage.place.engine.request("POST", f"/containers/{name}/pause")
    await stage.executor.kill(handle)
    ending = await stage.executor.wait_ended(handle)
    assert isinstance(ending, Signaled)
    assert ending.signal == signal.SIGKILL
    await stage.over(handle)
    await stage.executor.clean(handle.run_id)
    await until(lambda: not stage.exists(handle))


async def test_a_paused_container_whose_attendant_was_killed_is_ended(stage: Theatre) -> None:
    """Rule 7.4."""
    handle = await stage.start("echo up; sleep infinity")
    await stage.until_written("up")
    stage.place.engine.request("POST", f"/containers/{stage.name(handle)}/pause")
    os.kill(int(handle.data["leader_pid"]), signal.SIGKILL)
    assert await stage.executor.wait_ended(handle) == Lost("supervisor lost")
    await stage.over(handle)


async def test_an_engine_kills_what_is_paused_without_being_told_to_let_it_go(stage: Theatre) -> None:
    """Docker and Podman alike; nobody else may be left who could."""
    handle = await stage.start("trap '' TERM; echo up; sleep infinity")
    await stage.until_written("up")
    name = stage.name(handle)
    stage.place.engine.request("POST", f"/containers/{name}/pause")
    client = DockerEngine(Choice(stage.place.engine.host))
    try:
        assert cast("dict[str, str]", (await client.inspect(name))["State"])["Status"] == "paused"
        assert await client.kill(name)
    finally:
        await client.aclose()
    ending = await stage.executor.wait_ended(handle)
    assert isinstance(ending, Signaled)
    await stage.over(handle)


async def test_a_stop_command_in_a_paused_container_is_told_why(stage: Theatre) -> None:
    """Rule 3.8: it cannot be spawned, so SIGTERM must do."""
    service = replace(stage.request("echo up; sleep infinity"), role=RunRole.START)
    handle = await stage.executor.start(service)
    await stage.until_written("up")
    stage.place.engine.request("POST", f"/containers/{stage.name(handle)}/pause")
    with pytest.raises(CannotStart, match="no container of build runs: it is paused"):
        await stage.executor.prepare(replace(stage.request("true"), role=RunRole.STOP))
    await stage.executor.kill(handle)
    await stage.over(handle)


def freeze(pid: int) -> None:
    """All of its cgroup, of whichever version, past the Engine."""
    places = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    for _, kinds, path in places:
        if kinds == "freezer":
            Path(f"/sys/fs/cgroup/freezer{path}/freezer.state").write_text("FROZEN")
            return
    for _, kinds, path in places:
        if not kinds:
            Path(f"/sys/fs/cgroup{path}/cgroup.freeze").write_text("1")


async def test_out_of_memory_is_told(stage: Theatre) -> None:
    handle = await stage.start(
        "echo up; read -r -t 5 _ <> <(:); x=$(head -c 200000000 /dev/zero | tr '\\0' x); exit 1"
    )
    await stage.until_written("up")
    limit: dict[str, object] = {"Memory": 32 << 20, "MemorySwap": 32 << 20}
    stage.place.engine.ask("POST", f"/containers/{stage.name(handle)}/update", limit)
    ending = await stage.executor.wait_ended(handle)
    assert isinstance(ending, Signaled)
    assert (ending.oom, ending.why) == (True, "out of memory")
    await stage.over(handle)
    assert "(out of memory)" in stage.text()


async def test_a_killed_attendant_takes_its_container_with_it(stage: Theatre) -> None:
    """Rule 7.4: and it is told only when nothing of it is left."""
    handle = await stage.start("echo up; trap '' TERM; sleep infinity")
    await stage.until_written("up")
    attendant = int(handle.data["leader_pid"])
    inside = await stage.executor.survivors(handle)
    os.kill(attendant, signal.SIGKILL)
    assert await stage.executor.wait_ended(handle) == Lost("supervisor lost")
    assert [one for one in inside if procs.look(one.pid)] == []
    await stage.over(handle)


async def test_a_killed_holder_takes_all_with_it(stage: Theatre) -> None:
    """Rule 7.4."""
    handle = await stage.start("echo up; trap '' TERM; sleep infinity")
    await stage.until_written("up")
    inside = await stage.executor.survivors(handle)
    os.kill(holder_of(handle).pid, signal.SIGKILL)
    assert await stage.executor.wait_ended(handle) == Lost("supervisor lost")
    await stage.over(handle)
    assert [one for one in inside if procs.look(one.pid)] == []
    assert await stage.executor.survey() == ()


async def test_containers_of_a_lost_state_are_known(stage: Theatre) -> None:
    handle = await stage.start("exit 0")
    await stage.over(handle)
    folder = stage.executor.folder(handle.run_id)
    folder.rename(stage.place.folder / "lost")
    other = stage.place.executor()
    assert handle.run_id in await other.traces()
    await other.clean(handle.run_id)
    assert not stage.exists(handle)
    assert handle.run_id not in await other.traces()


# --- an Engine that goes away


async def test_no_engine_is_told_and_tried_again(own: Theatre) -> None:
    request = own.request("exit 6")
    own.place.engine.stop()
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"cannot be reached: .*; start Docker, or set DOCKER_HOST"):
            await own.executor.prepare(request)
    with pytest.raises(Unavailable):
        await own.executor.start(request)
    own.place.engine.start()
    await own.executor.prepare(request)
    handle = await own.executor.start(request)
    assert await own.executor.wait_ended(handle) == Exited(6)
    await own.over(handle)


async def test_runs_outlive_an_engine_that_keeps_containers(own: Theatre) -> None:
    """With live-restore: no byte lost or doubled, signals and exit code while it is away."""
    handle = await own.start(
        "trap 'echo bye; exit 7' TERM; i=0; while :; do echo $((i+=1)); sleep 0.05; done"
    )
    await until(lambda: "3" in own.written())
    own.place.engine.stop()
    seen = len(own.written())
    await until(lambda: len(own.written()) > seen + 3)
    own.place.engine.start()
    seen = len(own.written())
    await until(lambda: len(own.written()) > seen + 3)
    own.place.engine.stop()
    await own.executor.terminate(handle)
    assert await own.executor.wait_ended(handle) == Exited(7)
    await own.over(handle)
    *numbers, last = own.written()
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert last == "bye"
    clean = asyncio.create_task(own.executor.clean(handle.run_id))
    await clean
    own.place.engine.start()
    await until(lambda: not own.exists(handle))


async def test_a_crash_of_the_engine_is_nothing_to_a_run(own: Theatre) -> None:
    handle = await own.start("echo up; sleep 1; echo on; exit 2")
    await own.until_written("up")
    own.place.engine.crash()
    assert await own.executor.wait_ended(handle) == Exited(2)
    await own.over(handle)
    assert own.written() == ["up", "on"]
    own.place.engine.start()


async def test_an_engine_that_takes_its_containers_along(own: Theatre) -> None:
    """Without live-restore."""
    own.place.engine.restart(live_restore=False)
    handle = await own.start("echo up; sleep infinity")
    await own.until_written("up")
    await asyncio.to_thread(own.place.engine.stop)
    assert await own.executor.wait_ended(handle) == Lost(
        "the Docker Engine was stopped, and the container with it"
    )
    await own.over(handle)
    own.place.engine.start()
    await own.executor.clean(handle.run_id)
    assert not own.exists(handle)


async def test_an_engine_that_goes_away_between_create_and_start(own: Theatre) -> None:
    """The attendant waits for it, and says so; whoever asks is told, and asks again; it is started once."""
    request = own.request("echo begun; exit 3")
    folder = own.executor.make_folder(request.run_id)
    await own.executor.prepare_box(request, folder)
    plan = json.loads((folder / "plan").read_text())
    assert plan["id"]
    own.place.engine.stop()
    for _ in range(2):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await own.executor.start(request)
    await until(lambda: "trying again until it answers" in own.text())
    own.place.engine.start()

    async def started() -> bool:
        try:
            await own.executor.start(request)
        except Unavailable:
            return False
        return True

    await until(started)
    handle = await own.executor.start(request)
    assert await own.executor.wait_ended(handle) == Exited(3)
    await own.over(handle)
    assert own.written() == ["begun"]


@pytest.mark.parametrize("way", ["terminate", "kill"])
async def test_what_waits_for_its_engine_can_be_stopped(own: Theatre, way: str) -> None:
    request = own.request("echo begun")
    folder = own.executor.make_folder(request.run_id)
    await own.executor.prepare_box(request, folder)
    own.place.engine.stop()
    with pytest.raises(Unavailable, match="cannot be reached"):
        await own.executor.start(request)
    handle = await own.executor.find(request.run_id)
    assert handle is not None
    await (own.executor.kill(handle) if way == "kill" else own.executor.terminate(handle))
    ending = await own.executor.wait_ended(handle)
    assert isinstance(ending, NotStarted)
    assert ending.reason == "it was stopped before its container could be started"
    await own.over(handle)
    own.place.engine.start()
    assert own.written() == []


# --- who may not signal, or not even see


@pytest.mark.parametrize("blind", ["_pin", "_may_signal"])
@pytest.mark.parametrize(("way", "code"), [("terminate", 3), ("kill", 137)])
async def test_what_cannot_be_signalled_is_reached_through_the_engine(
    engine: Engine, blind: str, way: str, code: int
) -> None:
    """An agent that is not root, or lives in a container of its own."""
    script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done"
    config: dict[str, object] = {"Image": engine.image("bash:test"), "Cmd": ["bash", "-c", script]}
    id_ = engine.container(f"out-of-reach-{blind}-{way}", config)

    def state() -> dict[str, object]:
        return cast("dict[str, object]", engine.ask("GET", f"/containers/{id_}/json")["State"])

    try:
        await until(lambda: b"up" in engine.request("GET", f"/containers/{id_}/logs?stdout=1")[1])
        with patch.object(inmate, blind, return_value=None):
            there = inmate.Inmate(id_, cast("int", state()["Pid"]), Client(engine.host), select.poll())
        assert not there.dead()
        assert not there.restless
        if way == "kill":
            await asyncio.to_thread(there.kill)
        else:
            assert await asyncio.to_thread(there.terminate)
        await until(there.dead)
        await until(lambda: not state()["Running"])  # the Engine learns of it a little later
        assert state()["ExitCode"] == code
    finally:
        engine.remove(id_)
