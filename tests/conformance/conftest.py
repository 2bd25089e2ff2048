"""The SDKs, each over `/` and `/api`, and the real agent they speak to."""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conformance.environments import EVERYTHING, SDKS, Command, Recipe
from tests.conformance.sdk import Driver, Sdk
from tests.support.daemon import Daemon
from tests.support.processes import end_all_tied_to

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

QUICK = {"RUNNER_AGENT_SERVICE_STOP_GRACE": "30", "RUNNER_AGENT_TASK_STOP_GRACE": "5"}
PREFIXES = ("", "/api")

Commands = dict[str, "Future[Command]"]


@dataclass(frozen=True, slots=True)
class Agent:
    """A running agent, as a program on the network knows it."""

    daemon: Daemon
    address: str
    token: str
    environment_id: str

    def known_to(self, name: str, driver: Driver, prefix: str = "") -> Sdk:
        """An SDK set up to speak to it."""
        return Sdk(name, driver, f"http://{self.address}{prefix}", self.token, self.environment_id)


@contextmanager
def running_agent(environment: Mapping[str, str] = QUICK) -> Generator[Agent]:
    """An agent on TCP and on a unix socket; afterwards it is stopped, and must leave nothing (rule 7.1)."""
    base = Path(tempfile.mkdtemp(prefix="runner-agent-"))
    daemon = Daemon(base, dict(environment))
    try:
        listen = ("--listen", "tcp:127.0.0.1:0", "--listen", f"unix:{base}/api.sock")
        info = daemon.start(*listen)
        address = next(each.removeprefix("tcp:") for each in info.addresses if each.startswith("tcp:"))
        token = (daemon.state / "token").read_text().strip()
        yield Agent(daemon, address, token, info.environment_id)
        daemon.close()
        assert "Traceback" not in daemon.stderr, daemon.stderr
    finally:
        if daemon.running:
            daemon.sigkill()
        end_all_tied_to(base)
        shutil.rmtree(base)


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """How to start each driver. All are installed at once, for they wait on the network most of the time."""
    with ThreadPoolExecutor(len(EVERYTHING)) as pool:
        yield {recipe.name: pool.submit(recipe.command) for recipe in EVERYTHING}


@pytest.fixture(scope="session")
def drivers(commands: Commands) -> Iterator[dict[str, Driver]]:
    """Those that were asked for so far."""
    running: dict[str, Driver] = {}
    yield running
    for driver in running.values():
        driver.close()


def driver_of(recipe: Recipe, commands: Commands, drivers: dict[str, Driver]) -> Driver:
    """The one process of this SDK."""
    if recipe.name not in drivers:
        drivers[recipe.name] = Driver(commands[recipe.name].result())
    return drivers[recipe.name]


@pytest.fixture(scope="session")
def agent() -> Iterator[Agent]:
    """The agent that most tests share; each uses references of its own."""
    with running_agent() as one:
        yield one


@pytest.fixture(params=SDKS, ids=lambda recipe: str(recipe.name))
def driver(
    request: pytest.FixtureRequest, commands: Commands, drivers: dict[str, Driver]
) -> tuple[str, Driver]:
    """Every SDK, by name."""
    recipe: Recipe = request.param
    return recipe.name, driver_of(recipe, commands, drivers)


@pytest.fixture(params=PREFIXES, ids=lambda prefix: prefix or "/")
def sdk(request: pytest.FixtureRequest, driver: tuple[str, Driver], agent: Agent) -> Sdk:
    """Every SDK, at `/` and under `/api`, before the shared agent."""
    prefix: str = request.param
    return agent.known_to(*driver, prefix)
