"""Logs by GET: bytes as the agent sends them, to the object's end, resumed where a restart cut them off."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from runner_agent.client.errors import AgentUnreachable
from runner_agent.client.transport import Stream, Transport
from runner_agent.client.watch import COMEBACK, RETRY


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which part of a log. `tail` counts lines, `offset` bytes; services have roles, executions steps."""

    follow: bool = True
    tail: int | None = None
    offset: int | None = None
    role: str = ""
    step: str = ""


def service_log(service_id: str) -> str:
    """The path of a service's log."""
    return f"/logs/services/{service_id}"


def execution_log(execution_id: str) -> str:
    """The path of an execution's log."""
    return f"/logs/executions/{execution_id}"


def read_log(transport: Transport, path: str, query: LogQuery, comeback: float = COMEBACK) -> Iterator[bytes]:
    """Chunks, as they come. An agent that went away has `comeback` seconds. Raises AgentUnreachable,
    ApiError.
    """
    at = query.offset or 0
    resumable = query.follow
    lost_at = 0.0
    connected = False
    while True:
        part = query if not connected else LogQuery(query.follow, None, at, query.role, query.step)
        try:
            with transport.stream("GET", f"{path}?{_encoded(part)}", {}) as stream:
                start = int(stream.headers.get("x-log-start", at))
                if part.tail is not None:
                    at = start
                # Where older bytes are gone a gap line comes first, and what follows cannot be counted.
                resumable = resumable and start == at
                connected, lost_at = True, 0.0
                for chunk in _chunks(stream):
                    at += len(chunk)
                    yield chunk
                return
        except AgentUnreachable:
            now = time.monotonic()
            lost_at = lost_at or now
            if not (connected and resumable) or now - lost_at > comeback:
                raise
            time.sleep(RETRY)


@dataclass(frozen=True, slots=True)
class LogHead:
    """Which log it is, the same for all executions that share a run; and the offset at which what is written
    from now on will stand.
    """

    id: str
    end: int


def log_head(transport: Transport, path: str, step: str = "", role: str = "") -> LogHead:
    """Of the log as it is now. Raises ClientError."""
    query = LogQuery(follow=False, tail=0, step=step, role=role)
    with transport.stream("GET", f"{path}?{_encoded(query)}", {}) as stream:
        # An agent of before names no log.
        return LogHead(
            stream.headers.get("x-log-id", step or path), int(stream.headers.get("x-log-start", 0))
        )


def last_lines(transport: Transport, path: str, lines: int, step: str = "", role: str = "") -> str:
    """The end of a log as text, for a message."""
    query = LogQuery(follow=False, tail=lines, step=step, role=role)
    return b"".join(read_log(transport, path, query)).decode(errors="replace")


def _chunks(stream: Stream) -> Iterator[bytes]:
    stream.patience(None)  # a log may rest for days
    while chunk := stream.chunk():
        yield chunk


def _encoded(query: LogQuery) -> str:
    from urllib.parse import urlencode

    parameters = {
        "follow": "true" if query.follow else "false",
        "tail": query.tail,
        "offset": query.offset,
        "role": query.role or None,
        "step": query.step or None,
    }
    return urlencode({name: value for name, value in parameters.items() if value is not None})
