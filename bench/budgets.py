"""What each figure should be, and how it is called in a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """`text` is the promise as people read it; `met` judges value and ratio. None: told for the record."""

    title: str
    text: str = ""
    met: Callable[[float, float], bool] | None = None


def at_most(limit: float, unit: str) -> tuple[str, Callable[[float, float], bool]]:
    """A value."""
    return f"<= {limit:g} {unit}", lambda value, _: value <= limit


def at_least(limit: float, unit: str) -> tuple[str, Callable[[float, float], bool]]:
    """A value from below."""
    return f">= {limit:g} {unit}", lambda value, _: value >= limit


def times_bare(limit: float) -> tuple[str, Callable[[float, float], bool]]:
    """A ratio."""
    return f"<= {limit:g} x bare", lambda _, ratio: ratio <= limit


def share_of_bare(least: float) -> tuple[str, Callable[[float, float], bool]]:
    """A ratio from below."""
    return f">= {least:g} x bare", lambda _, ratio: ratio >= least


BUDGETS: Mapping[str, Budget] = {
    "request.p50": Budget("StartService request to the command's first instruction, p50", *times_bare(2.5)),
    "request.p99": Budget("the same, p99", *at_most(12, "ms")),
    "ending.p50": Budget("last instruction to the event that says STOPPED, p50", *at_most(3, "ms")),
    "ending.p99": Budget("the same, p99", *at_most(20, "ms")),
    "fleet.calls": Budget("100 services RUNNING, by 100 calls", *at_most(300, "ms")),
    "fleet.calls_begun": Budget("the same, until the last first instruction"),
    "fleet.firing": Budget("100 services RUNNING, by one firing", *at_most(200, "ms")),
    "fleet.firing_begun": Budget("the same, until the last first instruction"),
    "fleet.stopped": Budget("100 services STOPPED, by 100 calls", *at_most(100, "ms")),
    "plans.wide": Budget("500 steps of `true` in one group", *at_most(1500, "ms")),
    "plans.deep": Budget("overhead of a plan group", *at_most(5, "ms")),
    "reads.p50": Budget("GetService while 100 services come and go each second, p50"),
    "reads.p99": Budget("the same, p99", *at_most(5, "ms")),
    "api.json.p50": Budget("GetService in JSON, one kept connection, p50"),
    "api.json.p99": Budget("the same, p99", *at_most(5, "ms")),
    "api.json_8.p50": Budget("the same, eight connections at once, p50"),
    "api.json_8.p99": Budget("the same, p99"),
    "api.proto.p50": Budget("GetService in proto, one kept connection, p50"),
    "api.proto.p99": Budget("the same, p99", *at_most(5, "ms")),
    "api.proto_8.p50": Budget("the same, eight connections at once, p50"),
    "api.proto_8.p99": Budget("the same, p99"),
    "api.event.p50": Budget("request that changes something to its event at a watcher, p50"),
    "api.event.p99": Budget("the same, p99", *at_most(20, "ms")),
    "api.watches": Budget("resident memory for each 100 watches", *at_most(8, "MiB")),
    "api.listening": Budget("daemon from exec to its socket taking connections"),
    "cold.ready": Budget("daemon from exec to READY", *at_most(250, "ms")),
    "cold.first": Budget("the same, the very first time"),
    "command.list": Budget("`service list`, interpreter included", *at_most(120, "ms")),
    "memory.daemon": Budget("resident memory of the daemon", *at_most(48, "MiB")),
    "memory.daemon_100": Budget("the same with 100 services", *at_most(48, "MiB")),
    "memory.launcher": Budget("resident memory of the launcher", *at_most(12, "MiB")),
    "memory.nursery": Budget("resident memory of its nursery", *at_most(12, "MiB")),
    "memory.holder": Budget("private memory of a holder", *at_most(0.6, "MiB")),
    "idle.cpu": Budget("processor, all parts, 100 services at rest", *at_most(0.1, "%")),
    "logs.blocks": Budget("log in blocks of 64 KiB", *share_of_bare(0.95)),
    "logs.capped": Budget("the same, far beyond the size cap", *share_of_bare(0.95)),
    "logs.lines": Budget("log in lines of 80 bytes, one write each", *share_of_bare(0.95)),
    "redaction.1": Budget("hiding 1 secret in every disguise", *at_least(200, "MB/s")),
    "redaction.5": Budget("the same with 5", *at_least(80, "MB/s")),
    "redaction.20": Budget("the same with 20", *at_least(20, "MB/s")),
    "docker.first": Budget("StartService to the first instruction in a container, against the Engine's API"),
    "docker.dev_first": Budget("the same in the dev container, against `docker exec`"),
    "docker.many": Budget(
        "20 containers started by 20 calls, to the last first instruction, against the API"
    ),
    "docker.output": Budget("output of a container, in blocks, against a json-file log"),
    "docker.dev_output": Budget("the same in the dev container"),
    "systemd.ready": Budget("power-on (start of our first unit) to READY"),
    "systemd.began": Budget("power-on to the first instruction of a postMachineStart service"),
    "systemd.restart": Budget("`systemctl restart`: from one agent to the next, runs taken up"),
    "systemd.reload": Budget("`systemctl reload`: to the new program, ready and runs taken up"),
}
