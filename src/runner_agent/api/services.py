"""Handlers of services and of the automations file: a command or a question, and its answer."""

from runner_agent.api import wire_in
from runner_agent.api.backend import Backend
from runner_agent.api.pieces import Parts
from runner_agent.api.rpc import Call
from runner_agent.api.wire_in import Request, object_id
from runner_agent.control.base import find_service
from runner_agent.control.queries import Listing, list_services
from runner_agent.model.records import Service


async def create_service(backend: Backend, request: Request, call: Call) -> Parts:
    """Rule 1.6."""
    backend.check_environment(request.environment_id)
    draft, desired_phase = wire_in.service_draft(request)
    service = await backend.commands.services.create(draft, backend.caller(call.caller), desired_phase)
    return {"service": backend.shown.service(service)}


async def get_service(backend: Backend, request: Request, _: Call) -> Parts:
    """By its id."""
    return {"service": backend.shown.service(find_service(backend.store, object_id(request)))}


async def list_all_services(backend: Backend, request: Request, _: Call) -> Parts:
    """Oldest first."""
    wanted = request.filter
    found: Listing[Service] = Listing(())
    if backend.covers(wanted.environment_ids):
        found = list_services(backend.store, wire_in.service_filter(wanted), wire_in.page(request))
    return {
        "pagination": {"next_token": found.next_token},
        "services": [backend.shown.service(service) for service in found.items],
    }


async def update_service(backend: Backend, request: Request, _: Call) -> Parts:
    """Rules 3.11, 3.12."""
    await backend.commands.services.update(object_id(request), wire_in.service_patch(request))
    return {}


async def delete_service(backend: Backend, request: Request, call: Call) -> Parts:
    """Rule 3.13."""
    caller = backend.caller(call.caller)
    await backend.commands.services.delete(object_id(request), caller, force=request.force)
    return {}


async def start_service(backend: Backend, request: Request, call: Call) -> Parts:
    """Rule 3.6."""
    await backend.commands.services.start(object_id(request), backend.caller(call.caller))
    return {}


async def restart_service(backend: Backend, request: Request, call: Call) -> Parts:
    """Rule 3.6."""
    await backend.commands.services.restart(object_id(request), backend.caller(call.caller))
    return {}


async def stop_service(backend: Backend, request: Request, call: Call) -> Parts:
    """Rule 3.6."""
    await backend.commands.services.stop(object_id(request), backend.caller(call.caller))
    return {}


async def upsert_automations_file(backend: Backend, request: Request, call: Call) -> Parts:
    """Rule 2.7."""
    backend.check_environment(request.environment_id)
    file = wire_in.automations_file(request.automations_file)
    result = await backend.commands.file.apply(file, backend.caller(call.caller))
    return {"updated_service_ids": list(result.service_ids), "updated_task_ids": list(result.task_ids)}
