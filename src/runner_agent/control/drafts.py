"""What a caller sends: drafts of what is to be, and patches that may leave fields be (rules 1.6, 3.11)."""

from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from typing import Final, Literal, TypeVar

from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import DefinitionId, Reference
from runner_agent.model.phases import ServiceRole, Trigger
from runner_agent.model.specs import EnvVar, RunsOn, TaskSpec

V = TypeVar("V")


class Absent(Enum):
    """The type of UNSET."""

    UNSET = "unset"


UNSET: Final = Absent.UNSET
"""This field was not sent: it stays as it is. An empty value is a value."""

Unset = Literal[Absent.UNSET]


def chosen(sent: V | Unset, present: V) -> V:
    """What a field is to be."""
    return present if sent is UNSET else sent


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """A task to be created through the API, where dependencies are ids."""

    reference: Reference
    name: str
    spec: TaskSpec
    description: str = ""
    triggered_by: tuple[Trigger, ...] = ()
    depends_on: tuple[DefinitionId, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusPatch:
    """Outputs to merge into the status, "" unsets (rule 3.12). `others`: the names of other fields sent,
    which are ours alone.
    """

    output: Mapping[str, str] = field(default_factory=dict[str, str])
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServicePatch:
    """A change to a service. In `env`, which is repeated on the wire, empty means not sent."""

    name: str | Unset = UNSET
    description: str | Unset = UNSET
    triggered_by: tuple[Trigger, ...] | Unset = UNSET
    role: ServiceRole | Unset = UNSET
    start: str | Unset = UNSET
    ready: str | Unset = UNSET
    stop: str | Unset = UNSET
    runs_on: RunsOn | Unset = UNSET
    env: tuple[EnvVar, ...] = ()
    readiness_timeout: int | Unset | None = UNSET
    status: StatusPatch = StatusPatch()

    @property
    def touches_spec(self) -> bool:
        """Any field of the spec was sent."""
        sent = (self.start, self.ready, self.stop, self.runs_on, self.readiness_timeout)
        return bool(self.env) or any(value is not UNSET for value in sent)


@dataclass(frozen=True, slots=True)
class TaskPatch:
    """A change to a task. In `env` and `depends_on`, which are repeated on the wire, empty means not sent."""

    name: str | Unset = UNSET
    description: str | Unset = UNSET
    triggered_by: tuple[Trigger, ...] | Unset = UNSET
    command: str | Unset = UNSET
    runs_on: RunsOn | Unset = UNSET
    env: tuple[EnvVar, ...] = ()
    prebuild_requires_success: bool | Unset = UNSET
    depends_on: tuple[DefinitionId, ...] = ()
