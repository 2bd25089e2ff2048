"""Handlers of the prebuild: begin it, look at it, end it (rule 6.5)."""

from runner_agent.api.backend import Backend
from runner_agent.api.rpc import Call
from runner_agent.api.wire_in import Request, object_id
from runner_agent.api.wire_out import Tree, timestamp
from runner_agent.core.prebuild import Cleaning, Item, Over, Prebuild, TearingDown, UnderWay
from runner_agent.model.errors import NotFound


async def start_prebuild(backend: Backend, request: Request, call: Call) -> Tree:
    """Raises InvalidArgument, FailedPrecondition."""
    begun = await backend.prebuild.begin(request.time_limit, backend.caller(call.caller))
    return {"prebuild": _prebuild(backend, begun)}


async def get_prebuild(backend: Backend, request: Request, _: Call) -> Tree:
    """Raises NotFound."""
    wanted = object_id(request)
    found = backend.prebuild.latest()
    if found is None or wanted not in ("", found.id):
        which = f"no prebuild has the id {wanted}" if wanted else "there is no prebuild"
        raise NotFound(f"{which}; one that the agent or the machine did not outlive is not known any more")
    return {"prebuild": _prebuild(backend, found)}


async def cancel_prebuild(backend: Backend, request: Request, call: Call) -> Tree:
    """Raises NotFound."""
    caller = backend.caller(call.caller)
    ended = await backend.prebuild.cancel(object_id(request), caller, now=request.now)
    return {"prebuild": _prebuild(backend, ended)}


def _prebuild(backend: Backend, prebuild: Prebuild) -> Tree:
    return {
        "id": prebuild.id,
        "began_at": timestamp(prebuild.began_at),
        "began_by": prebuild.began_by,
        "time_limit": prebuild.time_limit,
        "items": [_item(item) for item in backend.prebuild.items(prebuild)],
        **_stage(backend, prebuild),
    }


def _stage(backend: Backend, prebuild: Prebuild) -> Tree:
    match prebuild.stage:
        case UnderWay():
            return {"stage": "running"}
        case TearingDown(ending=ending):
            return {"stage": "stopping", "ending": ending.value}
        case Cleaning(report=report):
            return {"stage": "stopping", "ending": report.ending.value}
        case Over(report=report):
            return {
                "stage": "stopping" if backend.prebuild.settling else "ended",
                "ending": report.ending.value,
                "exit_code": report.exit_code,
                "ended_at": timestamp(report.ended_at),
                "failures": list(report.failures),
                "warnings": list(report.warnings),
            }


def _item(item: Item) -> Tree:
    return {
        "kind": item.kind.value,
        "event": item.event,
        "reference": item.reference,
        "phase": item.phase,
        "message": item.message,
        "required": item.required,
        "began_at": timestamp(item.began_at),
        "ended_at": timestamp(item.ended_at),
        "execution_ids": list(item.executions),
        "log_tail": list(item.tail),
    }
