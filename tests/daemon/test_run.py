"""What ends the agent: one thing that a sentence says, or a defect that is told whole."""

from __future__ import annotations

from runner_agent.daemon.run import _root
from runner_agent.model.errors import ResourceExhausted, RunnerError


def test_one_thing_that_is_wrong_is_told_as_itself() -> None:
    """However deep the groups of tasks are nested."""
    full = ResourceExhausted("the disk is full")
    assert _root(ExceptionGroup("", [ExceptionGroup("", [full])])) is full


def test_a_defect_is_told_whole() -> None:
    defect = ExceptionGroup("", [ExceptionGroup("", [KeyError("x")])])
    assert _root(defect) is defect
    mixed = ExceptionGroup("", [RunnerError("a"), KeyError("x")])
    assert _root(mixed) is mixed
    two = ExceptionGroup("", [RunnerError("a"), RunnerError("b")])
    assert _root(two) is two
