"""What somebody wants: the specs and metadata of services and tasks, field by field as the published API has
them.
"""

from datetime import datetime
from enum import Enum

from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import Reference, SessionId
from runner_agent.model.phases import ServicePhase, ServiceRole, Trigger


class Principal(Enum):
    """The kind of actor behind a request; names of `gitpod.v1.Principal`."""

    UNSPECIFIED = "UNSPECIFIED"
    ACCOUNT = "ACCOUNT"
    USER = "USER"
    RUNNER = "RUNNER"
    ENVIRONMENT = "ENVIRONMENT"
    SERVICE_ACCOUNT = "SERVICE_ACCOUNT"
    RUNNER_MANAGER = "RUNNER_MANAGER"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who did it. `id` is a UUID or "" where the actor has none (a local caller known by uid)."""

    id: str = ""
    principal: Principal = Principal.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Cause:
    """Who changed a wish last, in words fit for a message (`uid 1000`, `trigger postEnvironmentStart`), and
    when.
    """

    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Anywhere:
    """No `runsOn` given: in the dev container where there is one, else on the machine."""


@dataclass(frozen=True, slots=True)
class OnMachine:
    """`runsOn.machine`."""


@dataclass(frozen=True, slots=True)
class InDocker:
    """`runsOn.docker`. Items of `environment` are KEY=VALUE or KEY, as in `docker run -e`."""

    image: str
    environment: tuple[str, ...] = ()


RunsOn = Anywhere | OnMachine | InDocker


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A value kept in a secret store, named by its id (a UUID); resolved only when a run starts (rule
    5.6).
    """

    id: str


@dataclass(frozen=True, slots=True)
class EnvVar:
    """One variable of a spec's environment. The value None is an item sent with neither value nor source."""

    name: str
    value: str | SecretRef | None = None


@dataclass(frozen=True, slots=True)
class ServiceCommands:
    """Shell scripts. "" means there is none."""

    start: str
    ready: str = ""
    stop: str = ""


@dataclass(frozen=True, slots=True)
class ServiceMetadata:
    """`name` is for people and need not be unique."""

    reference: Reference
    name: str
    created_at: datetime
    creator: Subject = Subject()
    description: str = ""
    triggered_by: tuple[Trigger, ...] = ()
    role: ServiceRole = ServiceRole.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Launch:
    """What a session is started with. A live run keeps the copy it started with (rule 2.7).

    `readiness_timeout` is in nanoseconds, as exact as the wire's Duration; None is absent, 0 means no limit
    too.
    """

    commands: ServiceCommands
    runs_on: RunsOn = Anywhere()
    env: tuple[EnvVar, ...] = ()
    readiness_timeout: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """The wish for a service. A `session` that differs from the run's is one yet to be run (rules 3.2,
    3.6).
    """

    launch: Launch
    desired_phase: ServicePhase = ServicePhase.STOPPED
    session: SessionId = SessionId("")


@dataclass(frozen=True, slots=True)
class TaskMetadata:
    """As ServiceMetadata, less the role."""

    reference: Reference
    name: str
    created_at: datetime
    creator: Subject = Subject()
    description: str = ""
    triggered_by: tuple[Trigger, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What a task runs. An execution freezes a copy when it is created (rule 4.1)."""

    command: str
    runs_on: RunsOn = Anywhere()
    env: tuple[EnvVar, ...] = ()
    prebuild_requires_success: bool = False


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """A service as an automations file states it."""

    reference: Reference
    name: str
    launch: Launch
    description: str = ""
    triggered_by: tuple[Trigger, ...] = ()
    role: ServiceRole = ServiceRole.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A task as an automations file states it; dependencies are references, as the file has them."""

    reference: Reference
    name: str
    spec: TaskSpec
    description: str = ""
    triggered_by: tuple[Trigger, ...] = ()
    depends_on: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class AutomationsFile:
    """A whole file, read and found valid."""

    services: tuple[ServiceEntry, ...] = ()
    tasks: tuple[TaskEntry, ...] = ()
