"""The logs that a feed follows, each read by a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from runner_agent.client.errors import ClientError
from runner_agent.client.logs import LogQuery, log_end, read_log
from runner_agent.client.news import PATIENCE
from runner_agent.client.transport import Transport

LINE_LIMIT = 1 << 16
"""Bytes of a line that are shown as one."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log of `label`."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Log:
    """What there is to follow: at `path`, of one step if it is given, known by `key`."""

    key: str
    path: str
    label: str = ""
    step: str = ""


class Logs:
    """Lines go to `put`, which may block."""

    def __init__(self, transport: Transport, put: Callable[[LogLine], None]) -> None:
        """Follows none yet."""
        self._transport = transport
        self._put = put
        self._shown: dict[str, int] = {}  # bytes
        self._threads: dict[str, threading.Thread] = {}

    @property
    def following(self) -> bool:
        """Whether one has not come to its end."""
        return any(thread.is_alive() for thread in list(self._threads.values()))

    def skip(self, log: Log) -> None:
        """Show nothing of it that is there already. Raises ClientError."""
        self._shown[log.key] = log_end(self._transport, log.path, log.step)

    def follow(self, log: Log) -> None:
        """From where it was shown last until its end, or until the agent stays away."""
        present = self._threads.get(log.key)
        if present is None or not present.is_alive():
            thread = threading.Thread(target=self._read, args=(log,), name=f"log {log.label}", daemon=True)
            self._threads[log.key] = thread
            thread.start()

    def _read(self, log: Log) -> None:
        query = LogQuery(offset=self._shown.get(log.key, 0), step=log.step)
        rest = b""
        try:
            for chunk in read_log(self._transport, log.path, query, PATIENCE):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._show(log, line, 1)
                if len(rest) > LINE_LIMIT:
                    self._show(log, rest, 0)
                    rest = b""
        except ClientError:
            pass  # the watch tells when the agent is gone
        if rest:
            self._show(log, rest, 0)

    def _show(self, log: Log, line: bytes, end: int) -> None:
        self._put(LogLine(log.label, _last_state(line)))
        self._shown[log.key] = self._shown.get(log.key, 0) + len(line) + end


def _last_state(line: bytes) -> str:
    """What a terminal would show of it in the end: a progress bar's last state."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
