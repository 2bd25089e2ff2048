"""What tests of commands have in common: a caller, short drafts, and the reconciler's part played by hand."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from uuid import UUID

from runner_agent.control.base import Caller
from runner_agent.control.drafts import TaskDraft
from runner_agent.core import view
from runner_agent.model.ids import BootMark, DefinitionId, ExecutionId, Instant, Reference, RunId
from runner_agent.model.phases import ExecutionPhase, Trigger
from runner_agent.model.records import Execution, ExecutionStatus, Record, Service, Task
from runner_agent.model.runs import Exited, Gone, Handle, Live, Proc, ServiceRun
from runner_agent.model.specs import (
    AutomationsFile,
    Launch,
    Principal,
    ServiceCommands,
    ServiceEntry,
    Subject,
    TaskEntry,
    TaskSpec,
)
from runner_agent.store.base import Store, Transaction

ALICE = Caller("uid 1000", Subject("0199a000-0000-7000-8000-000000000001", Principal.USER))
RUN = RunId("run-1")


def counted_ids() -> Callable[[], str]:
    """1, 2, 3 in the form of UUIDs."""
    numbers = count(1)
    return lambda: str(UUID(int=next(numbers)))


def service_entry(
    reference: str = "web", *, start: str = "serve", triggered_by: Sequence[Trigger] = ()
) -> ServiceEntry:
    """With a start command only."""
    launch = Launch(ServiceCommands(start))
    return ServiceEntry(Reference(reference), reference.title(), launch, triggered_by=tuple(triggered_by))


def task_entry(
    reference: str = "build",
    *,
    command: str = "make",
    depends_on: Sequence[str] = (),
    triggered_by: Sequence[Trigger] = (),
) -> TaskEntry:
    """As a file has it."""
    needs = tuple(Reference(need) for need in depends_on)
    return TaskEntry(
        Reference(reference),
        reference.title(),
        TaskSpec(command),
        depends_on=needs,
        triggered_by=tuple(triggered_by),
    )


def task_draft(reference: str = "build", *, depends_on: Sequence[DefinitionId] = ()) -> TaskDraft:
    """As the API has it."""
    return TaskDraft(Reference(reference), reference.title(), TaskSpec("make"), depends_on=tuple(depends_on))


def entries_of(file: AutomationsFile) -> tuple[ServiceEntry | TaskEntry, ...]:
    """Services, then tasks."""
    return (*file.services, *file.tasks)


def definitions_of(store: Store) -> tuple[Service | Task, ...]:
    """Services, then tasks, each oldest first."""
    return (*store.services(), *store.tasks())


def a_file(*entries: ServiceEntry | TaskEntry) -> AutomationsFile:
    """A file of these."""
    return AutomationsFile(
        tuple(entry for entry in entries if isinstance(entry, ServiceEntry)),
        tuple(entry for entry in entries if isinstance(entry, TaskEntry)),
    )


async def put(store: Store, *records: Record) -> None:
    """Write as they are."""

    def change(tx: Transaction) -> None:
        for record in records:
            tx.put(record)

    await store.write(change, durable=False)


def service_of(store: Store, reference: str = "web") -> Service:
    """What goes by this reference."""
    found = store.by_reference(Reference(reference))
    assert isinstance(found, Service)
    return found


def task_of(store: Store, reference: str = "build") -> Task:
    """What goes by this reference."""
    found = store.by_reference(Reference(reference))
    assert isinstance(found, Task)
    return found


async def bring_up(store: Store, reference: str = "web") -> Service:
    """As the reconciler leaves a service that runs the session wished for."""
    return await _with_start(store, reference, Live(RUN, Instant(1.0), Handle("scripted", RUN)))


async def let_end(store: Store, reference: str = "web", code: int = 0) -> Service:
    """As the reconciler leaves a service whose start command ended by itself."""
    service = await _with_start(store, reference, Gone(RUN, Instant(2.0), Exited(code)))
    assert service.run is not None
    failure = f"start exited with code {code}" if code else ""
    return await _shown(store, replace(service, run=replace(service.run, failure=failure)))


async def _with_start(store: Store, reference: str, start: Proc) -> Service:
    service = service_of(store, reference)
    run = ServiceRun(service.spec.session, BootMark("boot"), service.spec.launch, start=start, is_ready=True)
    return await _shown(store, replace(service, run=run))


async def _shown(store: Store, service: Service) -> Service:
    await put(store, replace(service, status=view.status(service)))
    return service_of(store, service.metadata.reference)


async def finish(
    store: Store, execution_id: ExecutionId, phase: ExecutionPhase = ExecutionPhase.SUCCEEDED
) -> Execution:
    """As the reconciler leaves an execution that has ended."""
    execution = store.get(Execution, execution_id)
    assert execution is not None
    ended = replace(execution, status=ExecutionStatus(phase), completed_at=execution.created_at)
    await put(store, ended)
    return ended
