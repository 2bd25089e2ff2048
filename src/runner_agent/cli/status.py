"""`status`: the agent, its services and the latest executions, at a glance."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING

import click

from runner_agent.cli.durations import show_span
from runner_agent.cli.executions import execution_table
from runner_agent.cli.figures import cpu_time_of, memory_of, ports_of
from runner_agent.cli.options import with_agent, with_output
from runner_agent.cli.previous import of_services, of_tasks
from runner_agent.cli.tables import columns, emit
from runner_agent.cli.terminal import paint
from runner_agent.cli.words import local_time, moment, reference_of, service_phase
from runner_agent.client.agent import Agent

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import AgentInfo, LiveNow
    from runner_agent.client.messages import Service

LATEST = 10
"""Executions shown."""


@click.command()
@with_output
@with_agent
def status(agent: Agent, output: str) -> None:
    """Show the agent, its services and the latest executions.

    \b
    Example:
      runner-agent status
      runner-agent status --json
    """
    info = agent.get_agent()
    services = list(agent.services())
    executions = list(islice(agent.executions(), LATEST))
    live = agent.live(usage=True)
    data = {"agent": info, "services": services, "latestExecutions": executions, "live": live}
    if output != "table":
        emit(output, data, "")
        return
    parts = [
        _agent(info),
        _services(services, live) if services else "No services.",
        *_previous(live),
        execution_table(executions) if executions else "No executions.",
    ]
    emit(output, data, "\n\n".join(parts))


def _services(services: list[Service], live: LiveNow) -> str:
    """Those whose processes listen on something are what one looks for."""
    now = {each.get("serviceId", ""): each for each in live["services"]}
    rows: list[tuple[str, ...]] = []
    reasons: list[str] = []
    for service in services:
        seen = now.get(service["id"], {})
        usage = seen.get("usage")
        since = local_time(seen.get("phaseSince"))
        used = cpu_time_of(usage), memory_of(usage), ports_of(usage)
        phase = service_phase(service)
        rows.append((reference_of(service), phase, since, *used))
        reasons.append(service.get("status", {}).get("failureMessage", "") if phase == "FAILED" else "")
    headers = ("SERVICE", "PHASE", "SINCE", "CPU TIME", "MEMORY", "PORTS")
    return columns(headers, rows, phase=1, notes=("REASON", reasons))


def _previous(live: LiveNow) -> list[str]:
    """What runs with an earlier definition, if anything does."""
    old = [*of_services(live["services"]), *of_tasks(live["steps"])]
    return ["\n".join(old)] if old else []


def _agent(info: AgentInfo) -> str:
    from datetime import UTC, datetime

    began = moment(info.get("startedAt"))
    up = f", up {show_span(datetime.now(UTC) - began)}" if began else ""
    file = info.get("automations", {})
    lines = [
        f"runner-agent {info.get('version', '')}, pid {info.get('pid', '')}{up}",
        f"  environment  {info.get('environmentId', '')}",
        f"  workspace    {info.get('workspace', '')}",
        f"  state        {info.get('stateDir', '')}",
        f"  addresses    {', '.join(info.get('addresses', []))}",
        f"  file         {file.get('path', '') or 'none'}",
    ]
    if error := file.get("error", ""):
        first, *others = error.splitlines()
        told = [f"  not in force {first}", *(f"               {other}" for other in others)]
        lines += [paint(line, "31", sys.stdout) for line in told]
    if warning := file.get("warning", ""):
        lines.append(f"  warning      {warning}")
    return "\n".join(lines)
