"""ListTimeline: what has happened, newest first."""

from base64 import urlsafe_b64encode

from runner_agent.api.backend import Backend
from runner_agent.api.rpc import Call
from runner_agent.api.wire_in import Request, object_id, page
from runner_agent.api.wire_out import Tree, timestamp
from runner_agent.control.queries import Page
from runner_agent.model.errors import InvalidArgument, Violation
from runner_agent.store.base import Happening
from runner_agent.store.base import timestamp as text_of

LONGEST_PLACE = 18
"""Digits; what is longer the store cannot hold."""


async def list_timeline(backend: Backend, request: Request, _: Call) -> Tree:
    """What a filter names need not exist any more. Raises InvalidArgument."""
    wanted = page(request)
    place = _place(wanted)
    found = backend.store.timeline(
        id_=object_id(request.filter), reference=request.filter.reference, after=place, limit=wanted.limit + 1
    )
    shown = found[: wanted.limit]
    return {
        "pagination": {"next_token": _token(shown[-1]) if len(found) > len(shown) else ""},
        "entries": [_entry(one) for one in shown],
    }


def _place(wanted: Page) -> int | None:
    after = wanted.after()
    if after is None:
        return None
    if not (after[1].isdecimal() and len(after[1]) <= LONGEST_PLACE):
        message = "is not a token of an earlier answer of this method; leave it out to begin anew"
        raise InvalidArgument(Violation("pagination.token", message))
    return int(after[1])


def _token(last: Happening) -> str:
    return urlsafe_b64encode(f"{text_of(last.at)} {last.place}".encode("ascii")).decode("ascii")


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
