"""`wait REF...`: until something is so, or can never be."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from runner_agent.cli.completing import complete_log
from runner_agent.cli.conditions import Condition, ConditionType, Subject, Verdict, subject
from runner_agent.cli.durations import Duration, show_seconds
from runner_agent.cli.exits import FAILED, TIMED_OUT, Quit
from runner_agent.cli.options import with_agent, with_output
from runner_agent.cli.tables import emit
from runner_agent.client.agent import Agent
from runner_agent.client.references import find, id_of
from runner_agent.client.watch import Pending, wait_for_each

if TYPE_CHECKING:
    from collections.abc import Mapping

PACE = 0.25
"""Seconds between two looks at what no event tells of."""


@click.command()
@click.argument("refs", metavar="REF...", nargs=-1, required=True, shell_complete=complete_log)
@click.option(
    "--for",
    "condition",
    type=ConditionType(),
    required=True,
    metavar="CONDITION",
    help="ready, running, stopped, ended, succeeded, log=RE, port or port=N.",
)
@click.option(
    "--timeout",
    type=Duration(),
    metavar="SECONDS",
    help="Wait at most this long (30, 2m); then end with 3.",
)
@with_output
@with_agent
def wait(
    agent: Agent, refs: tuple[str, ...], condition: Condition, timeout: float | None, output: str
) -> None:
    """Wait until services, tasks or executions are as you want them, and print what shows it.

    \b
    ready, running  a service is RUNNING; running: a task runs
    stopped         a service is STOPPED, a task was stopped
    ended           a service is STOPPED or FAILED, a task has ended, however
    succeeded       a task has SUCCEEDED
    log=RE          a line of its log matches a regular expression, since its last start
    port, port=N    it listens on a port, on port N

    Of several, all. Of a task its newest run counts. Ends at once, with 1, when it can no longer come true; a
    service that nobody has started may still be. Waiting changes nothing.

    \b
    Example:
      runner-agent wait web database --for ready --timeout 2m
      runner-agent wait build --for succeeded
      runner-agent wait web --for 'log=Listening on .*:3000' --timeout 30
      runner-agent wait web --for port=3000
    """
    from runner_agent.cli.waiting import detaching

    names = {id_of(named): (ref, named) for ref, named in [(ref, find(agent, ref)) for ref in refs]}
    subjects = {ref: subject(agent, named, condition) for ref, named in names.values()}
    with detaching("runner-agent status"):
        found = _found(agent, subjects, timeout)
    data = [
        {"ref": ref, "id": each.key, "for": str(condition), "met": ref in found and found[ref].met}
        | ({"evidence": found[ref].evidence} if ref in found else {})
        for ref, each in subjects.items()
    ]
    emit(output, data, "\n".join(f"{ref}: {one.evidence}" for ref, one in found.items() if one.met))
    if never := [f"{ref}: {one.evidence}" for ref, one in found.items() if not one.met]:
        raise Quit(FAILED, f"{'; '.join(never)}. `{condition}` can no longer come true.")
    if missing := [ref for ref in subjects if ref not in found]:
        assert timeout is not None
        raise Quit(TIMED_OUT, f"{', '.join(missing)}: not yet {condition} after {show_seconds(timeout)}.")


class _Enough(Exception):
    """One can never come true: what becomes of the others does not matter."""


def _found(agent: Agent, subjects: Mapping[str, Subject], timeout: float | None) -> dict[str, Verdict]:
    """Until all have come true, one never will, or the time is over."""
    found: dict[str, Verdict] = {}

    def look(ref: str) -> bool | Pending:
        seen = subjects[ref].look()
        if isinstance(seen, Pending):
            return seen
        found[ref] = seen
        if not seen.met:
            raise _Enough
        return True

    looks = {each.key: partial(look, ref) for ref, each in subjects.items()}
    pace = PACE if any(each.paced for each in subjects.values()) else None
    with suppress(_Enough):
        wait_for_each(agent.transport, looks, timeout, pace)
    return found
