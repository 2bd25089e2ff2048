"""How much of the machine something uses, in few characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner_agent.cli.words import NOTHING

if TYPE_CHECKING:
    from runner_agent.client.agent_messages import Usage

PORTS_SHOWN = 3


def show_bytes(count: int) -> str:
    """`312K`, `4.9M`, `1.2G`: powers of 1024, as `ps` and `top` have them."""
    size = count / 1024
    for unit in ("K", "M", "G"):
        if size < 999.5:
            return f"{size:.1f}{unit}" if size < 9.95 and unit != "K" else f"{size:.0f}{unit}"
        size /= 1024
    return f"{size:.1f}T"


def memory_of(usage: Usage | None) -> str:
    """Resident memory."""
    return show_bytes(int(usage.get("memoryBytes", 0))) if usage else NOTHING


def cpu_time_of(usage: Usage | None) -> str:
    """Processor time so far."""
    if not usage:
        return NOTHING
    from runner_agent.cli.durations import show_seconds

    return show_seconds(usage.get("cpuSeconds", 0.0))


def ports_of(usage: Usage | None) -> str:
    """`3000`, `3000, 9229`, `3000, 3001, 3002 +4`."""
    ports = usage.get("ports", []) if usage else []
    more = f" +{len(ports) - PORTS_SHOWN}" if len(ports) > PORTS_SHOWN else ""
    return ", ".join(map(str, ports[:PORTS_SHOWN])) + more or NOTHING
