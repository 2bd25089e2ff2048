"""`plan REF`: what a start would run, without running it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import click

from runner_agent.cli.broken_file import tell_broken
from runner_agent.cli.completing import complete_automation
from runner_agent.cli.exits import INVALID, Quit
from runner_agent.cli.options import with_agent, with_output
from runner_agent.cli.tables import emit
from runner_agent.cli.terminal import out
from runner_agent.cli.words import reference_of
from runner_agent.client.agent import Agent
from runner_agent.client.references import find_planned

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import Plan, PlanGroup
    from runner_agent.client.messages import Service, Task


@click.command()
@click.argument("ref", shell_complete=complete_automation)
@click.option("--mermaid", is_flag=True, help="As a Mermaid flowchart, for Markdown.")
@with_output
@with_agent
def plan(agent: Agent, ref: str, mermaid: bool, output: str) -> None:
    """Show what starting a task or a service would run.

    Groups run one after the other, the steps of a group at the same time. Nothing is run. A service needs
    nothing but itself: only tasks depend on others.

    \b
    Example:
      runner-agent plan build
      runner-agent plan build --mermaid
    """
    tell_broken(agent)
    subject = find_planned(agent, ref)
    found = _plan_of(agent, subject)
    groups = found.get("groups", [])
    if mermaid:
        out(as_mermaid(groups))
    else:
        emit(output, found, as_text(reference_of(subject), groups) if output == "table" else "")


def _plan_of(agent: Agent, subject: Service | Task) -> Plan:
    if "status" in subject:  # every service has one, and no task
        service = cast("Service", subject)
        if not service.get("spec", {}).get("commands", {}).get("start"):
            raise Quit(
                INVALID, f"service {reference_of(subject)} cannot be started: it has no start command."
            )
        return {"groups": [{"steps": [{"reference": reference_of(subject), "serviceId": subject["id"]}]}]}
    return agent.plan(subject["id"])


def as_text(reference: str, groups: Sequence[PlanGroup]) -> str:
    """One block a group, one line a step."""
    steps = sum(len(group.get("steps", [])) for group in groups)
    lines = [f"Plan of {reference}: {_count(steps, 'step')} in {_count(len(groups), 'group')}"]
    for number, group in enumerate(groups, 1):
        lines.append(f"  group {number}")
        for step in group.get("steps", []):
            kind = "service" if step.get("serviceId") else "task"
            after = ", ".join(step.get("dependsOn", []))
            lines.append(f"    {kind:<7}  {step.get('reference', '')}{f'   after {after}' if after else ''}")
    return "\n".join(lines)


def as_mermaid(groups: Sequence[PlanGroup]) -> str:
    """A flowchart; services have round ends."""
    steps = [step for group in groups for step in group.get("steps", [])]
    node = {step.get("reference", ""): f"s{at}" for at, step in enumerate(steps)}
    lines = ["flowchart LR"]
    for step in steps:
        reference = step.get("reference", "")
        left, right = ("([", "])") if step.get("serviceId") else ("[", "]")
        lines.append(f'  {node[reference]}{left}"{reference}"{right}')
    for step in steps:
        lines += [
            f"  {node[before]} --> {node[step.get('reference', '')]}"
            for before in step.get("dependsOn", [])
            if before in node
        ]
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
