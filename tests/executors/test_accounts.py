"""The account of `run_as` at each start (rules 5.1, 5.2): as a login would have it, and no long wait."""

from __future__ import annotations

import asyncio
import os
import pwd
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from runner_agent.executors import accounts
from runner_agent.executors.accounts import Accounts
from runner_agent.kit.patience import Patience
from runner_agent.model.errors import CannotStart
from runner_agent.model.runs import Exited
from tests.executors.test_machine import Place, over, place
from tests.support.machines import ROOT_OR_CI

__all__ = ("place",)
NOBODY = pwd.getpwnam("nobody")


class System:
    """What the system tells of the user nobody, in the place of /etc/passwd and /etc/group."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "passwd"
        self.file.touch()
        self.entry: dict[str, object] = {}
        self.groups = [NOBODY.pw_gid]
        self.gone = False
        self.asked = 0
        self.answers = threading.Event()
        self.answers.set()
        self._stamp = 0

    def change(self) -> None:
        """As usermod does it: the file is another one."""
        self._stamp += 1
        os.utime(self.file, ns=(self._stamp, self._stamp))

    def getpwnam(self, name: str) -> pwd.struct_passwd:
        self.asked += 1
        self.answers.wait(60)
        if self.gone:
            raise KeyError(name)
        fields = dict(zip(FIELDS, NOBODY, strict=False)) | self.entry
        return pwd.struct_passwd(tuple(fields.values()))

    def getgrouplist(self, name: str, gid: int) -> list[int]:
        assert (name, gid) == ("nobody", NOBODY.pw_gid)
        return self.groups


FIELDS = ("pw_name", "pw_passwd", "pw_uid", "pw_gid", "pw_gecos", "pw_dir", "pw_shell")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    made = System(tmp_path)
    monkeypatch.setattr(pwd, "getpwnam", made.getpwnam)
    monkeypatch.setattr(os, "getgrouplist", made.getgrouplist)
    monkeypatch.setattr(accounts, "FILES", (str(made.file),))
    return made


async def test_groups_shell_and_home_are_those_of_now(system: System) -> None:
    known = Accounts("nobody", {}, "")
    first = await known.now()
    assert 4242 not in first.groups
    system.groups = [NOBODY.pw_gid, 4242]
    system.entry = {"pw_dir": "/new/home", "pw_shell": "/bin/dash"}
    system.change()
    found = await known.now()
    assert found.groups == (NOBODY.pw_gid, 4242)
    assert (found.env["HOME"], found.env["SHELL"]) == ("/new/home", "/bin/dash")


async def test_what_no_file_here_tells_of_is_asked_for_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory server."""
    monkeypatch.setattr(accounts, "FRESH", 0.0)
    known = Accounts("nobody", {}, "")
    system.groups = [4343]
    asking = asyncio.ensure_future(known.now())
    await asyncio.sleep(0)
    monkeypatch.setattr(accounts, "FRESH", 60.0)
    assert (await asking).groups == (4343,)


async def test_many_that_start_together_ask_once(system: System) -> None:
    known = Accounts("nobody", {}, "")
    system.change()
    system.groups = [4242]
    before = system.asked
    found = await asyncio.gather(*(known.now() for _ in range(50)))
    assert {one.groups for one in found} == {(4242,)}
    assert system.asked == before + 1


@pytest.mark.parametrize("told", ["no user 'nobody' on this machine any more", "has uid 4711 now"])
async def test_who_is_gone_or_somebody_else_is_told(system: System, told: str) -> None:
    known = Accounts("nobody", {}, "")
    if "4711" in told:
        system.entry = {"pw_uid": 4711}
    else:
        system.gone = True
    system.change()
    for _ in range(2):
        with pytest.raises(CannotStart, match=told):
            await known.now()
    system.gone, system.entry = False, {}
    assert (await known.now()).uid == NOBODY.pw_uid


async def test_a_system_that_does_not_answer_is_told_and_asked_again(system: System) -> None:
    known = Accounts("nobody", {}, "", Patience(0.05))
    system.change()
    system.answers.clear()
    with pytest.raises(CannotStart, match="getent passwd nobody"):
        await known.now()
    system.answers.set()
    assert (await known.now()).uid == NOBODY.pw_uid


async def test_nobody_is_asked_for_the_agent_s_own_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs a start nothing."""
    known = Accounts("", {}, "")
    monkeypatch.setattr(accounts, "FRESH", 0.0)

    def asked(_: int) -> pwd.struct_passwd:
        raise AssertionError

    monkeypatch.setattr(pwd, "getpwuid", asked)
    assert (await known.now()).uid == os.getuid()


@pytest.mark.skipif(not ROOT_OR_CI, reason="only root may run commands as another user")
async def test_a_run_has_the_groups_of_its_start(place: Place, system: System) -> None:
    """The case as it was found: a group given to the user while the agent runs."""
    place.folder.chmod(0o711)
    executor = place.executor(run_as="nobody", workspace="/")
    guarded = place.folder / "guarded"
    guarded.write_text("content\n")
    os.chown(guarded, 0, 4242)
    guarded.chmod(0o640)
    request = place.request(f"cat {guarded} && echo $SHELL $HOME")
    first = await executor.start(request)
    assert await executor.wait_ended(first) == Exited(1)
    await over(executor, first)
    system.groups = [NOBODY.pw_gid, 4242]
    system.entry = {"pw_dir": "/new/home", "pw_shell": "/bin/dash"}
    system.change()
    second = await executor.start(replace(place.request(request.script), run_id=place.request("").run_id))
    assert await executor.wait_ended(second) == Exited(0)
    await over(executor, second)
    system.gone = True
    system.change()
    with pytest.raises(CannotStart, match="no user"):
        await executor.start(place.request("true"))
    await executor.stop_launcher()
