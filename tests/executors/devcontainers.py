"""Dev containers for tests: on the tests' Engine, and executors that know theirs without being told of it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from unittest.mock import patch

from runner_agent.executors import devcontainer as devcontainer_module
from runner_agent.executors.base import Executor, RunRequest
from runner_agent.executors.devcontainer import DevContainerExecutor, DevContainerSettings
from runner_agent.executors.devcontainer_place import METADATA, DevContainer, of_inspection
from runner_agent.executors.machine import MachineExecutor, MachineSettings
from runner_agent.model.specs import Anywhere, RunsOn
from tests.executors.conformance import Place
from tests.support.engine import Engine
from tests.support.images import USER

_numbers = count(1)


@contextmanager
def dev_container(
    engine: Engine,
    *,
    name: str = "",
    metadata: object = None,
    mounts: Mapping[Path, str] | None = None,
    **config: object,
) -> Generator[str]:
    """One that runs; its name."""
    name = name or f"dev-{next(_numbers)}"
    engine.image("bash:test")
    labels = {} if metadata is None else {METADATA: json.dumps(metadata)}
    told = {"Image": "bash:test", "Cmd": ["sleep", "100000"], "User": USER, "Labels": labels, **config}
    binds = [f"{source}:{target}" for source, target in (mounts or {}).items()]
    engine.container(name, told, {"Binds": binds})
    try:
        yield name
    finally:
        engine.remove(name)


@dataclass(frozen=True)
class Known:
    """Knows the dev container without waiting for it."""

    engine: Engine
    name: str
    workspace: Path = Path("/nowhere")
    folder: str = ""
    user: str = ""
    """Where and as whom commands are to run, if not as they would."""

    async def running(self, request: RunRequest) -> DevContainer:
        found = of_inspection(self.engine.ask("GET", f"/containers/{self.name}/json"), self.workspace, {})
        assert found is not None, f"{self.name} does not run"
        return replace(found, folder=self.folder or found.folder, user=self.user or found.user)


@dataclass
class DevContainerPlace:
    """A `Place` of the conformance suite."""

    folder: Path
    engine: Engine
    name: str
    leftover_grace: float
    opened: list[MachineExecutor] = field(default_factory=list[MachineExecutor])
    runs_on: RunsOn = Anywhere()

    def executor(self) -> Executor:
        return self.open()

    def without_cwd(self) -> Executor:
        return self.open(folder="/nowhere")

    def without_shell(self) -> Executor:
        return self.open(shell="/bin/no-such-shell")

    def open(self, *, shell: str = "", folder: str = "", user: str = "") -> DevContainerExecutor:
        """The machine's executor owns the link to the launcher."""
        machine = MachineExecutor(MachineSettings(self.folder, self.folder))
        self.opened.append(machine)
        settings = DevContainerSettings(self.folder, lambda: self.engine.host, shell)
        return DevContainerExecutor(
            settings, machine.link, Known(self.engine, self.name, folder=folder, user=user)
        )


@asynccontextmanager
async def in_a_dev_container(folder: Path, engine: Engine) -> AsyncGenerator[Place]:
    """With less patience for what commands leave behind."""
    with dev_container(engine) as name, patch.object(devcontainer_module, "LEFTOVER_GRACE", 4):
        place = DevContainerPlace(folder, engine, name, leftover_grace=4.0)
        yield place
        for executor in place.opened:
            await executor.aclose()
        await MachineExecutor(MachineSettings(folder, folder)).stop_launcher()
