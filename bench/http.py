"""Requests at the price of a system call or two: kept connections, requests made beforehand, many at once."""

import json
import select
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PUBLISHED = "gitpod.v1.EnvironmentAutomationService"
OURS = "runner_agent.v1.RunnerAgentService"


def request(method: str, message: object) -> bytes:
    """A call in Connect JSON, as bytes to send."""
    service = OURS if method == "FireTrigger" else PUBLISHED
    body = json.dumps(message).encode()
    head = (
        f"POST /{service}/{method} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One kept connection."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """A whole request."""
        self.socket.sendall(data)

    def receive(self) -> Any:
        """Wait for the answer to it. Raises RuntimeError for one that is no success."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        if lines[0].split()[1] != "200":
            raise RuntimeError(body.decode())
        return json.loads(body)

    def call(self, method: str, message: object) -> Any:
        """Send and receive."""
        self.send(request(method, message))
        return self.receive()

    def close(self) -> None:
        self.socket.close()

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise RuntimeError("the agent closed the connection")
        self._buffer += data


def call_all(connections: Sequence[Connection], requests: Sequence[bytes]) -> None:
    """All requests, one at a time on each connection, until all are answered."""
    waiting = list(reversed(requests))
    poll = select.poll()
    by_number = {one.socket.fileno(): one for one in connections}
    pending = 0
    for number, connection in by_number.items():
        if waiting:
            connection.send(waiting.pop())
            poll.register(number, select.POLLIN)
            pending += 1
    while pending:
        for number, _ in poll.poll(60_000):
            by_number[number].receive()
            if waiting:
                by_number[number].send(waiting.pop())
            else:
                poll.unregister(number)
                pending -= 1
