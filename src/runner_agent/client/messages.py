"""The messages of gitpod.v1 as JSON has them. Fields at their default are absent."""

from typing import NotRequired, TypedDict


class Subject(TypedDict, total=False):
    """Who did it."""

    id: str
    principal: str


class Trigger(TypedDict, total=False):
    """One of these is true."""

    manual: bool
    postMachineStart: bool
    postDevcontainerStart: bool
    postEnvironmentStart: bool
    prebuild: bool
    beforeSnapshot: bool


class Docker(TypedDict, total=False):
    """Where to run: a container of its own."""

    image: str
    environment: list[str]


class RunsOn(TypedDict, total=False):
    """At most one of the two."""

    docker: Docker
    machine: dict[str, object]


class SecretRef(TypedDict):
    """A secret by its id."""

    id: str


class ValueFrom(TypedDict, total=False):
    """Where a variable's value comes from."""

    secretRef: SecretRef


class EnvVar(TypedDict, total=False):
    """One environment variable of a spec."""

    name: str
    value: str
    valueFrom: ValueFrom


class ServiceCommands(TypedDict, total=False):
    """Shell scripts."""

    start: str
    ready: str
    stop: str


class ServiceMetadata(TypedDict, total=False):
    """Times are RFC 3339."""

    reference: str
    name: str
    description: str
    createdAt: str
    creator: Subject
    triggeredBy: list[Trigger]
    role: str


class ServiceSpec(TypedDict, total=False):
    """Versions are decimal strings; a duration is seconds with an `s`."""

    specVersion: str
    desiredPhase: str
    commands: ServiceCommands
    session: str
    runsOn: RunsOn
    env: list[EnvVar]
    readinessTimeout: str


class ServiceStatus(TypedDict, total=False):
    """`phase` is SERVICE_PHASE_..."""

    statusVersion: str
    phase: str
    failureMessage: str
    logUrl: str
    session: str
    output: dict[str, str]


class Service(TypedDict):
    """A service."""

    id: str
    environmentId: NotRequired[str]
    metadata: NotRequired[ServiceMetadata]
    spec: NotRequired[ServiceSpec]
    status: NotRequired[ServiceStatus]


class TaskMetadata(TypedDict, total=False):
    """As ServiceMetadata, less the role."""

    reference: str
    name: str
    description: str
    createdAt: str
    creator: Subject
    triggeredBy: list[Trigger]


class TaskSpec(TypedDict, total=False):
    """What a task runs."""

    command: str
    runsOn: RunsOn
    env: list[EnvVar]
    prebuildRequiresSuccess: bool


class Task(TypedDict):
    """A task; `dependsOn` holds ids."""

    id: str
    environmentId: NotRequired[str]
    metadata: NotRequired[TaskMetadata]
    spec: NotRequired[TaskSpec]
    dependsOn: NotRequired[list[str]]


class StepTask(TypedDict, total=False):
    """A task as a plan froze it."""

    id: str
    spec: TaskSpec


class PlanStep(TypedDict):
    """One step of a plan: a task or a service."""

    id: str
    label: NotRequired[str]
    dependsOn: NotRequired[list[str]]
    task: NotRequired[StepTask]
    serviceId: NotRequired[str]


class PlanGroup(TypedDict, total=False):
    """Steps that run concurrently."""

    steps: list[PlanStep]


class ExecutionMetadata(TypedDict, total=False):
    """`startedBy` is `manual` or a trigger's name."""

    taskId: str
    environmentId: str
    createdAt: str
    creator: Subject
    startedBy: str
    startedAt: str
    completedAt: str


class ExecutionSpec(TypedDict, total=False):
    """The frozen plan and the wish."""

    plan: list[PlanGroup]
    desiredPhase: str


class StepStatus(TypedDict):
    """A step that has started."""

    id: str
    phase: NotRequired[str]
    failureMessage: NotRequired[str]
    output: NotRequired[dict[str, str]]


class ExecutionStatus(TypedDict, total=False):
    """`phase` is TASK_EXECUTION_PHASE_..."""

    statusVersion: str
    phase: str
    failureMessage: str
    steps: list[StepStatus]
    logUrl: str


class Execution(TypedDict):
    """TaskExecution."""

    id: str
    metadata: NotRequired[ExecutionMetadata]
    spec: NotRequired[ExecutionSpec]
    status: NotRequired[ExecutionStatus]


class UpsertResult(TypedDict, total=False):
    """What an upsert created or changed."""

    updatedServiceIds: list[str]
    updatedTaskIds: list[str]


class Event(TypedDict, total=False):
    """RESOURCE_OPERATION_..., RESOURCE_TYPE_..., an id. A heartbeat names the environment."""

    operation: str
    resourceType: str
    resourceId: str
