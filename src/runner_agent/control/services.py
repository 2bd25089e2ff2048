"""Commands on services: create, update, start, stop, delete (section 3 of the semantics)."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from runner_agent.control.base import Caller, Control, find_service, refuse_dying
from runner_agent.control.checks import check_output, check_service, require
from runner_agent.control.drafts import ServicePatch, StatusPatch, chosen
from runner_agent.core import view, wishes
from runner_agent.model.errors import AlreadyExists, FailedPrecondition, InvalidArgument, Violation
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import Reference, ServiceId, SessionId
from runner_agent.model.phases import ServicePhase
from runner_agent.model.records import Deletion, Service
from runner_agent.model.specs import Launch, ServiceCommands, ServiceEntry, ServiceMetadata, ServiceSpec
from runner_agent.store.base import Reader, Transaction

_AT_REST = (ServicePhase.STOPPED, ServicePhase.FAILED)


@dataclass(frozen=True, slots=True)
class ServiceControl(Control):
    """Every command returns at once: what it asks for is done by the reconciler."""

    redact: Callable[[str], str] = str

    async def create(
        self, draft: ServiceEntry, caller: Caller, desired_phase: ServicePhase = ServicePhase.STOPPED
    ) -> Service:
        """Rule 1.6. Raises InvalidArgument, AlreadyExists."""
        if desired_phase not in {ServicePhase.RUNNING, ServicePhase.STOPPED}:
            message = f"must be RUNNING or STOPPED for a new service, not {desired_phase.value}"
            raise InvalidArgument(Violation("spec.desired_phase", message))
        cause = self.cause(caller)
        metadata = ServiceMetadata(
            draft.reference,
            draft.name,
            cause.at,
            caller.subject,
            draft.description,
            draft.triggered_by,
            draft.role,
        )
        require(check_service(metadata, draft.launch))
        service = Service(ServiceId(self.new_id()), metadata, ServiceSpec(draft.launch), cause)
        if desired_phase is ServicePhase.RUNNING:
            service = wishes.start_service(service, SessionId(self.new_id()), cause)

        def change(tx: Transaction) -> Service:
            refuse_taken(tx, draft.reference)
            return tx.put(service)

        return await self.store.write(change, durable=True)

    async def update(self, service_id: str, patch: ServicePatch) -> Service:
        """Rules 3.11, 3.12. Raises NotFound, InvalidArgument, FailedPrecondition; then nothing of the patch
        is done.
        """

        def change(service: Service) -> Service:
            refuse_dying(service, "updated")
            metadata, launch = _patched(service, patch)
            require((*check_service(metadata, launch), *_emptied(patch, launch)))
            if patch.touches_spec and service.status.phase not in _AT_REST:
                raise FailedPrecondition(
                    f'the spec of service "{service.metadata.reference}" cannot be updated while it is '
                    f"{service.status.phase.value}; stop it first"
                )
            changed = replace(service, metadata=metadata, spec=replace(service.spec, launch=launch))
            return _with_posted(changed, patch.status, self.redact)

        return await self._change(service_id, change)

    async def start(self, service_id: str, caller: Caller) -> Service:
        """Rule 3.6. Raises NotFound, FailedPrecondition."""
        session, cause = SessionId(self.new_id()), self.cause(caller)
        return await self._change(service_id, lambda service: wishes.start_service(service, session, cause))

    async def restart(self, service_id: str, caller: Caller) -> Service:
        """Rule 3.6: one wish. Raises NotFound, FailedPrecondition."""
        session, cause = SessionId(self.new_id()), self.cause(caller)
        return await self._change(service_id, lambda service: wishes.restart_service(service, session, cause))

    async def stop(self, service_id: str, caller: Caller) -> Service:
        """Rule 3.6. Raises NotFound."""
        cause = self.cause(caller)
        return await self._change(service_id, lambda service: wishes.stop_service(service, cause))

    async def delete(self, service_id: str, caller: Caller, *, force: bool = False) -> Service:
        """Rule 3.13. Raises NotFound."""
        deletion = Deletion(self.cause(caller), force)
        return await self._change(service_id, lambda service: wishes.delete_service(service, deletion))

    async def _change(self, service_id: str, change: Callable[[Service], Service]) -> Service:
        def write(tx: Transaction) -> Service:
            present = find_service(tx, service_id)
            wished = change(present)
            return present if wished == present else tx.put(wished)

        return await self.store.write(write, durable=True)


def refuse_taken(reader: Reader, reference: Reference) -> None:
    """Rule 1.2. Raises AlreadyExists."""
    holder = reader.by_reference(reference)
    if holder is None:
        return
    kind = "service" if isinstance(holder, Service) else "task"
    if holder.deletion is None:
        raise AlreadyExists(
            f'the reference "{reference}" is taken by a {kind}; update that or choose another'
        )
    raise AlreadyExists(
        f'the reference "{reference}" is taken by a {kind} that is being deleted; try again once it is gone'
    )


def _emptied(patch: ServicePatch, launch: Launch) -> Iterator[Violation]:
    """Commands may be absent (rule 2.11), but cannot be taken away one by one."""
    if patch.start == "" and not (launch.commands.ready or launch.commands.stop):
        yield Violation("spec.commands.start", "must not be empty")


def _patched(service: Service, patch: ServicePatch) -> tuple[ServiceMetadata, Launch]:
    metadata, launch = service.metadata, service.spec.launch
    commands = launch.commands
    return (
        replace(
            metadata,
            name=chosen(patch.name, metadata.name),
            description=chosen(patch.description, metadata.description),
            triggered_by=chosen(patch.triggered_by, metadata.triggered_by),
            role=chosen(patch.role, metadata.role),
        ),
        Launch(
            ServiceCommands(
                chosen(patch.start, commands.start),
                chosen(patch.ready, commands.ready),
                chosen(patch.stop, commands.stop),
            ),
            chosen(patch.runs_on, launch.runs_on),
            patch.env or launch.env,
            chosen(patch.readiness_timeout, launch.readiness_timeout),
        ),
    )


def _with_posted(service: Service, patch: StatusPatch, redact: Callable[[str], str]) -> Service:
    """Rule 3.12. The status shows it at once, so that a caller reads what it wrote, less secrets."""
    if not patch.output and not patch.others:
        return service
    name = service.metadata.reference
    if patch.others:
        raise FailedPrecondition(
            f'status.{", status.".join(patch.others)} of service "{name}" cannot be set: '
            "this agent runs the service itself; send output entries only"
        )
    require(violation for key, value in patch.output.items() for violation in check_output(key, value))
    if service.run is None:
        raise FailedPrecondition(
            f'service "{name}" has not been started, so it has no output; start it first'
        )
    session = service.run.session
    earlier = service.posted[1] if service.posted is not None and service.posted[0] == session else None
    entries = {redact(key): redact(value) for key, value in patch.output.items()}
    posted = replace(service, posted=(session, {**(earlier or {}), **entries}))
    return replace(posted, status=replace(posted.status, output=view.status(posted).output))
