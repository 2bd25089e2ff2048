"""What a prebuild's report is about: each run of a task once, however many executions show it, and each
service.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from runner_agent.core import prebuild as rules
from runner_agent.core.prebuild import Item, ItemKind
from runner_agent.logs.files import LogFiles
from runner_agent.logs.last import last_lines
from runner_agent.model.ids import ServiceId
from runner_agent.model.phases import ExecutionPhase, RunRole, Trigger
from runner_agent.model.plans import PlanStep, ServiceWork, TaskWork
from runner_agent.model.records import Execution, Firing, Service
from runner_agent.store.base import Reader

TAIL = 20
"""Lines of each log that the report quotes."""

Firings = Mapping[Trigger, Firing]


def executions_of(reader: Reader, firing: Firing) -> list[Execution]:
    """Those that are still known."""
    return [found for id_ in firing.executions if (found := reader.get(Execution, id_)) is not None]


def services_of(reader: Reader, firing: Firing) -> list[Service]:
    """Those that are still known."""
    return [found for id_ in firing.services if (found := reader.get(Service, id_)) is not None]


def list_items(reader: Reader, firings: Firings, seen: "Times", logs: LogFiles | None) -> tuple[Item, ...]:
    """In the order they were fired, dependencies first. Without `logs` no log is quoted."""
    listing = _Listing(reader, seen, logs)
    for event, firing in firings.items():
        listing.add(event, firing)
    return tuple(listing.found.values())


class Times:
    """When each thing was first seen begun, and ended, by who looks at every change. No record tells it of a
    run that is over.
    """

    def __init__(self) -> None:
        """Nothing was seen."""
        self.began: dict[str, datetime] = {}
        self.ended: dict[str, datetime] = {}

    def note(self, reader: Reader, firings: Firings, now: datetime) -> None:
        """What is new to it now."""
        for item_id, begun, over in _states(reader, firings):
            if begun:
                self.began.setdefault(item_id, now)
            if over:
                self.ended.setdefault(item_id, now)


def _states(reader: Reader, firings: Firings) -> list[tuple[str, bool, bool]]:
    """Id, whether it has begun, whether it has ended (a service: is up or has ended)."""
    found: list[tuple[str, bool, bool]] = []
    for firing in firings.values():
        found += [(one.id, True, rules.settled((), (one,))) for one in services_of(reader, firing)]
        for execution in executions_of(reader, firing):
            for step in execution.plan.steps():
                phase = _phase(execution, step)
                if phase is not None:
                    id_ = step.work.step if isinstance(step.work, TaskWork) else step.work.service_id
                    found.append((id_, True, phase.terminal))
    return found


def _phase(execution: Execution, step: PlanStep) -> ExecutionPhase | None:
    """None while it has not begun (rule 4.3)."""
    progress = execution.steps.get(step.id)
    if progress is None or progress.status.phase is ExecutionPhase.PENDING:
        return None
    return progress.status.phase


class _Listing:
    """One listing: what was found so far, by the id of the run or service."""

    def __init__(self, reader: Reader, seen: Times, logs: LogFiles | None) -> None:
        self.found: dict[str, Item] = {}
        self._reader, self._seen, self._logs = reader, seen, logs

    def add(self, event: Trigger, firing: Firing) -> None:
        """All that a firing started, and what that needed."""
        for service in services_of(self._reader, firing):
            self._service(service, event)
        executions = executions_of(self._reader, firing)
        for execution in executions:
            for step in execution.plan.steps():
                match step.work:
                    case TaskWork() as work:
                        self._run(execution, step, work, event)
                    case ServiceWork(service_id=service_id):
                        needed = self._reader.get(Service, service_id)
                        if needed is not None:
                            self._service(needed, event)
        self._refused(event, firing, {execution.task_id for execution in executions})

    def _run(self, execution: Execution, step: PlanStep, work: TaskWork, event: Trigger) -> None:
        """Executions that let go of a shared run tell it STOPPED: who held it to its end knows better."""
        known = self.found.get(work.step)
        executions = (*(known.executions if known else ()), execution.id)
        phase = _phase(execution, step)
        if known is not None and known.phase not in ("", ExecutionPhase.STOPPED.value):
            self.found[work.step] = replace(known, executions=executions)
            return
        self.found[work.step] = Item(
            kind=ItemKind.TASK,
            event=event.value,
            reference=step.label,
            phase="" if phase is None else phase.value,
            message="" if phase is None else execution.steps[step.id].status.failure_message,
            required=work.spec.prebuild_requires_success,
            began_at=self._seen.began.get(work.step),
            ended_at=self._seen.ended.get(work.step),
            executions=executions,
            tail=last_lines(self._logs.run(work.step), TAIL) if self._logs and phase else (),
        )

    def _service(self, service: Service, event: Trigger) -> None:
        log = self._logs.service(ServiceId(service.id), RunRole.START) if self._logs else None
        item = Item(
            kind=ItemKind.SERVICE,
            event=event.value,
            reference=service.metadata.reference,
            phase=service.status.phase.value,
            message=service.status.failure_message,
            began_at=self._seen.began.get(service.id),
            ended_at=self._seen.ended.get(service.id),
            tail=last_lines(log, TAIL) if log else (),
        )
        self.found.setdefault(service.id, item)

    def _refused(self, event: Trigger, firing: Firing, started: set[str]) -> None:
        """Tasks that list the event and have no execution of it: they could not be started (rule 6.1)."""
        for task in self._reader.tasks():
            listed = event in task.metadata.triggered_by and task.born < firing.born
            if not listed or task.id in started:
                continue
            reason = "it could not be started: it, or something it depends on, was being deleted"
            self.found[f"{event.value} {task.id}"] = Item(
                ItemKind.TASK,
                event.value,
                task.metadata.reference,
                ExecutionPhase.FAILED.value,
                reason,
                task.spec.prebuild_requires_success,
            )
