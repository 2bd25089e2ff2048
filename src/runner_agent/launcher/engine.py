"""A word with the Docker Engine: the few requests that an attendant makes, without a client library.

HTTP/1.0, a connection a request: answers are never chunked then, and end with the connection.
"""

import json
import socket
import time

from runner_agent.launcher.wire import Message, cast, value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0
"""Seconds for an answer. Starting a container takes half of one; on a machine that swaps, many."""
LONGEST_SOCKET = 107
"""Bytes of a socket's path: the kernel takes no more."""
_MOST_HEAD, _MOST_BODY = 1 << 16, 1 << 26
_ALSO_GOOD = (101, 304)
"""Of a connection that is kept, and of what is so already."""
_LATER = (429, 502, 503, 504)
_LATER_WORDS = ("connection error: desc", "transport is closing", "code = unavailable", "containerd.sock")
"""Of an Engine whose containerd is away."""
STRANGE = 0
"""The status of a refusal whose words are not the Engine's: they were not understood."""


class Away(Exception):
    """The Engine cannot be reached, went away before it answered, or asks to be tried later.

    Its text says where and why. An answer that is not understood is none of these, but a Refusal: it would be
    the same the next time.
    """


class Refusal(Exception):
    """The Engine will not. `text` is its own sentence, or says what came instead of one (STRANGE)."""

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
        return object_of(self._json(self.fetch(method, path, body, within)), "it")

    def list(self, method: str, path: str) -> "list[Message]":
        """The answer's objects. Raises Away, Refusal."""
        value = self._json(self.fetch(method, path))
        if not isinstance(value, list):
            raise self._strange("no list where one is due")
        return [object_of(one, "what it lists") for one in cast("list[object]", value)]

    def fetch(self, method: str, path: str, body: "Message | None" = None, within: float = PATIENCE) -> bytes:
        """The answer as it came. Raises Away, Refusal."""
        end = time.monotonic() + within
        connection, begun = self._request(method, path, body, within, "")
        try:
            return _rest(connection, begun, end)
        except OSError as error:
            raise self._away(error) from None
        except ValueError as error:
            raise self._strange(str(error)) from None
        finally:
            connection.close()

    def knock(self, method: str, path: str) -> socket.socket:
        """Only asked: the connection is readable when there is an answer. Raises Away."""
        try:
            connection = _connect(self.address, PATIENCE)
            connection.sendall(
                f"{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n".encode()
            )
        except (OSError, ValueError) as error:
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
        end = time.monotonic() + within
        try:
            connection = _connect(self.address, within)
        except OSError as error:
            raise self._away(error) from None
        except ValueError as error:
            raise Refusal(STRANGE, f"the Docker Engine at {self.address} cannot be asked: {error}") from None
        try:
            connection.sendall(head.encode() + data)
            status, begun = _head(connection, end)
            if not (200 <= status < 300 or status in _ALSO_GOOD):
                raise self._refusal(status, _rest(connection, begun, end))
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                raise self._away(error) from None
            if isinstance(error, ValueError):
                raise self._strange(str(error)) from None
            raise
        return connection, begun

    def _json(self, told: bytes) -> object:
        """Raises Away for one that was cut off, Refusal for what is none."""
        text = told.strip()
        try:
            value: object = value_of(text) if text else {}
        except ValueError as error:
            cut = text[:1] in (b"{", b"[") and text[-1:] not in (b"}", b"]")
            if cut and type(error) is not ValueError:  # that is one of JSON or of UTF-8, as one cut off has
                raise self._away(ConnectionResetError("it hung up in the middle of an answer")) from None
            raise self._strange(f"no JSON{beginning(told)}") from None
        return value

    def _refusal(self, status: int, body: bytes) -> "Away | Refusal":
        """What an answer of this status means."""
        text = sentence(body)
        if later(status, text):
            return Away(f"the Docker Engine at {self.address} asks to be tried later: {text or status}")
        if not text or status < 400:
            return self._strange(f"status {status}{beginning(body)}")
        return Refusal(404 if "no such container" in text.lower() else status, text)

    def _away(self, error: OSError | ValueError) -> Away:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, TimeoutError):
            reason = "no answer in time"
        return Away(f"the Docker Engine at {self.address} cannot be reached: {reason.lower()}")

    def _strange(self, what: str) -> Refusal:
        return Refusal(STRANGE, strange(self.address, what))


def strange(address: str, what: str) -> str:
    """Of an answer that no Docker Engine would give."""
    return f"what answers at {address} is not understood ({what}); is it a Docker Engine? See DOCKER_HOST"


def later(status: int, text: str) -> bool:
    """Does the answer say that the same request may do at another time?"""
    return status in _LATER or (status >= 500 and any(words in text.lower() for words in _LATER_WORDS))


def state_of(told: Message) -> Message:
    """Of an inspected container. Raises Refusal."""
    state = _part(told, "State")
    number_of(state.get("ExitCode", 0), "ExitCode")
    return state


def number_of(value: object, what: str) -> int:
    """A whole number. Raises Refusal for anything else, `what` it should have been."""
    if not isinstance(value, int):
        raise Refusal(STRANGE, f"the Docker Engine's answer is not understood: {what} is no number")
    return value


def object_of(value: object, what: str) -> Message:
    """A JSON object. Raises Refusal for anything else, `what` it should have been."""
    if not isinstance(value, dict):
        raise Refusal(STRANGE, f"the Docker Engine's answer is not understood: {what} is no JSON object")
    return cast("Message", value)


def _part(told: Message, name: str) -> Message:
    return object_of(told.get(name), name)


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
    """Raises OSError, and ValueError for what is no address."""
    kind, _, rest = address.partition("://")
    if kind == "unix":
        if len(rest.encode("utf-8", "surrogateescape")) > LONGEST_SOCKET:
            raise ValueError(f"its path has more than {LONGEST_SOCKET} bytes")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(within)
        try:
            connection.connect(rest)
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = rest.rstrip("/").rpartition(":")
    if kind not in ("tcp", "http") or not port.isdigit() or int(port) > 65535:
        raise ValueError("it is no address of the kind unix:///path or tcp://host:port")
    return socket.create_connection((host.strip("[]"), int(port)), within)


def _received(connection: socket.socket, end: float) -> bytes:
    """What came, b"" at the end of it. Raises OSError, also when it is too late: some answer drop by drop."""
    rest = end - time.monotonic()
    if rest <= 0:
        raise TimeoutError
    connection.settimeout(rest)
    return connection.recv(1 << 16)


def _head(connection: socket.socket, end: float) -> tuple[int, bytes]:
    """The status, and what came after the head. Raises OSError, and ValueError for what is no HTTP."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = _received(connection, end)
        if not part:
            if answer and not answer.startswith(b"HTTP/"):
                break
            raise ConnectionResetError("it hung up")
        answer += part
        if len(answer) > _MOST_HEAD:
            break
    head, _, begun = answer.partition(b"\r\n\r\n")
    fields = head.split(b" ", 2)
    if len(fields) < 2 or not fields[0].startswith(b"HTTP/") or not fields[1][:3].isdigit():
        raise ValueError(f"no HTTP{beginning(answer)}")
    return int(fields[1][:3]), begun


def _rest(connection: socket.socket, begun: bytes, end: float) -> bytes:
    """All of the answer. Raises OSError, ValueError."""
    parts, size = [begun], len(begun)
    while part := _received(connection, end):
        parts.append(part)
        size += len(part)
        if size > _MOST_BODY:
            raise ValueError(f"an answer of more than {_MOST_BODY >> 20} MiB")
    return b"".join(parts)


def beginning(body: bytes) -> str:
    """Of an answer, for a message: one line of it."""
    text = " ".join(body[:80].decode("utf-8", "replace").split())
    return f": {text!r}" if text else ""


def sentence(body: bytes) -> str:
    """The Engine's own words; "" if these are not its words."""
    try:
        value = value_of(body)
    except ValueError:
        return ""
    text = cast("Message", value).get("message") if isinstance(value, dict) else ""
    return text.strip() if isinstance(text, str) else ""
