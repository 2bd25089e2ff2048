"""What is said of live runs that go by an earlier definition than the present one (rule 2.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner_agent.cli.words import runs_previous, task_runs_previous

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runner_agent.client.agent_messages import LiveStatus, LiveStep


def of_services(live: Iterable[LiveStatus]) -> list[str]:
    """A sentence for each that does."""
    return [runs_previous(each.get("reference", "")) for each in live if each.get("previousDefinition")]


def of_tasks(live: Iterable[LiveStep]) -> list[str]:
    """A sentence for each that does, and for each execution it is a step of."""
    told = (
        task_runs_previous(each.get("reference", ""), main)
        for each in live
        if each.get("previousDefinition")
        for main in _mains(each)
    )
    return list(dict.fromkeys(told))


def _mains(step: LiveStep) -> Sequence[str]:
    return step.get("forTasks", []) or [""]  # a run that nobody holds any more
