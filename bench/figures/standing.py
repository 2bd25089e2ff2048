"""What the agent costs while it has nothing to do: its start, its memory, its idle processor time."""

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.agent import Agent, apply, await_phase, scratch
from bench.http import call_all, request
from bench.measure import Figure, Size, median


def measure(size: Size) -> Iterator[Figure]:
    """One agent, started several times; then with a hundred services at rest."""
    with scratch() as base:
        agent = Agent(base)
        try:
            yield from _starts(agent, size.of(11, 3))
            yield Figure("memory.daemon", _rss(agent.pid), "MiB", 1, note="just started")
            yield from _fleet(agent, size.of(20, 2))
        finally:
            agent.close()


def _starts(agent: Agent, times: int) -> Iterator[Figure]:
    """The first start makes the state directory and is told apart; the agent of the last one goes on."""
    ours: list[float] = []
    bare: list[float] = []
    spent: list[float] = []
    for number in range(times + 1):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare.append((time.perf_counter() - begun) * 1000)
        if number:
            agent.stop()
        ours.append(agent.start() * 1000)
        spent.append(_cpu_ms([agent.pid]))
    yield Figure("cold.first", ours[0], "ms", 1, median(bare), "with a new state directory")
    note = f"{median(spent[1:]):.0f} ms of processor time"
    yield Figure("cold.ready", median(ours[1:]), "ms", times, median(bare), note)


def _fleet(agent: Agent, seconds: int) -> Iterator[Figure]:
    count = 100
    connection = agent.connect()
    service = {"name": "s", "commands": {"start": "exec sleep 1000"}}
    ids = apply(connection, {f"s{n}": service for n in range(count)})
    call_all([connection], [request("StartService", {"id": one}) for one in ids.values()])
    await_phase(connection, "RUNNING", 0.02)
    connection.close()
    time.sleep(1.5)  # what a start leaves to be done a little later
    family = agent.family()
    holders = [_private(pid) for pid in family["holder"]]
    if len(holders) < count:
        raise RuntimeError(f"{len(holders)} holders were found for {count} services")
    yield Figure("memory.daemon_100", _rss(agent.pid), "MiB", 1, note="with 100 services running")
    yield Figure("memory.launcher", sum(map(_rss, family["launcher"])), "MiB", 1)
    nursery = max(map(_rss, family["nursery"]), default=0.0)
    yield Figure("memory.nursery", nursery, "MiB", 1, note="most of it shared with launcher and holders")
    yield Figure("memory.holder", median(holders), "MiB", len(holders), note="private")
    pids = [pid for part in family.values() for pid in part]
    spent, switches = _cpu_ms(pids), sum(map(_switches, pids))
    time.sleep(seconds)
    spent, switches = _cpu_ms(pids) - spent, sum(map(_switches, pids)) - switches
    note = f"{switches / seconds:.1f} wake-ups a second over {seconds} s"
    yield Figure("idle.cpu", spent / seconds / 10, "%", 1, note=note)


def _cpu_ms(pids: Iterable[int]) -> float:
    """Spent by all threads of all of them; the scheduler counts nanoseconds, `stat` only ticks of 10 ms."""
    spent = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e6


def _switches(pid: int) -> int:
    found = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        match = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.MULTILINE)
        found += int(match[1]) if match else 0
    return found


def _rss(pid: int) -> float:
    return _kib(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Rss") / 1024


def _private(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return (_kib(text, "Private_Clean") + _kib(text, "Private_Dirty")) / 1024


def _kib(text: str, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) if match else 0
