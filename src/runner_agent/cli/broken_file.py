"""The line that every command says whose answer depends on a default file that is not in force (rule 2.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner_agent.cli.terminal import note

if TYPE_CHECKING:
    from runner_agent.client.agent import Agent


def tell_broken(agent: Agent) -> str:
    """Says it on standard error, and returns the path of the file; "" where all is well."""
    state = agent.get_agent().get("automations", {})
    errors = state.get("error", "").splitlines()
    if not errors:
        return ""
    path = state.get("path", "")
    count = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    note(
        f"Warning: the last good definitions are in force, not the file: {errors[0]}{count}."
        " Mend it, then: runner-agent automations update"
    )
    return path
