"""ExplainAutomation: the explanation of `core`, with times of day and what the logs say last."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import assert_never

from runner_agent.api.backend import Backend
from runner_agent.api.live import NOT_MEASURED, handles_of_service, handles_of_step, since, usage_tree
from runner_agent.api.rpc import Call
from runner_agent.api.strangers import strangers
from runner_agent.api.wire_in import Request, object_id
from runner_agent.api.wire_out import Tree, timestamp
from runner_agent.core import explain, view
from runner_agent.core.earlier import earlier_steps
from runner_agent.core.execution import World
from runner_agent.core.explanation import Explanation, Present, RunSeen, StepSeen, how_it_ended
from runner_agent.executors.usage import Usage, measure
from runner_agent.logs.last import last_attempt, last_lines
from runner_agent.model.errors import NotFound
from runner_agent.model.ids import BootMark, FiringId, Instant, Reference, RunId, ServiceId, StepId
from runner_agent.model.phases import ExecutionPhase, RunRole, ServicePhase, Trigger
from runner_agent.model.plans import ServiceWork, TaskWork, Work
from runner_agent.model.records import Execution, Firing, Service, Step, Task
from runner_agent.model.runs import Ended, Exited, Handle, Idle, Live

LINES = 10
"""Of each log that is quoted."""
LOGS = 3
"""Steps whose logs are quoted."""

_DONE = (ExecutionPhase.SUCCEEDED, ExecutionPhase.STOPPED)


async def explain_automation(backend: Backend, request: Request, _: Call) -> Tree:
    """Raises NotFound."""
    match _subject(backend, request):
        case Service() as service:
            used = await _used(handles_of_service(service))
            return _service(backend, service, used, await strangers(backend, service, used))
        case Execution() as execution:
            return await _execution(backend, execution)
        case Task() as task:
            return await _task(backend, task)


def _subject(backend: Backend, request: Request) -> Service | Task | Execution:
    store = backend.store
    if request.WhichOneof("subject") == "reference":
        named = store.by_reference(Reference(request.reference))
        if named is None:
            raise NotFound(
                f'nothing goes by the reference "{request.reference[:128]}"; '
                "list services and tasks to see what there is"
            )
        return named
    id_ = object_id(request)
    found = store.get(Service, id_) or store.get(Task, id_) or store.get(Execution, id_)
    if found is None:
        raise NotFound(f"no service, task or execution has the id {id_}; an execution may have been pruned")
    return found


def _service(
    backend: Backend, service: Service, used: Mapping[RunId, Usage], others: tuple[str, ...]
) -> Tree:
    clock = _Clock(backend, used)
    told = explain.explain_service(service, clock.present)
    told = replace(told, reasons=(*others, *told.reasons))
    spec = service.spec
    return {
        **_common(told, clock),
        "kind": "KIND_SERVICE",
        "id": service.id,
        "reference": service.metadata.reference,
        "phase": service.status.phase.value,
        "phase_since": timestamp(since(backend, service)),
        "desired_phase": spec.desired_phase.value,
        "wished_by": service.cause.by,
        "wished_at": timestamp(service.cause.at),
        "last_probe": _probe(backend, service),
        "previous_definition": view.previous_definition(service),
        "logs": _service_logs(backend, service),
    }


async def _task(backend: Backend, task: Task) -> Tree:
    about = {"kind": "KIND_TASK", "id": task.id, "reference": task.metadata.reference}
    latest = next(iter(backend.store.executions(task=task.id, limit=1)), None)
    if latest is None:
        return {**_common(explain.explain_task(task), _Clock(backend, NOT_MEASURED)), **about}
    return {**await _execution(backend, latest), **about, "execution_id": latest.id}


async def _execution(backend: Backend, execution: Execution) -> Tree:
    world = _world(backend, execution)
    clock = _Clock(backend, await _used(_handles(execution, world)))
    earlier = [*earlier_steps(execution, world.steps.get, partial(backend.store.get, Task))]
    events = _events(backend, execution, world)
    told = explain.explain_execution(execution, world, clock.present, events, earlier)
    held = execution.completed_at or execution.started_at or execution.created_at
    return {
        **_common(told, clock),
        "kind": "KIND_EXECUTION",
        "id": execution.id,
        "reference": execution.reference,
        "phase": execution.status.phase.value,
        "phase_since": timestamp(held),
        "desired_phase": execution.desired_phase.value,
        "wished_by": execution.cause.by,
        "wished_at": timestamp(execution.cause.at),
        "steps": [_step(step, clock) for step in told.steps],
        "logs": _step_logs(backend, execution, told.steps),
        "previous_definition": bool(earlier),
    }


def _world(backend: Backend, execution: Execution) -> World:
    """What its unfinished and failed steps hang on: of a large plan that has ended well, nothing."""
    steps: dict[StepId, Step] = {}
    services: dict[ServiceId, Service] = {}
    for step in execution.plan.steps():
        progress = execution.steps.get(step.id)
        if progress is not None and progress.status.phase in _DONE:
            continue
        match step.work:
            case TaskWork(step=step_id, after=after):
                records = (backend.store.get(Step, id_) for id_ in (step_id, after) if id_ is not None)
                steps.update({record.id: record for record in records if record is not None})
            case ServiceWork(service_id=service_id):
                service = backend.store.get(Service, service_id)
                if service is not None:
                    services[service_id] = service
            case _:
                assert_never(step.work)
    return World(steps, services)


def _events(backend: Backend, execution: Execution, world: World) -> dict[FiringId, Trigger]:
    """Of the other firings that began runs it shows."""
    works = (step.work for step in execution.plan.steps())
    records = (world.steps.get(work.step) for work in works if isinstance(work, TaskWork))
    ids = {one.firing for one in records if one is not None and one.firing is not None} - {execution.firing}
    firings = (backend.store.get(Firing, id_) for id_ in ids)
    return {firing.id: firing.event for firing in firings if firing is not None}


def _handles(execution: Execution, world: World) -> Iterator[Handle]:
    for step in execution.plan.steps():
        if isinstance(step.work, TaskWork) and (record := world.steps.get(step.work.step)) is not None:
            yield from handles_of_step(record)


# ---------------------------------------------------------------- parts


async def _used(handles: Iterable[Handle]) -> Mapping[RunId, Usage]:
    found = tuple(handles)
    return await asyncio.to_thread(measure, found) if found else NOT_MEASURED


class _Clock:
    """The present: what runs use now, and the time of day that an instant was or will be."""

    def __init__(self, backend: Backend, used: Mapping[RunId, Usage]) -> None:
        self.used = used
        self._wall = backend.clock.wall()
        self._now = backend.clock.now()
        self.present = Present(Instant(self._now), BootMark(backend.clock.boot_mark()), backend.timing)

    def time_of(self, instant: Instant | None) -> datetime | None:
        return None if instant is None else self._wall + timedelta(seconds=instant - self._now)


def _common(told: Explanation, clock: _Clock) -> Tree:
    return {
        "answer": told.answer,
        "reasons": list(told.reasons),
        "waits_for": list(told.waits_for),
        "until": timestamp(clock.time_of(told.until)),
        "runs": [_run(run, clock) for run in told.runs],
    }


def _run(run: RunSeen, clock: _Clock) -> Tree:
    used = clock.used.get(run.run_id)
    return {
        "role": run.role.value,
        "run_id": run.run_id,
        "state": run.state.value,
        "pid": run.pid,
        "since": timestamp(clock.time_of(run.since)),
        "ending": run.ending,
        "usage": None if used is None else usage_tree(used),
    }


def _step(step: StepSeen, clock: _Clock) -> Tree:
    return {
        "id": step.id,
        "reference": step.label,
        "phase": "" if step.phase is None else step.phase.value,
        "text": step.text,
        "waits_for": list(step.waits_for),
        "shared_with": list(step.shared_with),
        "runs": [_run(run, clock) for run in step.runs],
    }


# ---------------------------------------------------------------- what the logs say


def _probe(backend: Backend, service: Service) -> Tree | None:
    run = service.run
    if run is None or not run.launch.commands.ready or not run.attempts:
        return None
    last = Exited(0) if run.is_ready else run.last_attempt.ending if run.last_attempt else None  # rule 3.3
    log, reference = backend.logs.service(service.id, RunRole.READY), service.metadata.reference
    under_way = last is not None and not run.is_ready and isinstance(run.ready, Live | Ended)
    return {
        "attempts": run.attempts,
        "ending": how_it_ended("ready", last) if last is not None else "",
        "lines": list(last_attempt(log, reference, LINES, under_way=under_way)),
    }


def _service_logs(backend: Backend, service: Service) -> list[Tree]:
    """Of `start`, and of `stop` where that has been run in this session."""
    if service.run is None:
        return []
    roles = [RunRole.START] if isinstance(service.run.stop, Idle) else [RunRole.START, RunRole.STOP]
    found = ((role.value, backend.logs.service(service.id, role)) for role in roles)
    return [_log(label, path) for label, path in found]


def _step_logs(backend: Backend, execution: Execution, steps: Sequence[StepSeen]) -> list[Tree]:
    """Of the steps that failed, else of those that run, else of the last one."""
    files = {step.id: _step_file(backend, step.work) for step in execution.plan.steps()}
    begun = [step for step in steps if step.phase is not None]
    failed = [step for step in begun if step.phase is ExecutionPhase.FAILED]
    running = [step for step in begun if step.phase is ExecutionPhase.RUNNING]
    return [_log(step.label, files[step.id]) for step in (failed or running or begun[-1:])[:LOGS]]


def _step_file(backend: Backend, work: Work) -> Path:
    match work:
        case TaskWork(step=step_id):
            return backend.logs.run(step_id)
        case ServiceWork(service_id=service_id):
            service = backend.store.get(Service, service_id)
            starting = service is not None and service.status.phase is ServicePhase.STARTING
            return backend.logs.service(service_id, RunRole.READY if starting else RunRole.START)


def _log(label: str, path: Path) -> Tree:
    return {"label": label, "lines": list(last_lines(path, LINES))}
