"""Where commands run: every executor over one launcher and one Engine, and the table of them."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from runner_agent.daemon.settings import Settings
from runner_agent.executors.base import Executor
from runner_agent.executors.devcontainer import DevContainerExecutor, DevContainerSettings
from runner_agent.executors.devcontainer_place import Selector
from runner_agent.executors.devcontainer_watch import DevContainerWatch
from runner_agent.executors.docker import DockerExecutor, DockerSettings
from runner_agent.executors.docker_address import choice
from runner_agent.executors.docker_engine import DockerEngine
from runner_agent.executors.docker_service import ServiceContainers
from runner_agent.executors.machine import MachineExecutor
from runner_agent.executors.table import DEVCONTAINER, DOCKER, MACHINE, Executors


def executors(
    settings: Settings,
    machine: MachineExecutor,
    environment_id: str,
    environ: Mapping[str, str],
    stack: AsyncExitStack,
    watch: DevContainerWatch | None,
) -> Executors:
    """`environ` is the agent's own; `stack` closes what is opened; `watch` knows the dev container, if there
    is to be one. No Engine is asked before a run needs it.
    """
    where = choice(environ)
    engine = DockerEngine(where)
    stack.push_async_callback(engine.aclose)
    state, workspace = settings.state_dir, settings.workspace
    inside = DevContainerExecutor(
        DevContainerSettings(state, where.address),
        machine.link,
        ServiceContainers(engine, environment_id, workspace),
    )
    docker = DockerExecutor(
        DockerSettings(state, workspace, environment_id, environ), machine.link, engine, inside
    )
    stack.push_async_callback(docker.aclose)
    everywhere: dict[str, Executor] = {MACHINE: machine, DOCKER: docker, DEVCONTAINER: inside}
    if watch is None:
        return Executors(everywhere)
    there = DevContainerExecutor(
        DevContainerSettings(state, where.address, settings.shell), machine.link, watch
    )
    return Executors({**everywhere, DEVCONTAINER: there}, default=DEVCONTAINER)


def dev_container(settings: Settings, environ: Mapping[str, str]) -> DevContainerWatch | None:
    """What knows the dev container, if there is to be one."""
    if not settings.devcontainer:
        return None
    where = choice(environ)
    return DevContainerWatch(Selector(settings.devcontainer), where.address, settings.workspace, environ)
