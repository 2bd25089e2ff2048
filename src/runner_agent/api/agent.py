"""Handlers of what is ours: the agent itself, triggers and plans."""

from runner_agent.api.backend import Backend
from runner_agent.api.rpc import Call
from runner_agent.api.wire_in import Request, automations_file, object_id, page
from runner_agent.api.wire_out import Tree, timestamp
from runner_agent.control.again import Kept
from runner_agent.control.base import find_task
from runner_agent.control.queries import preview_plan, token_after
from runner_agent.model.errors import RunnerError
from runner_agent.model.ids import PlanStepId, Reference
from runner_agent.model.phases import Trigger
from runner_agent.model.plans import PlanStep, ServiceWork, TaskWork
from runner_agent.model.records import Execution, Firing, Service, Task

FIRINGS_SHOWN = 1000
"""How far back ListFirings goes."""


async def get_agent(backend: Backend, _request: Request, _: Call) -> Tree:
    """Version, addresses, directories and the state of the automations file."""
    info = backend.info()
    return {
        "agent": {
            "version": info.version,
            "pid": info.pid,
            "environment_id": backend.outward.environment_id,
            "addresses": list(info.addresses),
            "state_dir": info.state_dir,
            "workspace": info.workspace,
            "started_at": timestamp(info.started_at),
            "automations": {
                "path": info.automations.path,
                "applied_at": timestamp(info.automations.applied_at),
                "error": info.automations.error,
                "warning": info.automations.warning,
            },
        }
    }


async def set_automations_file(backend: Backend, request: Request, _: Call) -> Tree:
    """Rule 2.9. Raises InvalidArgument for a file with errors, naming all; then the old one stays."""
    await backend.set_automations_file(request.path)
    return {}


async def apply_automations_file(backend: Backend, request: Request, call: Call) -> Tree:
    """Rules 2.7, 2.10; a success ends the report of rule 2.9 on the same file, a refusal begins it."""
    file, caller = automations_file(request.automations_file), backend.caller(call.caller)
    commands, path, prune = backend.commands.file, request.path, request.prune
    told = bool(path) and not request.dry_run
    try:
        result = await commands.apply(file, caller, path=path, prune=prune, dry_run=request.dry_run)
    except RunnerError as error:
        if told and not prune:  # what cannot be pruned says nothing of what the file names
            backend.automations_applied(path, error)
        raise
    if told:
        backend.automations_applied(path, None)
    services = {entry.reference for entry in file.services}

    def change(what: str, reference: Reference) -> Tree:
        found = backend.store.by_reference(reference)
        kind = "service" if reference in services else "task"
        return {"change": what, "kind": kind, "reference": reference, "id": found.id if found else ""}

    return {
        "changes": [
            *(change("created", reference) for reference in result.created),
            *(change("updated", reference) for reference in result.changed),
            *(_deleted(one) for one in result.pruned),
        ],
        "not_in_file": list(result.left_out),
        "previous_definition": list(result.previous),
        "previous_runs": [
            {"reference": reference, "for_task": main} for reference, main in result.previous_runs
        ],
    }


def _deleted(one: Service | Task) -> Tree:
    kind = "service" if isinstance(one, Service) else "task"
    return {"change": "deleted", "kind": kind, "reference": one.metadata.reference, "id": one.id}


async def fire_trigger(backend: Backend, request: Request, call: Call) -> Tree:
    """Rules 6.1 to 6.4."""
    fired = await backend.commands.triggers.fire(
        Trigger(request.event),
        backend.caller(call.caller),
        once_key=request.once_key,
        dry_run=request.dry_run,
        keep=request.keep,
    )
    told = _firing(backend, fired.firing)
    if request.dry_run and not fired.repeated:
        told |= {"id": "", "executions": [{"reference": reference} for reference in fired.tasks]}
    skipped = [{"reference": one.reference, "reason": one.reason, "kind": one.kind} for one in fired.skipped]
    kept = [_kept(one) for one in fired.kept]
    return {"firing": told, "repeated_key": fired.repeated, "skipped": skipped, "kept": kept}


async def list_firings(backend: Backend, request: Request, _: Call) -> Tree:
    """Newest first."""
    wanted = page(request)
    after = wanted.after()
    found = [
        firing
        for firing in backend.store.firings(limit=FIRINGS_SHOWN)
        if after is None or firing.born < after
    ]
    shown = found[: wanted.limit]
    more = len(found) > len(shown)
    token = token_after(shown[-1].born) if more else ""
    return {
        "pagination": {"next_token": token},
        "firings": [_firing(backend, firing) for firing in shown],
    }


async def plan_task(backend: Backend, request: Request, _: Call) -> Tree:
    """What a start would run (rule 4.2). Writes nothing."""
    reference = request.reference or find_task(backend.store, object_id(request)).metadata.reference
    plan = preview_plan(backend.store, reference, backend.new_id())
    labels: dict[PlanStepId, str] = {step.id: step.label for step in plan.steps()}
    groups = [{"steps": [_plan_step(step, labels) for step in group.steps]} for group in plan.groups]
    return {"groups": groups}


def _firing(backend: Backend, firing: Firing) -> Tree:
    """What has been deleted or pruned since keeps its id and has no name."""
    services = [(id_, backend.store.get(Service, id_)) for id_ in firing.services]
    executions = [(id_, backend.store.get(Execution, id_)) for id_ in firing.executions]
    return {
        "id": firing.id,
        "event": firing.event.value,
        "once_key": firing.once_key,
        "fired_at": timestamp(firing.at),
        "fired_by": firing.cause.by,
        "services": [
            {"id": id_, "reference": found.metadata.reference if found else ""} for id_, found in services
        ],
        "executions": [
            {"id": id_, "reference": found.reference, "task_id": found.task_id} if found else {"id": id_}
            for id_, found in executions
        ],
    }


def _kept(kept: Kept) -> Tree:
    told: Tree = {"id": kept.record.id, "reference": kept.reference}
    return told | {"task_id": kept.record.task_id} if isinstance(kept.record, Execution) else told


def _plan_step(step: PlanStep, labels: dict[PlanStepId, str]) -> Tree:
    tree: Tree = {"reference": step.label, "depends_on": [labels[id_] for id_ in step.depends_on]}
    match step.work:
        case TaskWork(task_id):
            return tree | {"task_id": task_id}
        case ServiceWork(service_id):
            return tree | {"service_id": service_id}
