"""Requests as what `control` takes: drafts, patches, filters and pages.

The messages have passed the rules of proto/ already. What is refused here is what those rules cannot say.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from runner_agent.api.wire_names import EXECUTION_PHASES, ROLES, SERVICE_PHASES, TRIGGERS
from runner_agent.api.wire_out import NANO
from runner_agent.control.drafts import UNSET, ServicePatch, StatusPatch, TaskDraft, TaskPatch, Unset
from runner_agent.control.queries import DefinitionFilter, ExecutionFilter, Page
from runner_agent.model.errors import InvalidArgument, Violation
from runner_agent.model.ids import DefinitionId, Reference, TaskId
from runner_agent.model.phases import ServicePhase, ServiceRole, Trigger
from runner_agent.model.specs import (
    Anywhere,
    AutomationsFile,
    EnvVar,
    InDocker,
    Launch,
    OnMachine,
    RunsOn,
    SecretRef,
    ServiceCommands,
    ServiceEntry,
    TaskEntry,
    TaskSpec,
)

Request = Any
"""A message of the schema. Its types are made when the agent starts, so no checker knows its fields."""

V = TypeVar("V")


def object_id(request: Request) -> str:
    """Which object is meant. UUIDs are the same in either case; ours are in lower case."""
    return str(request.id).lower()


# ---------------------------------------------------------------- services


def service_draft(request: Request) -> tuple[ServiceEntry, ServicePhase]:
    """Of CreateServiceRequest: the service, and whether it is to run. Raises InvalidArgument."""
    metadata, spec = request.metadata, request.spec
    entry = ServiceEntry(
        Reference(metadata.reference),
        metadata.name,
        _launch(spec),
        metadata.description,
        _triggers(metadata.triggered_by, "metadata.triggered_by"),
        _role(metadata.role, "metadata.role"),
    )
    return entry, SERVICE_PHASES.get(spec.desired_phase, ServicePhase.STOPPED)


def service_patch(request: Request) -> ServicePatch:
    """Of UpdateServiceRequest. Raises InvalidArgument."""
    metadata, spec = request.metadata, request.spec
    role = _sent(metadata, "role")
    timeout = _sent(spec, "readiness_timeout")
    return ServicePatch(
        name=_sent(metadata, "name"),
        description=_sent(metadata, "description"),
        triggered_by=_sent_triggers(metadata),
        role=UNSET if role is UNSET else _role(role, "metadata.role"),
        start=_sent(spec.commands, "start"),
        ready=_sent(spec.commands, "ready"),
        stop=_sent(spec.commands, "stop"),
        runs_on=_sent_runs_on(spec),
        env=_env(spec.env),
        readiness_timeout=UNSET if timeout is UNSET else _nanoseconds(timeout),
        status=_status_patch(request.status),
    )


def _status_patch(status: Request) -> StatusPatch:
    others = ("phase", "failure_message", "log_url", "session")
    return StatusPatch(dict(status.output), tuple(name for name in others if status.HasField(name)))


def _launch(spec: Request) -> Launch:
    commands = spec.commands
    return Launch(
        ServiceCommands(commands.start, commands.ready, commands.stop),
        _runs_on(spec.runs_on),
        _env(spec.env),
        _nanoseconds(spec.readiness_timeout) if spec.HasField("readiness_timeout") else None,
    )


# ---------------------------------------------------------------- tasks


def task_draft(request: Request) -> TaskDraft:
    """Of CreateTaskRequest. Raises InvalidArgument."""
    metadata, spec = request.metadata, request.spec
    return TaskDraft(
        Reference(metadata.reference),
        metadata.name,
        TaskSpec(spec.command, _runs_on(spec.runs_on), _env(spec.env), spec.prebuild_requires_success),
        metadata.description,
        _triggers(metadata.triggered_by, "metadata.triggered_by"),
        _definitions(request.depends_on),
    )


def task_patch(request: Request) -> TaskPatch:
    """Of UpdateTaskRequest. Raises InvalidArgument."""
    metadata, spec = request.metadata, request.spec
    return TaskPatch(
        name=_sent(metadata, "name"),
        description=_sent(metadata, "description"),
        triggered_by=_sent_triggers(metadata),
        command=_sent(spec, "command"),
        runs_on=_sent_runs_on(spec),
        env=_env(spec.env),
        prebuild_requires_success=_sent(spec, "prebuild_requires_success"),
        depends_on=_definitions(request.depends_on),
    )


def _definitions(ids: Iterable[str]) -> tuple[DefinitionId, ...]:
    """Services and tasks share one space of ids; which it is, the store knows."""
    return tuple(TaskId(id_.lower()) for id_ in ids)


# ---------------------------------------------------------------- the file


def automations_file(file: Request) -> AutomationsFile:
    """Of AutomationsFile, in the order of the references: a map has none of its own."""
    return AutomationsFile(
        tuple(_service_entry(reference, file.services[reference]) for reference in sorted(file.services)),
        tuple(_task_entry(reference, file.tasks[reference]) for reference in sorted(file.tasks)),
    )


def _service_entry(reference: str, entry: Request) -> ServiceEntry:
    commands = entry.commands
    return ServiceEntry(
        Reference(reference),
        entry.name,
        Launch(
            ServiceCommands(commands.start, commands.ready, commands.stop),
            _runs_on(entry.runs_on),
            readiness_timeout=(
                _nanoseconds(entry.readiness_timeout) if entry.HasField("readiness_timeout") else None
            ),
        ),
        entry.description,
        tuple(Trigger(name) for name in entry.triggered_by),
        ServiceRole(entry.role),
    )


def _task_entry(reference: str, entry: Request) -> TaskEntry:
    return TaskEntry(
        Reference(reference),
        entry.name,
        TaskSpec(
            entry.command,
            _runs_on(entry.runs_on),
            prebuild_requires_success=entry.prebuild_requires_success,
        ),
        entry.description,
        tuple(Trigger(name) for name in entry.triggered_by),
        tuple(Reference(name) for name in entry.depends_on),
    )


# ---------------------------------------------------------------- listings


def page(request: Request) -> Page:
    """Which page a listing is asked for."""
    return Page(request.pagination.token, request.pagination.page_size)


def service_filter(wanted: Request) -> DefinitionFilter:
    """Of ListServicesRequest. Raises InvalidArgument."""
    roles = frozenset(_role(number, "filter.roles") for number in wanted.roles)
    return DefinitionFilter(_ids(wanted.service_ids), frozenset(wanted.references), roles)


def task_filter(wanted: Request) -> DefinitionFilter:
    """Of ListTasksRequest."""
    return DefinitionFilter(_ids(wanted.task_ids), frozenset(wanted.references))


def execution_filter(wanted: Request) -> ExecutionFilter:
    """Of ListTaskExecutionsRequest. Raises InvalidArgument."""
    return ExecutionFilter(
        _ids(wanted.task_ids),
        frozenset(wanted.task_references),
        frozenset(_named(EXECUTION_PHASES, number, "filter.phases") for number in wanted.phases),
    )


def _ids(ids: Iterable[str]) -> frozenset[str]:
    return frozenset(id_.lower() for id_ in ids)


# ---------------------------------------------------------------- parts


def _triggers(triggers: Iterable[Request], path: str) -> tuple[Trigger, ...]:
    found: list[Trigger] = []
    for index, trigger in enumerate(triggers):
        field = trigger.WhichOneof("trigger")
        if field is None:
            raise _invalid(f"{path}[{index}]", "names no trigger that is known here")
        if not getattr(trigger, field):
            raise _invalid(f"{path}[{index}].{field}", "must be true; leave the trigger out instead")
        found.append(TRIGGERS[field])
    return tuple(found)


def _sent_triggers(metadata: Request) -> tuple[Trigger, ...] | Unset:
    """Present and empty means: none from now on."""
    if not metadata.HasField("triggered_by"):
        return UNSET
    return _triggers(metadata.triggered_by.trigger, "metadata.triggered_by.trigger")


def _runs_on(where: Request) -> RunsOn:
    match where.WhichOneof("target"):
        case "docker":
            return InDocker(where.docker.image, tuple(where.docker.environment))
        case "machine":
            return OnMachine()
        case _:
            return Anywhere()


def _sent_runs_on(spec: Request) -> RunsOn | Unset:
    return _runs_on(spec.runs_on) if spec.HasField("runs_on") else UNSET


def _env(items: Iterable[Request]) -> tuple[EnvVar, ...]:
    return tuple(EnvVar(item.name, _env_value(item)) for item in items)


def _env_value(item: Request) -> str | SecretRef | None:
    match item.WhichOneof("source"):
        case "value":
            return str(item.value)
        case "value_from" if item.value_from.HasField("secret_ref"):
            return SecretRef(item.value_from.secret_ref.id)
        case _:
            return None


def _nanoseconds(duration: Request) -> int:
    return int(duration.seconds) * NANO + int(duration.nanos)


def _sent(message: Request, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else UNSET


def _role(number: int, path: str) -> ServiceRole:
    return _named(ROLES, number, path)


def _named(names: Mapping[int, V], number: int, path: str) -> V:
    if number not in names:
        raise _invalid(path, f"must be a value that the enum defines and that means something, not {number}")
    return names[number]


def _invalid(path: str, message: str) -> InvalidArgument:
    return InvalidArgument(Violation(path, message))
