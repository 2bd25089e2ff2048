"""Which fields of a record make up its wish half and its run half, and whether either of them moved.

Two kinds of fields stand outside, since the disk keeps them in rows of their own: an execution's plan, which
never changes, and its steps, of which usually one changes.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter

from runner_agent.model.records import Kind, Record

WISH_FIELDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.SERVICE: ("id", "metadata", "spec", "cause", "deletion", "posted", "file"),
    Kind.TASK: ("id", "metadata", "spec", "depends_on", "deletion", "file"),
    Kind.EXECUTION: (
        *("id", "task_id", "reference", "created_at", "creator", "started_by"),
        *("cause", "boot", "firing", "desired_phase"),
    ),
    Kind.STEP: (
        *("id", "task_id", "reference", "spec", "created_at", "members", "firing"),
        *("holders", "stopped_by"),
    ),
    Kind.FIRING: ("id", "event", "at", "boot", "cause", "once_key", "services", "executions"),
}

RUN_FIELDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.SERVICE: ("run", "status", "phase_since"),
    Kind.TASK: (),
    Kind.EXECUTION: ("status", "started_at", "completed_at"),
    Kind.STEP: ("run", "status"),
    Kind.FIRING: (),
}

VERSION_FIELDS = ("born", "spec_version", "status_version")
"""The store's own: stamped, never taken from a caller."""

ROW_FIELDS: Mapping[Kind, tuple[str, ...]] = {Kind.EXECUTION: ("plan", "steps")}
"""The fields that stand outside."""

_Values = Callable[[Record], object]


def _values(names: tuple[str, ...]) -> _Values:
    return attrgetter(*names) if names else lambda _: ()


_WISH: Mapping[Kind, _Values] = {kind: _values(names) for kind, names in WISH_FIELDS.items()}
_RUN: Mapping[Kind, _Values] = {kind: _values(names) for kind, names in RUN_FIELDS.items()}
_ROWS: Mapping[Kind, _Values] = {kind: _values(ROW_FIELDS.get(kind, ())) for kind in Kind}


def wish_moved(kind: Kind, before: Record, after: Record) -> bool:
    """Anything in the wish half differs."""
    return _WISH[kind](before) != _WISH[kind](after)


def run_moved(kind: Kind, before: Record, after: Record) -> bool:
    """Anything in the run half differs, with the fields that stand outside."""
    return _RUN[kind](before) != _RUN[kind](after) or _ROWS[kind](before) != _ROWS[kind](after)


def run_half_moved(kind: Kind, before: Record, after: Record) -> bool:
    """As `run_moved`, less the fields that stand outside."""
    return _RUN[kind](before) != _RUN[kind](after)
