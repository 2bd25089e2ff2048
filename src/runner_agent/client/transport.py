"""Requests to the agent, over a unix socket or TCP: one connection a request, every failure a ClientError."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from runner_agent.client.addresses import Endpoint, TcpAddress, UnixAddress
from runner_agent.client.errors import AgentUnreachable, ApiError
from runner_agent.client.wire import Answer, request
from runner_agent.kit.reading import value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

REQUEST_TIMEOUT = 60.0
"""Seconds of silence before an answer. The agent answers in milliseconds; a stopped one takes this long."""
SILENCE = 60.0
"""Seconds without a byte of a watch before its agent counts as gone: it sends a sign of life every 15."""


class Stream:
    """A streamed answer."""

    def __init__(self, endpoint: Endpoint, connection: socket.socket, answer: Answer) -> None:
        """Made by `Transport.stream`."""
        self._endpoint = endpoint
        self._connection = connection
        self._answer = answer
        self.headers = answer.headers

    def patience(self, seconds: float | None) -> None:
        """How long the next read may wait, None for ever. A read that waited longer raises TimeoutError."""
        self._connection.settimeout(seconds)

    def line(self) -> bytes:
        """The next line with its end; at the end of the stream what is left, then b""."""
        return self._guarded(self._answer.line)

    def chunk(self, limit: int = 65536) -> bytes:
        """What is there, at most `limit` bytes, b"" at the end of the stream. Waits for at least one byte."""
        return self._guarded(lambda: self._answer.some(limit))

    def abort(self) -> None:
        """End it, from any thread: a read under way returns."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # already gone

    def _guarded(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except TimeoutError:
            raise
        except OSError as error:
            raise AgentUnreachable(
                f"The agent at {self._endpoint.address} went away while it was answering: {_reason(error)}."
            ) from None


class Transport:
    """Requests to one endpoint. Holds no connection, so it may be used from several threads."""

    def __init__(self, endpoint: Endpoint, patience: float = REQUEST_TIMEOUT) -> None:
        """Connects to nothing yet. `patience`: seconds of silence before an answer that are borne."""
        self.endpoint = endpoint
        self._patience = patience

    def unary(self, method: str, message: Mapping[str, object]) -> object:
        """Connect JSON. `method` is `package.Service/Name`. Raises AgentUnreachable, ApiError."""
        headers = {"Content-Type": "application/json", "Connect-Protocol-Version": "1"}
        with self._exchange("POST", f"/{method}", headers, json.dumps(message).encode()) as (_, answer):
            return decoded(self._all(answer))

    @contextmanager
    def stream(
        self, verb: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Generator[Stream]:
        """A streamed answer, open while the block runs. Before it, raises AgentUnreachable or ApiError."""
        with self._exchange(verb, path, headers, body) as (connection, answer):
            yield Stream(self.endpoint, connection, answer)

    @contextmanager
    def _exchange(
        self, verb: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Generator[tuple[socket.socket, Answer]]:
        """A request sent and its answer begun, and well: others are raised as ApiError."""
        token = {"Authorization": f"Bearer {self.endpoint.token}"} if self.endpoint.token else {}
        with self._connection() as connection:
            try:
                connection.sendall(request(verb, path, {"Host": self._host(), **token, **headers}, body))
                answer = Answer(connection)
            except OSError as error:
                raise self._no_answer(error) from None
            try:
                if answer.status not in {200, 206}:
                    raise _refusal(answer.status, self._all(answer))
                yield connection, answer
            finally:
                answer.close()

    def _connection(self) -> socket.socket:
        connection: socket.socket | None = None
        try:
            match self.endpoint.address:
                case UnixAddress(path):
                    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                    connection.settimeout(self._patience)
                    connection.connect(path)
                case TcpAddress(host, port):
                    connection = socket.create_connection((host, port), self._patience)
        except OSError as error:
            if connection is not None:
                connection.close()
            raise AgentUnreachable(
                f"Cannot reach the agent at {self.endpoint.address} (from {self.endpoint.source}): "
                f"{self._reason(error)}. "
                "Start one with `runner-agent up`, or name a running one with --address."
            ) from None
        return connection

    def _host(self) -> str:
        address = self.endpoint.address
        return "localhost" if isinstance(address, UnixAddress) else str(address).removeprefix("tcp:")

    def _all(self, answer: Answer) -> bytes:
        try:
            return answer.all()
        except OSError as error:
            raise self._no_answer(error) from None

    def _no_answer(self, error: OSError) -> AgentUnreachable:
        return AgentUnreachable(
            f"The agent at {self.endpoint.address} did not answer: {self._reason(error)}."
        )

    def _reason(self, error: OSError) -> str:
        if isinstance(error, TimeoutError) and error.strerror is None:
            return f"nothing came for {self._patience:g} s"
        return _reason(error)


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "it closed the connection"
    return (error.strerror or str(error) or type(error).__name__).lower()


def decoded(body: bytes) -> object:
    """An answer's JSON. Raises ApiError."""
    try:
        return value_of(body)
    except ValueError:
        raise ApiError("internal", "The answer is not JSON: is another program listening there?") from None


def _refusal(status: int, body: bytes) -> ApiError:
    try:
        told = cast("dict[str, object]", value_of(body))
        return ApiError(str(told["code"]), str(told.get("message", "")))
    except (ValueError, KeyError, TypeError):
        return ApiError("unknown", f"HTTP status {status}; is another program listening there?")
