"""Where the agent's own log goes. Nothing that becomes of a log ends the agent or makes it wait (rule 7.6).

Its reader may be gone or asleep, its disk full or hung. So a thread of its own writes, the agent only hands
lines over, and what cannot be written is counted, and told once the log takes lines again.
"""

import os
import select
import socket
import threading
from contextlib import suppress
from queue import SimpleQueue

MOST = 4096
"""Lines that may wait for the stream. What is said beyond is lost, and counted."""
PATIENCE = 0.5
"""Seconds that an agent on its way out gives the stream to take what is left."""


class OwnLog:
    """A logger for structlog: each level takes a line, and what journald is to get instead, if anything."""

    def __init__(self, descriptor: int, journal: str = "") -> None:
        """`journal`: journald's socket, if it is to be told."""
        self._descriptor = descriptor
        self._journal = journal
        self._socket: socket.socket | None = None
        self._lines: SimpleQueue[tuple[str, bytes] | threading.Event] = SimpleQueue()
        self._lock = threading.Lock()
        self._lost = 0
        self._torn = False
        self._thread: threading.Thread | None = None

    def put(self, line: str, entry: bytes = b"") -> None:
        """Have it written. Returns at once and never raises."""
        if self._lines.qsize() >= MOST or not self._running():
            self._lose()
        else:
            self._lines.put((line, entry))

    debug = info = warning = error = critical = put

    def settle(self, patience: float = PATIENCE) -> None:
        """Wait for what was handed over, as long as the stream takes it, but no longer than that."""
        if self._thread is not None:
            written = threading.Event()
            self._lines.put(written)
            written.wait(patience)

    def _running(self) -> bool:
        if self._thread is None:
            # A daemon thread: one that hangs in a write must not keep the agent from ending.
            thread = threading.Thread(target=self._run, name="own-log", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread to be had, now
                return False
            self._thread = thread
        return True

    def _lose(self) -> None:
        with self._lock:
            self._lost += 1

    def _run(self) -> None:
        while True:
            item = self._lines.get()
            if isinstance(item, threading.Event):
                item.set()
            elif not (item[1] and self._told_journal(item[1])):
                self._write(item[0])

    def _told_journal(self, entry: bytes) -> bool:
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.connect(self._journal)
            self._socket.send(entry)
        except OSError:
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            return False
        return True

    def _write(self, line: str) -> None:
        with self._lock:
            lost = self._lost
        told = f"{lost} lines of the agent's log are lost: they could not be written\n" if lost else ""
        start = "\n" if self._torn else ""
        left = memoryview(f"{start}{told}{line}\n".encode("utf-8", "backslashreplace"))
        size = len(left)
        try:
            while left:
                left = left[self._some(left) :]
        except OSError:
            self._torn = self._torn or len(left) < size
            self._lose()
            return
        self._torn = False
        with self._lock:
            self._lost -= lost

    def _some(self, data: memoryview) -> int:
        """Write what is taken of it. Where others made the stream one that does not block, we wait."""
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                with suppress(InterruptedError):
                    poll.poll()
