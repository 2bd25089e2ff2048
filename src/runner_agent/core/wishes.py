"""Wishes: what a request changes in a record, and when it changes nothing (rules 3.6, 3.13, 4.6, 1.6). The
same object back is a no-op.
"""

from dataclasses import replace

from runner_agent.core.proc import commanding
from runner_agent.core.service import pending, wanted
from runner_agent.model.errors import FailedPrecondition
from runner_agent.model.ids import SessionId
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from runner_agent.model.records import Deletion, Execution, Service
from runner_agent.model.runs import Idle, Up
from runner_agent.model.specs import Cause

__all__ = [
    "NO_COMMANDS",
    "delete_service",
    "pending",
    "refuse_unstartable",
    "restart_service",
    "standing",
    "start_service",
    "startable",
    "stop_execution",
    "stop_service",
]


NO_COMMANDS = "it has no start command; define its commands.start first"


def standing(service: Service) -> bool:
    """The wished-for session lives and nothing is bringing it down."""
    run = service.run
    if run is None or not wanted(service, run) or not isinstance(run.course, Up):
        return False
    return isinstance(run.start, Idle) or commanding(run.start)


def startable(service: Service) -> bool:
    """There is a command to start it with, or it has been started with an earlier one (rule 2.11)."""
    return bool(service.spec.launch.commands.start) or pending(service) or standing(service)


def refuse_unstartable(service: Service) -> None:
    """Raises FailedPrecondition."""
    if not startable(service):
        raise _without_commands(service)


def _without_commands(service: Service) -> FailedPrecondition:
    return FailedPrecondition(f'service "{service.metadata.reference}" cannot be started: {NO_COMMANDS}')


def restart_service(service: Service, session: SessionId, cause: Cause) -> Service:
    """Rule 3.6: RUNNING in a new session, whether it runs or not. A session that has yet to begin will do.
    Raises FailedPrecondition for a service being deleted, or one without commands (rule 2.11).
    """
    _refuse_dying(service, "restarted")
    return service if pending(service) else _in_session(service, session, cause)


def start_service(service: Service, session: SessionId, cause: Cause) -> Service:
    """Rule 3.6. `session` is used only if a new one is needed. Raises FailedPrecondition for a service being
    deleted, or one without commands (rule 2.11).
    """
    _refuse_dying(service, "started")
    if pending(service) or standing(service):
        return service
    return _in_session(service, session, cause)


def _in_session(service: Service, session: SessionId, cause: Cause) -> Service:
    if not service.spec.launch.commands.start:
        raise _without_commands(service)
    wish = replace(service.spec, desired_phase=ServicePhase.RUNNING, session=session)
    return replace(service, spec=wish, cause=cause)


def _refuse_dying(service: Service, what: str) -> None:
    if service.deletion is not None:
        name = service.metadata.reference
        raise FailedPrecondition(
            f'service "{name}" cannot be {what}: it is being deleted; create it anew once it is gone'
        )


def stop_service(service: Service, cause: Cause) -> Service:
    """Rule 3.6: a no-op if, and only if, STOPPED is the wish already."""
    if service.spec.desired_phase is ServicePhase.STOPPED:
        return service
    return replace(service, spec=replace(service.spec, desired_phase=ServicePhase.STOPPED), cause=cause)


def delete_service(service: Service, deletion: Deletion) -> Service:
    """Rule 3.13. `force` may upgrade a deletion under way; it is never taken back."""
    present = service.deletion
    if present is not None and (present.force or not deletion.force):
        return service
    return replace(stop_service(service, deletion.cause), deletion=deletion)


def stop_execution(execution: Execution, cause: Cause) -> Execution:
    """Rule 4.6: idempotent; a finished execution does not change."""
    if execution.status.phase.terminal or execution.desired_phase is ExecutionPhase.STOPPED:
        return execution
    return replace(execution, desired_phase=ExecutionPhase.STOPPED, cause=cause)
