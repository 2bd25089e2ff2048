"""From a StartService request to the first instruction of the command, against a bare spawn."""

import subprocess
import time
from collections.abc import Iterator

from bench.agent import apply, await_one, running
from bench.line import Line
from bench.measure import Figure, Size, fsync_ms, median, quantile


def measure(size: Size) -> Iterator[Figure]:
    """One service, started again and again; a bare spawn of the same between any two."""
    trials = size.of(300, 40)
    bare: list[float] = []
    ours: list[float] = []
    with running() as agent:
        line = Line(agent.base / "line")
        connection = agent.connect()
        ids = apply(connection, {"one": {"name": "one", "commands": {"start": line.tell}}})
        call = {"id": ids["one"]}
        for _ in range(trials + 5):
            begun = time.time()
            with subprocess.Popen(["bash", "-c", line.tell], stdin=subprocess.DEVNULL, cwd=agent.workspace):
                bare.append((line.next() - begun) * 1000)
            begun = time.time()
            connection.call("StartService", call)
            ours.append((line.next() - begun) * 1000)
            await_one(connection, ids["one"], "STOPPED")
            time.sleep(0.005)
        fsync = fsync_ms(agent.base)
        line.close()
    bare, ours = bare[5:], ours[5:]  # the first ones warm up
    note = f"one fsync here: {fsync:.2f} ms"
    yield Figure("request.p50", median(ours), "ms", trials, median(bare), note)
    yield Figure("request.p99", quantile(ours, 0.99), "ms", trials, quantile(bare, 0.99))
