"""When an execution completed: what it hung on may have ended while nobody followed it (rule 4.8)."""

from collections.abc import Callable
from datetime import datetime

from runner_agent.core.session import over
from runner_agent.model.ids import Instant, ServiceId, SessionId, StepId
from runner_agent.model.phases import ExecutionPhase
from runner_agent.model.plans import PlanStep, ServiceWork, TaskWork
from runner_agent.model.records import Bound, Execution, Service, Step, StepProgress
from runner_agent.model.runs import Gone, Moment

Steps = Callable[[StepId], Step | None]
Services = Callable[[ServiceId], Service | None]


def completed_at(
    before: Execution, after: Execution, steps: Steps, services: Services, now: Moment
) -> datetime:
    """When the last of what has just been seen to end did. Perhaps long ago, but neither before the execution
    began nor before its end was asked for.
    """
    ends: list[Instant] = []
    for step in after.plan.steps():
        was, progress = before.steps.get(step.id), after.steps.get(step.id)
        if progress is not was and not _let_go(step, progress):
            ends.append(_end(step, was, steps, services, now))
    ended, wished = now.back_at(max(ends, default=now.at)).wall, after.cause.at
    return max(ended, min(max(wished, after.started_at or wished), now.wall))


def _let_go(step: PlanStep, progress: StepProgress | None) -> bool:
    """It waited for a service that others have, and does not any more, since something else ended."""
    stopped = progress is not None and progress.status.phase is ExecutionPhase.STOPPED
    return stopped and isinstance(step.work, ServiceWork)


def _end(step: PlanStep, was: StepProgress | None, steps: Steps, services: Services, now: Moment) -> Instant:
    """When what the step hung on ended; now, if that is not known."""
    match step.work, was and was.grip:
        case TaskWork(step=id_), _:
            return _of_run(steps(id_), now)
        case ServiceWork(service_id=id_), Bound(session=session):
            return _of_session(services(id_), session, now)
        case _:
            return now.at


def _of_run(step: Step | None, now: Moment) -> Instant:
    run = None if step is None else step.run
    known = run is not None and run.boot == now.boot
    return run.proc.at if run is not None and known and isinstance(run.proc, Gone) else now.at


def _of_session(service: Service | None, session: SessionId, now: Moment) -> Instant:
    if service is None or service.run is None or service.run.session != session or not over(service.run):
        return now.at
    since = service.phase_since
    return since.at if since is not None and since.boot == now.boot else now.at
