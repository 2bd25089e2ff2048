"""Secrets over the life of an agent: a run that cannot have one, a store that hangs, an agent that comes back
(rules 5.6, 5.7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from runner_agent.kit.virtual import virtual_time
from runner_agent.model.ids import Reference
from runner_agent.model.phases import RunRole, ServicePhase
from runner_agent.model.records import Kind, Service
from runner_agent.model.specs import EnvVar, SecretRef
from runner_agent.secrets.folders import Folder, Scope
from runner_agent.secrets.given import RunSecrets
from runner_agent.secrets.known import WITHHELD
from runner_agent.secrets.stores import SecretStores
from runner_agent.store.base import Transaction
from tests.support.world import Scene, scene

T = TypeVar("T")
ID = "11111111-1111-4111-8111-111111111111"
VALUE = "hunter2-hunter2"
SAYS = "echo url=$TOKEN >> $GITPOD_OUTPUT; sleep 20; echo later=$TOKEN >> $GITPOD_OUTPUT; sleep infinity"


@dataclass
class Vault:
    """One folder, read without a thread: virtual time would not wait for one."""

    path: Path
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.path.mkdir(mode=0o700)
        self.open.set()

    @property
    def file(self) -> Path:
        return self.path / ID

    def put(self, value: str) -> None:
        self.file.write_text(value)
        self.file.chmod(0o600)

    def secrets(self) -> RunSecrets:
        return RunSecrets(SecretStores([Folder(Scope.USER, self.path)], reading=self._read))

    async def _read(self, work: Callable[[], T]) -> T:
        await self.open.wait()
        return work()


async def with_secret(it: Scene, reference: str, start: str) -> None:
    """A service whose TOKEN is the secret."""
    await it.service(reference, start)

    def change(tx: Transaction) -> None:
        service = tx.by_reference(Reference(reference))
        assert isinstance(service, Service)
        launch = replace(service.spec.launch, env=(EnvVar("TOKEN", SecretRef(ID)),))
        tx.put(replace(service, spec=replace(service.spec, launch=launch)))

    await it.store.write(change, durable=True)


@virtual_time
async def test_rule_5_6_outputs_show_no_secret_and_after_a_restart_neither(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    vault.put(VALUE)
    async with scene(tmp_path, agent=False) as it:
        it.secrets = vault.secrets
        await it.agent()
        await with_secret(it, "web", SAYS.replace("$TOKEN", VALUE))
        await it.start("web")
        await it.at(10)
        hidden = it.seen("web").status.output["url"]
        assert VALUE not in hidden
        await it.restarted(after=1)
        await it.at(30)
        assert it.seen("web").status.output == {"url": hidden, "later": hidden}
        run = it.seen("web").run
        assert run is not None
        assert VALUE not in repr(run.output)


@virtual_time
async def test_rule_5_6_after_a_restart_without_the_secret_outputs_are_withheld(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    vault.put(VALUE)
    async with scene(tmp_path, agent=False) as it:
        it.secrets = vault.secrets
        await it.agent()
        await with_secret(it, "web", SAYS.replace("$TOKEN", VALUE))
        await it.service("other", "sleep 20; echo plain=1 >> $GITPOD_OUTPUT; sleep infinity")
        await it.start("web")
        await it.start("other")
        await it.at(10)
        vault.file.unlink()
        await it.restarted(after=1)
        await it.at(30)
        assert it.seen("web").status.output["later"] == WITHHELD
        assert it.seen("other").status.output == {"plain": "1"}, "it was given none"


@virtual_time
async def test_rule_5_7_a_secret_that_is_missing_fails_the_run_with_the_reason_in_its_log(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as it:
        await with_secret(it, "web", "sleep infinity")
        await it.start("web")
        await it.until_phase("web", ServicePhase.FAILED)
        told = f"variable TOKEN refers to secret {ID}, and no secret store is configured to look in"
        assert told in it.seen("web").status.failure_message
        assert told in it.log(Kind.SERVICE, it.seen("web").id, RunRole.START)
        assert it.world.lines(of="start web/start") == []


@virtual_time
async def test_a_stop_does_not_wait_for_a_store_that_hangs(tmp_path: Path) -> None:
    """Rule 3.10: what is only being prepared is not started."""
    vault = Vault(tmp_path / "vault")
    vault.put(VALUE)
    async with scene(tmp_path, agent=False) as it:
        it.secrets = vault.secrets
        await it.agent()
        vault.open.clear()
        await with_secret(it, "web", "sleep infinity")
        await it.start("web")
        await it.at(2)
        assert it.phase("web") is ServicePhase.STARTING
        await it.stop("web")
        await it.until_phase("web", ServicePhase.STOPPED)
        vault.open.set()
        await it.at(5)
        assert it.world.lines(of="start web/start") == []
