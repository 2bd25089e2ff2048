"""What a second firing need not start again: what has succeeded in this boot, or is up or under way."""

from collections.abc import Iterable, Iterator

from runner_agent.core import wishes
from runner_agent.core.session import by_itself
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import BootMark, Reference
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from runner_agent.model.plans import TaskWork
from runner_agent.model.records import Execution, Service, Task
from runner_agent.store.base import Reader


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left alone: the service, or the execution that makes another one of its task needless."""

    reference: Reference
    record: Service | Execution


def kept_services(services: Iterable[Service], boot: BootMark) -> Iterator[Kept]:
    """Those that are up or on their way, and those that have ended by themselves and well."""
    for service in services:
        if wishes.pending(service) or wishes.standing(service) or _ended_well(service, boot):
            yield Kept(service.metadata.reference, service)


def kept_tasks(reader: Reader, tasks: Iterable[Task], boot: BootMark) -> Iterator[Kept]:
    """Those with an execution under way, or one of this boot that has succeeded with the present spec."""
    for task in tasks:
        found = next((each for each in reader.executions(task=task.id) if _spares(each, task, boot)), None)
        if found is not None:
            yield Kept(task.metadata.reference, found)


def _ended_well(service: Service, boot: BootMark) -> bool:
    """It was wished up, and in this boot its start command has ended by itself with exit code 0. A stop that
    leaves the wish as it is, the agent's own or a reboot, was not its own end.
    """
    return (
        service.spec.desired_phase is ServicePhase.RUNNING
        and service.status.phase is ServicePhase.STOPPED
        and service.run is not None
        and by_itself(service.run)
        and (service.run.session, service.run.boot) == (service.spec.session, boot)
        and service.run.launch == service.spec.launch
    )


def _spares(execution: Execution, task: Task, boot: BootMark) -> bool:
    """Whether a further execution of the task would be one too many."""
    if not execution.status.phase.terminal:
        return execution.desired_phase is not ExecutionPhase.STOPPED
    if execution.boot != boot or execution.status.phase is not ExecutionPhase.SUCCEEDED:
        return False
    return any(
        isinstance(step.work, TaskWork) and step.work.task_id == task.id and step.work.spec == task.spec
        for step in execution.plan.steps()
    )
