"""What runs use now: processor time, memory, processes, ports. For display: read when asked, never kept.

`_of_run` is the seam: where a run has a cgroup of its own, its figures may come from there instead.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner_agent.executors.holders import Holder, holder_of
from runner_agent.executors.table import MACHINE
from runner_agent.launcher import procs
from runner_agent.model.ids import RunId
from runner_agent.model.runs import Handle

_LISTENING = b"0A"
_SOCKET = "socket:["


@dataclass(frozen=True, slots=True)
class Usage:
    """Of all processes of a run together.

    `cpu_seconds` counts those that ended and were waited for too, so it only grows. `memory_bytes` is
    resident memory, and what processes share counts for each, as `ps` shows it: telling shares apart costs
    the kernel a walk over every page. `ports`: TCP ports they listen on, ascending.
    """

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    processes: int = 0
    ports: tuple[int, ...] = ()

    def __add__(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(
            self.cpu_seconds + other.cpu_seconds,
            self.memory_bytes + other.memory_bytes,
            self.processes + other.processes,
            tuple(sorted({*self.ports, *other.ports})),
        )


def measure(handles: Iterable[Handle]) -> Mapping[RunId, Usage]:
    """By run; those that are gone, or not on this machine, are left out. Blocks for some 50 µs a process."""
    boot = procs.boot_mark()
    ports = dict(_listening_sockets())
    found: dict[RunId, Usage] = {}
    for handle in handles:
        if handle.executor == MACHINE:
            holder = holder_of(handle)
            if holder.lives(boot):
                found[handle.run_id] = _of_run(holder, ports)
    return found


def _of_run(holder: Holder, ports: Mapping[str, int]) -> Usage:
    import psutil

    total = Usage()
    with suppress(psutil.Error):
        spent = psutil.Process(holder.pid).cpu_times()
        # The holder itself is ours; what it reaped was the run's.
        total += Usage(cpu_seconds=spent.children_user + spent.children_system)
    for proc in procs.descendants(holder.pid):
        if not proc.zombie:
            with suppress(psutil.Error):
                one = psutil.Process(proc.pid)
                memory = one.memory_info().rss
                total += Usage(sum(one.cpu_times()[:4]), memory, 1, _ports_of(proc.pid, ports))
    return total


def _listening_sockets() -> Iterator[tuple[str, int]]:
    """What /proc/PID/fd calls each listening TCP socket of this network namespace, and its port."""
    for name in ("tcp", "tcp6"):
        try:
            with Path(f"/proc/self/net/{name}").open("rb") as file:
                for line in file:
                    fields = line.split()
                    if len(fields) > 9 and fields[3] == _LISTENING:
                        port = int(fields[1].rpartition(b":")[2], 16)
                        yield f"{_SOCKET}{fields[9].decode()}]", port
        except OSError:  # a kernel without IPv6
            continue


def _ports_of(pid: int, ports: Mapping[str, int]) -> tuple[int, ...]:
    if not ports:
        return ()
    found: set[int] = set()
    with suppress(OSError):  # it is gone, or not ours to look into
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                port = ports.get(str(descriptor.readlink()))
                if port is not None:
                    found.add(port)
    return tuple(sorted(found))
