"""From the last instruction of a command to the event that says STOPPED, against a bare wait."""

import subprocess
import time
from collections.abc import Iterator

from bench.agent import apply, running
from bench.line import Line
from bench.measure import Figure, Size, median, quantile
from runner_agent.client.addresses import Endpoint, UnixAddress
from runner_agent.client.transport import Transport
from runner_agent.client.watch import watching

PAUSE = "sleep 0.03; "
"""So that news of the start is over when the end comes."""


def measure(size: Size) -> Iterator[Figure]:
    """A watcher looks after every event; the event whose look shows STOPPED counts."""
    trials = size.of(100, 25)
    bare: list[float] = []
    ours: list[float] = []
    with running() as agent:
        line = Line(agent.base / "line")
        connection = agent.connect()
        ids = apply(connection, {"one": {"name": "one", "commands": {"start": PAUSE + line.tell}}})
        call = {"id": ids["one"]}
        address = UnixAddress(str(agent.state / "api.sock"))
        with watching(Transport(Endpoint(address))) as watch:
            for _ in range(trials + 3):
                process = subprocess.Popen(["bash", "-c", PAUSE + line.tell], cwd=agent.workspace)
                process.wait()
                bare.append((time.time() - line.next()) * 1000)
                connection.call("StartService", call)
                told = line.next()
                while True:
                    watch.next()
                    seen = time.time()
                    status = connection.call("GetService", call)["service"]["status"]
                    if status["phase"] == "SERVICE_PHASE_STOPPED" and seen > told:
                        break
                ours.append((seen - told) * 1000)
        line.close()
    bare, ours = bare[3:], ours[3:]
    yield Figure("ending.p50", median(ours), "ms", trials, median(bare))
    yield Figure("ending.p99", quantile(ours, 0.99), "ms", trials, quantile(bare, 0.99))
