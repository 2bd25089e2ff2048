"""Firing an event: services first, then tasks, and the firing itself, in one transaction (rules 6.1, 6.2,
6.2a).
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from runner_agent.control.again import Kept, kept_services, kept_tasks
from runner_agent.control.base import Caller, Control, NewId, derived_ids
from runner_agent.control.executions import Begun, Circumstances, begin
from runner_agent.control.joining import Start
from runner_agent.control.prebuild_record import refuse_during_prebuild
from runner_agent.core import wishes
from runner_agent.model.errors import FailedPrecondition, InvalidArgument, Violation
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import BootMark, ExecutionId, FiringId, Reference, SessionId
from runner_agent.model.phases import Trigger
from runner_agent.model.records import Execution, Firing, Service
from runner_agent.model.specs import Cause
from runner_agent.store.base import Reader, Transaction

PER_BOOT = "boot"
"""The key of an event that happens once per boot whoever fires it."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """What lists the event and could not be started, and why. `kind`: service or task."""

    reference: Reference
    reason: str
    kind: str = "task"


@dataclass(frozen=True, slots=True)
class Fired:
    """A firing and the names of what it started. `repeated`: it is an earlier one, and nothing was started
    now. `kept`: what it left alone.
    """

    firing: Firing
    services: tuple[Reference, ...]
    tasks: tuple[Reference, ...]
    skipped: tuple[Skipped, ...] = ()
    repeated: bool = False
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A firing drawn up, not yet written."""

    firing: Firing
    services: tuple[Service, ...]
    begun: Begun
    refused: tuple[Skipped, ...] = ()
    kept: tuple[Kept, ...] = ()

    def put(self, tx: Transaction) -> Fired:
        services = tuple(tx.put(service) for service in self.services)
        begun = self.begun.put(tx)
        return replace(self, firing=tx.put(self.firing), services=services, begun=begun).told()

    def told(self) -> Fired:
        return Fired(
            self.firing,
            tuple(service.metadata.reference for service in self.services),
            tuple(execution.reference for execution in self.begun.executions),
            (
                *self.refused,
                *(Skipped(task.metadata.reference, str(error)) for task, error in self.begun.refused),
            ),
            kept=self.kept,
        )


OwnKey = Callable[[Trigger], Awaitable[str]]


async def no_key(event: Trigger) -> str:  # noqa: ARG001  as an OwnKey has it
    """Of nothing is it known."""
    return ""


@dataclass(frozen=True, slots=True)
class TriggerControl(Control):
    """Fires events. `own_key` tells of an event that it happened already, whoever reports it: the key of this
    very occurrence, or "".
    """

    own_key: OwnKey = no_key

    async def fire(
        self,
        event: Trigger,
        caller: Caller,
        *,
        once_key: str = "",
        dry_run: bool = False,
        by_prebuild: bool = False,
        keep: bool = False,
    ) -> Fired:
        """Start what lists `event` (rules 6.1, 6.2). With `once_key` the same event and key fires once per
        boot (rule 6.4); postMachineStart does so without, and an event that `own_key` knows goes by that
        (rule 6.3). What one task lacks does not keep the others from starting.

        With `keep` it leaves alone what has succeeded in this boot or is under way. `dry_run` tells what
        would be. Raises InvalidArgument for `manual`, FailedPrecondition in a prebuild of others (6.5).
        """
        if event is Trigger.MANUAL:
            raise InvalidArgument(
                Violation("event", "manual never fires by itself; start the task or service instead")
            )
        boot = BootMark(self.clock.boot_mark())
        new_id = derived_ids(self.new_id())
        key = PER_BOOT if event is Trigger.POST_MACHINE_START else await self.own_key(event) or once_key
        firing = Firing(FiringId(new_id()), event, self.clock.wall(), boot, self.cause(caller), key)
        start = Start(firing, apart=by_prebuild)

        def change(tx: Transaction) -> Fired:
            if (earlier := _earlier(tx, firing)) is not None:
                return _told_again(tx, earlier)
            if not by_prebuild:
                refuse_during_prebuild(self.store, boot, event.value)
            return _draw_up(tx, start, caller, new_id, keep=keep).put(tx)

        if not dry_run:
            return await self.store.write(change, durable=True)
        earlier = _earlier(self.store, firing)
        if earlier is not None:
            return _told_again(self.store, earlier)
        return _draw_up(self.store, start, caller, new_id, keep=keep).told()


def _earlier(reader: Reader, firing: Firing) -> Firing | None:
    if not firing.once_key:
        return None
    return reader.firing_once(boot=firing.boot, event=firing.event, once_key=firing.once_key)


def _draw_up(reader: Reader, start: Start, caller: Caller, new_id: NewId, *, keep: bool) -> _Drawn:
    firing = start.firing
    cause = replace(firing.cause, by=f"trigger {firing.event.value}")
    listed = [
        service
        for service in reader.services()
        if firing.event in service.metadata.triggered_by and service.deletion is None
    ]
    tasks = [
        task
        for task in reader.tasks()
        if firing.event in task.metadata.triggered_by and task.deletion is None
    ]
    kept: tuple[Kept, ...] = ()
    if keep:
        kept = (*kept_services(listed, firing.boot), *kept_tasks(reader, tasks, firing.boot))
        alone = {each.reference for each in kept}
        listed = [service for service in listed if service.metadata.reference not in alone]
        tasks = [task for task in tasks if task.metadata.reference not in alone]
    services, refused = _started(listed, cause, new_id)
    circumstances = Circumstances(cause, caller.subject, firing.event.value, firing.boot, start)
    begun = begin(tasks, reader, circumstances, new_id)
    recorded = replace(
        firing,
        services=tuple(service.id for service in services),
        executions=tuple(execution.id for execution in begun.executions),
    )
    return _Drawn(recorded, services, begun, refused, kept)


def _started(
    services: list[Service], cause: Cause, new_id: NewId
) -> tuple[tuple[Service, ...], tuple[Skipped, ...]]:
    """The services, started; and those that cannot be (rule 2.11)."""
    started: list[Service] = []
    refused: list[Skipped] = []
    for service in services:
        try:
            started.append(wishes.start_service(service, SessionId(new_id()), cause))
        except FailedPrecondition as error:
            refused.append(Skipped(service.metadata.reference, str(error), "service"))
    return tuple(started), tuple(refused)


def _told_again(reader: Reader, firing: Firing) -> Fired:
    """What was deleted or pruned since has no name any more."""
    services = [reader.get(Service, id_) for id_ in firing.services]
    return Fired(
        firing,
        tuple(service.metadata.reference for service in services if service is not None),
        tuple(execution.reference for execution in _executions(reader, firing.executions)),
        repeated=True,
    )


def _executions(reader: Reader, ids: tuple[ExecutionId, ...]) -> list[Execution]:
    return [found for id_ in ids if (found := reader.get(Execution, id_)) is not None]
