"""The conformance suite over every executor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pytest

from runner_agent.executors import machine as machine_module
from runner_agent.executors.base import Executor
from runner_agent.executors.machine import MachineExecutor, MachineSettings
from runner_agent.executors.scripted import ScriptedExecutor
from runner_agent.executors.scripted_world import LEFTOVER_GRACE, World
from runner_agent.kit import virtual
from runner_agent.model.specs import Anywhere, RunsOn
from tests.executors.conformance import RULES, Place, Rule, Stage
from tests.executors.devcontainers import in_a_dev_container
from tests.executors.docker_place import docker_place
from tests.support.engine import Engine


@dataclass(frozen=True)
class ScriptedPlace:
    folder: Path
    world: World
    leftover_grace: float = LEFTOVER_GRACE
    runs_on: RunsOn = Anywhere()

    def executor(self) -> Executor:
        return ScriptedExecutor(self.world)

    def without_cwd(self) -> Executor:
        return ScriptedExecutor(self.world, refuses="cannot enter the working directory /nowhere")

    def without_shell(self) -> Executor:
        return ScriptedExecutor(self.world, refuses="the shell /bin/nothing is missing")


@asynccontextmanager
async def scripted(folder: Path) -> AsyncGenerator[Place]:
    yield ScriptedPlace(folder, World())


@dataclass
class MachinePlace:
    folder: Path
    leftover_grace: float
    opened: list[MachineExecutor] = field(default_factory=list[MachineExecutor])
    runs_on: RunsOn = Anywhere()

    def executor(self) -> Executor:
        return self._open()

    def without_cwd(self) -> Executor:
        return self._open(workspace=self.folder / "nowhere")

    def without_shell(self) -> Executor:
        return self._open(shell="/bin/no-such-shell")

    def _open(self, **different: Path | str) -> Executor:
        settings = {"state_dir": self.folder, "workspace": self.folder, **different}
        executor = MachineExecutor(MachineSettings(**settings))  # type: ignore[arg-type]
        self.opened.append(executor)
        return executor


@asynccontextmanager
async def machine(folder: Path) -> AsyncGenerator[Place]:
    """Real processes, with less patience for what they leave behind."""
    with patch.object(machine_module, "LEFTOVER_GRACE", 4):
        place = MachinePlace(folder, leftover_grace=4.0)
        yield place
        for executor in place.opened:
            await executor.aclose()
        await MachineExecutor(MachineSettings(folder, folder)).stop_launcher()


@dataclass(frozen=True)
class Kind:
    """An implementation: how to set up a place for it, and the kind of time it lives in."""

    open: Callable[[Path], AbstractAsyncContextManager[Place]]
    run: Callable[[Coroutine[object, object, None]], None]


OnEngine = Callable[[Path, Engine], AbstractAsyncContextManager[Place]]
KINDS = {"scripted": Kind(scripted, virtual.run), "machine": Kind(machine, asyncio.run)}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_conformance(rule: Rule, kind: Kind, scratch: Path) -> None:
    async def check() -> None:
        async with kind.open(scratch) as place:
            await rule(Stage(place))
            assert await place.executor().survey() == ()

    kind.run(check())


ON_ENGINES: dict[str, OnEngine] = {"docker": docker_place, "devcontainer": in_a_dev_container}
"""Implementations that need an Engine."""


@pytest.mark.docker
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ON_ENGINES.values(), ids=ON_ENGINES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_conformance_on_an_engine(rule: Rule, kind: OnEngine, scratch: Path, engine: Engine) -> None:
    async def check() -> None:
        async with kind(scratch, engine) as place:
            await rule(Stage(place))
            assert await place.executor().survey() == ()

    asyncio.run(check())


def test_the_rules_can_be_run_in_real_time_too(scratch: Path) -> None:
    """The scripted world rests on the event loop alone."""

    async def check() -> None:
        async with scripted(scratch) as place:
            await RULES[0](Stage(place))

    asyncio.run(check())
