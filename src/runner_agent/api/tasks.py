"""Handlers of tasks and their executions: a command or a question, and its answer."""

from runner_agent.api import wire_in
from runner_agent.api.backend import Backend
from runner_agent.api.pieces import Parts
from runner_agent.api.rpc import Call
from runner_agent.api.wire_in import Request, object_id
from runner_agent.control.base import find_execution, find_task
from runner_agent.control.queries import Listing, list_executions, list_tasks
from runner_agent.model.records import Execution, Task


async def create_task(backend: Backend, request: Request, call: Call) -> Parts:
    """Rule 1.6."""
    backend.check_environment(request.environment_id)
    draft = wire_in.task_draft(request)
    task = await backend.commands.tasks.create(draft, backend.caller(call.caller))
    return {"task": backend.shown.task(task)}


async def get_task(backend: Backend, request: Request, _: Call) -> Parts:
    """By its id."""
    return {"task": backend.shown.task(find_task(backend.store, object_id(request)))}


async def list_all_tasks(backend: Backend, request: Request, _: Call) -> Parts:
    """Oldest first."""
    wanted = request.filter
    found: Listing[Task] = Listing(())
    if backend.covers(wanted.environment_ids):
        found = list_tasks(backend.store, wire_in.task_filter(wanted), wire_in.page(request))
    return {
        "pagination": {"next_token": found.next_token},
        "tasks": [backend.shown.task(task) for task in found.items],
    }


async def update_task(backend: Backend, request: Request, _: Call) -> Parts:
    """Executions under way keep the copy they started with (rule 4.1)."""
    await backend.commands.tasks.update(object_id(request), wire_in.task_patch(request))
    return {}


async def delete_task(backend: Backend, request: Request, call: Call) -> Parts:
    """Rule 1.6."""
    await backend.commands.tasks.delete(object_id(request), backend.caller(call.caller))
    return {}


async def start_task(backend: Backend, request: Request, call: Call) -> Parts:
    """Rule 4.1."""
    caller = backend.caller(call.caller)
    execution = await backend.commands.executions.start_task(object_id(request), caller)
    return {"task_execution": backend.shown.execution(execution)}


async def get_task_execution(backend: Backend, request: Request, _: Call) -> Parts:
    """By its id."""
    execution = find_execution(backend.store, object_id(request))
    return {"task_execution": backend.shown.execution(execution)}


async def list_task_executions(backend: Backend, request: Request, _: Call) -> Parts:
    """Newest first."""
    wanted = request.filter
    found: Listing[Execution] = Listing(())
    if backend.covers(wanted.environment_ids):
        wanted_ones = wire_in.execution_filter(wanted)
        found = await list_executions(backend.store, wanted_ones, wire_in.page(request))
    return {
        "pagination": {"next_token": found.next_token},
        "task_executions": [backend.shown.execution(execution) for execution in found.items],
    }


async def stop_task_execution(backend: Backend, request: Request, call: Call) -> Parts:
    """Rule 4.6."""
    await backend.commands.executions.stop(object_id(request), backend.caller(call.caller))
    return {}
