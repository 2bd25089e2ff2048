"""What requests carry besides whole objects: updates, filters, files. Absent: unchanged, or any."""

from typing import TypedDict

from runner_agent.client.messages import EnvVar, RunsOn, ServiceCommands, TaskSpec, Trigger


class TriggerUpdate(TypedDict, total=False):
    """A wrapped list, so that an empty one can be told from none."""

    trigger: list[Trigger]


class ServiceMetadataUpdate(TypedDict, total=False):
    """Absent means unchanged."""

    name: str
    description: str
    triggeredBy: TriggerUpdate
    role: str


class ServiceSpecUpdate(TypedDict, total=False):
    """Absent means unchanged."""

    commands: ServiceCommands
    runsOn: RunsOn
    env: list[EnvVar]
    readinessTimeout: str


class ServiceStatusUpdate(TypedDict, total=False):
    """Outputs are merged; "" unsets one."""

    output: dict[str, str]


class ServiceUpdate(TypedDict, total=False):
    """UpdateServiceRequest, less the id."""

    metadata: ServiceMetadataUpdate
    spec: ServiceSpecUpdate
    status: ServiceStatusUpdate


class TaskMetadataUpdate(TypedDict, total=False):
    """Absent means unchanged."""

    name: str
    description: str
    triggeredBy: TriggerUpdate


class TaskUpdate(TypedDict, total=False):
    """UpdateTaskRequest, less the id."""

    metadata: TaskMetadataUpdate
    spec: TaskSpec
    dependsOn: list[str]


class FileService(TypedDict, total=False):
    """A service as an automations file states it."""

    name: str
    description: str
    commands: ServiceCommands
    triggeredBy: list[str]
    runsOn: RunsOn
    role: str
    readinessTimeout: str


class FileTask(TypedDict, total=False):
    """A task as an automations file states it."""

    name: str
    description: str
    command: str
    dependsOn: list[str]
    triggeredBy: list[str]
    runsOn: RunsOn
    prebuildRequiresSuccess: bool


class AutomationsFile(TypedDict, total=False):
    """By reference."""

    services: dict[str, FileService]
    tasks: dict[str, FileTask]


class ServiceFilter(TypedDict, total=False):
    """Each list narrows; at most 25 items."""

    references: list[str]
    serviceIds: list[str]
    roles: list[str]


class TaskFilter(TypedDict, total=False):
    """Each list narrows; at most 25 items."""

    references: list[str]
    taskIds: list[str]


class ExecutionFilter(TypedDict, total=False):
    """Each list narrows; at most 25 items."""

    taskIds: list[str]
    taskReferences: list[str]
    phases: list[str]
