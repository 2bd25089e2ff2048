"""A server that answers like no Docker Engine: each request gets the bytes that a test chose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

Answer = Callable[[str], bytes | None]
"""From the first line of a request to all that is answered; None: nothing ever."""


@contextmanager
def answering(folder: Path, answer: Answer) -> Generator[str]:
    """Its address, for DOCKER_HOST. One answer a connection."""
    path = folder / "strange.sock"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    silent: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError):
                line.settimeout(10)
                data = b""
                while b"\r\n\r\n" not in data and (part := line.recv(4096)):
                    data += part
                told = answer(data.split(b"\r\n", 1)[0].decode()) if data else b""
                if told is None:
                    silent.append(line)
                    continue
                line.sendall(told)
            line.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        for line in silent:
            line.close()


def http(status: str, body: bytes = b"", kind: str = "application/json", *more: str) -> bytes:
    """An answer of HTTP."""
    head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode() + body


def after_version(told: bytes | None) -> Answer:
    """Answers the first question, for the version of the API, as an Engine would."""
    version = http("200 OK", b'{"ApiVersion":"1.41"}')
    return lambda request: version if "/version" in request else told
