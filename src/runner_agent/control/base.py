"""What every command has in hand: the store, a clock, a source of ids, and who is asking."""

from collections.abc import Callable
from itertools import count
from uuid import UUID, uuid5

from runner_agent.kit.clock import Clock
from runner_agent.model.errors import FailedPrecondition, NotFound
from runner_agent.model.frozen import dataclass
from runner_agent.model.records import Execution, Service, Task
from runner_agent.model.specs import Cause, Subject
from runner_agent.store.base import Reader, Store

NewId = Callable[[], str]
"""Gives a UUID never given before."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: in words fit for a message (`uid 1000`, `trigger postEnvironmentStart`), and as the API names
    actors.
    """

    by: str
    subject: Subject = Subject()


@dataclass(frozen=True, slots=True)
class Control:
    """The base of all commands. Each command is one transaction, on disk before it returns (rule 7.4)."""

    store: Store
    clock: Clock
    new_id: NewId

    def cause(self, caller: Caller) -> Cause:
        """The caller, now."""
        return Cause(caller.by, self.clock.wall())


def derived_ids(seed: str) -> NewId:
    """Ids that follow from one: a change to the store draws none itself, and does not know beforehand how
    many it needs.
    """
    namespace = UUID(seed)
    numbers = count()
    return lambda: str(uuid5(namespace, str(next(numbers))))


def find_service(reader: Reader, id_: str) -> Service:
    """Raises NotFound."""
    service = reader.get(Service, id_)
    if service is None:
        raise NotFound(f"no service has the id {id_}; list the services to see what there is")
    return service


def find_task(reader: Reader, id_: str) -> Task:
    """Raises NotFound."""
    task = reader.get(Task, id_)
    if task is None:
        raise NotFound(f"no task has the id {id_}; list the tasks to see what there is")
    return task


def find_execution(reader: Reader, id_: str) -> Execution:
    """Raises NotFound."""
    execution = reader.get(Execution, id_)
    if execution is None:
        raise NotFound(f"no task execution has the id {id_}; it may have been pruned")
    return execution


def refuse_dying(one: Service | Task, what: str) -> None:
    """Deleting wins (rule 1.6). Raises FailedPrecondition: it cannot be `what`."""
    if one.deletion is not None:
        kind = "service" if isinstance(one, Service) else "task"
        raise FailedPrecondition(
            f'{kind} "{one.metadata.reference}" cannot be {what}: it is being deleted; '
            "create it anew once it is gone"
        )
