"""The timeline's entries of one write, before they have their places, and how many of them are kept."""

from collections.abc import Callable, Mapping
from datetime import datetime

from runner_agent.core import timeline
from runner_agent.model.records import Key
from runner_agent.store.base import Happening
from runner_agent.store.draft import Edit

KEPT = 10_000
"""Entries kept, the newest."""
SPARE = 500
"""Entries that may be there beyond that: the oldest are dropped so many at a time."""

Wall = Callable[[], datetime]
"""The time of day, UTC. The store reads no clock itself."""


def happened(edits: Mapping[Key, Edit], wall: Wall | None) -> tuple[Happening, ...]:
    """What these edits are to people. Without a clock nothing is told.

    A note that moves nothing anybody is shown, as most are, costs a look at its flags.
    """
    telling = [edit for edit in edits.values() if _tells(edit)]
    if wall is None or not telling:
        return ()
    at = wall()
    return tuple(
        Happening(at, edit.version, entry)
        for edit in telling
        for entry in timeline.entries(edit.before, edit.after)
    )


def _tells(edit: Edit) -> bool:
    change = edit.change
    return change.status_moved or change.spec_moved or change.wish_moved or change.deleted
