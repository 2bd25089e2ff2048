"""ListTimeline: what has happened, newest first."""

from runner_agent.api.backend import Backend
from runner_agent.api.rpc import Call
from runner_agent.api.wire_in import Request, object_id, page
from runner_agent.api.wire_out import Tree, timestamp
from runner_agent.control.queries import token_after
from runner_agent.store.base import Happening


async def list_timeline(backend: Backend, request: Request, _: Call) -> Tree:
    """What a filter names need not exist any more. Raises InvalidArgument."""
    wanted = page(request)
    found = backend.store.timeline(
        id_=object_id(request.filter),
        reference=request.filter.reference,
        after=wanted.after(),
        limit=wanted.limit + 1,
    )
    shown = found[: wanted.limit]
    return {
        "pagination": {"next_token": token_after(shown[-1].place) if len(found) > len(shown) else ""},
        "entries": [_entry(one) for one in shown],
    }


def _entry(one: Happening) -> Tree:
    entry = one.entry
    return {
        "at": timestamp(one.at),
        "kind": entry.key.kind.value,
        "id": entry.key.id,
        "reference": entry.reference,
        "version": one.version,
        "phase": entry.phase,
        "text": entry.text,
        "cause": entry.cause,
        "place": one.place,
    }
