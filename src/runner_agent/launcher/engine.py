"""A word with the Docker Engine: the few requests that an attendant makes, without a client library.

HTTP/1.0, a connection a request: answers are never chunked then, and end with the connection.
"""

import json
import socket

from runner_agent.launcher.wire import Message, cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0
"""Seconds for an answer. Starting a container takes half of one; on a machine that swaps, many."""
_MOST_HEAD = 1 << 16


class Away(Exception):
    """The Engine cannot be reached, or went away before it answered. Its text says where and why."""


class Refusal(Exception):
    """The Engine will not. `text` is its own sentence."""

    def __init__(self, status: int, text: str) -> None:
        """As answered: 404 for what it does not know (Podman has 500 too), 409 for what its state forbids."""
        super().__init__(text)
        self.status = status
        self.text = text


class Engine:
    """An address: `unix:///path` or `tcp://host:port`."""

    def __init__(self, address: str) -> None:
        """Connects to nothing yet."""
        self.address = address

    def ask(self, method: str, path: str, body: "Message | None" = None, within: float = PATIENCE) -> Message:
        """The answer's JSON object; {} for an empty one. Raises Away, Refusal."""
        return _object(self.fetch(method, path, body, within))

    def fetch(self, method: str, path: str, body: "Message | None" = None, within: float = PATIENCE) -> bytes:
        """The answer as it came. Raises Away, Refusal."""
        connection, begun = self._request(method, path, body, within, "")
        try:
            parts = [begun]
            while part := connection.recv(1 << 16):
                parts.append(part)
        except OSError as error:
            raise self._away(error) from None
        finally:
            connection.close()
        return b"".join(parts)

    def knock(self, method: str, path: str) -> socket.socket:
        """Only asked: the connection is readable when there is an answer. Raises Away."""
        try:
            connection = _connect(self.address, PATIENCE)
            connection.sendall(
                f"{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n".encode()
            )
        except OSError as error:
            raise self._away(error) from None
        return connection

    def hijack(self, path: str, body: Message, within: float = PATIENCE) -> tuple[socket.socket, bytes]:
        """POST, and keep the connection: it carries raw bytes both ways from here on, and has no timeout.

        With what came of it already. Raises Away, Refusal.
        """
        connection, begun = self._request(
            "POST", path, body, within, "Connection: Upgrade\r\nUpgrade: tcp\r\n"
        )
        connection.settimeout(None)
        return connection, begun

    def _request(
        self, method: str, path: str, body: "Message | None", within: float, extra: str
    ) -> tuple[socket.socket, bytes]:
        """Sent and found good: the connection, and what came after the answer's head."""
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n{extra}\r\n"
        )
        try:
            connection = _connect(self.address, within)
        except OSError as error:
            raise self._away(error) from None
        try:
            connection.sendall(head.encode() + data)
            status, begun = _head(connection)
            if status >= 400:
                while part := connection.recv(1 << 16):
                    begun += part
                text = _sentence(begun, status)
                raise Refusal(404 if "no such container" in text.lower() else status, text)
        except OSError as error:
            connection.close()
            raise self._away(error) from None
        except BaseException:
            connection.close()
            raise
        return connection, begun

    def _away(self, error: OSError) -> Away:
        reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
        return Away(f"the Docker Engine at {self.address} cannot be reached: {reason.lower()}")


def lives(state: "Message") -> bool:
    """Is a container with this State not over yet? Podman has one that is stopping not run, with a pid."""
    return bool(state.get("Running") or state.get("Pid"))


class Streams:
    """Takes apart what the Engine sends of a process without a terminal: frames of stdout and of stderr."""

    def __init__(self) -> None:
        """Empty."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> "Iterator[tuple[int, bytes]]":
        """Stream (1 stdout, 2 stderr) and bytes, in order, of what is complete; of a long frame its part."""
        self._buffer += data
        while len(self._buffer) > 8:
            size = int.from_bytes(self._buffer[4:8], "big")
            stream, part = self._buffer[0], bytes(self._buffer[8 : 8 + size])
            if len(part) < size:
                self._buffer[4:8] = (size - len(part)).to_bytes(4, "big")
                del self._buffer[8:]
            else:
                del self._buffer[: 8 + size]
            yield stream, part


def _connect(address: str, within: float) -> socket.socket:
    kind, _, rest = address.partition("://")
    if kind == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(within)
        try:
            connection.connect(rest)
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = rest.rstrip("/").rpartition(":")
    if kind not in ("tcp", "http") or not port.isdigit():
        raise OSError("not an address of the kind unix:///path or tcp://host:port")
    return socket.create_connection((host.strip("[]"), int(port)), within)


def _head(connection: socket.socket) -> tuple[int, bytes]:
    """The status, and what came after the head. Raises OSError."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(1 << 16)
        if not part:
            raise ConnectionResetError("it hung up")
        answer += part
        if len(answer) > _MOST_HEAD:
            raise OSError("what answers there is no Docker Engine")
    head, _, begun = answer.partition(b"\r\n\r\n")
    fields = head.split(b" ", 2)
    if len(fields) < 2 or not fields[0].startswith(b"HTTP/") or not fields[1].isdigit():
        raise OSError("what answers there is no Docker Engine")
    return int(fields[1]), begun


def _object(body: bytes) -> Message:
    try:
        value: object = json.loads(body) if body.strip() else {}
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(200, "an answer that is no JSON object")
    return cast("Message", value)


def _sentence(body: bytes, status: int) -> str:
    try:
        return str(_object(body)["message"]).strip()
    except (Refusal, KeyError):
        return body.decode("utf-8", "replace").strip() or f"status {status}"
