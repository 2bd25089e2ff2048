"""A hundred services started by calls and by one firing, and stopped, against a hundred bare spawns."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.agent import apply, await_phase, running
from bench.http import Connection, call_all, request
from bench.line import Line
from bench.measure import Figure, Size, median

CONNECTIONS = 8
REST = 0.3
"""Seconds between rounds: what a round left to tidy up is not the next one's."""


class Rounds:
    """Samples of every kind, in ms."""

    def __init__(self) -> None:
        self.bare_up: list[float] = []
        self.bare_down: list[float] = []
        self.calls_running: list[float] = []
        self.calls_begun: list[float] = []
        self.firing_running: list[float] = []
        self.firing_begun: list[float] = []
        self.stopped: list[float] = []


def measure(size: Size) -> Iterator[Figure]:
    """All kinds in every round. Running is what a listing says; begun, what the commands say."""
    count, rounds, samples = 100, size.of(5, 2), Rounds()
    with running() as agent:
        line = Line(agent.base / "line")
        script = f"{line.tell}; exec sleep 1000"
        commands = {"start": script}
        services = {
            f"s{n}": {"name": "s", "commands": commands, "triggeredBy": ["postEnvironmentStart"]}
            for n in range(count)
        }
        connections = [agent.connect() for _ in range(CONNECTIONS)]
        ids = apply(connections[0], services)
        starts = [request("StartService", {"id": one}) for one in ids.values()]
        stops = [request("StopService", {"id": one}) for one in ids.values()]
        for _ in range(rounds + 1):
            _bare(samples, line, script, count, agent.workspace)
            begun = time.time()
            call_all(connections, starts)
            _await_up(samples.calls_begun, samples.calls_running, begun, line, count, connections[0])
            _stop(samples, connections, stops)
            begun = time.time()
            connections[0].call("FireTrigger", {"event": "postEnvironmentStart"})
            _await_up(samples.firing_begun, samples.firing_running, begun, line, count, connections[0])
            _stop(samples, connections, stops)
        line.close()
    up, down = median(samples.bare_up[1:]), median(samples.bare_down[1:])
    for name, ours, baseline in (
        ("fleet.calls", samples.calls_running, up),
        ("fleet.calls_begun", samples.calls_begun, up),
        ("fleet.firing", samples.firing_running, up),
        ("fleet.firing_begun", samples.firing_begun, up),
        ("fleet.stopped", samples.stopped, down),
    ):
        skip = len(ours) // (rounds + 1)  # what the first round, which warms up, has measured
        yield Figure(name, median(ours[skip:]), "ms", len(ours) - skip, baseline)


def _bare(samples: Rounds, line: Line, script: str, count: int, workspace: Path) -> None:
    begun = time.time()
    processes = [subprocess.Popen(["bash", "-c", script], cwd=workspace) for _ in range(count)]
    samples.bare_up.append((max(line.next_times(count)) - begun) * 1000)
    begun = time.time()
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()
    samples.bare_down.append((time.time() - begun) * 1000)
    time.sleep(REST)


def _await_up(
    begun_ms: list[float],
    running_ms: list[float],
    begun: float,
    line: Line,
    count: int,
    connection: Connection,
) -> None:
    begun_ms.append((max(line.next_times(count)) - begun) * 1000)
    await_phase(connection, "RUNNING")
    running_ms.append((time.time() - begun) * 1000)
    time.sleep(REST)


def _stop(samples: Rounds, connections: list[Connection], stops: list[bytes]) -> None:
    begun = time.time()
    call_all(connections, stops)
    await_phase(connections[0], "STOPPED", 0.005)
    samples.stopped.append((time.time() - begun) * 1000)
    time.sleep(REST)
