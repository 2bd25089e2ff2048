"""What the store keeps: an object's wish, its run and its public status in one record, under one key.

`born` is the revision that created it: what came first is told by that, never by a time of day (rule 4.9).
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import Enum

from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import (
    BootMark,
    DefinitionId,
    ExecutionId,
    FiringId,
    PlanStepId,
    Reference,
    ServiceId,
    SessionId,
    StepId,
    TaskId,
    Version,
)
from runner_agent.model.phases import ExecutionPhase, ServicePhase, Trigger
from runner_agent.model.plans import Plan
from runner_agent.model.runs import Moment, Outputs, ServiceRun, StepRun
from runner_agent.model.specs import Cause, ServiceMetadata, ServiceSpec, Subject, TaskMetadata, TaskSpec


class Kind(Enum):
    """The tables of the store."""

    SERVICE = "service"
    TASK = "task"
    EXECUTION = "execution"
    STEP = "step"
    FIRING = "firing"


@dataclass(frozen=True, slots=True)
class Key:
    """Names one record. This is what travels through queues: keys, never payloads."""

    kind: Kind
    id: str

    def __hash__(self) -> int:
        """By the id alone: ids are UUIDs, and hashing a member of an enum is a call into Python."""
        return hash(self.id)

    def __str__(self) -> str:
        """As it stands in logs: `service/6f3c…`."""
        return f"{self.kind.value}/{self.id}"


@dataclass(frozen=True, slots=True)
class Deletion:
    """Somebody wants the object gone (rule 3.13). `force`: without grace."""

    cause: Cause
    force: bool = False


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What the API shows. `output` in the order of the keys' first writing."""

    phase: ServicePhase = ServicePhase.STOPPED
    failure_message: str = ""
    session: SessionId = SessionId("")
    output: Outputs = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Service:
    """Wish: metadata, spec, cause, deletion, posted. Run half: run, status. The versions are the store's.

    `file` is the automations file that created it, if no other has stated it since (rule 2.10).
    `posted` holds outputs sent by UpdateService.status for the session they were sent in, less those that the
    run has written anew since (rules 3.12, 5.3).
    `phase_since` is for display: when it came into its phase.
    """

    id: ServiceId
    metadata: ServiceMetadata
    spec: ServiceSpec
    cause: Cause
    deletion: Deletion | None = None
    posted: tuple[SessionId, Outputs] | None = None
    run: ServiceRun | None = None
    status: ServiceStatus = field(default_factory=ServiceStatus)
    phase_since: Moment | None = None
    file: str = ""
    born: Version = Version(0)
    spec_version: Version = Version(0)
    status_version: Version = Version(0)

    @property
    def key(self) -> Key:
        """Where the store keeps it."""
        return Key(Kind.SERVICE, self.id)


@dataclass(frozen=True, slots=True)
class Task:
    """A definition only: what happens is told by its executions. `file`: as of a service."""

    id: TaskId
    metadata: TaskMetadata
    spec: TaskSpec
    depends_on: tuple[DefinitionId, ...] = ()
    deletion: Deletion | None = None
    file: str = ""
    born: Version = Version(0)
    spec_version: Version = Version(0)
    status_version: Version = Version(0)

    @property
    def key(self) -> Key:
        """Where the store keeps it."""
        return Key(Kind.TASK, self.id)


@dataclass(frozen=True, slots=True)
class StepStatus:
    """One step as an execution shows it."""

    phase: ExecutionPhase
    failure_message: str = ""
    output: Outputs = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Bound:
    """A service step waits for this session (rule 4.5)."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class Held:
    """A task step holds its step record (rule 6.2)."""


Grip = Bound | Held
"""What a started, unfinished step hangs on."""


@dataclass(frozen=True, slots=True)
class StepProgress:
    """A step that has started: what it hangs on (None once it has ended), and what it shows."""

    status: StepStatus
    grip: Grip | None


@dataclass(frozen=True, slots=True)
class ExecutionStatus:
    """What the API shows, less the steps, which `Execution.steps` holds."""

    phase: ExecutionPhase = ExecutionPhase.PENDING
    failure_message: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """Wish: everything up to `cause`, with `desired_phase` the only part that ever changes. Run half: the
    rest.

    A step that has not started is absent from `steps` (rule 4.3). The plan is frozen and kept in a row of its
    own.
    """

    id: ExecutionId
    task_id: TaskId
    reference: Reference
    created_at: datetime
    creator: Subject
    started_by: str
    plan: Plan
    cause: Cause
    boot: BootMark
    firing: FiringId | None = None
    desired_phase: ExecutionPhase = ExecutionPhase.RUNNING
    steps: Mapping[PlanStepId, StepProgress] = field(default_factory=dict[PlanStepId, StepProgress])
    status: ExecutionStatus = field(default_factory=ExecutionStatus)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    born: Version = Version(0)
    spec_version: Version = Version(0)
    status_version: Version = Version(0)

    @property
    def key(self) -> Key:
        """Where the store keeps it."""
        return Key(Kind.EXECUTION, self.id)


@dataclass(frozen=True, slots=True)
class Step:
    """One run of one task. Wish: everything up to `stopped_by`. Run half: run, status.

    `members` are the executions that show it: those it began with, and those of other firings that joined it
    (rule 6.2a). `holders` are those that have reached it and not let go. `firing` is the one that began it.
    """

    id: StepId
    task_id: TaskId
    reference: Reference
    spec: TaskSpec
    created_at: datetime
    members: tuple[ExecutionId, ...]
    firing: FiringId | None = None
    holders: tuple[ExecutionId, ...] = ()
    stopped_by: ExecutionId | None = None
    run: StepRun | None = None
    status: StepStatus | None = None
    born: Version = Version(0)
    spec_version: Version = Version(0)
    status_version: Version = Version(0)

    @property
    def key(self) -> Key:
        """Where the store keeps it."""
        return Key(Kind.STEP, self.id)


@dataclass(frozen=True, slots=True)
class Firing:
    """One occurrence of a trigger and what it started (rule 6.1). Written once."""

    id: FiringId
    event: Trigger
    at: datetime
    boot: BootMark
    cause: Cause
    once_key: str = ""
    services: tuple[ServiceId, ...] = ()
    executions: tuple[ExecutionId, ...] = ()
    born: Version = Version(0)
    spec_version: Version = Version(0)
    status_version: Version = Version(0)

    @property
    def key(self) -> Key:
        """Where the store keeps it."""
        return Key(Kind.FIRING, self.id)


Record = Service | Task | Execution | Step | Firing
