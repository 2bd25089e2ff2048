"""The border: how fast a question is answered, how soon a change is told, and what a watch costs."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.agent import Agent, apply, running, scratch
from bench.http import PUBLISHED, Connection, request
from bench.measure import Figure, Size, median, quantile

WATCH = (
    b"POST /gitpod.v1.EventService/WatchEvents HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)


def measure(size: Size) -> Iterator[Figure]:
    """Questions by one client and by eight, events to one watcher, then two hundred watchers at rest."""
    yield from _starts(size.of(11, 3))
    with running() as agent:
        connection = agent.connect()
        service = {"name": "one", "commands": {"start": "true", "ready": "true", "stop": "true"}}
        (id_,) = apply(connection, {"one": service}).values()
        for name, question in (("json", request("GetService", {"id": id_})), ("proto", _by_proto(id_))):
            yield from _questions(agent, name, question, size.of(5000, 500))
        yield from _events(agent, connection, id_, size.of(1000, 100))
        yield from _watches(agent, size.of(200, 100))


def _by_proto(id_: str) -> bytes:
    """GetServiceRequest{id} by hand: field 1, a text of 36 bytes."""
    body = b"\x0a\x24" + id_.encode()
    head = (
        f"POST /{PUBLISHED}/GetService HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/proto\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _starts(times: int) -> Iterator[Figure]:
    """Until a client can connect; READY comes later, when recovery is over."""
    with scratch() as base:
        agent = Agent(base)
        samples: list[float] = []
        try:
            for number in range(times + 1):
                knocking = threading.Thread(target=_knock, args=(agent.state / "api.sock", samples))
                knocking.start()
                agent.start()
                knocking.join()
                if number < times:
                    agent.stop()
        finally:
            agent.close()
    yield Figure("api.listening", median(samples[1:]), "ms", times)


def _knock(path: Path, samples: list[float]) -> None:
    begun = time.perf_counter()
    while time.perf_counter() < begun + 60:
        with socket.socket(socket.AF_UNIX) as door, suppress(OSError):
            door.connect(str(path))
            samples.append((time.perf_counter() - begun) * 1000)
            return
        time.sleep(0.001)


def _questions(agent: Agent, name: str, question: bytes, count: int) -> Iterator[Figure]:
    one = agent.connect()
    _ask(one, question, 200)
    begun = time.perf_counter()
    samples = _ask(one, question, count)
    rate = count / (time.perf_counter() - begun)
    yield Figure(f"api.{name}.p50", median(samples), "ms", count, note=f"{rate:.0f} requests/s")
    yield Figure(f"api.{name}.p99", quantile(samples, 0.99), "ms", count)
    eight = [agent.connect() for _ in range(8)]
    begun = time.perf_counter()
    samples = _ask_all(eight, question, count)
    rate = count / (time.perf_counter() - begun)
    yield Figure(f"api.{name}_8.p50", median(samples), "ms", count, note=f"{rate:.0f} requests/s")
    yield Figure(f"api.{name}_8.p99", quantile(samples, 0.99), "ms", count)


def _ask(connection: Connection, question: bytes, count: int) -> list[float]:
    samples: list[float] = []
    for _ in range(count):
        begun = time.perf_counter()
        connection.send(question)
        _answer(connection.socket)
        samples.append((time.perf_counter() - begun) * 1000)
    return samples


def _ask_all(connections: list[Connection], question: bytes, count: int) -> list[float]:
    """One question at a time on each."""
    samples: list[float] = []
    poll = select.poll()
    asked = dict.fromkeys((one.socket.fileno() for one in connections), 0.0)
    sockets = {one.socket.fileno(): one.socket for one in connections}
    for number, sock in sockets.items():
        poll.register(number, select.POLLIN)
        asked[number] = time.perf_counter()
        sock.sendall(question)
    while len(samples) < count:
        for number, _ in poll.poll():
            _answer(sockets[number])
            samples.append((time.perf_counter() - asked[number]) * 1000)
            asked[number] = time.perf_counter()
            sockets[number].sendall(question)
    for sock in sockets.values():
        _answer(sock)
    return samples


def _answer(sock: socket.socket) -> None:
    """All of it, unread. Raises RuntimeError for one that is no success."""
    head, _, body = sock.recv(1 << 16).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(head.decode())
    at = head.lower().index(b"content-length:") + len(b"content-length:")
    left = int(head[at:].split(maxsplit=1)[0]) - len(body)
    while left > 0:
        left -= len(sock.recv(1 << 16))


def _events(agent: Agent, connection: Connection, id_: str, count: int) -> Iterator[Figure]:
    """From the request that changes a name to the line that says so; half of it is the disk."""
    watcher = agent.connect()
    watcher.send(WATCH)
    _events_seen(watcher.socket, 1)
    samples: list[float] = []
    for number in range(count):
        change = request("UpdateService", {"id": id_, "metadata": {"name": f"Name {number}"}})
        begun = time.perf_counter()
        connection.send(change)
        _events_seen(watcher.socket, 1)
        samples.append((time.perf_counter() - begun) * 1000)
        connection.receive()
    yield Figure("api.event.p50", median(samples), "ms", count)
    yield Figure("api.event.p99", quantile(samples, 0.99), "ms", count)


def _events_seen(sock: socket.socket, wanted: int) -> None:
    seen = 0
    while seen < wanted:
        seen += sock.recv(1 << 16).count(b"resourceId")


def _watches(agent: Agent, count: int) -> Iterator[Figure]:
    before = _rss(agent.pid)
    for _ in range(count):
        watcher = agent.connect()
        watcher.send(WATCH)
        _events_seen(watcher.socket, 1)
    yield Figure("api.watches", (_rss(agent.pid) - before) / count * 100, "MiB", count)


def _rss(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
