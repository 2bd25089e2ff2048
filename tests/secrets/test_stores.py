"""The stores together: the order of scopes, what is closed, what hangs (rules 5.6, 6.5)."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from runner_agent.kit.patience import AT_ONCE, Patience, TookTooLong
from runner_agent.secrets.folders import Folder, Found, Scope, is_secret_id
from runner_agent.secrets.stores import Missing, SecretStores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE = "11111111-1111-4111-8111-111111111111"
TWO = "22222222-2222-4222-8222-222222222222"


class Shelf:
    """Three folders, filled by scope."""

    def __init__(self, base: Path) -> None:
        self.base = base
        base.chmod(0o700)
        self.folders = [Folder(scope, base / scope.value) for scope in reversed(Scope)]
        for folder in self.folders:
            folder.path.mkdir()

    def put(self, scope: Scope, secret_id: str, value: str) -> Path:
        path = self.base / scope.value / secret_id
        path.write_text(value)
        path.chmod(0o600)
        return path


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


async def one(stores: SecretStores, secret_id: str = ONE) -> str:
    """The value, or why there is none."""
    found = (await stores.look([secret_id]))[secret_id]
    return found.value if isinstance(found, Found) else found.reason


async def test_rule_5_6_user_before_project_before_organization(shelf: Shelf) -> None:
    stores = SecretStores(shelf.folders)
    for scope in (Scope.ORGANIZATION, Scope.PROJECT, Scope.USER):
        shelf.put(scope, ONE, f"of the {scope.value}")
        assert await one(stores) == f"of the {scope.value}"


async def test_a_value_is_read_anew_each_time(shelf: Shelf) -> None:
    stores = SecretStores(shelf.folders)
    shelf.put(Scope.USER, ONE, "before")
    assert await one(stores) == "before"
    shelf.put(Scope.USER, ONE, "after")
    assert await one(stores) == "after"


async def test_a_file_that_cannot_be_used_hides_no_other(shelf: Shelf) -> None:
    """Another value than the one meant is worse than none."""
    shelf.put(Scope.USER, ONE, "")
    shelf.put(Scope.ORGANIZATION, ONE, "another")
    told = await one(SecretStores(shelf.folders))
    assert told == f"its file {shelf.base}/user/{ONE} is empty"


async def test_rule_5_6_who_was_asked_is_told(shelf: Shelf) -> None:
    told = await one(SecretStores(shelf.folders))
    base = shelf.base
    asked = f"user ({base}/user), project ({base}/project), organization ({base}/organization)"
    assert f"in none of the stores asked: {asked}" in told
    (base / "project").rmdir()
    assert f"project ({base}/project), where there is no folder, org" in await one(
        SecretStores(shelf.folders)
    )
    assert "no secret store is configured" in await one(SecretStores())


async def test_rule_6_5_a_closed_user_scope_gives_nothing_and_says_so(shelf: Shelf) -> None:
    shelf.put(Scope.USER, ONE, "the user's own")
    shelf.put(Scope.USER, TWO, "the user's own")
    shelf.put(Scope.PROJECT, TWO, "the project's")
    is_open = [True]
    stores = SecretStores(shelf.folders, user_scope_open=lambda: is_open[0])
    assert await one(stores) == await one(stores, TWO) == "the user's own"
    is_open[0] = False
    assert (await one(stores)).endswith("the user scope is out of reach of a prebuild")
    assert f"{shelf.base}/user" not in await one(stores)
    assert await one(stores, TWO) == "the project's"
    is_open[0] = True
    assert await one(stores) == "the user's own"


@pytest.mark.parametrize("bad", ["", "../../etc/shadow", "a/b", ".", f"{ONE}\n", ONE[:-1], f"{ONE}/"])
async def test_no_other_name_than_a_uuid_is_looked_for(shelf: Shelf, bad: str) -> None:
    assert not is_secret_id(bad)
    assert await one(SecretStores(shelf.folders), bad) == "its id is no UUID"


async def test_exposed_values_are_warned_of_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.put(Scope.USER, ONE, "for all to see")

    def read(_self: Folder, _id: str) -> Found:
        return Found("for all to see", exposed=True)

    monkeypatch.setattr(Folder, "read", read)
    stores = SecretStores(shelf.folders)
    with capture_logs() as told:
        await stores.look([ONE])
        await stores.look([ONE])
    assert [(entry["log_level"], entry["secret"]) for entry in told] == [("warning", ONE)]
    assert "for all to see" not in str(told)


# --- a mount that hangs


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the end, so that no thread stays behind."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_store_that_hangs_is_named_and_does_not_hold_up_the_loop(
    shelf: Shelf, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put(Scope.USER, ONE, "quick")
    real = Folder.read

    def read(self: Folder, secret_id: str) -> Found | None:
        if self.scope is Scope.PROJECT:
            gate.wait(60)
        return real(self, secret_id)

    monkeypatch.setattr(Folder, "read", read)
    stores = SecretStores(shelf.folders, reading=Patience(0.2))
    looking = asyncio.create_task(stores.look([ONE, TWO]))
    await asyncio.sleep(0)
    assert not looking.done(), "the loop goes on meanwhile"
    found = await looking
    assert found[ONE] == Found("quick")
    late = found[TWO]
    assert isinstance(late, Missing)
    assert f"the store project ({shelf.base}/project) does not answer" in late.reason


async def test_so_many_that_hang_are_the_last_until_one_comes_back(gate: threading.Event) -> None:
    patience = Patience(0.05)
    hanging = [patience(lambda: gate.wait(60)) for _ in range(AT_ONCE)]
    told = await asyncio.gather(*hanging, return_exceptions=True)
    assert [type(one) for one in told] == [TookTooLong] * AT_ONCE
    began: list[bool] = []
    with pytest.raises(TookTooLong):
        await patience(lambda: began.append(True))
    assert began == [], "no thread more"
    gate.set()
    async with asyncio.timeout(20):
        while (answer := await _one_more(patience)) is None:
            pass
    assert answer == 7


async def _one_more(patience: Patience) -> int | None:
    """None as long as none of those that hung is known to be back."""
    await asyncio.sleep(0)
    try:
        return await patience(lambda: 7)
    except TookTooLong:
        return None


async def test_what_the_work_raises_is_the_callers() -> None:
    patience = Patience()

    def work() -> int:
        raise OSError("as it is")

    with pytest.raises(OSError, match="as it is"):
        await patience(work)
    gc.collect()  # and no complaint of a result that nobody took


async def test_one_who_is_cancelled_leaves_nothing_undone(gate: threading.Event) -> None:
    patience = Patience()
    waiting = asyncio.create_task(patience(lambda: gate.wait(60)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    assert await patience(lambda: 7) == 7
