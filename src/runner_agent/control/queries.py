"""Reads beyond the store's own: filtered listings in pages, and the plan a start would run."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from runner_agent.control.base import NewId, derived_ids
from runner_agent.control.executions import definitions
from runner_agent.control.joining import new_run
from runner_agent.core.plan import make_plan
from runner_agent.core.wishes import refuse_unstartable
from runner_agent.model.errors import InvalidArgument, NotFound, Violation
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import PlanStepId, Reference, SessionId, Version
from runner_agent.model.phases import ExecutionPhase, ServiceRole
from runner_agent.model.plans import Group, Plan, PlanStep, ServiceWork
from runner_agent.model.records import Execution, Service, Task
from runner_agent.store.base import Reader

DEFAULT_PAGE_SIZE = 25
LONGEST_PLACE = 18
"""Digits; what is longer the store cannot hold."""
_BATCH = 25
"""Executions searched at a time: those that are not in memory take the loop some 4 ms."""

E = TypeVar("E", Service, Task, Execution)


@dataclass(frozen=True, slots=True)
class Page:
    """Which page is asked for. `token` is of the page before, "" is the first; size 0 is the default."""

    token: str = ""
    size: int = 0

    @property
    def limit(self) -> int:
        """How many items it holds at most."""
        return self.size or DEFAULT_PAGE_SIZE

    def after(self) -> Version | None:
        """The place of the last item of the page before: its birth. Raises InvalidArgument for a token that
        is none of ours.
        """
        if not self.token:
            return None
        try:
            place = urlsafe_b64decode(self.token.encode("ascii")).decode("ascii")
        except ValueError:
            place = ""
        if not place.isdecimal() or len(place) > LONGEST_PLACE:
            message = "is not a token of an earlier answer; leave it out to begin anew"
            raise InvalidArgument(Violation("pagination.token", message))
        return Version(int(place))


def token_after(place: int) -> str:
    """Names the page behind the item at this place."""
    return urlsafe_b64encode(str(place).encode("ascii")).decode("ascii")


@dataclass(frozen=True, slots=True)
class Listing(Generic[E]):
    """One page. `next_token` is "" on the last."""

    items: tuple[E, ...]
    next_token: str = ""


@dataclass(frozen=True, slots=True)
class DefinitionFilter:
    """Which services or tasks; an empty set does not narrow. `roles` concerns services only."""

    ids: frozenset[str] = frozenset()
    references: frozenset[str] = frozenset()
    roles: frozenset[ServiceRole] = frozenset()


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions; an empty set does not narrow."""

    task_ids: frozenset[str] = frozenset()
    task_references: frozenset[str] = frozenset()
    phases: frozenset[ExecutionPhase] = frozenset()


def list_services(reader: Reader, wanted: DefinitionFilter, page: Page) -> Listing[Service]:
    """Oldest first. Raises InvalidArgument."""
    fitting = (
        service
        for service in reader.services()
        if _fits(service, wanted) and (not wanted.roles or service.metadata.role in wanted.roles)
    )
    return _cut(fitting, page)


def list_tasks(reader: Reader, wanted: DefinitionFilter, page: Page) -> Listing[Task]:
    """Oldest first. Raises InvalidArgument."""
    return _cut((task for task in reader.tasks() if _fits(task, wanted)), page)


async def list_executions(reader: Reader, wanted: ExecutionFilter, page: Page) -> Listing[Execution]:
    """Newest first, finished ones included. A long search lets others on. Raises InvalidArgument."""
    after = page.after()
    if wanted.phases and not any(phase.terminal for phase in wanted.phases):
        live = (one for one in reversed(reader.live_executions()) if after is None or one.born < after)
        return _page([one for one in live if _execution_fits(one, wanted)], page)
    only = next(iter(wanted.task_ids)) if len(wanted.task_ids) == 1 else None
    narrowed = wanted.phases or wanted.task_references or len(wanted.task_ids) > 1
    size = _BATCH if narrowed else page.limit + 1
    found: list[Execution] = []
    while len(found) <= page.limit:
        batch = reader.executions(task=only, after=after, limit=size)
        found += [execution for execution in batch if _execution_fits(execution, wanted)]
        if len(batch) < size:
            break
        after = batch[-1].born
        await asyncio.sleep(0)
    return _page(found, page)


def preview_plan(reader: Reader, reference: str, seed: str) -> Plan:
    """The plan that starting what goes by `reference` would run; nothing is written. `seed`: a UUID its ids
    are derived from.

    Raises NotFound, and FailedPrecondition as the start would.
    """
    new_id = derived_ids(seed)
    match reader.by_reference(Reference(reference)):
        case None:
            raise NotFound(
                f'nothing goes by the reference "{reference}"; list services and tasks to see what there is'
            )
        case Service() as service:
            return _service_plan(service, new_id)
        case Task() as task:
            return make_plan(task, definitions(reader), new_id, lambda one: new_run(one, new_id))


def _service_plan(service: Service, new_id: NewId) -> Plan:
    refuse_unstartable(service)
    work = ServiceWork(service.id, SessionId(new_id()))
    return Plan((Group((PlanStep(PlanStepId(new_id()), service.metadata.reference, work),)),))


def _fits(one: Service | Task, wanted: DefinitionFilter) -> bool:
    return (not wanted.ids or one.id in wanted.ids) and (
        not wanted.references or one.metadata.reference in wanted.references
    )


def _execution_fits(execution: Execution, wanted: ExecutionFilter) -> bool:
    return (
        (not wanted.task_ids or execution.task_id in wanted.task_ids)
        and (not wanted.task_references or execution.reference in wanted.task_references)
        and (not wanted.phases or execution.status.phase in wanted.phases)
    )


def _cut(fitting: Iterable[E], page: Page) -> Listing[E]:
    after = page.after()
    return _page([one for one in fitting if after is None or one.born > after], page)


def _page(found: Sequence[E], page: Page) -> Listing[E]:
    items = tuple(found[: page.limit])
    return Listing(items, token_after(items[-1].born) if len(found) > page.limit else "")
