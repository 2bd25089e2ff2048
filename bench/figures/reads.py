"""How long a question waits while a hundred services come and go."""

import threading
import time
from collections.abc import Iterator

from bench.agent import apply, running
from bench.http import Connection, request
from bench.measure import Figure, Size, median, quantile

PACE = 0.005
"""Seconds between questions: a client that asks, not one that floods."""


def measure(size: Size) -> Iterator[Figure]:
    """Every service is started once a second and ends by itself: 100 starts and 100 ends a second."""
    count, seconds = 100, size.of(10, 2)
    with running() as agent:
        connection = agent.connect()
        service = {"name": "s", "commands": {"start": "sleep 0.3"}}
        ids = list(apply(connection, {f"s{n}": service for n in range(count)}).values())
        quiet = _ask(connection, ids, size.of(2, 1))
        stop = threading.Event()
        churner = threading.Thread(target=_churn, args=(agent.connect(), ids, stop))
        churner.start()
        time.sleep(1)
        busy = _ask(connection, ids, seconds)
        stop.set()
        churner.join()
    yield Figure("reads.p50", median(busy), "ms", len(busy), median(quiet))
    yield Figure("reads.p99", quantile(busy, 0.99), "ms", len(busy), quantile(quiet, 0.99))


def _ask(connection: Connection, ids: list[str], seconds: float) -> list[float]:
    samples: list[float] = []
    end = time.monotonic() + seconds
    questions = [request("GetService", {"id": one}) for one in ids]
    while time.monotonic() < end:
        question = questions[len(samples) % len(questions)]
        begun = time.perf_counter()
        connection.send(question)
        connection.receive()
        samples.append((time.perf_counter() - begun) * 1000)
        time.sleep(PACE)
    return samples


def _churn(connection: Connection, ids: list[str], stop: threading.Event) -> None:
    starts = [request("StartService", {"id": one}) for one in ids]
    due = time.monotonic()
    number = 0
    while not stop.is_set():
        connection.send(starts[number % len(starts)])
        connection.receive()
        number += 1
        due = max(due + 1 / len(starts), time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
