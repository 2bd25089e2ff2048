"""The handler of live status: since when things are as they are, and what their processes use."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from runner_agent.api.backend import Backend
from runner_agent.api.rpc import Call
from runner_agent.api.wire_in import Request, page
from runner_agent.api.wire_out import Tree, timestamp
from runner_agent.control.queries import DefinitionFilter, list_services
from runner_agent.core import view
from runner_agent.core.earlier import is_earlier
from runner_agent.executors.usage import Usage, measure
from runner_agent.model.ids import RunId
from runner_agent.model.records import Execution, Service, Step, Task
from runner_agent.model.runs import Ended, Handle, Live, Moment, Proc

NOT_MEASURED: Mapping[RunId, Usage] = {}


async def list_live_status(backend: Backend, request: Request, _: Call) -> Tree:
    """Of all services, oldest first; the first page also tells of the tasks that run."""
    wanted = page(request)
    found = list_services(backend.store, DefinitionFilter(), wanted)
    steps = [] if wanted.token else [one for one in backend.store.live_steps() if any(handles_of_step(one))]
    used = NOT_MEASURED
    if request.usage:
        # In a thread: with hundreds of processes it takes as long as starting dozens.
        handles = [*_all(map(handles_of_service, found.items)), *_all(map(handles_of_step, steps))]
        used = await asyncio.to_thread(measure, handles)
    return {
        "pagination": {"next_token": found.next_token},
        "services": [_service(backend, service, used) for service in found.items],
        "steps": [_step(backend, step, used) for step in steps],
    }


def _service(backend: Backend, service: Service, used: Mapping[RunId, Usage]) -> Tree:
    return {
        "service_id": service.id,
        "reference": service.metadata.reference,
        "phase_since": timestamp(since(backend, service)),
        "ready_attempts": 0 if service.run is None else service.run.attempts,
        "usage": _usage(handles_of_service(service), used),
        "previous_definition": view.previous_definition(service),
    }


def since(backend: Backend, service: Service) -> datetime | None:
    """When it came into its phase, by the clock as it stands now."""
    moment = service.phase_since
    return None if moment is None else moment.shown(Moment.of(backend.clock))


def _step(backend: Backend, step: Step, used: Mapping[RunId, Usage]) -> Tree:
    proc = None if step.run is None else step.run.proc
    began = None
    if isinstance(proc, Live) and step.run is not None and step.run.boot == backend.clock.boot_mark():
        began = backend.clock.wall() - timedelta(seconds=backend.clock.now() - proc.at)
    holders = [backend.store.get(Execution, id_) for id_ in step.holders]
    return {
        "reference": step.reference,
        "execution_ids": list(step.holders),
        "running_since": timestamp(began),
        "usage": _usage(handles_of_step(step), used),
        "previous_definition": is_earlier(step, backend.store.get(Task, step.task_id)),
        "for_tasks": ["" if one is None else one.reference for one in holders],
    }


def _usage(handles: Iterable[Handle], used: Mapping[RunId, Usage]) -> Tree | None:
    seen = [used[handle.run_id] for handle in handles if handle.run_id in used]
    if not seen:
        return None
    return usage_tree(sum(seen, Usage()))


def usage_tree(used: Usage) -> Tree:
    """As clients read it."""
    return {
        "cpu_seconds": used.cpu_seconds,
        "memory_bytes": used.memory_bytes,
        "processes": used.processes,
        "ports": list(used.ports),
        "memory_peak_bytes": used.memory_peak,
        "memory_max_bytes": used.memory_max,
        "processes_max": used.processes_max,
        "oom_kills": used.oom_kills,
        "held_back_seconds": used.held_back,
    }


def handles_of_service(service: Service) -> Iterator[Handle]:
    """Of its runs that live, or of which something may be left."""
    run = service.run
    return iter(()) if run is None else _handles(run.start, run.ready, run.stop)


def handles_of_step(step: Step) -> Iterator[Handle]:
    """The same."""
    return iter(()) if step.run is None else _handles(step.run.proc)


def _handles(*runs: Proc) -> Iterator[Handle]:
    return (run.handle for run in runs if isinstance(run, Live | Ended))


def _all(many: Iterable[Iterable[Handle]]) -> Iterator[Handle]:
    return (handle for each in many for handle in each)
