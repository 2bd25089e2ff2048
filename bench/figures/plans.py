"""Plans: many steps at once, and many groups one after the other, against bare spawns of the same."""

import subprocess
import time
from collections.abc import Iterator

from bench.agent import Agent, apply, running
from bench.line import Line
from bench.measure import Figure, Size, median

TRUE = ["bash", "-c", "true"]


def measure(size: Size) -> Iterator[Figure]:
    """The last task of each plan tells when it began: then everything before it is over."""
    with running() as agent:
        line = Line(agent.base / "line")
        yield from _wide(agent, line, size.of(500, 100), size.of(3, 2))
        yield from _deep(agent, line, size.of(40, 15), size.of(3, 2))
        line.close()


def _wide(agent: Agent, line: Line, count: int, rounds: int) -> Iterator[Figure]:
    tasks: dict[str, dict[str, object]] = {f"w{n}": {"name": "w", "command": "true"} for n in range(count)}
    tasks["wide"] = {"name": "wide", "command": line.tell, "dependsOn": list(tasks)}
    bare: list[float] = []
    for _ in range(rounds):
        begun = time.time()
        processes = [subprocess.Popen(TRUE, cwd=agent.workspace) for _ in range(count)]
        for process in processes:
            process.wait()
        bare.append((time.time() - begun) * 1000)
    ours = _rounds(agent, line, tasks, "wide", rounds)
    yield Figure("plans.wide", median(ours), "ms", rounds, median(bare), f"{count} steps")


def _deep(agent: Agent, line: Line, count: int, rounds: int) -> Iterator[Figure]:
    tasks: dict[str, dict[str, object]] = {"d0": {"name": "d", "command": "true"}}
    for n in range(1, count):
        tasks[f"d{n}"] = {"name": "d", "command": "true", "dependsOn": [f"d{n - 1}"]}
    tasks["deep"] = {"name": "deep", "command": line.tell, "dependsOn": [f"d{count - 1}"]}
    bare: list[float] = []
    for _ in range(rounds):
        begun = time.time()
        for _ in range(count):
            subprocess.run(TRUE, cwd=agent.workspace, check=True)
        bare.append((time.time() - begun) * 1000 / count)
    ours = [each / count for each in _rounds(agent, line, tasks, "deep", rounds)]
    yield Figure(
        "plans.deep", median(ours) - median(bare), "ms", rounds, median(bare), f"{count} groups; over bare"
    )


def _rounds(
    agent: Agent, line: Line, tasks: dict[str, dict[str, object]], main: str, rounds: int
) -> list[float]:
    connection = agent.connect()
    ids = apply(connection, tasks=tasks)
    times: list[float] = []
    for _ in range(rounds + 1):
        begun = time.time()
        execution = connection.call("StartTask", {"id": ids[main]})["taskExecution"]["id"]
        times.append((line.next() - begun) * 1000)
        while not _ended(connection.call("GetTaskExecution", {"id": execution})["taskExecution"]):
            time.sleep(0.05)
        time.sleep(0.2)
    connection.close()
    return times[1:]


def _ended(execution: dict[str, dict[str, str]]) -> bool:
    phase = execution["status"]["phase"]
    if phase.endswith(("FAILED", "STOPPED")):
        raise RuntimeError(f"the execution ended {phase}: {execution['status'].get('failureMessage')}")
    return phase.endswith("SUCCEEDED")
