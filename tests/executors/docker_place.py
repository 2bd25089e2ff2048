"""A place for runs in containers, on a real Engine: what the conformance suite and test_docker rest on."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch
from urllib.parse import urlencode

from runner_agent.executors import docker as docker_module
from runner_agent.executors.devcontainer import DevContainerExecutor, DevContainerSettings
from runner_agent.executors.docker import DockerExecutor, DockerSettings
from runner_agent.executors.docker_address import Choice
from runner_agent.executors.docker_engine import DockerEngine
from runner_agent.executors.docker_service import ServiceContainers
from runner_agent.executors.launcher_link import LauncherLink
from runner_agent.executors.machine import MachineExecutor, MachineSettings
from runner_agent.model.specs import InDocker, RunsOn

if TYPE_CHECKING:
    from runner_agent.executors.base import Executor
    from tests.support.engine import Engine

BASH = "bash:test"
SHELLLESS = "no-shell:test"
ENVIRONMENT = "6b1f3a52-0d3c-4a53-9d26-0a2f1d6b7c11"


@dataclass
class DockerPlace:
    """Containers of one image."""

    folder: Path
    engine: Engine
    leftover_grace: float
    runs_on: RunsOn
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    opened: list[DockerExecutor] = field(default_factory=list[DockerExecutor])
    engines: list[DockerEngine] = field(default_factory=list[DockerEngine])

    def executor(self) -> DockerExecutor:
        return self._open(self.folder)

    def without_cwd(self) -> Executor:
        return self._open(self.folder / "nowhere")

    def without_shell(self) -> Executor:
        self.runs_on = InDocker(shellless(self.engine))
        return self._open(self.folder)

    def _open(self, workspace: Path) -> DockerExecutor:
        host = Choice(self.engine.host)
        link, engine = LauncherLink(self.folder), DockerEngine(host)
        inside = DevContainerExecutor(
            DevContainerSettings(self.folder, host.address),
            link,
            ServiceContainers(engine, ENVIRONMENT, workspace),
        )
        settings = DockerSettings(self.folder, workspace, ENVIRONMENT, self.environ)
        executor = DockerExecutor(settings, link, engine, inside)
        self.opened.append(executor)
        self.engines.append(engine)
        return executor

    def containers(self) -> list[str]:
        """Names of those that this place's runs have left."""
        names = (str(one["Names"]) for one in self.engine.containers() if str(self.folder) in str(one))
        return sorted(names)


@asynccontextmanager
async def docker_place(folder: Path, engine: Engine) -> AsyncGenerator[DockerPlace]:
    """With less patience for what commands leave behind."""
    with patch.object(docker_module, "LEFTOVER_GRACE", 4):
        place = DockerPlace(folder, engine, 4.0, InDocker(engine.image(BASH)))
        try:
            yield place
        finally:
            for executor in place.opened:
                await executor.aclose()
                await executor.link.aclose()
            for client in place.engines:
                await client.aclose()
            await MachineExecutor(MachineSettings(folder, folder)).stop_launcher()
            for one in engine.containers() if engine.running else ():
                if str(folder) in str(one):
                    engine.remove(str(one["Id"]))


def shellless(engine: Engine) -> str:
    """An image with nothing in it that runs."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    tar.seek(0)
    engine.request("POST", f"/images/create?{urlencode({'fromSrc': '-', 'repo': SHELLLESS})}", tar)
    return SHELLLESS
