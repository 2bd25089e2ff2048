"""The logs that a feed follows, each read by a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from runner_agent.cli.interleaved import REST
from runner_agent.client.errors import ClientError
from runner_agent.client.logs import LogQuery, log_end, read_log
from runner_agent.client.news import PATIENCE
from runner_agent.client.transport import Transport
from runner_agent.kit.prefixes import steady

LINE_LIMIT = 1 << 16
"""Bytes of a line that are shown as one."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log `key`, shown as `label`; if it is not `whole`, what there is of it so far."""

    label: str
    text: str
    key: str = ""
    whole: bool = True


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
        self._rests: dict[str, tuple[Log, bytes, float]] = {}  # unfinished lines, and when they are shown
        self._resting = threading.Condition()
        threading.Thread(target=self._show_rests, name="unfinished lines", daemon=True).start()

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
                self._rest(log, rest)
        except ClientError:
            pass  # the watch tells when the agent is gone
        if rest:
            self._show(log, rest, 0)

    def _show(self, log: Log, line: bytes, end: int) -> None:
        with self._resting:  # what there was so far must not come after it
            self._rests.pop(log.key, None)
            self._put(LogLine(log.label, _last_state(line), log.key))
        self._shown[log.key] = self._shown.get(log.key, 0) + len(line) + end

    def _rest(self, log: Log, rest: bytes) -> None:
        if rest:
            with self._resting:
                _, _, due = self._rests.get(log.key, (log, rest, time.monotonic() + REST))
                self._rests[log.key] = (log, rest, due)
                self._resting.notify()

    def _show_rests(self) -> None:
        """For as long as the process lives."""
        with self._resting:
            while True:
                now = time.monotonic()
                for key, (log, rest, due) in list(self._rests.items()):
                    if due <= now:
                        del self._rests[key]
                        if text := _last_state(rest[: steady(rest)]):
                            self._put(LogLine(log.label, text, key, whole=False))
                earliest = min((due for _, _, due in self._rests.values()), default=None)
                self._resting.wait(None if earliest is None else max(0.0, earliest - time.monotonic()))


def _last_state(line: bytes) -> str:
    """What a terminal would show of it in the end: a progress bar's last state."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
