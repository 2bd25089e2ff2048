"""What runs use now: processor time, memory, processes, ports. For display: read when asked, never kept.

Where a run has a cgroup of its own the kernel has counted; elsewhere its processes are walked.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from runner_agent.executors.holders import Holder, holder_of
from runner_agent.executors.listeners import listening
from runner_agent.executors.table import MACHINE
from runner_agent.launcher import cgroup, procs
from runner_agent.model.frozen import dataclass
from runner_agent.model.ids import RunId
from runner_agent.model.runs import Handle

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of all processes of a run together.

    `cpu_seconds` counts those that ended and were waited for too, so it only grows. `memory_bytes` is
    resident memory, and what processes share counts for each, as `ps` shows it: telling shares apart costs
    the kernel a walk over every page. Under a memory controller it is what the kernel has counted, less files
    kept in memory that nobody has used lately. `ports`: TCP ports they listen on, ascending.

    Known of cgroups only, and 0 elsewhere: the most memory at once, files included; the limits of memory
    (bytes) and of processes, 0 for none; processes that the kernel killed for lack of memory; and seconds
    for which the limit of processors held them back.
    """

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    processes: int = 0
    ports: tuple[int, ...] = ()
    memory_peak: int = 0
    memory_max: int = 0
    processes_max: int = 0
    oom_kills: int = 0
    held_back: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(
            self.cpu_seconds + other.cpu_seconds,
            self.memory_bytes + other.memory_bytes,
            self.processes + other.processes,
            tuple(sorted({*self.ports, *other.ports})),
            self.memory_peak + other.memory_peak,
            self.memory_max + other.memory_max,
            self.processes_max + other.processes_max,
            self.oom_kills + other.oom_kills,
            self.held_back + other.held_back,
        )


def measure(handles: Iterable[Handle]) -> Mapping[RunId, Usage]:
    """By run; those that are gone, or not on this machine, are left out. Blocks for some 50 µs a process."""
    boot = procs.boot_mark()
    ports = {socket.name: socket.port for socket in listening()}
    found: dict[RunId, Usage] = {}
    for handle in handles:
        if _here(handle):
            holder = holder_of(handle)
            if holder.lives(boot):
                found[handle.run_id] = _of_cgroup(holder, ports) or _of_tree(holder, ports)
    return found


def counted(handles: Iterable[Handle]) -> Mapping[RunId, Usage]:
    """By run, ports aside: only what the kernel has counted, at 0.1 ms for each that has a cgroup."""
    found = ((each.run_id, _of_cgroup(holder_of(each), {})) for each in handles if _here(each))
    return {run_id: usage for run_id, usage in found if usage is not None}


def _here(handle: Handle) -> bool:
    return handle.executor == MACHINE and "dir" in handle.data


def _of_cgroup(holder: Holder, ports: Mapping[str, int]) -> Usage | None:
    folder = holder.cgroup
    cpu = cgroup.counts(f"{folder}/cpu.stat") if folder else {}
    if not cpu:
        return None
    members = cgroup.members(folder)
    memory = cgroup.number(f"{folder}/memory.current")
    if memory:
        memory -= cgroup.counts(f"{folder}/memory.stat").get("inactive_file", 0)
    else:
        memory = sum(_resident(pid) for pid in members)
    return Usage(
        cpu["usage_usec"] / 1e6,
        max(memory, 0),
        len(members),
        tuple(sorted({port for pid in members for port in _ports_of(pid, ports)})),
        cgroup.number(f"{folder}/memory.peak"),
        cgroup.number(f"{folder}/memory.max"),
        cgroup.number(f"{folder}/pids.max"),
        cgroup.counts(f"{folder}/memory.events").get("oom_kill", 0),
        cpu.get("throttled_usec", 0) / 1e6,
    )


def _resident(pid: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    return 0


def _of_tree(holder: Holder, ports: Mapping[str, int]) -> Usage:
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
