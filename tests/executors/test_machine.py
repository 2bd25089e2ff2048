"""Runs on the machine: what the conformance suite cannot know, for it is about launcher, holders and pids."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from runner_agent.executors.base import RunRequest
from runner_agent.executors.held import SUPERVISOR_LOST
from runner_agent.executors.holders import KILL, holder_of
from runner_agent.executors.machine import MachineExecutor, MachineSettings
from runner_agent.launcher import procs, wire
from runner_agent.model.errors import CannotStart, Unavailable
from runner_agent.model.ids import Reference, RunId
from runner_agent.model.phases import RunRole
from runner_agent.model.runs import Exited, Handle, Lost, Signaled
from runner_agent.model.specs import Anywhere
from tests.support.machines import ROOT_OR_CI
from tests.support.processes import eventually, wait_until

BOUND = 60.0


class Place:
    """A state folder, and executors over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0
        self._opened: list[MachineExecutor] = []

    def executor(self, **settings: str | Path) -> MachineExecutor:
        made = MachineExecutor(
            MachineSettings(**{"state_dir": self.folder, "workspace": self.folder, **settings})  # type: ignore[arg-type]
        )
        self._opened.append(made)
        return made

    def request(self, script: str) -> RunRequest:
        self._number += 1
        name = f"run-{os.getpid()}-{self._number}"  # remains are known by it, to tests beside this one too
        return RunRequest(
            run_id=RunId(name),
            role=RunRole.TASK,
            reference=Reference("build"),
            script=script,
            runs_on=Anywhere(),
            env={},
            log=self.folder / f"{name}.log",
            output=self.folder / f"{name}.output",
        )

    def text(self, handle: Handle) -> str:
        return (self.folder / f"{handle.run_id}.log").read_text()

    def written(self, handle: Handle) -> list[str]:
        return [line for line in self.text(handle).splitlines() if not line.startswith("runner-agent: ")]

    async def until_written(self, handle: Handle, *lines: str) -> None:
        await eventually(lambda: sorted(self.written(handle)) == sorted(lines), what=f"{lines} written")

    def launcher(self) -> procs.Proc:
        """The live launcher of the folder."""
        return self.launchers()[0]

    def launchers(self) -> list[procs.Proc]:
        """It, or none while it is being started."""
        return [
            proc
            for proc in procs.everyone()
            if proc.command == "ra-launcher" and not proc.zombie and self._is_of(proc.pid)
        ]

    def _is_of(self, pid: int) -> bool:
        try:
            return os.fsencode(self.folder) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False

    def kill_launcher(self) -> None:
        """With its nursery."""
        family = self.launchers()
        for launcher in tuple(family):
            family += [proc for proc in procs.descendants(launcher.pid) if proc.parent == launcher.pid]
        procs.send_all(family, signal.SIGKILL)
        for proc in family:
            wait_dead(proc)

    async def close(self) -> None:
        for executor in self._opened:
            await executor.aclose()


def wait_dead(proc: procs.Proc) -> None:
    wait_until(lambda: (found := procs.look(proc.pid)) is None or found.zombie, what=f"the end of {proc.pid}")


@pytest_asyncio.fixture
async def place(scratch: Path) -> AsyncIterator[Place]:
    made = Place(scratch)
    yield made
    await made.close()


async def over(executor: MachineExecutor, handle: Handle) -> None:
    async with asyncio.timeout(BOUND):
        await executor.wait_empty(handle)


def kill_holder(handle: Handle) -> None:
    assert procs.send(int(handle.data["holder_pid"]), int(handle.data["holder_start"]), signal.SIGKILL)


# --- deaths


async def test_a_dead_launcher_is_replaced_and_holders_go_on(place: Place) -> None:
    """Rule 7.2."""
    executor = place.executor()
    first = await executor.start(place.request("trap 'exit 4' TERM; echo on; sleep infinity & wait"))
    await place.until_written(first, "on")
    place.kill_launcher()
    second = await executor.start(place.request("exit 5"))
    assert await executor.wait_ended(second) == Exited(5)
    await executor.terminate(first)
    assert await executor.wait_ended(first) == Exited(4)
    assert await executor.find(first.run_id) == first
    for handle in (first, second):
        await over(executor, handle)
    await executor.stop_launcher()


async def test_a_start_that_its_launcher_did_not_live_to_answer_is_asked_anew(place: Place) -> None:
    """And the command runs once."""
    executor = place.executor()
    await over(executor, await executor.start(place.request("exit 0")))
    for step in range(12):
        starting = asyncio.ensure_future(executor.start(place.request("echo ran; exit 6")))
        await asyncio.sleep(step * 0.0004)
        place.kill_launcher()
        handle = await starting
        assert await executor.wait_ended(handle) == Exited(6)
        assert place.written(handle) == ["ran"]
        await over(executor, handle)
    await executor.stop_launcher()


async def test_a_run_whose_holder_was_killed_is_lost_when_nothing_of_it_is_left(place: Place) -> None:
    """Rule 7.4, at all moments of a run's life."""
    executor = place.executor()
    for step in range(20):
        handle = await executor.start(
            place.request("(setsid sh -c \"trap '' TERM; sleep infinity\" &) ; sleep infinity")
        )
        waits = asyncio.gather(executor.wait_ended(handle), executor.wait_empty(handle))
        await asyncio.sleep(step * 0.002)
        kill_holder(handle)
        async with asyncio.timeout(BOUND):
            ending, _ = await waits
        assert ending == Lost(SUPERVISOR_LOST)
        assert await executor.survivors(handle) == ()
        assert procs.look(int(handle.data["leader_pid"])) is None
        assert await executor.survey() == ()
    await executor.stop_launcher()


async def test_what_a_killed_holder_of_a_dead_launcher_held_is_found(place: Place) -> None:
    """By the run's id in its environment, and its children though they hide theirs."""
    executor = place.executor()
    handle = await executor.start(
        place.request(
            "echo on; (setsid sh -c \"trap '' TERM; env -i /bin/sleep 1000; :\" &) ; sleep infinity"
        )
    )
    await place.until_written(handle, "on")
    await eventually(
        lambda: len(procs.descendants(int(handle.data["holder_pid"]))) >= 3, what="all are there"
    )
    family = procs.descendants(int(handle.data["holder_pid"]))
    place.kill_launcher()
    kill_holder(handle)
    async with asyncio.timeout(BOUND):
        assert await executor.wait_ended(handle) == Lost(SUPERVISOR_LOST)
        await executor.wait_empty(handle)
    assert [
        proc.pid
        for proc in family
        if (now := procs.look(proc.pid)) and now.start == proc.start and not now.zombie
    ] == []


async def test_a_lost_run_is_surveyed_while_something_of_it_is_left(place: Place) -> None:
    executor = place.executor()
    handle = await executor.start(place.request("echo on; sleep infinity"))
    await place.until_written(handle, "on")
    place.kill_launcher()
    kill_holder(handle)
    await eventually(lambda: not holder_of(handle).lives(procs.boot_mark()))
    assert await executor.survey() == (handle,)
    assert await executor.survivors(handle)
    await over(executor, handle)
    assert await executor.survey() == ()


# --- what cannot be verified is never signalled (rule 7.3)


@pytest.mark.parametrize("field", ["boot", "holder_start"])
async def test_a_pid_that_is_another_process_by_now_is_left_alone(place: Place, field: str) -> None:
    executor = place.executor()
    stranger = await executor.start(place.request("sleep infinity"))
    forged_value: str | int = "another boot/1" if field == "boot" else int(stranger.data["holder_start"]) - 1
    folder = place.folder / "runs" / "forged"
    folder.mkdir()
    forged = replace(
        stranger,
        run_id=RunId("forged"),
        data={**stranger.data, field: forged_value, "dir": str(folder), "run_id": "forged"},
    )
    await executor.terminate(forged)
    await executor.kill(forged)
    assert await executor.survivors(forged) == ()
    async with asyncio.timeout(BOUND):
        assert await executor.wait_ended(forged) == Lost(SUPERVISOR_LOST)
        await executor.wait_empty(forged)
    assert await executor.survey() == (stranger,)
    assert holder_of(stranger).signal(KILL, procs.boot_mark())
    assert await executor.wait_ended(stranger) == Signaled(9)
    await over(executor, stranger)


async def test_runs_of_another_boot_are_over(place: Place) -> None:
    """Rule 6.6."""
    executor = place.executor()
    handle = await executor.start(place.request("sleep infinity"))
    spawned = place.folder / "runs" / handle.run_id / "spawned"
    spawned.write_text(spawned.read_text().replace(str(handle.data["boot"]), "another boot/1"))
    assert await executor.survey() == ()
    await executor.kill(handle)
    await over(executor, handle)


async def test_a_record_that_cannot_be_read_hides_no_other(place: Place) -> None:
    executor = place.executor()
    handle = await executor.start(place.request("sleep infinity"))
    broken = place.folder / "runs" / "broken"
    broken.mkdir()
    (broken / "spawned").write_text("{nonsense\n")
    assert await executor.survey() == (handle,)
    await executor.kill(handle)
    await over(executor, handle)


# --- the launcher


async def test_an_executor_fenced_off_by_a_newer_one_starts_nothing(place: Place) -> None:
    """Rule 7.2."""
    older, newer = place.executor(), place.executor()
    await over(older, await older.start(place.request("exit 0")))
    await over(newer, await newer.start(place.request("exit 0")))
    request = place.request("echo begun")
    with pytest.raises(Unavailable, match="is over"):
        await older.start(request)
    assert not request.log.exists()


async def test_the_launcher_is_nobody_s_child(place: Place) -> None:
    executor = place.executor()
    await over(executor, await executor.start(place.request("exit 0")))
    launcher = place.launcher()
    assert launcher.parent != os.getpid()
    assert os.getsid(launcher.pid) != os.getsid(0)
    await executor.stop_launcher()
    wait_dead(launcher)


async def test_stopping_the_launcher_starts_none(place: Place) -> None:
    await place.executor().stop_launcher()
    assert not (place.folder / "launcher.lock").exists()


async def test_two_agents_that_find_no_launcher_share_one(place: Place) -> None:
    first, second = place.executor(), place.executor()
    results = await asyncio.gather(first.find(RunId("a")), second.find(RunId("b")), return_exceptions=True)
    assert results[1] is None, "the newer one is heard in any case"
    assert place.launcher().parent != os.getpid()


async def test_a_launcher_that_cannot_start_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unavailable, match="the launcher cannot be started"):
        await place.executor().start(place.request("true"))


async def test_waiting_takes_no_thread_and_leaks_no_descriptor(place: Place) -> None:
    executor = place.executor()
    await over(executor, await executor.start(place.request("exit 0")))
    before = sorted(Path("/proc/self/fd").iterdir())
    threads = threading.active_count()
    handles = [await executor.start(place.request("sleep infinity")) for _ in range(5)]
    waits = [asyncio.ensure_future(executor.wait_ended(handle)) for handle in handles]
    await asyncio.sleep(0.05)
    assert threading.active_count() == threads
    waits[0].cancel()
    for handle in handles:
        await executor.kill(handle)
    assert await asyncio.gather(*waits[1:]) == [Signaled(9)] * 4
    for handle in handles:
        await over(executor, handle)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


# --- who, where and with what


async def test_commands_run_as_another_user(place: Place) -> None:
    """Rules 5.1, 5.2: with the base environment of that user, not the agent's."""
    nobody = pwd.getpwnam("nobody")
    place.folder.chmod(0o755)
    executor = place.executor(run_as="nobody", own_path="/opt/agent/bin")
    script = "id -u; id -g; echo $HOME $USER $LOGNAME $SHELL; echo $PATH; pwd; echo x >>/dev/stderr"
    handle = await executor.start(place.request(script))
    assert await executor.wait_ended(handle) == Exited(0)
    assert place.written(handle) == [
        str(nobody.pw_uid),
        str(nobody.pw_gid),
        f"{nobody.pw_dir} nobody nobody {nobody.pw_shell}",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/agent/bin",
        str(place.folder),
        "x",
    ]
    await over(executor, handle)


@pytest.mark.parametrize("run_as", ["", "nobody"])
async def test_pwd_is_the_workspace_as_configured(place: Place, run_as: str) -> None:
    place.folder.chmod(0o711)
    real, link = place.folder / "real", place.folder / "link"
    real.mkdir(mode=0o755)
    link.symlink_to(real)
    executor = place.executor(workspace=link, run_as=run_as if ROOT_OR_CI else "")
    for shell in ("bash", "dash"):
        script = f"exec {shell} -c 'echo $PWD; pwd; pwd -P; printenv PWD; cd ..; pwd'"
        handle = await executor.start(replace(place.request(script), env={"PWD": "/elsewhere"}))
        await over(executor, handle)
        assert place.written(handle) == [
            *map(str, (link, link, real.resolve(), link)),
            str(place.folder),
        ]


async def test_every_process_of_a_run_carries_its_id(place: Place) -> None:
    executor = place.executor()
    handle = await executor.start(place.request("echo $RUNNER_AGENT_RUN_ID"))
    await over(executor, handle)
    assert place.written(handle) == [handle.run_id]


@pytest.mark.parametrize("older", [False, True], ids=["this launcher", "an older one"])
async def test_secrets_of_64_kib_are_hidden_and_hold_up_nobody(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, older: bool
) -> None:
    """Rule 5.6. A launcher that cannot look into what is shared is told the secrets themselves."""
    asked = list[dict[str, object]]()
    executor = place.executor()
    await executor.warm_up()
    ask = executor.link._ask

    async def looked_at(op: str, fields: Mapping[str, object]) -> wire.Message:
        asked.append(dict(fields))
        return await ask(op, fields)

    monkeypatch.setattr(executor.link, "_ask", looked_at)
    executor.link._shares = not older
    lines = [f"{number}-line-of-a-certificate-{number}" for number in range(2_000)]
    secrets = tuple("\n".join([f"secret {one}", *lines]) for one in range(3))
    value = place.folder / "value"
    value.write_text(secrets[1])
    for _ in range(2):
        request = replace(place.request(f"cat {value}; echo; echo on"), secrets=secrets)
        handle = await executor.start(request)
        await over(executor, handle)
        assert place.written(handle) == ["***", "on"]
    assert [bool(order["secrets"]) for order in asked if not order.get("secrets_in")] == [True] * 2 * older
    paths = {order["secrets_in"] for order in asked if order.get("secrets_in")}
    assert len(paths) == 1, "it was written down once"


async def test_what_cannot_be_started_says_why(place: Place) -> None:
    """Rule 5.7."""
    executor = place.executor()
    with pytest.raises(CannotStart, match="NUL byte"):
        await executor.start(place.request("echo \0"))
    with pytest.raises(CannotStart, match="too long"):
        await executor.start(replace(place.request("true"), env={"LONG": "x" * 200_000}))
    with pytest.raises(CannotStart, match="the shell fish-or-so is missing"):
        await place.executor(shell="fish-or-so").start(place.request("true"))
    with pytest.raises(KeyError, match="no-such-user"):
        place.executor(run_as="no-such-user")
