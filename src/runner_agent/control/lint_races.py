"""Services that are started before a task that prepares them has ended."""

from collections.abc import Iterator, Mapping

from runner_agent.control.lint_scripts import Finding
from runner_agent.control.lint_tools import prepares
from runner_agent.model.frozen import dataclass
from runner_agent.model.phases import Trigger
from runner_agent.model.specs import AutomationsFile, ServiceEntry, TaskEntry

_STARTS = (Trigger.POST_MACHINE_START, Trigger.POST_DEVCONTAINER_START, Trigger.POST_ENVIRONMENT_START)
"""The events of a start, in their order."""


def automatic(entry: ServiceEntry | TaskEntry) -> frozenset[Trigger]:
    """The events that start it."""
    return frozenset(entry.triggered_by) - {Trigger.MANUAL}


def named(triggers: frozenset[Trigger]) -> str:
    """In their order."""
    return " and ".join(trigger.value for trigger in Trigger if trigger in triggers)


def races(file: AutomationsFile) -> Iterator[tuple[str, Finding]]:
    """With the reference of the service."""
    tasks: dict[str, TaskEntry] = {task.reference: task for task in file.tasks}
    started = _started(file, tasks)
    for service in file.services:
        for task in file.tasks:
            rule, when = _when(started[service.reference], started[task.reference])
            what = prepares(task.spec.command, service.launch.commands.start) if when else ""
            if not what or service.reference in _needs(task, tasks):
                continue
            instead = (
                ", or give the service no trigger and end the task with: runner-agent service start"
                f" {service.reference}"
            )
            message = (
                f"{when}, and start needs what the task's {what} makes; a service cannot depend on a task, so"
                f" let start wait for it{instead if automatic(service) else ''}"
            )
            yield service.reference, Finding(rule, 0, message)


@dataclass(frozen=True, slots=True)
class _Started:
    """An entry, as messages call it, and the events that start it, be it as what a task depends on."""

    what: str
    by: frozenset[Trigger]

    @property
    def first(self) -> int:
        """The place of its first event in a start, or that of none."""
        return min((at for at, trigger in enumerate(_STARTS) if trigger in self.by), default=-1)


def _started(file: AutomationsFile, tasks: Mapping[str, TaskEntry]) -> Mapping[str, _Started]:
    entries: tuple[ServiceEntry | TaskEntry, ...] = (*file.services, *file.tasks)
    by = {entry.reference: {*automatic(entry)} for entry in entries}
    needing: dict[str, str] = {}
    for trigger in Trigger:
        ahead = [task for task in file.tasks if trigger in by[task.reference]]
        while ahead:
            task = ahead.pop()
            for need in task.depends_on:
                if need in by and trigger not in by[need]:
                    by[need].add(trigger)
                    needing.setdefault(need, task.reference)
                    ahead += [tasks[need]] if need in tasks else []
    found: dict[str, _Started] = {}
    for entry in entries:
        what = "this service" if isinstance(entry, ServiceEntry) else f"the task {entry.reference}"
        what += f" (which {needing[entry.reference]} needs)" if entry.reference in needing else ""
        found[entry.reference] = _Started(what, frozenset(by[entry.reference]))
    return found


def _needs(task: TaskEntry, tasks: Mapping[str, TaskEntry]) -> set[str]:
    """All that it depends on, be it over others."""
    found: set[str] = set()
    ahead = [task]
    while ahead:
        new = {*ahead.pop().depends_on} - found
        found |= new
        ahead += [tasks[each] for each in new if each in tasks]
    return found


def _when(service: _Started, task: _Started) -> tuple[str, str]:
    """The rule, and how the service is started before the task has ended; "" if it is not. A prebuild is
    before all starts.
    """
    if shared := service.by & task.by:
        return "service-races-task", f"{named(shared)} starts {service.what} and {task.what} at the same time"
    if Trigger.PREBUILD in task.by or service.first < 0 or task.first < 0:
        return "", ""
    event = _STARTS[service.first].value
    if service.first < task.first:
        return (
            "service-earlier-than-its-task",
            f"{event} starts {service.what} before {named(task.by)} starts {task.what}",
        )
    at_once = "" if Trigger.POST_MACHINE_START in task.by else ", and `up` fires both at once"
    return (
        "service-races-task",
        f"{event} starts {service.what} without waiting for {task.what} of {named(task.by)} to end{at_once}",
    )
