"""The execution machine: what it holds, lets go and shows, given its plan and the world (rules 4.1 to 4.6).

An execution runs no process. It holds step records and binds to sessions of services; `advance` is one pure
step over the whole, asked again whenever anything it hangs on has changed, and at rest it asks for nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypeVar, assert_never

from runner_agent.core import step as step_rules
from runner_agent.core import view
from runner_agent.core.completion import completed_at
from runner_agent.core.endings import MACHINE_RESTARTED
from runner_agent.core.plan import aggregate, runnable
from runner_agent.core.session import over
from runner_agent.core.sharing import in_the_way
from runner_agent.core.wishes import NO_COMMANDS, pending, standing, start_service, startable
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import ExecutionId, PlanStepId, ServiceId, SessionId, StepId
from runner_agent.model.phases import ExecutionPhase, ServicePhase
from runner_agent.model.plans import PlanStep, ServiceWork, TaskWork
from runner_agent.model.records import (
    Bound,
    Execution,
    ExecutionStatus,
    Held,
    Service,
    Step,
    StepProgress,
    StepStatus,
)
from runner_agent.model.runs import Moment
from runner_agent.model.specs import Cause

Id_contra = TypeVar("Id_contra", contravariant=True)
Thing_co = TypeVar("Thing_co", covariant=True)

_NOT_BEGUN = StepStatus(ExecutionPhase.PENDING)
PENDING, RUNNING = ExecutionPhase.PENDING, ExecutionPhase.RUNNING
SUCCEEDED, FAILED, STOPPED = ExecutionPhase.SUCCEEDED, ExecutionPhase.FAILED, ExecutionPhase.STOPPED


class Found(Protocol[Id_contra, Thing_co]):
    """Where records are looked up by id, as in a mapping."""

    def get(self, id_: Id_contra, /) -> Thing_co | None:
        """The record, or None."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """What the execution hangs on, as it is now. Of a large plan only what is in hand is looked up."""

    steps: Found[StepId, Step]
    services: Found[ServiceId, Service]


Progress = dict[PlanStepId, StepProgress]


def advance(execution: Execution, world: World, now: Moment) -> tuple[Execution, tuple[Step | Service, ...]]:
    """The execution, and those records it hangs on that moved, after all that can be done now is done. `now`
    is for display.
    """
    if execution.status.phase.terminal:
        return execution, ()
    hand = _Hand(execution, world)
    hand.look()
    while hand.reach(now):
        hand.look()  # a service that is up already lets the next group go in the same breath
    return hand.result(now), (*hand.steps.values(), *hand.services.values())


class _Hand:
    """One call of `advance`: the copies it works on, and the records that it moved."""

    def __init__(self, execution: Execution, world: World) -> None:
        self.execution, self.plan = execution, execution.plan.steps()
        self.world = world
        self.steps: dict[StepId, Step] = {}
        self.services: dict[ServiceId, Service] = {}
        self.progress: Progress = dict(execution.steps)
        self.stopping = execution.desired_phase is STOPPED

    def step(self, id_: StepId) -> Step | None:
        """As it is to be."""
        return self.steps.get(id_) or self.world.steps.get(id_)

    def service(self, id_: ServiceId) -> Service | None:
        """As it is to be."""
        return self.services.get(id_) or self.world.services.get(id_)

    # --- looking at what it hangs on

    def look(self) -> None:
        """Take over what became of the steps in hand; let go of what is no longer wanted."""
        for step in self.plan:
            progress = self.progress.get(step.id)
            if progress is not None and progress.grip is not None:
                self._look_at(step, progress)
        ended_badly = any(one.status.phase in (FAILED, STOPPED) for one in self.progress.values())
        if self.stopping or ended_badly:
            self._let_go(tasks_too=self.stopping)

    def _look_at(self, step: PlanStep, progress: StepProgress) -> None:
        match step.work, progress.grip:
            case TaskWork(step=step_id), Held():
                self.progress[step.id] = _seen_task(self.execution.id, self.step(step_id), progress)
            case ServiceWork(service_id=service_id), Bound(session=session):
                service = self.service(service_id)
                status = _seen_service(step.label, service, session)
                self.progress[step.id] = _progress(status, progress)
            case _:
                pass

    def _let_go(self, *, tasks_too: bool) -> None:
        for step in self.plan:
            progress = self.progress.get(step.id)
            if progress is None or progress.grip is None:
                continue
            match step.work:
                case ServiceWork():  # rule 4.5: the service keeps its wish
                    self.progress[step.id] = _ended(STOPPED, output=progress.status.output)
                case TaskWork(step=step_id):
                    if tasks_too:
                        self._release(step, self.step(step_id))
                case _:
                    assert_never(step.work)

    def _release(self, step: PlanStep, record: Step | None) -> None:
        """Rule 6.2: let go of a shared run; this ends it if it is its main task or nobody else holds it.

        One that has not begun is left as it is for whoever may reach it later.
        """
        if record is None:
            return
        me = self.execution.id
        if me in record.holders:
            holders = tuple(holder for holder in record.holders if holder != me)
            last = record.run is not None and not holders
            main = record.task_id == self.execution.task_id and bool(holders)
            ends_it = record.stopped_by is None and (last or main)
            record = replace(record, holders=holders, stopped_by=me if ends_it else record.stopped_by)
            self.steps[record.id] = record
        if record.run is None:
            del self.progress[step.id]  # not begun, hence absent (rule 4.6)
        elif record.stopped_by is None:
            self.progress[step.id] = _ended(STOPPED, output=self.progress[step.id].status.output)

    # --- reaching for the next steps

    def reach(self, now: Moment) -> bool:
        """Start what may start now. True if anything was started."""
        if self.stopping:
            return False
        steps = runnable(self.execution.plan, _phases(self.progress))
        for step in steps:
            match step.work:
                case TaskWork(step=step_id, after=after):
                    if after is not None and in_the_way(self.step(after)):
                        continue
                    self.progress[step.id] = self._hold(self.step(step_id))
                case ServiceWork(service_id=service_id, session=session):
                    self.progress[step.id] = self._bind(step, self.service(service_id), session, now.wall)
                case _:
                    assert_never(step.work)
        return any(step.id in self.progress for step in steps)

    def _hold(self, record: Step | None) -> StepProgress:
        if record is None:
            return _ended(FAILED, "its record is gone")
        if record.stopped_by is None and (record.run is None or not step_rules.over(record.run)):
            holders = (*record.holders, self.execution.id)
            self.steps[record.id] = replace(record, holders=holders)
        return StepProgress(_NOT_BEGUN, Held())

    def _bind(self, step: PlanStep, service: Service | None, fresh: SessionId, now: datetime) -> StepProgress:
        """Rule 4.5: the live session, the pending one, else a new one it asks for."""
        if service is None or service.deletion is not None:
            return _ended(
                FAILED,
                f'service "{step.label}" is being deleted' if service else f'service "{step.label}" is gone',
            )
        if not startable(service):
            return _ended(FAILED, f'service "{step.label}" cannot be started: {NO_COMMANDS}')
        if not (standing(service) or pending(service)):
            service = start_service(service, fresh, Cause(f"execution {self.execution.id}", now))
            self.services[service.id] = service
        return StepProgress(StepStatus(RUNNING), Bound(service.spec.session))

    # --- the whole

    def result(self, now: Moment) -> Execution:
        """The execution as it stands."""
        phases = _phases(self.progress)
        phase = aggregate(self.execution.plan, phases, stopping=self.stopping)
        message = _failure(self.execution, self.progress) if phase is FAILED else ""
        begun = phase is not PENDING and bool(self.progress)
        started = self.execution.started_at or (now.wall if begun else None)
        status = ExecutionStatus(phase, message)
        after = replace(self.execution, steps=self.progress, status=status, started_at=started)
        if not phase.terminal:
            return after
        return replace(after, completed_at=completed_at(self.execution, after, self.step, self.service, now))


def _phases(progress: Mapping[PlanStepId, StepProgress]) -> dict[PlanStepId, ExecutionPhase]:
    return {id_: one.status.phase for id_, one in progress.items()}


def _ended(phase: ExecutionPhase, message: str = "", output: Mapping[str, str] | None = None) -> StepProgress:
    return StepProgress(StepStatus(phase, message, output or {}), None)


def _progress(status: StepStatus, before: StepProgress) -> StepProgress:
    if status is before.status:
        return before  # most of a large plan, most of the time
    return StepProgress(status, None if status.phase.terminal else before.grip)


def _seen_task(me: ExecutionId, record: Step | None, progress: StepProgress) -> StepProgress:
    """What became of a held step record."""
    if record is None:
        return _ended(FAILED, "its record is gone", progress.status.output)
    status = record.status or _NOT_BEGUN
    stopper = record.stopped_by
    if stopper is not None and stopper != me and status.phase not in (SUCCEEDED, FAILED):
        return _ended(FAILED, f"stopped by execution {stopper}", status.output)
    return _progress(status, progress)


def _seen_service(label: str, service: Service | None, session: SessionId) -> StepStatus:
    """What became of the session a step is bound to; the end of any other session is ignored (rule 4.5)."""
    if service is None:
        return StepStatus(FAILED, f'service "{label}" was deleted')
    run = service.run if service.run and service.run.session == session else None
    output: Mapping[str, str] = view.status(service).output if run else {}
    wish = service.spec
    passed_over = wish.desired_phase is not ServicePhase.RUNNING or wish.session != session
    if run and run.is_ready:
        return StepStatus(SUCCEEDED, "", output)
    if run and run.failure and (over(run) or passed_over):
        return StepStatus(FAILED, f'service "{label}" failed: {run.failure}', output)
    if service.deletion is not None:
        return StepStatus(FAILED, f'service "{label}" was deleted by {service.deletion.cause.by}', output)
    if passed_over:
        how = "restarted" if wish.desired_phase is ServicePhase.RUNNING else "stopped"
        return StepStatus(FAILED, f'service "{label}" was {how} by {service.cause.by}', output)
    if run and over(run):
        return StepStatus(FAILED, f'service "{label}" ended before it was ready', output)
    return StepStatus(RUNNING, "", output)


def _failure(execution: Execution, progress: Mapping[PlanStepId, StepProgress]) -> str:
    """Rule 4.4: which step, and why. The step's own message ends in the last line of its log."""
    for step in execution.plan.steps():
        one = progress.get(step.id)
        if one is not None and one.status.phase is FAILED:
            return f'step "{step.label}" failed: {one.status.failure_message}'
    for step in execution.plan.steps():
        one = progress.get(step.id)
        if one is not None and one.status.phase is STOPPED:
            return f'step "{step.label}" was stopped'
    return "a step failed"


def rebooted(execution: Execution, now: datetime) -> Execution:
    """Rule 6.6: what was under way when the machine went down ends FAILED; nothing is replayed."""
    if execution.status.phase.terminal:
        return execution
    steps = {
        id_: one if one.grip is None else _ended(FAILED, MACHINE_RESTARTED, one.status.output)
        for id_, one in shown_steps(execution).items()
    }
    status = ExecutionStatus(FAILED, MACHINE_RESTARTED)
    return replace(execution, steps=steps, status=status, completed_at=now)


def shown_steps(execution: Execution) -> Mapping[PlanStepId, StepProgress]:
    """The steps the API shows: those that have begun. One that is held but not begun is absent (rule 4.3)."""
    return {id_: one for id_, one in execution.steps.items() if one.status.phase is not PENDING}


def hangs_on(execution: Execution) -> frozenset[str]:
    """Ids of the step records and services whose news concern the execution."""
    named: set[str] = set()
    for step in execution.plan.steps():
        match step.work:
            case TaskWork(step=id_, after=after):
                named.update((id_,) if after is None else (id_, after))
            case ServiceWork(service_id=id_):
                named.add(id_)
            case _:
                assert_never(step.work)
    return frozenset(named)
