"""Which executor runs what: the one place that maps `runsOn` to an implementation."""

from collections.abc import Mapping, Sequence
from typing import assert_never

from runner_agent.executors.base import Executor
from runner_agent.model.errors import CannotStart
from runner_agent.model.frozen import dataclass
from runner_agent.model.runs import Handle
from runner_agent.model.specs import Anywhere, InDocker, OnMachine, RunsOn

MACHINE = "machine"
DOCKER = "docker"
DEVCONTAINER = "devcontainer"


@dataclass(frozen=True, slots=True)
class Executors:
    """Executors by name, and where an absent `runsOn` leads."""

    by_name: Mapping[str, Executor]
    default: str = MACHINE

    def placed(self, runs_on: RunsOn) -> Executor:
        """The executor for a new run. Raises CannotStart where this agent has none of the kind."""
        match runs_on:
            case Anywhere():
                name = self.default
            case OnMachine():
                name = MACHINE
            case InDocker():
                name = DOCKER
            case _:
                assert_never(runs_on)
        executor = self.by_name.get(name)
        if executor is None:
            raise CannotStart(f"runsOn {name} is not available here: use runsOn.machine")
        return executor

    def holding(self, handle: Handle) -> Executor:
        """The executor a run belongs to."""
        return self.by_name[handle.executor]

    def all(self) -> Sequence[Executor]:
        """Every executor."""
        return tuple(self.by_name.values())
