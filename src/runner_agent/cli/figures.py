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
    """`120M`, or `120M/512M` where there is a limit; `+2 killed` for what the kernel has killed since."""
    if not usage:
        return NOTHING
    count = int(usage.get("oomKills", 0))
    killed = f" +{count} killed" if count else ""
    return limited(int(usage.get("memoryBytes", 0)), int(usage.get("memoryMaxBytes", 0))) + killed


def peak_of(usage: Usage) -> str:
    """The most memory it had at once, files that it read included; "" if nobody counts."""
    peak = int(usage.get("memoryPeakBytes", 0))
    return show_bytes(peak) if peak else ""


def limited(count: int, most: int) -> str:
    """`120M/512M`, or `120M` without a limit."""
    return f"{show_bytes(count)}/{show_bytes(most)}" if most else show_bytes(count)


def processes_of(usage: Usage) -> str:
    """`12`, or `12/400` where there is a limit."""
    most = usage.get("processesMax", 0)
    return f"{usage.get('processes', 0)}/{most}" if most else str(usage.get("processes", 0))


def usage_in_words(usage: Usage) -> str:
    """`uses 120M of 512M (most so far 300M), 12 processes, 3.2s of processor time`, and what was held against
    it.
    """
    from runner_agent.cli.durations import show_seconds

    most, peak = int(usage.get("memoryMaxBytes", 0)), int(usage.get("memoryPeakBytes", 0))
    memory = show_bytes(int(usage.get("memoryBytes", 0))) + (f" of {show_bytes(most)}" if most else "")
    told = [
        f"uses {memory}" + (f" (most so far {show_bytes(peak)})" if peak else ""),
        f"{processes_of(usage)} process{'' if usage.get('processes', 0) == 1 else 'es'}",
        f"{show_seconds(usage.get('cpuSeconds', 0.0))} of processor time",
    ]
    if held_back := usage.get("heldBackSeconds", 0.0):
        told.append(f"held back for {show_seconds(held_back)} by its limit of processors")
    if killed := int(usage.get("oomKills", 0)):
        told.append(f"{killed} of its processes killed for lack of memory")
    return ", ".join(told)


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
