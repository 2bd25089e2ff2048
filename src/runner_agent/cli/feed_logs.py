"""The logs that a feed follows, each read by a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from runner_agent.cli.interleaved import REST
from runner_agent.client.errors import ClientError
from runner_agent.client.logs import LogQuery, log_head, read_log
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
        self._queues: dict[str, list[Log]] = {}  # the first is being read
        self._queueing = threading.Lock()
        self._rests: dict[str, tuple[Log, bytes, float]] = {}  # unfinished lines, and when they are shown
        self._resting = threading.Condition()
        threading.Thread(target=self._show_rests, name="unfinished lines", daemon=True).start()

    @property
    def following(self) -> bool:
        """Whether one has not come to its end."""
        return bool(self._queues)

    def skip(self, log: Log) -> None:
        """Show nothing of it that is there already, unless it is followed. Raises ClientError."""
        end = log_head(self._transport, log.path, log.step).end
        self._shown.setdefault(log.key, end)

    def follow(self, log: Log) -> None:
        """From where it was shown last until its end, or until the agent stays away.

        A log that is followed already is not shown twice. It ends early at one `path` when an execution lets
        go of a run that others hold (rule 6.2): then it goes on at the next.
        """
        with self._queueing:
            waiting = self._queues.setdefault(log.key, [])
            if log not in waiting:
                waiting.append(log)
            if len(waiting) > 1 or waiting[0] is not log:
                return
        name = f"log {log.label}"
        threading.Thread(target=self._read_all, args=(waiting,), name=name, daemon=True).start()

    def _read_all(self, waiting: list[Log]) -> None:
        while True:
            log = waiting[0]
            self._read(log)
            with self._queueing:
                waiting.remove(log)
                if not waiting:
                    del self._queues[log.key]
                    return

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
