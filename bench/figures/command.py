"""The command line: how long `service list` takes, interpreter included."""

import subprocess
import sys
import time
from collections.abc import Iterator

from bench.agent import PROGRAM, apply, running
from bench.measure import Figure, Size, median


def measure(size: Size) -> Iterator[Figure]:
    """Ten services; an interpreter that does nothing between any two listings."""
    trials = size.of(25, 8)
    bare: list[float] = []
    ours: list[float] = []
    with running() as agent:
        connection = agent.connect()
        apply(
            connection, {f"s{n}": {"name": "s", "commands": {"start": "exec sleep 1000"}} for n in range(10)}
        )
        environ = agent.environ()
        for _ in range(trials + 1):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", "pass"], check=True, env=environ)
            bare.append((time.perf_counter() - begun) * 1000)
            begun = time.perf_counter()
            subprocess.run([*PROGRAM, "service", "list"], check=True, env=environ, stdout=subprocess.DEVNULL)
            ours.append((time.perf_counter() - begun) * 1000)
    yield Figure("command.list", median(ours[1:]), "ms", trials, median(bare[1:]))
