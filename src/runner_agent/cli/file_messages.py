"""An automations file as the API's message, and what applying it would change."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import starmap
from typing import TYPE_CHECKING, cast

from runner_agent.cli.words import runs_previous, short, task_runs_previous, trigger_name
from runner_agent.model.specs import Anywhere, AutomationsFile, InDocker, OnMachine, ServiceEntry, TaskEntry
from runner_agent.model.specs import RunsOn as Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner_agent.client.agent_messages import ApplyResult
    from runner_agent.client.messages import Docker, RunsOn, Service, ServiceCommands, Task
    from runner_agent.client.requests import AutomationsFile as FileMessage
    from runner_agent.client.requests import FileService, FileTask


def as_message(file: AutomationsFile) -> FileMessage:
    """Fields at their default are left out."""
    return {
        "services": {entry.reference: service_message(entry) for entry in file.services},
        "tasks": {entry.reference: task_message(entry) for entry in file.tasks},
    }


def service_message(entry: ServiceEntry) -> FileService:
    """One service."""
    launch = entry.launch
    commands = {"start": launch.commands.start, "ready": launch.commands.ready, "stop": launch.commands.stop}
    timeout = launch.readiness_timeout
    return cast(
        "FileService",
        _present(
            name=entry.name,
            description=entry.description,
            commands=_present(**commands),
            triggeredBy=[each.value for each in entry.triggered_by],
            runsOn=_target(launch.runs_on),
            role=entry.role.value,
            readinessTimeout=None if timeout is None else _seconds(timeout),
        ),
    )


def task_message(entry: TaskEntry) -> FileTask:
    """One task."""
    return cast(
        "FileTask",
        _present(
            name=entry.name,
            description=entry.description,
            command=entry.spec.command,
            dependsOn=list(entry.depends_on),
            triggeredBy=[each.value for each in entry.triggered_by],
            runsOn=_target(entry.spec.runs_on),
            prebuildRequiresSuccess=entry.spec.prebuild_requires_success,
        ),
    )


@dataclass(frozen=True, slots=True)
class Change:
    """What an upsert would do to one entry: `create`, `update` with the fields that would be another, or
    `unchanged`.
    """

    change: str
    kind: str
    reference: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As one line: `would update service web: readinessTimeout`."""
        verb = self.change if self.change == "unchanged" else f"would {self.change}"
        return f"{verb} {self.kind} {self.reference}" + (f": {', '.join(self.fields)}" if self.fields else "")


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a file did, or would do: each change with the kind and reference of its entry; what the
    file does not name; and the services that run with an earlier definition (rule 2.10), and the tasks, each
    with the task whose execution it is a step of.
    """

    changes: tuple[tuple[str, str, str], ...] = ()
    not_in_file: tuple[str, ...] = ()
    previous: tuple[str, ...] = ()
    runs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_answer(cls, answer: ApplyResult, file: FileMessage) -> Applied:
        """In the order of the file, what was deleted at the end."""
        order = [*file.get("services", {}), *file.get("tasks", {})]
        found = [
            (each.get("change", ""), each.get("kind", ""), each.get("reference", ""))
            for each in answer.get("changes", [])
        ]
        found.sort(key=lambda one: order.index(one[2]) if one[2] in order else len(order))
        return cls(
            tuple(found),
            tuple(answer.get("notInFile", [])),
            tuple(answer.get("previousDefinition", [])),
            tuple(
                (each.get("reference", ""), each.get("forTask", ""))
                for each in answer.get("previousRuns", [])
            ),
        )

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        """The changes."""
        return iter(self.changes)

    def of(self, change: str) -> tuple[tuple[str, str, str], ...]:
        """The changes of one sort."""
        return tuple(one for one in self.changes if one[0] == change)

    def remarks(self) -> tuple[str, ...]:
        """What people should know besides the changes, a sentence each."""
        left = (f"defined but not in this file: {', '.join(self.not_in_file)}",) if self.not_in_file else ()
        return (*left, *map(runs_previous, self.previous), *starmap(task_runs_previous, self.runs))

    def as_data(self, change: str = "") -> list[dict[str, object]]:
        """For programs: the changes, or those of one sort, then what else is to be known."""
        changes = self.of(change) if change else self.changes
        told: list[dict[str, object]] = [
            {"change": what, "kind": kind, "reference": reference} for what, kind, reference in changes
        ]
        told.extend({"change": "not in file", "reference": reference} for reference in self.not_in_file)
        previous = [("service", each) for each in self.previous]
        previous += [("task", each) for each in dict.fromkeys(reference for reference, _ in self.runs)]
        told.extend(
            {"change": "runs the previous definition", "kind": kind, "reference": reference}
            for kind, reference in previous
        )
        return told


def changes(file: FileMessage, services: list[Service], tasks: list[Task]) -> list[Change]:
    """What an upsert would do to each entry of the file, in its order."""
    things: list[Service | Task] = [*services, *tasks]
    references = {each["id"]: _reference(each) for each in things}
    present_services = {_reference(each): service_stated(each) for each in services}
    present_tasks = {_reference(each): task_stated(each, references) for each in tasks}
    wanted_services = {key: _comparable_service(one) for key, one in file.get("services", {}).items()}
    wanted_tasks = {key: _comparable_task(one) for key, one in file.get("tasks", {}).items()}
    told = [_change("service", key, present_services.get(key), one) for key, one in wanted_services.items()]
    told += [_change("task", key, present_tasks.get(key), one) for key, one in wanted_tasks.items()]
    return told


def _change(kind: str, reference: str, present: Mapping[str, object] | None, wanted: object) -> Change:
    if present is None:
        return Change("create", kind, reference)
    fields = tuple(sorted(_differences(present, cast("Mapping[str, object]", wanted))))
    return Change("update" if fields else "unchanged", kind, reference, fields)


def _differences(one: Mapping[str, object], other: Mapping[str, object]) -> Iterator[str]:
    """The keys with another value, those of `commands` by path."""
    for key in one.keys() | other.keys():
        before, after = one.get(key), other.get(key)
        if key == "commands":
            halves = cast("Mapping[str, object]", before or {}), cast("Mapping[str, object]", after or {})
            yield from (f"{key}.{name}" for name in _differences(*halves))
        elif before != after:
            yield key


def service_stated(service: Service) -> FileService:
    """A service of the API as a file would state it."""
    metadata, spec = service.get("metadata", {}), service.get("spec", {})
    role = short(metadata.get("role", "")).lower().replace("_", "-")
    stated: FileService = {
        "name": metadata.get("name", ""),
        "description": metadata.get("description", ""),
        "commands": spec.get("commands", {}),
        "triggeredBy": [trigger_name(each) for each in metadata.get("triggeredBy", [])],
        "runsOn": spec.get("runsOn", {}),
        "role": role,
        "readinessTimeout": spec.get("readinessTimeout", ""),
    }
    return _comparable_service(stated)


def task_stated(task: Task, references: dict[str, str]) -> FileTask:
    """A task of the API as a file would state it; `references` by id."""
    metadata, spec = task.get("metadata", {}), task.get("spec", {})
    stated: FileTask = {
        "name": metadata.get("name", ""),
        "description": metadata.get("description", ""),
        "command": spec.get("command", ""),
        "dependsOn": [references.get(each, each) for each in task.get("dependsOn", [])],
        "triggeredBy": [trigger_name(each) for each in metadata.get("triggeredBy", [])],
        "runsOn": spec.get("runsOn", {}),
        "prebuildRequiresSuccess": spec.get("prebuildRequiresSuccess", False),
    }
    return _comparable_task(stated)


def _comparable_service(stated: FileService) -> FileService:
    """Order and spelling that mean nothing are made equal."""
    commands = cast("ServiceCommands", _present(**stated.get("commands", {})))
    plain: dict[str, object] = {
        **stated,
        "commands": commands,
        "triggeredBy": sorted(stated.get("triggeredBy", [])),
    }
    if timeout := stated.get("readinessTimeout", ""):
        plain["readinessTimeout"] = float(timeout.removesuffix("s"))
    return cast("FileService", _present(**plain))


def _comparable_task(stated: FileTask) -> FileTask:
    plain: dict[str, object] = {
        **stated,
        "triggeredBy": sorted(stated.get("triggeredBy", [])),
        "dependsOn": sorted(stated.get("dependsOn", [])),
    }
    return cast("FileTask", _present(**plain))


def _reference(thing: Service | Task) -> str:
    return thing.get("metadata", {}).get("reference", "")


def _present(**fields: object) -> dict[str, object]:
    """Without what is empty; an empty `machine: {}` says something and lies one level deeper."""
    return {name: value for name, value in fields.items() if value or isinstance(value, float)}


def _target(runs_on: Target) -> RunsOn:
    match runs_on:
        case Anywhere():
            return {}
        case OnMachine():
            return {"machine": {}}
        case InDocker(image, environment):
            items: Docker = {"environment": list(environment)} if environment else {}
            return {"docker": {"image": image, **items}}


def _seconds(nanoseconds: int) -> str:
    """The wire's Duration."""
    whole, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".") + "s"
