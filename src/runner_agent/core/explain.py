"""Why an execution or a task is where it is, step by step; services have a module of their own."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import assert_never

from runner_agent.core.endings import still_there
from runner_agent.core.execution import World, shown_steps
from runner_agent.core.explain_service import by_signal, explain_service, untriggered
from runner_agent.core.explanation import (
    Explanation,
    Present,
    RunSeen,
    StepSeen,
    how_it_ended,
    run_seen,
    whole,
    with_pid,
)
from runner_agent.core.sharing import in_the_way
from runner_agent.model.ids import ExecutionId, FiringId, PlanStepId, Reference
from runner_agent.model.phases import ExecutionPhase, RunRole, Trigger
from runner_agent.model.plans import PlanStep, ServiceWork, TaskWork
from runner_agent.model.records import Execution, Service, Step, StepProgress, Task
from runner_agent.model.runs import Down, Ended, Gone, Idle, Live, Starting

__all__ = ["explain_execution", "explain_service", "explain_task"]

_ABOUT = "its first step is about to begin"
SUCCEEDED, FAILED = ExecutionPhase.SUCCEEDED, ExecutionPhase.FAILED


def explain_task(task: Task) -> Explanation:
    """A task that has no executions. Of others, the latest execution is what there is to explain."""
    answer = f"it has never been started by itself: {untriggered(task.metadata.triggered_by)}"
    dying = () if task.deletion is None else (_dying(task),)
    return Explanation(answer, dying)


def _dying(task: Task) -> str:
    by = task.deletion.cause.by if task.deletion is not None else "nobody"
    return f"it is being deleted, asked for by {by}"


Events = Mapping[FiringId, Trigger]


def explain_execution(
    execution: Execution,
    world: World,
    at: Present,
    events: Events | None = None,
    earlier: Collection[Reference] = (),
) -> Explanation:
    """The execution as it is now; of `world` only what its unfinished steps hang on is needed. `events` are
    those of the firings whose runs it joined, `earlier` its steps with an earlier definition.
    """
    shown = shown_steps(execution)
    plain = ((one, _step(execution, one, shown, world, at)) for one in execution.plan.steps())
    steps = tuple(_with_origin(seen, execution, one, world, events or {}) for one, seen in plain)
    open_ = tuple(step for step in steps if step.phase is not None and not step.phase.terminal)
    held_up = next((step for step in steps if step.waits_for == (step.label,)), None)
    waits_for = () if execution.status.phase.terminal else tuple(step.label for step in open_)
    return Explanation(
        answer=_answer(execution, open_, held_up),
        reasons=(*_reasons(execution, open_), *_earlier(execution, earlier)),
        waits_for=waits_for,
        steps=steps,
    )


def _answer(execution: Execution, open_: tuple[StepSeen, ...], held_up: StepSeen | None) -> str:
    status = execution.status
    names = ", ".join(f'"{step.label}"' for step in open_)
    match status.phase:
        case ExecutionPhase.SUCCEEDED:
            count = len(execution.plan.steps())
            return "its step exited with code 0" if count == 1 else f"all {count} steps succeeded"
        case ExecutionPhase.FAILED:
            return status.failure_message or "a step failed"
        case ExecutionPhase.STOPPED:
            return f"it was stopped, as asked by {execution.cause.by}"
        case ExecutionPhase.PENDING | ExecutionPhase.RUNNING:
            if execution.desired_phase is ExecutionPhase.STOPPED:
                return (
                    f"its stop was asked for by {execution.cause.by}; waiting for {names or 'its end'} to end"
                )
            if not open_:
                return f'waiting for step "{held_up.label}": {held_up.text}' if held_up else _ABOUT
            if len(open_) == 1:
                return f"waiting for step {names}: {open_[0].text}"
            return f"waiting for steps {names}"
        case _:
            assert_never(status.phase)


def _reasons(execution: Execution, open_: tuple[StepSeen, ...]) -> Iterator[str]:
    if len(open_) > 1:
        for step in open_:
            yield f'step "{step.label}": {step.text}'
    if not execution.status.phase.terminal and _stumbling(execution) is not None:
        yield f'step "{_stumbling(execution)}" did not succeed, so no further steps begin'


def _earlier(execution: Execution, steps: Collection[Reference]) -> Iterator[str]:
    """Rule 2.10."""
    main = execution.reference
    cure = f"wait for its end and start it again, or: runner-agent restart {main}"
    for label in steps:
        what = "it" if label == main else f'step "{label}"'
        yield f"{what} runs the previous definition: that was changed since; for the present one {cure}"


def _stumbling(execution: Execution) -> Reference | None:
    """The first step that ended other than well."""
    for step in execution.plan.steps():
        one = execution.steps.get(step.id)
        if one is not None and one.status.phase.terminal and one.status.phase is not SUCCEEDED:
            return step.label
    return None


# --- steps


def _step(
    execution: Execution,
    step: PlanStep,
    shown: Mapping[PlanStepId, StepProgress],
    world: World,
    at: Present,
) -> StepSeen:
    progress = shown.get(step.id)
    record = world.steps.get(step.work.step) if isinstance(step.work, TaskWork) else None
    shared = _others(execution.id, record)
    if progress is None:
        text, waits_for = _not_begun(execution, step, shown, world)
        return StepSeen(step.id, step.label, None, text, waits_for, shared)
    status = progress.status
    if status.phase.terminal:
        text = status.failure_message or status.phase.value.lower()
        return StepSeen(step.id, step.label, status.phase, text, (), shared, _runs(record, at))
    match step.work:
        case TaskWork():
            text = _running(record, at)
            return StepSeen(step.id, step.label, status.phase, text, (), shared, _runs(record, at))
        case ServiceWork(service_id=service_id):
            text = _awaited(world.services.get(service_id), step.label, at)
            return StepSeen(step.id, step.label, status.phase, text, (step.label,))
        case _:
            assert_never(step.work)


def _with_origin(
    seen: StepSeen, execution: Execution, step: PlanStep, world: World, events: Events
) -> StepSeen:
    """Rule 6.2a: a run that was joined is another firing's."""
    record = world.steps.get(step.work.step) if isinstance(step.work, TaskWork) else None
    if record is None or record.firing is None or record.firing == execution.firing:
        return seen
    event = events.get(record.firing)
    by = f"{event.value}, " if event is not None else ""
    return replace(seen, text=f"{seen.text}; joined the run of {by}execution {record.members[0]}")


def _others(me: ExecutionId, record: Step | None) -> tuple[ExecutionId, ...]:
    return tuple(member for member in record.members if member != me) if record is not None else ()


def _not_begun(
    execution: Execution, step: PlanStep, shown: Mapping[PlanStepId, StepProgress], world: World
) -> tuple[str, tuple[Reference, ...]]:
    if execution.status.phase.terminal:
        stumbling = _stumbling(execution)
        return f'never began, since "{stumbling}" did not succeed' if stumbling else "never began", ()
    if step.id in execution.steps:
        return "about to begin", ()
    done = {id_ for id_, one in shown.items() if one.status.phase is SUCCEEDED}
    waits_for = tuple(
        one.label for one in execution.plan.steps() if one.id in step.depends_on and one.id not in done
    )
    if not waits_for:
        first = next(
            (group for group in execution.plan.groups if any(s.id not in done for s in group.steps)), None
        )
        before = first.steps if first is not None and step not in first.steps else ()
        waits_for = tuple(one.label for one in before if one.id not in done)
    if waits_for:
        return f"waits for {', '.join(waits_for)}", waits_for
    earlier = _in_its_way(step, world)
    if earlier is None:
        return "about to begin", ()
    stopping = " that is being stopped" if earlier.stopped_by is not None else ""
    by = f", of execution {earlier.members[0]}" if earlier.members else ""
    return f'waits for the end of an earlier run of "{step.label}"{stopping}{by}', (step.label,)


def _in_its_way(step: PlanStep, world: World) -> Step | None:
    """The run that has to end before this one begins (rule 6.2a)."""
    after = step.work.after if isinstance(step.work, TaskWork) else None
    earlier = world.steps.get(after) if after is not None else None
    return earlier if in_the_way(earlier) else None


def _runs(record: Step | None, at: Present) -> tuple[RunSeen, ...]:
    if record is None or record.run is None:
        return ()
    return run_seen(RunRole.TASK, record.run.proc, record.run.boot, at)


def _running(record: Step | None, at: Present) -> str:
    run = record.run if record is not None else None
    if run is None:
        return "about to begin"
    if survivors := still_there(run.survivors):
        return survivors
    if isinstance(run.course, Down) and not run.course.too_late and isinstance(run.proc, Live):
        told, _ = by_signal(run.proc, run.course, run.kills, at.timing.task_stop_grace, at)
        return f"being stopped: {told}"
    match run.proc:
        case Starting(waits=waits) if waits:
            return f"it waits: {waits}"
        case Idle() | Starting():
            return "about to begin"
        case Live(at=since, handle=handle):
            return f"runs for {whole(at.now - since)}{with_pid(handle)}"
        case Ended(ending=ending):
            return f"{how_it_ended('it', ending)}; what it left behind is being ended"
        case Gone(ending=ending):
            return how_it_ended("it", ending)
        case _:
            assert_never(run.proc)


def _awaited(service: Service | None, label: Reference, at: Present) -> str:
    if service is None:
        return f'service "{label}" is gone'
    return f'service "{label}" is {service.status.phase.value}: {explain_service(service, at).answer}'
